"""Third-party tasks come in by an entry point and are then tasks like ours."""

from importlib.metadata import EntryPoint

import pytest
import toy

from benchmark import check_task, make
from benchmark.tasks import registry
from benchmark.tasks.organization import Organization
from benchmark.tasks.registry import TaskSpec, make_task, spec, task_ids

SPEC = TaskSpec("whisper-v0", "whisper", toy.Whisper, "a task of somebody else's")
NO_SPEC = "not a TaskSpec"


@pytest.fixture
def install(monkeypatch):
    """Pretend that packages with these entry points are installed."""
    group = registry.ENTRY_POINT_GROUP

    def pretend(*attributes):
        entries = [EntryPoint(f"e{i}", f"{__name__}:{name}", group) for i, name in enumerate(attributes)]
        monkeypatch.setattr(registry, "entry_points", lambda group: entries)
        registry._specs.cache_clear()

    yield pretend
    monkeypatch.undo()
    registry._specs.cache_clear()


def test_an_installed_task_is_listed_made_perturbed_and_played(install):
    install("SPEC")
    assert "whisper-v0" in task_ids()
    assert spec("whisper-v0").family == "whisper"
    check_task(make_task("whisper-v0"))
    check_task(make_task("whisper-v0:slip=0.5"))
    observations, _ = make("whisper-v0").reset(seed=1)
    assert len(observations) == make_task("whisper-v0").agents


def test_entry_points_that_are_no_tasks_are_refused_by_name(install):
    install("NO_SPEC")
    with pytest.raises(ValueError, match=r"entry point 'e0' = .* must be a TaskSpec"):
        task_ids()


def test_an_id_is_registered_once(install):
    install("SPEC", "SPEC")
    with pytest.raises(ValueError, match="entry point 'e1': task_id='whisper-v0' is already registered"):
        task_ids()


def test_the_firm_with_a_memory_exists_in_every_size():
    assert make_task("organization-history-12-v0") == Organization(12, history_bonus=0.1)
    assert not spec("organization-history-27-v0").ranked
