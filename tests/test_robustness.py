"""Degradation curves from records made up so that every number can be worked out by hand."""

import json

import numpy as np
import pytest
from fabricate import SUITE, failed, finished
from matplotlib.figure import Figure

from benchmark.harness.stress import STRESSES, Stress, get_stresses, task_ids
from benchmark.measures.references import reference
from benchmark.tasks.registry import make_task
from leaderboard.palette import colours
from leaderboard.robustness import Degradation, compare, degradations, robustness
from leaderboard.stress_plots import degradation_curves, write_stress_figures
from leaderboard.stress_tables import comparison_table, report
from leaderboard.submission import parse_record

DROPOUT = Stress("dropout", "oracle-v0", ((0.0, "oracle-v0"), (0.5, "oracle-v0:dropout=0.5")))
SCALE = reference("oracle-v0")  # that of every level of dropout too: clear sight


def record(name: str, task_id: str, seed: int, score: float):
    final = SCALE.trivial + score * (SCALE.reference - SCALE.trivial)
    return parse_record(json.dumps(finished(name, task_id, seed, final)))


def test_every_level_is_a_task_and_the_first_is_the_task_itself():
    for stress in STRESSES:
        for _, task_id in stress.levels:
            make_task(task_id)
        if stress.name != "agents":
            assert stress.task_id in {task_id for _, task_id in stress.levels}
    ids = task_ids(STRESSES)
    assert len(ids) == len(set(ids))


def test_stresses_are_chosen_by_name_and_family():
    chosen = get_stresses(("slip",), ("oracle", "honeycomb"))
    assert [(stress.name, stress.task_id) for stress in chosen] == [("slip", "oracle-v0"), ("slip", "honeycomb-v0")]
    with pytest.raises(ValueError, match=r"stress='slpi' is unknown; did you mean 'slip'"):
        get_stresses(("slpi",))
    with pytest.raises(ValueError, match=r"family='organisation' is unknown; did you mean 'organization'"):
        get_stresses((), ("organisation",))


def test_area_and_cost_by_hand():
    """Scores 1, 0.8, 0.2 at levels 0, 0.1, 0.5: trapezia 0.09 and 0.2 over a width of 0.5."""
    stress = Stress("slip", "oracle-v0", ((0.0, "a"), (0.1, "b"), (0.5, "c")))
    entry = Degradation(stress, "mine", np.array([0.0, 0.1, 0.5]), np.array([[1.0, 0.8, 0.2], [0.5, 0.5, 0.5]]))
    assert entry.areas == pytest.approx([0.29 / 0.5, 0.5])
    assert entry.kept == pytest.approx(np.array([[0.0, -0.2, -0.8], [0.0, 0.0, 0.0]]))
    shuffled = Degradation(stress, "mine", np.array([0.1, 0.0, 0.5]), np.array([[0.8, 1.0, 0.2]]))
    assert shuffled.areas == pytest.approx([0.29 / 0.5])


def test_only_seeds_that_were_played_at_all_levels_count():
    records = [record("mine", task_id, seed, 0.9) for _, task_id in DROPOUT.levels for seed in (0, 1)]
    records += [record("mine", "oracle-v0", 2, 0.1), record("lonely", "oracle-v0", 0, 0.5)]
    (found,) = degradations(records, SUITE.name, [DROPOUT])
    assert found.submission == "mine"
    assert found.scores == pytest.approx(np.full((2, 2), 0.9), abs=1e-5)
    assert degradations(records, "standard", [DROPOUT]) == []


def entry_of(scores: list[list[float]], name: str = "mine") -> Degradation:
    return Degradation(DROPOUT, name, np.array([0.0, 0.5]), np.array(scores))


def test_robustness_is_the_mean_area_over_the_mean_score_at_the_mildest_level():
    """Areas 0.7 and 0.3 of scores 1 and 0.5: 0.5 / 0.75; a ratio of means, not the mean of ratios."""
    entry = entry_of([[1.0, 0.4], [0.5, 0.1]])
    estimate = robustness([entry], seed=0, resamples=2000)
    assert estimate.point == pytest.approx(0.5 / 0.75)
    # Resamples hold the first run twice, the second twice, or both.
    assert (estimate.low, estimate.high) == pytest.approx((0.6, 0.7))
    whole = entry_of([[1.0, 1.0], [0.5, 0.5]])
    assert robustness([entry, whole], seed=0, resamples=100).point == pytest.approx((0.5 / 0.75 + 1) / 2)
    assert np.isnan(robustness([entry_of([[1.0, 0.4]])], seed=0, resamples=100).low)
    assert not entry_of([[0.05, 0.0], [0.1, 0.0]]).learned


def test_who_degrades_faster_by_the_rule():
    """Costs 0.3 each time against 0.1; shares kept 0.7 against 0.9."""
    fast, slow = entry_of([[1.0, 0.4]] * 3), entry_of([[1.0, 0.8]] * 3, "yours")
    found = compare(fast, slow, resamples=200)
    assert found is not None
    assert found.cost.point == pytest.approx(0.2)
    assert found.kept.point == pytest.approx(-0.2)
    assert found.answer == "faster"
    mirrored = compare(slow, fast, resamples=200)
    assert mirrored is not None
    assert mirrored.answer == "slower"
    # Twice the score and twice the loss: more points lost, the same share kept.
    half = compare(fast, entry_of([[0.5, 0.2]] * 3, "yours"), resamples=200)
    assert half is not None
    assert (half.cost.point, half.kept.point) == pytest.approx((0.15, 0.0))
    assert half.answer == "not told apart"
    ignorant = compare(fast, entry_of([[0.0, 0.0]] * 3, "yours"), resamples=200)
    assert ignorant is not None
    assert ignorant.answer == "cannot be said"
    table = comparison_table([found, half])
    assert table.cells["mine degrades"].tolist() == ["faster", "not told apart"]


def test_only_levels_that_both_were_played_at_are_compared():
    stress = Stress("slip", "oracle-v0", ((0.0, "a"), (0.1, "b"), (0.5, "c")))
    first = Degradation(stress, "mine", np.array([0.0, 0.1, 0.5]), np.array([[1.0, 0.9, 0.1]] * 2))
    second = Degradation(stress, "yours", np.array([0.0, 0.1]), np.array([[1.0, 0.9]] * 2))
    found = compare(first, second, resamples=50)
    assert found is not None
    assert found.cost.point == pytest.approx(0.0)
    third = Degradation(stress, "yours", np.array([0.1, 0.5]), np.array([[0.9, 0.9]] * 2))
    assert compare(first, third) is None  # nobody knows what it started from


def test_a_score_that_rises_is_named():
    stress = Stress("view", "gathering-v0", ((4.0, "a"), (1.0, "b")))
    rising = Degradation(stress, "mine", np.array([4.0, 1.0]), np.array([[0.4, 0.6]] * 2))
    falling = Degradation(stress, "yours", np.array([4.0, 1.0]), np.array([[0.6, 0.4]] * 2))
    unlearned = Degradation(stress, "theirs", np.array([4.0, 1.0]), np.array([[0.01, 0.02]] * 2))
    for first, second, named in (
        (rising, falling, ["mine"]),
        (falling, rising, ["mine"]),
        (falling, unlearned, []),  # shares of nothing say nothing
    ):
        found = compare(first, second, resamples=50)
        assert found is not None
        assert found.rising == named


def test_a_run_that_failed_counts_as_the_floor():
    records = [record("mine", task_id, seed, 0.9) for _, task_id in DROPOUT.levels for seed in (0, 1)][:3]
    records.append(parse_record(json.dumps(failed("mine", DROPOUT.levels[1][1], 1))))
    (found,) = degradations(records, SUITE.name, [DROPOUT])
    assert found.scores == pytest.approx(np.array([[0.9, 0.9], [0.9, -1.0]]), abs=1e-5)


def test_the_report_has_a_row_for_every_level():
    scores = {"mine": (0.9, 0.3), "yours": (0.8, 0.7)}
    records = [
        record(name, task_id, seed, score)
        for name, levels in scores.items()
        for (_, task_id), score in zip(DROPOUT.levels, levels, strict=True)
        for seed in range(3)
    ]
    found = degradations(records, SUITE.name, [DROPOUT])
    (table,) = report(found, resamples=200)
    assert table.title == "oracle-v0 under dropout"
    assert list(table.data.columns[:3]) == ["dropout", "reference", "yours"]  # better area first
    assert table.cells["reference"].tolist() == ["0.960"] * 2 + [""] * 3  # that of clear sight
    assert table.data["mine"].tolist() == pytest.approx([0.9, 0.3, 0.6, 0.6 / 0.9, 0.6], abs=1e-5)
    assert table.data["yours"].tolist() == pytest.approx([0.8, 0.7, 0.75, 0.75 / 0.8, 0.1], abs=1e-5)
    ax = degradation_curves(found, Figure().add_subplot(), 0, colours(sorted(scores)), resamples=50)
    drawn = {line.get_label(): np.asarray(line.get_ydata()) for line in ax.lines}
    assert drawn["mine"] == pytest.approx([0.9, 0.3], abs=1e-5)


def test_one_figure_for_each_kind_of_stress(tmp_path):
    records = [record("mine", task_id, seed, 0.5) for _, task_id in DROPOUT.levels for seed in (0, 1)]
    written = write_stress_figures(degradations(records, SUITE.name, [DROPOUT]), tmp_path, colours(["mine"]))
    assert [path.name for path in written] == ["stress-dropout.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stress-dropout.png", "stress-dropout.svg"]
