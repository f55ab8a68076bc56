import pytest
import torch

from benchmark.tasks.board import CROSS_MOVES, HEX_MOVES, KING_MOVES, Board, bounce, hex_board, hex_norm, square_board

GOALS = ((3, 3), (-3, 0))


def steps(board, cell):
    """Where each action leads from a cell, as coordinates."""
    return [board.cells[target] for target in board.neighbours()[board.at(cell)].tolist()]


def test_cells_of_a_square_board_count_up_along_y_first():
    board = square_board(2, 3, CROSS_MOVES)
    assert board.cells == ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2))
    assert board.at((1, 2)) == 5
    assert board.coordinates().tolist() == [list(cell) for cell in board.cells]


def test_cross_moves_in_the_middle_and_in_a_corner():
    # +x, -x, +y, -y, stay
    board = square_board(3, 3, CROSS_MOVES)
    assert steps(board, (1, 1)) == [(2, 1), (0, 1), (1, 2), (1, 0), (1, 1)]
    assert steps(board, (2, 0)) == [(2, 0), (1, 0), (2, 1), (2, 0), (2, 0)]
    assert board.inside()[board.at((2, 0))].tolist() == [False, True, True, False, True]


def test_a_king_move_over_the_edge_is_cancelled_as_a_whole():
    # N, E, NE, W, S, SW, SE, NW, stay
    board = square_board(3, 3, KING_MOVES)
    expected = [(1, 2), (2, 1), (2, 2), (0, 1), (1, 0), (0, 0), (2, 0), (0, 2), (1, 1)]
    assert steps(board, (1, 1)) == expected
    here = (0, 2)
    assert steps(board, here) == [here, (1, 2), here, here, (0, 1), here, (1, 1), here, here]


def test_hexagons_have_six_neighbours_at_distance_one():
    board = hex_board(2, ())
    assert len(board.cells) == 19
    around = steps(board, (0, 0))
    assert around == [(0, -1), (0, 1), (-1, -1), (1, 0), (-1, 0), (1, 1), (0, 0)]
    assert [hex_norm(cell) for cell in around] == [1] * 6 + [0]
    # (2, 0) lies on the rim: three of its six neighbours exist.
    assert steps(board, (2, 0)) == [(2, 0), (2, 1), (1, -1), (2, 0), (1, 0), (2, 0), (2, 0)]


@pytest.mark.parametrize(("radius", "cells"), [(0, 1), (1, 7), (2, 19), (5, 91)])
def test_a_hexagon_of_radius_r_has_3r_r_plus_1_plus_1_cells(radius, cells):
    assert len(hex_board(radius, ()).cells) == cells == 3 * radius * (radius + 1) + 1


def test_extra_cells_can_be_entered_and_never_left():
    board = hex_board(2, GOALS)
    assert len(board.cells) == 21
    assert steps(board, (2, 2))[HEX_MOVES.index((1, 1))] == (3, 3)
    for goal in GOALS:
        assert steps(board, goal) == [goal] * 7
    # Whether a target exists does not depend on being free to go there.
    assert board.inside()[board.at((3, 3))].tolist() == [False, False, True, False, False, False, True]


def test_distances_by_hand():
    cross, king = square_board(4, 3, CROSS_MOVES), square_board(4, 3, KING_MOVES)
    corner, opposite = cross.at((0, 0)), cross.at((3, 2))
    assert cross.distances()[corner, opposite] == 5
    assert king.distances()[corner, opposite] == 3
    x, y = cross.coordinates().unbind(1)
    dx, dy = (x[:, None] - x).abs(), (y[:, None] - y).abs()
    assert torch.equal(cross.distances(), dx + dy)
    assert torch.equal(king.distances(), torch.maximum(dx, dy))


def test_hexagonal_distances_are_the_norm_of_the_difference():
    board = hex_board(3, ())
    expected = [[hex_norm((i - k, j - m)) for k, m in board.cells] for i, j in board.cells]
    assert board.distances().tolist() == expected


def test_distances_from_absorbing_cells_are_the_number_of_cells():
    board = hex_board(2, GOALS)
    centre, goal = board.at((0, 0)), board.at((3, 3))
    assert board.distances()[centre, goal] == 3
    assert board.distances()[goal, centre] == len(board.cells) == 21
    assert board.distances()[goal, goal] == 0


def test_distances_go_around_a_wall():
    #  . # .
    #  . # .
    #  . . .
    cells = tuple((x, y) for x in range(3) for y in range(3) if (x, y) not in ((1, 1), (1, 2)))
    board = Board(cells, CROSS_MOVES)
    assert board.distances()[board.at((0, 2)), board.at((2, 2))] == 6


def test_marked_cells():
    board = square_board(3, 2, CROSS_MOVES)
    assert board.marked(lambda cell: cell[0] == 2).tolist() == [False] * 4 + [True] * 2


def test_equal_boards_hash_alike_and_no_cell_is_made_up():
    assert hash(Board(((0, 0),), CROSS_MOVES)) == hash(Board(((0, 0),), CROSS_MOVES))
    assert Board(((0, 0),), CROSS_MOVES) != Board(((0, 0),), KING_MOVES)
    with pytest.raises(ValueError, match=r"cell=\(9, 9\) is not one of its 6 cells"):
        square_board(3, 2, CROSS_MOVES).at((9, 9))


@pytest.mark.parametrize(
    ("cells", "targets", "ended"),
    [
        ([0, 1], [1, 0], [1, 0]),  # a swap is allowed
        ([0, 2], [1, 1], [0, 2]),  # two head for one cell: both remain
        ([0, 1], [1, 1], [0, 1]),  # one stays, the other bumps into it
        ([0, 1, 3], [1, 2, 2], [1, 1, 3]),  # the first follows the second, which is held back
        ([0, 1, 2], [3, 3, 3], [0, 1, 2]),
        ([0, 1, 2], [5, 6, 7], [5, 6, 7]),
        ([4], [5], [5]),
    ],
)
def test_bounce(cells, targets, ended):
    assert bounce(torch.tensor([cells]), torch.tensor([targets])).tolist() == [ended]
