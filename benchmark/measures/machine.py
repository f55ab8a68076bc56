"""On what machine, with what software, beside whom: what a timing needs to be believed."""

import os
import platform
import resource
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
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
        processes compute on it; empty where the package ``nvidia-ml-py`` is not installed, the device is no GPU or the
        library does not know it. What the driver does not tell is left out.
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
        handle = _handle(pynvml, device)
        if handle is None:
            return {}
        ask = {
            "accelerator": lambda: pynvml.nvmlDeviceGetName(handle),
            "driver": lambda: pynvml.nvmlSystemGetDriverVersion(),
            "mig": lambda: bool(pynvml.nvmlDeviceGetMigMode(handle)[0]),
            "clock_sm_mhz": lambda: pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM),
            "clock_memory_mhz": lambda: pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_MEM),
            "power_cap_w": lambda: pynvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000,
            "utilisation_percent": lambda: pynvml.nvmlDeviceGetUtilizationRates(handle).gpu,
            # One of them is this process, though in a container the library may know it by another number.
            "other_processes": lambda: max(
                0, len(pynvml.nvmlDeviceGetComputeRunningProcesses(handle)) - torch.cuda.is_initialized()
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


def _handle(pynvml: Any, device: torch.device) -> Any:
    """Return the library's handle of a GPU or of a slice of one, None if it knows neither."""
    uuid = torch.cuda.get_device_properties(device).uuid
    for kind in ("GPU", "MIG"):
        try:
            return pynvml.nvmlDeviceGetHandleByUUID(f"{kind}-{uuid}")
        except pynvml.NVMLError:
            continue
    return None


def peak_memory(device: torch.device | str = "cpu") -> dict[str, float]:
    """Return the most memory that this process has held so far, in GiB: ``host``, and ``device`` on a GPU."""
    peak = {"host": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}  # Linux counts in KiB
    device = torch.device(device)
    if device.type == "cuda":
        peak["device"] = torch.cuda.max_memory_allocated(device) / 2**30
    return {name: round(value, 3) for name, value in peak.items()}
