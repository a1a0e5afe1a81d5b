"""A check measures the slope at one number, and says it beside the gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from engine.cell import Cell
from engine.cell_check import CellCheck
from engine.explain import Place, Weight
from explorer.narration.checks import check_parts
from explorer.tensors.scales import format_number


class TestChecks:
    def check(self, bench: Any, qtbot: QtBot, cell: Any) -> str:
        checker = bench.controller.checker
        checker.check(Place(cell))
        qtbot.waitUntil(lambda: not checker.busy)
        return "".join(part.text for part in bench.document.answered)

    def test_the_slope_is_said_beside_the_gradient(self, bench: Any, qtbot: QtBot) -> None:
        s, d = bench.controller.stepping, bench.document
        s.to_end()
        g = d.trace.look("grad", ("image", 0))[0]
        index = tuple(int(i) for i in np.unravel_index(int(np.abs(g).argmax()), g.shape))
        text = self.check(bench, qtbot, Cell("image", 0, index))
        assert format_number(float(g[index]), 4) in text and "they agree" in text
        assert text.startswith(f"Check of image[{', '.join(map(str, index))}]: moved by ±")
        weight = Weight("conv1", "weight", (0, 0, 1, 1))
        dw = d.trace.look("param_grad", ("conv1", "weight"))[0, 0, 1, 1]
        text = self.check(bench, qtbot, weight)
        assert format_number(float(dw), 4) in text
        s.back()
        assert d.answered == ()

    def test_at_a_kink_it_says_why_they_differ(self, bench: Any, qtbot: QtBot) -> None:
        s, d = bench.controller.stepping, bench.document
        flat = {k: np.zeros_like(v) for k, v in d.parameters.items()}
        flat["linear1", "weight"] = d.parameters["linear1", "weight"]
        bench.controller.adopt(flat)  # everything before the ReLU is exactly 0
        s.to_end()
        text = self.check(bench, qtbot, Cell("conv1", 0, (0, 3, 3)))
        assert "This is a kink: the slope is 0 below and " in text and "gradient is 0" in text

    def test_what_has_no_gradient_yet_says_so(self, bench: Any) -> None:
        bench.controller.checker.check(None)
        assert "Click a number first" in bench.notices[-1].text
        bench.controller.checker.check(Place(Cell("conv1", 0, (0, 0, 0))))
        assert "no gradient yet" in bench.notices[-1].text and not bench.controller.checker.busy
        bench.controller.layers.delete({"flatten1"})
        bench.controller.checker.check(Place(Cell("conv1", 0, (0, 0, 0))))
        assert "Mend" in bench.notices[-1].text

    def test_an_answer_that_comes_too_late_is_not_shown(self, bench: Any, qtbot: QtBot) -> None:
        s, d = bench.controller.stepping, bench.document
        s.to_end()
        bench.controller.checker.check(Place(Cell("image", 0, (0, 3, 3))))
        s.back()
        qtbot.waitUntil(lambda: not bench.controller.checker.busy)
        assert d.answered == ()


@pytest.mark.parametrize(
    ("slope", "words"),
    [
        (2.0, "they agree. "),
        (2.0 + 2e-7, "they agree to within 0.001%. "),
        (2.0 + 1e-3, "they agree to within 0.05%. "),
        (2.0 + 1e-2, "they differ by 0.5%. "),
    ],
)
def test_how_well_they_agree_is_said_without_digits_that_say_nothing(
    slope: float, words: str
) -> None:
    found = CellCheck(Cell("a", 0, (0,)), slope, slope, slope, 1e-5)
    text = "".join(part.text for part in check_parts(found, 2.0))
    assert words in text
