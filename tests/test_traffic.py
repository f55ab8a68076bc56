"""Work counted by hand: 4 bytes a float32, 8 an int64."""

import torch

from benchmark.measures.traffic import Traffic, count_traffic, size

x = torch.ones(10, 3)
wide = torch.ones(100)


def test_an_addition_reads_two_and_writes_one():
    assert count_traffic(lambda: x + x) == Traffic(kernels=1, bytes=3 * 120, operations=30)
    assert count_traffic(lambda: x * 2.0) == Traffic(kernels=1, bytes=2 * 120, operations=30)


def test_views_and_bare_memory_are_free():
    assert count_traffic(lambda: x.view(3, 10).T[1:].expand(2, -1, -1)) == Traffic(0, 0, 0)
    assert count_traffic(lambda: torch.empty(1000)) == Traffic(0, 0, 0)
    assert count_traffic(lambda: x.T.reshape(-1)).kernels == 1  # a copy, seen as a vector


def test_a_row_that_is_broadcast_is_read_once():
    assert size([torch.ones(3).expand(10, 3)]) == 12
    assert count_traffic(lambda: x + torch.ones(3)).bytes == 12 + 120 + 12 + 120  # ones writes 12


def test_picking_reads_what_it_gives_back_and_not_the_whole_table():
    index = torch.tensor([1, 5])
    assert count_traffic(lambda: wide[index]) == Traffic(kernels=1, bytes=16 + 8 + 8, operations=2, picks=2)
    assert count_traffic(lambda: wide.index_select(0, index)).bytes == 32


def test_placing_writes_what_it_is_given():
    board, index, source = torch.zeros(100), torch.tensor([3, 4]), torch.ones(2)
    assert count_traffic(lambda: board.scatter_(0, index, source)) == Traffic(1, bytes=32, operations=2, picks=2)


def test_a_matrix_product_has_two_operations_for_each_multiplication():
    left, right = torch.ones(4, 5), torch.ones(5, 6)
    traffic = count_traffic(lambda: left @ right)
    assert traffic.bytes == 4 * (20 + 30 + 24)
    assert traffic.operations == 2 * 4 * 5 * 6 + 30  # and its largest tensor


def test_gradients_are_counted():
    weight = torch.ones(5, 6, requires_grad=True)
    forward = count_traffic(lambda: (torch.ones(4, 5) @ weight).sum())
    both = count_traffic(lambda: (torch.ones(4, 5) @ weight).sum().backward())
    assert both.operations > forward.operations + 2 * 4 * 5 * 6 - 1
