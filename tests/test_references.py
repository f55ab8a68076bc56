"""The frozen scale: complete, ordered, and recomputed here where that is cheap."""

import pytest
import torch

from benchmark.episodes.policy import ConstantPolicy, RandomPolicy
from benchmark.episodes.rollout import rollout
from benchmark.measures.planners.oracle import _best_moves
from benchmark.measures.references import _frozen, measure, planner_for, reference
from benchmark.tasks.oracle import Oracle
from benchmark.tasks.registry import SCALE_IDS, make_task, task_ids
from benchmark.tasks.streams import episode_keys

EXACT = ("oracle-v0", "oracle-strict-v0", "honeycomb-n3-v0", "organization-tree-9-v0", "organization-pair-v0")
MEASURED = ("gathering-v0", "escape-room-v0")


def test_every_task_has_a_frozen_scale_in_order():
    everything = [*task_ids(), *SCALE_IDS]
    assert {task_id for task_id in _frozen() if ":" not in task_id} == set(everything)
    for task_id in everything:
        scale = reference(task_id)
        assert scale.trivial < scale.reference <= scale.optimum + 1e-9, task_id
        for kind in ("trivial", "reference", "optimum"):
            details = scale.details[kind]
            low, high = details["interval"]
            assert low <= details["value"] <= high
            assert details["method"]
            assert details["episodes"] is None or details["seed"] is not None


@pytest.mark.parametrize("task_id", EXACT)
def test_exact_numbers_are_recomputed(task_id):
    again, frozen = measure(task_id, episodes=300), _frozen()[task_id]
    for kind in ("trivial", "reference", "optimum"):
        if frozen[kind]["episodes"] is None:
            assert again[kind]["value"] == pytest.approx(frozen[kind]["value"], rel=1e-6), kind


@pytest.mark.parametrize("task_id", MEASURED)
def test_measured_numbers_hold_on_other_episodes(task_id):
    """300 new episodes lie within four standard errors of the frozen means."""
    scale, task = reference(task_id), make_task(task_id)
    keys = episode_keys("reference", 1, 300)
    for policy, value in (
        (planner_for(task_id), scale.reference),
        (RandomPolicy(task.agents, len(task.action_names)), scale.details["trivial"]["random"]),
    ):
        returns = rollout(task, policy, keys).returns
        error = float(returns.std()) / len(returns) ** 0.5
        assert abs(float(returns.mean()) - value) < 4 * error + 1e-6


def test_the_numbers_of_the_papers_and_the_specification():
    assert [reference(f"organization-star-{n}-v0").optimum for n in (27, 40, 60, 80, 100)] == [
        3180,
        4710,
        7110,
        9510,
        11910,
    ]
    assert reference("oracle-v0").reference == pytest.approx(0.96)
    assert reference("oracle-v0").optimum == pytest.approx(1.03)
    assert [reference(f"honeycomb-n{n}-v0").reference for n in (3, 5, 15, 20)] == [6, 10, 30, 40]
    assert reference("gathering-v0").reference >= 10.36
    assert reference("escape-room-v0").reference >= 4.81
    # A standing agent earns nothing in Escape Room, and moving about costs: doing nothing is the trivial policy.
    assert reference("escape-room-v0").trivial == 0


def test_walking_one_way_for_ever_is_worth_more_than_chance_in_oracle():
    """Both agents walk northeast: a third of the time the box there pays 1 after 7 steps, else 40 steps are lost."""
    trivial = reference("oracle-v0").trivial
    assert trivial == pytest.approx((1 - 0.07) / 3 - 2 / 3 * 0.40, abs=1e-6)
    task = make_task("oracle-v0")
    northeast = task.action_names.index("northeast")
    returns = rollout(task, ConstantPolicy([northeast] * 2), episode_keys("reference", 1, 3000)).returns
    assert sorted(set(returns.round(decimals=4).tolist())) == [-0.4, 0.93]
    assert torch.isclose(returns.mean(), torch.tensor(trivial, dtype=torch.float64), atol=0.05)


def test_scores_stand_where_they_should():
    scale = reference("oracle-v0")
    assert scale.score(scale.trivial) == 0
    assert scale.score(scale.reference) == 1
    # The sweep of the boxes, which never asks.
    assert scale.score(0.8833) == pytest.approx(0.916, abs=0.001)


def test_sizes_that_are_not_listed_are_computed():
    scale = reference("organization-circle-12-v0")
    assert (scale.trivial, scale.reference, scale.optimum) == (60 * 12, 30 * (4 * 12 - 3), 30 * (4 * 12 - 3))


def test_what_only_blurs_the_sight_is_measured_against_clear_sight():
    clear, blurred = reference("oracle-v0"), reference("oracle-v0:dropout=0.2,noise=0.1")
    for kind in ("trivial", "reference", "optimum"):
        assert getattr(clear, kind) == getattr(blurred, kind)
    assert blurred.details["reference"]["method"].endswith("with clear sight")


def test_another_view_is_measured_against_the_tasks_own_and_the_planner_uses_it():
    for task_id in ("gathering-v0:view=2", "escape-room-v0:view=1", "oracle-v0:reveal=1"):
        own, other = reference(task_id.partition(":")[0]), reference(task_id)
        assert (own.trivial, own.reference, own.optimum) == (other.trivial, other.reference, other.optimum)
        assert other.details["reference"]["method"].endswith("with the task's own sight")
    keys = episode_keys("reference", 1, 30)
    near, own, far = (
        rollout(make_task(task_id), planner_for(task_id), keys).returns.mean()
        for task_id in ("escape-room-v0:view=1", "escape-room-v0", "escape-room-v0:view=9")
    )
    assert 4.6 < near < own < far
    with pytest.raises(ValueError, match="no reference policy looks at what is revealed"):
        planner_for("oracle-v0:reveal=1")


def test_with_nobody_informed_agents_can_only_guess():
    # Each of ten agents on some goal: 1, and 2 if it is the special one of six.
    assert reference("honeycomb-v0:informed=0").reference == pytest.approx(10 * 7 / 6)


def test_disobedient_actions_lower_the_reference_and_not_the_bound():
    obedient, slipping = reference("organization-full-9-v0"), measure("organization-full-9-v0:slip=0.1", 500)
    assert slipping["optimum"]["value"] == obedient.optimum
    assert slipping["optimum"]["method"].endswith("(upper bound)")
    assert slipping["trivial"]["value"] < slipping["reference"]["value"] < obedient.reference


def test_moves_that_may_slip_worked_out_one_by_one():
    """Oracle's recursion against the sum over both agents' slips and all 81 joint actions."""
    board, slip = Oracle().board, 0.3
    values = torch.rand(
        len(board.cells), len(board.cells), dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    moved = _best_moves(values, board, slip)
    for first, second in ((0, 440), (220, 231), (17, 17)):
        ways = [board.neighbours()[cell].tolist() for cell in (first, second)]
        best = max(
            sum(
                (1 - slip + slip / 9 if c == a else slip / 9)
                * (1 - slip + slip / 9 if d == b else slip / 9)
                * float(values[ways[0][c], ways[1][d]])
                for c in range(9)
                for d in range(9)
            )
            for a in range(9)
            for b in range(9)
        )
        assert float(moved[first, second]) == pytest.approx(best)
    assert torch.allclose(_best_moves(values, board, 1e-12), _best_moves(values, board, 0.0))
    assert torch.allclose(_best_moves(values, board, 1 - 1e-12), _best_moves(values, board, 1.0))
