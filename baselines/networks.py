"""Stacked networks: R runs times N agents of separate weights behind one batched matrix product.

Every parameter has the leading axes ``[R, N]`` and every input too. Weights are drawn from counter-based streams, so
run 3 of 10 draws the weights it draws alone. Nothing is shared between agents or runs: the gradient of a sum of
losses over ``[R, N]`` is, for each network, the gradient of its own loss, and Adam (elementwise) treats each alone.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.harness.protocol import Setting
from benchmark.tasks.streams import bits, uniform

# A network without an active ReLU has nothing left to learn with but biases; a leaky one (Maas et al., 2013; slope 0.01
# below zero) comes back.
ACTIVATIONS = {"relu": nn.functional.relu, "leaky-relu": nn.functional.leaky_relu}


def draw_weights(run_keys: Tensor, name: str, shape: tuple[int, ...], bound: float) -> Tensor:
    """Draw uniform weights in ``[-bound, bound)``.

    Args:
        run_keys: int64 ``[R]``.
        name: which parameter; different names share nothing.
        shape: shape of one run's parameter.
        bound: largest magnitude, for instance ``1 / sqrt(inputs)``, torch's own choice for linear layers.

    Returns:
        float32 ``[R, *shape]``.
    """
    draws = bits(run_keys, 0, f"weights/{name}", torch.Size(shape).numel())
    return ((2.0 * uniform(draws) - 1.0) * bound).unflatten(1, shape)


class Linear(nn.Module):
    """``y = x W + b`` for R x N networks.

    Args:
        run_keys: int64 ``[R]``.
        agents: N.
        inputs: I.
        outputs: O.
        name: name of the layer in the weight streams; unique within a learner.
    """

    def __init__(self, run_keys: Tensor, agents: int, inputs: int, outputs: int, name: str) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(draw_weights(run_keys, f"{name}/weight", (agents, inputs, outputs), bound))
        self.bias = nn.Parameter(draw_weights(run_keys, f"{name}/bias", (agents, 1, outputs), bound))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[R, N, ..., I]`` to ``[R, N, ..., O]``."""
        return self.each(rows_of(x)).view(*x.shape[:-1], -1)

    def each(self, rows: Tensor) -> Tensor:
        """Map ``[R * N, rows, I]`` to ``[R * N, rows, O]``."""
        return torch.baddbmm(self.bias.flatten(0, 1), rows, self.weight.flatten(0, 1))


def rows_of(x: Tensor) -> Tensor:
    """Turn ``[R, N, ..., I]`` into ``[R * N, rows, I]``."""
    assert x.ndim >= 3, x.shape
    return x.flatten(0, 1).reshape(x.shape[0] * x.shape[1], -1, x.shape[-1])


class MLP(nn.Module):
    """Linear layers with an activation between them, linear output.

    Args:
        run_keys: int64 ``[R]``.
        agents: N.
        sizes: widths of input, hidden layers and output, such as ``(12, 128, 128, 9)``.
        name: name in the weight streams.
        activation: one of ``ACTIVATIONS``.
    """

    def __init__(
        self, run_keys: Tensor, agents: int, sizes: tuple[int, ...], name: str, activation: str = "relu"
    ) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[activation]
        self.runs, self.agents, self.outputs = len(run_keys), agents, sizes[-1]
        self.layers = nn.ModuleList(
            Linear(run_keys, agents, inputs, outputs, f"{name}/{index}")
            for index, (inputs, outputs) in enumerate(pairwise(sizes))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[R, N, ..., I]`` to ``[R, N, ..., O]``."""
        rows = rows_of(x)
        for index, layer in enumerate(self.layers):
            assert isinstance(layer, Linear), layer
            rows = layer.each(rows if index == 0 else self.activation(rows, inplace=True))
        return rows.view(*x.shape[:-1], -1)


class GRU(nn.Module):
    """A gated recurrent unit (Cho et al. 2014) for R x N networks, with the equations of ``torch.nn.GRU``.

    ``r, z = sigmoid(x W + b + h V + c)``, ``n = tanh(x W + b + r * (h V + c))``, ``h' = (1 - z) n + z h``, each gate
    with its own third of the columns of ``W, b, V, c``. The hidden state before the first step is zero.

    Args:
        run_keys: int64 ``[R]``.
        agents: N.
        inputs: I.
        hidden: H.
        name: name in the weight streams.
    """

    def __init__(self, run_keys: Tensor, agents: int, inputs: int, hidden: int, name: str) -> None:
        super().__init__()
        bound = hidden**-0.5
        draw = {
            "input_weight": (agents, inputs, 3 * hidden),
            "input_bias": (agents, 1, 3 * hidden),
            "hidden_weight": (agents, hidden, 3 * hidden),
            "hidden_bias": (agents, 1, 3 * hidden),
        }
        self.input_weight, self.input_bias, self.hidden_weight, self.hidden_bias = (
            nn.Parameter(draw_weights(run_keys, f"{name}/{part}", shape, bound)) for part, shape in draw.items()
        )

    def initial_hidden(self, batch: int) -> Tensor:
        """Return zeros ``[R, N, B, H]``."""
        runs, agents, hidden, _ = self.hidden_weight.shape
        return self.hidden_weight.new_zeros(runs, agents, batch, hidden)

    def _project(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.input_bias.flatten(0, 1), x, self.input_weight.flatten(0, 1))

    def step(self, x: Tensor, hidden: Tensor) -> Tensor:
        """Advance one step: ``x [R, N, B, I]``, ``hidden [R, N, B, H]`` to the next hidden ``[R, N, B, H]``."""
        assert x.ndim == hidden.ndim == 4, (x.shape, hidden.shape)
        projected = self._project(x.flatten(0, 1))[:, None]
        after = _Recurrence.apply(
            projected, self.hidden_weight.flatten(0, 1), self.hidden_bias.flatten(0, 1), hidden.flatten(0, 1)
        )
        return after[:, 0].view_as(hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Run whole sequences from a zero hidden state: ``[R, N, B, T, I]`` to ``[R, N, B, T, H]``."""
        assert x.ndim == 5, x.shape
        runs, agents, batch, time, _ = x.shape
        rows = x.transpose(2, 3).flatten(0, 1).flatten(1, 2)  # [R * N, T * B, I]: one product for all steps
        hidden = _Recurrence.apply(
            self._project(rows).view(runs * agents, time, batch, -1),
            self.hidden_weight.flatten(0, 1),
            self.hidden_bias.flatten(0, 1),
            self.initial_hidden(batch).flatten(0, 1),
        )
        return hidden.view(runs, agents, time, batch, -1).transpose(2, 3)


class _Recurrence(torch.autograd.Function):
    """The part of a GRU that must go step by step, for G = R * N networks.

    Backpropagation through time is written out: what depends on no later step is computed for all steps at once, the
    weights' gradients are one product over all steps, and the loop keeps one product per step. First derivatives only.
    """

    @staticmethod
    def forward(ctx: Any, projected: Tensor, weight: Tensor, bias: Tensor, initial: Tensor) -> Tensor:
        """Map projected inputs ``[G, T, B, 3H]`` and the first hidden ``[G, B, H]`` to hiddens ``[G, T, B, H]``."""
        groups, time, batch, _ = projected.shape
        size = weight.shape[1]
        sizes = 2 * size, size
        products = projected.new_empty(time, groups, batch, 3 * size)  # h V + c; batched products want one piece each
        sigmoids = projected.new_empty(groups, time, batch, 2 * size)  # r, z
        candidates = projected.new_empty(groups, time, batch, size)  # n
        hidden = projected.new_empty(groups, time + 1, batch, size)
        hidden[:, 0] = initial
        states = hidden.unbind(1)
        parts = [part.unbind(1) for part in (*projected.split(sizes, -1), sigmoids, *sigmoids.chunk(2, -1), candidates)]
        parts += [part.unbind() for part in (products, *products.split(sizes, -1))]
        for t, (x_rz, x_n, rz, r, z, n, product, h_rz, h_n) in enumerate(zip(*parts, strict=True)):
            torch.baddbmm(bias, states[t], weight, out=product)
            torch.add(x_rz, h_rz, out=rz).sigmoid_()
            torch.addcmul(x_n, r, h_n, out=n).tanh_()
            torch.lerp(n, states[t], z, out=states[t + 1])
        ctx.save_for_backward(hidden, sigmoids, candidates, products, weight)
        return hidden[:, 1:]

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the gradients of ``forward``'s arguments, given that of the hiddens ``[G, T, B, H]``."""
        hidden, sigmoids, n, products, weight = ctx.saved_tensors
        groups, time, batch, size = n.shape
        r, z = sigmoids.chunk(2, -1)
        rest = 1 - z
        to_candidate = rest * (1 - n * n)
        # d(pre-activation of r, z, product for n) / dh', for all steps at once.
        slopes = n.new_empty(groups, time, batch, 3, size)
        to_r, to_z, to_product = slopes.unbind(3)
        torch.mul(to_candidate, r, out=to_product)
        torch.mul(to_product, products[..., 2 * size :].transpose(0, 1), out=to_r).mul_(1 - r)
        torch.sub(hidden[:, :-1], n, out=to_z).mul_(rest).mul_(z)
        totals = torch.empty_like(n)  # dL/dh' with all later steps included
        carried = torch.zeros_like(hidden[:, 0])
        transposed = weight.transpose(1, 2).contiguous()
        steps = list(zip(*(part.unbind(1) for part in (grad_outputs[0], totals, slopes, z)), strict=True))
        for gradient, total, slope, kept in reversed(steps):
            torch.add(carried, gradient, out=total)
            slope.mul_(total[:, :, None])  # of L from here on
            carried = torch.baddbmm(total * kept, slope.flatten(2), transposed)
        flat = slopes.view(groups, time * batch, 3 * size)
        to_weight, to_bias = hidden[:, :-1].flatten(1, 2).transpose(1, 2) @ flat, flat.sum(1, keepdim=True)
        torch.mul(totals, to_candidate, out=to_product)  # between input and candidate is no reset gate
        return slopes.flatten(3), to_weight, to_bias, carried


@torch.no_grad()
def clip_gradients(parameters: Iterable[nn.Parameter], limit: float) -> Tensor:
    """Scale every network's gradient down to Euclidean norm ``limit`` at most, each ``[r, n]`` by itself.

    Args:
        parameters: stacked parameters ``[R, N, ...]`` with gradients.
        limit: the largest norm allowed.

    Returns:
        The norms before clipping, ``[R, N]``.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norms = torch.stack([torch.linalg.vector_norm(g.flatten(2), dim=2) for g in gradients]).norm(dim=0)
    factor = (limit / (norms + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor.view(*norms.shape, *(1,) * (gradient.ndim - 2)))
    return norms


@torch.no_grad()
def polyak(target: nn.Module, online: nn.Module, rate: float) -> None:
    """Move the target's weights towards the online ones: ``target += rate * (online - target)``; rate 1 copies."""
    for old, new in zip(target.parameters(), online.parameters(), strict=True):
        old.lerp_(new, rate)


def note_parameters(setting: Setting, *trained: nn.Module | nn.Parameter) -> None:
    """Add to the records how many parameters of one run are trained: the board's column ``parameters``.

    Whoever trains in parts (a belief, then a policy on it) calls this for each part. Target networks are copies, and
    do not count.

    Args:
        setting: whose records.
        trained: stacked parameters ``[R, ...]``, or what holds them; a part shared by all runs has R = 1.
    """
    weights = [weight for part in trained for weight in (part.parameters() if isinstance(part, nn.Module) else [part])]
    count = sum(weight[0].numel() for weight in weights)
    for run in range(setting.runs):
        setting.note(run, parameters=setting.notes[run].get("parameters", 0) + count)
