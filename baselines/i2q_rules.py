"""What Qss learns and what Q learns from it, in the two forms of I2Q.

Each returns the losses of its networks, ``[R, N]``, the targets of Q and how much of them is hope, ``[R, N, B, T]``:
what the best way on is worth more than what came.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from baselines.i2q_networks import Networks
from baselines.losses import (
    double_q_values,
    expectile_loss,
    forward_loss,
    ideal_values,
    lambda_returns,
    masked_mean,
    regression_loss,
)
from baselines.replay import Sequences

Rule = tuple[dict[str, Tensor], Tensor, Tensor]


class States(NamedTuple):
    """A batch as the networks see it."""

    q: Tensor  # float32 [R, N, B, T + 1, A]: the online network's values
    s: Tensor  # float32 [R, N, B, T + 1, X]: states that learn nothing
    batch: Sequences


def by_forward_model(
    online: Networks,
    target: Networks,
    states: States,
    gamma: float,
    trace: float,
    optimism: float,
    stale: int | None = None,
) -> Rule:
    """Let ``f`` propose the best way on.

    ``L_f = |x' - f(x, a)|^2 - lambda Qss^-(x, f(x, a))``, ``lambda = optimism / mean |Qss^-|``.
    ``L_Qss = (G - Qss(x, x'))^2`` with the lambda-returns ``G`` of rewards and
    ``V(x') = Qss^-(x', f(x', argmax Q(x', .)))``. Q's target is ``max{Qss^-(x, x'), Qss^-(x, f(x, a))}``.

    Args:
        online: what learns.
        target: its running average.
        states: the batch.
        gamma: discount.
        trace: lambda of the returns.
        optimism: weight of what is worth much in the choice of proposals, in units of the mean ``|Qss|``.
        stale: take the summary, from this entry of ``x`` on, from the step before where the next action is chosen.
    """
    q, s, batch = states
    before, after = online.part(s[..., :-1, :]), online.part(s[..., 1:, :])
    proposed = online.propose(s[..., :-1, :], batch.actions)
    hoped, slope = slope_of(lambda y: target.worth(before, y), proposed)
    with torch.no_grad():
        seen = target.worth(before, after)
        size = masked_mean(seen.abs(), batch.mask).clamp(min=1e-3)[..., None, None, None]
        following, q_following = s[..., 1:, :], q[..., 1:, :]
        if stale is not None:
            following = torch.cat((following[..., :stale], s[..., :-1, stale:]), -1)
            q_following = online.q(following)
        values = target.worth(after, online.propose(following, q_following.argmax(-1)))
        returns = lambda_returns(batch.rewards, gamma * batch.discount, values, trace)
    losses = {
        "loss_f": forward_loss(proposed, after, optimism / size * slope, batch.mask),
        "loss_qss": regression_loss(online.worth(before, after), returns, batch.mask),
    }
    return losses, ideal_values(seen, hoped), hoped - seen


def by_expectile(
    online: Networks, target: Networks, states: States, gamma: float, trace: float, tau: float, mix: float
) -> Rule:
    """Let V stand for the best way on: I2Q's own recurrent release, without a model.

    ``V(x)`` rests at an expectile of ``Qss^-(x, x')``. ``L_Qss = (G - Qss(x, x'))^2`` with the lambda-returns ``G`` of
    rewards and ``V^-(x')``. Q's targets are those of rewards and ``mix V^- + (1 - mix) double Q``.

    Args:
        online: what learns.
        target: its running average.
        states: the batch.
        gamma: discount.
        trace: lambda of the returns.
        tau: the expectile, 0.5 for the mean.
        mix: the share of V.
    """
    q, s, batch = states
    before, after = online.part(s[..., :-1, :]), online.part(s[..., 1:, :])
    discount = gamma * batch.discount
    with torch.no_grad():
        seen, values = target.worth(before, after), target.value(after)
        doubled = double_q_values(q, target.q(s))[..., 1:]
        returns = lambda_returns(batch.rewards, discount, values, trace)
        ideal = lambda_returns(batch.rewards, discount, torch.lerp(doubled, values, mix), trace)
    losses = {
        "loss_v": expectile_loss(online.value(before), seen, batch.mask, tau),
        "loss_qss": regression_loss(online.worth(before, after), returns, batch.mask),
    }
    return losses, ideal, mix * (values - doubled)


def slope_of(worth: Callable[[Tensor], Tensor], proposed: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``worth(proposed)`` and its gradient with respect to ``proposed``, both without gradient."""
    argument = proposed.detach().requires_grad_()
    values = worth(argument)
    (slope,) = torch.autograd.grad(values.sum(), argument)
    return values.detach(), slope
