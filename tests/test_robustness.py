"""Degradation curves from records made up so that every number can be worked out by hand."""

import json

import numpy as np
import pytest
from fabricate import SUITE, finished
from matplotlib.figure import Figure

from benchmark.harness.stress import STRESSES, Stress, get_stresses, task_ids
from benchmark.measures.references import reference
from benchmark.tasks.registry import make_task
from leaderboard.palette import colours
from leaderboard.robustness import Degradation, degradations, report
from leaderboard.stress_plots import degradation_curves, write_stress_figures
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
    assert degradations(records, "laptop", [DROPOUT]) == []


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
    assert list(table.data.columns[::3][:2]) == ["dropout", "yours_high"]  # better area first
    assert table.data["mine"].tolist() == pytest.approx([0.9, 0.3, 0.6, 0.6], abs=1e-5)
    assert table.data["yours"].tolist() == pytest.approx([0.8, 0.7, 0.75, 0.1], abs=1e-5)
    ax = degradation_curves(found, Figure().add_subplot(), 0, colours(sorted(scores)), resamples=50)
    drawn = {line.get_label(): np.asarray(line.get_ydata()) for line in ax.lines}
    assert drawn["mine"] == pytest.approx([0.9, 0.3], abs=1e-5)


def test_one_figure_for_each_kind_of_stress(tmp_path):
    records = [record("mine", task_id, seed, 0.5) for _, task_id in DROPOUT.levels for seed in (0, 1)]
    written = write_stress_figures(degradations(records, SUITE.name, [DROPOUT]), tmp_path, colours(["mine"]))
    assert [path.name for path in written] == ["stress-dropout.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stress-dropout.png", "stress-dropout.svg"]
