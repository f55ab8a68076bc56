"""The critic of MADDPG: what an own action is worth beside what the others did."""

import torch
from torch import Tensor, nn

from baselines.networks import MLP
from baselines.others import Others
from benchmark.tasks.organization import ACTIONS


class Critic(nn.Module):
    """``Q_i(o, a_i, others)``: ReLU networks of R runs and K critics each, K being 1 or N.

    Merged, the own action is added to what the others did, and the critic is linear in it: of an action relaxed to
    weights ``w`` it says ``sum_k w_k F(o, others + e_k)``. So the actor's gradient compares what the three pure actions
    lead to, and the network, which sees everybody's actions in one place, learns what one more of them is worth from
    everybody's variation. Otherwise the own action is an input of its own and relaxed actions go straight in.

    Args:
        run_keys: int64 ``[R]``.
        view: of the other agents.
        publics: P, how many public observations there are.
        critics: K.
        hidden: units of each of the two hidden layers.
        merged: see above.
    """

    def __init__(self, run_keys: Tensor, view: Others, publics: int, critics: int, hidden: int, merged: bool) -> None:
        super().__init__()
        self.view, self.merged = view, merged
        inputs = publics + view.size + (0 if merged else len(ACTIONS))
        self.network = MLP(run_keys, critics, (inputs, hidden, hidden, 1), "critic")
        self.publics = torch.eye(publics, device=run_keys.device)
        # The unit of counts: their running mean and spread (merged), or the number of others.
        self.mean = torch.zeros(len(run_keys), critics, 1, view.size, device=run_keys.device)
        self.spread = torch.full_like(self.mean, float(view.counted(run_keys.device).max()))
        self.measured = False

    def measure(self, counts: Tensor, share: float) -> None:
        """Follow the mean and the spread of merged counts ``[R, K, S, D]``."""
        share = share if self.measured else 1.0
        self.mean = self.mean.lerp(counts.mean(2, keepdim=True), share)
        self.spread = self.spread.lerp(counts.std(2, keepdim=True), share)
        self.measured = True

    def measure_like(self, other: "Critic") -> None:
        """Take over another critic's unit of counts: weights mean nothing in another."""
        self.mean, self.spread = other.mean, other.spread

    def forward(self, public: Tensor, own: Tensor, agent: Tensor, seen: Tensor) -> Tensor:
        """Return ``[R, K, S]``.

        Args:
            public: int64 ``[R, K, S]``, the public observation.
            own: float32 ``[R, K, S, A]``, the own action.
            agent: int64 ``[R, K, S]``, whose it is.
            seen: float32 ``[R, K, S, D]``, what the others did.
        """
        counts = seen + self.view.place(own, agent) if self.merged else seen
        parts = [self.publics[public], (counts - self.mean) / self.spread.clamp(min=0.5)]
        return self.network(torch.cat(parts if self.merged else [*parts, own], -1))[..., 0]
