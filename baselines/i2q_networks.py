"""The networks of I2Q, what they are about, and whether their values are still possible."""

from math import inf

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from baselines.networks import GRU, MLP
from baselines.recurrent import PICTURE
from benchmark.harness.protocol import Setting
from benchmark.measures.references import reference
from benchmark.tasks.task import Layout, Task, one_hot

# A run whose greedy value at the start is above the largest return by more than this share of it has diverged.
TOLERANCE = 0.1
FORESEEN = ("state", "compact", "observation")


class Networks(nn.Module):
    """``Q(x, a)``, ``Qss(y, y')`` and ``f(x, a) -> y'`` of R x N agents; ``y`` is what is foreseen of ``x``.

    Args:
        run_keys: int64 ``[R]``, from which the weights are drawn.
        task: for agents, actions and observations.
        size: X, the length of ``x``; with a GRU, of what comes before its state.
        width: units in each of the two hidden layers of every network.
        foreseen: which entries of ``x`` are ``y``; None is all of them.
        hidden: H, units of the GRU over the history; 0 is none.
        expectile: ``V(y)`` in place of ``f``.
        residual: ``f`` predicts the change of ``y``.
    """

    def __init__(
        self,
        run_keys: Tensor,
        task: Task,
        size: int,
        width: int,
        foreseen: Tensor | None = None,
        *,
        hidden: int = 0,
        expectile: bool = False,
        residual: bool = True,
    ) -> None:
        super().__init__()
        agents, self.actions = task.agents, len(task.action_names)
        self.observation = task.observation_layout.size  # x begins with it
        self.foreseen, self.residual = foreseen, residual
        if hidden:
            self.gru = GRU(run_keys, agents, size + self.actions, hidden, "history")
        x = size + hidden
        y = x if foreseen is None else len(foreseen)
        self.q = MLP(run_keys, agents, (x, width, width, self.actions), "q")
        self.qss = MLP(run_keys, agents, (2 * y, width, width, 1), "qss")
        if expectile:
            self.v = MLP(run_keys, agents, (y, width, width, 1), "v")
        else:
            self.f = MLP(run_keys, agents, (x + self.actions, width, width, y), "f")

    def states(self, stored: Tensor, actions: Tensor) -> Tensor:
        """Return ``x [R, N, B, T + 1, X]`` of what the replay holds and actions ``[R, N, B, T]``."""
        if not hasattr(self, "gru"):
            return stored
        before = pad(one_hot(actions, self.actions), (0, 0, 1, 0))
        return torch.cat((stored, self.gru(torch.cat((stored, before), -1))), -1)

    def part(self, x: Tensor) -> Tensor:
        """Return ``y``, what is foreseen of ``x``."""
        return x if self.foreseen is None else x[..., self.foreseen]

    def worth(self, before: Tensor, after: Tensor) -> Tensor:
        """Return ``Qss(y, y')``, ``[...]``."""
        return self.qss(torch.cat((before, after), -1))[..., 0]

    def propose(self, x: Tensor, actions: Tensor) -> Tensor:
        """Return ``f(x, a)``, ``[..., Y]``, for actions int64 ``[...]``."""
        change = self.f(torch.cat((x, one_hot(actions, self.actions)), -1))
        return self.part(x) + change if self.residual else change

    def value(self, y: Tensor) -> Tensor:
        """Return ``V(y)``, ``[...]``."""
        return self.v(y)[..., 0]


def foreseen(what: str, layout: Layout, size: int, device: torch.device | str = "cpu") -> Tensor | None:
    """Return the entries of ``x`` that Qss and ``f`` are about; None is all of them.

    Args:
        what: ``"state"``, all of ``x``; ``"compact"``, ``x`` without the observation's pictures (fields of more than
            ``PICTURE`` entries), which are not to be foretold; ``"observation"``, ``x`` without the summary.
        layout: of the observation, with which ``x`` begins.
        size: X.
        device: of the result.

    Raises:
        ValueError: if ``what`` is none of these.
    """
    if what not in FORESEEN:
        raise ValueError(f"i2q: foresees={what!r} is unknown; allowed: {', '.join(FORESEEN)}")
    fields = [layout.slices[field.name] for field in layout.fields if what == "observation" or field.size <= PICTURE]
    entries = [entry for where in fields for entry in range(where.start, where.stop)]
    entries += [] if what == "observation" else list(range(layout.size, size))
    return None if what == "state" or len(entries) == size else torch.tensor(entries, device=device)


@torch.no_grad()
def start_value(networks: Networks, stored: Tensor) -> Tensor:
    """Return each network's mean greedy value at the start of episodes ``[B, T + 1, N, O]``, ``[R, N]``."""
    first = stored[:, :1].unflatten(0, (networks.q.runs, -1)).permute(0, 3, 1, 2, 4)
    x = networks.states(first, torch.zeros_like(first[..., :0, 0], dtype=torch.int64))
    return networks.q(x).amax(-1).mean((2, 3))


def report(setting: Setting, facts: dict[str, Tensor]) -> None:
    """Note each run's facts ``[R, N]``, averaged over agents, and whether it has ever valued what cannot be."""
    largest = largest_return(setting.task_id)
    limit = largest + TOLERANCE * abs(largest)
    for run in range(setting.runs):
        values = {name: float(entry[run].mean()) for name, entry in facts.items()}
        before = setting.notes[run].get("diverged", False)
        setting.note(run, **values, diverged=before or not values["start_value"] <= limit)


def largest_return(task_id: str) -> float:
    """Return what nobody's return can be above, on average over episodes: that of somebody who sees the whole state.

    Infinite where it is not known.
    """
    try:
        return reference(task_id.partition(":")[0]).optimum
    except ValueError:
        return inf
