"""How long many trainings take on many workers: list scheduling, simulated.

One driver hands out jobs in order, one after another, each to the worker that is free first. An attempt may die; the
job then waits at the end of the line again, as with Ray. Nothing here runs anything: durations go in, times come out.
"""

import heapq
from collections.abc import Sequence
from typing import NamedTuple

import torch

from benchmark.tasks.streams import bits, uniform

# A job that died more often is given up, as in ``cluster.RETRIES``.
MOST_DEATHS = 3


class Outcome(NamedTuple):
    """What a schedule came to."""

    makespan: float  # seconds until the last worker is done
    bound: float  # seconds that no schedule can beat: the work over the workers, or the longest job
    lost: float  # seconds of work that attempts which died had done
    given_up: int  # jobs whose every attempt died


def simulate(attempts: Sequence[Sequence[float]], workers: int, dispatch: float = 0.0) -> Outcome:
    """Play a schedule.

    Args:
        attempts: of each job, the seconds of each of its attempts; all but the last die at their end. A job with more
            than ``MOST_DEATHS`` + 1 attempts is given up after that many.
        workers: each does one attempt at a time.
        dispatch: seconds that the driver needs to hand out one attempt.

    Raises:
        ValueError: if there are no workers, or a job has no attempt.
    """
    if workers < 1:
        raise ValueError(f"simulate: workers={workers} must be at least 1")
    if not all(attempts):
        raise ValueError("simulate: a job needs at least one attempt")
    free = [0.0] * workers
    line = [(0.0, job, 0) for job in range(len(attempts))]  # ready since, job, attempt: a heap
    driver = makespan = lost = 0.0
    given_up = 0
    while line:
        ready, job, attempt = heapq.heappop(line)
        driver = max(driver, ready) + dispatch
        ended = max(driver, heapq.heappop(free)) + attempts[job][attempt]
        heapq.heappush(free, ended)
        makespan = max(makespan, ended)
        if attempt + 1 < len(attempts[job]):
            lost += attempts[job][attempt]
            if attempt < MOST_DEATHS:
                heapq.heappush(line, (ended, job, attempt + 1))
            else:
                given_up += 1
    last = [times[-1] for times in attempts]
    return Outcome(makespan, max(max(last, default=0.0), sum(last) / workers), lost, given_up)


def with_deaths(seconds: Sequence[float], deaths_per_hour: float, seed: int = 0) -> list[list[float]]:
    """Draw the attempts of jobs whose workers die at a constant rate, whatever they do.

    Args:
        seconds: of each job, undisturbed.
        deaths_per_hour: of one worker.
        seed: of the draws.

    Returns:
        For ``simulate``: times until death that are shorter than the job, then the job itself; at most
        ``MOST_DEATHS`` + 1 deaths.
    """
    draws = uniform(bits(torch.arange(len(seconds)), seed, "deaths", MOST_DEATHS + 1)).to(torch.float64)
    lives = (-torch.log1p(-draws) * 3600 / deaths_per_hour).tolist() if deaths_per_hour else [[]] * len(seconds)
    attempts = []
    for whole, row in zip(seconds, lives, strict=True):
        survived = next((place for place, life in enumerate(row) if life >= whole), len(row))
        attempts.append([*row[:survived], whole])
    return attempts
