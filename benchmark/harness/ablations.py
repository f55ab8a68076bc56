"""Ablation suites as data: one parameter of one submission over values, everything else as it is.

The values become variants (``benchmark.harness.variant``), whose records are ordinary ones; the value that the
submission has anyway is the submission itself and is not trained again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmark.harness.submission import Submission
from benchmark.harness.variant import same
from benchmark.tasks.registry import did_you_mean


@dataclass(frozen=True)
class Ablation:
    """One parameter over values.

    Attributes:
        name: of the ablation, for instance ``"samples"``.
        submission: whose parameter.
        parameter: as the manifest would set it.
        values: JSON scalars, in the order of the axis.
        tasks: where.
        question: what is asked, in a few words.
        base: parameters that all of its variants have changed besides.
        suite: whose budgets its evidence has: the smallest at which learners leave the trivial score there.
    """

    name: str
    submission: str
    parameter: str
    values: tuple[Any, ...]
    tasks: tuple[str, ...]
    question: str = ""
    base: Mapping[str, Any] = field(default_factory=dict)
    suite: str = "quick"

    def names(self, submission: Submission) -> list[str]:
        """Return the submissions that stand for the values, in order.

        Args:
            submission: the plain one.

        Raises:
            ManifestError: if it has no such parameter.
            ValueError: if a value cannot be written into a name.
        """
        start = submission.variant(self.base)
        default = start.value_of(self.parameter)
        return [
            start.name if same(value, default) else start.variant({self.parameter: value}).name for value in self.values
        ]


_ORACLE = ("oracle-v0",)
_FIRMS = ("organization-full-27-v0", "organization-tree-27-v0")

ABLATIONS = (
    Ablation("samples", "belief-i2q", "samples", (1, 2, 5, 10, 20), _ORACLE, "decodings of the belief averaged, m"),
    Ablation("variance", "belief-i2q", "variance", (True, False), _ORACLE, "the belief's standard deviation is told"),
    Ablation("divergence", "belief-i2q", "beta", (1.0, 2.0, 4.0, 8.0, 16.0), _ORACLE, "weight of the divergence, beta"),
    Ablation(
        "dataset", "belief-i2q", "belief_episodes", (100, 300, 1000, 5000, 20_000), _ORACLE, "offline episodes"
    ),
    Ablation("pretraining", "belief-i2q", "belief_updates", (100, 300, 1000, 3000, 8000), _ORACLE, "belief updates"),
    Ablation(
        "optimism",
        "belief-i2q",
        "optimism",
        (0.0, 0.05, 0.1, 0.2, 0.5, 1.0),
        _ORACLE,
        "weight of optimism in the forward model f, lambda",
        {"form": "forward"},
    ),
    Ablation(
        "foresees", "belief-i2q", "foresees", ("compact", "state", "observation"), _ORACLE, "what Qss is about"
    ),
    Ablation(
        "hysteresis", "rec-hyst-iql", "beta", (0.1, 0.2, 0.4, 0.7, 1.0), _ORACLE, "weight of bad news; 1 is plain IQL"
    ),
    Ablation(
        "others",
        "ia2c++-cf",
        "summary",
        ("configuration", "neighbours", "nothing"),
        _FIRMS,
        "what critics know of the others: configuration, mean field or nothing",
        suite="standard",
    ),
    Ablation(
        "sharing",
        "ia2c++-cf",
        "reward",
        ("team", "neighbourhood", "individual"),
        _FIRMS,
        "whose reward agents learn",
        suite="standard",
    ),
)  # fmt: skip


def get_ablations(submissions: Sequence[str] = (), names: Sequence[str] = ()) -> tuple[Ablation, ...]:
    """Return the standard ablations of some submissions and names; nothing named means all.

    Raises:
        ValueError: if a submission has none, or none of these names.
    """
    found = ABLATIONS
    for kind, asked, key in (("submission", submissions, "submission"), ("ablation", names, "name")):
        known = sorted({getattr(entry, key) for entry in found})
        for entry in asked:
            if entry not in known:
                raise ValueError(
                    f"{kind}={entry!r} has no standard ablation{did_you_mean(entry, known)}; allowed: "
                    f"{', '.join(known)}, or any parameter with --sweep"
                )
        found = tuple(entry for entry in found if not asked or getattr(entry, key) in asked)
    return found
