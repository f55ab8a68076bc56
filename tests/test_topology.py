import pytest
import torch

from benchmark.tasks.topology import TOPOLOGIES, lattice_shape, topology

SIZES = (2, 3, 4, 9, 13, 27, 40, 60, 80, 100)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", TOPOLOGIES)
def test_every_graph_is_undirected_without_loops_and_connected(name, size):
    matrix = topology(name, size).adjacency()
    assert torch.equal(matrix, matrix.T)
    assert not matrix.diagonal().any()
    reached = torch.zeros(size, dtype=torch.bool)
    reached[0] = True
    for _ in range(size):
        reached = reached | matrix[reached].any(0)
    assert reached.all()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", TOPOLOGIES)
def test_degrees_and_edges_tell_what_the_neighbour_lists_tell(name, size):
    graph = topology(name, size)
    assert torch.equal(graph.degrees(), graph.adjacency().sum(1))
    if not graph.complete:
        assert torch.equal(graph.edges().T, graph.adjacency().nonzero())


def test_neighbours_by_hand():
    assert topology("full", 4).neighbours(1) == (0, 2, 3)
    assert topology("circle", 5).neighbours(0) == (1, 4)
    assert topology("circle", 2).neighbours(0) == (1,)
    assert topology("star", 5).neighbours(0) == (1, 2, 3, 4)
    assert topology("star", 5).neighbours(3) == (0,)
    assert topology("tree", 9).neighbours(0) == (1, 2, 3)
    assert topology("tree", 9).neighbours(1) == (0, 4, 5, 6)
    assert topology("tree", 9).neighbours(2) == (0, 7, 8)
    assert topology("tree", 9).neighbours(8) == (2,)
    # 0 1 2
    # 3 4 5
    # 6 7 8
    assert topology("lattice", 9).neighbours(0) == (1, 3)
    assert topology("lattice", 9).neighbours(4) == (1, 3, 5, 7)
    assert topology("lattice", 9).neighbours(5) == (2, 4, 8)


def test_forty_agents_make_a_perfect_ternary_tree():
    degrees = topology("tree", 40).degrees()
    assert degrees[0] == 3
    assert (degrees[1:13] == 4).all()
    assert (degrees[13:] == 1).all()


@pytest.mark.parametrize(
    ("size", "shape"),
    [(9, (3, 3)), (27, (3, 9)), (40, (5, 8)), (60, (6, 10)), (80, (8, 10)), (100, (10, 10)), (13, (1, 13))],
)
def test_lattices_are_as_square_as_they_can_be(size, shape):
    rows, columns = shape
    assert lattice_shape(size) == shape
    assert topology("lattice", size).edges().shape[1] == 2 * (rows * (columns - 1) + columns * (rows - 1))


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_sums_over_neighbours_are_products_with_the_adjacency_matrix(name):
    graph = topology(name, 27)
    whole = torch.arange(2 * 27 * 3).view(2, 27, 3) % 7
    assert torch.equal(graph.sum_over_neighbours(whole), graph.adjacency().to(torch.int64) @ whole)
    broken = whole / 7
    assert torch.allclose(graph.sum_over_neighbours(broken), graph.adjacency().to(torch.float32) @ broken)
    assert graph.sum_over_neighbours(broken).dtype == torch.float32


def test_a_complete_graph_of_ten_thousand_holds_no_edges():
    graph = topology("full", 10_000)
    assert (graph.degrees() == 9_999).all()
    held = torch.ones(1, 10_000, 3, dtype=torch.int64)
    assert (graph.sum_over_neighbours(held) == 9_999).all()
    with pytest.raises(ValueError, match="no edge list"):
        graph.edges()


def test_bad_names_and_sizes_are_refused():
    with pytest.raises(ValueError, match="name='latice' is unknown; did you mean 'lattice'"):
        topology("latice", 9)
    with pytest.raises(ValueError, match="allowed: full, tree, lattice, circle, star"):
        topology("xyz", 9)
    with pytest.raises(ValueError, match="size=1 must be at least 2"):
        topology("star", 1)
