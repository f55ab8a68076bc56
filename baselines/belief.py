"""The belief model of Belief-I2Q: what an agent makes of its history, learned once and then frozen.

Every agent has its own: a GRU over its observations and last actions, and a conditional variational autoencoder
(Sohn, Lee & Yan, NeurIPS 2015) that generates the hidden variables u from the history h and a latent z,
``p(u | z, h) p(z)``, with ``q(z | u, h)`` for training only. Source: Pritz & Leung, arXiv 2504.08417; where this is not
what their released code does, ``README.md`` says so and why. ``pretraining.py`` trains it.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from baselines.hidden import CategoricalHead, GaussianHead, Hidden
from baselines.networks import GRU, MLP
from benchmark.episodes.rollout import Episodes
from benchmark.tasks.escape_room import EscapeRoom
from benchmark.tasks.gathering import Gathering
from benchmark.tasks.honeycomb import HoneyComb
from benchmark.tasks.oracle import Oracle
from benchmark.tasks.streams import bits, policy_keys, uniform
from benchmark.tasks.task import Layout, Task, one_hot

# The released code's sizes of z.
LATENT: dict[type[Task], int] = {Oracle: 4, Gathering: 16, EscapeRoom: 6, HoneyComb: 8}
OTHER_LATENT = 8
# Larger fields are read as they are: waves of a view of 100 cells would cost more than they tell.
WIDEST = 32
CHUNK = 256  # episodes encoded at once


@dataclass(frozen=True)
class BeliefForm:
    """What the model is, apart from its weights.

    Attributes:
        decoder: how coordinates are believed in: a diagonal Gaussian as in the paper, or probabilities of the values.
        latent: length of z; 0 leaves the latent out, None takes the paper's for the task.
        samples: m, draws of z whose decodings are averaged.
        temperature: standard deviation of those draws; the released code has 0.5, the prior 1.
        octaves: the GRU also reads sine and cosine of pi, 2 pi, 4 pi, ... (so many) times each observation, after
            Tancik et al., *Fourier Features Let Networks Learn High Frequency Functions*, NeurIPS 2020; 0, as in the
            paper, leaves them out: the model then hardly notices that a box three cells wide was tried.
        width: units of the GRU, and of each of the two layers of the encoder and the decoder.
        smallest_std: floor of the Gaussian's standard deviation, in scaled coordinates.
    """

    decoder: Literal["gaussian", "categorical"] = "gaussian"
    latent: int | None = None
    samples: int = 2
    temperature: float = 0.5
    octaves: int = 4
    width: int = 64
    smallest_std: float = 0.05

    def __post_init__(self) -> None:
        if self.decoder not in ("gaussian", "categorical"):
            raise ValueError(f"belief: decoder={self.decoder!r} is unknown; allowed: gaussian, categorical")
        if self.octaves < 0:
            raise ValueError(f"belief: octaves={self.octaves} must be at least 0")
        if self.samples < 1:
            raise ValueError(f"belief: samples={self.samples} must be at least 1")
        if self.latent is not None and self.latent < 0:
            raise ValueError(f"belief: latent={self.latent} must be at least 0")

    def latent_size(self, task: Task) -> int:
        """Return the length of z for a task, perturbed or not."""
        if self.latent is not None:
            return self.latent
        return LATENT.get(type(getattr(task, "task", task)), OTHER_LATENT)


class BeliefMemory(NamedTuple):
    """What the model carries from step to step."""

    keys: Tensor  # int64 [B]
    step: int  # observations seen
    before: Tensor  # float32 [B, N, A]: one-hot previous actions; zero at the start
    hidden: Tensor  # float32 [R, N, B / R, H]


class BeliefModel(nn.Module):
    """History encoder, latent encoder and decoder for R x N agents; frozen, it serves learners.

    Batches are run-major, ``B = R * episodes``. A model of one run (R = 1) serves any number of runs.

    Args:
        run_keys: int64 ``[R]``, from which the weights are drawn.
        task: for agents, actions, observations and hidden variables.
        form: what the model is.
    """

    def __init__(self, run_keys: Tensor, task: Task, form: BeliefForm | None = None) -> None:
        super().__init__()
        self.form = form or BeliefForm()
        self.agents, self.actions = task.agents, len(task.action_names)
        self.latent = self.form.latent_size(task)
        self.hidden = Hidden(task.hidden_variables, run_keys.device)
        gaussian = self.form.decoder == "gaussian"
        self.head = GaussianHead(self.hidden, self.form.smallest_std) if gaussian else CategoricalHead(self.hidden)
        self.factor = observation_factor(task.observation_layout, run_keys.device)
        sizes = [field.size for field in task.observation_layout.fields for _ in range(field.size)]
        self.wavy = (torch.tensor(sizes, device=run_keys.device) <= WIDEST).nonzero()[:, 0]
        width = self.form.width
        inputs = len(self.factor) + 2 * self.form.octaves * len(self.wavy) + self.actions
        self.gru = GRU(run_keys, self.agents, inputs, width, "belief/history")
        sizes = (self.latent + width, width, width, self.head.outputs)
        self.decoder = MLP(run_keys, self.agents, sizes, "belief/decoder")
        if self.latent:
            sizes = (self.hidden.inputs + width, width, width, 2 * self.latent)
            self.encoder = MLP(run_keys, self.agents, sizes, "belief/encoder")

    @property
    def features(self) -> int:
        """F, the length of the belief vector ``b``; ``Hidden`` says what is in it."""
        return self.hidden.features

    @property
    def runs(self) -> int:
        """R; 1 for a shared model."""
        return self.gru.hidden_weight.shape[0]

    def histories(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Summarise every prefix of whole episodes.

        Args:
            observations: raw, floating ``[R, E, T + 1, N, O]``; ``[R, E, T + 1, 1, O]`` where all agents see the same.
            actions: integers ``[R, E, T, N]``.

        Returns:
            float32 ``[R, N, E, T + 1, H]``; entry ``t`` has seen observations up to ``t`` and actions before ``t``.
        """
        # Turned round into the order in which the GRU reads, [R, N, T + 1, E, ...], before the waves make it wide.
        done = one_hot(actions.permute(0, 3, 2, 1).long(), self.actions)
        seen = self._embed(observations.permute(0, 3, 2, 1, 4).contiguous(), pad(done, (0, 0, 0, 0, 1, 0)))
        return self.gru(seen.transpose(2, 3))

    def _embed(self, observations: Tensor, before: Tensor) -> Tensor:
        """Join ``[..., O]``, its waves and ``[..., A]``, whose leading axes the former may be expanded to."""
        scaled = observations * self.factor
        wavy = scaled.index_select(-1, self.wavy)
        angles = [wavy * (math.pi * 2**octave) for octave in range(self.form.octaves)]
        waves = [wave for angle in angles for wave in (angle.sin(), angle.cos().sub_(1))]  # 0 stays 0
        return torch.cat([*(part.expand(*before.shape[:-1], -1) for part in (scaled, *waves)), before], -1)

    def infer(self, truth: Tensor, histories: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance of ``q(z | u, h)``, each ``[R, N, E, T, L]``.

        Args:
            truth: the hidden variables' indices, int64 ``[R, E, T, V]``.
            histories: ``[R, N, E, T, H]``.
        """
        encoded = self.hidden.encode(truth)[:, None].expand(-1, self.agents, -1, -1, -1)
        mean, log_variance = self.encoder(torch.cat((encoded, histories), -1)).chunk(2, -1)
        return mean, log_variance.clamp(-10.0, 10.0)

    def decode(self, latent: Tensor, histories: Tensor) -> Tensor:
        """Return what the head reads, ``[R, N, ..., P]``, for latents ``[R, N, ..., L]``, histories ``[..., H]``."""
        return self.decoder(torch.cat((latent, histories), -1))

    def initial_memory(self, keys: Tensor) -> BeliefMemory:
        """Start B episodes with policy keys int64 ``[B]``: nothing seen, nothing done."""
        hidden = self.gru.initial_hidden(keys.shape[0] // self.runs)
        return BeliefMemory(keys, 0, hidden.new_zeros(keys.shape[0], self.agents, self.actions), hidden)

    @torch.no_grad()
    def step(self, observations: Tensor, memory: BeliefMemory) -> BeliefMemory:
        """See raw observations ``[B, N, O]``."""
        seen = self._embed(self._per_network(observations), self._per_network(memory.before))
        hidden = self.gru.step(seen, memory.hidden)
        return memory._replace(step=memory.step + 1, hidden=hidden)

    def with_actions(self, memory: BeliefMemory, actions: Tensor) -> BeliefMemory:
        """Remember the actions ``[B, N]`` that were taken after the latest observation."""
        return memory._replace(before=one_hot(actions, self.actions))

    def read(self, memory: BeliefMemory) -> Tensor:
        """Return the belief vectors ``b``, float32 ``[B, N, F]``, after the latest observation."""
        return self._vectors(memory.hidden[:, :, :, None], self._draw(memory.keys, (memory.step - 1,)))[:, 0]

    def log_probabilities(self, memory: BeliefMemory) -> tuple[Tensor, ...]:
        """Return for every hidden variable log-probabilities float32 ``[B, N, V]``: the mixture of the m decodings."""
        latent = self._draw(memory.keys, (memory.step - 1,))
        values = self._log_probabilities(memory.hidden[:, :, :, None], latent)
        return tuple(value[:, 0] for value in values)

    def encode(self, episodes: Episodes) -> Tensor:
        """Return the belief vectors along whole episodes, float32 ``[B, T + 1, N, F]``: what stepping gives.

        Args:
            episodes: run-major. Beyond an episode's end the beliefs mean nothing.
        """
        return self._along(episodes, lambda histories, latent: (self._vectors(histories, latent),))[0]

    def encode_log_probabilities(self, episodes: Episodes) -> tuple[Tensor, ...]:
        """Return for every hidden variable log-probabilities ``[B, T + 1, N, V]`` along whole episodes."""
        return self._along(episodes, self._log_probabilities)

    @torch.no_grad()
    def _along(self, episodes: Episodes, read: Callable[[Tensor, Tensor], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        observations, actions, keys = (
            values.unflatten(0, (self.runs, -1))
            for values in (episodes.observations, episodes.actions, policy_keys(episodes.keys))
        )
        chunks = []
        for first in range(0, keys.shape[1], CHUNK):
            rows = slice(first, first + CHUNK)
            histories = self.histories(observations[:, rows], actions[:, rows])
            latent = self._draw(keys[:, rows].flatten(), range(observations.shape[2]))
            chunks.append([value.unflatten(0, (self.runs, -1)) for value in read(histories, latent)])
        return tuple(torch.cat(parts, 1).flatten(0, 1) for parts in zip(*chunks, strict=True))

    def _draw(self, keys: Tensor, steps: Iterable[int]) -> Tensor:
        """Draw latents from policy keys ``[B]``: float32 ``[R, N, B / R, steps, m, L]``; without latent m = 1."""
        samples = self.form.samples if self.latent else 1
        count = self.agents * samples * self.latent
        draws = torch.stack([bits(keys, step, "belief", count) for step in steps], 1)
        latent = self.form.temperature * normal(draws)
        shape = (self.runs, len(keys) // self.runs, draws.shape[1], self.agents, samples, self.latent)
        return latent.view(shape).permute(0, 3, 1, 2, 4, 5)

    @torch.no_grad()
    def _outputs(self, histories: Tensor, latent: Tensor) -> Tensor:
        """Decode histories ``[R, N, E, T, H]`` with latents ``[R, N, E, T, m, L]`` to ``[R * E, T, N, m, P]``."""
        repeated = histories[..., None, :].expand(*latent.shape[:-1], -1)
        return self.decode(latent, repeated).permute(0, 2, 3, 1, 4, 5).flatten(0, 1)

    def _vectors(self, histories: Tensor, latent: Tensor) -> Tensor:
        return self.head.vector(self._outputs(histories, latent)).mean(-2)

    def _log_probabilities(self, histories: Tensor, latent: Tensor) -> tuple[Tensor, ...]:
        samples = self.head.log_probabilities(self._outputs(histories, latent))
        # Two or three long rows: pairwise takes two thirds of the time of a sum over so short an axis.
        return tuple(reduce(torch.logaddexp, values.unbind(-2)) - math.log(values.shape[-2]) for values in samples)

    def _per_network(self, values: Tensor) -> Tensor:
        return values.unflatten(0, (self.runs, -1)).transpose(1, 2)


def observation_factor(layout: Layout, device: torch.device | str = "cpu") -> Tensor:
    """Return float32 ``[O]``, by which observations are multiplied to lie within [-1, 1]; 0 stays 0, the empty cell."""
    low, high = (torch.tensor(bound, dtype=torch.float32, device=device) for bound in layout.bounds())
    largest = torch.maximum(low.abs(), high.abs())
    return torch.where(largest > 0, 1 / largest, 0.0)


def normal(random_bits: Tensor) -> Tensor:
    """Turn random bits into standard normal float32, by the inverse of the distribution function."""
    # Strictly between 0 and 1, where it is finite.
    return torch.special.ndtri(uniform(random_bits).add_(2.0**-25).clamp_(max=1 - 2.0**-24))
