"""What actions depend on: conditional mutual information along trajectories, against a permutation null.

Two questions about a policy, after Tessera et al., *Probing Dec-POMDP Reasoning in Cooperative MARL* (arXiv
2602.20804): how much does an agent's action tell about its past, given what it sees now, and how much about the others?
Estimates are plug-in ones on counts, in bits.

They are biased upwards, so that what permuting within strata of equal observations leaves of them is taken off; how
often chance alone does as well is the p-value.

That an action depends on the past does not mean that the past is needed: that is asked by returns (``diagnosis``).
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.episodes.rollout import Episodes
from benchmark.tasks.streams import bits, uniform

PERMUTATIONS = 199
# The interval comes from leaving out one of so many groups of episodes at a time.
GROUPS = 20
_FEWER = 10  # permutations for each of these


class Probe(NamedTuple):
    """How much one thing tells about another one; bits for each action."""

    information: float  # plug-in estimate less its mean under the null
    low: float
    high: float  # 95 % interval, by the jackknife over episodes
    p_value: float  # share of permutations that reach the plug-in estimate, itself counted


class Samples(NamedTuple):
    """Every action of every agent in some episodes; int64 ``[S]`` codes, equal where the things are."""

    episode: Tensor
    action: Tensor
    observation: Tensor  # of one agent: different agents share no code
    context: Mapping[str, Tensor]  # by name: what the action may depend on besides


def codes(*columns: Tensor) -> Tensor:
    """Number the different rows of some columns.

    Args:
        columns: each ``[S]`` or ``[S, D]``, of any type.

    Returns:
        int64 ``[S]``, from 0.
    """
    rows = torch.cat(
        [column.flatten(1).double() if column.ndim > 1 else column[:, None].double() for column in columns], 1
    )
    return torch.unique(rows, dim=0, return_inverse=True)[1]


def entropy(x: Tensor) -> float:
    """Return the plug-in entropy of int64 codes ``[S]``, in bits."""
    share = torch.bincount(x).to(torch.float64) / len(x)
    return float(-(share[share > 0] * share[share > 0].log2()).sum())


def conditional_entropy(x: Tensor, given: Tensor) -> float:
    """Return the plug-in ``H(X | Z)`` of codes ``[S]``, in bits."""
    return entropy(codes(x, given)) - entropy(given)


def conditional_information(x: Tensor, y: Tensor, given: Tensor) -> float:
    """Return the plug-in ``I(X; Y | Z)`` of codes ``[S]``, in bits."""
    return conditional_entropy(x, given) - conditional_entropy(x, codes(y, given))


def permuted(values: Tensor, strata: Tensor, draws: Tensor) -> Tensor:
    """Permute values among the samples of each stratum.

    Args:
        values: int64 ``[S]``.
        strata: int64 ``[S]``.
        draws: float ``[S]`` in ``[0, 1)``: they decide the order.
    """
    shuffled = (strata + draws.double()).argsort()
    result = torch.empty_like(values)
    result[strata.argsort(stable=True)] = values[shuffled]
    return result


def null(x: Tensor, y: Tensor, given: Tensor, key: Tensor, permutations: int) -> Tensor:
    """Return the plug-in ``I(X; Y | Z)`` after permuting X within strata of Z, float64 ``[permutations]``.

    Args:
        x: int64 ``[S]`` codes, like the other two.
        y: see ``x``.
        given: see ``x``.
        key: int64 ``[1]`` to draw from.
        permutations: how many.
    """
    stratum, kinds = codes(y, given), int(x.max()) + 1
    # Only the joint counts change: permuting moves no sample to another stratum.
    known = conditional_entropy(x, given) + entropy(stratum)
    found = []
    for number in range(permutations):
        moved = permuted(x, given, uniform(bits(key, number, "permutation", len(x)))[0])
        found.append(known - entropy(stratum * kinds + moved))
    return torch.tensor(found, dtype=torch.float64)


def probe(x: Tensor, y: Tensor, given: Tensor, episode: Tensor, key: Tensor, permutations: int = PERMUTATIONS) -> Probe:
    """Estimate ``I(X; Y | Z)`` with interval and p-value.

    Args:
        x: int64 ``[S]`` codes: what is permuted.
        y: int64 ``[S]`` codes.
        given: int64 ``[S]`` codes: the strata.
        episode: int64 ``[S]``: which episode each sample is of. Whole ones are left out for the interval.
        key: int64 ``[1]`` to draw from.
        permutations: how many make the null.
    """
    x, y, given = codes(x), codes(y), codes(given)
    if conditional_entropy(x, given) < 1e-9:  # nothing is left that anything could tell
        return Probe(0.0, 0.0, 0.0, 1.0)
    plain, chance = conditional_information(x, y, given), null(x, y, given, key, permutations)
    information = plain - float(chance.mean())
    group, parts = codes(episode) % GROUPS, []
    for number in range(min(GROUPS, int(group.max()) + 1)):
        kept = group != number
        if bool(kept.any()):
            some, other, strata = (codes(column[kept]) for column in (x, y, given))
            by_chance = float(null(some, other, strata, key, _FEWER).mean())
            parts.append(conditional_information(some, other, strata) - by_chance)
    spread = torch.tensor(parts, dtype=torch.float64)
    error = float(((spread - spread.mean()).square().sum() * (len(parts) - 1) / max(1, len(parts))).sqrt())
    reached = int((chance >= plain - 1e-9).sum())
    return Probe(
        information, information - 1.96 * error, information + 1.96 * error, (1 + reached) / (1 + permutations)
    )


def samples(episodes: Episodes) -> Samples:
    """Take episodes apart into actions and what they may depend on.

    Of the past: the time, the agent's previous action, its previous observation. Of the others: what the next agent
    (in the order of agents, the first after the last) does and sees at the same time.
    """
    played = episodes.mask[..., None].expand_as(episodes.actions)
    batch, horizon, agents = played.shape
    shape = torch.meshgrid(torch.arange(batch), torch.arange(horizon), torch.arange(agents), indexing="ij")
    episode, step, agent = (index[played] for index in shape)
    seen = torch.zeros_like(episodes.actions)
    seen[played] = codes(agent, episodes.observations[:, :-1][played])
    first = torch.full_like(seen[:, :1], -1)
    context = {
        "time": step,
        "previous action": torch.cat((first, episodes.actions[:, :-1]), 1)[played],
        "previous observation": torch.cat((first, seen[:, :-1]), 1)[played],
        "another's action": episodes.actions.roll(-1, 2)[played],
        "another's observation": seen.roll(-1, 2)[played],
    }
    return Samples(episode, episodes.actions[played], seen[played], context)
