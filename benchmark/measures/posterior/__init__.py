"""Exact Bayes filters: the ceiling for beliefs.

``exact_posterior(task)`` is the best belief that anybody could hold about a task's hidden variables who knows the
rules, knows that everybody acts uniformly at random (as in the offline datasets), and has seen and done what one agent
has. It is a ``BeliefPolicy``: it plays those random actions and believes that posterior, so that whatever scores,
draws or learns from a learned belief does so with the exact one too.
"""

from importlib import import_module

from benchmark.episodes.policy import RandomPolicy
from benchmark.measures.posterior.filtering import Believing
from benchmark.tasks.perturb import Slip, Sticky, Transform
from benchmark.tasks.task import Task

# Each family of tasks has a module of its own, whose ``posterior(task, slip)`` makes its filter.
FAMILIES = {"Oracle": "oracle", "Gathering": "gathering", "EscapeRoom": "escape_room", "HoneyComb": "honeycomb"}

# What makes agents move says nothing in these: whatever an agent is shown, it is shown wherever it came from.
MOVES_SAY_NOTHING = ("Oracle", "HoneyComb")


def exact_posterior(task: Task) -> Believing:
    """Return the exact posterior over a task's hidden variables under uniformly random actions.

    Episodes may start as in the task or, as in the datasets, at random: both filters are the same wherever agents see
    their positions. Each agent's belief uses its own observations, its own actions (``with_actions``) and that the
    episode has not ended.

    Raises:
        ValueError: if no exact filter is known for the task, or for its perturbation.
    """
    inner, slip, sticky = task, 0.0, False
    while isinstance(inner, Transform):
        if isinstance(inner, Slip):  # a slipped action is uniform, so that slips of slips are slips
            slip = 1.0 - (1.0 - slip) * (1.0 - inner.probability)
        elif isinstance(inner, Sticky):
            sticky = True
        else:
            raise ValueError(
                f"exact_posterior: no exact filter is known under {type(inner).__name__}; allowed: Slip, Sticky"
            )
        inner = inner.task
    family = FAMILIES.get(type(inner).__name__)
    if family is None:
        raise ValueError(
            f"exact_posterior: no exact filter is known for {type(inner).__name__}; allowed: {', '.join(FAMILIES)}"
        )
    if sticky and type(inner).__name__ not in MOVES_SAY_NOTHING:
        raise ValueError(
            f"exact_posterior: no exact filter is known for {type(inner).__name__} under Sticky; "
            f"allowed: {', '.join(MOVES_SAY_NOTHING)}"
        )
    filtering = import_module(f"{__name__}.{family}").posterior(inner, slip)
    return Believing(RandomPolicy(task.agents, len(task.action_names)), filtering)
