"""Shipped pictures, drawings, files, and the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pytestqt.qtbot import QtBot

from engine.data.strokes import Drawing, Stroke
from engine.graph import Graph, Input, Loss, Node
from engine.layers.linear import Linear
from engine.losses import CrossEntropy
from explorer.pictures import SMALL_FILE


class TestPictures:
    def test_next_and_previous_go_round(self, bench: Any) -> None:
        c, d = bench.controller, bench.document
        first = d.sample
        assert first.label == 7
        c.pictures.next()
        assert d.sample is not first
        c.pictures.previous()
        assert d.sample is first
        for _ in range(60):
            c.pictures.previous()
        assert d.sample is first

    def test_a_drawing_is_shown_and_an_empty_one_is_not(self, bench: Any) -> None:
        c, d = bench.controller, bench.document
        before = d.sample
        c.pictures.draw(Drawing())
        assert d.sample is before
        c.pictures.draw(Drawing((Stroke(((0.5, 0.1), (0.5, 0.9))),)))
        assert d.sample.origin == "your drawing" and d.sample.label is None
        assert (
            d.run.assumed_target and d.run.target == d.trace.look("value", ("linear1", 0)).argmax()
        )

    def test_the_right_answer_can_be_chosen_and_unchosen(self, bench: Any) -> None:
        c, d = bench.controller, bench.document
        c.pictures.set_target(2)
        assert d.run.target == 2 and not d.run.assumed_target
        c.pictures.set_target(-1)
        assert d.sample.label is None and d.run.assumed_target
        c.pictures.set_target(12)  # no class of this network
        assert d.run.error == "" and d.run.assumed_target

    def test_fewer_classes_than_the_label(self, bench: Any, network: Callable[..., Graph]) -> None:
        bench.open(network(classes=4), "four.gflow")
        d = bench.document
        assert d.sample.label == 7 and d.run.assumed_target and d.run.target in range(4)
        bench.controller.stepping.to_end()
        assert d.position == len(d.operations)

    @pytest.mark.parametrize("shape", [(3, 9, 7), (2, 6, 6), (1, 28, 28), (1, 1, 1)])
    def test_any_picture_input_runs(
        self, bench: Any, network: Callable[..., Graph], shape: tuple[int, ...]
    ) -> None:
        bench.open(network(shape=shape), "other.gflow")
        d = bench.document
        assert d.sample.x.shape == shape and d.run.error == ""
        bench.controller.pictures.draw(Drawing((Stroke(((0.5, 0.1), (0.5, 0.9))),)))
        assert d.sample.origin == "your drawing" and d.run.error == ""

    def test_a_vector_input_runs(self, bench: Any) -> None:
        graph = Graph(
            inputs=(Input("x", (12,)),),
            nodes=(Node("linear1", Linear(out_features=3), (("x", 0),)),),
            outputs=(("y", ("linear1", 0)),),
            losses=(Loss("loss", CrossEntropy(), ("linear1", 0)),),
        )
        bench.open(graph, "vector.gflow")
        assert bench.document.run.error == "" and bench.document.preprocessing is None
        bench.controller.stepping.to_end()
        assert bench.document.step.phase == "update"

    @pytest.mark.parametrize(
        "content", [b"", b"this is no picture", b"\x89PNG\r\n\x1a\n then nothing"]
    )
    def test_a_file_that_is_no_picture_changes_nothing(self, bench: Any, content: bytes) -> None:
        path = bench.folder / "notes.png"
        path.write_bytes(content)
        sample, run = bench.document.sample, bench.document.run
        bench.controller.pictures.open(path)
        assert bench.document.sample is sample and bench.document.run is run
        assert len(bench.notices) == 1
        assert bench.notices[0].level == "error" and "notes.png" in bench.notices[0].text

    def test_a_picture_that_is_not_there(self, bench: Any) -> None:
        bench.controller.pictures.open(bench.folder / "gone.png")
        assert "gone.png" in bench.notices[0].text

    def test_a_large_picture_is_read_beside_the_window(self, bench: Any, qtbot: QtBot) -> None:
        noise = np.random.default_rng(0).integers(0, 255, (300, 300), np.uint8)
        path = bench.folder / "noise.png"
        Image.fromarray(noise).save(path)
        assert path.stat().st_size > SMALL_FILE
        before = bench.document.sample
        bench.controller.pictures.open(path)
        assert bench.document.sample is before  # not yet
        qtbot.waitUntil(lambda: bench.document.sample.origin == "noise.png")
        cut = bench.folder / "cut.png"
        cut.write_bytes(path.read_bytes()[: SMALL_FILE + 1])
        bench.controller.pictures.open(cut)
        qtbot.waitUntil(lambda: bool(bench.notices))
        assert "cut.png" in bench.notices[0].text and len(bench.notices) == 1
        assert bench.document.sample.origin == "noise.png"
        bench.controller.pictures.open(path)
        bench.controller.pictures.next()  # chosen later, so it stays
        qtbot.waitUntil(lambda: not bench.controller.pictures.busy)
        assert bench.document.sample.origin != "noise.png"
