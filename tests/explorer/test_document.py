"""The one owner of truth: what changes, what is announced, and which weights survive an edit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.cell import Cell
from engine.graph import Graph, Input, Loss, Node
from engine.layers.conv2d import Conv2d
from engine.layers.flatten import Flatten
from engine.layers.linear import Linear
from engine.layers.relu import ReLU
from engine.losses import CrossEntropy
from engine.project_file import Project
from explorer.document import Content, Document


def network(kernel_size: int = 3, channels: int = 2) -> Graph:
    return Graph(
        inputs=(Input("image", (1, 8, 8)),),
        nodes=(
            Node("conv1", Conv2d(out_channels=channels, kernel_size=kernel_size), (("image", 0),)),
            Node("relu1", ReLU(), (("conv1", 0),)),
            Node("flatten1", Flatten(), (("relu1", 0),)),
            Node("linear1", Linear(out_features=10), (("flatten1", 0),)),
        ),
        outputs=(("logits", ("linear1", 0)),),
        losses=(Loss("loss", CrossEntropy(), ("linear1", 0)),),
        labels=tuple("0123456789"),
    )


@pytest.fixture
def document() -> Document:
    document = Document()
    document.load(Project(network()), {}, None)
    return document


def announced(document: Document) -> list[str]:
    """The names of the signals that are emitted from now on."""
    heard: list[str] = []
    for name in (
        "network_changed",
        "parameters_changed",
        "run_changed",
        "position_changed",
        "sample_changed",
        "selection_changed",
        "focus_changed",
        "identity_changed",
    ):
        getattr(document, name).connect(lambda n=name: heard.append(n))
    return heard


class TestWeights:
    def test_what_fits_is_kept_and_the_rest_begins_anew(self, document: Document) -> None:
        conv, bias = document.parameters["conv1", "weight"], document.parameters["linear1", "bias"]
        document.set_content(Content(network(channels=3)))
        assert document.parameters["conv1", "weight"].shape == (3, 1, 3, 3)
        assert document.parameters["linear1", "weight"].shape == (10, 3 * 36)
        assert document.parameters["linear1", "bias"] is bias
        document.set_content(Content(network()))
        assert document.parameters["conv1", "weight"] is conv

    def test_weights_of_an_unknown_shape_wait(self, document: Document) -> None:
        """Without its Flatten the Linear has no shape; with another one its weights are back."""
        weight = document.parameters["linear1", "weight"]
        document.set_content(Content(document.graph.remove(["flatten1"])))
        assert ("linear1", "weight") not in document.parameters
        assert document.project().parameters["linear1", "weight"] is weight
        again = document.graph.insert(Node("other", Flatten(), ()), "linear1", 0)
        document.set_content(Content(again))
        assert document.parameters["linear1", "weight"] is weight

    def test_weights_that_went_away_are_returned_and_can_be_given_back(
        self, document: Document
    ) -> None:
        weight = document.parameters["conv1", "weight"]
        full = document.content
        gone = document.set_content(Content(document.graph.remove(["conv1"])))
        assert gone["conv1", "weight", (2, 1, 3, 3)] is weight
        assert not [k for k in document.parameters if k[0] == "conv1"]
        document.set_content(full, restore=gone)
        assert document.parameters["conv1", "weight"] is weight

    def test_a_new_layer_does_not_inherit_from_one_deleted_before(self, document: Document) -> None:
        trained = {k: np.full_like(v, 7) for k, v in document.parameters.items()}
        document.set_parameters(trained)
        full = document.content
        document.set_content(Content(document.graph.remove(["conv1"])))
        document.set_content(full)
        assert not np.any(document.parameters["conv1", "weight"] == 7)

    def test_another_project_inherits_nothing(self, document: Document) -> None:
        ones = {k: np.ones_like(v) for k, v in document.parameters.items()}
        document.load(Project(network(), ones), {}, None)
        assert all((v == 1).all() for v in document.parameters.values())
        document.load(Project(network()), {}, None)
        assert not (document.parameters["conv1", "weight"] == 1).any()

    def test_weights_of_unfinished_work_survive_the_file(self, document: Document) -> None:
        weight = document.parameters["linear1", "weight"]
        document.set_content(Content(document.graph.remove(["flatten1"])))
        other = Document()
        other.load(document.project(), {}, None)
        other.set_content(Content(network()))
        assert np.array_equal(other.parameters["linear1", "weight"], weight)

    def test_renaming_carries_weights_selection_and_focus(self, document: Document) -> None:
        weight = document.parameters["conv1", "weight"]
        document.set_selection(frozenset({"conv1", "relu1"}))
        document.set_focus(Cell("conv1", 0, (1, 2, 3)))
        renamed = Content(document.graph.rename("conv1", "stem"))
        document.set_content(renamed, renamed={"conv1": "stem"})
        assert document.parameters["stem", "weight"] is weight
        assert document.selection == {"stem", "relu1"}
        assert document.focus == Cell("stem", 0, (1, 2, 3))


class TestAnnouncements:
    def test_equal_values_are_not_announced(self, document: Document) -> None:
        document.set_selection(frozenset({"relu1"}))
        document.set_focus(Cell("relu1", 0, (0, 0, 0)))
        heard = announced(document)
        document.set_selection(frozenset({"relu1"}))
        document.set_focus(Cell("relu1", 0, (0, 0, 0)))
        document.set_content(Content(network(), {}))
        document.set_position(0)
        document.set_identity(None, False)
        document.set_sample(None)
        assert heard == []

    def test_a_layout_alone_leaves_the_weights(self, document: Document) -> None:
        heard = announced(document)
        before = document.parameters
        document.set_content(document.move({"relu1": (5.0, 6.0)}))
        assert heard == ["network_changed"]
        assert document.parameters is before and document.layout["relu1"] == (5.0, 6.0)

    def test_selection_and_focus_of_deleted_nodes_go(self, document: Document) -> None:
        document.set_selection(frozenset({"relu1", "loss"}))
        document.set_focus(Cell("relu1", 0, (0, 0, 0)))
        heard = announced(document)
        document.set_content(Content(document.graph.remove(["relu1"])))
        assert document.selection == {"loss"} and document.focus is None
        assert heard == [
            "network_changed",
            "selection_changed",
            "focus_changed",
            "parameters_changed",
        ]

    def test_an_empty_project_is_announced(self, document: Document) -> None:
        heard = announced(document)
        document.load(Project(Graph()), {}, None)
        assert "network_changed" in heard and document.graph == Graph()
        assert document.parameters == {} and document.operations == ()


def test_shapes_costs_and_title_follow_the_network(document: Document) -> None:
    assert document.inference.specs["conv1", 0].shape == (1, 2, 6, 6)
    assert document.costs["conv1"].parameters == 2 * 9 + 2
    assert document.title == "network"
    document.load(Project(replace(network(), name="LeNet"), metadata={"title": "Mine"}), {}, None)
    assert document.title == "Mine"
    assert document.known_ids == {"image", "conv1", "relu1", "flatten1", "linear1", "loss"}


def test_the_position_stays_within_the_run(document: Document) -> None:
    document.set_position(5)
    assert document.position == 0 and document.step is None
