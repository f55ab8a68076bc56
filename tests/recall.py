"""The smallest task that needs memory, and nothing else: for learners with recurrent networks.

Recall: each agent is shown one of three cues at step 0, its own, and must name it two steps later: +1 for each agent
that does. Without memory the team expects 2/3, with memory 2.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from baselines.replay import Sequences
from benchmark.tasks.streams import below, bits
from benchmark.tasks.task import Field, HiddenVariable, Layout, Task, Transition, one_hot


class RecallState(NamedTuple):
    cue: Tensor  # int64 [B, N]
    time: Tensor  # int64 [B]


@dataclass(frozen=True)
class Recall(Task):
    @property
    def agents(self) -> int:
        return 2

    @property
    def action_names(self) -> tuple[str, ...]:
        return ("a", "b", "c")

    @property
    def horizon(self) -> int:
        return 3

    @property
    def observation_layout(self) -> Layout:
        return Layout((Field("cue", 3, 0, 1), Field("time", 1, 0, 3)))

    @property
    def state_layout(self) -> Layout:
        return Layout((Field("cue", 2, 0, 2), Field("time", 1, 0, 3)))

    @property
    def hidden_variables(self) -> tuple[HiddenVariable, ...]:
        return tuple(HiddenVariable(f"cue-{agent}", "categorical", (0, 1, 2)) for agent in range(2))

    @property
    def shared_reward(self) -> bool:
        return False

    def initial_state(self, keys: Tensor) -> RecallState:
        cue = below(bits(keys, 0, "cue", 2), 3)
        return RecallState(cue, torch.zeros_like(cue[:, 0]))

    def transition(self, state: RecallState, actions: Tensor, keys: Tensor, step: int) -> Transition:
        last = state.time == self.horizon - 1
        reward = ((actions == state.cue) & last[:, None]).to(torch.float32)
        return Transition(RecallState(state.cue, state.time + 1), reward, last, actions)

    def observe(self, state: RecallState) -> Tensor:
        shown = one_hot(state.cue, 3) * (state.time == 0)[:, None, None]
        time = state.time[:, None, None].expand(-1, 2, 1).to(torch.float32)
        return torch.cat((shown, time), 2)

    def state_vector(self, state: RecallState) -> Tensor:
        return torch.cat((state.cue, state.time[:, None]), 1).to(torch.float32)

    def hidden(self, state: RecallState) -> Tensor:
        return state.cue


def random_batch(runs: int, seed: int) -> Sequences:
    """A made-up batch of Recall."""
    generator = torch.Generator().manual_seed(seed)
    shape = (runs, 2, 5, 3)
    return Sequences(
        torch.rand(*shape[:3], 4, 4, generator=generator),
        torch.randint(3, shape, generator=generator),
        torch.rand(shape, generator=generator),
        torch.randint(2, (runs, 1, 5, 3), generator=generator).expand(shape).to(torch.float32),
        torch.ones(runs, 5, 3, dtype=torch.bool),
    )
