"""Stacked networks are many small ones: same numbers, same gradients, nothing shared."""

import copy

import pytest
import torch
from torch import nn

from baselines.networks import GRU, MLP, Linear, clip_gradients, draw_weights, note_parameters, polyak
from benchmark.harness.protocol import Setting
from benchmark.tasks.registry import make_task
from benchmark.tasks.streams import episode_keys

R, N, B, T, INPUTS, H = 3, 2, 4, 6, 5, 7


def keys(count: int = R, start: int = 0) -> torch.Tensor:
    return episode_keys("user", 1, count, start=start)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def twin(gru: GRU, run: int, agent: int) -> nn.GRU:
    """torch's own GRU with the weights of one network of the stack."""
    other = nn.GRU(INPUTS, H, batch_first=True)
    other.load_state_dict(
        {
            "weight_ih_l0": gru.input_weight[run, agent].T,
            "bias_ih_l0": gru.input_bias[run, agent, 0],
            "weight_hh_l0": gru.hidden_weight[run, agent].T,
            "bias_hh_l0": gru.hidden_bias[run, agent, 0],
        }
    )
    return other


def gradient(tensor: torch.Tensor) -> torch.Tensor:
    assert tensor.grad is not None
    return tensor.grad


def test_weights_are_uniform_within_the_bound_and_differ_by_name_run_and_agent():
    weights = draw_weights(keys(), "layer", (N, 50, 40), 0.5)
    assert weights.shape == (R, N, 50, 40)
    assert weights.abs().max() <= 0.5
    # A uniform variable on [-0.5, 0.5) has mean 0 and variance 1/12; 12,000 draws put the mean within 0.01.
    assert weights.mean().abs() < 0.01
    assert weights.var().item() == pytest.approx(1 / 12, rel=0.03)
    assert not torch.equal(weights, draw_weights(keys(), "other", (N, 50, 40), 0.5))
    assert not torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[:, 0], weights[:, 1])


def test_a_run_draws_the_weights_it_draws_alone():
    stacked = GRU(keys(), N, INPUTS, H, "history")
    alone = GRU(keys(1, start=2), N, INPUTS, H, "history")
    for many, one in zip(stacked.parameters(), alone.parameters(), strict=True):
        assert torch.equal(many[2:], one)


def test_linear_is_a_matrix_product_per_network():
    layer = Linear(keys(), N, INPUTS, 3, "layer")
    x = noise(R, N, B, T, INPUTS)
    for run in range(R):
        for agent in range(N):
            expected = x[run, agent] @ layer.weight[run, agent] + layer.bias[run, agent, 0]
            assert torch.allclose(layer(x)[run, agent], expected, atol=1e-6)
    assert layer(x[..., 0, 0, :]).shape == (R, N, 3)


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        # 2 -> (2, 0) -> 4 - 1 = 3;  -2 -> (0, 2) -> -6 - 1 = -7.
        ("relu", [3.0, -7.0]),
        # 2 -> (2, -0.02) -> 4 + 0.06 - 1 = 3.06;  -2 -> (-0.02, 2) -> -0.04 - 6 - 1 = -7.04.
        ("leaky-relu", [3.06, -7.04]),
    ],
)
def test_mlp_has_its_activation_between_layers_and_none_at_the_end(activation: str, expected: list[float]):
    mlp = MLP(keys(1), 1, (1, 2, 1), "mlp", activation)
    mlp.load_state_dict(
        {
            "layers.0.weight": torch.tensor([[[[1.0, -1.0]]]]),
            "layers.0.bias": torch.zeros(1, 1, 1, 2),
            "layers.1.weight": torch.tensor([[[[2.0], [-3.0]]]]),
            "layers.1.bias": -torch.ones(1, 1, 1, 1),
        }
    )
    x = torch.tensor([2.0, -2.0]).view(1, 1, 2, 1)
    assert mlp(x).flatten().tolist() == pytest.approx(expected)


def test_gru_and_its_gradients_are_those_of_torch():
    gru = GRU(keys(), N, INPUTS, H, "history")
    x = noise(R, N, B, T, INPUTS).requires_grad_()
    weight = noise(R, N, B, T, H, seed=1)  # a different gradient for every output
    (gru(x) * weight).sum().backward()
    for run in range(R):
        for agent in range(N):
            other = twin(gru, run, agent)
            alone = x[run, agent].detach().requires_grad_()
            hidden, _ = other(alone)
            assert torch.allclose(gru(x)[run, agent], hidden, atol=1e-6)
            (hidden * weight[run, agent]).sum().backward()
            weights = dict(other.named_parameters())
            for ours, theirs in (
                (gradient(gru.input_weight)[run, agent].T, weights["weight_ih_l0"]),
                (gradient(gru.input_bias)[run, agent, 0], weights["bias_ih_l0"]),
                (gradient(gru.hidden_weight)[run, agent].T, weights["weight_hh_l0"]),
                (gradient(gru.hidden_bias)[run, agent, 0], weights["bias_hh_l0"]),
                (gradient(x)[run, agent], alone),
            ):
                assert torch.allclose(ours, gradient(theirs), atol=1e-5)


def test_gru_steps_give_what_the_sequence_gives():
    gru = GRU(keys(), N, INPUTS, H, "history")
    x = noise(R, N, B, T, INPUTS)
    hidden = gru.initial_hidden(B)
    assert hidden.shape == (R, N, B, H)
    assert not hidden.any()
    for t in range(T):
        hidden = gru.step(x[..., t, :], hidden)
        assert torch.allclose(hidden, gru(x)[..., t, :], atol=1e-6)


def test_gru_step_passes_gradients_to_the_hidden_state():
    gru = GRU(keys(1), 1, INPUTS, H, "history").double()
    x, hidden = noise(1, 1, B, INPUTS).double().requires_grad_(), noise(1, 1, B, H, seed=1).double().requires_grad_()
    assert torch.autograd.gradcheck(gru.step, (x, hidden))


def test_gru_reads_no_future():
    gru = GRU(keys(), N, INPUTS, H, "history")
    x = noise(R, N, B, T, INPUTS)
    changed = x.clone()
    changed[..., 3:, :] += 1.0
    assert torch.equal(gru(x)[..., :3, :], gru(changed)[..., :3, :])
    assert not torch.equal(gru(x)[..., 3, :], gru(changed)[..., 3, :])


def test_networks_of_a_stack_do_not_touch_each_other():
    gru = GRU(keys(), N, INPUTS, H, "history")
    x = noise(R, N, B, T, INPUTS).requires_grad_()
    gru(x)[1, 0].sum().backward()
    assert gradient(x)[1, 0].any()
    for tensor in (x, *gru.parameters()):
        gradient(tensor)[1, 0] = 0.0
        assert not gradient(tensor).any()


def test_clipping_scales_each_network_by_its_own_norm():
    layer = Linear(keys(1), 2, 2, 1, "layer")
    # Norms: agent 0 has sqrt(3^2 + 4^2 + 12^2) = 13, agent 1 has sqrt(0.3^2 + 0.4^2) = 0.5.
    layer.weight.grad = torch.tensor([[[[3.0], [4.0]], [[0.3], [0.4]]]])
    layer.bias.grad = torch.tensor([[[[12.0]], [[0.0]]]])
    norms = clip_gradients(layer.parameters(), 6.5)
    assert torch.allclose(norms, torch.tensor([[13.0, 0.5]]))
    assert torch.allclose(layer.weight.grad.flatten(), torch.tensor([1.5, 2.0, 0.3, 0.4]))
    assert torch.allclose(layer.bias.grad.flatten(), torch.tensor([6.0, 0.0]))


def test_polyak_moves_the_target_by_its_share():
    online = Linear(keys(), N, INPUTS, 3, "layer")
    target = copy.deepcopy(online)
    with torch.no_grad():
        target.weight.add_(1.0)
    polyak(target, online, 0.25)
    assert torch.allclose(target.weight, online.weight + 0.75)
    assert torch.equal(target.bias, online.bias)
    polyak(target, online, 1.0)
    assert torch.allclose(target.weight, online.weight)


def test_adam_trains_a_run_in_a_stack_as_it_trains_it_alone():
    def trained(run_keys: torch.Tensor, x: torch.Tensor) -> GRU:
        gru = GRU(run_keys, N, INPUTS, H, "history")
        optimiser = torch.optim.Adam(gru.parameters(), lr=1e-2)
        for _ in range(10):
            optimiser.zero_grad()
            gru(x).square().mean((2, 3, 4)).sum().backward()
            clip_gradients(gru.parameters(), 0.01)
            optimiser.step()
        return gru

    x = noise(R, N, B, T, INPUTS)
    stacked, alone = trained(keys(), x), trained(keys(1, start=2), x[2:])
    for many, one in zip(stacked.parameters(), alone.parameters(), strict=True):
        assert torch.allclose(many[2:], one, atol=1e-5)


def test_the_parameters_of_one_run_are_counted_part_by_part():
    setting = Setting("oracle-v0", make_task("oracle-v0"), (0, 1, 2), 1)
    note_parameters(setting)
    assert [notes["parameters"] for notes in setting.notes] == [0, 0, 0]
    note_parameters(setting, MLP(keys(), N, (4, 5, 2), "layers"), nn.Parameter(torch.zeros(R, N, 10)))
    own = N * (4 * 5 + 5 + 5 * 2 + 2) + N * 10
    assert [notes["parameters"] for notes in setting.notes] == [own] * 3
    note_parameters(setting, Linear(keys(1), 1, 3, 4, "shared"))  # one belief for all runs
    assert [notes["parameters"] for notes in setting.notes] == [own + 3 * 4 + 4] * 3
