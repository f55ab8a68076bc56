"""Numbers that papers print, as data: what our own are shown beside. Nothing else here is typed in."""

# *Many Agent Reinforcement Learning Under Partial Observability* (P21 = arXiv 2106.09825), Table 1: values of converged
# policies in Organization, summed over agents and 30 steps. The configuration methods have one column for all
# topologies; of the mean field, IA2C++ and MADDPG++ have one column together.
SIZES = (27, 40, 60, 80, 100)
CONFIGURATION = (3180, 4710, 7110, 9510, 11910)
MEAN_FIELD = {
    "full": (3180, 4710, 7110, 9510, 11910),
    "tree": (1620, 2400, 3600, 4800, 6000),
    "lattice": (2820, 3840, 6000, 7650, 9450),
    "circle": (2700, 3960, 6000, 7920, 9960),
    "star": (1740, 2520, 3720, 4920, 6120),
}

# P21, section 4: on average over topologies and sizes, mean-field learners need this share of episodes less than
# configuration learners to converge.
FEWER_EPISODES_OF_MEAN_FIELD = 0.4335


def table_1(summary: str, topology: str, agents: int) -> float | None:
    """Return a value of Table 1, or None for a size that it does not have.

    Args:
        summary: ``"cf"`` or ``"mf"``.
        topology: of the neighbourhoods.
        agents: N.
    """
    values = CONFIGURATION if summary == "cf" else MEAN_FIELD[topology]
    return float(values[SIZES.index(agents)]) if agents in SIZES else None
