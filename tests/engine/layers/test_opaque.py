"""What stands for an operator that the program does not have never pretends to run."""

from __future__ import annotations

import numpy as np
import pytest

from engine.layers.base import Record, ShapeError, Spec
from engine.layers.opaque import Opaque


def test_its_outputs_are_those_that_the_file_tells() -> None:
    riddle = Opaque("Riddle", shapes="[[2, 3], []]")
    assert riddle.outputs(Spec((5, 4), "float64")) == (
        Spec((5, 2, 3), "float64"),
        Spec((5,), "float64"),
    )
    assert riddle.outputs() == (Spec((1, 2, 3)), Spec((1,)))


@pytest.mark.parametrize("shapes", ["[null]", "[[2], null]", "no json", "[[2, {}]]", "7"])
def test_an_unknown_shape_names_the_operator(shapes: str) -> None:
    with pytest.raises(ShapeError, match="Riddle, whose shape the file does not tell"):
        Opaque("Riddle", shapes=shapes).outputs(Spec((5, 4)))


def test_it_neither_runs_nor_explains() -> None:
    riddle, x = Opaque("Riddle", shapes="[[4]]"), np.ones((1, 4))
    with pytest.raises(ShapeError, match="received Riddle"):
        riddle.forward({}, x)
    with pytest.raises(ShapeError, match="received Riddle"):
        riddle.backward({}, {}, (x,), (True,))
    with pytest.raises(ShapeError, match="an unknown one"):
        Opaque().forward({}, x)
    record = Record((x[0],), (x[0],), (x[0],), {}, {})
    assert riddle.reads((0,), record).terms == () == riddle.feeds((0,), record).terms
    assert riddle.reads((0,), record).formula == "Riddle"
