"""Independent Q-learning: every agent has a network of its own, which sees the agent's last few observations."""

import torch
from torch import nn

from benchmark.tasks.streams import below, bits, chance, uniform

WINDOW = 4  # observations that an agent remembers


class QPolicy:
    """Greedy in Q, or exploring. What an agent does depends on its own last observations and on nothing else."""

    def __init__(self, networks, epsilon=0.0):
        self.networks, self.epsilon = networks, epsilon

    def initial_memory(self, keys):
        return keys, 0, None  # the policy's own random keys, the step, and the window of observations

    def act(self, observations, memory):
        keys, step, window = memory
        window = remember(observations, window)
        q = torch.stack([network(window[:, n]) for n, network in enumerate(self.networks)], 1)  # [B, N, A]
        draws = bits(keys, step, "explore", q.shape[1])
        actions = torch.where(chance(draws, self.epsilon), below(draws, q.shape[2]), q.argmax(-1))
        return actions, (keys, step + 1, window)


def remember(observations, window=None):
    """Put observations [B, N, O] in front of a window [B, N, WINDOW * O], which starts as zeros."""
    size = (WINDOW - 1) * observations.shape[2]
    older = observations.new_zeros(*observations.shape[:2], size) if window is None else window[..., :size]
    return torch.cat([observations, older], -1)


class Learner:
    """The submission. ``[parameters]`` of the manifest are the arguments of its constructor."""

    def __init__(self, learning_rate=1e-3, gamma=0.95, epsilon=0.5, batch=512, capacity=20_000):
        self.learning_rate, self.gamma, self.epsilon = learning_rate, gamma, epsilon
        self.batch, self.capacity = batch, capacity

    def train(self, setting):
        """Play, learn from what was played, yield the policy to be evaluated; until the budget is spent."""
        task, keys = setting.task, setting.run_keys  # draw everything random from the run's key
        sizes = WINDOW * task.observation_layout.size, 128, len(task.action_names)
        networks = [network(keys, f"agent {n}", *sizes).to(setting.device) for n in range(task.agents)]
        weights = [weight for one in networks for weight in one.parameters()]
        setting.note(0, parameters=sum(weight.numel() for weight in weights))
        optimiser = torch.optim.Adam(weights, self.learning_rate)
        memory = None
        while setting.remaining:
            yield QPolicy(networks)  # the policy as it is now; the harness evaluates it whenever a mark is due
            explore = self.epsilon * (1.0 - setting.progress)
            played = setting.rollout(QPolicy(networks, explore), min(10, setting.remaining))
            rows = self.rows(played)
            memory = rows if memory is None else [torch.cat([old, new]) for old, new in zip(memory, rows, strict=True)]
            memory = [part[-self.capacity :] for part in memory]
            for _ in range(10):
                chosen = below(bits(keys, setting.updates, "batch", self.batch)[0], len(memory[0]))
                seen, actions, returns = (part[chosen] for part in memory)  # [M, N, ...]
                q = torch.stack([one(seen[:, n]) for n, one in enumerate(networks)], 1)
                errors = q.gather(2, actions[..., None])[..., 0] - returns
                optimiser.zero_grad()
                errors.square().mean(0).sum().backward()
                optimiser.step()
                setting.count_updates(1)
        yield QPolicy(networks)

    def rows(self, played):
        """Return what agents saw, did and then earned (discounted) at all steps M that were played: [M, N, ...]."""
        windows, window = [], None
        for observations in played.observations[:, :-1].unbind(1):
            window = remember(observations, window)
            windows.append(window)
        returns = torch.zeros_like(played.rewards)
        following = 0.0
        for step in reversed(range(returns.shape[1])):
            following = returns[:, step] = played.rewards[:, step] + self.gamma * following
        return torch.stack(windows, 1)[played.mask], played.actions[played.mask], returns[played.mask]


def network(keys, name, inputs, width, outputs):
    """Return a small network whose weights are drawn from the run's key."""
    layers = nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, outputs))
    for number, weight in enumerate(layers.parameters()):
        draws = uniform(bits(keys, number, name, weight.numel())[0])
        weight.data = ((2.0 * draws - 1.0) * (inputs if number < 2 else width) ** -0.5).view_as(weight)
    return layers
