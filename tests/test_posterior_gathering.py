"""Gathering's posterior: against the enumeration of all states of small boards, and its parts against plain Python."""

import math
from functools import cache
from itertools import combinations_with_replacement, product

import pytest
import torch

from benchmark.episodes.policy import BeliefPolicy, RandomPolicy
from benchmark.episodes.rollout import rollout
from benchmark.measures.posterior import bitboards, exact_posterior
from benchmark.measures.posterior.clouds import systematic
from benchmark.measures.posterior.filtering import Believing
from benchmark.measures.posterior.gathering import posterior
from benchmark.measures.posterior.moves import groups, move
from benchmark.measures.posterior.particles import look, start, ways
from benchmark.tasks.gathering import Gathering, GatheringState
from benchmark.tasks.streams import bits, episode_keys, policy_keys, uniform


class Enumeration:
    """The exact filter over all states of a small board."""

    def __init__(self, task):
        self.task, cells = task, task.width**2
        lying = [
            resources
            for resources in combinations_with_replacement(range(cells + 1), task.resources)
            if len({cell for cell in resources if cell < cells}) == sum(cell < cells for cell in resources)
        ]
        states = torch.tensor(
            [
                (*agents, *resources)
                for agents in product(range(cells), repeat=task.agents)
                for resources in lying
                if not set(agents) & set(resources)
            ]
        )
        state = GatheringState(*states.split((task.agents, task.resources), 1))
        self.observations, self.hidden = task.observe(state)[:, 0], task.hidden(state)
        number = (cells + 1) ** torch.arange(states.shape[1])
        codes, order = (states * number).sum(1).sort()
        self.leads = {}
        for actions in product(range(5), repeat=task.agents):
            step = task.transition(state, torch.tensor(actions).expand(len(states), -1), torch.zeros(len(states)), 0)
            following = torch.cat((step.state.agents, step.state.resources.sort(1).values), 1)
            index = torch.searchsorted(codes, (following * number).sum(1))
            self.leads[actions] = order[index.clamp(max=len(states) - 1)], ~step.terminated
        # Later two agents may share a cell: one that enters it while the other one is held back.
        distinct = torch.tensor([len(set(agents)) == task.agents for agents in state.agents.tolist()])
        self.prior = ((state.resources < cells).all(1) & distinct).double()

    def filter(self, observations, actions, agent):
        """Yield the marginals at every step, for observations [T, O] and joint actions [T, N]."""
        chance = self.prior
        for step, seen in enumerate(observations):
            chance = chance * (self.observations == seen).all(1)
            chance = chance / chance.sum()
            yield [self.marginal(chance, index) for index in range(self.hidden.shape[1])]
            following = torch.zeros_like(chance)
            for joint, (leads, alive) in self.leads.items():
                if joint[agent] == int(actions[step, agent]):
                    following.index_add_(0, leads, chance * alive)
            chance = following

    def marginal(self, chance, index):
        values = len(self.task.hidden_variables[index].values)
        return torch.zeros(values, dtype=torch.float64).index_add(0, self.hidden[:, index], chance)


@cache
def divergences(task, particles, episodes, steps):
    """Mean Kullback-Leibler divergence of the particles' marginals from the exact ones, per hidden variable."""
    exact = Enumeration(task)
    played = rollout(task, RandomPolicy(task.agents, 5), episode_keys("user", 0, 100))
    played = played[(played.lengths >= steps).nonzero()[:episodes, 0]]
    assert played.batch == episodes
    policy = Believing(RandomPolicy(task.agents, 5), posterior(task, 0.0, particles))
    filters = {
        (episode, agent): exact.filter(played.observations[episode, :steps, agent], played.actions[episode], agent)
        for episode in range(episodes)
        for agent in range(task.agents)
    }
    memory, found = policy.initial_memory(policy_keys(played.keys)), []
    for step in range(steps):
        _, memory = policy.act(played.observations[:, step], memory)
        beliefs = policy.belief(memory)
        for (episode, agent), exactly in filters.items():
            for index, truth in enumerate(next(exactly)):
                belief = beliefs[index][episode, agent].double().clamp(min=-14)
                divergence = (truth * (truth.clamp(min=1e-12).log() - belief)).sum()
                found.append((index, float(divergence)))
        memory = policy.with_actions(memory, played.actions[:, step])
    means = [[value for index, value in found if index == which] for which in range(len(task.hidden_variables))]
    return [sum(values) / len(values) for values in means]


@pytest.mark.parametrize(
    "task", [Gathering(2, 2, 4), Gathering(2, 1, 6)], ids=["two resources on 4 x 4", "one resource on 6 x 6"]
)
def test_agrees_with_enumeration(task):
    assert max(divergences(task, 2000, 2, 25)) < 0.03


def test_converges_to_enumeration():
    task = Gathering(2, 1, 5)
    few, many = (sum(divergences(task, particles, 3, 15)) for particles in (100, 4000))
    assert many < few / 3


def test_three_agents_agree_with_enumeration():
    assert max(divergences(Gathering(3, 1, 3), 800, 2, 6)) < 0.03


def test_moves_keep_the_posterior():
    """Of the first observation, in which nobody sees a wall or anybody: all fitting places are as likely."""
    task, particles = Gathering(2, 1, 7), 4000
    sight = look(torch.zeros(1, 18), 2)
    keys = episode_keys("user", 1, 1)
    cloud = start(task, sight, uniform(bits(keys, 0, "start", 64_000)).view(1, 2, -1), particles)
    accepted = torch.zeros(1)
    for sweep in range(12):
        for number, group in enumerate(groups(2)):
            draws = uniform(bits(keys, sweep, f"move-{number}", 3 * particles)).view(-1, 3)
            cloud, accepted = move(task, cloud, group, draws)
    assert 0 < float(accepted.mean()) <= 1
    fits = [
        (one, other)
        for one in product(range(1, 6), repeat=2)
        for other in product(range(1, 6), repeat=2)
        if max(abs(one[0] - other[0]), abs(one[1] - other[1])) > 1
    ]
    # More overlap of what both see leaves more cells to the resource.
    weights = {}
    for one, other in fits:
        seen = {(x + dx, y + dy) for x, y in (one, other) for dx in (-1, 0, 1) for dy in (-1, 0, 1)}
        weights[one] = weights.get(one, 0) + 49 - len(seen)
    expected = torch.tensor([weights[place] for place in product(range(1, 6), repeat=2)], dtype=torch.float64)
    index = (cloud.place[:, 0, 0] - 1) * 5 + cloud.place[:, 0, 1] - 1
    found = torch.bincount(index, minlength=25).double() / particles
    assert torch.allclose(found, expected / expected.sum(), atol=4 * math.sqrt(0.04 / particles))
    assert torch.allclose(cloud.log_count, ways(task, bitboards.union(cloud.maps, 1)))
    assert torch.equal(cloud.place.permute(1, 2, 0), cloud.paths[-1].to(torch.int32))


def test_every_particle_explains_the_whole_history():
    task, length = Gathering(3, 3, 7), 25
    episodes = rollout(task, RandomPolicy(3, 5), episode_keys("user", 5, 20))
    episodes = episodes[(episodes.lengths > length).nonzero()[:2, 0]]
    policy = Believing(RandomPolicy(3, 5), posterior(task, 0.0, 100))
    memory = policy.initial_memory(policy_keys(episodes.keys))
    for step in range(length):
        _, memory = policy.act(episodes.observations[:, step], memory)
        memory = policy.with_actions(memory, episodes.actions[:, step])
    checked = 0
    for mind in range(6):
        cloud, row = memory.evidence.clouds[0], mind * 100 + 7
        # A filter that began anew does not know what was before.
        if cloud.log_weight[mind, 7] == -torch.inf or memory.evidence.lost.flatten()[mind]:
            continue
        checked += 1
        known, found, before = {}, set(), None
        for step in range(length):
            places = [tuple(cloud.paths[step, agent, :, row].tolist()) for agent in range(3)]
            patches = episodes.observations[mind // 3, step, mind % 3].view(3, 3, 3).tolist()
            known |= {place: 0 for place in places}  # whatever lay there is taken
            now = {}
            for (x, y), patch in zip(places, patches, strict=True):
                for dx, dy in product((-1, 0, 1), repeat=2):
                    cell, code = (x + dx, y + dy), int(patch[dx + 1][dy + 1])
                    assert (code == -1) == (not (0 <= cell[0] < 7 and 0 <= cell[1] < 7))
                    assert (code == 2) == (cell in places and (dx, dy) != (0, 0) and cell != (x, y))
                    if code != -1:
                        resource = int(code == 1)
                        assert now.setdefault(cell, resource) == resource
                        assert known.get(cell, resource) == resource
            known |= now
            found |= {cell for cell, resource in now.items() if resource}
            for (x, y), (a, b) in zip(places, before or places, strict=True):
                assert abs(x - a) + abs(y - b) <= 1
            before = places
        unseen = math.comb(49 - len(known), 3 - len(found))
        assert float(cloud.log_count[row]) == pytest.approx(math.log(unseen), abs=1e-4)
    assert checked > 2


def test_an_agent_knows_its_own_actions_and_not_the_others():
    task = Gathering()
    policy = exact_posterior(task)
    assert isinstance(policy, BeliefPolicy)
    policy = Believing(RandomPolicy(3, 5), posterior(task, 0.0, 64))
    episodes = rollout(task, RandomPolicy(3, 5), episode_keys("user", 0, 2))
    memory = policy.initial_memory(policy_keys(episodes.keys))
    _, memory = policy.act(episodes.observations[:, 0], memory)
    told = policy.with_actions(memory, torch.zeros(2, 3, dtype=torch.int64))
    other = policy.with_actions(memory, torch.tensor([[0, 0, 1]] * 2))
    beliefs, others = (policy.belief(policy.act(episodes.observations[:, 1], variant)[1]) for variant in (told, other))
    for one, two in zip(beliefs, others, strict=True):
        assert torch.equal(one[:, :2], two[:, :2])
    assert not torch.equal(beliefs[-1][:, 2], others[-1][:, 2])


def test_an_episode_is_filtered_alike_alone():
    task = Gathering()
    policy = Believing(RandomPolicy(3, 5), posterior(task, 0.0, 64))
    episodes = rollout(task, RandomPolicy(3, 5), episode_keys("user", 3, 3))

    def beliefs(rows):
        memory = policy.initial_memory(policy_keys(episodes.keys[rows]))
        for step in range(12):
            _, memory = policy.act(episodes.observations[rows, step], memory)
            memory = policy.with_actions(memory, episodes.actions[rows, step])
        return policy.belief(memory)

    together = beliefs(slice(0, 3))
    for episode in range(3):
        for belief, alone in zip(together, beliefs(slice(episode, episode + 1)), strict=True):
            assert torch.allclose(belief[episode].exp(), alone[0].exp(), atol=1e-5)
            assert torch.allclose(alone.exp().sum(-1), torch.ones(1, 3), atol=1e-4)


def test_refuses_wide_boards_and_wide_views():
    with pytest.raises(ValueError, match=r"width=40 is above 28"):
        exact_posterior(Gathering(width=40))
    with pytest.raises(ValueError, match=r"view_radius=2 must be 1"):
        exact_posterior(Gathering(view_radius=2))


def test_bit_boards():
    marks = torch.zeros(1, 5, 5, dtype=torch.bool)
    marks[0, 1, 0] = marks[0, 2, 1] = marks[0, 4, 4] = True
    rows = (marks.to(torch.int32) << torch.arange(1, 6)).sum(-1)
    board = torch.nn.functional.pad(rows, (1, 1)).to(torch.int32)
    assert torch.equal(bitboards.unpack(board), marks.flatten(1))
    assert bitboards.count(board).tolist() == [3]
    place = torch.tensor([[1]], dtype=torch.int32)
    windows = bitboards.around(board, place, place)[0, 0]
    # Right, left, up, down and here; a window's bits go x by x.
    patches = [
        torch.nn.functional.pad(marks[0], (1, 1, 1, 1))[x : x + 3, y : y + 3]
        for x, y in ((2, 1), (0, 1), (1, 2), (1, 0), (1, 1))
    ]
    assert windows.tolist() == bitboards.pack(torch.stack(patches).flatten(1)).tolist()
    stamped = bitboards.stamp(bitboards.pack(patches[4].flatten()[None]), place[0], place[0], 5)
    marks[0, 4, 4] = False
    assert torch.equal(bitboards.unpack(stamped), marks.flatten(1))
    moved = bitboards.shift(stamped, torch.tensor([[2, 3]], dtype=torch.int32))
    assert bitboards.unpack(moved).nonzero()[:, 1].tolist() == [3 * 5 + 3, 4 * 5 + 4]


def test_systematic_resampling_keeps_shares():
    weights = torch.tensor([[0.0, 0.5, 0.25, 0.25, 0.0]], dtype=torch.float64)
    for offset in (0.0, 0.3, 0.99):
        chosen = systematic(weights, torch.tensor([offset]), 8)
        assert torch.bincount(chosen[0], minlength=5).tolist() == [0, 4, 2, 2, 0]
