"""From densities to distributions over finitely many values, so that Gaussian and categorical beliefs compare.

The rule: a value's probability is the density at its point, divided by the sum of the densities at all values' points.
Scaling points, means and deviations alike changes nothing.
"""

import math

import torch
from torch import Tensor

from benchmark.tasks.task import HiddenVariable

# For a run's notes: how its density became the distribution that was scored.
RULE = "density of the {form} at the coordinates of every value, renormalised over the values"


def rule(form: str) -> str:
    """Return the rule in words, for a record's notes.

    Args:
        form: what the density is, for instance ``"diagonal Gaussian"`` or ``"mixture of 2 diagonal Gaussians"``.
    """
    return RULE.format(form=form)


def points(variable: HiddenVariable) -> Tensor:
    """Return the coordinates of a variable's values, float32 ``[V, D]``; labels are numbered 0, 1, ... (D = 1)."""
    if variable.kind == "coordinates":
        return torch.tensor(variable.values, dtype=torch.float32)
    return torch.arange(len(variable.values), dtype=torch.float32)[:, None]


def density_to_categorical(
    values: Tensor, mean: Tensor, log_variance: Tensor, log_weights: Tensor | None = None
) -> Tensor:
    """Turn a diagonal Gaussian, or a mixture of them, into log-probabilities over finitely many values.

    Args:
        values: ``[V, D]``, the values' points, in the units of ``mean``.
        mean: ``[..., D]``; of a mixture ``[..., C, D]``.
        log_variance: like ``mean``.
        log_weights: ``[..., C]`` of a mixture's components, normalised or not; None for a single Gaussian.

    Returns:
        ``[..., V]``, by this module's rule.

    Raises:
        ValueError: if the shapes do not fit.
    """
    if mean.shape != log_variance.shape:
        raise ValueError(f"log_variance: shape={tuple(log_variance.shape)} must be that of mean, {tuple(mean.shape)}")
    if values.ndim != 2 or values.shape[1] != mean.shape[-1]:
        raise ValueError(f"values: shape={tuple(values.shape)} must be (values, {mean.shape[-1]})")
    if log_weights is not None and log_weights.shape != mean.shape[:-1]:
        expected = tuple(mean.shape[:-1])
        raise ValueError(f"log_weights: shape={tuple(log_weights.shape)} must be that of the components, {expected}")
    log_density = torch.zeros(*mean.shape[:-1], len(values), dtype=mean.dtype, device=mean.device)  # [..., (C,) V]
    narrow = (-0.5 * log_variance).exp()
    # Axis by axis, with the values as the last axis: sums over two coordinates are slow.
    for place, centre, factor in zip(values.to(mean).unbind(1), mean.unbind(-1), narrow.unbind(-1), strict=True):
        log_density.add_((place - centre[..., None]).mul_(factor[..., None]).square_(), alpha=-0.5)
    if log_weights is not None:
        log_peak = -0.5 * (log_variance + math.log(2 * math.pi)).sum(-1)
        log_density = torch.logsumexp(log_density + (log_peak + log_weights)[..., None], -2)
    return log_density.log_softmax(-1)
