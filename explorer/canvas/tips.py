"""The sentence under the mouse when it rests: what a card, a channel, a port or an edge is."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QPointF

from explorer.canvas.node_item import NodeItem, Show
from explorer.canvas.scene import NetworkScene
from explorer.tensors.scales import format_number

MOST_READERS = 3


def tr(text: str) -> str:
    return QCoreApplication.translate("Canvas", text)


def tip(network: NetworkScene, at: QPointF, reach: float) -> str:
    """Text for a scene point, empty where nothing is."""
    stop = network.stop_at(at)
    if stop is not None:
        if stop.stop:
            return tr("Click: stepping no longer stops at {id} (F9)").format(id=stop.facts.id)
        return tr("Click: stepping stops at {id} (F9)").format(id=stop.facts.id)
    port = network.port_at(at, reach)
    item = network.node_at(at)
    if port is not None and not network.far:
        return _port_tip(*port)
    if item is not None:
        return _card_tip(item, at)
    edge = network.edge_at(at, reach)
    if edge is None:
        return ""
    facts = edge.facts
    readers = ", ".join(reader for reader, _ in facts.inputs[:MOST_READERS])
    if len(facts.inputs) > MOST_READERS:
        readers = tr("{n} layers of {block}").format(
            n=len(facts.inputs), block=facts.reader.removesuffix("/")
        )
    lines = [f"{facts.ref[0]} → {readers}  {facts.shape}"]
    if edge.norm is not None:
        lines.append(tr("gradient ‖g‖ = {norm}").format(norm=format_number(edge.norm, 5)))
        if edge.share is not None:
            lines.append(
                tr("{share}% of the sizes ‖g‖ of all gradients that {node} sends").format(
                    share=f"{edge.share * 100:.1f}", node=facts.reader
                )
            )
        if edge.fork_share is not None:
            lines.append(
                tr("{share}% of the sum of the gradients that meet at {node}").format(
                    share=f"{edge.fork_share * 100:.1f}", node=facts.ref[0]
                )
            )
            lines.append(
                tr("(how far it goes along that sum: all make 100%, below 0 is against it)")
            )
    lines.append(tr("Drag to connect it elsewhere, or into the empty to disconnect."))
    return "\n".join(lines)


def _port_tip(item: NodeItem, side: str, number: int) -> str:
    facts = item.facts
    if side == "out":
        return tr("Output {number} of {id}: {shape}\nDrag to an input to connect.").format(
            number=number + 1, id=facts.name, shape=facts.shape or tr("shape unknown")
        )
    ref = facts.slots[number] if number < len(facts.slots) else None
    if ref is None:
        return tr("Input {number} of {id}, open\nDrag to an output to connect.").format(
            number=number + 1, id=facts.name
        )
    return tr("Input {number} of {id}, from {source}").format(
        number=number + 1, id=facts.name, source=ref[0]
    )


def _card_tip(item: NodeItem, at: QPointF) -> str:
    facts = item.facts
    lines = [facts.name, item.subtitle()]
    if facts.kind == "block":
        lines.append(
            tr("A folded block: double-click or Enter opens it. Its maps are those of {0}.").format(
                facts.shows[0]
            )
        )
    if facts.trouble is not None:
        if facts.trouble.expected:
            lines += [
                tr("Expected: {what}").format(what=facts.trouble.expected),
                tr("Received: {what}").format(what=facts.trouble.received),
                facts.trouble.remedy,
            ]
        else:
            lines.append(facts.trouble.text)
        return "\n".join(lines)
    names: tuple[tuple[Show, str], ...] = (("value", tr("value")), ("grad", tr("gradient")))
    for show, name in names:
        made = item.picture(show)
        if made is None:
            continue
        lines.append(
            tr("{name} from {low} to {high}, one scale for all channels").format(
                name=name,
                low=format_number(made.scale.low),
                high=format_number(made.scale.high),
            )
        )
    lines += item.notes()
    cell = item.cell_at(at)
    if cell is not None:
        lines.append(tr("cell {index}").format(index=", ".join(str(i) for i in cell.index)))
        for show, name in names:
            value = item.value_at(show, cell.index)
            if value is not None:
                lines.append(f"{name} = {format_number(value, 5)}")
    if item.pages > 1:
        lines.append(tr("Shift-wheel pages through the channels."))
    return "\n".join(lines)
