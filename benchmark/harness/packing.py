"""How many trainings fit on one GPU, from the memory that they were seen to take.

``penumbra profile --device cuda`` leaves runtime records: what ten stacked runs held at most, and how much
memory the GPU has. From both follows the share of a GPU that Ray is asked for.
"""

from collections.abc import Iterable
from math import floor
from pathlib import Path

from benchmark.harness.record import Record, read_record
from benchmark.harness.runtime import PREFIX

# GiB that a process holds on a GPU beside its tensors: CUDA's context and the kernels' code.
CONTEXT = 0.6
# Share of a GPU's memory that is left alone: allocators fragment.
RESERVE = 0.1


def gpu_share(peak: float, whole: float) -> float:
    """Return the share of a GPU for one training: one over the number of them that fit.

    Args:
        peak: GiB that its tensors held at most.
        whole: GiB of the GPU.

    Raises:
        ValueError: if not even one fits.
    """
    fit = floor(whole * (1 - RESERVE) / (peak + CONTEXT))
    if fit < 1:
        raise ValueError(f"gpu_share: peak={peak} GiB and {CONTEXT} GiB of context do not fit on {whole} GiB")
    return 1 / fit


def gpu_shares(records: Iterable[Record]) -> dict[tuple[str, str], float]:
    """Return the share of each submission and task that has runtime records of a GPU, at the most that it ever held.

    Args:
        records: runtime records; those of other devices say nothing. Of each submission and task only those with the
            most runs trained together count.
    """
    found: dict[tuple[str, str], tuple[int, float]] = {}
    for record in records:
        peak, whole = record["peak_gib"].get("device"), record["hardware"].get("accelerator_gib")
        if peak is None or whole is None:
            continue
        place = record["submission"], record["task_id"]
        found[place] = max(found.get(place, (0, 0.0)), (record["stacked_runs"], gpu_share(peak, whole)))
    return {place: share for place, (_, share) in found.items()}


def read_gpu_shares(folder: Path) -> dict[tuple[str, str], float]:
    """Return the shares that the runtime records in a folder lead to.

    Raises:
        ValueError: if it holds no runtime record of a GPU.
    """
    shares = gpu_shares(map(read_record, sorted(folder.rglob(f"{PREFIX}-*.json"))))
    if not shares:
        raise ValueError(f"gpu_shares: {folder} holds no runtime record of a GPU; see penumbra profile")
    return shares
