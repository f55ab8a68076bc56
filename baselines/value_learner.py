"""What Rec.-Hyst.-IQL, Belief-I2Q and Rec.-I2Q share: hyper-parameters, their schedules, the unit of rewards."""

from dataclasses import dataclass

from torch import Tensor

from benchmark.episodes.rollout import Episodes
from benchmark.harness.protocol import per_run


@dataclass(frozen=True)
class ValueLearner:
    """Hyper-parameters; the same for every task.

    Attributes:
        gamma: discount per step.
        trace: lambda of the returns; 0 is the one-step target.
        learning_rate: of Adam, at the start.
        learning_rate_end: of Adam, at the end of the budget; linear in between.
        gradient_limit: largest Euclidean norm of one network's gradient.
        epsilon: share of exploratory steps at the start.
        epsilon_end: share of exploratory steps at the end of exploration.
        exploration_share: share of the budget over which it falls, linearly.
        persistence: probability that an exploratory action is repeated; 0 is plain epsilon-greedy.
        collect: episodes played between two rounds of updates (at most a twentieth of the budget).
        updates_per_episode: gradient updates for each episode played.
        batch: episodes per update.
        capacity: episodes kept for replay.
        width: units of each hidden layer above the summary of the history.
        input_scale: where the bounds of the observations are put, as ``[-input_scale, input_scale]``.
    """

    gamma: float = 0.97
    trace: float = 0.8
    learning_rate: float = 1e-3
    learning_rate_end: float = 1e-4
    gradient_limit: float = 10.0
    epsilon: float = 0.6
    epsilon_end: float = 0.0
    exploration_share: float = 0.7
    persistence: float = 0.7
    collect: int = 20
    updates_per_episode: float = 2.0
    batch: int = 8
    capacity: int = 5000
    width: int = 128
    input_scale: float = 2.0

    def epsilon_at(self, progress: float) -> float:
        """Return the share of exploratory steps when a share ``progress`` of the budget is used."""
        fallen = min(1.0, progress / self.exploration_share)
        return self.epsilon + (self.epsilon_end - self.epsilon) * fallen

    def learning_rate_at(self, progress: float) -> float:
        """Return the learning rate when a share ``progress`` of the budget is used."""
        return self.learning_rate + (self.learning_rate_end - self.learning_rate) * progress


def return_unit(episodes: Episodes, runs: int) -> Tensor:
    """Return the unit in which each run counts rewards: the standard deviation of its agents' returns, at least 1.

    Taken from the first episodes and kept. It leaves tasks with returns around 1 alone and brings those with returns
    in the hundreds within reach of one learning rate.

    Returns:
        float32 ``[R, 1, 1, 1]``, to divide rewards ``[R, E, T, N]``.
    """
    returns = per_run(episodes.rewards.sum(1), runs)  # [R, E, N]
    return returns.flatten(1).std(1, correction=0).clamp(min=1.0)[:, None, None, None]
