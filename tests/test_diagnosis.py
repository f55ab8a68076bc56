"""Does a task need memory? The rule by hand, the frozen numbers again, and what records add."""

import json

import pytest
from fabricate import SUITE, finished
from typer.testing import CliRunner

from benchmark.harness.record import seal
from benchmark.harness.variant import split_variant
from benchmark.measures import diagnosis as module
from benchmark.measures.diagnosis import MARGIN, compute, diagnosed, diagnosis, freeze, verdict
from benchmark.measures.references import reference
from benchmark.tasks.registry import make_task, task_ids
from leaderboard import cli
from leaderboard.diagnosis import arms, learned, sentence, summary
from leaderboard.submission import parse_record

SCALE = reference("gathering-v0")


def entry(without: float, most: float, gap: list[float] | None = None):
    """A diagnosis of Gathering with these scores."""
    returned = [SCALE.trivial + score * (SCALE.reference - SCALE.trivial) for score in (without, most)]
    made = {
        "without_memory": {"value": returned[0], "interval": [returned[0], returned[0]]},
        "with_memory": {"value": returned[1], "interval": [returned[1], returned[1]]},
    }
    arms = {"none": [returned[0]], "history": [returned[1]]}
    learned = {"learner": "rec-hyst-iql", "suite": "quick", "seeds": [0], "returns": arms, "gap": gap}
    return made | ({"learned": learned} if gap else {})


@pytest.mark.parametrize(
    ("without", "most", "gap", "needed"),
    [
        (0.96, 1.0, None, False),
        (0.96, 1.0, [0.3, 0.2, 0.4], False),  # no learner refutes a policy that is known
        (0.5, 1.0, None, None),
        (0.5, 1.0, [0.3, 0.2, 0.4], True),
        (0.5, 1.0, [0.3, 0.04, 0.6], None),
        (0.5, 1.0, [0.0, -0.1, 0.1], None),  # whose learner learns nothing has not been answered
        (1.02, 1.0, None, False),
    ],
)
def test_the_rule(without, most, gap, needed):
    found = verdict("gathering-v0", entry(without, most, gap))
    assert found.needed is needed
    assert found.at_most == pytest.approx(max(0.0, most - without))
    words = {True: "This task needs memory", False: "This task needs no memory", None: "Undecided"}
    assert sentence("gathering-v0", entry(without, most, gap)).startswith(words[needed])


def test_the_lower_end_of_what_is_known_without_memory_counts():
    made = entry(0.96, 1.0)
    made["without_memory"]["interval"][0] -= 0.02 * (SCALE.reference - SCALE.trivial)
    assert verdict("gathering-v0", made).at_most == pytest.approx(0.06)


@pytest.mark.parametrize("task_id", ["oracle-strict-v0", "honeycomb-n3-v0", "organization-full-9-v0"])
def test_exact_bounds_are_computed_again(task_id):
    frozen, again = diagnosis(task_id), compute(task_id)
    assert frozen
    for kind in ("without_memory", "with_memory"):
        assert again[kind]["value"] == pytest.approx(frozen[kind]["value"], rel=1e-6)
    assert verdict(task_id, again).needed is False
    assert again["probes"] == frozen["probes"]


def test_every_frozen_diagnosis_is_whole():
    assert set(diagnosed()) >= {"oracle-v0", "oracle-strict-v0", "gathering-v0", "escape-room-v0", "honeycomb-v0"}
    for task_id in diagnosed():
        known = diagnosis(task_id)
        assert known
        make_task(task_id)
        low, high = known["without_memory"]["interval"]
        assert low <= known["without_memory"]["value"] <= high
        assert known["with_memory"]["value"] >= known["without_memory"]["value"] - 1e-9
        assert 0 <= known["probes"]["left_open"] <= known["probes"]["entropy"] + 1e-9
        for _, low, high, p_value in known["probes"]["depend_on"].values():
            assert low <= high
            assert 0 < p_value <= 1
    assert {task_id for task_id in diagnosed() if ":" not in task_id} <= set(task_ids())


def test_where_wrong_boxes_cost_the_hint_is_worth_more_and_memory_is_worth_nothing():
    """In both rules the hint's traces on the board do for memory; what is sharper is what the hint is worth."""
    (released, strict) = ((diagnosis(task_id) or {}) for task_id in ("oracle-v0", "oracle-strict-v0"))
    for known in (released, strict):
        assert known["with_memory"]["value"] == pytest.approx(0.96)
        assert known["without_memory"]["value"] == pytest.approx(0.96)
    assert released["never_told"]["value"] >= 0.883
    assert strict["never_told"]["value"] < 0.5


def record(name: str, task_id: str, seed: int, score: float):
    final = SCALE.trivial + score * (SCALE.reference - SCALE.trivial)
    made = finished(name, task_id, seed, final)
    made["config"] = dict(split_variant(name)[1])
    return parse_record(json.dumps(seal(made)))


def test_what_a_learners_memory_was_worth_by_hand():
    (none, task_id), (history, _), (state, revealed) = arms("gathering-v0").values()
    assert revealed == "gathering-v0:reveal=1"
    records = [record(none, task_id, seed, 0.1 * seed) for seed in range(3)]
    records += [record(history, task_id, seed, 0.5) for seed in range(1, 4)]
    found = learned(records, "gathering-v0", SUITE.name)
    assert found
    assert found["seeds"] == [1, 2]
    assert set(found["returns"]) == {"none", "history"}
    assert found["gap"] == pytest.approx([0.35, 0.3, 0.4], abs=1e-3)
    assert learned(records[:4], "gathering-v0", SUITE.name) is None
    records += [record(state, revealed, seed, 0.9) for seed in range(3)]
    again = learned(records, "gathering-v0", SUITE.name)
    assert again
    assert len(again["returns"]["state"]) == 2


def test_the_command_shows_and_keeps(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FILE", tmp_path / "diagnoses.json")
    known = diagnosis("honeycomb-n3-v0")
    module._frozen.cache_clear()
    try:
        assert diagnosed() == []
        freeze("honeycomb-n3-v0", known or {})
        assert diagnosed() == ["honeycomb-n3-v0"]
        result = CliRunner().invoke(cli.app, ["diagnose", "honeycomb-n3-v0", "--out", str(tmp_path / "d.md")])
        assert result.exit_code == 0, result.output
        assert "This task needs no memory" in result.output
        assert "previous action" in (tmp_path / "d.md").read_text()
    finally:
        module._frozen.cache_clear()


def test_the_table_names_the_margin():
    table = summary({"gathering-v0": entry(0.5, 1.0, [0.3, 0.2, 0.4])})
    assert table.cells["verdict"].tolist() == ["needs memory"]
    assert str(MARGIN) in table.notes[0]
    assert table.notes[-1] == (
        "gathering-v0: rec-hyst-iql scored 0.50 without its memory, 1.00 with it (1 runs, suite quick)."
    )
