"""What the machine is, what the GPU's driver tells, and how much memory was needed."""

import sys
from types import SimpleNamespace

import pytest
import torch

from benchmark.measures.machine import accelerator_state, hardware, peak_memory


def test_a_large_tensor_shows_in_the_peak():
    before = peak_memory()["host"]
    block = torch.ones(int((before + 0.1) * 2**30) // 4 - torch.ones(1).numel())
    assert peak_memory()["host"] >= before + 0.05
    del block


def test_the_processor_has_no_accelerator_state():
    assert accelerator_state("cpu") == {}
    assert hardware("cpu")["device"] == "cpu"
    assert "accelerator" not in hardware("cpu")


class NVMLError(Exception):
    pass


def nvml(processes: int, known: str = "GPU-1234") -> SimpleNamespace:
    """A driver's library: it knows one device, and refuses the clocks."""

    def handle(uuid: str) -> str:
        if uuid != known:
            raise NVMLError
        return uuid

    def refuse(handle: str, *which: int) -> int:
        raise NVMLError

    return SimpleNamespace(
        NVMLError=NVMLError,
        NVML_CLOCK_SM=1,
        NVML_CLOCK_MEM=2,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetHandleByUUID=handle,
        nvmlDeviceGetName=lambda handle: "H200",
        nvmlSystemGetDriverVersion=lambda: "570.1",
        nvmlDeviceGetMigMode=lambda handle: (handle.startswith("MIG"), 0),
        nvmlDeviceGetClockInfo=refuse,
        nvmlDeviceGetEnforcedPowerLimit=lambda handle: 700_000,
        nvmlDeviceGetUtilizationRates=lambda handle: SimpleNamespace(gpu=37),
        nvmlDeviceGetComputeRunningProcesses=lambda handle: [SimpleNamespace(pid=n) for n in range(processes)],
    )


@pytest.fixture
def gpu(monkeypatch):
    """A GPU that torch describes, and that this process uses."""
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="1234"))
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    return lambda library: monkeypatch.setitem(sys.modules, "pynvml", library)


def test_the_driver_tells_what_it_tells(gpu):
    gpu(nvml(processes=3))
    assert accelerator_state("cuda") == {
        "accelerator": "H200",
        "driver": "570.1",
        "mig": False,
        "power_cap_w": 700.0,
        "utilisation_percent": 37,
        "other_processes": 2,  # one of the three is this one, whatever number a container gives it
    }


def test_alone_on_the_gpu_there_is_no_other(gpu):
    for processes in (0, 1):
        gpu(nvml(processes))
        assert accelerator_state("cuda")["other_processes"] == 0


def test_a_slice_is_known_by_another_name_and_a_stranger_by_none(gpu):
    gpu(nvml(1, known="MIG-1234"))
    assert accelerator_state("cuda")["mig"]
    gpu(nvml(1, known="GPU-5678"))
    assert accelerator_state("cuda") == {}


def test_without_the_library_or_its_driver_nothing_is_said(gpu, monkeypatch):
    def fail() -> None:
        raise NVMLError

    library = nvml(1)
    library.nvmlInit = fail
    gpu(library)
    assert accelerator_state("cuda") == {}
    monkeypatch.setitem(sys.modules, "pynvml", None)  # not installed
    assert accelerator_state("cuda") == {}
