"""Memory and action: what every recurrent value learner here shares."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from baselines.networks import GRU, MLP
from benchmark.tasks.streams import below, bits, chance
from benchmark.tasks.task import Layout, Task, one_hot

# Fields with more entries than this are pictures of the board: codes of cells, most of them empty.
PICTURE = 50


class Scaling(NamedTuple):
    """Centre and scale observations: ``(x - shift) * factor``."""

    shift: Tensor  # float32 [O]
    factor: Tensor  # float32 [O]

    def __call__(self, observations: Tensor) -> Tensor:
        """Scale ``[..., O]``."""
        return (observations - self.shift) * self.factor


def scaling(layout: Layout, scale: float, device: torch.device | str = "cpu") -> Scaling:
    """Return the scaling that puts every entry's declared bounds at ``-scale`` and ``scale``.

    Entries whose two bounds are equal become 0. In pictures (fields of more than ``PICTURE`` entries) the empty cell
    stays 0: a hundred empty cells at ``-scale`` would drown whatever else an agent sees. Scale 0 leaves everything as
    it is.
    """
    low, high = (torch.tensor(bound, dtype=torch.float32, device=device) for bound in layout.bounds())
    if scale == 0:
        return Scaling(torch.zeros_like(low), torch.ones_like(low))
    picture = torch.tensor([field.size > PICTURE for field in layout.fields for _ in range(field.size)], device=device)
    centre = torch.where(picture, 0.0, (low + high) / 2)
    reach = torch.maximum(high - centre, centre - low)
    return Scaling(centre, torch.where(reach > 0, scale / reach, 0.0))


class RecurrentQ(nn.Module):
    """Action values from an agent's history: ``h_t = GRU([o_t, onehot(a_{t-1})])``, ``Q = MLP([o_t, h_t])``.

    Args:
        run_keys: int64 ``[R]``, from which the weights are drawn.
        task: for the number of agents N, of actions A and the length O of observations.
        hidden: H, units of the GRU.
        width: units in each of the two hidden layers of the MLP.
    """

    def __init__(self, run_keys: Tensor, task: Task, hidden: int, width: int) -> None:
        super().__init__()
        observation, self.actions = task.observation_layout.size, len(task.action_names)
        self.gru = GRU(run_keys, task.agents, observation + self.actions, hidden, "history")
        self.head = MLP(run_keys, task.agents, (observation + hidden, width, width, self.actions), "q")

    def histories(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Summarise every prefix of whole episodes.

        Args:
            observations: float32 ``[R, N, B, T + 1, O]``, scaled.
            actions: int64 ``[R, N, B, T]``.

        Returns:
            float32 ``[R, N, B, T + 1, H]``; entry ``t`` has seen observations up to ``t`` and actions before ``t``.
        """
        before = pad(one_hot(actions, self.actions), (0, 0, 1, 0))
        return self.gru(torch.cat((observations, before), -1))

    def remember(self, observations: Tensor, before: Tensor, hidden: Tensor) -> Tensor:
        """Take one step: from ``[R, N, B, O]``, one-hot previous actions and ``[R, N, B, H]`` to the next ``H``."""
        return self.gru.step(torch.cat((observations, before), -1), hidden)

    def values(self, observations: Tensor, hidden: Tensor) -> Tensor:
        """Return the values ``[R, N, ..., A]`` of scaled observations ``[R, N, ..., O]`` and histories."""
        return self.head(torch.cat((observations, hidden), -1))

    def forward(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Return the values ``[R, N, B, T + 1, A]`` along whole episodes; arguments as for ``histories``."""
        return self.values(observations, self.histories(observations, actions))


class MemorylessQ(RecurrentQ):
    """The same network with its memory switched off: the history is 0 whatever happened, and the GRU idle."""

    def histories(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Return zeros ``[R, N, B, T + 1, H]``."""
        return observations.new_zeros(*observations.shape[:-1], self.gru.hidden_weight.shape[2])

    def remember(self, observations: Tensor, before: Tensor, hidden: Tensor) -> Tensor:
        """Return what is there, zeros ``[R, N, B, H]``."""
        return hidden


def exploration(
    bout: Tensor, keys: Tensor, step: int, actions: int, epsilon: float, persistence: float = 0.0
) -> Tensor:
    """Decide which agents explore at this step, and with which action.

    An agent explores in bouts: it draws one action uniformly from all A and repeats it, after every step with
    probability ``persistence`` once more. Bouts start just often enough that every agent explores at every step with
    probability ``epsilon``. Persistence 0 is epsilon-greedy; above it is a geometric variant of Dabney, Ostrovski &
    Barreto, *Temporally-Extended epsilon-Greedy Exploration*, ICLR 2021.

    Args:
        bout: int64 ``[B, N]``: each agent's exploratory action of the step before, -1 for none.
        keys: int64 ``[B]`` policy keys.
        step: time step.
        actions: A.
        epsilon: share of exploratory steps, 0 to 1.
        persistence: probability that a bout goes on, 0 to below 1.

    Returns:
        int64 ``[B, N]``: exploratory actions, -1 where the agent acts greedily.
    """
    if epsilon == 0.0:
        return torch.full_like(bout, -1)
    agents = bout.shape[1]
    draws = bits(keys, step, "exploration", 2 * agents)
    ended = epsilon * (1.0 - persistence)
    start = epsilon if step == 0 else ended / (ended + 1.0 - epsilon)
    fresh = torch.where(chance(draws[:, :agents], start), below(draws[:, :agents], actions), -1)
    return torch.where((bout >= 0) & chance(draws[:, agents:], persistence), bout, fresh)


class RecurrentMemory(NamedTuple):
    """What a recurrent policy carries from step to step."""

    keys: Tensor  # int64 [B]
    step: int
    before: Tensor  # float32 [B, N, A]: one-hot previous actions; zero at the start
    hidden: Tensor  # float32 [R, N, B / R, H]
    bout: Tensor  # int64 [B, N]: exploratory actions of the step before, -1 for none


class RecurrentPolicy:
    """Act greedily on the values of a ``RecurrentQ``, but for bouts of exploration.

    Args:
        network: of R runs; the batch is run-major. It is read at every step, not copied.
        scale: how the network wants its observations.
        epsilon: share of exploratory steps, see ``exploration``.
        persistence: see ``exploration``.
    """

    def __init__(self, network: RecurrentQ, scale: Scaling, epsilon: float = 0.0, persistence: float = 0.0) -> None:
        self.network = network
        self.scale = scale
        self.epsilon = epsilon
        self.persistence = persistence

    def initial_memory(self, keys: Tensor) -> RecurrentMemory:
        """Start every episode with a zero hidden state and no previous action."""
        runs, agents = self.network.gru.hidden_weight.shape[:2]
        hidden = self.network.gru.initial_hidden(keys.shape[0] // runs)
        before = hidden.new_zeros(keys.shape[0], agents, self.network.actions)
        return RecurrentMemory(keys, 0, before, hidden, keys.new_full((keys.shape[0], agents), -1))

    @torch.no_grad()
    def act(self, observations: Tensor, memory: RecurrentMemory) -> tuple[Tensor, RecurrentMemory]:
        """Choose actions ``[B, N]`` from observations ``[B, N, O]``; each agent sees its own row only."""
        runs = memory.hidden.shape[0]
        scaled = self.scale(observations).unflatten(0, (runs, -1)).transpose(1, 2)  # [R, N, B / R, O]
        before = memory.before.unflatten(0, (runs, -1)).transpose(1, 2)
        hidden = self.network.remember(scaled, before, memory.hidden)
        greedy = self.network.values(scaled, hidden).argmax(-1).transpose(1, 2).flatten(0, 1)
        count = self.network.actions
        bout = exploration(memory.bout, memory.keys, memory.step, count, self.epsilon, self.persistence)
        actions = torch.where(bout >= 0, bout, greedy)
        return actions, RecurrentMemory(memory.keys, memory.step + 1, one_hot(actions, count), hidden, bout)

    def with_actions(self, memory: RecurrentMemory, actions: Tensor) -> RecurrentMemory:
        """Remember the actions ``[B, N]`` that were really taken."""
        return memory._replace(before=one_hot(actions, self.network.actions))
