"""Train BenchMARL's algorithms on Penumbra's tasks and have the result scored like any submission.

BenchMARL owns the training loop; it sees the task as a PettingZoo environment whose episodes are charged to the
budget. After every iteration it offers its policy, and the harness evaluates the one it needs.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from benchmarl.algorithms import IqlConfig, MappoConfig, QmixConfig, VdnConfig
from benchmarl.environments.common import TaskClass
from benchmarl.experiment import Callback, Experiment, ExperimentConfig
from benchmarl.models import GruConfig, MlpConfig
from benchmarl.models.common import ModelConfig
from tensordict import TensorDict
from torch import Tensor
from torchrl.envs import PettingZooWrapper
from torchrl.envs.utils import ExplorationType, set_exploration_type

from benchmark.episodes.parallel_env import TaskParallelEnv
from benchmark.episodes.policy import Policy
from benchmark.harness.foreign import MeteredParallelEnv, interleave
from benchmark.harness.protocol import Setting

GROUP = "agent"  # what BenchMARL calls agent_0, agent_1, ... together
ALGORITHMS = {"iql": IqlConfig, "vdn": VdnConfig, "qmix": QmixConfig, "mappo": MappoConfig}
HIDDEN = "_hidden_gru_0"  # where BenchMARL's GRU keeps what it remembers


class PenumbraTask(TaskClass):
    """One setting's task as BenchMARL wants it. The first environment asked for describes, the others train."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(name=setting.task_id, config={})
        self.setting = setting
        self.described = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave the setting out of the copy of its configuration that BenchMARL keeps on disk."""
        return str, (self.name,)

    def get_env_fun(self, num_envs: int, continuous_actions: bool, seed: int | None, device: Any) -> Callable[[], Any]:
        """Return a maker of environments: the first describes the task, the later ones play the budget."""
        source = self.setting if self.described else None
        self.described = True

        def make() -> PettingZooWrapper:
            env = TaskParallelEnv(self.setting.task) if source is None else MeteredParallelEnv(source)
            return PettingZooWrapper(env, categorical_actions=True, device=device)

        return make

    def supports_continuous_actions(self) -> bool:
        """Actions are numbers of moves."""
        return False

    def supports_discrete_actions(self) -> bool:
        """Actions are numbers of moves."""
        return True

    def has_render(self, env: Any) -> bool:
        """Pictures are the harness's business."""
        return False

    def max_steps(self, env: Any) -> int:
        """Return the horizon."""
        return self.setting.task.horizon

    def group_map(self, env: Any) -> dict[str, list[str]]:
        """All agents form one group."""
        return env.group_map

    def observation_spec(self, env: Any) -> Any:
        """Agents observe; nothing else is an observation."""
        spec = env.observation_spec.clone()
        for key in set(spec[GROUP].keys()) - {"observation"}:
            del spec[GROUP, key]
        return spec

    def info_spec(self, env: Any) -> None:
        """Nothing is read from the infos."""

    def state_spec(self, env: Any) -> None:
        """No state: what is learned here is learned from observations."""

    def action_mask_spec(self, env: Any) -> None:
        """Every action is always allowed."""

    def action_spec(self, env: Any) -> Any:
        """Return the action space."""
        return env.full_action_spec

    @staticmethod
    def env_name() -> str:
        """Return the family's name in BenchMARL's logs."""
        return "penumbra"


class Offer(Callback):
    """Hand the policy out after every iteration."""

    def __init__(self, setting: Setting, offer: Callable[[Policy], None], units: int) -> None:
        super().__init__()
        self.setting, self.offer, self.units = setting, offer, units

    def __reduce__(self) -> tuple[Any, ...]:
        """Stay out of the copy of its configuration that BenchMARL keeps on disk."""
        return str, ("offer",)

    def on_train_end(self, training_td: Any, group: str) -> None:
        """Report the iteration's updates and offer the policy."""
        self.setting.count_updates(training_td.shape[0])
        self.offer(GreedyPolicy(self.experiment.policy, self.units))


class GreedyPolicy:
    """A BenchMARL policy acting deterministically; its memory is the GRU's state ``[B, N, 1, units]``, if any."""

    def __init__(self, policy: Any, units: int) -> None:
        self.policy, self.units = policy, units

    def initial_memory(self, keys: Tensor) -> Tensor | None:
        """Remember nothing yet."""
        return None

    def act(self, observations: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Choose ``[B, N]`` from ``[B, N, O]``."""
        batch = observations.shape[:2]
        own, first = TensorDict({"observation": observations}, batch), torch.full((batch[0], 1), memory is None)
        if self.units:
            own[HIDDEN] = observations.new_zeros(*batch, 1, self.units) if memory is None else memory
        asked = TensorDict({GROUP: own, "is_init": first.to(observations.device)}, batch[:1])
        with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
            answer = self.policy(asked)
        return answer[GROUP, "action"].reshape(batch), answer["next", GROUP, HIDDEN] if self.units else None


@dataclass(frozen=True)
class BenchMARL:
    """BenchMARL's algorithm, trained for the budget.

    Attributes:
        algorithm: ``"iql"``, ``"vdn"``, ``"qmix"`` or ``"mappo"``.
        units: of the GRU that agents remember with; 0 for an MLP, which sees the present only.
        learning_rate: of Adam.
        gamma: discount per step.
        envs: environments played in turn; a round of updates follows an episode's length of steps in each.
        updates: gradient updates in a round (IQL).
        batch: transitions in an update.
    """

    algorithm: str = "iql"
    units: int = 0
    learning_rate: float = 5e-4
    gamma: float = 0.97
    envs: int = 10
    updates: int = 40
    batch: int = 256

    def __post_init__(self) -> None:
        """Check the algorithm's name."""
        if self.algorithm not in ALGORITHMS:
            raise ValueError(f"algorithm={self.algorithm!r} is unknown; allowed: {', '.join(ALGORITHMS)}")

    def train(self, setting: Setting) -> Iterator[Policy]:
        """Let BenchMARL train until the budget is used up."""
        yield from interleave(lambda offer: self._run(setting, offer))

    def _run(self, setting: Setting, offer: Callable[[Policy], None]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            experiment = Experiment(
                task=PenumbraTask(setting),
                algorithm_config=ALGORITHMS[self.algorithm].get_from_yaml(),
                model_config=self._model(),
                seed=int(setting.run_keys[0] % 2**31),
                config=self._config(setting, folder),
                callbacks=[Offer(setting, offer, self.units)],
            )
            setting.note(0, parameters=_trained(experiment))
            offer(GreedyPolicy(experiment.policy, self.units))
            experiment.run()

    def _model(self) -> ModelConfig:
        cells = {"activation_class": torch.nn.ReLU, "layer_class": torch.nn.Linear, "num_cells": [128, 128]}
        if not self.units:
            return MlpConfig(**cells)
        cells = {f"mlp_{name}": value for name, value in (cells | {"num_cells": [128]}).items()}
        return GruConfig(hidden_size=self.units, n_layers=1, bias=True, dropout=0.0, compile=False, **cells)

    def _config(self, setting: Setting, folder: str) -> ExperimentConfig:
        config = ExperimentConfig.get_from_yaml()
        config.sampling_device = config.train_device = config.buffer_device = str(setting.device)
        config.share_policy_params = False  # agents learn alone
        config.lr, config.gamma = self.learning_rate, self.gamma
        config.max_n_frames = setting.budget * setting.task.horizon  # the budget of episodes ends training before
        frames = self.envs * setting.task.horizon  # sequences of a whole episode's length
        config.off_policy_collected_frames_per_batch = config.on_policy_collected_frames_per_batch = frames
        config.off_policy_n_envs_per_worker = config.on_policy_n_envs_per_worker = self.envs
        config.off_policy_n_optimizer_steps, config.off_policy_train_batch_size = self.updates, self.batch
        config.on_policy_n_minibatch_iters, config.on_policy_minibatch_size = 4, self.batch
        config.off_policy_memory_size = 200_000
        config.exploration_anneal_frames = config.max_n_frames // 4
        config.evaluation, config.render, config.loggers, config.create_json = False, False, [], False
        config.save_folder = folder
        return config


def _trained(experiment: Experiment) -> int:
    """Count the parameters that the experiment's optimisers train."""
    optimisers = [one for group in experiment.optimizers.values() for one in group.values()]
    return sum(weight.numel() for one in optimisers for group in one.param_groups for weight in group["params"])
