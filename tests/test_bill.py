"""Bills worked out by hand from made-up records."""

import json

import pytest
from fabricate import SUITE, failed, finished

from benchmark.harness.submission import Submission
from benchmark.harness.suites import Suite
from leaderboard.bill import Accelerator, Round, bill, bill_tables, spent, work
from leaderboard.road import road
from leaderboard.submission import parse_record

# fabricate.finished: 100 episodes; 5 runs together trained for 10 s of 11.5 s, evaluated on 2 episodes each time.
TASK = "oracle-v0"


def submission(name, *tasks):
    return Submission(name, "module:Class", tasks=tasks)


def run(task_id=TASK, seed=0, suite=SUITE, **changes):
    return parse_record(json.dumps(finished("ours", task_id, seed, 0.5, suite=suite, **changes)))


def suite(tasks, episodes=100, runs=3, evaluation=2):
    return Suite("tiny", tasks, (("", episodes),), runs, evaluation)


def test_what_a_run_took_is_its_share():
    (one,) = spent([run()])["ours", TASK]
    assert (one.before, one.training, one.evaluation) == (0.0, 2.0, pytest.approx(0.3))
    assert spent([parse_record(json.dumps(failed("ours", TASK, 0)))]) == {}


@pytest.mark.parametrize(("own", "before"), [(1.0, 5.0 + 29.0), (30.2, 5.0)])
def test_a_belief_from_the_cache_is_billed_as_what_it_took(own, before):
    marks = [mark | {"seconds": 5.0 + place / 4} for place, mark in enumerate(finished("ours", TASK, 0, 0.5)["marks"])]
    seconds = {"training": 40.0, "startup": 0.5, "pretraining": own, "evaluation": 1.0, "total": 41.0}
    (one,) = spent([run(marks=marks, seconds=seconds, notes={"belief_seconds": 30.0})])["ours", TASK]
    assert one.before == pytest.approx(before / 5)
    assert one.training == pytest.approx(35.0 / 5)


def test_a_suites_own_records_are_measured():
    (cell,) = bill(suite((TASK,)), [submission("ours", TASK)], [run(seed=n) for n in range(3)])
    assert (cell.seconds, cell.source) == (pytest.approx(3 * 2.3), "measured")


def test_another_budget_scales_what_follows_the_first_episode():
    marks = finished("ours", TASK, 0, 0.5)["marks"]
    started = [mark | {"seconds": 5.0 + 0.25 * place} for place, mark in enumerate(marks)]  # 5 of 10 s before
    (cell,) = bill(suite((TASK,), episodes=1000, evaluation=20), [submission("ours", "*")], [run(marks=started)])
    # Of one run: 1 s before the first episode, 1 s after it for 100 episodes, 0.3 s for evaluations of 2.
    assert (cell.seconds, cell.source) == (pytest.approx(3 * (1 + 10 + 3)), "scaled")


def test_a_task_without_records_is_estimated_from_the_nearest_of_its_family():
    records = [run(), run("organization-pair-v0", seconds={"training": 100.0, "evaluation": 0.0, "total": 100.0})]
    (cell,) = bill(suite(("oracle-strict-v0",)), [submission("ours", "oracle-*")], records)
    assert (cell.seconds, cell.source) == (pytest.approx(3 * 2.3), "estimated")
    (cell,) = bill(suite(("gathering-v0",)), [submission("ours", "*")], [run()])
    assert cell.seconds == pytest.approx(3 * 2.3 * work("gathering-v0") / work(TASK))
    assert work("gathering-v0") / work(TASK) == 3 * 100 / (2 * 40)


def test_who_has_no_record_or_does_not_apply_is_not_on_the_bill():
    assert bill(suite((TASK,)), [submission("other", "*"), submission("ours", "gathering-*")], [run()]) == []


def test_an_accelerator_takes_launches_or_bytes_whichever_is_longer():
    model = Accelerator("model", launch=1e-3, bandwidth=1e6, together=2)
    assert model.seconds(kernels=10, moved=5e3) == pytest.approx(0.01)
    assert model.seconds(kernels=10, moved=5e4) == pytest.approx(0.05)
    rounds = {"ours": Round(TASK, episodes=4, kernels=100, moved=0)}
    (cell,) = bill(suite(("gathering-v0",)), [submission("ours", "*")], [run()], rounds, model)
    assert cell.accelerated == pytest.approx(100 / 4 * 100 * (100 / 40) * 1e-3)


def test_the_tables_add_up():
    model = Accelerator("model", together=2)
    tiny = suite((TASK, "gathering-v0"))
    found = bill(tiny, [submission("ours", "*")], [run()], {}, model)
    whole, largest = bill_tables(tiny, found, model, absent=["theirs"])
    # Of 3 runs, 2.3 s each on Oracle, in proportion to agents and horizon on Gathering: the longer of the two counts.
    hours = 3 * 2.3 * (3 * 100) / (2 * 40) / 3600
    assert whole.notes[1] == f"One submission by itself, on 2 cores, hours: ours {hours:.1f}."
    assert whole.notes[3] == "Not on the bill, for want of any record: theirs."
    assert [cell.task_id for cell in found] == ["gathering-v0", TASK]
    assert whole.data["hours"].iloc[-1] == pytest.approx(sum(cell.seconds for cell in found) / 3600)
    assert list(whole.cells["cells"]) == ["1", "1", "2"]
    assert list(largest.cells["task"]) == ["gathering-v0", TASK]
    assert "NOT MEASURED" in whole.notes[4]


def test_the_road_by_hand():
    """Four equal cells of 25 rounds each: 60 kernels of 1 s, or 300 bytes at 1 a second."""
    tiny, names = suite((TASK,)), [submission(name, TASK) for name in "abcd"]
    records = [parse_record(json.dumps(finished(name, TASK, 0, 0.5))) for name in "abcd"]
    rounds = {name: Round(TASK, episodes=4, kernels=60, moved=12) for name in "abcd"}
    table = road(tiny, names, records, rounds, Accelerator("model", launch=1.0, bandwidth=1.0))
    assert table is not None
    # One cell: 25 minutes eager, a quarter of that captured. All bytes: 4 * 25 * 12 s = 20 minutes, and no less.
    assert table.data["minutes"].tolist() == pytest.approx([100, 25, 25, 25, 20, 20])
    assert "a on oracle 25%" in table.notes[1]
    assert road(tiny, names, records, {}, Accelerator()) is None
