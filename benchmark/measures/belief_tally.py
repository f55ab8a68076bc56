"""The sums behind belief scores: one tally for each hidden variable, per run, history length and confidence."""

import math
from typing import Any

import torch
from torch import Tensor

from benchmark.tasks.task import HiddenVariable

# A belief that excludes the truth is charged as if it had given it this probability.
SMALLEST_PROBABILITY = 1e-6
# Bins of confidence, of equal width, for the reliability curve.
CONFIDENCES = 10
# How long a history is: up to 1/16 of the horizon, to 1/8, to 1/4, to 1/2, to all of it.
_SHARES = (1, 2, 4, 8, 16)

# What is summed. Where a thing is gone it is nowhere: "located" counts the truths that are on the board.
_COUNT, _CORRECT, _NLL, _LOCATED, _SQUARED, _DISTANCE = range(6)


def history_edges(horizon: int) -> list[int]:
    """Return where the bins of history length begin, and the horizon: ``edges[k] <= actions taken < edges[k + 1]``."""
    return sorted({0, *(max(1, horizon * share // _SHARES[-1]) for share in _SHARES)})


class Tally:
    """Running sums over steps of R runs, about one hidden variable.

    Distances are Euclidean, in cells; on hexagons in the plane, where neighbours are one cell apart.
    """

    def __init__(self, variable: HiddenVariable, runs: int, edges: list[int], device: torch.device | str) -> None:
        self.runs, self.edges = runs, edges
        self.points, self.on_board = places(variable, device)
        lengths = len(edges) - 1
        self.sums = torch.zeros(6, runs, lengths, dtype=torch.float64, device=device)
        # Counts, confidences and correct ones among them.
        self.bins = torch.zeros(3, runs, lengths, CONFIDENCES, dtype=torch.float64, device=device)

    def add(self, belief: Tensor, truth: Tensor, running: Tensor, step: int) -> None:
        """Add one step: belief log-probabilities ``[R*B, N, V]``, truth int64 ``[R*B]``, running bool ``[R*B]``."""
        length = sum(step >= edge for edge in self.edges[1:-1])
        truths = truth[:, None].expand(-1, belief.shape[1])
        counted = running[:, None].expand_as(truths)
        likelihood = belief.gather(-1, truths[..., None])[..., 0].double()
        best, chosen = belief.max(-1)
        correct = chosen == truths
        values = {
            _COUNT: torch.ones_like(likelihood),
            _CORRECT: correct.double(),
            _NLL: -likelihood.clamp(min=math.log(SMALLEST_PROBABILITY)),
        }
        if self.points is not None:
            values |= self._distances(belief, truths)
        for field, value in values.items():
            self.sums[field, :, length] += value.where(counted, 0.0).unflatten(0, (self.runs, -1)).sum((1, 2))
        self._calibrate(best.double().exp(), correct, counted, length)

    def _distances(self, belief: Tensor, truths: Tensor) -> dict[int, Tensor]:
        assert self.points is not None
        points = self.points[self.on_board]
        inside = belief if len(points) == belief.shape[-1] else belief[..., self.on_board]
        here = inside.exp()
        mass = here.sum(-1, keepdim=True)
        # What is believed about a thing's place is what is believed if it is still there; if it cannot be: nothing.
        mean = torch.where(mass > 1e-12, here @ points / mass, points.mean(0))
        mode = points[torch.where(mass[..., 0] > 1e-12, inside.argmax(-1), 0)]
        located = self.on_board[truths]
        off = (mean - self.points[truths]).double().square().sum(-1)
        distance = (mode - self.points[truths]).double().square().sum(-1).sqrt()
        return {
            _LOCATED: located.double(),
            _SQUARED: off.where(located, 0.0),
            _DISTANCE: distance.where(located, 0.0),
        }

    def _calibrate(self, confidence: Tensor, correct: Tensor, counted: Tensor, length: int) -> None:
        # One half lies in the bin that it begins, whatever its last digit.
        place = (confidence * CONFIDENCES + 1e-4).long().clamp(max=CONFIDENCES - 1)
        run = torch.arange(self.runs, device=place.device).repeat_interleave(len(place) // self.runs)[:, None]
        flat = (run * CONFIDENCES + place)[counted]
        for index, value in enumerate((torch.ones_like(confidence), confidence, correct.double())):
            added = torch.bincount(flat, value[counted], self.runs * CONFIDENCES)
            self.bins[index, :, length] += added.view(self.runs, CONFIDENCES)

    def scores(self, run: int, length: int | None = None) -> dict[str, float]:
        """Return one run's scores, at one history length or at all: NaN where nothing was counted.

        ``accuracy`` of the most likely value, ``nll`` in nats, ``ece``; for coordinates also ``error``, the root of the
        mean squared distance between the belief's mean and the truth, and ``mode_error``, the mean distance of the most
        likely value.
        """
        chosen = slice(None) if length is None else slice(length, length + 1)
        total = self.sums[:, run, chosen].sum(1)
        counts, confidence, correct = self.bins[:, run, chosen].sum(1)
        count, located = total[_COUNT], total[_LOCATED]
        found = {
            "accuracy": total[_CORRECT] / count,
            "nll": total[_NLL] / count,
            "ece": (confidence - correct).abs().sum() / counts.sum(),
        }
        if self.points is not None:
            found |= {"error": (total[_SQUARED] / located).sqrt(), "mode_error": total[_DISTANCE] / located}
        return {name: float(value) for name, value in found.items()}


def places(variable: HiddenVariable, device: torch.device | str = "cpu") -> tuple[Tensor | None, Tensor]:
    """Return where a variable's values lie in the plane, float32 ``[V, 2]`` in cells, and bool ``[V]`` which do.

    There are no points if the variable has no coordinates. Axial coordinates of hexagons are laid out flat.
    """
    if variable.kind != "coordinates":
        return None, torch.zeros(len(variable.values), dtype=torch.bool, device=device)
    points = torch.tensor(variable.values, dtype=torch.float32, device=device)
    there = (points != -1).any(-1) if not variable.hexagonal else torch.ones_like(points[:, 0], dtype=torch.bool)
    if variable.hexagonal:
        points = torch.stack((points[:, 0] - points[:, 1] / 2, points[:, 1] * 0.75**0.5), 1)
    return points, there


def reliability(tallies: list[Tally], run: int) -> dict[str, list[float | None]]:
    """Return the reliability curve of one run, tallies taken together: per bin, from confidence 0 to 1.

    ``share`` of all beliefs, mean ``confidence`` (probability of the most likely value), and ``accuracy``.
    """
    counts, confidence, correct = torch.stack([tally.bins[:, run].sum(1) for tally in tallies]).sum(0)
    return {
        "share": rounded((counts / counts.sum()).tolist()),
        "confidence": rounded((confidence / counts).tolist()),
        "accuracy": rounded((correct / counts).tolist()),
    }


def history(tallies: list[Tally], run: int) -> dict[str, list[Any]]:
    """Return one run's scores against history length, each the mean over tallies; null where nothing was counted."""
    edges = tallies[0].edges
    columns = [average([tally.scores(run, length) for tally in tallies]) for length in range(len(edges) - 1)]
    return {"steps": edges} | {name: [column[name] for column in columns] for name in columns[0]}


def average(scores: list[dict[str, float]]) -> dict[str, float | None]:
    """Return the mean of each score over those variables that have it; null where one of them counted nothing."""
    names = dict.fromkeys(name for entry in scores for name in entry)
    found = {name: [entry[name] for entry in scores if name in entry] for name in names}
    return dict(zip(found, rounded([sum(values) / len(values) for values in found.values()]), strict=True))


def rounded(values: list[float]) -> list[float | None]:
    """Round to five digits after the point; NaN becomes null."""
    return [None if math.isnan(value) else round(value, 5) for value in values]
