"""Hidden variables for networks: as inputs, as what a network's outputs say about them, and as a belief vector.

A *head* reads the outputs of a decoder. ``GaussianHead`` is the paper's: coordinates are normal and independent.
``CategoricalHead`` gives every value its probability. Categorical variables, and whether a thing is still there, are
categorical in both. Leading axes are any.
"""

import torch
from torch import Tensor
from torch.nn.functional import softplus

from baselines.losses import gaussian_nll
from benchmark.measures.density import density_to_categorical
from benchmark.tasks.task import HiddenVariable, one_hot

GONE = (-1, -1)


class Coordinates:
    """A variable whose values are places, in units of ``scale``; the last value may be "no longer there"."""

    def __init__(self, variable: HiddenVariable, scale: float, device: torch.device) -> None:
        self.gone = variable.values[-1] == GONE
        places = torch.tensor(variable.values, dtype=torch.float32, device=device) / scale
        self.places = places[:-1] if self.gone else places  # [V, 2], V without "no longer there"

    def locate(self, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Turn indices int64 ``[...]`` into places ``[..., 2]``, any where gone, and whether gone, bool ``[...]``."""
        last = len(self.places) - 1
        return self.places[truth.clamp(max=last)], truth > last


class Hidden:
    """The H hidden variables of a task in numbers.

    Coordinates are divided by the largest coordinate that any of them can take. The belief vector holds the means of
    all coordinates, then their standard deviations, then the probabilities that things are gone, then those of the
    categorical variables' values except the first. Where a thing can be gone, mean and standard deviation are those
    given that it is not.

    Args:
        variables: ``task.hidden_variables``.
        device: where the tables live.
    """

    def __init__(self, variables: tuple[HiddenVariable, ...], device: torch.device | str = "cpu") -> None:
        self.variables = variables
        places = [v for v in variables if v.kind == "coordinates"]
        self.scale = float(max((abs(c) for v in places for value in v.values for c in value), default=1))
        device = torch.device(device)
        self.coordinates = {i: Coordinates(v, self.scale, device) for i, v in enumerate(variables) if v in places}
        self.dimensions = 2 * len(self.coordinates)
        self.gone = [i for i, entry in self.coordinates.items() if entry.gone]
        self.categorical = {i: len(v.values) for i, v in enumerate(variables) if i not in self.coordinates}
        self.features = 2 * self.dimensions + len(self.gone) + sum(size - 1 for size in self.categorical.values())
        self.inputs = self.dimensions + len(self.gone) + sum(self.categorical.values())

    def encode(self, truth: Tensor) -> Tensor:
        """Return u as a network's input, float32 ``[..., U]``, from indices int64 ``[..., H]``; gone is at 0."""
        located = [entry.locate(truth[..., i]) for i, entry in self.coordinates.items()]
        parts = [place * ~gone[..., None] for place, gone in located]
        parts += [located[list(self.coordinates).index(i)][1][..., None].float() for i in self.gone]
        parts += [one_hot(truth[..., i], size) for i, size in self.categorical.items()]
        return torch.cat(parts, -1)

    def vector(self, log_probabilities: tuple[Tensor, ...]) -> Tensor:
        """Return the belief vector ``[..., F]`` of distributions ``[..., V]`` over each variable's values."""
        means, variances, gone = [], [], []
        for i, entry in self.coordinates.items():
            count = len(entry.places)
            weights = log_probabilities[i][..., :count].softmax(-1)
            mean = weights @ entry.places
            means.append(mean)
            variances.append((weights @ entry.places.square() - mean.square()).clamp(min=0.0))
            if entry.gone:
                gone.append(log_probabilities[i][..., count:].exp())
        rest = [log_probabilities[i][..., 1:].exp() for i in self.categorical]
        return torch.cat([*means, *(variance.sqrt() for variance in variances), *gone, *rest], -1)


class GaussianHead:
    """Independent normal coordinates with a floor under the standard deviation.

    Args:
        hidden: the variables.
        smallest_std: the floor, in scaled coordinates. Without it what is known for certain (the exit's row, the box
            after the oracle spoke) drives the density, and the gradient, to infinity.
    """

    def __init__(self, hidden: Hidden, smallest_std: float) -> None:
        self.hidden = hidden
        self.smallest_std = smallest_std
        self.sizes = (hidden.dimensions, hidden.dimensions, *(2 for _ in hidden.gone), *hidden.categorical.values())
        self.outputs = sum(self.sizes)

    def _read(self, outputs: Tensor) -> tuple[Tensor, Tensor, dict[int, Tensor]]:
        """Return means and standard deviations ``[..., D]`` and log-probabilities of whatever is categorical."""
        mean, spread, *logits = outputs.split(self.sizes, -1)
        named = zip([*self.hidden.gone, *self.hidden.categorical], logits, strict=True)
        return mean, self.smallest_std + softplus(spread), {i: values.log_softmax(-1) for i, values in named}

    def nll(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return ``-log p`` of indices ``[..., H]`` under outputs ``[..., P]``, summed over variables: ``[...]``."""
        mean, std, choices = self._read(outputs)
        total = torch.zeros_like(outputs[..., 0])
        for number, (i, entry) in enumerate(self.hidden.coordinates.items()):
            place, gone = entry.locate(truth[..., i])
            where = slice(2 * number, 2 * number + 2)
            nll = gaussian_nll(mean[..., where], std[..., where], place).sum(-1)
            total = total + torch.where(gone, 0.0, nll)
            if entry.gone:
                total = total - _picked(choices[i], gone.long())
        for i in self.hidden.categorical:
            total = total - _picked(choices[i], truth[..., i])
        return total

    def log_probabilities(self, outputs: Tensor) -> tuple[Tensor, ...]:
        """Return each variable's log-probabilities ``[..., V]``, by the rule of ``benchmark.measures.density``."""
        mean, std, choices = self._read(outputs)
        result = []
        for i in range(len(self.hidden.variables)):
            if i in self.hidden.categorical:
                result.append(choices[i])
                continue
            number = list(self.hidden.coordinates).index(i)
            entry, where = self.hidden.coordinates[i], slice(2 * number, 2 * number + 2)
            lattice = density_to_categorical(entry.places, mean[..., where], 2 * std[..., where].log())
            if entry.gone:
                lattice = torch.cat((lattice + choices[i][..., :1], choices[i][..., 1:]), -1)
            result.append(lattice)
        return tuple(result)

    def vector(self, outputs: Tensor) -> Tensor:
        """Return the belief vector ``[..., F]``, see ``Hidden``."""
        mean, std, choices = self._read(outputs)
        return torch.cat([mean, std, *(values[..., 1:].exp() for values in choices.values())], -1)


class CategoricalHead:
    """A probability for each value of each variable."""

    def __init__(self, hidden: Hidden) -> None:
        self.hidden = hidden
        self.sizes = tuple(len(variable.values) for variable in hidden.variables)
        self.outputs = sum(self.sizes)

    def nll(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return ``-log p`` of indices ``[..., H]`` under outputs ``[..., P]``, summed over variables: ``[...]``."""
        picked = [_picked(values, truth[..., i]) for i, values in enumerate(self.log_probabilities(outputs))]
        return -torch.stack(picked).sum(0)

    def log_probabilities(self, outputs: Tensor) -> tuple[Tensor, ...]:
        """Return each variable's log-probabilities ``[..., V]``."""
        return tuple(values.log_softmax(-1) for values in outputs.split(self.sizes, -1))

    def vector(self, outputs: Tensor) -> Tensor:
        """Return the belief vector ``[..., F]``, see ``Hidden``."""
        return self.hidden.vector(self.log_probabilities(outputs))


def _picked(log_probabilities: Tensor, truth: Tensor) -> Tensor:
    shape = log_probabilities.shape[:-1]
    return log_probabilities.gather(-1, truth.expand(shape)[..., None])[..., 0]
