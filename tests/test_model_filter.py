"""Belief filters against enumeration, closed forms, and simulated teams."""

from itertools import product

import pytest
import torch
from torch import Tensor

from baselines.configuration import configurations, distribution_by_steps, listed, multinomial
from baselines.model_filter import (
    SPREADS,
    PopulationFilter,
    Prediction,
    covariance,
    equal_update,
    factored_update,
    mean_policy,
    spread_log_likelihood,
)
from baselines.organization import report_noise
from benchmark.tasks.organization import GROUP, SELF, Organization
from benchmark.tasks.streams import episode_keys

NOISE = torch.full((3, 3), 0.1) + 0.7 * torch.eye(3)
EXACT_NOISE = torch.full((3, 3), 0.1, dtype=torch.float64) + 0.7 * torch.eye(3, dtype=torch.float64)
# The three models of the AAMAS'21 code: all favour self.
SELFISH = torch.tensor([[0.8, 0.1, 0.1], [0.6, 0.2, 0.2], [0.4, 0.3, 0.3]], dtype=torch.float64)
SETTLED, ALIKE = SPREADS.index(0.0), SPREADS.index(1.0)


def random_rows(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=torch.float64).square().softmax(-1)


def enumerated(beliefs: Tensor, models: Tensor, reports: Tensor) -> Tensor:
    """Eq. 14 the long way: over all models, all actions and all reports of everybody."""
    others, count = beliefs.shape
    posterior = torch.zeros_like(beliefs)
    for kinds in product(range(count), repeat=others):
        prior = beliefs[range(others), list(kinds)].prod()
        for joint in product(range(3), repeat=others):
            acts = models[list(kinds), list(joint)].prod()
            for heard in product(range(3), repeat=others):
                if [heard.count(action) for action in range(3)] == reports.tolist():
                    said = EXACT_NOISE[list(joint), list(heard)].prod()
                    for other, kind in enumerate(kinds):
                        posterior[other, kind] += prior * acts * said
    return posterior / posterior.sum(-1, keepdim=True)


@pytest.mark.parametrize("reports", [[3, 0, 0], [1, 1, 1], [0, 1, 2]])
def test_the_factored_update_agrees_with_full_enumeration(reports):
    beliefs, models = random_rows(0, 3, 2), random_rows(1, 2, 3)
    found = factored_update(beliefs, models, EXACT_NOISE, torch.tensor(reports))
    assert (found - enumerated(beliefs, models, torch.tensor(reports))).abs().max() < 1e-12


def test_with_one_other_agent_it_is_bayes_rule():
    prior = torch.tensor([[1 / 3, 1 / 3, 1 / 3]], dtype=torch.float64)
    found = factored_update(prior, SELFISH, EXACT_NOISE, torch.tensor([0, 0, 1]))
    # Each model says group with 0.7 p + 0.1: 0.17, 0.24, 0.31 of 0.72 in all.
    assert found[0].tolist() == pytest.approx([0.17 / 0.72, 0.24 / 0.72, 0.31 / 0.72])


@pytest.mark.parametrize("reports", [[4, 0, 0], [0, 3, 1], [1, 1, 2]])
def test_equal_beliefs_stay_equal_and_have_a_closed_form(reports):
    belief, models = random_rows(2, 3), random_rows(3, 3, 3)
    whole = factored_update(belief.expand(4, 3), models, EXACT_NOISE, torch.tensor(reports))
    assert torch.allclose(whole, whole[:1].expand(4, 3), atol=1e-14)
    assert torch.allclose(whole[0], equal_update(belief, models, EXACT_NOISE, torch.tensor(reports)), atol=1e-14)


def test_batches_of_beliefs():
    beliefs, models = random_rows(4, 2, 3, 2), random_rows(5, 2, 3)
    reports = torch.tensor([[1, 2, 0], [0, 0, 3]])
    found = factored_update(beliefs, models, EXACT_NOISE, reports)
    for index in range(2):
        assert torch.allclose(found[index], factored_update(beliefs[index], models, EXACT_NOISE, reports[index]))


def test_models_that_all_favour_self_cannot_tell_a_group_majority_and_the_simplex_can():
    all_group = torch.tensor([0.1, 0.1, 0.8])  # as it is reported
    belief = torch.full((3,), 1 / 3, dtype=torch.float64)
    for _ in range(1000):
        belief = equal_update(belief, SELFISH, EXACT_NOISE, all_group.double())
    assert (belief @ SELFISH).tolist() == pytest.approx([0.4, 0.3, 0.3], abs=0.01)
    assert mean_policy(1000 * all_group, NOISE)[GROUP] > 0.99


def test_the_mean_policy_inverts_the_noise():
    policy = torch.tensor([[0.3, 0.1, 0.6], [1 / 3, 1 / 3, 1 / 3], [0.48, 0.04, 0.48]])
    assert torch.allclose(mean_policy(5000 * policy @ NOISE, NOISE), policy, atol=1e-3)
    nothing = mean_policy(torch.zeros(3), NOISE)
    assert nothing.tolist() == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize("spread", SPREADS)
def test_the_reports_covariance_is_the_one_of_the_exact_distribution(spread):
    # Eight others in roles 3/1/4, each mixing in the mean policy with probability e, 1 - (1 - e)^2 = spread.
    roles = torch.tensor([0, 0, 0, 1, 2, 2, 2, 2])
    policy = torch.tensor([3.0, 1.0, 4.0], dtype=torch.float64) / 8
    mixed = 1 - (1 - spread) ** 0.5
    each = (1 - mixed) * torch.nn.functional.one_hot(roles, 3).double() + mixed * policy
    mass, counts = listed(distribution_by_steps(each @ EXACT_NOISE), 3), configurations(8, 3).double()
    around = counts - mass @ counts
    exact = torch.einsum("c,ci,cj->ij", mass, around, around)
    whole = torch.diag(policy @ EXACT_NOISE) - torch.outer(policy @ EXACT_NOISE, policy @ EXACT_NOISE)
    within = torch.diag(policy) - torch.outer(policy, policy)
    formula = 8 * (whole - (1 - spread) * EXACT_NOISE.T @ within @ EXACT_NOISE)
    assert torch.allclose(exact, formula, atol=1e-12)
    # The likelihood expects just that: with much scatter of this kind, no other spread is likelier.
    scatter = 1e5 * torch.stack((exact[0, 0], exact[0, 1], exact[1, 1]))
    likelihood = spread_log_likelihood(policy, torch.tensor(8), EXACT_NOISE, scatter, torch.tensor(1e5))
    assert int(likelihood.argmax()) == SPREADS.index(spread)


def test_covariance_of_one_draw():
    assert covariance(torch.tensor([0.5, 0.25, 0.25])).tolist() == [0.25, -0.125, 0.1875]
    assert covariance(torch.tensor([0.0, 0.0, 1.0])).tolist() == [0.0, 0.0, 0.0]


def filter_of(policies: Tensor, episodes: int, *, seed: int = 0, noise: float = 0.2) -> tuple[PopulationFilter, Tensor]:
    """Let N agents act by fixed policies ``[N, 3]``, whatever they see, and let agents hear of it."""
    agents = len(policies)
    task = Organization(team_size=agents, noise=noise)
    keys = episode_keys("user", seed, episodes)
    thresholds = policies.cumsum(-1)[:, :2]
    draws = torch.rand(episodes, 30, agents, 1, generator=torch.Generator().manual_seed(seed))
    actions = (draws >= thresholds).sum(-1)
    state, reports = task.initial_state(keys), []
    for step in range(30):
        state = task.transition(state, actions[:, step], keys, step).state
        reports.append(state.reports.mT.float())
    heard = torch.stack(reports, 1).flatten(0, 1)[None]  # [1, B, N, 3]
    belief = PopulationFilter((1, agents, 1), torch.full((agents,), agents - 1), report_noise(task), 0.01, 0.1)
    belief.observe(torch.zeros(1, 30 * episodes, dtype=torch.int64), heard, episodes)
    return belief, heard


def settled_team(agents: int) -> Tensor:
    return torch.eye(3)[[SELF] * ((agents - 1) // 2) + [GROUP] * (agents - (agents - 1) // 2)]


@pytest.mark.parametrize("agents", [10, 50])
def test_one_episode_tells_the_mean_policy_to_one_over_the_root_of_all_reports(agents):
    policies = settled_team(agents)
    prediction = filter_of(policies, 1)[0].predict(0.5)
    truth = (policies.sum(0) - policies) / (agents - 1)
    error = (prediction.policy[0, :, 0] - truth).square().mean().sqrt()
    # A report tells its action with standard deviation below 0.5 / 0.7.
    assert error < 0.72 / (30 * (agents - 1)) ** 0.5


def test_roles_are_told_from_chance():
    settled = filter_of(settled_team(27), 40)[0].predict(0.5)
    alike = filter_of(torch.tensor([0.48, 0.0, 0.52]).expand(27, 3), 40)[0].predict(0.5)
    spreads = torch.tensor(SPREADS)
    assert (settled.spread @ spreads).mean() < 0.08
    assert (alike.spread @ spreads).mean() > 0.8


@pytest.mark.parametrize("agents", [3, 9, 27])
def test_reports_without_noise_tell_roles_from_chance_too(agents):
    for policies, wanted in ((settled_team(agents), 0.01), (torch.tensor([0.5, 0.0, 0.5]).expand(agents, 3), 0.6)):
        prediction = filter_of(policies, 10, noise=0.0)[0].predict(0.5)
        truth = (policies.sum(0) - policies) / (agents - 1)
        assert prediction.policy[0, :, 0].sum(-1).tolist() == pytest.approx([1.0] * agents)
        assert (prediction.policy[0, :, 0] - truth).abs().max() < 0.15
        assert abs((prediction.spread @ torch.tensor(SPREADS)).mean() - wanted) < (0.05 if wanted < 0.1 else 0.4)
        happened = (truth[0] * (agents - 1)).round().to(torch.int64)
        assert prediction.log_likelihood(happened.expand(1, 1, 1, 3), 0).isfinite().all()


def test_an_agent_learns_from_its_own_reports_only_and_a_stacked_run_is_the_run_alone():
    first, heard = filter_of(settled_team(9), 3)
    changed = heard.clone()
    changed[:, :, 1:] = changed[:, :, 1:].flip(-1)
    stacked = PopulationFilter((2, 9, 1), torch.full((9,), 8), NOISE, 0.01, 0.1)
    stacked.observe(torch.zeros(2, 90, dtype=torch.int64), torch.cat((changed, heard)), 3)
    one, both = first.predict(0.5), stacked.predict(0.5)
    assert torch.allclose(both.policy[1], one.policy[0], atol=1e-6)
    assert torch.allclose(both.spread[1], one.spread[0], atol=1e-4)
    assert torch.allclose(both.policy[0, 0], one.policy[0, 0], atol=1e-6)
    assert not torch.allclose(both.policy[0, 1:], one.policy[0, 1:], atol=1e-2)
    keys = episode_keys("user", 5, 2)
    assert torch.equal(both.sample(keys, 7, 4)[1:], both._replace(
        policy=both.policy[1:], spread=both.spread[1:]).sample(keys[1:], 7, 4))  # fmt: skip


def test_older_batches_count_less():
    belief = PopulationFilter((1, 1, 1), torch.tensor([4]), NOISE, 0.5, 0.5)
    public, reports = torch.zeros(1, 2, dtype=torch.int64), torch.tensor([4.0, 0.0, 0.0]).expand(1, 2, 1, 3)
    belief.observe(public, reports, 2)
    assert belief.reports.flatten().tolist() == [8.0, 0.0, 0.0]
    belief.observe(public, reports.roll(1, -1), 2)  # half of 2 episodes before, 2 new ones: a third is kept
    assert belief.reports.flatten().tolist() == pytest.approx([8 / 3, 8.0, 0.0])
    assert belief.freedom.flatten().tolist() == pytest.approx([4 / 3])


def prediction_of(policy: list[float], spread: int, agents: int) -> Prediction:
    weights = torch.nn.functional.one_hot(torch.tensor(spread), len(SPREADS)).float()
    return Prediction(torch.tensor(policy).expand(1, 1, 1, 3), weights.expand(1, 1, 1, -1), torch.tensor([agents]))


def test_samples_are_configurations_with_the_predicted_moments():
    drawn = prediction_of([0.4, 0.1, 0.5], ALIKE, 50).sample(episode_keys("user", 0, 1), 0, 20_000)[0, 0, 0]
    assert torch.equal(drawn, drawn.round())
    assert drawn.min() >= 0
    assert (drawn.sum(-1) == 50).all()
    assert drawn.mean(0).tolist() == pytest.approx([20.0, 5.0, 25.0], abs=0.15)
    assert drawn.std(0).tolist() == pytest.approx([12**0.5, 4.5**0.5, 12.5**0.5], rel=0.05)


def test_settled_others_are_predicted_to_repeat_themselves():
    drawn = prediction_of([0.478, 0.004, 0.518], SETTLED, 27).sample(episode_keys("user", 0, 1), 0, 100)[0, 0, 0]
    assert (drawn == torch.tensor([13.0, 0.0, 14.0])).all()


def test_log_likelihoods_are_those_of_the_exact_distributions():
    here, there = torch.tensor([[[[4, 0, 4]]]]), torch.tensor([[[[3, 1, 4]]]])
    settled = prediction_of([0.5, 0.0, 0.5], SETTLED, 8)
    assert settled.log_likelihood(here, 0).item() == pytest.approx(0.0, abs=1e-9)
    assert settled.log_likelihood(there, 0).item() < -20
    alike = prediction_of([0.5, 0.25, 0.25], ALIKE, 8)
    assert alike.log_likelihood(there, 0).item() == pytest.approx(
        multinomial(8, torch.tensor([0.5, 0.25, 0.25]))[3, 1].log().item()
    )
