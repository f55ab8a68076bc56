"""HoneyComb control: could the belief have followed the informed, had its data shown them going somewhere?

Belief-I2Q fails on HoneyComb, its authors say, because others' movements tell the special goal only once these others
have learnt to walk there, and beliefs are learnt from random movements. Here the same model is trained on episodes in
which the informed agents walk to the special goal as the reference planner does, the others at random. If the
uninformed agents' accuracy rises far above 1/6, it is the data that kept the belief ignorant, not the model.

``python -m baselines.honeycomb_control`` prints the table.
"""

import argparse
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from baselines.pretraining import Pretraining, pretrain
from benchmark.episodes.policy import Policy, RandomPolicy
from benchmark.episodes.rollout import Episodes, rollout
from benchmark.measures.planners.honeycomb import planner
from benchmark.tasks.honeycomb import GOALS, HoneyComb
from benchmark.tasks.streams import episode_keys, purpose_offset

SIZES = (3, 5, 10)
TRAIN, VALIDATION, TEST = 4000, 256, 500
STEPS = (0, 5, 10, 15, 20, 29)  # before which accuracy is shown


class InformedWalk:
    """The informed agents walk to the special goal, the others act at random."""

    def __init__(self, task: HoneyComb) -> None:
        self.walk = planner(task)
        self.wander = RandomPolicy(task.agents, len(task.action_names))
        self.informed = task.informed

    def initial_memory(self, keys: Tensor) -> tuple:
        """Remember what both policies do."""
        return self.walk.initial_memory(keys), self.wander.initial_memory(keys)

    def act(self, observations: Tensor, memory: tuple) -> tuple[Tensor, tuple]:
        """Take the first agents' actions from the one policy, the rest from the other."""
        walked, walking = self.walk.act(observations, memory[0])
        wandered, wandering = self.wander.act(observations, memory[1])
        actions = torch.cat((walked[:, : self.informed], wandered[:, self.informed :]), 1)
        return actions, (walking, wandering)


class Accuracy(NamedTuple):
    """How often the uninformed agents' most likely goal is the special one."""

    mean: float  # over all steps played
    at: tuple[float, ...]  # before each of STEPS, among the episodes that get there


def accuracy(task: HoneyComb, log_probabilities: Tensor, episodes: Episodes) -> Accuracy:
    """Measure the uninformed agents' accuracy by log-probabilities ``[B, T + 1, N, goals]`` along episodes."""
    believed = log_probabilities[:, :-1, task.informed :].argmax(-1)
    right = (believed == episodes.hidden[:, :-1]).double().mean(-1)  # [B, T]
    at = tuple(float(right[:, step][episodes.mask[:, step]].mean()) for step in STEPS)
    return Accuracy(float(right[episodes.mask].mean()), at)


def control(team_size: int, config: Pretraining, episodes: int = TRAIN) -> dict[str, Accuracy]:
    """Train a belief on either kind of data and test it on the episodes whose informed agents walk.

    Returns:
        Accuracy on held-out episodes of the ``"informed"`` kind, by what the belief was trained on: ``"random"`` or
        ``"informed"``.
    """
    task = HoneyComb(team_size=team_size, random_start=True)
    key = torch.tensor([purpose_offset("honeycomb-control", 0)])
    policies: dict[str, Policy] = {
        "random": RandomPolicy(task.agents, len(task.action_names)),
        "informed": InformedWalk(task),
    }
    test = rollout(task, policies["informed"], episode_keys("dataset-test", 0, TEST))
    results = {}
    for name, policy in policies.items():
        train = rollout(task, policy, episode_keys("dataset-train", 0, episodes))
        validation = rollout(task, policy, episode_keys("dataset-validation", 0, VALIDATION))
        model = pretrain(task, config, key, train, validation).model
        results[name] = accuracy(task, model.encode_log_probabilities(test)[0], test)
    return results


def main() -> None:
    """Print a table: a line for each team size and each kind of training data."""
    parser = argparse.ArgumentParser(description="Accuracy of HoneyComb's uninformed agents, by their belief's data")
    parser.add_argument("--agents", type=int, nargs="+", default=SIZES, help="team sizes (default: 3 5 10)")
    parser.add_argument("--episodes", type=int, default=TRAIN, help=f"training episodes (default: {TRAIN})")
    parser.add_argument("--updates", type=int, default=1500, help="gradient updates (default: 1500)")
    chosen = parser.parse_args()
    config = replace(Pretraining(), updates=chosen.updates)
    print(f"Chance is {1 / len(GOALS):.3f}; accuracy before step {', '.join(map(str, STEPS))}.")
    print("| agents | trained on | mean | " + " | ".join(f"step {step}" for step in STEPS) + " |")
    print("|---" * (3 + len(STEPS)) + "|")
    for agents in chosen.agents:
        for name, found in control(agents, config, chosen.episodes).items():
            cells = " | ".join(f"{value:.3f}" for value in (found.mean, *found.at))
            print(f"| {agents} | {name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
