"""Thousands of edits by chance: nothing raises, and document, canvas, undo and file agree."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from engine.building_blocks import KINDS, Block
from engine.graph import Graph, Ref
from engine.layers.base import REGISTRY, HyperparameterError, Layer
from engine.project_file import load, save
from explorer.alignment import SIDES
from explorer.canvas import Canvas
from explorer.clipping import from_text
from explorer.document import Document
from explorer.dragged_blocks import AnyBlock, OwnBlock
from explorer.folding import from_plain, groups

LARGEST = 14
"""Layers, after which more are deleted than added, so that edits stay fast."""


class Editor:
    """Edits by chance, as a user makes them."""

    def __init__(self, bench: Any, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.bench, self.control, self.document = bench, bench.controller, bench.document
        self.kinds = [kind for _, kind in sorted(REGISTRY.items())]
        self.done: dict[str, int] = {}

    @property
    def graph(self) -> Graph:
        graph: Graph = self.document.graph
        return graph

    def pick(self, among: Any) -> Any:
        found = sorted(among, key=str)
        return found[int(self.rng.integers(len(found)))] if found else None

    def layer(self) -> Layer:
        """A layer with one hyper-parameter set by chance, where that is allowed."""
        made: Layer = self.pick(self.kinds)()
        return self.varied(made) if self.rng.random() < 0.5 else made

    def varied(self, layer: Layer) -> Layer:
        fields = layer.hyperparameters()
        if not fields:
            return layer
        field = fields[int(self.rng.integers(len(fields)))]
        value: Any
        if field.choices:
            value = self.pick(field.choices)
        elif isinstance(field.default, bool):
            value = bool(self.rng.integers(2))
        elif isinstance(field.default, int):
            value = int(self.rng.integers(0, 6))
        elif isinstance(field.default, float):
            value = float(self.rng.choice([0.0, 0.1, 0.5, 1.0]))
        else:
            return layer
        try:
            return replace(layer, **{field.name: value})  # type: ignore[no-any-return]
        except HyperparameterError:
            return layer

    def spot(self) -> tuple[float, float]:
        x, y = self.rng.uniform(-400, 800, 2)
        return float(x), float(y)

    def slots(self) -> list[tuple[str, int]]:
        found = [(n.id, slot) for n in self.graph.nodes for slot in range(len(n.inputs))]
        return found + [(loss.id, 0) for loss in self.graph.losses]

    def tensors(self) -> list[Ref]:
        return list(self.document.inference.specs)

    def ids(self) -> set[str]:
        count = int(self.rng.integers(1, 4))
        return {self.pick(self.graph.by_id) for _ in range(count)} if self.graph.nodes else set()

    def some_edit(self) -> None:
        c, rng = self.control, self.rng
        acts: list[Callable[[], object]] = [
            lambda: c.adding.insert_layer(self.layer(), *self.pick(self.slots()), *self.spot()),
            lambda: c.adding.add_layer(self.layer(), *self.spot()),
            lambda: c.adding.append_layer(self.layer()),
            lambda: c.layers.connect_tensor(self.pick(self.tensors()), *self.pick(self.slots())),
            lambda: c.layers.disconnect_tensor(*self.pick(self.slots())),
            lambda: c.layers.delete(self.ids()),
            self.copy,
            lambda: c.arranging.move({name: self.spot() for name in self.ids()}),
            self.change,
            self.swap,
            self.rename,
            self.mend,
            c.arranging.arrange,
            lambda: c.select(self.ids()),
            c.undo,
            c.redo,
            lambda: c.blocks.group(self.ids()),
            lambda: c.blocks.ungroup(self.pick(groups(self.graph)) or ""),
            lambda: c.folds.toggle(self.ids()),
            self.rename_block,
            self.fold,
            self.move_cards,
            lambda: c.layers.mute(self.ids()),
            self.add_block,
            lambda: (c.select(self.ids()), c.arranging.align(self.pick(SIDES))),
            lambda: (c.select(self.ids()), c.arranging.arrange_selection()),
        ]
        likely = [2, 1, 2, 3, 1, 2, 1, 2, 3, 1, 1, 2, 0.3, 1, 3, 2, 2, 0.3, 2, 0.3, 3, 1]
        likely += [1, 0.5, 0.5, 0.3]
        if len(self.graph.nodes) > LARGEST:
            likely[0] = likely[1] = likely[2] = likely[6] = likely[23] = 0
            likely[5] = 8
        chances = np.array(likely, float)
        number = int(rng.choice(len(acts), p=chances / chances.sum()))
        before = self.document.content
        acts[number]()
        if self.document.content != before:
            name = str(number)
            self.done[name] = self.done.get(name, 0) + 1

    def copy(self) -> None:
        clipboard, ids = self.control.clipboard, self.ids()
        if self.rng.random() < 0.5:
            clipboard.duplicate(ids, 40.0, 40.0)
        elif text := clipboard.copy(ids):
            clipboard.paste(text)

    def add_block(self) -> None:
        """Behind what is selected, or dropped somewhere; also one made of layers of the network."""
        control, rng = self.control, self.rng
        block: AnyBlock = Block(self.pick(KINDS), int(rng.integers(0, 5)))
        if rng.random() < 0.3 and (text := control.clipboard.copy(self.ids())):
            block = OwnBlock("mine", from_text(text), float(self.pick((0.5, 1.0, 2.0))))
        where = self.pick(("behind", "edge", "card", "loose"))
        if where == "behind" and isinstance(block, Block):
            control.adding.append_block(block)
        elif where == "edge":
            control.blocks.insert(block, (self.pick(self.slots()),))
        elif where == "card":
            control.blocks.put_instead(block, self.ids())
        else:
            control.blocks.add(block, *self.spot())

    def change(self) -> None:
        if self.graph.nodes:
            name = self.pick(self.graph.by_id)
            self.control.layers.change_layer(name, self.varied(self.graph.node(name).layer))

    def swap(self) -> None:
        if self.graph.nodes:
            self.control.layers.replace_layer(self.pick(self.graph.by_id), self.layer())

    def rename(self) -> None:
        if self.graph.nodes:
            self.control.layers.rename(
                self.pick(self.graph.by_id), f"name{int(self.rng.integers(5))}"
            )

    def rename_block(self) -> None:
        path = self.pick(groups(self.graph))
        if path is not None:
            self.control.blocks.rename_group(path, f"group{int(self.rng.integers(4))}")

    def fold(self) -> None:
        folds, path = self.control.folds, self.pick(groups(self.graph))
        if path is None or self.rng.random() < 0.1:
            folds.unfold_all()
        elif self.rng.random() < 0.2:
            folds.fold_all()
        elif path in self.document.folded:
            folds.unfold({path})
        else:
            folds.fold({path})

    def move_cards(self) -> None:
        card = self.pick(self.document.layout)
        self.control.arranging.move({card: self.spot()})

    def mend(self) -> None:
        """Take a fix that an error offers: that error must then be gone."""
        offers = [
            (name, fix)
            for name, error in sorted(self.document.inference.errors.items())
            for fix in getattr(error, "fixes", ())
        ]
        if not offers:
            return
        name, fix = offers[int(self.rng.integers(len(offers)))]
        before = str(self.document.inference.errors[name])
        count = self.control.undo_stack.index()
        self.control.layers.apply_fix(name, fix)
        assert self.control.undo_stack.index() == count + 1, (name, fix)
        assert str(self.document.inference.errors.get(name)) != before, (name, fix, before)


def written(document: Document) -> str:
    """The network and its layouts as they stand in a file."""
    content = document.content
    places = sorted((sorted(k), sorted(v.items())) for k, v in content.arrangements.items())
    return json.dumps([content.graph.to_dict(), sorted(content.layout.items()), places])


def check(document: Document, canvas: Canvas) -> None:
    graph = document.graph
    known = graph.by_id.keys() | graph.input_ids | {loss.id for loss in graph.losses}
    view = document.view
    cards = view.cards(known)
    assert document.layout.keys() == cards and known == document.known_ids
    assert view.ids(cards) == known and len(view.graph.order) == len(view.graph.nodes)
    assert document.selection <= known
    canvas.set_network(graph, document.layout, document.inference, document.costs, document.folded)
    items = canvas.network.items_by_id
    assert items.keys() == cards
    for name, (x, y) in document.layout.items():
        assert (items[name].pos().x(), items[name].pos().y()) == pytest.approx((x, y))
    drawn = [
        (f.facts.ref, *entry) for f in canvas.network.edges.values() for entry in f.facts.inputs
    ]
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == {
        (ref, reader, slot)
        for ref, readers in graph.readers.items()
        if ref[0] in known
        for reader, slot in readers
        if view.card(ref[0]) != view.card(reader) or ref[0] not in view.hidden
    }
    for key, spec in graph.parameter_specs(document.inference.specs).items():
        assert document.parameters[key].shape == spec.shape


@pytest.fixture
def canvas(qtbot: QtBot) -> Iterator[Canvas]:
    view = Canvas()
    qtbot.addWidget(view)
    yield view


@pytest.mark.parametrize("seed", range(10))
def test_edits_by_chance_never_part_document_canvas_and_file(
    bench: Any, canvas: Canvas, seed: int
) -> None:
    editor = Editor(bench, seed)
    document, control = bench.document, bench.controller
    first = written(document)
    times = 0
    for number in range(1000):
        editor.some_edit()
        times += bool(document.view.blocks)
        check(document, canvas)
        if number % 50 == 49:
            path = bench.folder / "copy.gflow"
            save(document.project(), path)
            project = load(path)
            assert project.graph == document.graph
            folded, arrangements = from_plain(project.settings.get("blocks"))
            assert folded == document.folded
            assert arrangements == document.content.arrangements
            for key, array in document.parameters.items():
                np.testing.assert_array_equal(project.parameters[key], array)
    assert len(editor.done) > 10 and times > 50, (editor.done, times)
    last = written(document)
    count = control.undo_stack.index()
    control.undo_stack.setIndex(0)
    assert written(document) == first
    check(document, canvas)
    control.undo_stack.setIndex(count)
    assert written(document) == last
