"""A process of its own for code that may crash, hang or eat memory, watched by whoever asks it something.

Parent and child exchange lines of JSON over two pipes that nobody else holds. The child dies with its parent, and all
that it has started dies with it. This contains accidents, not malice: code that wants to do harm needs a container.
"""

import ctypes
import faulthandler
import importlib
import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

# Called with each message that the child sends on its way to the answer.
Hear = Callable[[Any], None]
# What a function in the child says on its way, in JSON.
Say = Callable[[Any], None]

_SECONDS_BETWEEN_LOOKS = 0.1
_START = "import sys; from benchmark.harness.child import serve; serve(*map(int, sys.argv[1:]))"


class ChildError(Exception):
    """What was asked of a child was not answered: it raised, died, or broke a limit.

    Attributes:
        line: the first line of what went wrong, as ``describe`` gives it.
        trace: where it raised; empty if the process was lost.
    """

    def __init__(self, line: str, trace: str = "") -> None:
        super().__init__(line)
        self.line = line
        self.trace = trace


def describe(error: BaseException) -> tuple[str, str]:
    """Return the first line of an exception and the end of its traceback, the same here and from a child."""
    if isinstance(error, ChildError):
        return error.line, error.trace
    line = (f"{type(error).__name__}: {error}".splitlines() or [""])[0][:500]
    return line, "".join(traceback.format_exception(error)[-3:])[-2000:]


@dataclass(frozen=True)
class Limits:
    """What one question may cost.

    Attributes:
        seconds: wall time.
        gib: resident memory of the child, in GiB; watched where /proc exists.
    """

    seconds: float = 86_400.0
    gib: float | None = None

    def __post_init__(self) -> None:
        for name in ("seconds", "gib"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"limits: {name}={value} must be positive")

    @property
    def bytes(self) -> float:
        """The memory limit in bytes; by default nine tenths of what the machine or its container has."""
        return (self.gib * 2**30) if self.gib else 0.9 * _machine_bytes()


class Child:
    """A child process that is started when first asked, and again after it was lost. Use it in a ``with``.

    Args:
        limits: of every question.
        environment: variables that the child has besides this process's.
    """

    def __init__(self, limits: Limits, environment: Mapping[str, str] | None = None) -> None:
        self.limits = limits
        self.environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._questions = self._answers = -1

    def __enter__(self) -> "Child":
        """Start nothing yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process, also if the parent was interrupted."""
        self.close()

    def ask(self, function: str, argument: Any, hear: Hear = lambda message: None) -> Any:
        """Call ``function(argument, say)`` in the child and return its answer.

        Args:
            function: ``"module:name"``.
            argument: JSON.
            hear: gets whatever the function says with ``say``.

        Raises:
            ChildError: if the function raised, or the process died or broke a limit; it is then gone.
        """
        if self._process is None:
            self._start()
        deadline = time.monotonic() + self.limits.seconds
        question = {"function": function, "argument": argument, "threads": torch.get_num_threads()}
        try:
            with suppress(BrokenPipeError):  # whoever is dead is found dead below, with the reason
                os.write(self._questions, json.dumps(question).encode() + b"\n")
            return self._listen(deadline, hear)
        except BaseException as error:
            if not (isinstance(error, ChildError) and error.trace):
                self.close()
            raise

    def close(self) -> None:
        """Kill the child and whatever it has started."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            os.close(self._questions)
            os.close(self._answers)

    def _start(self) -> None:
        theirs_in, self._questions = os.pipe()
        self._answers, theirs_out = os.pipe()
        path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, str(theirs_in), str(theirs_out), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            pass_fds=(theirs_in, theirs_out),
            env={**os.environ, "PYTHONPATH": path, **self.environment},
            start_new_session=True,  # Ctrl-C is for the parent, and the whole group can be killed at once
        )
        os.close(theirs_in)
        os.close(theirs_out)

    def _listen(self, deadline: float, hear: Hear) -> Any:
        assert self._process is not None
        rest = b""
        while True:
            ready, _, _ = select.select([self._answers], [], [], _SECONDS_BETWEEN_LOOKS)
            chunk = os.read(self._answers, 1 << 16) if ready else b""
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                message = json.loads(line)
                if "said" in message:
                    hear(message["said"])
                elif "error" in message:
                    raise ChildError(message["error"], message["trace"])
                else:
                    return message["answer"]
            if not chunk and (ready or self._process.poll() is not None):
                raise ChildError(f"ProcessDied: {_death(self._process.wait())}")
            if time.monotonic() > deadline:
                raise ChildError(f"TimeLimit: no answer within {self.limits.seconds:g} s; the process was killed")
            if (used := _resident_bytes(self._process.pid)) > self.limits.bytes:
                raise ChildError(
                    f"MemoryLimit: {used / 2**30:.2f} GiB in use exceed {self.limits.bytes / 2**30:.2f} GiB; "
                    "the process was killed"
                )


def _death(status: int) -> str:
    if status >= 0:
        return f"the process left with exit status {status} before it had answered"
    name = signal.Signals(-status).name
    hint = " (from outside; most often the system ran out of memory)" if name == "SIGKILL" else ""
    return f"the process was killed by {name}{hint}"


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0


def _machine_bytes() -> float:
    found = [float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")]
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):  # "max" means no limit
            found.append(float(Path(file).read_text()))
    return min(found)


def serve(questions: int, answers: int, parent: int) -> None:
    """Be the child: answer questions until the parent is gone.

    Args:
        questions: descriptor to read from.
        answers: descriptor to write to.
        parent: process id of the parent.
    """
    _prepare_to_die(parent, answers)
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(questions, waiting), daemon=True).start()

    def send(message: Any) -> None:
        data = memoryview(json.dumps(message, allow_nan=False).encode() + b"\n")
        while data:
            data = data[os.write(answers, data) :]

    while True:
        question = json.loads(waiting.get())
        torch.set_num_threads(question["threads"])
        module, _, name = question["function"].partition(":")
        try:
            function = getattr(importlib.import_module(module), name)
            send({"answer": function(question["argument"], lambda message: send({"said": message}))})
        except BaseException as error:  # sys.exit() and Ctrl-C of a submission are answers too
            line, trace = describe(error)
            send({"error": line, "trace": trace or line})


def _read(questions: int, waiting: "queue.SimpleQueue[bytes]") -> None:
    with os.fdopen(questions, "rb") as stream:
        for line in stream:
            waiting.put(line)
    os.killpg(0, signal.SIGKILL)  # the parent is gone, and nobody wants the answer


def _prepare_to_die(parent: int, answers: int) -> None:
    faulthandler.enable()
    os.set_inheritable(answers, False)
    if sys.platform == "linux":
        die_with_parent = 1  # PR_SET_PDEATHSIG; the reading thread cannot act while foreign code holds the interpreter
        ctypes.CDLL(None).prctl(die_with_parent, signal.SIGKILL)
        with suppress(OSError):  # if memory runs out, this process is to be taken, not its parent
            Path("/proc/self/oom_score_adj").write_text("1000")
    if os.getppid() != parent:
        os._exit(1)
