"""The frozen ends of the belief scale."""

import json
import math

import pytest

from benchmark.episodes.datasets import DIGESTS
from benchmark.measures import posteriors
from benchmark.measures.posteriors import compute, digest, normalised, posterior_scores
from benchmark.tasks.oracle import BOXES
from leaderboard.record import Beliefs

FROZEN = sorted(json.loads(posteriors.FILE.read_text()))


def test_the_grid_worlds_have_a_ceiling():
    assert {"oracle-v0", "oracle-strict-v0", "escape-room-v0", "honeycomb-v0", "honeycomb-n3-v0"} <= set(FROZEN)
    assert posterior_scores("organization-full-9-v0") is None


@pytest.mark.parametrize("task_id", FROZEN)
def test_what_is_frozen_is_whole_and_belongs_to_its_dataset(task_id):
    entry = posterior_scores(task_id)
    assert entry
    assert digest(entry) == entry["digest"]
    known = json.loads(DIGESTS.read_text())
    assert entry["dataset_digests"] == [known.get(f"{entry['dataset']}/test-{n:03d}") for n in range(2)]
    assert task_id in entry["command"]


@pytest.mark.parametrize("task_id", FROZEN)
def test_the_posterior_is_better_than_the_prior_at_every_history_length(task_id):
    """In nats, where 256 episodes cannot hide it; in squares of cells on average over all lengths."""
    entry = posterior_scores(task_id)
    assert entry
    prior, posterior = entry["prior"], entry["posterior"]
    assert all(best <= worst for best, worst in zip(posterior["history"]["nll"], prior["history"]["nll"], strict=True))
    assert posterior["error"] < prior["error"]
    assert posterior["accuracy"] > prior["accuracy"]
    for name, scores in posterior["variables"].items():
        assert scores["nll"] <= prior["variables"][name]["nll"]


@pytest.mark.parametrize("task_id", FROZEN)
def test_the_posterior_is_calibrated(task_id):
    """As far as 256 draws of what is hidden can tell: one of HoneyComb's six even goals came up in 11% of them."""
    entry = posterior_scores(task_id)
    assert entry
    assert entry["posterior"]["ece"] < 0.05


@pytest.mark.parametrize("task_id", ["oracle-v0", "honeycomb-n3-v0"])
def test_the_frozen_numbers_are_computed_again(task_id):
    assert compute(task_id) == posterior_scores(task_id)


def test_the_informed_know_and_the_others_have_six_goals():
    entry = posterior_scores("honeycomb-n3-v0")
    assert entry
    assert entry["posterior"]["nll"] == pytest.approx(math.log(6) / 3, abs=1e-4)
    # Squared error 0 for two of three agents, 27 for the third one: the mean of the goals is the centre.
    assert entry["posterior"]["error"] == pytest.approx((27 / 3) ** 0.5, abs=1e-4)


def test_the_prior_of_oracle_is_nearly_even_over_its_boxes():
    entry = posterior_scores("oracle-v0")
    assert entry
    assert entry["prior"]["nll"] == pytest.approx(math.log(len(BOXES)), abs=0.01)


@pytest.mark.parametrize("task_id", FROZEN)
def test_records_hold_the_same_scores(task_id):
    entry = posterior_scores(task_id)
    assert entry
    prior = {f"prior_{name}": entry["prior"][name] for name in ("accuracy", "nll")}
    found = entry["posterior"] | prior
    found["variables"] = {name: scores | prior for name, scores in found["variables"].items()}
    assert Beliefs.model_validate_json(json.dumps(found)).history


def test_normalised_scores_by_hand():
    assert normalised(1.5, 2.0, 1.0) == 0.5
    assert normalised(0.25, 0.0, 0.5) == 0.5  # more is better
    assert normalised(3.0, 2.0, 1.0) == -1.0
    assert math.isnan(normalised(1.0, 2.0, 1.99))  # no room
    assert math.isnan(normalised(None, 2.0, 1.0))
    assert math.isnan(normalised(1.0, None, None))
