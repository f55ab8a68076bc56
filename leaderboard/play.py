"""Watch one episode in the terminal."""

import time
from collections.abc import Callable

import torch
from rich.console import Console

from benchmark.episodes.policy import Policy, RandomPolicy
from benchmark.episodes.render import ansi
from benchmark.measures.references import planner_for
from benchmark.tasks.registry import did_you_mean, make_task
from benchmark.tasks.streams import episode_keys, policy_keys
from benchmark.tasks.task import Task


def play_episode(task_id: str, policy: str, seed: int, delay: float, console: Console) -> float:
    """Show every state of the first episode of a seed, with what the agents did and got; returns the return.

    On a terminal each picture replaces the last after ``delay`` seconds; otherwise, and without a delay, they are
    printed below each other.

    Raises:
        ValueError: if the task or policy is unknown.
    """
    task = make_task(task_id)
    choices: dict[str, Callable[[], Policy]] = {
        "planner": lambda: planner_for(task_id),
        "random": lambda: RandomPolicy(task.agents, len(task.action_names)),
    }
    if policy not in choices:
        raise ValueError(f"policy={policy!r} is unknown{did_you_mean(policy, choices)}; allowed: {', '.join(choices)}")

    def show(line: str) -> None:
        if animate:
            console.clear()
        console.print(ansi(task, state), markup=False, highlight=False, soft_wrap=True)
        console.print(line + "\n", markup=False, highlight=False, soft_wrap=True)
        if animate:
            time.sleep(delay)

    animate = delay > 0 and console.is_terminal
    player, keys, total, ended = choices[policy](), episode_keys("user", seed, 1), 0.0, False
    state, memory = task.initial_state(keys), player.initial_memory(policy_keys(keys))
    show(f"{task_id}, {policy} policy, seed {seed}: start")
    for step in range(task.horizon):
        with torch.no_grad():
            actions, memory = player.act(task.observe(state), memory)
        result = task.transition(state, actions, keys, step)
        state, ended = result.state, bool(result.terminated)
        gained = float(result.reward[0, 0] if task.shared_reward else result.reward.sum())
        total += gained
        did = _actions(task, result.executed[0].tolist())
        show(f"step {step + 1}: {did}; reward {gained:+.2f}, return so far {total:.2f}")
        if ended:
            break
    console.print(f"{'terminated' if ended else 'truncated at the horizon'}; return {total:.2f}", highlight=False)
    return total


def _actions(task: Task, executed: list[int]) -> str:
    names = [task.action_names[action] for action in executed]
    if len(names) <= 10:
        return ", ".join(names)
    return ", ".join(f"{names.count(name)} {name}" for name in task.action_names)
