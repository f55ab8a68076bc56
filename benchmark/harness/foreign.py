"""Other people's training loops through the same door as everybody's.

A foreign trainer owns its loop, steps a PettingZoo environment and knows nothing of budgets or evaluations. Two things
make it a learner: an environment whose episodes are the setting's, charged to its budget, and a way to hand a policy
out of the middle of a loop that never yields::

    def train(self, setting):
        def run(offer):
            env = MeteredParallelEnv(setting)
            ...                      # the trainer's own loop; every now and then: offer(policy)
        yield from interleave(run)

The loop need not count episodes: when the budget is used up, ``env.reset`` raises ``BudgetExceeded``, and
``interleave`` takes that as the end of training.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, SupportsIndex

import numpy as np

from benchmark.episodes.parallel_env import TaskParallelEnv
from benchmark.episodes.policy import Policy
from benchmark.harness.protocol import BudgetExceeded, Setting


class MeteredParallelEnv(TaskParallelEnv):
    """A PettingZoo environment that plays the training episodes of a setting, one budgeted episode to a reset.

    Several environments of one setting share its budget and never play the same episode.

    Args:
        setting: of one run (R = 1), as learners that do not stack runs are given.
        render_mode: as for ``TaskParallelEnv``.

    Raises:
        ValueError: if the setting has more than one run.
    """

    def __init__(self, setting: Setting, render_mode: str | None = None) -> None:
        if setting.runs != 1:
            raise ValueError(f"MeteredParallelEnv: runs={setting.runs}; allowed: 1 (stacked = false in the manifest)")
        super().__init__(setting.task, render_mode)
        self.setting = setting

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]:
        """Start the setting's next training episode; ``seed`` is ignored, for the setting's run decides.

        An episode in which no step was taken is not used up: trainers reset environments to look at them.

        Raises:
            BudgetExceeded: if no episode is left.
        """
        fresh = self._step > 0 or not self.agents
        return self._begin(self.setting.next_key() if fresh else self._keys)

    def step(
        self, actions: Mapping[str, SupportsIndex]
    ) -> tuple[dict[str, np.ndarray], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """Apply one action per agent; counted as an environment step."""
        result = super().step(actions)
        self.setting.env_steps[0] += 1
        return result


def interleave(run: Callable[[Callable[[Policy], None]], None]) -> Iterator[Policy]:
    """Turn a training loop that runs to its end into a generator of policies.

    The loop runs in a thread of its own, but never at the same time as whoever consumes the policies: ``offer``
    returns when the next policy is asked for. So evaluations see a policy that nobody is changing, and the training
    clock stands meanwhile.

    Args:
        run: the loop; it is given ``offer`` and calls it with a policy now and then, at least once.

    Yields:
        What was offered.

    Raises:
        Exception: whatever ``run`` raises, but ``BudgetExceeded``, which ends training in good order.
    """
    turn = threading.Semaphore(0)  # the loop may go on
    handed: list[Policy] = []
    failure: list[BaseException] = []
    news = threading.Semaphore(0)  # a policy was handed out, or the loop has ended
    closing = threading.Event()

    def offer(policy: Policy) -> None:
        handed.append(policy)
        news.release()
        turn.acquire()
        if closing.is_set():
            raise _Closed

    def work() -> None:
        turn.acquire()
        try:
            if not closing.is_set():
                run(offer)
        except (BudgetExceeded, _Closed):
            pass
        except BaseException as error:  # raised again where the policies are consumed
            failure.append(error)
        finally:
            news.release()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            turn.release()
            news.acquire()
            if not handed:
                break
            yield handed.pop()
    finally:
        closing.set()
        turn.release()
        thread.join()
    if failure:
        raise failure[0]


class _Closed(BaseException):
    """Nobody wants further policies."""
