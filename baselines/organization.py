"""What every learner of Organization shares: what it acts on, what it learns from, whom it counts, what it tells.

Learners of this family act on the public observation alone (the coarse level; with two agents also the one before), as
in arXiv 2106.09825. So a policy is a table of probabilities ``[R, N, P, A]`` over the P public observations, whatever
network computes it, and playing episodes takes no network at all. What agents hear about each other goes into learning.
"""

import sys
from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.episodes.rollout import Episodes
from benchmark.harness.protocol import Setting
from benchmark.tasks.organization import (
    ACTIONS,
    BANKRUPTCY_REWARD,
    GROUP,
    INDIVIDUAL_REWARD,
    MAJORITY_REWARD,
    PUBLIC,
    SELF,
    Organization,
)
from benchmark.tasks.organization_pair import OrganizationPair
from benchmark.tasks.streams import bits_along, uniform
from benchmark.tasks.task import Layout, Task, one_hot

# Table policies draw for several steps at once, in small batches, where calls take longer than what they do.
_STEPS_AHEAD, _DRAWS_AHEAD = 10, 1 << 20

LEARNING_REWARDS = ("team", "neighbourhood", "individual")


def organization_task(task: Task, learner: str) -> Organization | OrganizationPair:
    """Return the task if it is one that these learners can play.

    Raises:
        ValueError: if it is not of the family, or perturbed.
    """
    if isinstance(task, Organization | OrganizationPair):
        return task
    raise ValueError(
        f"{learner}: task={task!r} is not supported; allowed: unperturbed tasks of the organization family"
    )


def public_size(layout: Layout) -> int:
    """Return P, the number of public observations: 3, or 9 if the layout holds the previous one too."""
    return len(PUBLIC) ** (2 if "previous_public" in layout.slices else 1)


def public_index(layout: Layout, observations: Tensor) -> Tensor:
    """Return which public observation is seen, int64 ``[...]`` in ``[0, P)``, given observations ``[..., O]``."""
    now = observations[..., layout.slices["public"]].argmax(-1)
    if "previous_public" not in layout.slices:
        return now
    return now + len(PUBLIC) * observations[..., layout.slices["previous_public"]].argmax(-1)


def public_names(layout: Layout) -> list[str]:
    """Return the names of the P public observations, such as ``"many"`` or ``"many_after_several"``."""
    if "previous_public" not in layout.slices:
        return list(PUBLIC)
    return [f"{now}_after_{before}" for before in PUBLIC for now in PUBLIC]


class TableMemory(NamedTuple):
    """What a table policy carries from step to step."""

    keys: Tensor  # int64 [B]
    first: Tensor  # int64 [B, N]: where each agent's rows of the tables begin
    step: int
    draws: tuple[Tensor, ...]  # float32 [B, N], for this step and some that follow


class TablePolicy:
    """Each agent draws its action from its own row for the public observation; or takes the likeliest.

    Args:
        layout: of the observations.
        probabilities: ``[R, N, P, A]``; batches are run-major. Read when the policy is made.
        greedy: take the likeliest action.
    """

    def __init__(self, layout: Layout, probabilities: Tensor, greedy: bool = False) -> None:
        self.layout, self.greedy = layout, greedy
        self.runs, self.agents, self.publics, _ = probabilities.shape
        detached = probabilities.detach()
        self.best = detached.argmax(-1).flatten()
        self.thresholds = detached.cumsum(-1)[..., :-1].flatten(0, 2)

    def initial_memory(self, keys: Tensor) -> TableMemory:
        """Remember the keys and the step."""
        run = torch.arange(self.runs, device=keys.device).repeat_interleave(len(keys) // self.runs)
        network = run[:, None] * self.agents + torch.arange(self.agents, device=keys.device)
        return TableMemory(keys, network * self.publics, 0, ())

    def act(self, observations: Tensor, memory: TableMemory) -> tuple[Tensor, TableMemory]:
        """Choose ``[B, N]`` by what each agent sees for itself."""
        keys, first, step, draws = memory
        row = first + public_index(self.layout, observations)
        if self.greedy:
            return self.best[row], memory._replace(step=step + 1)
        if not draws:
            steps = range(step, step + max(1, min(_STEPS_AHEAD, _DRAWS_AHEAD // row.numel())))
            draws = uniform(bits_along(keys, steps, "table-policy", self.agents)).unbind()
        actions = (draws[0][..., None] >= self.thresholds[row]).sum(-1)
        return actions, TableMemory(keys, first, step + 1, draws[1:])


def count_others(task: Organization | OrganizationPair, chosen: Tensor, neighbours: bool) -> Tensor:
    """Count what each agent's others do, or its neighbours only: one-hot ``[..., N, A]`` to ``[..., N, A]``."""
    if neighbours and isinstance(task, Organization):
        return task.neighbourhood.sum_over_neighbours(chosen)
    return chosen.sum(-2, keepdim=True) - chosen


def heard(task: Organization | OrganizationPair, observations: Tensor, neighbours: bool) -> Tensor:
    """Return the counts of noisy reports in observations ``[..., N, O]``, of all others or of the neighbours only."""
    slices = task.observation_layout.slices
    if isinstance(task, OrganizationPair):
        return observations[..., slices["report"]]
    if neighbours and not task.neighbourhood.complete:
        return observations[..., slices["neighbour_reports"]] * task.neighbourhood.degrees(observations.device)[:, None]
    return observations[..., slices["reports"]] * (task.agents - 1)


def report_noise(task: Organization | OrganizationPair, device: torch.device | str = "cpu") -> Tensor:
    """Return the probability ``[A, A]`` with which an action (row) is reported as another (column)."""
    count = len(ACTIONS)
    wrong = torch.full((count, count), task.noise / (count - 1), device=device)
    return wrong.fill_diagonal_(1 - task.noise)


def learning_reward(task: Organization | OrganizationPair, episodes: Episodes, kind: str) -> Tensor:
    """Return the reward that each agent learns from, float32 ``[B, T, N]``.

    - ``"team"``: the mean over agents, for everybody alike. With each its own, the barest group majority is no strict
      equilibrium: who tips it is indifferent or worse off.
    - ``"neighbourhood"``: the mean over the agent and its neighbours j of what j would earn if j and its own neighbours
      were the whole firm (as Eq. 12 of arXiv 2106.09825 takes the neighbourhood for the whole), but for bankruptcies,
      which are the firm's.
    - ``"individual"``: what the agent is paid.

    Raises:
        ValueError: if the kind is unknown.
    """
    if kind == "individual":
        return episodes.rewards
    if kind == "team" or isinstance(task, OrganizationPair):
        return episodes.rewards.mean(-1, keepdim=True).expand_as(episodes.rewards)
    if kind != "neighbourhood":
        raise ValueError(f"learning_reward={kind!r} is unknown; allowed: {', '.join(LEARNING_REWARDS)}")
    graph, device = task.neighbourhood, episodes.rewards.device
    chosen = one_hot(episodes.actions, len(ACTIONS))
    closed = chosen + graph.sum_over_neighbours(chosen)
    majority = torch.sign(closed[..., GROUP] - closed[..., SELF]).to(torch.int64) + 1
    individual = torch.tensor(INDIVIDUAL_REWARD, device=device)[episodes.actions]
    bankrupt = episodes.rewards - individual <= BANKRUPTCY_REWARD / 2
    common = torch.where(bankrupt, BANKRUPTCY_REWARD, torch.tensor(MAJORITY_REWARD, device=device)[majority])
    earned = (individual + common)[..., None]
    total = earned + graph.sum_over_neighbours(earned)
    return total[..., 0] / (graph.degrees(device) + 1)


def policy_counts(probabilities: Tensor) -> Tensor:
    """Count, for each run and public observation, the agents whose likeliest action is each: int64 ``[R, P, A]``."""
    return torch.nn.functional.one_hot(probabilities.argmax(-1), probabilities.shape[-1]).sum(1)


def note_policy(setting: Setting, probabilities: Tensor) -> None:
    """Put each run's greedy policy into its record: how many choose self, balance, group at each public observation.

    The notes are named ``policy_meager``, ``policy_several``, ``policy_many``, and hold ``"13/0/14"``. ``memory_mib``
    is the most memory that this process has held, on the device where it trains.
    """
    memory, names = peak_memory(setting.device), public_names(setting.task.observation_layout)
    for run, counts in enumerate(policy_counts(probabilities).tolist()):
        told = {f"policy_{name}": "/".join(map(str, row)) for name, row in zip(names, counts, strict=True)}
        setting.note(run, memory_mib=memory, **told)


def peak_memory(device: torch.device) -> int | None:
    """Return the most memory that this process has held so far, in MiB: of a GPU, or of the machine where it tells."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) >> 20
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak >> 20 if sys.platform == "darwin" else peak >> 10
