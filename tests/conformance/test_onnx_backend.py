"""onnx's own backend tests against our engine, chosen by operator, type and rank."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

SHARE = 0.05
"""Of the tests of our operators at most this share may be left out."""


@pytest.mark.parametrize(
    ("kind", "fewest"),
    [("node", 820), ("pytorch-operator", 20), ("pytorch-converted", 40), ("simple", 4)],
)
def test_every_test_of_our_operators_passes(
    kind: str, fewest: int, judge: Callable[[str], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    report = judge(kind)
    with capsys.disabled():
        print(f"\n{kind}: {report}")
    assert report.failed == {}
    assert len(report.passed) >= fewest
    assert len(report.excluded) <= SHARE * (len(report.passed) + len(report.excluded))


def test_gradients_of_imported_operators_are_slopes(
    slopes: Callable[[], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Along a random direction, in float64, through the file's own graph."""
    found = slopes()
    with capsys.disabled():
        print(
            f"\ngradients: {len(found.agreed)} agree with differences, {len(found.flat)} are zero "
            f"everywhere, {len(found.kinked)} have no derivative, {len(found.wrong)} are wrong"
        )
    assert found.wrong == {}
    assert len(found.agreed) > 450 and len(found.kinked) < 0.05 * len(found.agreed)
