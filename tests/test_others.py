"""Views of the other agents, by hand."""

import pytest
import torch

from baselines.others import Others
from benchmark.tasks.organization import Organization
from benchmark.tasks.organization_pair import OrganizationPair
from benchmark.tasks.task import one_hot

STAR = Organization(3, "star")
ACTIONS = torch.tensor([0, 1, 1])  # the hub self, the leaves balance
CHOSEN = one_hot(ACTIONS, 3)


def test_counts():
    assert Others(STAR, "configuration").seen(CHOSEN).tolist() == [[0, 2, 0], [1, 1, 0], [1, 1, 0]]
    assert Others(STAR, "neighbours").seen(CHOSEN).tolist() == [[0, 2, 0], [1, 0, 0], [1, 0, 0]]
    assert Others(STAR, "configuration").counted(torch.device("cpu")).tolist() == [2, 2, 2]
    assert Others(STAR, "neighbours").counted(torch.device("cpu")).tolist() == [2, 1, 1]


@pytest.mark.parametrize("summary", ["joint", "configuration", "neighbours"])
@pytest.mark.parametrize("task", [STAR, Organization(3), Organization(3, "circle")])
def test_placing_an_own_action_gives_what_everybody_did(summary, task):
    view, agents = Others(task, summary), torch.arange(3)
    whole = view.seen(CHOSEN) + view.place(CHOSEN, agents)
    assert whole.shape == (3, view.size)
    if summary == "joint":
        assert (whole == CHOSEN.flatten()).all()
    elif summary == "configuration":
        assert whole.tolist() == [[1, 2, 0]] * 3
    else:
        assert (whole.sum(-1) == task.neighbourhood.degrees() + 1).all()


@pytest.mark.parametrize("summary", ["joint", "configuration", "neighbours"])
@pytest.mark.parametrize("task", [STAR, OrganizationPair()])
def test_what_is_expected_is_the_mean_of_what_is_seen(summary, task):
    """If everybody acts by one policy that is certain, the expected is the seen."""
    view = Others(task, summary)
    certain = one_hot(torch.tensor([0, 1, 2]), 3).expand(1, task.agents, -1, -1)  # at observation p all take action p
    expected = view.expected(certain)
    for public in range(3):
        chosen = one_hot(torch.full((task.agents,), public), 3)
        assert torch.equal(expected[0, :, public], view.seen(chosen))


def test_an_unknown_summary_is_refused():
    with pytest.raises(ValueError, match="summary='counts' is unknown"):
        Others(STAR, "counts")
