"""Who else is at work, and how much memory was needed."""

import os
import subprocess
import sys
import time

import pytest
import torch

from benchmark.measures import machine
from benchmark.measures.machine import Watch, accelerator_state, hardware, peak_memory


@pytest.mark.skipif(not os.path.exists("/proc/stat"), reason="the system does not tell who is busy")
def test_a_spinning_neighbour_is_seen():
    spin = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        with Watch() as watch:
            time.sleep(0.5)
    finally:
        spin.kill()
        spin.wait()
    assert watch.seconds >= 0.5
    assert watch.others is not None
    assert watch.others > 0.3


def test_a_machine_is_crowded_when_threads_and_others_need_more_cores_than_there_are(monkeypatch):
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    watch = Watch()
    watch.others = 2.0
    assert not watch.crowded
    watch.others = 2.2
    assert watch.crowded
    watch.others, watch.neighbours = 0.0, 1
    assert watch.crowded


def test_a_large_tensor_shows_in_the_peak():
    before = peak_memory()["host"]
    block = torch.ones(int((before + 0.1) * 2**30) // 4 - torch.ones(1).numel())
    assert peak_memory()["host"] >= before + 0.05
    del block


def test_the_processor_has_no_accelerator_state():
    assert accelerator_state("cpu") == {}
    assert hardware("cpu")["device"] == "cpu"
    assert "accelerator" not in hardware("cpu")
