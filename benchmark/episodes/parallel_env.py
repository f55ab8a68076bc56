"""Any task as a PettingZoo ``ParallelEnv``: one episode at a time, NumPy in and out.

This is the door for other people's code. Rollouts for training and evaluation do not pass through it.

It steps under ``no_grad`` and not under ``inference_mode``: a table that a task builds and keeps on first use would
become an inference tensor, which whoever trains later in the same process cannot differentiate through.
"""

from collections.abc import Mapping
from operator import index
from typing import Any, SupportsIndex

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete, Space
from pettingzoo import ParallelEnv

from benchmark.episodes import render
from benchmark.tasks.registry import make_task
from benchmark.tasks.streams import episode_keys
from benchmark.tasks.task import Layout, Task

DEFAULT_SEED = 0
_RENDERERS = {"ansi": render.ansi, "rgb_array": render.rgb_array}


class TaskParallelEnv(ParallelEnv[str, np.ndarray, np.int64]):
    """Plays the episodes of one seed's stream in the namespace ``"user"``, one after the other.

    Episode ``k`` after ``reset(seed=s)`` has the key ``episode_keys("user", s, 1, start=k)``, so it is the episode
    that ``rollout`` plays with that key, bit for bit. An environment that was never given a seed uses
    ``DEFAULT_SEED``: two fresh environments play the same episodes. A pickled environment continues identically.

    All agents live from the first step to the last. Reaching the horizon truncates unless the task terminates in
    that step. Infos hold ``"episode_key"`` and ``"executed_action"``: what took effect (it differs under slip), -1
    before the first step.

    Args:
        task: a task id (``"oracle-v0:slip=0.1"``) or a task.
        render_mode: ``"ansi"``, ``"rgb_array"`` or None.

    Raises:
        ValueError: if the task id or the render mode is unknown.
    """

    def __init__(self, task: str | Task, render_mode: str | None = None) -> None:
        if render_mode is not None and render_mode not in _RENDERERS:
            raise ValueError(f"render_mode={render_mode!r} is unknown; allowed: {', '.join(_RENDERERS)}, None")
        self.task = make_task(task) if isinstance(task, str) else task
        self.render_mode = render_mode
        name = task if isinstance(task, str) else type(task).__name__
        self.metadata = {"name": name, "render_modes": list(_RENDERERS), "render_fps": 4, "is_parallelizable": True}
        self.possible_agents = [f"agent_{number}" for number in range(self.task.agents)]
        self.agents: list[str] = []
        observed, actions = self.task.observation_layout, len(self.task.action_names)
        self.observation_spaces: dict[str, Space[np.ndarray]] = {
            agent: _box(observed) for agent in self.possible_agents
        }
        self.action_spaces: dict[str, Space[np.int64]] = {agent: Discrete(actions) for agent in self.possible_agents}
        self.state_space = _box(self.task.state_layout)
        self._actions, self._horizon = actions, self.task.horizon
        self._seed, self._episodes = DEFAULT_SEED, 0
        self._keys = torch.empty(0, dtype=torch.int64)
        self._key, self._step = 0, 0
        self._state: Any = None

    def observation_space(self, agent: str) -> Space[np.ndarray]:
        """Return the space of an agent's observations, float32 ``[O]``."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Space[np.int64]:
        """Return the space of an agent's actions."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]:
        """Start the next episode.

        Args:
            seed: start the stream of this seed from its first episode; None continues the present stream.
            options: unused; part of PettingZoo's signature.

        Returns:
            Observations and infos by agent.

        Raises:
            ValueError: if the seed is not an integer in ``[0, 2**63)``.
        """
        if seed is not None:
            if not isinstance(seed, int | np.integer) or not 0 <= seed < 2**63:
                raise ValueError(f"reset: seed={seed!r} is not allowed; allowed: integers from 0 to 2**63 - 1, None")
            self._seed, self._episodes = int(seed), 0
        self._episodes += 1
        return self._begin(episode_keys("user", self._seed, 1, start=self._episodes - 1))

    @torch.no_grad()
    def _begin(self, key: torch.Tensor) -> tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]:
        """Start the episode with this key, int64 ``[1]``."""
        self._keys = key
        self._key, self._step = int(self._keys), 0
        self._state = self.task.initial_state(self._keys)
        self.agents = list(self.possible_agents)
        infos: dict[str, dict[str, Any]] = {
            agent: {"executed_action": -1, "episode_key": self._key} for agent in self.agents
        }
        return dict(zip(self.agents, self._observe(), strict=True)), infos

    @torch.no_grad()
    def step(
        self, actions: Mapping[str, SupportsIndex]
    ) -> tuple[
        dict[str, np.ndarray],
        dict[str, float],
        dict[str, bool],
        dict[str, bool],
        dict[str, dict[str, Any]],
    ]:
        """Apply one action per agent.

        Returns:
            Observations, rewards, terminations, truncations and infos by agent.

        Raises:
            ValueError: if no episode is running, or an agent's action is missing or not allowed.
        """
        joint_action = torch.tensor([self._checked(actions)])
        result = self.task.transition(self._state, joint_action, self._keys, self._step)
        self._state = result.state
        self._step += 1
        terminated = bool(result.terminated)
        truncated = not terminated and self._step >= self._horizon
        agents, key = self.agents, self._key
        infos: dict[str, dict[str, Any]] = {
            agent: {"executed_action": action, "episode_key": key}
            for agent, action in zip(agents, result.executed.tolist()[0], strict=True)
        }
        if terminated or truncated:
            self.agents = []
        return (
            dict(zip(agents, self._observe(), strict=True)),
            dict(zip(agents, result.reward.tolist()[0], strict=True)),
            dict.fromkeys(agents, terminated),
            dict.fromkeys(agents, truncated),
            infos,
        )

    @torch.no_grad()
    def state(self) -> np.ndarray:
        """Return the global state, float32 ``[S]``: for centralised training only.

        Raises:
            ValueError: before the first ``reset``.
        """
        return self.task.state_vector(self._started("state"))[0].numpy().copy()

    @torch.no_grad()
    def hidden_state(self) -> dict[str, Any]:
        """Return the value of every hidden variable by name: for diagnosis, never for agents.

        Raises:
            ValueError: before the first ``reset``.
        """
        indices = self.task.hidden(self._started("hidden_state"))[0].tolist()
        return {
            variable.name: variable.values[index]
            for variable, index in zip(self.task.hidden_variables, indices, strict=True)
        }

    @torch.no_grad()
    def render(self) -> str | np.ndarray:
        """Return a picture of the present state: text, or uint8 ``[height, width, 3]``.

        Raises:
            ValueError: before the first ``reset``, or if the environment was made without a render mode.
        """
        if self.render_mode is None:
            raise ValueError(f"render: render_mode=None; make it with one of: {', '.join(_RENDERERS)}")
        return _RENDERERS[self.render_mode](self.task, self._started("render"))

    def close(self) -> None:
        """Do nothing: there is nothing to release."""

    def _started(self, method: str) -> Any:
        if self._state is None:
            raise ValueError(f"{method}: no episode has begun; call reset() first")
        return self._state

    def _observe(self) -> np.ndarray:
        # A copy: what is handed out shares memory neither with the state nor between agents.
        return self.task.observe(self._state)[0].numpy().copy()

    def _checked(self, actions: Mapping[str, SupportsIndex]) -> list[int]:
        agents, allowed = self.agents, self._actions
        if not agents:
            raise ValueError("step: no episode is running; call reset() first")
        chosen = []
        for agent in agents:
            try:
                action = index(actions[agent])  # any integer: Python's, NumPy's, a tensor of one element
            except KeyError:
                raise ValueError(f"step: action of {agent!r} is missing; allowed: 0 to {allowed - 1}") from None
            except TypeError:
                raise ValueError(
                    f"step: action {actions[agent]!r} of {agent!r} is no integer; allowed: 0 to {allowed - 1}"
                ) from None
            if not 0 <= action < allowed:
                raise ValueError(f"step: action {action} of {agent!r} is out of range; allowed: 0 to {allowed - 1}")
            chosen.append(action)
        if len(actions) != len(agents):
            stranger = next(agent for agent in actions if agent not in agents)
            raise ValueError(f"step: agent {stranger!r} is unknown; allowed: {', '.join(agents)}")
        return chosen


def make(task_id: str, render_mode: str | None = None) -> TaskParallelEnv:
    """Make the PettingZoo environment of a task.

    Raises:
        ValueError: if the task id or the render mode is unknown; the message names what is allowed.
    """
    return TaskParallelEnv(task_id, render_mode)


def _box(layout: Layout) -> Box:
    low, high = layout.bounds()
    return Box(np.array(low, np.float32), np.array(high, np.float32), dtype=np.float32)
