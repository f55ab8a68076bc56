"""Suites are data that other files rely on."""

import pytest

from benchmark.harness.suites import SUITES, get_suite
from benchmark.tasks.gathering import Gathering
from benchmark.tasks.oracle import Oracle
from benchmark.tasks.perturb import Slip
from benchmark.tasks.registry import make_task, random_start, spec, task_ids

FAMILIES = {"oracle", "gathering", "escape-room", "honeycomb", "organization"}


@pytest.mark.parametrize("name", SUITES)
def test_every_suite_has_every_family_and_known_tasks_only(name):
    suite = get_suite(name)
    assert {spec(task_id).family for task_id in suite.tasks} == FAMILIES
    assert len(set(suite.tasks)) == len(suite.tasks)
    assert set(suite.tasks) <= set(task_ids())
    assert all(spec(task_id).ranked for task_id in suite.tasks)


def test_the_full_suite_has_the_published_budgets_and_all_ranked_tasks():
    full = get_suite("full")
    budgets = {spec(task_id).family: full.budget(task_id) for task_id in full.tasks}
    assert budgets == {
        "oracle": 10_000,
        "gathering": 15_000,
        "escape-room": 15_000,
        "honeycomb": 15_000,
        "organization": 50_000,
    }
    assert set(full.tasks) == {task_id for task_id in task_ids() if spec(task_id).ranked}


def test_selecting_tasks():
    standard = get_suite("standard")
    assert standard.select(()) == list(standard.tasks)
    assert standard.select(["oracle-v0", "oracle*"]) == ["oracle-v0", "oracle-strict-v0"]
    assert standard.select(["organization-full-60-v0"]) == ["organization-full-60-v0"]
    assert standard.select(["oracle-v0:slip=0.1"]) == ["oracle-v0:slip=0.1"]
    with pytest.raises(ValueError, match="'orcale-v0' is unknown; did you mean 'oracle-v0'"):
        standard.select(["orcale-v0"])
    with pytest.raises(ValueError, match=r"'maze\*' matches no task of suite 'standard'"):
        standard.select(["maze*"])
    with pytest.raises(ValueError, match="suite='labtop' is unknown; did you mean 'laptop'"):
        get_suite("labtop")


def test_ids_with_parameters():
    assert make_task("organization-circle-33-v0").agents == 33
    assert make_task("honeycomb-n7-v0").agents == 7
    assert make_task("gathering-v0:view=2") == Gathering(view_radius=2)
    assert make_task("oracle-v0:slip=0.25") == Slip(Oracle(), 0.25)
    for bad, message in (
        ("oracle-v0:slip=2", "outside"),
        ("oracle-v0:view=2", "Oracle has no view_radius"),
        ("escape-room-v0:view=1.5", "must be a whole number"),
        ("escape-room-v0:view=0", "outside 1 to 9"),
        ("oracle-v0:slip=x", "slip='x' is not a number"),
        ("oracle-v0:slip=0.1,slip=0.1", "perturbation 'slip' is given twice"),
        ("oracle-v0:slop=1", "perturbation 'slop' is unknown; did you mean 'slip'"),
        ("oracle-v1", "did you mean"),
    ):
        with pytest.raises(ValueError, match=message):
            make_task(bad)


def test_random_starts_reach_through_perturbations():
    assert random_start(make_task("oracle-v0:slip=0.25")) == Slip(Oracle(random_start=True), 0.25)
    assert random_start(make_task("gathering-v0")) == make_task("gathering-v0")
