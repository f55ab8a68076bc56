"""Configurations: how many agents choose each action, and how probable each configuration is.

Where rewards, transitions and observations do not change when agents swap their actions, a joint action of n agents
matters only through its configuration, the vector of A counts (Definitions 1 and 2 of *Many Agent Reinforcement
Learning Under Partial Observability*, arXiv 2106.09825). There are ``binom(n + A - 1, A - 1)`` of them instead of
``A ** n``: 5,050 for 99 agents and three actions.

A distribution over configurations is kept as a *grid* with ``A - 1`` axes of length ``n + 1``, indexed by the counts of
all actions but the last, whose count is what remains; entries whose counts exceed n are zero. So the distribution for
independent agents is the polynomial ``prod_k (p_k(1) x_1 + ... + p_k(A - 1) x_{A-1} + p_k(A))``, coefficient by
coefficient, and everything here is a product of polynomials. Float64 throughout; leading axes are batches.
"""

from functools import lru_cache

import torch
from torch import Tensor

# Above this many agents a product tree with Fourier transforms takes less time than Algorithm 1.
_MANY = 128
_LEAF = 32


def project(actions: Tensor, action_count: int) -> Tensor:
    """Return the configuration of a joint action: int64 ``[..., n]`` to int64 ``[..., A]`` (Definition 2)."""
    return torch.stack([(actions == action).sum(-1) for action in range(action_count)], -1)


def others(configuration: Tensor, actions: Tensor) -> Tensor:
    """Take each agent's own action out: ``[..., A]`` of all N and int64 ``[..., N]`` to ``[..., N, A]`` of N - 1."""
    own = torch.nn.functional.one_hot(actions, configuration.shape[-1]).to(configuration.dtype)
    return configuration[..., None, :] - own


def mean_action(configuration: Tensor) -> Tensor:
    """Return the share of each action, float32 ``[..., A]``; zero where nobody is counted.

    Source: Yang et al., *Mean Field Multi-Agent Reinforcement Learning*, ICML 2018, section 3.1.
    """
    return configuration.to(torch.float32) / configuration.sum(-1, keepdim=True).clamp(min=1)


@lru_cache(maxsize=16)
def configurations(agents: int, action_count: int, device: torch.device | str = "cpu") -> Tensor:
    """List all configurations of n agents in lexicographic order, int64 ``[C, A]``."""
    if action_count == 1:
        return torch.full((1, 1), agents, device=device)
    rest = [configurations(agents - first, action_count - 1, device) for first in range(agents + 1)]
    return torch.cat([torch.nn.functional.pad(rows, (1, 0), value=first) for first, rows in enumerate(rest)])


def rank(configuration: Tensor) -> Tensor:
    """Return the place of each configuration ``[..., A]`` in the list of ``configurations``, int64 ``[...]``."""
    left, place = configuration.sum(-1), torch.zeros_like(configuration[..., 0])
    for action in range(configuration.shape[-1] - 1):
        parts = configuration.shape[-1] - 1 - action
        place = place + _binomial(left + parts, parts)
        left = left - configuration[..., action]
        place = place - _binomial(left + parts, parts)
    return place


def _binomial(top: Tensor, bottom: int) -> Tensor:
    result = torch.ones_like(top)
    for factor in range(1, bottom + 1):
        result = result * (top - bottom + factor) // factor
    return result


def listed(grid: Tensor, action_count: int) -> Tensor:
    """Return a grid's probabilities in the order of ``configurations``, ``[..., C]``."""
    counts = configurations(grid.shape[-1] - 1, action_count, grid.device)
    return grid[(..., *counts[:, :-1].unbind(1))]


def probability(grid: Tensor, configuration: Tensor) -> Tensor:
    """Look up the probability of one configuration ``[..., A]`` for each grid of a batch ``[..., n + 1, ...]``."""
    axes = configuration.shape[-1] - 1
    place = torch.zeros_like(configuration[..., 0])
    for action in range(axes):
        place = place * grid.shape[-1] + configuration[..., action]
    return grid.flatten(-axes).gather(-1, place[..., None])[..., 0]


def distribution(beliefs: Tensor) -> Tensor:
    """Return the distribution of the configuration of independent agents, by the faster of two exact ways.

    Args:
        beliefs: ``[..., n, A]``: each agent's probabilities of its actions.

    Returns:
        The grid, float64 ``[..., n + 1, ...]`` with ``A - 1`` axes.
    """
    return distribution_by_steps(beliefs) if beliefs.shape[-2] <= _MANY else distribution_by_halves(beliefs)


def distribution_by_steps(beliefs: Tensor) -> Tensor:
    """Add agents one by one: ``P_0(0) = 1``, ``P_k(C) = sum_a p_k(a) P_{k-1}(C - e_a)``; return ``P_n``.

    Time ``O(A n^A)``, memory ``O(n^{A-1})``. Source: Algorithm 1 of arXiv 2106.09825, after Jiang, Leyton-Brown & Bhat,
    *Action-Graph Games*, Games and Economic Behavior 71, 2011. All terms are positive, so that even the least
    probability has its leading digits right.
    """
    beliefs = beliefs.to(torch.float64)
    agents, axes = beliefs.shape[-2], beliefs.shape[-1] - 1
    grid = beliefs.new_ones(*beliefs.shape[:-2], *(1,) * axes)
    for belief in beliefs.unbind(-2):
        grid = add_agent(grid, belief)
    assert grid.shape[-1] == agents + 1
    return grid


def add_agent(grid: Tensor, belief: Tensor) -> Tensor:
    """Return the grid with one more independent agent, whose probabilities are ``belief [..., A]``."""
    axes = belief.shape[-1] - 1
    weights = belief[(..., *(None,) * axes, slice(None))].unbind(-1)
    wider = torch.nn.functional.pad(grid * weights[-1], (0, 1) * axes)
    for axis, weight in enumerate(weights[:-1]):
        # The entries where everybody counted before: all of the wider grid but its last in each axis.
        inner = [slice(0, -1)] * axes
        inner[axis] = slice(1, None)
        wider[(..., *inner)] += grid * weight
    return wider


def distribution_by_halves(beliefs: Tensor) -> Tensor:
    """Multiply the agents' polynomials in a balanced tree, products by fast Fourier transform.

    Time ``O(n^{A-1} log n)``, memory ``O(n^{A-1})``: no more than the result's own size but for the logarithm. The
    error is that of rounding relative to the largest probability, so that probabilities below about 1e-17 are noise,
    clipped at zero.
    """
    beliefs = beliefs.to(torch.float64)
    agents, axes = beliefs.shape[-2], beliefs.shape[-1] - 1
    leaves = 1
    while agents > leaves * _LEAF:
        leaves *= 2
    size = -(-agents // leaves)
    # Whoever takes the last action for certain leaves the grid as it is: such agents fill up the leaves.
    idle = beliefs.new_zeros(*beliefs.shape[:-2], leaves * size - agents, axes + 1)
    idle[..., -1] = 1.0
    grids = distribution_by_steps(torch.cat((beliefs, idle), -2).unflatten(-2, (leaves, size)))
    where = tuple(range(-axes, 0))
    while leaves > 1:
        leaves, size = leaves // 2, 2 * size
        pairs = grids.unflatten(-axes - 1, (leaves, 2))
        first, second = torch.fft.rfftn(pairs, (_smooth(size + 1),) * axes, where).unbind(-axes - 1)
        product = torch.fft.irfftn(first.mul_(second), (_smooth(size + 1),) * axes, where)
        grids = product[(..., *(slice(0, size + 1),) * axes)].clamp(min=0.0)
    return grids[(..., 0, *(slice(0, agents + 1),) * axes)]


def _smooth(length: int) -> int:
    """Return the least number from ``length`` on without prime factors above 5, quick to transform."""
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 1


def multinomial(agents: int, belief: Tensor) -> Tensor:
    """Return the grid for n agents that share one belief ``[..., A]``: the closed form, in ``O(n^{A-1})``."""
    belief = belief.to(torch.float64)
    axes = belief.shape[-1] - 1
    count = torch.arange(agents + 1, dtype=torch.float64, device=belief.device)
    total = torch.full((), agents + 1.0, dtype=torch.float64, device=belief.device).lgamma()
    logarithm, left = total, torch.full((), float(agents), dtype=torch.float64, device=belief.device)
    for axis in range(axes):
        along = count.view(*(1,) * axis, -1, *(1,) * (axes - 1 - axis))
        weight = belief[(..., axis, *(None,) * axes)]
        # xlogy is zero where both the count and the probability are.
        logarithm = logarithm + torch.xlogy(along, weight) - (along + 1).lgamma()
        left = left - along
    possible = left >= 0
    left = left.clamp(min=0.0)
    logarithm = logarithm + torch.xlogy(left, belief[(..., -1, *(None,) * axes)]) - (left + 1).lgamma()
    return logarithm.exp().where(possible, 0.0)


def leave_one_out(beliefs: Tensor) -> Tensor:
    """Return, for every agent, the distribution of the configuration of all the others.

    Each half of the agents is multiplied onto the other's result, and so on down: ``O(n^A log n)``, no division.

    Args:
        beliefs: ``[..., n, A]``.

    Returns:
        Grids of n - 1 agents, float64 ``[..., n, n, ...]``: the first n is whose leaving out, then ``A - 1`` axes.
    """
    beliefs = beliefs.to(torch.float64)
    nobody = beliefs.new_ones(*beliefs.shape[:-2], *(1,) * (beliefs.shape[-1] - 1))
    return torch.stack(_without_each(beliefs, nobody), -beliefs.shape[-1])


def _without_each(beliefs: Tensor, outside: Tensor) -> list[Tensor]:
    agents = beliefs.shape[-2]
    if agents == 1:
        return [outside]
    first, second = beliefs[..., : agents // 2, :], beliefs[..., agents // 2 :, :]
    result: list[Tensor] = []
    for inside, left_out in ((first, second), (second, first)):
        grid = outside
        for belief in left_out.unbind(-2):
            grid = add_agent(grid, belief)
        result += _without_each(inside, grid)
    return result
