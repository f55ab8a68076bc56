"""Update rules as pure functions: one rule, one function, with its source.

No networks, no optimisers, no configuration. Arguments come in the order of time. Leading axes are ``[R, N]`` (runs,
agents), then ``[B, T]`` (episodes, steps); losses are returned per network, ``[R, N]``, to be summed: stacked networks
share no weights, so the sum's gradient is every network's own.
"""

import math

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
        returns = [values[..., -1]]
        steps = list(zip(rewards.unbind(-1), discount.unbind(-1), values.unbind(-1), strict=True))
        for reward, discounted, value in reversed(steps):
            returns.append(torch.addcmul(reward, discounted, torch.lerp(value, returns[-1], trace)))
        return torch.stack(returns[:0:-1], -1)


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


def regression_loss(estimates: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Return each network's mean squared error ``L = mean_t (y_t - estimate_t)^2`` over played steps.

    Args:
        estimates: float32 ``[R, N, B, T]``.
        targets: float32 ``[R, N, B, T]``, without gradient.
        mask: bool ``[R, B, T]``.

    Returns:
        float32 ``[R, N]``.
    """
    assert estimates.shape == targets.shape, (estimates.shape, targets.shape)
    assert not targets.requires_grad
    return masked_mean((targets - estimates).square(), mask)


def ideal_values(played: Tensor, proposed: Tensor) -> Tensor:
    """Value an action by the better of two ways on: ``max{Qss(x, x'), Qss(x, f(x, a))}``, without gradient.

    ``Q(x, a)`` is regressed on it. One way is the transition played, the other the one that ``f`` proposes among those
    that the other agents could have made of the same action. Source: Jiang & Lu, *I2Q: A Fully Decentralized Q-Learning
    Algorithm*, NeurIPS 2022; Pritz & Leung, arXiv 2504.08417.

    Args:
        played: ``Qss^-(x, x')``, float32, any shape.
        proposed: ``Qss^-(x, f(x, a))``, of that shape.
    """
    assert played.shape == proposed.shape, (played.shape, proposed.shape)
    return torch.maximum(played, proposed).detach()


def expectile_loss(estimates: Tensor, targets: Tensor, mask: Tensor, tau: float) -> Tensor:
    """Return each network's expectile loss: ``L = mean_t w_t (y_t - estimate_t)^2``, ``w`` tau above and 1 - tau below.

    The estimate rests at the mean of the targets if tau is 0.5, and nears the largest as tau nears 1. Source: Newey &
    Powell, Econometrica 55, 1987; Kostrikov, Nair & Levine, ICLR 2022, equation 5.

    Args:
        estimates: float32 ``[R, N, B, T]``.
        targets: float32 ``[R, N, B, T]``, without gradient.
        mask: bool ``[R, B, T]``.
        tau: 0 to 1.

    Returns:
        float32 ``[R, N]``.
    """
    assert estimates.shape == targets.shape, (estimates.shape, targets.shape)
    assert not targets.requires_grad
    errors = targets - estimates
    return masked_mean(torch.where(errors.detach() >= 0, tau, 1.0 - tau) * errors.square(), mask)


def forward_loss(predicted: Tensor, following: Tensor, slope: Tensor, mask: Tensor) -> Tensor:
    """Keep proposals near what follows, and draw them towards what is worth more.

    ``L_f = mean_t [ |x'_t - f_t|^2 - <slope_t, f_t> ]`` over played steps. With ``slope = lambda * dQss(x, f)/df`` it
    has the gradient of ``|x' - f|^2 - lambda * Qss(x, f)``, which reaches ``f`` through Qss's argument and leaves Qss
    alone. ``f`` comes to rest at the mean of what follows plus ``slope / 2``. Source: Jiang & Lu, NeurIPS 2022, with
    the squared error summed over the state's entries, not averaged.

    Args:
        predicted: ``f(x, a)``, float32 ``[R, N, B, T, Y]``.
        following: ``x'``, of that shape.
        slope: of that shape, without gradient.
        mask: bool ``[R, B, T]``.

    Returns:
        float32 ``[R, N]``.
    """
    assert predicted.ndim == 5, predicted.shape
    assert predicted.shape == following.shape == slope.shape, (predicted.shape, following.shape, slope.shape)
    assert not following.requires_grad
    assert not slope.requires_grad
    return masked_mean(((predicted - following).square() - slope * predicted).sum(-1), mask)


def gaussian_nll(mean: Tensor, std: Tensor, x: Tensor) -> Tensor:
    """Return ``-log N(x; mean, std^2)`` elementwise: ``log std + ((x - mean) / std)^2 / 2 + log(2 pi) / 2`` nats."""
    return std.log() + ((x - mean) / std).square() / 2 + math.log(2 * math.pi) / 2


def standard_normal_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return ``KL(N(mean, e^log_variance) || N(0, 1))`` elementwise, in nats.

    ``(mean^2 + e^log_variance - 1 - log_variance) / 2``. Source: Kingma & Welling, *Auto-Encoding Variational Bayes*,
    ICLR 2014, appendix B.
    """
    return (mean.square() + log_variance.exp() - 1 - log_variance) / 2


def cvae_loss(nll: Tensor, kl: Tensor, mask: Tensor, beta: float) -> Tensor:
    """Return the negative evidence lower bound of each network, with weight ``beta`` on the divergence.

    ``mean_t [-log p(u_t | z_t, h_t) + beta * KL(q(z_t | u_t, h_t) || p(z))]`` over valid steps; both terms are sums
    over dimensions. Source: Sohn, Lee & Yan, *Learning Structured Output Representation using Deep Conditional
    Generative Models*, NeurIPS 2015, equation 4; beta after Higgins et al., *beta-VAE*, ICLR 2017.

    Args:
        nll: float32 ``[R, N, B, T]``.
        kl: float32 ``[R, N, B, T]``.
        mask: bool ``[R, B, T]``.
        beta: weight of the divergence.

    Returns:
        float32 ``[R, N]``.
    """
    return masked_mean(nll + beta * kl, mask)


def cvae_loss_as_released(nll: Tensor, kl: Tensor, mask: Tensor, dimensions: int) -> Tensor:
    """Weigh the two terms as Belief-I2Q's released code does: a mean against half a sum.

    ``mean_{t, k} nll_{t, k} + sum_t KL_t / 2``: the likelihood is averaged over steps and the ``dimensions`` of u, the
    divergence summed over all steps of the batch. Source: specification of the released code, section 2.

    Args:
        nll: float32 ``[R, N, B, T]``, summed over the dimensions of u.
        kl: float32 ``[R, N, B, T]``.
        mask: bool ``[R, B, T]``.
        dimensions: of u.

    Returns:
        float32 ``[R, N]``.
    """
    divergence = (kl * mask[:, None]).sum((2, 3))
    return masked_mean(nll, mask) / dimensions + divergence / 2
