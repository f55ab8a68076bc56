"""The smallest complete task: what a third party writes to bring a world of their own.

Whisper: a coin lies heads or tails. Agent 0 is shown it at step 0; from then on every agent hears, at every step, a
whisper that is right with probability 0.8. The first agent to say heads or tails ends the episode: +1 if all who
speak are right, -1 otherwise. Waiting costs 0.1 a step.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.tasks.streams import below, bits, chance
from benchmark.tasks.task import Field, HiddenVariable, Layout, Task, Transition, replicate


class WhisperState(NamedTuple):
    coin: Tensor  # int64 [B]; 0 heads, 1 tails
    heard: Tensor  # int64 [B, N]; what each agent heard last, -1 nothing
    time: Tensor  # int64 [B]


@dataclass(frozen=True)
class Whisper(Task):
    team_size: int = 2
    steps: int = 5

    @property
    def agents(self) -> int:
        return self.team_size

    @property
    def action_names(self) -> tuple[str, ...]:
        return ("wait", "heads", "tails")

    @property
    def horizon(self) -> int:
        return self.steps

    @property
    def observation_layout(self) -> Layout:
        return Layout((Field("heard", 1, -1, 1), Field("time", 1, 0, self.steps)))

    @property
    def state_layout(self) -> Layout:
        return Layout((Field("coin", 1, 0, 1), Field("time", 1, 0, self.steps)))

    @property
    def hidden_variables(self) -> tuple[HiddenVariable, ...]:
        return (HiddenVariable("coin", "categorical", ("heads", "tails")),)

    def initial_state(self, keys: Tensor) -> WhisperState:
        coin = below(bits(keys, 0, "coin", 1), 2)[:, 0]
        heard = torch.full((keys.shape[0], self.agents), -1, device=keys.device)
        heard[:, 0] = coin
        return WhisperState(coin, heard, torch.zeros_like(coin))

    def transition(self, state: WhisperState, actions: Tensor, keys: Tensor, step: int) -> Transition:
        spoken = actions > 0
        right = (~spoken | (actions - 1 == state.coin[:, None])).all(1)
        ended = spoken.any(1)
        reward = torch.where(ended, torch.where(right, 1.0, -1.0), -0.1)
        truthful = chance(bits(keys, step, "whisper", self.agents), 0.8)
        heard = torch.where(truthful, state.coin[:, None], 1 - state.coin[:, None])
        after = WhisperState(state.coin, heard, state.time + 1)
        return Transition(after, replicate(reward, self.agents), ended, actions)

    def observe(self, state: WhisperState) -> Tensor:
        time = state.time[:, None].expand_as(state.heard)
        return torch.stack((state.heard, time), 2).to(torch.float32)

    def state_vector(self, state: WhisperState) -> Tensor:
        return torch.stack((state.coin, state.time), 1).to(torch.float32)

    def hidden(self, state: WhisperState) -> Tensor:
        return state.coin[:, None]
