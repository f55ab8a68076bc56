"""What others took from a timing: hand-computed, and seen on this machine."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from benchmark.measures import watch
from benchmark.measures.watch import LOST, Watch

SPIN = "while True: pass"


def seen(
    monkeypatch, seconds: float, own: float, busy: float | None, waited: float | None, stolen: float = 0.0
) -> Watch:
    """A watch over so many seconds of the wall, of this process, of everybody, of waiting, and of other machines."""
    for name, value in (("_own_seconds", own), ("_waited_seconds", waited)):
        readings = iter([100.0, 100.0 + value] if value is not None else [None, None])
        monkeypatch.setattr(watch, name, lambda readings=readings: next(readings))
    everybody = iter([(100.0, 50.0), (100.0 + busy, 50.0 + stolen)] if busy is not None else [(None, None)] * 2)
    monkeypatch.setattr(watch, "_busy_seconds", lambda: next(everybody))
    wall = iter([0.0, seconds])
    monkeypatch.setattr(watch.time, "perf_counter", lambda: next(wall))
    watching = Watch()
    with watching:
        pass
    monkeypatch.undo()
    return watching


def test_lost_is_the_share_of_wanted_processor_time_that_others_took(monkeypatch):
    watching = seen(monkeypatch, seconds=10.0, own=6.0, busy=20.0, waited=4.0)
    assert watching.others == pytest.approx(1.4)
    assert watching.lost == pytest.approx(0.4)
    assert watching.crowded


def test_neighbours_on_other_cores_take_nothing(monkeypatch):
    watching = seen(monkeypatch, seconds=10.0, own=10.0, busy=40.0, waited=0.1)
    assert watching.others == pytest.approx(3.0)
    assert watching.lost == pytest.approx(0.1 / 10.1)
    assert not watching.crowded


def test_threads_that_wait_for_each_other_are_nobodys_fault(monkeypatch):
    # Four threads on two cores: they wait 20 s together, but others used 0.2 s only.
    watching = seen(monkeypatch, seconds=10.0, own=20.0, busy=20.2, waited=20.0)
    assert watching.lost == pytest.approx(0.2 / 20.2)
    assert not watching.crowded


def test_what_other_virtual_machines_take_is_shared_out_by_what_was_used_here(monkeypatch):
    # This process used 6 s and another one 2 s; three quarters of the 4 s stolen were this one's.
    watching = seen(monkeypatch, seconds=10.0, own=6.0, busy=12.0, waited=0.0, stolen=4.0)
    assert watching.stolen == 4.0
    assert watching.others == pytest.approx(0.6)
    assert watching.lost == pytest.approx(3.0 / 9.0)
    assert watching.crowded


def test_no_more_is_lost_than_others_took(monkeypatch):
    # A core that is stolen while a thread waits for it is counted as both.
    watching = seen(monkeypatch, seconds=10.0, own=6.0, busy=10.0, waited=4.0, stolen=4.0)
    assert watching.lost == pytest.approx(4.0 / 10.0)


def test_where_waiting_is_not_counted_others_are_held_to_use_idle_cores_first(monkeypatch):
    monkeypatch.setattr(watch.os, "cpu_count", lambda: 4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    watching = Watch()
    watching.seconds, watching.own = 10.0, 20.0
    watching.others = 2.0
    assert watching.lost == 0.0
    watching.others = 2.5  # half a core too many, for ten seconds
    assert watching.lost == pytest.approx(5.0 / 25.0)
    assert watching.crowded
    watching.stolen = 5.0  # that half a core, in another machine: no idle core is used by it, and half of it hit others
    assert watching.lost == pytest.approx(2.5 / 22.5)


def test_where_the_system_tells_nothing_nothing_is_claimed(monkeypatch):
    watching = seen(monkeypatch, seconds=1.0, own=1.0, busy=None, waited=None)
    assert watching.others is None
    assert watching.lost is None
    assert not watching.crowded


def test_a_neighbour_on_the_gpu_crowds_also_if_it_has_left_again(monkeypatch):
    present = iter([0, 1, 0])
    monkeypatch.setattr(watch, "accelerator_state", lambda device: {"other_processes": next(present, 0)})
    monkeypatch.setattr(watch, "_SECONDS_BETWEEN_LOOKS", 0.01)
    with Watch("cuda") as watching:
        time.sleep(0.1)
    assert watching.neighbours == 1
    assert watching.crowded


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the system does not count waiting")
@pytest.mark.slow
def test_neighbours_for_every_core_are_seen_and_cost_what_the_scheduler_says():
    spinning = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(os.cpu_count() or 1)]
    try:
        with Watch() as watching:
            end = time.perf_counter() + 3.0
            while time.perf_counter() < end:
                pass
    finally:
        for process in spinning:
            process.kill()
            process.wait()
    assert watching.others is not None
    assert watching.waited is not None
    assert watching.lost is not None
    assert watching.lost > LOST
    # One thread that never sleeps either runs or waits.
    assert watching.own + watching.waited == pytest.approx(watching.seconds, rel=0.05)
