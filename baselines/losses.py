"""Update rules as pure functions: one rule, one function, with its source.

No networks, no optimisers, no configuration. Arguments come in the order of time. Leading axes are ``[R, N]`` (runs,
agents), then ``[B, T]`` (episodes, steps); losses are returned per network, ``[R, N]``, to be summed: stacked networks
share no weights, so the sum's gradient is every network's own.
"""

import torch
from torch import Tensor


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Average over the played steps of each network's batch.

    Args:
        values: float32 ``[R, N, B, T]``.
        mask: bool ``[R, B, T]``, the steps that were played; at least one in every run.

    Returns:
        float32 ``[R, N]``.
    """
    assert values.ndim == 4, values.shape
    assert mask.ndim == 3, mask.shape
    weights = mask.to(values.dtype)
    return (values * weights[:, None]).sum((2, 3)) / weights.sum((1, 2))[:, None].clamp(min=1.0)


def chosen(q: Tensor, actions: Tensor) -> Tensor:
    """Pick the values of the actions: ``q [..., A]``, ``actions`` int64 ``[...]`` to ``[...]``."""
    assert q.ndim == actions.ndim + 1, (q.shape, actions.shape)
    return q.gather(-1, actions[..., None])[..., 0]


def double_q_values(q: Tensor, q_target: Tensor) -> Tensor:
    """Value a history by the target network's opinion of the action the online network prefers.

    ``V(h) = Q^-(h, argmax_a Q(h, a))``, without gradient. Source: van Hasselt, Guez & Silver, *Deep Reinforcement
    Learning with Double Q-learning*, AAAI 2016, equation 4. With ``q = q_target`` it is the plain maximum.

    Args:
        q: the online network's values, float32 ``[..., A]``.
        q_target: the target network's values, float32 ``[..., A]``.

    Returns:
        float32 ``[...]``.
    """
    assert q.shape == q_target.shape, (q.shape, q_target.shape)
    with torch.no_grad():
        return chosen(q_target, q.argmax(-1))


def lambda_returns(rewards: Tensor, discount: Tensor, values: Tensor, trace: float) -> Tensor:
    """Mix the returns of all lengths: ``G_t = r_t + discount_t * ((1 - trace) * V_{t+1} + trace * G_{t+1})``.

    After the last step ``V`` stands for ``G``. ``trace = 0`` is the one-step target ``r + discount * V``; ``trace = 1``
    the return played. With greedy values and no correction for exploratory actions this is Peng's Q(lambda): Peng &
    Williams, *Incremental Multi-Step Q-Learning*, Machine Learning 22, 1996. Without gradient.

    Args:
        rewards: float32 ``[R, N, B, T]``.
        discount: float32 ``[R, N, B, T]``: gamma, or 0 where the step ended the episode for good, which also keeps
            whatever lies beyond that end out of the returns before it.
        values: float32 ``[R, N, B, T]``: the value of where each step led, ``V_{t+1}``.
        trace: lambda, 0 to 1.

    Returns:
        float32 ``[R, N, B, T]``.
    """
    assert rewards.ndim == 4, rewards.shape
    assert rewards.shape == discount.shape == values.shape, (rewards.shape, discount.shape, values.shape)
    with torch.no_grad():
        returns = torch.empty_like(values)
        following = values[..., -1]
        for t in range(values.shape[-1] - 1, -1, -1):
            mixed = torch.lerp(values[..., t], following, trace)
            following = rewards[..., t] + discount[..., t] * mixed
            returns[..., t] = following
        return returns


def hysteretic_weights(errors: Tensor, beta: float) -> Tensor:
    """Trust good news fully and bad news less: 1 where the error is at least 0, ``beta`` where it is negative.

    An independent learner cannot tell its own mistakes from its partners' exploration; both lower its targets. Source:
    Matignon, Laurent & Le Fort-Piat, *Hysteretic Q-learning*, IROS 2007, equation 4, with ``beta`` relative to the
    learning rate as in Omidshafiei et al., *Deep Decentralized Multi-task Multi-agent RL under Partial Observability*,
    ICML 2017, section 4.1.

    Args:
        errors: temporal-difference errors ``target - estimate``, any shape.
        beta: weight of negative errors, 0 (never lower an estimate) to 1 (plain Q-learning).
    """
    return torch.where(errors >= 0, 1.0, beta)


def hysteretic_td_loss(q: Tensor, actions: Tensor, targets: Tensor, mask: Tensor, beta: float) -> Tensor:
    """Return the hysteretic squared temporal-difference loss of each network.

    ``L = mean_t w(delta_t) * delta_t^2``, ``delta_t = y_t - Q(h_t, a_t)``, over played steps; ``w`` as in
    ``hysteretic_weights``. The weight has no gradient. Source: Omidshafiei et al., ICML 2017, section 4.1 (Dec-HDRQN).

    Args:
        q: float32 ``[R, N, B, T, A]``.
        actions: int64 ``[R, N, B, T]``.
        targets: float32 ``[R, N, B, T]``, without gradient.
        mask: bool ``[R, B, T]``.
        beta: weight of negative errors.

    Returns:
        float32 ``[R, N]``.
    """
    assert q.ndim == 5, q.shape
    assert actions.shape == targets.shape == q.shape[:-1], (actions.shape, targets.shape, q.shape)
    assert not targets.requires_grad
    errors = targets - chosen(q, actions)
    return masked_mean(hysteretic_weights(errors.detach(), beta) * errors.square(), mask)
