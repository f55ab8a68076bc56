"""Belief scores of beliefs whose quality is known beforehand."""

import math

import pytest
import torch

from benchmark.episodes.policy import RandomPolicy
from benchmark.episodes.rollout import rollout
from benchmark.measures.belief_tally import SMALLEST_PROBABILITY
from benchmark.measures.beliefs import BeliefError, belief_scores, check_belief, prior
from benchmark.tasks.registry import make_task
from benchmark.tasks.streams import episode_keys

TASK = make_task("honeycomb-n3-v0")  # one hidden variable with six values
TEST = rollout(TASK, RandomPolicy(3, 7), episode_keys("dataset-test", 0, 300))


class Believer:
    """Act at random and believe a fixed distribution; informed agents 0 and 1 may read off what they are shown."""

    def __init__(self, probabilities, informed=False):
        self.player = RandomPolicy(3, 7)
        self.fixed = torch.tensor(probabilities)
        self.informed = informed

    def initial_memory(self, keys):
        return self.player.initial_memory(keys), None

    def act(self, observations, memory):
        actions, inner = self.player.act(observations, memory[0])
        return actions, (inner, observations)

    def belief(self, memory):
        observations = memory[1]
        believed = self.fixed.log().expand(*observations.shape[:2], 6).clone()
        if self.informed:
            slices = TASK.observation_layout.slices
            goals = observations[..., slices["goals"]].unflatten(-1, (6, 2))
            right = (goals == observations[..., None, slices["special"]]).all(-1)
            known = torch.tensor([True, True, False])[:, None]
            believed = torch.where(known, torch.where(right, 0.0, -torch.inf), believed)
        return (believed,)


def test_a_uniform_belief_has_the_entropy_of_six_values():
    (scores,) = belief_scores(TASK, Believer([1 / 6] * 6), TEST, 1)
    assert scores["nll"] == pytest.approx(math.log(6), abs=1e-4)
    assert scores["prior_nll"] == pytest.approx(math.log(6), abs=0.2)


def test_who_knows_is_right():
    """Two of three agents know: accuracy 2/3 + luck/3, likelihood cost log(6)/3."""
    (scores,) = belief_scores(TASK, Believer([1 / 6] * 6, informed=True), TEST, 1)
    truth = TEST.hidden[:256, :-1, 0][TEST.mask[:256]]
    luck = float((truth == 0).double().mean())
    assert scores["accuracy"] == pytest.approx(2 / 3 + luck / 3, abs=1e-4)
    assert scores["nll"] == pytest.approx(math.log(6) / 3, abs=1e-4)


def test_certainty_that_is_wrong_costs_a_fixed_price():
    (scores,) = belief_scores(TASK, Believer([1.0, 0, 0, 0, 0, 0]), TEST, 1)
    wrong = 1 - scores["accuracy"]
    assert scores["nll"] == pytest.approx(-wrong * math.log(SMALLEST_PROBABILITY), rel=1e-3)


def test_stacked_runs_are_scored_apart():
    one, two = belief_scores(TASK, Believer([1 / 6] * 6), TEST, 2)
    assert one == two


def test_shared_beliefs_are_asked_once_and_score_the_same():
    class Shared(Believer):
        shared_beliefs = True
        asked = 0

        def belief(self, memory):
            type(self).asked = len(memory[1])
            return super().belief(memory)

    apart = belief_scores(TASK, Believer([1 / 6] * 6, informed=True), TEST, 3)
    assert belief_scores(TASK, Shared([1 / 6] * 6, informed=True), TEST, 3) == apart
    assert Shared.asked == 258  # 256 episodes, filled up to a multiple of three


@pytest.mark.parametrize(
    ("belief", "message"),
    [
        ((), "0 distributions for 1 hidden variables"),
        ((torch.zeros(2, 3, 5),), r"belief of 'special' has shape \(2, 3, 5\); expected \(2, 3, 6\)"),
        ((torch.zeros(2, 3, 6),), "sums to 6; expected 1"),
        ((torch.full((2, 3, 6), torch.nan),), "sums to nan; expected 1"),
    ],
)
def test_what_is_no_distribution_is_refused(belief, message):
    with pytest.raises(BeliefError, match=message):
        check_belief(TASK, belief, torch.ones(2, dtype=torch.bool))


def test_the_prior_counts_played_steps():
    hidden = torch.tensor([[0, 0, 1], [1, 2, 2]])
    mask = torch.tensor([[True, True, False], [True, False, False]])
    # Counts 2, 1, 0 plus a half each.
    assert prior(3, hidden, mask).tolist() == pytest.approx([2.5 / 4.5, 1.5 / 4.5, 0.5 / 4.5])
