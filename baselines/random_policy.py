"""The lower end of the scale as a submission: every agent draws its actions uniformly."""

from collections.abc import Iterator
from dataclasses import dataclass

from baselines.networks import note_parameters
from benchmark.episodes.policy import Policy, RandomPolicy
from benchmark.harness.protocol import Setting


@dataclass(frozen=True)
class RandomLearner:
    """Learns nothing, plays no training episode."""

    def train(self, setting: Setting) -> Iterator[Policy]:
        """Yield the uniformly random policy once."""
        note_parameters(setting)
        yield RandomPolicy(setting.task.agents, len(setting.task.action_names))
