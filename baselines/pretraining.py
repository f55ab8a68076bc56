"""Train a belief model on the offline dataset, before any learning: ``pretrain``.

The random policy's episodes, every agent its own histories; Adam with a rate that warms up and falls to zero, a
validation curve, early stopping, and the weights that did best on the validation split.
"""

import copy
import time
from dataclasses import dataclass, field
from math import cos, pi
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from baselines.belief import BeliefForm, BeliefModel, normal
from baselines.losses import cvae_loss, cvae_loss_as_released, masked_mean, standard_normal_kl
from baselines.networks import clip_gradients
from benchmark.episodes.rollout import Episodes
from benchmark.tasks.streams import below, bits
from benchmark.tasks.task import Task


@dataclass(frozen=True)
class Pretraining:
    """How the model is trained; the same for every task.

    Attributes:
        form: what is trained.
        loss: the evidence lower bound of every step, or the released code's weighting of its terms.
        beta: weight of the divergence in the former. What the latent tells of u costs beta per nat. Three boxes are
            log 3 = 1.1 nats, and knowing which lets the density rise by 2 log(0.38 / 0.05) = 4.0 nats: below a beta of
            3.7 it pays to send the box through the latent, and the history goes unread.
        updates: at most so many gradient updates.
        batch: whole episodes per update.
        steps: of each update's episodes, the steps whose beliefs are judged; neighbouring ones have much in common.
        learning_rate: of Adam, the highest; it rises linearly over ``warm_up`` updates, then falls as a cosine.
        warm_up: updates until the learning rate is at its highest.
        gradient_limit: largest Euclidean norm of one network's gradient.
        validate: updates between two looks at the validation split.
        validation: episodes of it.
        patience: looks without a better value before training stops.
    """

    form: BeliefForm = field(default_factory=BeliefForm)
    loss: Literal["elbo", "as-released"] = "elbo"
    beta: float = 8.0
    updates: int = 8000
    batch: int = 32
    steps: int = 25
    learning_rate: float = 3e-3
    warm_up: int = 100
    gradient_limit: float = 1.0
    validate: int = 250
    validation: int = 256
    patience: int = 8

    def __post_init__(self) -> None:
        if self.loss not in ("elbo", "as-released"):
            raise ValueError(f"belief: loss={self.loss!r} is unknown; allowed: elbo, as-released")

    def learning_rate_at(self, update: int) -> float:
        """Return the learning rate of an update, counted from 0."""
        if update < self.warm_up:
            return self.learning_rate * (update + 1) / self.warm_up
        return self.learning_rate * (1 + cos(pi * (update - self.warm_up) / max(1, self.updates - self.warm_up))) / 2


class Pretrained(NamedTuple):
    """A trained model and how it came about."""

    model: BeliefModel
    updates: int
    seconds: float
    curve: list[tuple[int, list[list[float]]]]  # (updates, negative log-likelihood [R, N] in nats on validation)


class Histories:
    """A dataset made small: half-precision observations, a byte per action; any number of runs draws from it."""

    def __init__(self, episodes: Episodes) -> None:
        seen = episodes.observations.to(torch.float16)
        same = bool((seen[:64] == seen[:64, :, :1]).all()) and bool((seen == seen[:, :, :1]).all())
        self.observations = seen[:, :, :1].clone() if same else seen  # [E, T + 1, N or 1, O]
        self.actions = episodes.actions.to(torch.uint8)
        self.hidden = episodes.hidden.to(torch.int16)
        # Which observations ask for a belief, bool [E, T + 1]. Not those after a terminal step: nobody acts on them,
        # and they contradict the rest (who stands on a box while the episode goes on knows that it is the wrong one).
        self.mask = pad(episodes.mask & ~episodes.terminated, (1, 0), value=True)

    def take(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return observations ``[R, E, T + 1, N or 1, O]``, actions, hidden and mask of episodes int64 ``[R, E]``."""
        return self.observations[rows].float(), self.actions[rows], self.hidden[rows].long(), self.mask[rows]


def pretrain(
    task: Task, config: Pretraining, run_keys: Tensor, train: Episodes | Histories, validation: Episodes
) -> Pretrained:
    """Train R x N belief models.

    Args:
        task: for agents, actions, observations and hidden variables.
        config: how.
        run_keys: int64 ``[R]``: weights, batches and latents are drawn from them, so that a run is the run alone.
        train: the episodes to learn from.
        validation: the episodes to judge by.
    """
    started = time.perf_counter()
    model = BeliefModel(run_keys, task, config.form)
    histories = train if isinstance(train, Histories) else Histories(train)
    judge = Histories(validation[: config.validation])
    optimiser = torch.optim.Adam(model.parameters(), fused=True)
    best = copy.deepcopy(model)
    lowest = torch.full((model.runs, task.agents), torch.inf, device=run_keys.device)
    curve, stale, update = [], 0, 0
    for update in range(1, config.updates + 1):
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate_at(update - 1)
        loss = loss_of(model, config, run_keys, histories, update)
        optimiser.zero_grad()
        loss.sum().backward()
        clip_gradients(model.parameters(), config.gradient_limit)
        optimiser.step()
        if update % config.validate == 0 or update == config.updates:
            nll = validation_nll(model, judge)
            curve.append((update, nll.tolist()))
            better = nll < lowest
            keep(best, model, better)
            lowest = torch.where(better, nll, lowest)
            stale = 0 if bool(better.any()) else stale + 1
            if stale == config.patience:
                break
    return Pretrained(best, update, time.perf_counter() - started, curve)


def loss_of(model: BeliefModel, config: Pretraining, run_keys: Tensor, data: Histories, update: int) -> Tensor:
    """Return each network's loss ``[R, N]`` on the batch of one update."""
    rows = below(bits(run_keys, update, "belief-batch", config.batch), len(data.mask))
    observations, actions, truth, mask = data.take(rows)
    histories = model.histories(observations, actions)
    histories, truth, mask = some_steps(bits(run_keys, update, "belief-steps", config.steps), histories, truth, mask)
    shape = (*histories.shape[:-1], model.latent)
    latent, kl = histories.new_zeros(shape), histories.new_zeros(shape[:-1])
    if model.latent:
        mean, log_variance = model.infer(truth, histories)
        noise = normal(bits(run_keys, update, "belief-latent", mean[0].numel())).view_as(mean)
        latent = mean + noise * (log_variance / 2).exp()
        kl = standard_normal_kl(mean, log_variance).sum(-1)
    nll = model.head.nll(model.decode(latent, histories), truth[:, None])
    if config.loss == "elbo":
        return cvae_loss(nll, kl, mask, config.beta)
    return cvae_loss_as_released(nll, kl, mask, max(1, model.hidden.dimensions))


def some_steps(draws: Tensor, histories: Tensor, truth: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pick steps of ``[R, N, E, T, H]``, ``[R, E, T, V]`` and ``[R, E, T]`` by random bits ``[R, S]``, S for T."""
    if draws.shape[1] >= mask.shape[2]:
        return histories, truth, mask
    steps = below(draws, mask.shape[2])
    runs = torch.arange(len(steps), device=steps.device)[:, None]
    picked = histories.transpose(1, 3)[runs, steps].permute(0, 3, 2, 1, 4)
    return picked, truth.transpose(1, 2)[runs, steps].transpose(1, 2), mask.transpose(1, 2)[runs, steps].transpose(1, 2)


@torch.no_grad()
def validation_nll(model: BeliefModel, data: Histories) -> Tensor:
    """Return each network's mean negative log-likelihood ``[R, N]`` in nats, with z at the prior's mean."""
    rows = torch.arange(len(data.mask), device=data.mask.device).expand(model.runs, -1)
    observations, actions, truth, mask = data.take(rows)
    histories = model.histories(observations, actions)
    latent = histories.new_zeros(*histories.shape[:-1], model.latent)
    return masked_mean(model.head.nll(model.decode(latent, histories), truth[:, None]), mask)


@torch.no_grad()
def keep(best: BeliefModel, model: BeliefModel, better: Tensor) -> None:
    """Copy the weights of those networks that got better, bool ``[R, N]``."""
    for kept, current in zip(best.parameters(), model.parameters(), strict=True):
        kept.copy_(torch.where(better.view(*better.shape, *(1,) * (kept.ndim - 2)), current, kept))
