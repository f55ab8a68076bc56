"""Readable records of seeded episodes, kept in ``tests/playthroughs`` and compared word for word."""

import os
from pathlib import Path

import torch

from benchmark.tasks.task import team_return

FOLDER = Path(__file__).parent / "playthroughs"


def listed(values):
    """All values of a short field; of a long one those that are not 0, with their places."""
    if len(values) <= 40:
        return " ".join(f"{value:.2f}" for value in values)
    return " ".join(f"[{place}]={value:g}" for place, value in enumerate(values) if value) or "all 0"


def transcript(task, key, moves, watchers):
    """Play one episode by the names of its actions: the board, what the watchers see, actions, rewards, the return."""
    state, pages, rewards, names = task.initial_state(key), [], [], list(task.action_names)
    for step, joint in enumerate([[], *moves]):
        lines = []
        if joint:
            result = task.transition(state, torch.tensor([[names.index(name) for name in joint]]), key, step - 1)
            state = result.state
            rewards.append(result.reward)
            lines = [f"actions: {', '.join(joint)}", f"reward: {float(result.reward[0, 0]):.2f}"]
            lines += ["the episode ends"] * bool(result.terminated)
        lines.append(task.draw(state))
        for agent in watchers:
            fields = task.observation_layout.unpack(task.observe(state)[0, agent])
            lines.append(f"agent {agent} sees")
            lines += [f"  {name}: {listed(values.tolist())}" for name, values in fields.items()]
        pages.append("\n".join([f"--- step {step} ---", *lines]))
    total = float(team_return(task, torch.stack(rewards, 1))[0])
    return "\n\n".join([*pages, f"return: {total:.2f}"]) + "\n"


def check_playthrough(name, text):
    """Set PENUMBRA_WRITE_PLAYTHROUGHS=1 to write it anew; then read what changed."""
    path = FOLDER / name
    if os.environ.get("PENUMBRA_WRITE_PLAYTHROUGHS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()
