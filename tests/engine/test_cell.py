"""A place in a tensor of any rank, as every view names it."""

import pytest

from engine.cell import Cell


@pytest.mark.parametrize(
    ("index", "place"),
    [((), (0, 0, 0)), ((7,), (7, 0, 0)), ((4, 2), (4, 0, 0)), ((5, 2, 3), (5, 2, 3))],
)
def test_channel_row_and_column_of_each_rank(
    index: tuple[int, ...], place: tuple[int, int, int]
) -> None:
    cell = Cell("conv1", 0, index)
    assert (cell.channel, cell.row, cell.column) == place


def test_a_cell_says_where_it_is() -> None:
    assert str(Cell("conv1", 0, (5, 2, 3))) == "conv1[5, 2, 3]"
    assert str(Cell("pool", 1, (0,))) == "pool:1[0]"
    assert Cell("a", 0, (1, 2, 3)) < Cell("a", 0, (1, 3, 0)) < Cell("b", 0, (0,))
