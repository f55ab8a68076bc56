"""Environment steps per second: transition and observation of a whole batch, random joint actions.

In ``extra_info``: ``steps_per_second``; as a ratio that does not depend on the machine ``copies``, how many times as
long a step takes as copying the batch's observations once; and what a roofline needs: kernels of a step, bytes and
operations of one environment step as written, and ``least_bytes``, which no program could avoid (read keys, state and
actions once, write state, reward, end and observations once).
"""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from rates import CORES, DEVICES, finished, repeat, say, seconds, threads

from benchmark.measures.traffic import count_traffic, size
from benchmark.tasks.registry import make_task
from benchmark.tasks.streams import below, bits, episode_keys

TASKS = (
    "oracle-v0",
    "gathering-v0",
    "escape-room-v0",
    "honeycomb-v0",
    "organization-full-27-v0",
    "organization-full-100-v0",
    "organization-lattice-100-v0",
)
STEPS = 5
COUNTED = 4096  # the batch whose kernels are counted: bytes of one episode hardly depend on it


class Play:
    """The first steps of a batch of episodes."""

    def __init__(self, task_id: str, batch: int, device: str = "cpu", seed: int = 0) -> None:
        self.task, self.keys = make_task(task_id), episode_keys("user", seed, batch, device=device)
        self.start = self.task.initial_state(self.keys)
        count = len(self.task.action_names)
        self.actions = [below(bits(self.keys, n, "benchmark", self.task.agents), count) for n in range(STEPS)]

    @torch.no_grad()
    def __call__(self) -> None:
        state = self.start
        for step in range(STEPS):
            state = self.task.transition(state, self.actions[step], self.keys, step).state
            self.task.observe(state)

    @torch.no_grad()
    def traffic(self) -> dict[str, float]:
        """Count one step."""
        batch = len(self.keys)
        counted = count_traffic(self)
        result = self.task.transition(self.start, self.actions[0], self.keys, 0)
        least = [self.keys, *self.start, self.actions[0]]
        least += [*result.state, result.reward, result.terminated, self.task.observe(result.state)]
        return {
            "kernels": counted.kernels / STEPS,
            "bytes_per_step": counted.bytes / STEPS / batch,
            "operations_per_step": counted.operations / STEPS / batch,
            "picks_per_step": counted.picks / STEPS / batch,
            "least_bytes": size(least) / batch,
        }


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("batch", [1, 64, 4096, 65536])
@pytest.mark.parametrize("task_id", TASKS)
def test_steps(benchmark, task_id, batch, device):
    play = Play(task_id, batch, device)
    took = repeat(benchmark, finished(play, device)) / STEPS
    observations = play.task.observe(play.start).contiguous()
    copy = seconds(finished(observations.clone, device), 20)
    say(benchmark, steps_per_second=batch / took, copies=took / copy)
    if batch == COUNTED:
        say(benchmark, **play.traffic())


@pytest.mark.parametrize("batch", [128, 512, 4096])
@pytest.mark.parametrize("task_id", TASKS)
def test_steps_on_two_cores(benchmark, task_id, batch):
    """A batch for each core, each in a thread of its own: how somebody who wants episodes gets the most of them."""
    plays = [Play(task_id, batch, seed=core) for core in range(CORES)]
    with threads(1):
        alone = seconds(plays[0]) / STEPS
        with ThreadPoolExecutor(CORES, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            took = repeat(benchmark, lambda: list(pool.map(lambda play: play(), plays))) / STEPS
    say(benchmark, steps_per_second=CORES * batch / took, times_one_core=CORES * alone / took)
