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
    values = values.to(mean)
    off = (values - mean[..., None, :]).square() / log_variance[..., None, :].exp()
    log_density = -0.5 * (off + log_variance[..., None, :] + math.log(2 * math.pi)).sum(-1)  # [..., (C,) V]
    if log_weights is not None:
        log_density = torch.logsumexp(log_density + log_weights[..., None], -2)
    return log_density.log_softmax(-1)
