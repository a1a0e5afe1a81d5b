"""The undo command, and what the wider edits make of graph and layout."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtGui import QUndoStack

from engine.graph import CycleError, Graph, GraphError, Input, Loss, Node
from engine.layers.add import Add
from engine.layers.conv2d import Conv2d
from engine.layers.flatten import Flatten
from engine.layers.linear import Linear
from engine.layers.relu import ReLU
from engine.losses import CrossEntropy
from engine.project_file import Project
from explorer import edits
from explorer.canvas import geometry
from explorer.document import Content, Document
from explorer.edits import Edit


def residual() -> Graph:
    return Graph(
        inputs=(Input("image", (2, 6, 6)),),
        nodes=(
            Node("conv1", Conv2d(out_channels=2, kernel_size=3, padding=1), (("image", 0),)),
            Node("add1", Add(), (("conv1", 0), ("image", 0))),
            Node("flatten1", Flatten(), (("add1", 0),)),
            Node("linear1", Linear(out_features=4), (("flatten1", 0),)),
        ),
        outputs=(("logits", ("linear1", 0)),),
        losses=(Loss("loss", CrossEntropy(), ("linear1", 0)),),
    )


@pytest.fixture
def document() -> Document:
    document = Document()
    document.load(Project(residual()), {"conv1": (0.0, 0.0)}, None)
    return document


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def move(document: Document, clock: Clock, x: float, gesture: str = "move conv1") -> Edit:
    after = document.move({"conv1": (x, 0.0)})
    return Edit(document, document.content, after, "Move", gesture, clock=clock)


class TestMerging:
    def test_one_gesture_is_one_entry(self, document: Document) -> None:
        stack, clock = QUndoStack(), Clock()
        for x in (1.0, 2.0, 3.0):
            clock.now += 0.9
            stack.push(move(document, clock, x))
        assert stack.count() == 1 and document.layout["conv1"] == (3.0, 0.0)
        stack.undo()
        assert document.layout["conv1"] == (0.0, 0.0)
        stack.redo()
        assert document.layout["conv1"] == (3.0, 0.0)

    def test_a_pause_or_another_gesture_begins_a_new_entry(self, document: Document) -> None:
        stack, clock = QUndoStack(), Clock()
        stack.push(move(document, clock, 1.0))
        clock.now = 1.1
        stack.push(move(document, clock, 2.0))
        stack.push(move(document, clock, 3.0, "move conv1 add1"))
        stack.push(Edit(document, document.content, document.move({"conv1": (4, 0)}), "Arrange"))
        stack.push(Edit(document, document.content, document.move({"conv1": (5, 0)}), "Arrange"))
        assert stack.count() == 5

    def test_a_gesture_that_ends_where_it_began_leaves_no_entry(self, document: Document) -> None:
        stack, clock = QUndoStack(), Clock()
        stack.push(move(document, clock, 1.0))
        stack.push(move(document, clock, 0.0))
        assert stack.count() == 0 and document.layout["conv1"] == (0.0, 0.0)

    def test_nothing_merges_into_what_was_saved(self, document: Document) -> None:
        stack, clock = QUndoStack(), Clock()
        stack.push(move(document, clock, 1.0))
        stack.setClean()
        stack.push(move(document, clock, 2.0))
        assert stack.count() == 2 and not stack.isClean()
        stack.undo()
        assert stack.isClean() and document.layout["conv1"] == (1.0, 0.0)


class TestWeights:
    def push(self, stack: QUndoStack, document: Document, graph: Graph, **more: object) -> None:
        stack.push(Edit(document, document.content, Content(graph), "Edit", **more))

    def test_deleted_and_restored(self, document: Document) -> None:
        stack = QUndoStack()
        weight = document.parameters["conv1", "weight"]
        self.push(stack, document, document.graph.remove(["conv1"]))
        # training goes on meanwhile: the layers that are there keep what they learnt
        document.set_parameters({k: v + 1 for k, v in document.parameters.items()})
        trained = document.parameters["linear1", "weight"]
        stack.undo()
        assert document.parameters["conv1", "weight"] is weight
        assert document.parameters["linear1", "weight"] is trained

    def test_an_inserted_layer_comes_back_as_it_was_trained(self, document: Document) -> None:
        stack = QUndoStack()
        node = Node("conv2", Conv2d(out_channels=2, kernel_size=1), ())
        self.push(stack, document, document.graph.insert(node, "add1", 0))
        document.set_parameters({k: np.full_like(v, 5) for k, v in document.parameters.items()})
        stack.undo()
        assert ("conv2", "weight") not in document.parameters
        stack.redo()
        assert (document.parameters["conv2", "weight"] == 5).all()

    def test_merged_changes_of_a_size_bring_the_first_weights_back(
        self, document: Document
    ) -> None:
        stack = QUndoStack()
        weight = document.parameters["conv1", "weight"]
        for size, padding in ((5, 2), (7, 3)):
            layer = Conv2d(out_channels=2, kernel_size=size, padding=padding)
            graph = document.graph.replace_node("conv1", layer=layer)
            self.push(stack, document, graph, gesture="set conv1.kernel_size")
        assert stack.count() == 1
        assert document.parameters["conv1", "weight"].shape == (2, 2, 7, 7)
        stack.undo()
        assert document.parameters["conv1", "weight"] is weight

    def test_renaming_there_and_back_keeps_what_was_trained_between(
        self, document: Document
    ) -> None:
        stack = QUndoStack()
        graph = document.graph.rename("conv1", "stem")
        self.push(stack, document, graph, renamed={"conv1": "stem"})
        document.set_parameters({k: np.full_like(v, 3) for k, v in document.parameters.items()})
        stack.undo()
        assert (document.parameters["conv1", "weight"] == 3).all()
        stack.redo()
        assert (document.parameters["stem", "weight"] == 3).all()


class TestGraphs:
    def test_appended_behind_a_fork_feeds_all_its_readers(self) -> None:
        graph = edits.appended(residual(), Node("relu1", ReLU(), (None,)), ("image", 0))
        assert graph.node("conv1").inputs == (("relu1", 0),)
        assert graph.node("add1").inputs == (("conv1", 0), ("relu1", 0))
        assert graph.node("relu1").inputs == (("image", 0),)

    def test_appended_at_the_end_moves_loss_and_output(self) -> None:
        graph = edits.appended(residual(), Node("relu1", ReLU(), (None,)), ("linear1", 0))
        assert graph.losses[0].input == ("relu1", 0)
        assert graph.outputs == (("logits", ("relu1", 0)),)

    def test_duplicates_are_connected_among_themselves(self) -> None:
        graph, names = edits.duplicated(residual(), {"conv1", "add1"})
        assert names == {"conv1": "conv2", "add1": "add2"}
        assert graph.node("add2").inputs == (("conv2", 0), ("image", 0))
        assert graph.node("conv2").inputs == (("image", 0),)
        assert graph.node("add1") == residual().node("add1")

    def test_replaced_keeps_the_connections_that_it_can(self) -> None:
        relu = edits.replaced(residual(), "add1", ReLU())
        assert relu.node("add1").inputs == (("conv1", 0),)
        add = edits.replaced(residual(), "conv1", Add())
        assert add.node("conv1").inputs == (("image", 0), None)

    def test_a_circle_is_refused_before_it_is_pushed(self) -> None:
        graph = residual().replace_node("conv1", inputs=(("add1", 0),))
        with pytest.raises(CycleError, match="without a circle.*Remove one"):
            edits.check(graph)

    def test_shared_weights_of_two_shapes_are_refused(self) -> None:
        shared = Node(
            "conv2", Conv2d(out_channels=3, kernel_size=3), (("image", 0),), params="conv1"
        )
        with pytest.raises(GraphError, match="conv2: shares weight of conv1"):
            edits.check(residual().add(shared))

    def test_the_name_of_the_loss_is_taken(self) -> None:
        with pytest.raises(GraphError, match="loss"):
            edits.check(residual().add(Node("loss", ReLU(), (("conv1", 0),))))
        with pytest.raises(GraphError, match="loss"):
            residual().rename("conv1", "loss")


class TestRoom:
    width, height = geometry.size_of()

    def apart(self, layout: dict[str, tuple[float, float]]) -> bool:
        spots = list(layout.values())
        return all(
            abs(a[0] - b[0]) >= self.width or abs(a[1] - b[1]) >= self.height
            for i, a in enumerate(spots)
            for b in spots[:i]
        )

    def test_what_is_below_moves_down_and_nothing_else(self) -> None:
        step = self.height + geometry.ROW_GAP
        layout = {"a": (0.0, 0.0), "b": (0.0, step), "c": (0.0, 2 * step), "far": (900.0, step)}
        after = edits.with_room(layout, "new", 10.0, step)
        assert self.apart(after)
        assert after["a"] == layout["a"] and after["far"] == layout["far"]
        assert after["new"] == (10.0, step)
        assert after["c"][1] - after["b"][1] == step  # the column keeps its own distances

    @pytest.mark.parametrize("y", [-500.0, -20.0, 0.0, 30.0, 90.0, 130.0, 1000.0])
    def test_never_covered(self, y: float) -> None:
        step = self.height + geometry.ROW_GAP
        layout = {"a": (0.0, 0.0), "b": (0.0, step)}
        assert self.apart(edits.with_room(layout, "new", 0.0, y))

    def test_a_free_place_is_taken_as_it_is(self) -> None:
        layout = {"a": (0.0, 0.0)}
        assert edits.with_room(layout, "n", 0.0, 600.0) == {"a": (0.0, 0.0), "n": (0.0, 600.0)}


def test_a_group_of_cards_stands_at_the_nearest_free_place() -> None:
    width, height = geometry.size_of()
    across, down = width + geometry.COLUMN_GAP, height + geometry.ROW_GAP
    assert edits.in_free_place({}, {"a": (5.0, 7.0)}) == {"a": (5.0, 7.0)}
    taken = {"x": (0.0, 0.0)}
    found = edits.in_free_place(taken, {"a": (10.0, 10.0), "b": (10.0, 10.0 + down)})
    assert found == {"a": (10.0 + across, 10.0), "b": (10.0 + across, 10.0 + down)}
    # A wall of cards on all sides: below everything.
    wall = {f"{i},{j}": (i * across, j * down) for i in range(14) for j in range(14)}
    found = edits.in_free_place(wall, {"a": (0.0, 0.0)})
    assert found["a"] == (0.0, 14 * down)
