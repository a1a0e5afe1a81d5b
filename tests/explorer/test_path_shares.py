"""Residual paths of the present run: worked out beside the window, only while somebody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from engine.graph import Graph
from explorer.path_shares import PathShares


@pytest.fixture
def shares(bench: Any) -> Iterator[PathShares]:
    bench.controller.projects.open_shipped("resnet-digits")
    bench.notices.clear()
    shares = PathShares(bench.document)
    yield shares
    shares.close()


def test_the_parts_add_up_to_the_recorded_gradient(
    shares: PathShares, bench: Any, qtbot: QtBot
) -> None:
    d = bench.document
    assert shares.parts == ()
    with qtbot.waitSignal(shares.changed):
        shares.watch(True)
    assert [p.block for p in shares.parts][1:] == [
        "stage1/block1",
        "stage2/block1",
        "stage2/block2",
    ]
    for part in shares.parts:
        recorded = d.trace.look("grad", part.ref)[0]
        scale = float(np.abs(recorded).max())
        np.testing.assert_allclose(part.total, recorded, atol=1e-4 * scale)
    before = shares.parts
    with qtbot.waitSignal(shares.changed):
        bench.controller.pictures.next()
        qtbot.waitUntil(lambda: d.run.complete)
    assert shares.parts != before


def test_nobody_looks_nothing_is_done(shares: PathShares, bench: Any) -> None:
    bench.controller.pictures.next()
    assert not shares.busy and shares.parts == ()


def test_a_network_without_skips_says_so(
    shares: PathShares, bench: Any, network: Callable[..., Graph], qtbot: QtBot
) -> None:
    with qtbot.waitSignal(shares.changed):
        shares.watch(True)
    bench.open(network(), "plain.gflow")
    assert shares.parts == () and "no skip" in shares.note


def test_one_that_is_too_large_is_not_begun(
    shares: PathShares, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("explorer.path_shares.MOST_WORK", 1e6)
    shares.watch(True)
    assert not shares.busy and "too many" in shares.note


def test_weights_that_are_not_finite(shares: PathShares, bench: Any, qtbot: QtBot) -> None:
    d = bench.document
    bench.controller.adopt({k: np.full_like(v, np.nan) for k, v in d.parameters.items()})
    with qtbot.waitSignal(shares.changed):
        shares.watch(True)
    assert all(np.isnan(share) for share in shares.parts[0].shares)
