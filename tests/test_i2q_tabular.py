"""The rule itself, in tables: where independent learners need to agree, it finds the best, and Q-learning does not."""

import torch
from torch import Tensor

from baselines.losses import chosen, ideal_values, lambda_returns, regression_loss

GAMES, LAYERS, ACTIONS = 20, 5, 3
STATES = ACTIONS * ACTIONS  # in each layer; the nine joint actions lead to the nine states of the next one


class Games:
    """Random deterministic team games of two agents, one for each run: rewards of pairs of states."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        shuffled = torch.rand(GAMES, LAYERS, STATES, STATES, generator=generator).argsort(-1)
        self.following = shuffled.unflatten(-1, (ACTIONS, ACTIONS))  # [R, layers, s, a_0, a_1]
        self.rewards = torch.rand(GAMES, LAYERS, STATES, STATES, generator=generator).square()  # [R, layers, s, s']

    def optimum(self) -> Tensor:
        """Return the best return from state 0, ``[R]``."""
        values = torch.zeros(GAMES, 1, STATES)
        for layer in reversed(range(LAYERS)):
            values = (self.rewards[:, layer] + values).amax(-1)[:, None]
        return values[:, 0, 0]

    def play(self, q: Tensor) -> Tensor:
        """Return what greedy agents with values ``[R, N, layers, s, a]`` get from state 0, ``[R]``."""
        runs, state, total = torch.arange(GAMES), torch.zeros(GAMES, dtype=torch.int64), torch.zeros(GAMES)
        for layer in range(LAYERS):
            first, second = (q[runs, agent, layer, state].argmax(-1) for agent in range(2))
            after = self.following[runs, layer, state, first, second]
            total, state = total + self.rewards[runs, layer, state, after], after
        return total


def everything(games: Games) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return state, actions, next state and reward of every transition, as seen by uniformly exploring agents.

    Each ``[R, N, layers, STATES * STATES]``: what the losses call episodes are layers, their steps are transitions.
    """
    grid = torch.cartesian_prod(torch.arange(STATES), torch.arange(ACTIONS), torch.arange(ACTIONS))
    state, first, second = (column.expand(GAMES, 2, LAYERS, -1) for column in grid.T)
    actions = torch.stack((first[:, 0], second[:, 1]), 1)
    after = games.following.flatten(2)[:, None].expand(-1, 2, -1, -1)
    rewards = games.rewards.flatten(2)[:, None].expand(-1, 2, -1, -1).gather(-1, state * STATES + after)
    return state, actions, after, rewards


def next_layer(values: Tensor) -> Tensor:
    """Move values of states ``[R, N, layers, s]`` one layer ahead; nothing follows the last."""
    return torch.cat((values[:, :, 1:], torch.zeros_like(values[:, :, :1])), 2)


def look_up(table: Tensor, state: Tensor, column: Tensor) -> Tensor:
    """Return ``table [R, N, layers, s, c]`` at states and columns ``[R, N, layers, T]``."""
    return table.flatten(3).gather(-1, state * table.shape[-1] + column)


def one_step(rewards: Tensor, values: Tensor) -> Tensor:
    return lambda_returns(rewards, torch.ones_like(rewards), values, 0.0)


def learn(games: Games, i2q: bool, sweeps: int = 200) -> Tensor:
    """Return the values ``[R, N, layers, s, a]`` after gradient descent on all transitions at once."""
    state, actions, after, rewards = everything(games)
    mask = torch.ones(GAMES, LAYERS, state.shape[-1], dtype=torch.bool)
    q = torch.zeros(GAMES, 2, LAYERS, STATES, ACTIONS, requires_grad=True)
    qss = torch.zeros(GAMES, 2, LAYERS, STATES, STATES, requires_grad=True)
    # Which next states each agent has seen its own action lead to: f proposes the best of them.
    seen = torch.zeros(GAMES, 2, LAYERS, STATES, ACTIONS, STATES, dtype=torch.bool)
    runs, agents, layers = torch.meshgrid(*map(torch.arange, (GAMES, 2, LAYERS)), indexing="ij")
    seen[runs[..., None], agents[..., None], layers[..., None], state, actions, after] = True
    optimiser = torch.optim.Adam((q, qss), lr=0.05)
    for _ in range(sweeps):
        with torch.no_grad():
            hoped = qss[..., None, :].where(seen, -torch.inf).amax(-1)  # Qss(s, f(s, a)): [R, N, layers, s, a]
            greedy = chosen(hoped, q.argmax(-1)) if i2q else q.amax(-1)
            targets = one_step(rewards, next_layer(greedy).gather(-1, after))
            ideal = ideal_values(look_up(qss, state, after), look_up(hoped, state, actions))
        loss = regression_loss(look_up(q, state, actions), ideal if i2q else targets, mask)
        if i2q:
            loss = loss + regression_loss(look_up(qss, state, after), targets, mask)
        optimiser.zero_grad()
        loss.sum().backward()
        optimiser.step()
    return q.detach()


def test_i2q_reaches_the_optimum_of_random_team_games_where_independent_q_learning_does_not():
    games = Games()
    optimum = games.optimum()
    ideal, plain = (games.play(learn(games, i2q)) / optimum for i2q in (True, False))
    assert ideal.min() > 0.999, ideal
    assert (plain < 0.95).sum() >= GAMES // 2, plain
