"""On what machine, with what software, beside whom: what a timing needs to be believed."""

import os
import platform
import resource
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any

import torch


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def hardware(device: torch.device | str = "cpu") -> dict[str, Any]:
    """Describe the machine: processor, cores, threads in use, and the accelerator if one is used."""
    device = torch.device(device)
    facts: dict[str, Any] = {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": device.type,
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        facts["accelerator"] = properties.name
        facts["accelerator_gib"] = round(properties.total_memory / 2**30, 1)
        facts["cuda"] = torch.version.cuda
    return facts


def packages() -> dict[str, str]:
    """Return the versions of everything that can move a number."""
    found = {"python": ".".join(map(str, sys.version_info[:3])), "torch": torch.__version__}
    for name in ("penumbra", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def git_commit() -> str | None:
    """Return the commit of the checkout this code runs from (with ``+`` if it has changes), or None."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def accelerator_state(device: torch.device | str = "cuda") -> dict[str, Any]:
    """Describe what NVIDIA's management library says about a GPU now.

    Returns:
        Name, driver, slice (MIG), clocks in MHz, power cap in W, utilisation in percent, and how many other
        processes compute on it; empty where the package ``nvidia-ml-py`` is not installed or the device is no GPU.
        What the driver does not tell is left out.
    """
    device = torch.device(device)
    if device.type != "cuda":
        return {}
    try:
        import pynvml  # optional: nvidia-ml-py
    except ModuleNotFoundError:
        return {}
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return {}
    try:
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        ask = {
            "accelerator": lambda: pynvml.nvmlDeviceGetName(handle),
            "driver": lambda: pynvml.nvmlSystemGetDriverVersion(),
            "mig": lambda: bool(pynvml.nvmlDeviceGetMigMode(handle)[0]),
            "clock_sm_mhz": lambda: pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM),
            "clock_memory_mhz": lambda: pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_MEM),
            "power_cap_w": lambda: pynvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000,
            "utilisation_percent": lambda: pynvml.nvmlDeviceGetUtilizationRates(handle).gpu,
            "other_processes": lambda: sum(
                process.pid != os.getpid() for process in pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
            ),
        }
        state: dict[str, Any] = {}
        for name, question in ask.items():
            try:
                state[name] = question()
            except pynvml.NVMLError:  # this driver, or a slice, does not tell
                continue
        return state
    finally:
        pynvml.nvmlShutdown()


def _busy_seconds() -> float | None:
    """Return the processor seconds that everybody together has used since the machine started, if it tells."""
    try:
        first = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    except OSError:
        return None
    user, nice, system, _idle, _wait, interrupt, soft, steal = map(int, first[1:9])
    return (user + nice + system + interrupt + soft + steal) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


class Watch:
    """See who else is at work during ``with watch:``.

    Attributes:
        seconds: how long it took.
        others: processor cores that other processes kept busy on average, or None where the system does not tell.
        neighbours: other processes on the GPU at the end, or None where that is not known.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.seconds = 0.0
        self.others: float | None = None
        self.neighbours: int | None = None

    def __enter__(self) -> "Watch":
        """Start watching."""
        self._started = time.perf_counter(), _busy_seconds(), _own_seconds()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop watching."""
        began, busy_before, own_before = self._started
        self.seconds = time.perf_counter() - began
        busy = _busy_seconds()
        if busy is not None and busy_before is not None:
            self.others = max(0.0, (busy - busy_before - (_own_seconds() - own_before)) / self.seconds)
        self.neighbours = accelerator_state(self.device).get("other_processes")

    @property
    def crowded(self) -> bool:
        """Whether others took what this process could have used: a tenth of a core too many, or a share of the GPU."""
        wanted = torch.get_num_threads() + (self.others or 0.0)
        return bool(self.neighbours) or wanted > (os.cpu_count() or 1) + 0.1


def peak_memory(device: torch.device | str = "cpu") -> dict[str, float]:
    """Return the most memory that this process has held so far, in GiB: ``host``, and ``device`` on a GPU."""
    peak = {"host": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}  # Linux counts in KiB
    device = torch.device(device)
    if device.type == "cuda":
        peak["device"] = torch.cuda.max_memory_allocated(device) / 2**30
    return {name: round(value, 3) for name, value in peak.items()}
