"""Update rules of learners that hold a policy, by hand."""

import math

import pytest
import torch

from baselines.policy_losses import gumbel_softmax, inferred_policy_loss
from benchmark.tasks.organization import Organization
from benchmark.tasks.streams import bits, episode_keys, uniform


def test_a_relaxed_action_by_hand():
    logits = torch.tensor([0.0, math.log(3.0)])
    uniforms = torch.tensor([math.exp(-1.0), math.exp(-math.e)])  # Gumbel noise 0 and -1
    relaxed = gumbel_softmax(logits, uniforms, temperature=1.0)
    assert relaxed.tolist() == pytest.approx([1 / (1 + 3 / math.e), (3 / math.e) / (1 + 3 / math.e)])
    cold = gumbel_softmax(logits, uniforms, temperature=0.5)
    assert float(cold[1] / cold[0]) == pytest.approx((3 / math.e) ** 2, rel=1e-4)


def test_relaxed_actions_are_finite_at_the_ends_of_the_unit_interval():
    for uniforms in ([0.0, 0.0, 0.0], [1 - 2.0**-24] * 3, [0.0, 1 - 2.0**-24, 0.5]):
        logits = torch.tensor([50.0, -50.0, 0.0], requires_grad=True)
        relaxed = gumbel_softmax(logits, torch.tensor(uniforms), 0.5)
        relaxed[0].backward()
        assert float(relaxed.detach().sum()) == pytest.approx(1.0)
        assert logits.grad is not None
        assert torch.isfinite(logits.grad).all()


def test_the_likeliest_relaxed_action_is_a_draw_from_the_policy():
    policy = torch.tensor([0.6, 0.3, 0.1])
    draws = uniform(bits(episode_keys("user", 0, 1), 0, "test", 30_000)).view(-1, 3)
    relaxed = gumbel_softmax(policy.log().expand_as(draws), draws, 1.0)
    shares = torch.nn.functional.one_hot(relaxed.argmax(-1), 3).float().mean(0)
    assert shares.tolist() == pytest.approx([0.6, 0.3, 0.1], abs=0.015)


NOISE = torch.tensor([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])


def test_the_likelihood_of_reports_by_hand():
    logits = torch.tensor([0.5, 0.25, 0.25]).log()
    reports = torch.tensor([3.0, 1.0, 0.0])
    said = [0.8 * 0.5 + 0.1 * 0.5, 0.1 * 0.5 + 0.8 * 0.25 + 0.1 * 0.25]
    expected = -(0.75 * math.log(said[0]) + 0.25 * math.log(said[1]))
    assert float(inferred_policy_loss(logits, reports, NOISE, 0.0)) == pytest.approx(expected)
    entropy = 0.5 * math.log(2) + 0.5 * math.log(4)
    assert float(inferred_policy_loss(logits, reports, NOISE, 0.1)) == pytest.approx(expected - 0.1 * entropy)
    assert float(inferred_policy_loss(logits, torch.zeros(3), NOISE, 0.0)) == 0.0


def test_the_likeliest_policy_is_the_one_without_its_noise():
    """Of reports in the proportions that a policy causes through the noise, that policy is the best explanation."""
    policy = torch.tensor([0.7, 0.1, 0.2])
    logits = torch.zeros(3, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=0.05)
    for _ in range(400):
        optimiser.zero_grad()
        inferred_policy_loss(logits, 100 * policy @ NOISE, NOISE, 0.0).backward()
        optimiser.step()
    assert logits.softmax(-1).tolist() == pytest.approx(policy.tolist(), abs=0.01)
    assert Organization(3).noise == pytest.approx(float(NOISE[0, 1] * 2))
