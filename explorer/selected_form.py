"""What the property panel shows of the selection: a layer, an input, a loss or a folded block."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QCoreApplication

from engine.losses import suited
from explorer import folding
from explorer.document import Document
from explorer.panels import Properties


def _tr(text: str) -> str:
    return QCoreApplication.translate("SelectedForm", text)


def selected_block(document: Document) -> folding.Block | None:
    """The folded block whose card alone is selected."""
    view, selection = document.view, document.selection
    cards = view.cards(selection)
    block = view.blocks.get(next(iter(cards))) if len(cards) == 1 else None
    return block if block is not None and selection == set(block.members) else None


def show_selected(properties: Properties, document: Document) -> None:
    """Fill the form with what is selected; with nothing when that is not one thing."""
    d = document
    node_id = next(iter(d.selection), "") if len(d.selection) == 1 else ""
    node = d.graph.by_id.get(node_id)
    block = selected_block(d)
    if block is not None:
        _show_block(properties, d, block)
        return
    loss = next((x for x in d.graph.losses if x.id == node_id), None)
    source = next((x for x in d.graph.inputs if x.id == node_id), None)
    if loss is not None:
        entering = d.inference.specs.get(loss.input)
        properties.set_end(
            node_id,
            loss.function.title,
            type(loss.function).__doc__ or "",
            {_tr("Input"): str(entering) if entering else _tr("not known")},
            d.inference.errors.get(node_id),
            loss,
            suited(entering) if entering is not None else (),
        )
    elif source is not None:
        properties.set_end(
            node_id,
            node_id,
            _tr("Input of the network: the picture."),
            {_tr("Output"): "×".join(map(str, source.shape))},
            d.inference.errors.get(node_id),
        )
    elif node is None and len(d.selection) > 1:
        _show_several(properties, d)
    elif node is None and d.graph.nodes:
        _show_network(properties, d)
    elif node is None:
        properties.set_node(None, (), (), None, None)
    else:
        inputs = tuple(
            d.inference.specs[r] for r in node.inputs if r is not None and r in d.inference.specs
        )
        outputs = tuple(s for r, s in d.inference.specs.items() if r[0] == node_id)
        properties.set_node(
            node,
            inputs,
            outputs,
            d.costs.get(node_id),
            d.inference.errors.get(node_id),
            d.name_in_file(node_id),
        )


def _work_of(document: Document, names: Iterable[str]) -> dict[str, str]:
    costs = [document.costs[name] for name in names if name in document.costs]
    return {
        _tr("Parameters"): f"{sum(c.parameters for c in costs):,}",
        _tr("Multiply-adds"): f"{sum(c.multiply_adds for c in costs):,}",
    }


def _show_several(properties: Properties, document: Document) -> None:
    layers = [node.id for node in document.graph.nodes if node.id in document.selection]
    properties.set_end(
        "",
        _tr("{0:,} selected").format(len(document.selection)),
        _tr("Settings are changed one layer at a time."),
        {_tr("Layers"): f"{len(layers):,}", **_work_of(document, layers)},
    )


def _show_network(properties: Properties, document: Document) -> None:
    """What there is to say while nothing is selected: how large the whole is."""
    graph, specs = document.graph, document.inference.specs
    entering = ", ".join("×".join(map(str, source.shape)) for source in graph.inputs)
    leaving = ", ".join(str(specs[ref]) for _, ref in graph.outputs if ref in specs)
    facts = {
        _tr("Layers"): f"{len(graph.nodes):,}",
        _tr("Input"): entering or _tr("not known"),
        _tr("Output"): leaving or _tr("not known yet"),
        **_work_of(document, document.costs),
    }
    if graph.labels:
        facts[_tr("Classes")] = f"{len(graph.labels):,}"
    properties.set_end(
        "",
        _tr("The network"),
        _tr("Select a layer to see and change its settings."),
        facts,
    )


def _show_block(properties: Properties, document: Document, block: folding.Block) -> None:
    d = document
    sent = [str(d.inference.specs[ref]) for ref in block.outputs if ref in d.inference.specs]
    errors = (d.inference.errors.get(name) for name in block.members)
    properties.set_end(
        block.path,
        _tr("Block {0}").format(block.path),
        _tr("Folded layers: a double click on the card, Enter or T opens them."),
        {
            _tr("Layers"): str(len(block.members)),
            **_work_of(d, block.members),
            _tr("Output"): ", ".join(sent) or _tr("not known"),
        },
        next((error for error in errors if error is not None), None),
    )
