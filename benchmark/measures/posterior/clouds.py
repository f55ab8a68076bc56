"""Clouds: the particles of several filters laid end to end, and how they are selected, replaced and pooled."""

from typing import NamedTuple

import torch
from torch import Tensor


class Cloud(NamedTuple):
    """Q filters of P particles, M = Q * P."""

    place: Tensor  # int32 [M, N, 2]: where each agent is
    low: Tensor  # int32 [M, N, 2]: the least coordinates of its path
    high: Tensor  # int32 [M, N, 2]: the largest
    maps: Tensor  # int32 [M, N, 3, W + 2]: the cells each agent has seen, FOUND a resource on, and seen it GONE
    paths: Tensor  # int8 [T, N, 2, M]: all places so far
    log_count: Tensor  # float32 [M]: logarithm of the number of ways in which the unseen resources may lie
    log_weight: Tensor  # float32 [Q, P]


def take(cloud: Cloud, rows: Tensor, minds: int) -> Cloud:
    """Select particles int64 ``[minds * P]``; they weigh alike."""
    weight = cloud.log_weight.new_zeros(minds, len(rows) // minds)
    rest = (cloud.place[rows], cloud.low[rows], cloud.high[rows], cloud.maps[rows])
    return Cloud(*rest, cloud.paths[..., rows], cloud.log_count[rows], weight)


def systematic(weights: Tensor, offset: Tensor, size: int) -> Tensor:
    """Resample ``size`` of the last axis: indices int64 ``[Q, size]`` for weights float64 ``[Q, P]``.

    Args:
        weights: not normalised.
        offset: ``[Q]`` in [0, 1).
        size: how many.
    """
    total = weights.cumsum(-1)
    marks = (torch.arange(size, device=weights.device) + offset[:, None].double()) / size * total[:, -1:]
    return torch.searchsorted(total, marks, right=True).clamp(max=weights.shape[1] - 1)


def effective(log_weight: Tensor) -> Tensor:
    """Return how many particles that weigh alike would be worth as much, ``[Q, P] -> [Q]``; 0 if none is left."""
    weights = (log_weight - log_weight.amax(1, keepdim=True)).exp().nan_to_num(0.0)
    return weights.sum(1) ** 2 / (weights**2).sum(1).clamp(min=1e-12)


def _lanes(minds: Tensor, particles: int) -> Tensor:
    return (minds[:, None] * particles + torch.arange(particles, device=minds.device)).flatten()


def minds_of(cloud: Cloud, minds: Tensor) -> Cloud:
    """Select filters, int64."""
    chosen = take(cloud, _lanes(minds, cloud.log_weight.shape[1]), len(minds))
    return chosen._replace(log_weight=cloud.log_weight[minds])


def put(cloud: Cloud, by: Cloud, minds: Tensor) -> None:
    """Put other filters in the place of some, in place."""
    rows = _lanes(minds, cloud.log_weight.shape[1])
    for entry, new in zip((*cloud[:4], cloud.log_count), (*by[:4], by.log_count), strict=True):
        entry.index_copy_(0, rows, new)
    cloud.paths.index_copy_(-1, rows, by.paths)
    cloud.log_weight.index_copy_(0, minds, by.log_weight)


def pooled(clouds: list[Cloud]) -> Cloud:
    """Lay the particles of several clouds of the same Q filters end to end."""
    minds = len(clouds[0].log_weight)
    log_weight = torch.cat([cloud.log_weight for cloud in clouds], 1)

    def joined(entries: list[Tensor]) -> Tensor:
        parts = [entry.unflatten(0, (minds, -1)) for entry in entries]
        return torch.cat(parts, 1).flatten(0, 1)

    paths = torch.cat([cloud.paths.unflatten(-1, (minds, -1)) for cloud in clouds], -1).flatten(-2)
    return Cloud(
        joined([cloud.place for cloud in clouds]),
        joined([cloud.low for cloud in clouds]),
        joined([cloud.high for cloud in clouds]),
        joined([cloud.maps for cloud in clouds]),
        paths,
        joined([cloud.log_count for cloud in clouds]),
        log_weight,
    )
