"""What stands for the other agents in a centralised critic: their joint action, or counts of it."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from baselines.organization import count_others
from benchmark.tasks.organization import ACTIONS, Organization
from benchmark.tasks.organization_pair import OrganizationPair

SUMMARIES = ("joint", "configuration", "neighbours")


@dataclass(frozen=True)
class Others:
    """One of three views of the joint action, as vectors of length D, in which one more action has a place.

    ``joint``: everybody's one-hot action side by side (D = N A). ``configuration``: how many of the others chose each
    action (D = A). ``neighbours``: how many of the neighbours did (D = A); divided by their number it is Yang et al.'s
    mean action.

    Attributes:
        task: whose agents.
        summary: one of ``SUMMARIES``.

    Raises:
        ValueError: if the summary is unknown.
    """

    task: Organization | OrganizationPair
    summary: str

    def __post_init__(self) -> None:
        if self.summary not in SUMMARIES:
            raise ValueError(f"summary={self.summary!r} is unknown; allowed: {', '.join(SUMMARIES)}")

    @property
    def size(self) -> int:
        """D."""
        return len(ACTIONS) * (self.task.agents if self.summary == "joint" else 1)

    @property
    def local(self) -> bool:
        """Whether only neighbours count."""
        return self.summary == "neighbours"

    def counted(self, device: torch.device) -> Tensor:
        """Return how many others each agent counts, int64 ``[N]``."""
        if self.local and isinstance(self.task, Organization):
            return self.task.neighbourhood.degrees(device)
        return torch.full((self.task.agents,), self.task.agents - 1, device=device)

    def seen(self, chosen: Tensor) -> Tensor:
        """Return what each agent's others did: one-hot actions ``[..., N, A]`` to ``[..., N, D]``."""
        if self.summary != "joint":
            return count_others(self.task, chosen, self.local)
        return chosen.flatten(-2)[..., None, :] * self._elsewhere(chosen.device)

    def expected(self, policies: Tensor) -> Tensor:
        """Return the mean of ``seen`` if all others act by each agent's opinion ``[R, N, P, A]``: ``[R, N, P, D]``."""
        if self.summary != "joint":
            return policies * self.counted(policies.device)[:, None, None]
        return policies.repeat(1, 1, 1, self.task.agents) * self._elsewhere(policies.device)[:, None]

    def place(self, own: Tensor, agent: Tensor) -> Tensor:
        """Put the own action ``[..., A]`` of an agent, int64 ``[...]``, where it adds to ``seen``: ``[..., D]``."""
        if self.summary != "joint":
            return own
        return (one_hot(agent, self.task.agents)[..., None] * own[..., None, :]).flatten(-2)

    def _elsewhere(self, device: torch.device) -> Tensor:
        """Return ``[N, D]``: 0 in an agent's own place of the joint action, 1 in the others'."""
        return (1 - torch.eye(self.task.agents, device=device)).repeat_interleave(len(ACTIONS), 1)
