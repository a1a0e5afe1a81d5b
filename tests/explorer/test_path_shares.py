"""Residual paths of the present run: worked out beside the window, only while somebody looks."""

from __future__ import annotations

import threading
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


class TestMuchWork:
    """It is offered with what it takes, goes on beside the window, and can be given up."""

    @pytest.fixture(autouse=True)
    def much(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("explorer.path_shares.MOST_WORK", 1e6)
        monkeypatch.setattr("explorer.path_shares.LITTLE_WORK", 1e6)

    def test_it_waits_to_be_asked_for(self, shares: PathShares) -> None:
        shares.watch(True)
        assert not shares.busy and shares.parts == () and shares.note == ""
        assert shares.offer is not None and shares.offer.done is None
        assert shares.offer.text.startswith("3 joins: 10 million multiply-adds in double precision")

    def test_it_tells_how_far_it_is_and_what_it_found(
        self, shares: PathShares, qtbot: QtBot
    ) -> None:
        shares.watch(True)
        told: list[int | None] = []
        shares.changed.connect(lambda: told.append(shares.offer.done if shares.offer else None))
        shares.begin()
        assert shares.busy and shares.offer is not None and shares.offer.done == 0
        qtbot.waitUntil(lambda: bool(shares.parts))
        assert shares.offer is None and told[0] == 0 and told[-1] is None
        assert sum(shares.parts[0].shares) == pytest.approx(1.0) and shares.parts[0].parts is None

    def test_the_next_picture_needs_no_new_question_but_the_next_network_does(
        self, shares: PathShares, bench: Any, qtbot: QtBot
    ) -> None:
        shares.watch(True)
        shares.begin()
        qtbot.waitUntil(lambda: bool(shares.parts))
        before = shares.parts
        bench.controller.pictures.next()
        qtbot.waitUntil(lambda: shares.parts != before and shares.offer is None)
        bench.controller.projects.open_architecture("densenet-digits")
        qtbot.waitUntil(lambda: shares.offer is not None and "6 joins" in shares.offer.text)
        assert shares.offer is not None and shares.offer.done is None and shares.parts == ()

    def test_it_can_be_given_up(
        self, shares: PathShares, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        entered, go_on, left = threading.Event(), threading.Event(), threading.Event()

        def slow(*_: Any, progress: Callable[[int, int], None], **__: Any) -> tuple[()]:
            entered.set()
            try:
                while not go_on.is_set():
                    progress(1, 4)
                raise AssertionError("went on to its end")
            finally:
                left.set()

        monkeypatch.setattr("explorer.path_shares.path_parts", slow)
        shares.watch(True)
        shares.begin()
        qtbot.waitUntil(lambda: shares.offer is not None and shares.offer.done == 250)
        assert entered.is_set()
        shares.cancel()
        qtbot.waitUntil(lambda: not shares.busy)
        assert left.is_set() and not go_on.is_set()
        assert shares.parts == () and shares.offer is not None and shares.offer.done is None
        shares.begin()
        shares.close()  # the window does not wait for the end of the work
        assert not shares.busy


def test_weights_that_are_not_finite(shares: PathShares, bench: Any, qtbot: QtBot) -> None:
    d = bench.document
    bench.controller.adopt({k: np.full_like(v, np.nan) for k, v in d.parameters.items()})
    with qtbot.waitSignal(shares.changed):
        shares.watch(True)
    assert all(np.isnan(share) for share in shares.parts[0].shares)
