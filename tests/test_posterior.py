"""Exact posteriors against enumeration of everything that may have happened, and against how often they are right."""

from itertools import combinations, product

import pytest
import torch

from benchmark.episodes.policy import BeliefPolicy, RandomPolicy
from benchmark.episodes.rollout import rollout
from benchmark.measures.posterior import exact_posterior, oracle_noisy, oracle_walks
from benchmark.measures.posterior import oracle as oracle_filter
from benchmark.measures.posterior.filtering import log_normalised
from benchmark.tasks import oracle
from benchmark.tasks.escape_room import EXITS, INTERIOR, EscapeRoom, EscapeRoomState
from benchmark.tasks.gathering import Gathering
from benchmark.tasks.honeycomb import GOALS, HoneyComb
from benchmark.tasks.oracle import BOXES, SPENT, UNTOUCHED, Oracle, OracleState
from benchmark.tasks.organization import Organization
from benchmark.tasks.perturb import Dropout, Noise, Slip, Sticky, Transform
from benchmark.tasks.registry import random_start
from benchmark.tasks.streams import episode_keys
from benchmark.tasks.task import take


def looks(task, worlds, agent, seen, noise):
    """Return float64 [W], up to a factor: how likely an agent sees just this in each world.

    Who sees nothing but zeros is blind, and everything fits. Noise is uniform within its reach, and cut at the bounds.
    """
    true = task.observe(worlds)[:, agent]
    if not noise:
        return ((true == seen).all(1) | (seen == 0).all()).double()
    low, high = (true.new_tensor(bound) for bound in task.observation_layout.bounds())
    reach = noise * (high - low) / 2
    short, far = low - (true - reach), true + reach - high  # how much of what may be seen is cut off
    within = ((seen - true).abs() <= reach + 1e-6).double()
    cut = torch.where(seen == low, short, far).clamp(min=0.0).double() / (2 * reach)
    return torch.where((seen == low) | (seen == high), cut, within).prod(1)


def enumerated(task, worlds, agent, episodes, row, steps, slip=0.0, noise=0.0):
    """Return, for each step, each hidden variable's posterior given one agent's history, by playing out everything.

    Worlds [W] are all initial states that are as likely. Everybody's every action is tried at every step, weighted by
    its probability: the agent's own is what it chose but for slips, all others' are uniform.
    """
    count = len(task.action_names)
    weight = torch.ones(len(worlds[0]), dtype=torch.float64)
    for step in range(steps):
        weight = weight * looks(task, worlds, agent, episodes.observations[row, step, agent], noise)
        worlds, weight = take(worlds, weight > 0), weight[weight > 0]
        hidden = task.hidden(worlds)
        yield [
            torch.zeros(len(variable.values), dtype=torch.float64).index_add(0, hidden[:, index], weight) / weight.sum()
            for index, variable in enumerate(task.hidden_variables)
        ]
        chosen = int(episodes.actions[row, step, agent])
        own = [slip / count + (1 - slip) * (action == chosen) for action in range(count)]
        joint = [j for j in product(range(count), repeat=task.agents) if own[j[agent]] > 0]
        following = []
        for actions in joint:
            result = task.transition(worlds, torch.tensor([actions]).expand(len(weight), -1), weight.long(), step)
            going_on = ~result.terminated
            following.append((take(result.state, going_on), weight[going_on] * own[actions[agent]]))
        worlds = type(worlds)(*(torch.cat(parts) for parts in zip(*(state for state, _ in following), strict=True)))
        weight = torch.cat([weights for _, weights in following])


def oracle_worlds(cells):
    box = torch.arange(len(BOXES))
    return OracleState(torch.tensor([cells]).expand(3, 2), box, torch.full_like(box, UNTOUCHED))


def room_worlds(cells):
    at = EscapeRoom().board.at
    free = sorted({at(cell) for cell in INTERIOR} - set(cells))
    every = [(*pair, at(leave)) for pair in combinations(free, 2) for leave in EXITS]
    keys = torch.tensor(every)
    agents = torch.tensor([cells]).expand(len(every), 2)
    return EscapeRoomState(agents, keys[:, :2], keys[:, 2], torch.zeros_like(keys[:, :2], dtype=torch.bool))


def honey_worlds(task, keys):
    state = take(task.initial_state(keys), [0] * len(GOALS))
    return state._replace(special=torch.arange(len(GOALS)))


def beliefs_at(task, episodes, steps):
    """Yield the exact posterior's beliefs [B, N, V] at each step of recorded episodes."""
    policy = exact_posterior(task)
    memory = policy.initial_memory(episodes.keys)
    for step in range(steps):
        _, memory = policy.act(episodes.observations[:, step], memory)
        yield policy.belief(memory)
        memory = policy.with_actions(memory, episodes.actions[:, step])


def agree(task, played, state, worlds, keys, steps, slip, monkeypatch, noise=0.0):
    monkeypatch.setattr(type(task), "initial_state", lambda self, keys: take(state, [0] * len(keys)))
    episodes = rollout(played, RandomPolicy(task.agents, len(task.action_names)), keys)
    steps = min(steps, int(episodes.lengths.min()))
    for agent in range(task.agents):
        for row in range(len(keys)):
            exact = enumerated(task, worlds, agent, episodes, row, steps, slip, noise)
            for step, (expected, found) in enumerate(zip(exact, beliefs_at(played, episodes, steps), strict=True)):
                for index, distribution in enumerate(expected):
                    believed = found[index][row, agent].exp().double()
                    assert torch.allclose(believed, distribution, atol=1e-6), (row, step, agent, index)


@pytest.mark.parametrize("slip", [0.0, 0.3])
@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_oracle_by_enumeration(slip, penalty, monkeypatch):
    """From beside the oracle and beside a box: three steps of all 81 joint actions."""
    task = Oracle(wrong_box_penalty=penalty)
    cells = (task.board.at((16, 2)), task.board.at((2, 4)))
    worlds = oracle_worlds(cells)
    played = Slip(task, slip) if slip else task
    agree(task, played, take(worlds, [1]), worlds, episode_keys("user", 0, 6), 3, slip, monkeypatch)


@pytest.fixture
def crowded(monkeypatch):
    """Oracle with two boxes and the oracle one step away, so that walks tell of boxes and of visits in three steps."""
    boxes, start = ((14, 4), (18, 6), (2, 18)), (16, 4)
    for module in (oracle, oracle_filter, oracle_walks, oracle_noisy):
        for name, value in (("BOXES", boxes), ("PLACES", (*boxes, oracle.ORACLE)), ("START", start)):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)
    oracle._tables.cache_clear()
    yield oracle_worlds((Oracle().board.at(start),) * 2)
    oracle._tables.cache_clear()


@pytest.mark.parametrize("slip", [0.0, 0.3])
@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_oracle_under_dropout_by_enumeration(slip, penalty, crowded, monkeypatch):
    task = Oracle(wrong_box_penalty=penalty)
    played = Dropout(Slip(task, slip) if slip else task, 0.5)
    agree(task, played, take(crowded, [2]), crowded, episode_keys("user", 0, 24), 3, slip, monkeypatch)


@pytest.mark.parametrize("slip", [0.0, 0.3])
@pytest.mark.parametrize("noise", [0.1, 0.5])
def test_oracle_under_noise_by_enumeration(slip, noise, crowded, monkeypatch):
    task = Oracle()
    played = Noise(Slip(task, slip) if slip else task, noise)
    agree(task, played, take(crowded, [2]), crowded, episode_keys("user", 0, 16), 3, slip, monkeypatch, noise)


def test_honeycomb_under_noise_by_enumeration(monkeypatch):
    task = HoneyComb(team_size=2, informed=1)
    keys = episode_keys("user", 0, 2)
    worlds = honey_worlds(task, keys)
    agree(task, Noise(task, 0.7), take(worlds, [4]), worlds, keys, 3, 0.0, monkeypatch, 0.7)


@pytest.mark.parametrize("slip", [0.0, 0.3])
@pytest.mark.parametrize("starts", [((5, 5), (5, 5)), ((8, 3), (8, 6)), ((2, 2), (7, 8))])
def test_escape_room_by_enumeration(starts, slip, monkeypatch):
    """All 18,000 to 20,000 placements, all actions of both agents."""
    task = EscapeRoom()
    cells = tuple(task.board.at(cell) for cell in starts)
    worlds = room_worlds(cells)
    played = Slip(task, slip) if slip else task
    agree(task, played, take(worlds, [7777]), worlds, episode_keys("user", 1, 1 if slip else 2), 3, slip, monkeypatch)


@pytest.mark.parametrize("radius", [1, 4])
def test_escape_room_with_another_view_by_enumeration(radius, monkeypatch):
    task = EscapeRoom(view_radius=radius)
    worlds = room_worlds(tuple(task.board.at(cell) for cell in ((8, 3), (2, 6))))
    agree(task, task, take(worlds, [7777]), worlds, episode_keys("user", 1, 1), 3, 0.0, monkeypatch)


def test_honeycomb_by_enumeration(monkeypatch):
    task = HoneyComb(team_size=3, informed=1, random_start=True)
    keys = episode_keys("user", 0, 2)
    worlds = honey_worlds(task, keys)
    agree(task, task, take(worlds, [4]), worlds, keys, 3, 0.0, monkeypatch)


def room(agents, keys, leave):
    at = EscapeRoom().board.at
    return EscapeRoomState(
        torch.tensor([[at(cell) for cell in agents]]),
        torch.tensor([sorted(at(cell) for cell in keys)]),
        torch.tensor([at(leave)]),
        torch.zeros(1, 2, dtype=torch.bool),
    )


def walk(task, state, actions):
    """Return the posterior's probabilities [N, V] of each variable after some joint actions."""
    policy, keys = exact_posterior(task), torch.zeros(1, dtype=torch.int64)
    memory = policy.initial_memory(keys)
    _, memory = policy.act(task.observe(state), memory)
    for step, joint in enumerate(actions):
        taken = torch.tensor([joint])
        state = task.transition(state, taken, keys, step).state
        _, memory = policy.act(task.observe(state), policy.with_actions(memory, taken))
    return [belief[0].exp() for belief in policy.belief(memory)]


def test_one_key_seen_the_other_one_not():
    """Agent 0 at (2, 2) sees 16 interior cells, with a key on (4, 4): rank 28 of 64; 47 others are unseen."""
    task = EscapeRoom()
    seen = {(x, y) for x in range(1, 5) for y in range(1, 5)} | {(7, 7)}  # and no key lies where agent 1 starts
    first, second, *_ = walk(task, room([(2, 2), (7, 7)], [(4, 4), (6, 6)], (9, 0)), [])
    place = INTERIOR.index((4, 4))
    unseen = [index for index, cell in enumerate(INTERIOR) if cell not in seen]
    after = [index for index in unseen if index > place]
    assert len(unseen) == 47
    # It is the first key if the other one comes after it.
    assert float(first[0, place]) == pytest.approx(len(after) / 47)
    assert float(second[0, place]) == pytest.approx(1 - len(after) / 47)
    assert second[0, after].tolist() == pytest.approx([1 / 47] * len(after))
    assert float(first[0, after].sum()) == 0


def test_a_key_taken_out_of_sight_may_have_been_taken():
    """Agent 1 walks over (6, 7), which holds a key that agent 0 cannot see."""
    task = EscapeRoom()
    state = room([(1, 1), (7, 7)], [(6, 7), (8, 8)], (9, 0))
    first, second, _, collected_1, collected_2 = walk(task, state, [(4, 1)])  # agent 0 stays, agent 1 goes left
    cell = INTERIOR.index((6, 7))
    # Agent 0 knows 9 cells and the start (7, 7): 54 remain. It is a key with chance 2 / 54.
    assert float(first[0, cell] + second[0, cell]) == pytest.approx(2 / 54)
    assert float(collected_1[0, 1] + collected_2[0, 1]) == pytest.approx(2 / 54)
    # Agent 1 has seen both.
    assert collected_1[1].tolist() == [0, 1]
    assert collected_2[1].tolist() == [1, 0]


def test_who_stands_on_the_exit_column_and_goes_on_has_not_found_everything():
    """Both keys are collected in sight of agent 0; agent 1 then stands on (9, 5), out of its sight, and goes on."""
    task = EscapeRoom()
    state = room([(2, 5), (8, 5)], [(3, 5), (4, 5)], (9, 0))
    leave = walk(task, state, [(0, 4), (0, 4), (4, 0), (4, 1)])[2]  # right twice over both keys; then 1 to (9, 5), back
    assert float(leave[0, 5]) == 0
    assert leave[0, [0, 1, 2, 3, 4, 6, 7, 8, 9]].tolist() == pytest.approx([1 / 9] * 9)


@pytest.mark.parametrize(
    "task",
    [
        Oracle(),
        EscapeRoom(),
        HoneyComb(3),
        Slip(EscapeRoom(), 0.2),
        Slip(Oracle(), 0.2),
        Sticky(Oracle(hint_probability=0.5), 0.3),
        Sticky(HoneyComb(3), 0.3),
        Dropout(Oracle(), 0.4),
        Dropout(Slip(Oracle(hint_probability=0.5), 0.2), 0.7),
        Dropout(Sticky(HoneyComb(3), 0.3), 0.5),
        Noise(Oracle(), 0.25),
        Noise(Slip(Oracle(), 0.2), 0.5),
        Noise(Sticky(HoneyComb(3), 0.3), 0.7),
    ],
    ids=repr,
)
def test_the_posterior_is_as_uncertain_as_it_is_wrong(task):
    """Over random episodes the mean negative log-likelihood of the truth is the mean entropy."""
    task = random_start(task)
    episodes = rollout(task, RandomPolicy(task.agents, len(task.action_names)), episode_keys("user", 5, 400))
    surplus = [torch.zeros(400, dtype=torch.float64) for _ in task.hidden_variables]
    entropies = [0.0 for _ in task.hidden_variables]
    for step, beliefs in enumerate(beliefs_at(task, episodes, task.horizon)):
        for index, belief in enumerate(beliefs):
            truth = episodes.hidden[:, step, index]
            nll = -belief.double().gather(2, truth[:, None, None].expand(-1, task.agents, 1))[..., 0]
            entropy = torch.special.entr(belief.double().exp()).sum(2)
            played = episodes.mask[:, step, None]
            assert torch.isfinite(nll.where(played, torch.zeros(()).double())).all(), "the truth is never excluded"
            surplus[index] += (nll - entropy).where(played, 0.0).sum(1)
            entropies[index] += float(entropy.where(played, 0.0).sum())
    for total, entropy in zip(surplus, entropies, strict=True):
        error = float(total.std()) * 400**0.5
        assert abs(float(total.sum())) <= 4 * error + 1e-6 * max(entropy, 1.0)


def test_a_posterior_is_a_belief_policy_that_plays_at_random():
    task = Oracle(random_start=True)
    policy, keys = exact_posterior(task), episode_keys("user", 0, 50)
    assert isinstance(policy, BeliefPolicy)
    assert torch.equal(rollout(task, policy, keys).actions, rollout(task, RandomPolicy(2, 9), keys).actions)


def test_each_agent_believes_on_its_own_observations():
    for task in (Oracle(random_start=True), EscapeRoom(random_start=True), HoneyComb(3)):
        episodes = rollout(task, RandomPolicy(task.agents, len(task.action_names)), episode_keys("user", 0, 40))
        steps = int(episodes.lengths.min())
        for agent in range(task.agents):
            mixed = episodes.observations.roll(1, 0)
            mixed[:, :, agent] = episodes.observations[:, :, agent]
            shuffled = type(episodes)(**(vars(episodes) | {"observations": mixed}))
            for alone, whole in zip(beliefs_at(task, shuffled, steps), beliefs_at(task, episodes, steps), strict=True):
                assert all(torch.equal(a[:, agent], b[:, agent]) for a, b in zip(alone, whole, strict=True))


def test_a_hint_under_slip_is_a_hint():
    task = Slip(Oracle(), 0.5)
    state = OracleState(torch.tensor([[0, 0]]), torch.tensor([2]), torch.tensor([SPENT - 1]))
    box, oracle = walk(task, state, [])
    assert box.tolist() == [[0, 0, 1]] * 2
    assert oracle.tolist() == [[0, 1]] * 2


class Blind(Transform):
    """A perturbation that no filter knows."""


def test_what_no_filter_knows_is_said():
    with pytest.raises(ValueError, match="no exact filter is known under Blind; allowed: Slip, Sticky, Dropout, Noise"):
        exact_posterior(Blind(Gathering()))
    with pytest.raises(ValueError, match="known for EscapeRoom under Sticky; allowed: Oracle, HoneyComb"):
        exact_posterior(Sticky(EscapeRoom(), 0.1))
    with pytest.raises(ValueError, match="known for EscapeRoom under Dropout; allowed: Oracle, HoneyComb"):
        exact_posterior(Dropout(EscapeRoom(), 0.1))
    with pytest.raises(ValueError, match="known for Oracle under Dropout and Sticky; allowed: HoneyComb"):
        exact_posterior(Dropout(Sticky(Oracle(), 0.1), 0.1))
    with pytest.raises(ValueError, match="under several of Dropout and Noise; allowed: one"):
        exact_posterior(Dropout(Noise(Oracle(), 0.1), 0.1))
    with pytest.raises(ValueError, match=r"noise=0\.6 and hint_probability=1\.0; allowed: noise below 0\.55"):
        exact_posterior(Noise(Oracle(), 0.6))
    with pytest.raises(ValueError, match="no exact filter is known for Organization; allowed: Oracle, Gathering"):
        exact_posterior(Organization(team_size=9, topology="full"))


def test_no_weight_at_all_is_uniform():
    weights = torch.tensor([[0.0, 0.0], [1.0, 3.0]])
    assert log_normalised(weights).exp().tolist() == [[0.5, 0.5], [0.25, 0.75]]
