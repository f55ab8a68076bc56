"""Evaluation elsewhere: how policies trained on one task do on others, where they have never learned.

A world may shift after training: trained at one level of slip, a policy is played at all of them. The policies are
those of the last evaluations, whose mean is the final return; the episodes have the same keys as at home.
"""

from collections.abc import Sequence
from typing import Any

import torch

from benchmark.episodes.policy import Policy
from benchmark.harness.record import summary
from benchmark.harness.suites import FINAL_MARKS, MARKS
from benchmark.measures.evaluation import evaluate_runs
from benchmark.tasks.registry import make_task
from benchmark.tasks.task import Task


def fits(task: Task, other: Task) -> bool:
    """Whether a policy for one task can act in another: the same agents, actions and observations."""
    return (task.agents, task.action_names, task.observation_layout) == (
        other.agents,
        other.action_names,
        other.observation_layout,
    )


class Elsewhere:
    """Greedy returns on other tasks, mark by mark.

    Args:
        task: where the policies learn.
        task_ids: where they are evaluated besides.
        seeds: of the runs, R.
        episodes: of each run at each mark.
        device: where to play.

    Raises:
        ValueError: if a policy for the task cannot act in one of the others.
    """

    def __init__(
        self, task: Task, task_ids: Sequence[str], seeds: Sequence[int], episodes: int, device: torch.device | str
    ) -> None:
        self.tasks = {task_id: make_task(task_id) for task_id in task_ids}
        for task_id, other in self.tasks.items():
            if not fits(task, other):
                raise ValueError(f"elsewhere: task_id={task_id!r} has other agents, actions or observations")
        self.seeds, self.episodes, self.device = seeds, episodes, device
        self.returns: list[dict[str, list[dict[str, Any]]]] = [{task_id: [] for task_id in task_ids} for _ in seeds]

    def evaluate(self, policy: Policy, marks: Sequence[int]) -> None:
        """Evaluate the policy on all of the tasks for those of the marks that make up the final return."""
        final = [mark for mark in marks if mark > MARKS - FINAL_MARKS]
        if not final:
            return
        for task_id, task in self.tasks.items():
            greedy = evaluate_runs(task, policy, self.seeds, final, self.episodes, self.device).greedy
            for run, returns in enumerate(self.returns):
                returns[task_id] += [summary(values) for values in greedy[run].tolist()]

    def record(self, run: int) -> dict[str, Any]:
        """Return what there is to add to the record of a run: nothing where no other task was asked for."""
        return {"elsewhere": self.returns[run]} if self.tasks else {}
