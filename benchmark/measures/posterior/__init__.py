"""Exact Bayes filters: the ceiling for beliefs.

``exact_posterior(task)`` is the best belief that anybody could hold about a task's hidden variables who knows the
rules, knows that everybody acts uniformly at random (as in the offline datasets), and has seen and done what one agent
has. It is a ``BeliefPolicy``: it plays those random actions and believes that posterior, so that whatever scores,
draws or learns from a learned belief does so with the exact one too.
"""

from importlib import import_module

from benchmark.episodes.policy import RandomPolicy
from benchmark.measures.posterior.filtering import Believing
from benchmark.tasks.perturb import Dropout, Noise, Slip, Sticky, Transform
from benchmark.tasks.task import Task

# Each family of tasks has a module of its own, whose ``posterior(task, slip)`` makes its filter.
FAMILIES = {"Oracle": "oracle", "Gathering": "gathering", "EscapeRoom": "escape_room", "HoneyComb": "honeycomb"}

# The same where agents see nothing now and then (in HoneyComb a goal that is not shown is one not shown yet), or see
# everything blurred; these are given the scale of the noise too.
BLIND = {"Oracle": "oracle_blind", "HoneyComb": "honeycomb"}
NOISY = {"Oracle": "oracle_noisy", "HoneyComb": "honeycomb_noisy"}

# What makes agents move says nothing in these: whatever an agent is shown, it is shown wherever it came from.
MOVES_SAY_NOTHING = ("oracle", "honeycomb", "honeycomb_noisy")


def exact_posterior(task: Task) -> Believing:
    """Return the exact posterior over a task's hidden variables under uniformly random actions.

    Episodes may start as in the task or, as in the datasets, at random: both filters are the same wherever agents see
    their positions. Under dropout and noise they are not, and the task must be that of the episodes
    (``registry.random_start``). Each agent's belief uses its own observations, its own actions (``with_actions``) and
    that the episode has not ended.

    Raises:
        ValueError: if no exact filter is known for the task, or for its perturbation.
    """
    inner, slip, sticky, sight = task, 0.0, False, []
    while isinstance(inner, Transform):
        if isinstance(inner, Slip):  # a slipped action is uniform, so that slips of slips are slips
            slip = 1.0 - (1.0 - slip) * (1.0 - inner.probability)
        elif isinstance(inner, Sticky):
            sticky = True
        elif isinstance(inner, Dropout | Noise):
            sight.append(inner)
        else:
            raise ValueError(
                f"exact_posterior: no exact filter is known under {type(inner).__name__}; "
                "allowed: Slip, Sticky, Dropout, Noise"
            )
        inner = inner.task
    if len(sight) > 1:
        raise ValueError("exact_posterior: no exact filter is known under several of Dropout and Noise; allowed: one")
    name, under = type(inner).__name__, "".join(f" under {type(transform).__name__}" for transform in sight)
    noisy = [transform.scale for transform in sight if isinstance(transform, Noise)]
    modules = NOISY if noisy else BLIND if sight else FAMILIES
    if name not in modules:
        raise ValueError(f"exact_posterior: no exact filter is known for {name}{under}; allowed: {', '.join(modules)}")
    if sticky and modules[name] not in MOVES_SAY_NOTHING:
        allowed = [family for family, module in modules.items() if module in MOVES_SAY_NOTHING]
        raise ValueError(
            f"exact_posterior: no exact filter is known for {name}{under}{' and' if under else ' under'} Sticky; "
            f"allowed: {', '.join(allowed)}"
        )
    filtering = import_module(f"{__name__}.{modules[name]}").posterior(inner, slip, *noisy)
    return Believing(RandomPolicy(task.agents, len(task.action_names)), filtering)
