"""Update rules of actor-critic learners as pure functions, each with its source.

Policies are tables of log-probabilities over public observations, so everything is elementwise: leading axes are
``[R, N]`` (runs, agents), then B rows (steps, or public observations with weights), then A actions.
"""

import torch
from torch import Tensor


def counterfactual_advantage(q: Tensor, policy: Tensor) -> Tensor:
    """Compare every action with what the policy earns: ``A(o, a, C) = Q(o, a, C) - sum_b pi(b | o) Q(o, b, C)``.

    The others' configuration C is the same in both terms. Source: Foerster, Farquhar, Afouras, Nardelli & Whiteson,
    *Counterfactual Multi-Agent Policy Gradients*, AAAI 2018, equation 4, with C in place of the joint action.

    Args:
        q: float32 ``[..., A]``.
        policy: probabilities float32 ``[..., A]``.

    Returns:
        float32 ``[..., A]``; its mean under the policy is zero.
    """
    assert q.shape == policy.shape, (q.shape, policy.shape)
    return q - (policy * q).sum(-1, keepdim=True)


def td_advantage(rewards: Tensor, q: Tensor, following: Tensor, gamma: float) -> Tensor:
    """Take the temporal-difference error for the advantage: ``r + gamma Q(o', a', C') - Q(o, a, C)``.

    Source: arXiv 2106.09825, below equation 15. Its mean over what follows is zero for every action once the critic
    has converged, so that it tells little about which action is better; offered because the paper has it.

    Args:
        rewards: float32 ``[...]``.
        q: float32 ``[...]``, of the action taken.
        following: float32 ``[...]``, of the action taken next.
        gamma: discount.
    """
    assert rewards.shape == q.shape == following.shape, (rewards.shape, q.shape, following.shape)
    return rewards + gamma * following - q


def policy_loss(log_policy: Tensor, advantage: Tensor, weight: Tensor, entropy: float, floor: float = 0.0) -> Tensor:
    """Return the loss whose gradient is the expected policy gradient over all actions, with an entropy bonus.

    ``L = -sum_b w_b (sum_a pi(a | o_b) A_b(a) + entropy * H(pi(. | o_b)))``. Advantages carry no gradient. Taking all
    actions instead of the sampled one leaves the gradient's mean as it is and takes the sampling noise of the own
    action out: Asadi, Allen, Roderick, Mohamed, Konidaris & Littman, *Mean Actor Critic*, 2017 (arXiv 1709.00503).

    Args:
        log_policy: float32 ``[..., B, A]``.
        advantage: float32 ``[..., B, A]``.
        weight: float32, of each row, of a shape that broadcasts to ``[..., B]``.
        entropy: in units of reward.
        floor: where the best action already has all but this much probability, nothing is pushed further. A policy
            gradient is proportional to probabilities, so that an action driven to 1e-7 would not come back in time when
            others make it the better one. After the thresholds of Hennes et al., *Neural Replicator Dynamics*, 2020.

    Returns:
        float32 ``[...]``: one loss for each policy.
    """
    assert log_policy.shape == advantage.shape, (log_policy.shape, advantage.shape)
    policy = log_policy.exp()
    best = policy.gather(-1, advantage.argmax(-1, keepdim=True))
    advantage = advantage.where(best < 1 - floor, 0.0)
    gain = (policy * advantage.detach()).sum(-1) - entropy * (policy * log_policy).sum(-1)
    return -(weight * gain).sum(-1)


def sampled_policy_loss(log_policy: Tensor, actions: Tensor, advantage: Tensor, entropy: float) -> Tensor:
    """Return ``-mean_b (A_b log pi(a_b | o_b) + entropy * H(pi(. | o_b)))``, the likelihood-ratio policy gradient.

    Source: arXiv 2106.09825, equation 15 (average over trajectories of the score times the advantage).

    Args:
        log_policy: float32 ``[..., B, A]``.
        actions: int64 ``[..., B]``, as taken.
        advantage: float32 ``[..., B]``, of those actions; carries no gradient.
        entropy: in units of reward.

    Returns:
        float32 ``[...]``.
    """
    assert actions.shape == advantage.shape == log_policy.shape[:-1], (actions.shape, log_policy.shape)
    score = log_policy.gather(-1, actions[..., None])[..., 0]
    spread = -(log_policy.exp() * log_policy).sum(-1)
    return -(advantage.detach() * score + entropy * spread).mean(-1)


def table_values(
    values: Tensor, public: Tensor, rewards: Tensor, following: Tensor, gamma: float, rate: float, sweeps: int
) -> Tensor:
    """Move a table of values towards the averages of its one-step targets, several times over one batch.

    ``V(o) += rate * mean over the steps at o of (r + gamma V(o') - V(o))``: expected TD(0), without gradient. Source:
    Sutton & Barto, *Reinforcement Learning*, 2nd edition, section 6.3 (batch updating).

    Args:
        values: float32 ``[R, G, P]`` for G critics and P public observations.
        public: int64 ``[R, G, B]``: what was seen.
        rewards: float32 ``[R, G, B]``.
        following: int64 ``[R, G, B]``: what was seen next.
        gamma: discount.
        rate: 0 to 1.
        sweeps: times.

    Returns:
        The new table, ``[R, G, P]``.
    """
    seen = torch.nn.functional.one_hot(public, values.shape[-1]).to(values.dtype)  # [R, G, B, P]
    share = seen / seen.sum(2, keepdim=True).clamp(min=1.0)
    for _ in range(sweeps):
        errors = centred_target(values, public, rewards, following, gamma)
        values = values + rate * (errors[..., None] * share).sum(2)
    return values


def centred_target(values: Tensor, public: Tensor, rewards: Tensor, following: Tensor, gamma: float) -> Tensor:
    """Return ``r + gamma V(o') - V(o)`` ``[R, G, B]``: what a step earned beyond what is usual there.

    A critic regressed on it keeps to the scale of one reward. On the scale of whole returns its errors exceed what one
    agent among N can change, which is of order 1 / N. Arguments as for ``table_values``.
    """
    assert values.ndim == rewards.ndim == public.ndim == 3, (values.shape, rewards.shape, public.shape)
    return rewards + gamma * values.gather(2, following) - values.gather(2, public)


def huber_loss(estimates: Tensor, targets: Tensor) -> Tensor:
    """Return each critic's mean Huber loss (threshold 1) ``[R, G]`` over estimates and targets ``[R, G, B]``.

    Beyond an error of 1 it grows linearly, so that a rare -100 does not drown the differences of order 1 / N. Source:
    Huber, *Robust Estimation of a Location Parameter*, Annals of Mathematical Statistics 35, 1964.
    """
    assert estimates.shape == targets.shape, (estimates.shape, targets.shape)
    return torch.nn.functional.huber_loss(estimates, targets.detach(), reduction="none").mean(-1)
