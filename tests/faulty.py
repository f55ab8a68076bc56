"""Submissions for the tests of the harness: a sound one, and one for every way to break the contract."""

from pathlib import Path
from uuid import uuid4

MODULE = '''
import ctypes, os, signal, sys, torch
from benchmark.episodes.policy import ConstantPolicy, RandomPolicy


class Bad:
    """Return whatever it was given as actions."""

    def __init__(self, make):
        self.make = make

    def initial_memory(self, keys):
        return None

    def act(self, observations, memory):
        return self.make(observations), memory


class Learner:
    def __init__(self, fault="", seed=-1, rounds=4, crash_flag=""):
        self.fault, self.seed, self.rounds, self.crash_flag = fault, seed, rounds, crash_flag

    def train(self, setting):
        task = setting.task
        broken = self.fault if self.seed in (-1, *setting.seeds) else ""
        if broken == "silence":
            return
        if broken == "exception":
            raise RuntimeError("the learner fell over")
        if broken == "crash":
            ctypes.string_at(0)
        if broken == "exit":
            sys.exit(3)
        if broken == "note":
            setting.note(0, loss=float("nan"))
        if broken == "memory":
            yield NanMemory()
            return
        makers = {
            "nan": lambda o: torch.full(o.shape[:2], float("nan")),
            "shape": lambda o: torch.zeros(o.shape[0], dtype=torch.int64),
            "range": lambda o: torch.full(o.shape[:2], 99),
            "negative": lambda o: torch.full(o.shape[:2], -1),
            "list": lambda o: [0],
        }
        if broken in makers:
            yield Bad(makers[broken])
            return
        explore = RandomPolicy(task.agents, len(task.action_names))
        share = setting.budget // self.rounds
        if broken == "greedy-budget":
            setting.rollout(explore, setting.budget + 1)
        for number in range(self.rounds):
            episodes = setting.rollout(explore, share)
            assert episodes.batch == setting.runs * share
            setting.count_updates(3)
            if self.crash_flag and setting.seeds == (1,) and number == 2 and not os.path.exists(self.crash_flag):
                open(self.crash_flag, "w").close()
                os.kill(os.getpid(), signal.SIGKILL)
            yield ConstantPolicy([number] * task.agents)
        for run in range(setting.runs):
            setting.note(run, parameters=0)


class NanMemory:
    def initial_memory(self, keys):
        return torch.zeros(len(keys))

    def act(self, observations, memory):
        return torch.zeros(observations.shape[:2], dtype=torch.int64), memory / 0
'''


def module_of(folder: Path) -> str:
    """Return the name of the module in a submission folder."""
    return next(folder.glob("*.py")).stem


def write(folder: Path, name: str, *, stacked: bool = True, **parameters: object) -> Path:
    """Write a submission folder and return it."""
    target = folder / name
    target.mkdir(parents=True)
    module = f"submission_{uuid4().hex}"  # modules of different folders must not share a name in one process
    (target / f"{module}.py").write_text(MODULE)
    values = "\n".join(f"{key} = {value!r}".replace("'", '"') for key, value in parameters.items())
    (target / "submission.toml").write_text(
        f'name = "{name}"\nentry_point = "{module}:Learner"\nstacked = {str(stacked).lower()}\n[parameters]\n{values}\n'
    )
    return target
