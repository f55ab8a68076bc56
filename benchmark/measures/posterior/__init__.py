"""Exact Bayes filters: the ceiling for beliefs.

``exact_posterior(task)`` is the best belief that anybody could hold about a task's hidden variables who knows the
rules, knows that everybody acts uniformly at random (as in the offline datasets), and has seen and done what one agent
has. It is a ``BeliefPolicy``: it plays those random actions and believes that posterior, so that whatever scores,
draws or learns from a learned belief does so with the exact one too.
"""

from importlib import import_module

from benchmark.episodes.policy import RandomPolicy
from benchmark.measures.posterior.filtering import Believing
from benchmark.tasks.perturb import Dropout, Slip, Sticky, Transform
from benchmark.tasks.task import Task

# Each family of tasks has a module of its own, whose ``posterior(task, slip)`` makes its filter.
FAMILIES = {"Oracle": "oracle", "Gathering": "gathering", "EscapeRoom": "escape_room", "HoneyComb": "honeycomb"}

# The same where agents see nothing now and then. In HoneyComb a goal that is not shown is one not shown yet.
BLIND = {"Oracle": "oracle_blind", "HoneyComb": "honeycomb"}

# What makes agents move says nothing in these: whatever an agent is shown, it is shown wherever it came from.
MOVES_SAY_NOTHING = ("oracle", "honeycomb")


def exact_posterior(task: Task) -> Believing:
    """Return the exact posterior over a task's hidden variables under uniformly random actions.

    Episodes may start as in the task or, as in the datasets, at random: both filters are the same wherever agents see
    their positions. Under dropout they are not, and the task must be that of the episodes (``registry.random_start``).
    Each agent's belief uses its own observations, its own actions (``with_actions``) and that the episode has not
    ended.

    Raises:
        ValueError: if no exact filter is known for the task, or for its perturbation.
    """
    inner, slip, sticky, blind = task, 0.0, False, False
    while isinstance(inner, Transform):
        if isinstance(inner, Slip):  # a slipped action is uniform, so that slips of slips are slips
            slip = 1.0 - (1.0 - slip) * (1.0 - inner.probability)
        elif isinstance(inner, Sticky):
            sticky = True
        elif isinstance(inner, Dropout):
            blind = True
        else:
            raise ValueError(
                f"exact_posterior: no exact filter is known under {type(inner).__name__}; "
                "allowed: Slip, Sticky, Dropout"
            )
        inner = inner.task
    name = type(inner).__name__
    modules = BLIND if blind else FAMILIES
    if name not in modules:
        raise ValueError(
            f"exact_posterior: no exact filter is known for {name}{' under Dropout' if blind else ''}; "
            f"allowed: {', '.join(modules)}"
        )
    if sticky and modules[name] not in MOVES_SAY_NOTHING:
        allowed = [family for family, module in modules.items() if module in MOVES_SAY_NOTHING]
        raise ValueError(
            f"exact_posterior: no exact filter is known for {name} under {'Dropout and ' if blind else ''}Sticky; "
            f"allowed: {', '.join(allowed)}"
        )
    filtering = import_module(f"{__name__}.{modules[name]}").posterior(inner, slip)
    return Believing(RandomPolicy(task.agents, len(task.action_names)), filtering)
