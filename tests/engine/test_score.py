"""The gradient of one number instead of that of a loss."""

from __future__ import annotations

import numpy as np
import pytest

from engine.layers.base import ShapeError, Spec
from engine.score import Score


def test_a_sum_and_its_gradient() -> None:
    x = np.arange(24.0).reshape(2, 3, 2, 2)
    value, saved = Score().forward(x, np.zeros(2))
    assert value == 276
    assert np.array_equal(Score().backward(saved, 0.5), np.full(x.shape, 0.5))


def test_a_class_alone() -> None:
    x = np.arange(6.0).reshape(2, 3)
    score = Score((1,))
    value, saved = score.forward(x, np.zeros(2))
    assert value == 5
    assert score.backward(saved).tolist() == [[0, 1, 0], [0, 1, 0]]
    for sample in range(2):
        terms = score.reads(saved, x[sample], sample)
        assert [t.source for t in terms.terms] == [("input", 0, (1,))]
        assert sum(t.product for t in terms.terms) == x[sample, 1]
        for cell in range(3):
            found = score.feeds((cell,), saved, sample, 2.0)
            assert sum(t.product for t in found.terms) == 2.0 * (cell == 1)


@pytest.mark.parametrize("shape", [(2, 3), (2,)])
def test_a_class_that_is_not_there_is_refused(shape: tuple[int, ...]) -> None:
    Score().check(Spec(shape))
    with pytest.raises(ShapeError, match="a class from 0"):
        Score((3,)).check(Spec(shape))


def test_a_cell_alone() -> None:
    x = np.arange(24.0).reshape(2, 3, 2, 2)
    x[0, 0] = np.nan  # what takes no part does not enter
    score = Score((2, 1, 0))
    value, saved = score.forward(x, np.zeros(2))
    assert value == x[0, 2, 1, 0] + x[1, 2, 1, 0]
    gradient = score.backward(saved)
    assert np.argwhere(gradient).tolist() == [[0, 2, 1, 0], [1, 2, 1, 0]]
    score.check(Spec(x.shape))
    with pytest.raises(ShapeError, match="a cell of"):
        Score((2, 2, 0)).check(Spec(x.shape))
    with pytest.raises(ShapeError, match="a cell of"):
        Score((0, 0, 0, 0)).check(Spec(x.shape))
