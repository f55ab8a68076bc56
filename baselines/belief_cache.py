"""A frozen belief model for a setting: from the cache or trained, put to the gate, noted in the record.

Training takes minutes, and its result is a pure function of the dataset and the configuration. A *shared* belief is
trained once, from a key of its own, for all runs, and kept beside the datasets as plain arrays. A file that is
damaged, or was made from something else, is not trusted: the model is trained again.
"""

import hashlib
import json
import logging
import os
import tempfile
import zipfile
import zlib
from dataclasses import asdict, replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from baselines.belief import BeliefForm, BeliefModel
from baselines.belief_gate import Evidence, gate
from baselines.networks import note_parameters
from baselines.pretraining import Pretrained, Pretraining, pretrain
from benchmark.episodes.datasets import cache_folder, dataset, dataset_for, load_dataset
from benchmark.episodes.rollout import Episodes
from benchmark.harness.protocol import Setting
from benchmark.measures.density import rule
from benchmark.tasks.registry import file_name, make_task
from benchmark.tasks.streams import purpose_offset
from benchmark.tasks.task import Task

# Part of every file's name: raise it when the same configuration comes to mean another model.
FORMAT = 1
# Episodes put to the gate; distributions over all values are looked at in fewer, for memory.
GATE_EPISODES, DISTRIBUTION_EPISODES = 500, 64
_log = logging.getLogger("penumbra")
Arrays = dict[str, np.ndarray]


def prepare_belief(
    setting: Setting, config: Pretraining | None = None, *, shared: bool = True, episodes: int | None = None
) -> BeliefModel:
    """Return a frozen belief model for all runs of a setting.

    The record of every run is told how long training took (also when it was done before), how many updates it needed,
    and the result of the gate, as ``belief_*`` notes.

    Args:
        setting: task, run keys and dataset.
        config: what is trained, and how.
        shared: one model (R = 1) for all runs, or one for each run from the run's own key.
        episodes: learn from the first so many of the dataset; from all if it has no more, or if not given.

    Raises:
        ValueError: if the task has no dataset, or ``episodes`` is not positive.
    """
    if episodes is not None and episodes < 1:
        raise ValueError(f"belief: episodes={episodes} must be at least 1")
    config = config or Pretraining()
    part = None if episodes is None or episodes >= _size(setting.task_id) else episodes
    validation = setting.dataset("validation")
    if shared:
        key = torch.tensor([purpose_offset("shared-belief", 0)], device=setting.device)
        path = cache_path(setting.task_id, config, validation, part)
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):  # whoever comes second waits for the model and loads it
            trained = load(path, setting.task, config, key)
            if trained is None:
                trained = pretrain(setting.task, config, key, setting.dataset("train")[:part], validation)
                store(path, trained)
    else:
        trained = pretrain(setting.task, config, setting.run_keys, setting.dataset("train")[:part], validation)
    trained.model.requires_grad_(False)
    note_parameters(setting, trained.model)
    for run, facts in enumerate(gate_facts(setting.task, trained.model, validation, setting.runs)):
        setting.note(run, belief_seconds=round(trained.seconds, 1), belief_updates=trained.updates, **facts)
    return trained.model


def _size(task_id: str) -> int:
    dataset_id = dataset_for(task_id)
    return dataset(dataset_id).size("train") if dataset_id else 0


def gate_facts(task: Task, model: BeliefModel, validation: Episodes, runs: int) -> list[dict[str, Any]]:
    """Put every run's belief to the gate and return its record: each check, and whether all are passed.

    A shared model is tested once.
    """
    held_out = validation[:GATE_EPISODES]
    vectors = model.encode(_repeat(held_out, model.runs)).unflatten(0, (model.runs, -1))
    few = _repeat(held_out[:DISTRIBUTION_EPISODES], model.runs)
    beliefs = [values.unflatten(0, (model.runs, -1)) for values in model.encode_log_probabilities(few)]
    records = []
    for run in range(model.runs):
        checks = gate(task, Evidence(held_out, vectors[run], tuple(values[run] for values in beliefs)))
        record: dict[str, Any] = {"belief_rule": spoken_rule(model.form)}
        record["belief_gate_passed"] = all(check.passed for check in checks)
        for check in checks:
            record[f"belief_{check.name}"] = round(check.value, 4) if isfinite(check.value) else None
            record[f"belief_{check.name}_limit"] = round(check.threshold, 4)
        records.append(record)
        if not record["belief_gate_passed"]:
            failed = ", ".join(f"{c.name} = {c.value:.3g}" for c in checks if not c.passed)
            _log.warning("the belief fails its gate: %s", failed)
    return records * (runs // model.runs)


def cached_belief(task_id: str) -> tuple[str, BeliefModel] | None:
    """Return name and model of what Belief-I2Q learned on a task with its usual settings; None if it has not yet.

    Raises:
        ValueError: if the task is unknown.
    """
    dataset_id = dataset_for(task_id)
    assert dataset_id is not None, task_id
    config = Pretraining()
    path = cache_path(task_id, config, load_dataset(dataset_id, "validation"))
    trained = load(path, make_task(task_id), config, torch.zeros(1, dtype=torch.int64))
    return (path.stem, trained.model) if trained else None


def spoken_rule(form: BeliefForm) -> str:
    """Say how the model's beliefs become distributions over finitely many values."""
    kind = rule("diagonal Gaussian") if form.decoder == "gaussian" else "a probability for every value"
    return f"{kind}; mean over the samples of z"


def _repeat(episodes: Episodes, runs: int) -> Episodes:
    return Episodes.concatenate([episodes] * runs) if runs > 1 else episodes


def cache_path(task_id: str, config: Pretraining, validation: Episodes, episodes: int | None = None) -> Path:
    """Return where a shared model is kept: named by everything that its weights depend on.

    What observations hold follows from the task's id, perturbations included.

    Args:
        task_id: whose dataset.
        config: how it is trained.
        validation: the split that it is judged by.
        episodes: how many of the dataset it learns from; None is all.
    """
    config = replace(config, form=replace(config.form, samples=1, temperature=1.0))  # which matter to readers only
    part = f" {episodes}" if episodes else ""
    summary = hashlib.sha256(f"{FORMAT} {json.dumps(asdict(config), sort_keys=True)}{part}".encode())
    for values in (validation.keys, validation.actions.to(torch.uint8), validation.hidden.to(torch.int16)):
        summary.update(values.cpu().numpy().tobytes())
    return cache_folder() / "beliefs" / f"{file_name(task_id)}-{summary.hexdigest()[:16]}.npz"


def store(path: Path, trained: Pretrained) -> None:
    """Write a model's weights and history in one piece, with a digest of both."""
    arrays: Arrays = {
        f"weights/{name}": value.detach().cpu().numpy() for name, value in trained.model.named_parameters()
    }
    facts = {"updates": trained.updates, "seconds": trained.seconds, "curve": trained.curve}
    arrays["facts"] = np.array(json.dumps(facts))
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.stem}.", delete=False) as file:
        try:
            np.savez(file, allow_pickle=False, digest=np.array(_digest(arrays)), **arrays)
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def load(path: Path, task: Task, config: Pretraining, run_keys: Tensor) -> Pretrained | None:
    """Return a stored model, or None if there is none that can be trusted."""
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays: Arrays = {name: file[name] for name in file.files}
        digest = str(arrays.pop("digest"))
        if digest != _digest(arrays):
            raise ValueError("its content does not match its digest")
        model = BeliefModel(run_keys, task, config.form)
        state = {name: torch.from_numpy(arrays[f"weights/{name}"]) for name, _ in model.named_parameters()}
        model.load_state_dict(state)
        facts = json.loads(str(arrays["facts"]))
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        _log.warning("%s: the stored belief model cannot be used (%s); training it again", path, error)
        return None
    return Pretrained(model, facts["updates"], facts["seconds"], facts["curve"])


def _digest(arrays: Arrays) -> str:
    summary = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        summary.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        summary.update(array.tobytes())
    return summary.hexdigest()
