"""The one owner of truth: network, parameters, sample, run, position, selection and focus.

The document knows no view. It is changed by the controller (and by undo commands, through the
controller's stack), and says what changed; equal values are not announced again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from engine.cell import Cell
from engine.data.preprocessing import Preprocessing
from engine.gains import takes_gains
from engine.graph import Graph, Inference
from engine.inside import Inside
from engine.layers.base import Array, Cost
from engine.parameters import initial_parameters
from engine.project_file import Project
from engine.runnable import with_refusals
from engine.trace import Gains, Operation, Step, Trace
from explorer import breakpoints, folding
from explorer.breakpoints import Breakpoint, Stop
from explorer.folding import View
from explorer.run import Run
from explorer.samples import Sample

STRUCTURE_WEIGHTS = 5_000_000
"""A network that comes without weights gets new ones up to so many; a larger one is a structure."""

Layout = Mapping[str, tuple[float, float]]
Memory = dict[tuple[str, str, tuple[int, ...]], Array]
"""Weights by owner, name and shape: what was at a place before it changed or went away."""


@dataclass(frozen=True)
class Content:
    """What an edit changes: the network and where its nodes stand.

    ``layout`` is that of the network shown open; empty: as it is laid out by itself.
    ``arrangements`` has what was put elsewhere by hand while groups were folded, by those groups.
    """

    graph: Graph = Graph()
    layout: Layout = field(default_factory=dict)
    arrangements: Mapping[frozenset[str], Layout] = field(default_factory=dict)

    def arranged(self, groups: frozenset[str], layout: Layout) -> Content:
        """With other places for the cards that are shown while these groups are folded."""
        if not groups:
            return replace(self, layout=layout)
        return replace(self, arrangements={**self.arrangements, groups: layout})

    def renamed(self, names: Mapping[str, str]) -> Content:
        """With the places of layers and folded groups under other names; the network stays."""

        def follow(layout: Layout) -> Layout:
            return {_card_after(card, names): place for card, place in layout.items()}

        arrangements = {
            folding.moved_folds(groups, names): follow(layout)
            for groups, layout in self.arrangements.items()
        }
        return replace(self, layout=follow(self.layout), arrangements=arrangements)


def _card_after(card: str, names: Mapping[str, str]) -> str:
    path = folding.path_of(card)
    if not path:
        return names.get(card, card)
    return folding.card_id(next(iter(folding.moved_folds({path}, names))))


class Document(QObject):
    """See the module's docstring. Signals carry nothing: whoever hears one looks."""

    network_changed = Signal()
    parameters_changed = Signal()
    run_changed = Signal()
    position_changed = Signal()
    sample_changed = Signal()
    selection_changed = Signal()
    focus_changed = Signal()
    breakpoints_changed = Signal()
    folded_changed = Signal()
    what_if_changed = Signal()
    renamed = Signal(str, str)
    """Old and new id of a node, before the network is announced."""
    identity_changed = Signal()
    loaded = Signal()
    """Another project is there, and its settings have what was kept with it."""
    keeping = Signal(object)
    """The project is to be saved: who keeps something with it enters plain data into this dict, by
    its name in the settings; nothing where there is nothing to keep any more."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.content = Content()
        self.inference: Inference = self.content.graph.infer()
        self.costs: Mapping[str, Cost] = {}
        self.preprocessing: Preprocessing | None = None
        self.settings: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        self.parameters: dict[tuple[str, str], Array] = {}
        self.seed = 0
        self.sample: Sample | None = None
        self.run: Run | None = None
        self.position = 0
        self.selection: frozenset[str] = frozenset()
        self.focus: Cell | None = None
        self.focus_chosen = True
        self.breakpoints: tuple[Breakpoint, ...] = ()
        self.folded: frozenset[str] = frozenset()
        """Groups that are shown as one card: how one looks at the network, not what it is."""
        self.placer: Callable[[View, Layout], Layout] = lambda _view, layout: layout
        """Gives places to all cards of a view, of which some may have one."""
        self._placed: tuple[Content, View, Layout] | None = None
        self.gains: Gains = {}
        """The what-if: factors of inputs of joins. It is outside of the network, and not saved."""
        self.pixels: Mapping[tuple[int, ...], float] = {}
        """The rest of the what-if: numbers of the picture that were changed, by their index."""
        self.stop: Stop | None = None
        """Why stepping stopped at the position, where it did so by itself."""
        self.answered: tuple[Any, ...] = ()
        """What is said of the answer to a question about the step at the position."""
        self.inside: Inside | None = None
        """Where within the next operation one stands, when it is looked into."""
        self.path: Path | None = None
        self.modified = False
        # weights of layers that cannot use them now: their shape is another, or unknown
        self._dormant: Memory = {}
        self._came_without_weights = False
        self.structure_only = False
        """The network has no weights, because it came without and needs very many: it is shown and
        edited, but cannot run, be trained or exported."""

    # ---- look-ups --------------------------------------------------------------------------

    @property
    def graph(self) -> Graph:
        return self.content.graph

    @property
    def view(self) -> View:
        """What is shown of the network while groups are folded."""
        return folding.view(self.graph, self.folded)

    @property
    def layout(self) -> Layout:
        """Where the cards of the view stand."""
        content, view, placed = self.content, self.view, self._placed
        if placed is None or placed[0] is not content or placed[1].key != view.key:
            stored = content.layout
            if view.key:
                stored = content.arrangements.get(view.key, {})
            placed = self._placed = content, view, self.placer(view, stored)
        return placed[2]

    @property
    def own_layout(self) -> Layout:
        """Where all nodes stand when nothing is folded; empty: as they are laid out by itself."""
        layout = self.content.layout
        return self.placer(folding.view(self.graph, ()), layout) if layout else layout

    @property
    def known_ids(self) -> frozenset[str]:
        """Ids of all nodes, inputs and losses."""
        graph = self.graph
        return graph.input_ids | graph.by_id.keys() | {loss.id for loss in graph.losses}

    @property
    def trace(self) -> Trace | None:
        return self.run.trace if self.run else None

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The whole run in order, also what has not been computed yet."""
        return self.run.operations if self.run else ()

    @property
    def step(self) -> Step | None:
        """The step that was carried out last at the current position."""
        if self.run is None or not 0 < self.position <= len(self.run.trace):
            return None
        return self.run.trace.steps[self.position - 1]

    @property
    def x(self) -> Array | None:
        """What the network receives: the sample, with the numbers that a what-if changed."""
        if self.sample is None or not self.pixels:
            return None if self.sample is None else self.sample.x
        x = self.sample.x.copy()
        for index, value in self.pixels.items():
            x[index] = value
        return x

    @property
    def explained(self) -> int:
        """The position by which a number is explained: that of the operation looked into."""
        return self.position + (self.inside is not None)

    def name_in_file(self, node_id: str) -> str:
        """What a layer is called in the ONNX file that it came from, where that differs; or ""."""
        names = self.metadata.get("node_names")
        found = names.get(node_id, "") if isinstance(names, dict) else ""
        return found if isinstance(found, str) else ""

    @property
    def title(self) -> str:
        return self.path.stem if self.path else str(self.metadata.get("title", self.graph.name))

    def project(self) -> Project:
        """All that a project file holds, also the weights of layers whose shape is unknown now.

        A structure has none at all.
        """
        waiting = {(owner, name): array for (owner, name, _), array in self._dormant.items()}
        if self.structure_only:
            waiting = {}
        return Project(
            self.graph,
            {**waiting, **self.parameters},
            layout=dict(self.own_layout),
            preprocessing=self.preprocessing,
            settings=self._settings(),
            metadata=self.metadata,
        )

    def _settings(self) -> dict[str, Any]:
        """The project's settings, with breakpoints, folded blocks and what else is kept."""
        kept: dict[str, Any] = {}
        self.keeping.emit(kept)
        own = ("breakpoints", "blocks", *kept)
        others = {k: v for k, v in self.settings.items() if k not in own}
        others.update((name, data) for name, data in kept.items() if data)
        if self.folded or self.content.arrangements:
            others["blocks"] = folding.to_plain(self.folded, self.content.arrangements)
        if self.breakpoints:
            others["breakpoints"] = breakpoints.to_plain(self.breakpoints)
        return others

    @property
    def lacks_weights(self) -> bool:
        """Whether nothing runs for want of weights alone."""
        return self.run is None and self.structure_only and not self.inference.errors

    def structure_text(self) -> str:
        """Why a network that is shown as a structure cannot run."""
        count = sum(cost.parameters for cost in self.costs.values())
        return self.tr(
            "{0} is shown as a structure, without its {1:,} weights ({2:,} MB): it can be "
            "looked at and edited. Train → New random weights makes them, to run or train it."
        ).format(self.title, count, round(count * 4 / 1e6))

    # ---- changes (called by the controller and its commands only) --------------------------

    def load(
        self,
        project: Project,
        layout: Layout,
        path: Path | None,
        folded: frozenset[str] | None = None,
    ) -> None:
        """Become another project; ``path`` is None for one that was never saved.

        ``folded`` groups are folded at first; None: those that the project was saved with.
        """
        self.preprocessing = project.preprocessing
        self.settings = dict(project.settings)
        self.metadata = dict(project.metadata)
        self.run, self.position, self.focus, self.stop = None, 0, None, None
        self.focus_chosen = True
        self.inside, self.answered = None, ()
        self.gains, self.pixels = {}, {}
        self.breakpoints = breakpoints.from_plain(self.settings.get("breakpoints"))
        self.selection = frozenset()
        # nothing of the project before may enter this one, however well it would fit
        self.parameters, self._dormant = {}, {}
        saved, arrangements = folding.from_plain(self.settings.get("blocks"))
        self.folded = saved if folded is None else folded
        self.content = Content(project.graph, dict(layout), arrangements)
        self._came_without_weights = not project.parameters
        self._infer({(*key, array.shape): array for key, array in project.parameters.items()})
        # what is built or trained here keeps its weights, however large it grows
        self._came_without_weights = self.structure_only
        self.network_changed.emit()
        self.selection_changed.emit()
        self.focus_changed.emit()
        self.breakpoints_changed.emit()
        self.what_if_changed.emit()
        self.parameters_changed.emit()
        self.loaded.emit()
        self.set_identity(path, modified=False)

    def set_content(
        self,
        content: Content,
        restore: Memory | None = None,
        renamed: Mapping[str, str] | None = None,
    ) -> Memory:
        """Become another network or layout; return the weights of layers that went away.

        Weights that still fit stay. ``restore`` offers weights to layers that come back;
        ``renamed``, new ids by old ones, carries weights, selection, focus and folds over.
        """
        if content == self.content:
            return {}
        graph_changed = content.graph != self.graph
        self.content = content
        gone: Memory = {}
        if graph_changed:
            selection, focus = self.selection, self.focus
            gone = self._infer(restore or {}, renamed)
        if renamed:
            self.folded = folding.moved_folds(self.folded, renamed)
            for pair in in_turn(renamed):
                self.renamed.emit(*pair)
        self.network_changed.emit()
        if graph_changed:
            if renamed:
                self.set_breakpoints(
                    replace(b, node=renamed[b.node]) if b.node in renamed else b
                    for b in self.breakpoints
                )
            self._keep_gains(renamed or {})
            if self.selection != selection:
                self.selection_changed.emit()
            if self.focus != focus:
                self.focus_changed.emit()
            self.parameters_changed.emit()
        return gone

    def _infer(self, restore: Memory, renamed: Mapping[str, str] | None = None) -> Memory:
        """Work out shapes, costs, weights, selection and focus anew, announcing nothing."""
        graph = self.graph
        self.inference = with_refusals(graph, graph.infer())
        self.costs = graph.costs(self.inference.specs)
        names = renamed or {}
        memory: Memory = {
            (names.get(owner, owner), name, shape): array
            for (owner, name, shape), array in (
                *self._dormant.items(),
                *(((*k, v.shape), v) for k, v in self.parameters.items()),
            )
        }
        sound = {n.owner for n in graph.nodes if (n.id, 0) in self.inference.specs}
        found = graph.parameter_specs(self.inference.specs)
        # a layer whose input does not fit has no weights, and keeps those that it had
        specs = {k: spec for k, spec in found.items() if k[0] in sound}
        offered = {**restore, **memory}
        count = sum(spec.size for spec in specs.values())
        self.structure_only = self._came_without_weights and count > STRUCTURE_WEIGHTS
        if self.structure_only:
            self.parameters = {}
        else:
            keep = {k: offered[*k, s.shape] for k, s in specs.items() if (*k, s.shape) in offered}
            made = initial_parameters(graph, self.seed, keep=keep)
            self.parameters = {k: made[k] for k in specs}
        owners = {node.owner for node in graph.nodes}
        self._dormant = {
            k: v
            for k, v in offered.items()
            if k[0] in owners and not (k[:2] in self.parameters and specs[k[:2]].shape == k[2])
        }
        known = self.known_ids
        self.selection = frozenset(names.get(i, i) for i in self.selection) & known
        if self.focus is not None:
            node = names.get(self.focus.node, self.focus.node)
            self.focus = replace(self.focus, node=node) if node in known else None
        return {k: v for k, v in memory.items() if k[0] not in owners}

    def give_weights(self, parameters: Mapping[tuple[str, str], Array]) -> None:
        """Weights for what was a structure: from here on it runs."""
        self._came_without_weights = False
        self._infer({(*key, array.shape): array for key, array in parameters.items()})
        self.network_changed.emit()
        self.parameters_changed.emit()

    def set_parameters(self, parameters: Mapping[tuple[str, str], Array]) -> None:
        """Take over trained or loaded weights."""
        self.parameters = dict(parameters)
        self.parameters_changed.emit()

    def set_run(self, run: Run | None, position: int) -> None:
        """Show another run, at a position within it."""
        self.run, self.stop, self.inside, self.answered = run, None, None, ()
        self.position = min(position, len(run.operations)) if run else 0
        self.run_changed.emit()
        self.position_changed.emit()

    def set_position(
        self,
        position: int,
        stop: Stop | None = None,
        inside: Inside | None = None,
        answered: tuple[Any, ...] = (),
    ) -> None:
        """Move the cursor: how many steps have been carried out, and why it stops there.

        ``inside`` is where one stands within the next operation, ``answered`` what is said of an
        answer about the last one.
        """
        position = max(0, min(position, len(self.operations)))
        before = (self.position, self.stop, self.inside, self.answered)
        if (position, stop, inside, answered) != before:
            self.position, self.stop, self.inside, self.answered = position, stop, inside, answered
            self.position_changed.emit()

    def set_gains(self, gains: Gains) -> None:
        """Ask what the network would do if inputs of an Add counted more, less or not at all."""
        if dict(gains) != dict(self.gains):
            self.gains = dict(gains)
            self.what_if_changed.emit()

    def set_pixels(self, pixels: Mapping[tuple[int, ...], float]) -> None:
        """Ask what the network would do if numbers of the picture were others."""
        if dict(pixels) != dict(self.pixels):
            self.pixels = dict(pixels)
            self.what_if_changed.emit()

    def _keep_gains(self, names: Mapping[str, str]) -> None:
        """A what-if ends with the connection that it is about."""
        kept = {}
        for (name, slot), gain in self.gains.items():
            node = self.graph.by_id.get(names.get(name, name))
            connected = node is not None and slot < len(node.inputs) and node.inputs[slot]
            if node is not None and takes_gains(node.layer) and connected:
                kept[node.id, slot] = gain
        self.set_gains(kept)

    def set_breakpoints(self, points: Iterable[Breakpoint]) -> None:
        """Stop at these; those of layers that are gone wait for them to come back."""
        found = tuple(points)
        if found != self.breakpoints:
            self.breakpoints = found
            self.breakpoints_changed.emit()

    def set_folded(self, groups: frozenset[str]) -> None:
        """Show these groups as one card each. Neither the network nor the undo stack changes."""
        if groups != self.folded:
            self.folded = groups
            self.folded_changed.emit()

    def set_sample(self, sample: Sample | None) -> None:
        """Show another picture to the network."""
        if sample != self.sample:
            self.sample, self.pixels = sample, {}
            self.sample_changed.emit()

    def set_selection(self, ids: frozenset[str]) -> None:
        if ids != self.selection:
            self.selection = ids
            self.selection_changed.emit()

    def select(self, ids: Iterable[str]) -> None:
        """Select these nodes, inputs or losses; unknown ids are left out."""
        self.set_selection(frozenset(ids) & self.known_ids)

    def set_focus(self, cell: Cell | None, chosen: bool = True) -> None:
        """Mark a cell; ``chosen`` by the user, not where a walk inside of an operation stands."""
        if (cell, chosen) != (self.focus, self.focus_chosen):
            self.focus, self.focus_chosen = cell, chosen
            self.focus_changed.emit()

    def set_identity(self, path: Path | None, modified: bool) -> None:
        """Where the project is saved, and whether it differs from what is there."""
        if (path, modified) != (self.path, self.modified):
            self.path, self.modified = path, modified
            self.identity_changed.emit()

    def set_settings(self, **changes: Any) -> None:
        """Remember settings with the project (training, view)."""
        self.settings = {**self.settings, **changes}

    def move(self, positions: Layout) -> Content:
        """The content with some cards elsewhere."""
        return self.content.arranged(self.view.key, {**self.layout, **positions})


def in_turn(names: Mapping[str, str]) -> list[tuple[str, str]]:
    """Pairs of old and new names, in an order in which each new name is free when it is given."""
    left, found = dict(names), []
    while left:
        old = next((o for o, n in left.items() if n not in left), next(iter(left)))
        found.append((old, left.pop(old)))
    return found
