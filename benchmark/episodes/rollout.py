"""Lockstep rollouts: a batch of episodes starts together, steps together and ends together.

There is no auto-reset, so no recurrent state can outlive its episode.
"""

from dataclasses import dataclass, fields, is_dataclass

import torch
from torch import Tensor

from benchmark.episodes.policy import BeliefPolicy, PlaybackPolicy, Policy
from benchmark.tasks.streams import policy_keys
from benchmark.tasks.task import Task, team_return


@dataclass(frozen=True)
class Episodes:
    """A batch of whole episodes: the one thing passed between rollout, dataset, learner and evaluation.

    T is the task's horizon. Whatever lies beyond an episode's end is zero. Rewards and observations that belong
    together are ``observations[:, t], actions[:, t] -> rewards[:, t], observations[:, t + 1]``.
    """

    keys: Tensor  # int64 [B]
    observations: Tensor  # float32 [B, T + 1, N, O]
    actions: Tensor  # int64 [B, T, N], as chosen
    executed: Tensor  # int64 [B, T, N], as they took effect
    rewards: Tensor  # float32 [B, T, N]
    terminated: Tensor  # bool [B, T]: this step ended the episode for good
    mask: Tensor  # bool [B, T]: this step was played
    hidden: Tensor  # int64 [B, T + 1, H]
    returns: Tensor  # float64 [B], undiscounted

    @property
    def batch(self) -> int:
        """Number of episodes, B."""
        return self.keys.shape[0]

    @property
    def lengths(self) -> Tensor:
        """Steps played, int64 ``[B]``."""
        return self.mask.sum(1)

    @property
    def steps(self) -> int:
        """Environment steps played in all episodes together."""
        return int(self.mask.sum())

    @property
    def discount(self) -> Tensor:
        """Float32 ``[B, T]``: 0 where an episode terminated, 1 elsewhere (also where the horizon cut it off)."""
        return (~self.terminated).to(torch.float32)

    def __getitem__(self, rows: Tensor | slice) -> "Episodes":
        """Select episodes."""
        return Episodes(*(getattr(self, field.name)[rows] for field in fields(self)))

    def to(self, device: torch.device | str) -> "Episodes":
        """Move to a device."""
        return Episodes(*(getattr(self, field.name).to(device) for field in fields(self)))

    @staticmethod
    def concatenate(batches: "list[Episodes]") -> "Episodes":
        """Join batches of the same task along B."""
        return Episodes(*(torch.cat([getattr(b, field.name) for b in batches]) for field in fields(Episodes)))


class PolicyError(ValueError):
    """A policy broke its contract: wrong shape, type or range of actions, or NaN in its memory."""


@torch.no_grad()
def rollout(task: Task, policy: Policy, keys: Tensor) -> Episodes:
    """Play the episodes with these keys.

    Args:
        task: what is played.
        policy: who plays.
        keys: int64 ``[B]`` episode keys; their device is where everything happens.

    Raises:
        PolicyError: if the policy's actions have the wrong shape, type or range, or its memory ends up with NaN.
    """
    trace, _ = _play(task, policy, keys, beliefs=False)
    return trace


@torch.no_grad()
def rollout_with_beliefs(task: Task, policy: BeliefPolicy, keys: Tensor) -> tuple[Episodes, tuple[Tensor, ...]]:
    """Play and record the policy's beliefs: for every hidden variable log-probabilities ``[B, T, N, V]``.

    ``beliefs[h][:, t]`` is the belief after seeing ``observations[:, t]``, about ``hidden[:, t, h]``.
    """
    return _play(task, policy, keys, beliefs=True)


def replay(task: Task, keys: Tensor, actions: Tensor) -> Episodes:
    """Rebuild episodes from their keys ``[B]`` and chosen actions ``[B, T, N]``."""
    return rollout(task, PlaybackPolicy(actions), keys)


def _play(task: Task, policy: Policy, keys: Tensor, *, beliefs: bool) -> tuple[Episodes, tuple[Tensor, ...]]:
    batch, horizon, device = keys.shape[0], task.horizon, keys.device
    state = task.initial_state(keys)
    memory = policy.initial_memory(policy_keys(keys))
    running = torch.ones(batch, dtype=torch.bool, device=device)
    first = task.observe(state)
    observations = first.new_zeros(batch, horizon + 1, *first.shape[1:])
    observations[:, 0] = first
    hidden = torch.zeros(batch, horizon + 1, len(task.hidden_variables), dtype=torch.int64, device=device)
    hidden[:, 0] = task.hidden(state)
    actions = torch.zeros(batch, horizon, task.agents, dtype=torch.int64, device=device)
    executed, rewards = torch.zeros_like(actions), torch.zeros_like(actions, dtype=torch.float32)
    terminated = torch.zeros(batch, horizon, dtype=torch.bool, device=device)
    mask = torch.zeros_like(terminated)
    log_probabilities: list[tuple[Tensor, ...]] = []

    for step in range(horizon):
        chosen, memory = policy.act(observations[:, step], memory)
        check_actions(chosen, batch, task)
        if beliefs:
            assert isinstance(policy, BeliefPolicy)
            log_probabilities.append(policy.belief(memory))
        result = task.transition(state, chosen, keys, step)
        state = result.state
        mask[:, step], terminated[:, step] = running, result.terminated
        actions[:, step], executed[:, step], rewards[:, step] = chosen, result.executed, result.reward
        observations[:, step + 1], hidden[:, step + 1] = task.observe(state), task.hidden(state)
        running = running & ~result.terminated
        if not bool(running.any()):
            break

    if not bool(mask.all()):
        terminated &= mask
        # Products, not filling: digests of datasets know that a reward below zero became -0.0.
        for values in (actions, executed, rewards, observations[:, 1:], hidden[:, 1:]):
            values.mul_(mask[(..., *(None,) * (values.ndim - 2))])
    check_memory(memory)
    episodes = Episodes(
        keys, observations, actions, executed, rewards, terminated, mask, hidden, team_return(task, rewards)
    )
    return episodes, _stack_beliefs(log_probabilities, horizon)


def _stack_beliefs(log_probabilities: list[tuple[Tensor, ...]], horizon: int) -> tuple[Tensor, ...]:
    stacked = []
    for per_step in zip(*log_probabilities, strict=True):
        belief = torch.stack(per_step, 1)  # [B, played steps, N, V]
        missing = horizon - belief.shape[1]
        stacked.append(torch.nn.functional.pad(belief, (0, 0, 0, 0, 0, missing)))
    return tuple(stacked)


def check_actions(actions: object, batch: int, task: Task) -> None:
    """Refuse anything but int64 ``[B, N]`` within ``[0, A)``.

    Raises:
        PolicyError: naming what is wrong.
    """
    shape, count = (batch, task.agents), len(task.action_names)
    if not isinstance(actions, Tensor):
        raise PolicyError(f"act: actions must be a torch tensor, not {type(actions).__name__}")
    if actions.shape != shape:
        raise PolicyError(f"act: actions have shape {tuple(actions.shape)}; expected [B, N] = {shape}")
    if actions.dtype != torch.int64:
        raise PolicyError(f"act: actions have dtype {actions.dtype}; expected torch.int64")
    low, high = (int(bound) for bound in torch.aminmax(actions))
    if low < 0 or high >= count:
        wrong = low if low < 0 else high
        raise PolicyError(f"act: action {wrong} is out of range; allowed: 0 to {count - 1} ({count} actions)")


def check_memory(memory: object) -> None:
    """Refuse a memory that holds NaN: the arg-max of NaN is a valid action, so actions alone would hide it.

    Raises:
        PolicyError: if any floating-point tensor in nested tuples, lists, dicts or dataclasses has a NaN.
    """
    if isinstance(memory, Tensor):
        if memory.is_floating_point() and bool(memory.isnan().any()):
            raise PolicyError(f"act: the policy's memory holds NaN (a tensor of shape {tuple(memory.shape)})")
    elif isinstance(memory, tuple | list):
        for part in memory:
            check_memory(part)
    elif isinstance(memory, dict):
        for part in memory.values():
            check_memory(part)
    elif is_dataclass(memory):
        for entry in fields(memory):
            check_memory(getattr(memory, entry.name))
