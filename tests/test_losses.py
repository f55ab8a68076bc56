"""Update rules against numbers worked out by hand."""

import pytest
import torch

from baselines.i2q_rules import slope_of
from baselines.losses import (
    chosen,
    double_q_values,
    expectile_loss,
    forward_loss,
    hysteretic_td_loss,
    hysteretic_weights,
    ideal_values,
    lambda_returns,
    masked_mean,
    regression_loss,
)


def steps(*numbers: float) -> torch.Tensor:
    """One run, one agent, one episode: [1, 1, 1, T]."""
    return torch.tensor(numbers).view(1, 1, 1, -1)


def test_masked_mean_ignores_what_was_not_played():
    values = torch.tensor([[1.0, 2.0, 100.0], [6.0, 100.0, 100.0]]).view(1, 1, 2, 3)
    mask = torch.tensor([[True, True, False], [True, False, False]]).view(1, 2, 3)
    assert masked_mean(values, mask).tolist() == [[3.0]]
    assert masked_mean(values, torch.zeros_like(mask)).tolist() == [[0.0]]


def test_masked_mean_weighs_steps_alike_not_episodes():
    values = torch.tensor([[0.0, 0.0, 0.0], [8.0, 0.0, 0.0]]).view(1, 1, 2, 3)
    mask = torch.tensor([[True, True, True], [True, False, False]]).view(1, 2, 3)
    assert masked_mean(values, mask).tolist() == [[2.0]]


def test_chosen_picks_each_steps_action():
    q = torch.arange(6.0).view(1, 1, 1, 2, 3)
    assert chosen(q, torch.tensor([[[[2, 0]]]])).flatten().tolist() == [2.0, 3.0]


def test_double_q_takes_the_online_networks_action_and_the_target_networks_value():
    q = torch.tensor([[1.0, 2.0], [5.0, 3.0]], requires_grad=True)
    q_target = torch.tensor([[10.0, 4.0], [6.0, 20.0]])
    # Online prefers action 1, worth 4 to the target network, then action 0, worth 6.
    assert double_q_values(q, q_target).tolist() == [4.0, 6.0]
    assert double_q_values(q_target, q_target).tolist() == [10.0, 20.0]
    assert not double_q_values(q, q).requires_grad


def test_lambda_returns_by_hand():
    rewards, discount, values = steps(1.0, 2.0), steps(0.5, 0.5), steps(4.0, 8.0)
    # One step: 1 + 0.5 * 4, 2 + 0.5 * 8. Played out: 2 + 0.5 * 8 = 6, then 1 + 0.5 * 6 = 4.
    assert lambda_returns(rewards, discount, values, 0.0).flatten().tolist() == [3.0, 6.0]
    assert lambda_returns(rewards, discount, values, 1.0).flatten().tolist() == [4.0, 6.0]
    # In between: 1 + 0.5 * (0.75 * 4 + 0.25 * 6) = 3.25.
    assert lambda_returns(rewards, discount, values, 0.25).flatten().tolist() == [3.25, 6.0]


def test_an_end_for_good_keeps_what_follows_out():
    returns = lambda_returns(steps(0.0, 1.0, 99.0), steps(0.5, 0.0, 0.5), steps(9.0, 9.0, 9.0), 1.0)
    assert returns.flatten().tolist()[:2] == [0.5, 1.0]


def test_true_values_are_a_fixed_point_for_every_trace():
    # Rewards 1, 2, 3, discount 0.5, then nothing: V_1 = 2 + 0.5 * 3 = 3.5, V_2 = 3, V_3 = 0.
    for trace in (0.0, 0.3, 1.0):
        returns = lambda_returns(steps(1.0, 2.0, 3.0), steps(0.5, 0.5, 0.5), steps(3.5, 3.0, 0.0), trace)
        assert returns.flatten().tolist() == pytest.approx([2.75, 3.5, 3.0])


def test_hysteretic_weights_discount_bad_news_only():
    assert hysteretic_weights(torch.tensor([2.0, 0.0, -1.0]), 0.4).tolist() == [1.0, 1.0, pytest.approx(0.4)]


def test_hysteretic_loss_by_hand():
    q = torch.tensor([[1.0, 0.0], [0.0, 2.0], [9.0, 9.0]]).view(1, 1, 1, 3, 2).requires_grad_()
    actions = torch.tensor([0, 1, 0]).view(1, 1, 1, 3)
    mask = torch.tensor([True, True, False]).view(1, 1, 3)
    # Errors 3 - 1 = 2 and 1 - 2 = -1; loss (1 * 4 + 0.5 * 1) / 2 = 2.25.
    loss = hysteretic_td_loss(q, actions, steps(3.0, 1.0, 0.0), mask, 0.5)
    assert loss.tolist() == [[2.25]]
    # dL/dQ = -2 w delta / 2: -2 for the first, +0.5 for the second, nothing elsewhere.
    loss.sum().backward()
    assert q.grad is not None
    assert q.grad.flatten().tolist() == [-2.0, 0.0, 0.0, 0.5, 0.0, 0.0]


def test_beta_one_is_plain_q_learning_and_beta_zero_never_lowers_a_value():
    q = torch.tensor([[1.0], [1.0]]).view(1, 1, 1, 2, 1).requires_grad_()
    actions, mask = torch.zeros(1, 1, 1, 2, dtype=torch.int64), torch.ones(1, 1, 2, dtype=torch.bool)
    targets = steps(3.0, -1.0)
    assert hysteretic_td_loss(q, actions, targets, mask, 1.0).tolist() == [[4.0]]  # (4 + 4) / 2
    loss = hysteretic_td_loss(q, actions, targets, mask, 0.0)
    loss.sum().backward()
    assert q.grad is not None
    assert q.grad.flatten().tolist() == [-2.0, 0.0]


def test_losses_are_per_network():
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, 3, 4, 5, 6, generator=generator)
    actions = torch.randint(6, (2, 3, 4, 5), generator=generator)
    targets, mask = torch.randn(2, 3, 4, 5, generator=generator), torch.ones(2, 4, 5, dtype=torch.bool)
    whole = hysteretic_td_loss(q, actions, targets, mask, 0.4)
    part = hysteretic_td_loss(q[1:, 2:], actions[1:, 2:], targets[1:, 2:], mask[1:], 0.4)
    assert whole.shape == (2, 3)
    assert torch.allclose(whole[1:, 2:], part)


def test_wrong_ranks_are_refused():
    with pytest.raises(AssertionError):
        hysteretic_td_loss(torch.zeros(2, 2), torch.zeros(2, dtype=torch.int64), torch.zeros(2), torch.ones(2), 0.4)
    with pytest.raises(AssertionError):
        lambda_returns(steps(1.0), steps(1.0), steps(1.0, 2.0), 0.5)


def test_regression_is_the_mean_squared_error_of_played_steps():
    estimates, mask = steps(1.0, 2.0, 9.0), torch.tensor([True, True, False]).view(1, 1, 3)
    assert regression_loss(estimates, steps(2.0, 5.0, 0.0), mask).tolist() == [[5.0]]  # (1 + 9) / 2
    with pytest.raises(AssertionError):
        regression_loss(estimates, steps(1.0, 1.0, 1.0).requires_grad_(), mask)


def test_ideal_values_take_the_better_transition_and_pass_no_gradient():
    ideal = ideal_values(steps(1.0, 4.0), steps(2.0, 3.0).requires_grad_())
    assert ideal.flatten().tolist() == [2.0, 4.0]
    assert not ideal.requires_grad


def test_forward_loss_by_hand():
    # Two entries: (1 - 3)^2 + (0 - 1)^2 = 5, minus 2 * 1 + 4 * 0 = 2. The second step was not played.
    predicted = torch.tensor([[1.0, 0.0], [9.0, 9.0]]).view(1, 1, 1, 2, 2).requires_grad_()
    following = torch.tensor([[3.0, 1.0], [0.0, 0.0]]).view(1, 1, 1, 2, 2)
    slope = torch.tensor([[2.0, 4.0], [1.0, 1.0]]).view(1, 1, 1, 2, 2)
    loss = forward_loss(predicted, following, slope, torch.tensor([True, False]).view(1, 1, 2))
    assert loss.tolist() == [[3.0]]
    # Gradient 2 (f - x') - slope: 2 (1 - 3) - 2 = -6 and 2 (0 - 1) - 4 = -6.
    loss.sum().backward()
    assert predicted.grad is not None
    assert predicted.grad.flatten().tolist() == [-6.0, -6.0, 0.0, 0.0]


def test_forward_loss_has_the_gradient_of_the_published_one():
    """|x' - f|^2 - lambda Qss(x, f), for a curved Qss, whose own parameters stay out of it."""
    generator = torch.Generator().manual_seed(0)
    predicted, following = (torch.randn(1, 1, 3, 2, 4, generator=generator) for _ in range(2))
    weights = torch.randn(4, generator=generator, requires_grad=True)
    mask, optimism = torch.ones(1, 3, 2, dtype=torch.bool), 0.3

    def worth(y: torch.Tensor) -> torch.Tensor:
        return (y * weights).sum(-1).tanh()

    published = predicted.clone().requires_grad_()
    squares = (published - following).square().sum(-1)
    masked_mean(squares - optimism * worth(published), mask).sum().backward()
    ours = predicted.clone().requires_grad_()
    weights.grad = None
    values, slope = slope_of(worth, ours)
    forward_loss(ours, following, optimism * slope, mask).sum().backward()
    assert torch.allclose(values, worth(predicted))
    assert ours.grad is not None
    assert published.grad is not None
    assert torch.allclose(ours.grad, published.grad, atol=1e-6)
    assert weights.grad is None


def test_proposals_rest_at_the_mean_of_what_follows_plus_half_the_slope():
    following = torch.tensor([1.0, 3.0]).view(1, 1, 2, 1, 1)
    shared = torch.full_like(following, 2.5).requires_grad_()
    slope, mask = torch.ones_like(following), torch.ones(1, 2, 1, dtype=torch.bool)
    forward_loss(shared, following, slope, mask).sum().backward()
    assert shared.grad is not None
    assert shared.grad.sum().item() == 0.0  # one proposal for both: 2 + 1 / 2


def test_expectile_loss_by_hand():
    # Errors 2 and -1 at tau 0.75: 0.75 * 4 + 0.25 * 1 = 3.25, halved.
    mask = torch.tensor([True, True, False]).view(1, 1, 3)
    assert expectile_loss(steps(1.0, 3.0, 9.0), steps(3.0, 2.0, 0.0), mask, 0.75).tolist() == [[1.625]]


def test_the_expectile_of_two_values_lies_where_the_weighted_errors_balance():
    # Of 0 and 4 at tau 0.75: 0.75 (4 - v) = 0.25 v, so v = 3.
    estimate = torch.full((1, 1, 1, 2), 3.0, requires_grad=True)
    expectile_loss(estimate, steps(0.0, 4.0), torch.ones(1, 1, 2, dtype=torch.bool), 0.75).sum().backward()
    assert estimate.grad is not None
    assert estimate.grad.sum().item() == 0.0
