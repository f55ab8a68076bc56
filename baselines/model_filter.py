"""Belief filters: what an agent believes about how the other agents act, from anonymous noisy counts of their actions.

*Of models of each other agent* (``factored_update``, ``equal_update``): Eq. 14 of arXiv 2106.09825, exact. Beliefs are
factored, so that agents whose models are uncertain are predicted as if each drew its own afresh: a multinomial.

*Of models of the population* (``PopulationFilter``): reports are anonymous, so all that they can tell is about the
others together. A model of the population is a mean policy, anywhere on the simplex (a group majority too), and how far
the single agents' policies are from it: from all alike, whose configurations spread like a multinomial, to fixed roles,
whose configuration is always the same. One belief for each public observation. It takes this second part to see that a
team of specialists keeps a majority of one as surely as a majority of ten.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from baselines.configuration import distribution, leave_one_out, probability
from benchmark.tasks.streams import bits, uniform

# Shares of the multinomial's spread that a population can have, from fixed roles to all alike.
SPREADS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
_SWEEPS = 50
# Added to the reports of every action, for means that are defined before anything is heard.
_PSEUDO_COUNT = 1e-3
# Variance of rounding to whole numbers (Sheppard's correction).
_ROUNDING = 1 / 12
# Normal draws end at 5.3 standard deviations; beyond the resolution of uniform ones they would be infinite.
_LOWEST = 2.0**-23 - 1


def factored_update(beliefs: Tensor, models: Tensor, noise: Tensor, reports: Tensor) -> Tensor:
    """Update the beliefs over each other agent's model after one anonymous count of noisy reports.

    ``b'(m_j) ~ b(m_j) sum_a pi_m(a) P(w | a_j = a)``, where ``P(w | a_j) = sum_y W(y | a_j) D_{-j}(w - e_y)`` and
    ``D_{-j}`` is the distribution of the counts of the reports about all others but j. Source: arXiv 2106.09825,
    equation 14, with the configuration's probability conditioned on j's action (without that an update would say
    nothing). Models do not depend on history here, so that its two Kronecker deltas are ones. ``O(n^A log n)``.

    Args:
        beliefs: ``[..., n, M]``, over M models of each of n others.
        models: ``[M, A]``, their probabilities of actions.
        noise: ``[A, A]``: the probability that an action (row) is reported as another (column).
        reports: int64 ``[..., A]``: how often each action was reported; n in all.

    Returns:
        float64 ``[..., n, M]``.
    """
    beliefs, models, noise = (values.to(torch.float64) for values in (beliefs, models, noise))
    said = models @ noise  # [M, A]: how each model is reported
    rest = leave_one_out(beliefs @ said)
    likelihood = torch.zeros_like(beliefs)
    for action in range(noise.shape[1]):
        left = reports.clone()
        left[..., action] -= 1
        possible = left[..., action, None] >= 0
        each = left.where(possible, 0)[..., None, :].expand(*beliefs.shape[:-1], -1)
        mass = probability(rest, each).where(possible, 0.0)
        likelihood += mass[..., None] * said[:, action]
    posterior = beliefs * likelihood
    return posterior / posterior.sum(-1, keepdim=True)


def equal_update(belief: Tensor, models: Tensor, noise: Tensor, reports: Tensor) -> Tensor:
    """Do ``factored_update`` for beliefs that are the same about everybody: then it has a closed form.

    ``b'(m) ~ b(m) sum_y (w_y / n) q_m(y) / q_b(y)``, with ``q_m`` the model's reports and ``q_b`` their mean under b.
    Anonymous reports leave equal beliefs equal, so one update serves all others. It is one step of
    expectation-maximisation for the mixture of models.

    Args:
        belief: ``[..., M]``.
        models: ``[M, A]``.
        noise: ``[A, A]``, see ``factored_update``.
        reports: ``[..., A]``, not all zero; in any unit.
    """
    said = (models @ noise).to(belief.dtype)
    expected = belief @ said
    posterior = belief * ((reports / expected) @ said.T)
    return posterior / posterior.sum(-1, keepdim=True)


def mean_policy(reports: Tensor, noise: Tensor) -> Tensor:
    """Return the mean policy that makes summed reports most likely, ``[..., A]``.

    The fixed point of ``equal_update`` with one model for each action, from the uniform belief: the maximum-likelihood
    estimate on the whole simplex.

    Args:
        reports: summed over any number of steps at which the same policies acted, ``[..., A]``.
        noise: ``[A, A]``.
    """
    belief = torch.full_like(reports, 1 / reports.shape[-1])
    pure = torch.eye(reports.shape[-1], device=reports.device)
    for _ in range(_SWEEPS):
        belief = equal_update(belief, pure, noise, reports + _PSEUDO_COUNT)
    return belief


def covariance(policy: Tensor) -> Tensor:
    """Return the covariance of one draw in its first two coordinates: ``[..., A]`` to ``[..., 3]`` (11, 12, 22)."""
    first, second = policy[..., 0], policy[..., 1]
    return torch.stack((first * (1 - first), -first * second, second * (1 - second)), -1)


def spread_log_likelihood(policy: Tensor, agents: Tensor, noise: Tensor, scatter: Tensor, freedom: Tensor) -> Tensor:
    """Return the log-likelihood of each spread in ``SPREADS``, ``[..., K]``, up to a constant.

    n others with policies ``p_j`` are reported with covariance ``n (cov(q) - (1 - s) W' cov(p) W)``: what noise W makes
    of everybody's mean policy p, less the share 1 - s that lies between the agents instead of within them. Reports of
    many agents are taken to be normal; the scatter about their own mean is then Wishart (Anderson, *An Introduction to
    Multivariate Statistical Analysis*, section 7.2). Where nothing spreads them in some direction, as with fixed roles
    and no noise, that counts are whole does.

    Args:
        policy: the mean policy p, ``[..., 3]``.
        agents: n, of a shape that broadcasts to ``[...]``.
        noise: ``[3, 3]``.
        scatter: sums of squared and mixed deviations of the reports of the first two actions, ``[..., 3]``.
        freedom: degrees of freedom of the scatter (steps less one for each mean), broadcasts to ``[...]``.
    """
    whole = covariance(policy @ noise)
    change = noise[:2, :2] - noise[2, :2]  # how the first two coordinates of a policy move those of its reports
    between = covariance(policy)
    matrix = torch.stack((between[..., 0], between[..., 1], between[..., 1], between[..., 2]), -1).unflatten(-1, (2, 2))
    moved = (change.T @ matrix @ change).flatten(-2)[..., [0, 1, 3]]
    spread = torch.tensor(SPREADS, device=policy.device)[:, None]
    expected = agents[..., None, None] * (whole[..., None, :] - (1 - spread) * moved[..., None, :])
    a, b, c = expected.unbind(-1)
    rounded = _ROUNDING * (a * c - b * b < _ROUNDING**2)
    a, c = a + rounded, c + rounded
    determinant = a * c - b * b
    u, v, w = scatter[..., None, :].unbind(-1)
    distance = (c * u - 2 * b * v + a * w) / determinant
    return -0.5 * (freedom[..., None] * determinant.log() + distance)


class Prediction(NamedTuple):
    """What each agent expects of its n others at each public observation."""

    policy: Tensor  # float32 [R, N, P, A]: their mean policy
    spread: Tensor  # float32 [R, N, P, K]: probabilities of SPREADS
    agents: Tensor  # int64 [N]: how many others

    @property
    def mean(self) -> Tensor:
        """The expected configuration, float32 ``[R, N, P, A]``."""
        return self.policy * self.agents[:, None, None]

    def sample(self, run_keys: Tensor, step: int, count: int) -> Tensor:
        """Draw M = ``count`` configurations each, float32 ``[R, N, P, M, A]`` of whole numbers that sum to n.

        Normal with the predicted mean and covariance, rounded: exact in the limits of many agents and of fixed roles.
        """
        runs, agents, publics, actions = self.policy.shape
        draws = uniform(bits(run_keys, step, "prediction", agents * publics * count * (actions + 1)))
        draws = draws.view(runs, agents, publics, count, actions + 1)
        passed = (draws[..., :1] >= self.spread.cumsum(-1)[..., None, :-1]).sum(-1, keepdim=True)
        spread = torch.tensor(SPREADS, device=draws.device)[passed]
        normal = torch.erfinv((2 * draws[..., 1:] - 1).clamp(_LOWEST, -_LOWEST)) * 2**0.5
        size = self.agents[:, None, None, None]
        share = self.policy[..., None, :]
        around = (spread * size * share).sqrt() * normal
        drawn = (size * share + around - share * around.sum(-1, keepdim=True)).round().clamp(min=0.0)
        first = torch.minimum(drawn[..., 0], size[..., 0])
        last = torch.minimum(drawn[..., 2], size[..., 0] - first)
        return torch.stack((first, size[..., 0] - first - last, last), -1)

    def log_likelihood(self, configurations: Tensor, agent: int) -> Tensor:
        """Return the log-probability that one agent's prediction gave to configurations of its others.

        The others are taken for fixed roles of which each, with probability e, acts by the mean policy instead, with
        ``1 - (1 - e)^2`` equal to the spread: an exact distribution (Algorithm 1) with the predicted covariance.

        Args:
            configurations: int64 ``[R, P, B, A]``.
            agent: whose prediction.
        """
        size = int(self.agents[agent])
        policy = self.policy[:, agent].to(torch.float64)
        roles = _roles(policy * size)  # [R, P, n]
        pure = torch.nn.functional.one_hot(roles, policy.shape[-1]).to(torch.float64)
        total = 0.0
        for index, spread in enumerate(SPREADS):
            mixed = 1 - (1 - spread) ** 0.5
            grid = distribution((1 - mixed) * pure + mixed * policy[..., None, :])
            grids = grid[:, :, None].expand(*configurations.shape[:-1], *grid.shape[2:])
            total = total + self.spread[:, agent, :, index, None] * probability(grids, configurations)
        return torch.as_tensor(total).clamp(min=1e-12).log()


def _roles(expected: Tensor) -> Tensor:
    """Return the roles int64 ``[..., n]`` of n agents whose expected configuration is ``[..., A]``, rounded."""
    ends = expected.cumsum(-1)
    size = round(float(ends[..., -1].flatten()[0]))
    place = torch.arange(size, dtype=expected.dtype, device=expected.device) + 0.5
    return (place[:, None] >= ends[..., None, :-1]).sum(-1)


class PopulationFilter:
    """Each agent's belief over models of the population of its others, one for each public observation.

    Reports of one batch are made by the same policies. From batch to batch policies change, the less the longer they
    have been learning, so that older reports count less: after E more episodes by the factor ``m / (m + E)``, where m
    is a fixed share of the episodes heard so far. The belief starts from the uniform policy and is carried over from
    episode to episode. Its statistics are sufficient: sums of reports, and their scatter about each batch's own mean,
    which a drift of the mean does not touch.

    Args:
        shape: R, N, P.
        agents: int64 ``[N]``: how many others each agent hears about, n.
        noise: ``[3, 3]``, see ``factored_update``.
        memory: of the mean policy, as a share of the episodes heard so far.
        spread_memory: of the spread, likewise.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        agents: Tensor,
        noise: Tensor,
        memory: float,
        spread_memory: float,
    ) -> None:
        self.agents, self.noise = agents, noise.to(torch.float32)
        self.memory, self.spread_memory = memory, spread_memory
        device = agents.device
        self.heard = 0  # episodes
        self.reports = torch.zeros(*shape, 3, device=device)
        self.scatter = torch.zeros(*shape, 3, device=device)
        self.freedom = torch.zeros(shape[0], 1, shape[2], device=device)

    def observe(self, public: Tensor, reports: Tensor, episodes: int) -> None:
        """Hear the reports of one batch.

        Args:
            public: int64 ``[R, B]``: the public observation at which the reported actions were chosen.
            reports: float32 ``[R, B, N, 3]``: counts.
            episodes: of the batch, for forgetting.
        """
        seen = torch.nn.functional.one_hot(public, self.reports.shape[2]).to(torch.float32)  # [R, B, P]
        steps = seen.sum(1)[:, None]  # [R, 1, P]
        heard = torch.einsum("rbna,rbp->rnpa", reports, seen)
        mean = heard / steps.clamp(min=1.0)[..., None]
        around = reports - torch.einsum("rnpa,rbp->rbna", mean, seen)
        first, second = around[..., 0], around[..., 1]
        products = torch.stack((first * first, first * second, second * second), -1)
        kept, kept_spread = (
            share * self.heard / (share * self.heard + episodes) for share in (self.memory, self.spread_memory)
        )
        self.heard += episodes
        self.reports = kept * self.reports + heard
        self.scatter = kept_spread * self.scatter + torch.einsum("rbna,rbp->rnpa", products, seen)
        self.freedom = kept_spread * self.freedom + (steps - 1.0).clamp(min=0.0)

    def predict(self, settled: float) -> Prediction:
        """Return what is expected of the others now.

        Args:
            settled: prior probability of fixed roles; the other spreads share the rest.
        """
        policy = mean_policy(self.reports, self.noise)
        likelihood = spread_log_likelihood(policy, self.agents[:, None], self.noise, self.scatter, self.freedom)
        rest = len(SPREADS) - 1
        prior = torch.tensor([settled, *[(1 - settled) / rest] * rest], device=policy.device)
        return Prediction(policy, (likelihood + prior.log()).softmax(-1), self.agents)
