"""The networks of I2Q, and how much any return can be."""

from collections.abc import Callable
from math import inf

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from baselines.networks import GRU, MLP
from benchmark.measures.references import reference
from benchmark.tasks.task import Task, one_hot


class Networks(nn.Module):
    """``Q(x, a)``, ``Qss(y, y')`` and ``f(x, a) -> y'`` of R x N agents; ``y`` is what is foreseen of ``x``.

    Args:
        run_keys: int64 ``[R]``, from which the weights are drawn.
        task: for agents, actions and observations.
        size: X, the length of ``x``; with a GRU, of what comes before its state.
        width: units in each of the two hidden layers of every network.
        foreseen: which entries of ``x`` are ``y``; None is all of them.
        hidden: H, units of the GRU over the history; 0 is none.
        expectile: ``V(y)`` in place of ``f``.
        residual: ``f`` predicts the change of ``y``.
    """

    def __init__(
        self,
        run_keys: Tensor,
        task: Task,
        size: int,
        width: int,
        foreseen: Tensor | None = None,
        *,
        hidden: int = 0,
        expectile: bool = False,
        residual: bool = True,
    ) -> None:
        super().__init__()
        agents, self.actions = task.agents, len(task.action_names)
        self.foreseen, self.residual = foreseen, residual
        if hidden:
            self.gru = GRU(run_keys, agents, size + self.actions, hidden, "history")
        x = size + hidden
        y = x if foreseen is None else len(foreseen)
        self.q = MLP(run_keys, agents, (x, width, width, self.actions), "q")
        self.qss = MLP(run_keys, agents, (2 * y, width, width, 1), "qss")
        if expectile:
            self.v = MLP(run_keys, agents, (y, width, width, 1), "v")
        else:
            self.f = MLP(run_keys, agents, (x + self.actions, width, width, y), "f")

    def states(self, stored: Tensor, actions: Tensor) -> Tensor:
        """Return ``x [R, N, B, T + 1, X]`` of what the replay holds and actions ``[R, N, B, T]``."""
        if not hasattr(self, "gru"):
            return stored
        before = pad(one_hot(actions, self.actions), (0, 0, 1, 0))
        return torch.cat((stored, self.gru(torch.cat((stored, before), -1))), -1)

    def part(self, x: Tensor) -> Tensor:
        """Return ``y``, what is foreseen of ``x``."""
        return x if self.foreseen is None else x[..., self.foreseen]

    def worth(self, before: Tensor, after: Tensor) -> Tensor:
        """Return ``Qss(y, y')``, ``[...]``."""
        return self.qss(torch.cat((before, after), -1))[..., 0]

    def propose(self, x: Tensor, actions: Tensor) -> Tensor:
        """Return ``f(x, a)``, ``[..., Y]``, for actions int64 ``[...]``."""
        change = self.f(torch.cat((x, one_hot(actions, self.actions)), -1))
        return self.part(x) + change if self.residual else change

    def value(self, y: Tensor) -> Tensor:
        """Return ``V(y)``, ``[...]``."""
        return self.v(y)[..., 0]


def slope_of(worth: Callable[[Tensor], Tensor], proposed: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``worth(proposed)`` and its gradient with respect to ``proposed``, both without gradient."""
    argument = proposed.detach().requires_grad_()
    values = worth(argument)
    (slope,) = torch.autograd.grad(values.sum(), argument)
    return values.detach(), slope


def largest_return(task_id: str) -> float:
    """Return what nobody's return can be above, on average over episodes: that of somebody who sees the whole state.

    Infinite where it is not known.
    """
    try:
        return reference(task_id.partition(":")[0]).optimum
    except ValueError:
        return inf
