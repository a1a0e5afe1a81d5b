"""A block on its way from the palette into a network: onto an edge, in place of layers, or loose.

What a drag carries is plain text, and each function makes one graph of another, so that the canvas
can try a drop before it is made.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from PySide6.QtCore import QCoreApplication, QMimeData

from engine.building_blocks import KINDS, Block, Part
from engine.graph import Graph, GraphError, Inference, Node, Ref
from engine.layers.base import Spec
from explorer.clipping import Clipping, ClippingError, from_text, to_text
from explorer.folding import EdgeKey, common_group
from explorer.own_blocks import BlockError, part

BLOCK_MIME = "application/x-gradient-flow-block"
CHANNELS = 16
"""Of a block that stands where nothing enters it yet."""
_NOTHING: Ref = ("", 0)


@dataclass(frozen=True)
class OwnBlock:
    """One of the user's blocks with its layers, and so many times its channels."""

    name: str
    clipping: Clipping
    factor: float = 1.0


AnyBlock = Block | OwnBlock


def _tr(text: str) -> str:
    return QCoreApplication.translate("DraggedBlocks", text)


def title(block: AnyBlock) -> str:
    """What a block is called."""
    return block.name if isinstance(block, OwnBlock) else block.description.title


def mime_of(block: AnyBlock) -> QMimeData:
    """A block as it travels in a drag."""
    data = QMimeData()
    if isinstance(block, OwnBlock):
        plain = {"name": block.name, "factor": block.factor, "layers": to_text(block.clipping)}
    else:
        plain = {"kind": block.kind, "width": block.width, "stride": block.stride}
    data.setData(BLOCK_MIME, json.dumps(plain).encode("utf-8"))
    data.setText(title(block))
    return data


def block_of(data: QMimeData) -> AnyBlock:
    """The block that a drag carries; raises BlockError for what is none."""
    try:
        plain = json.loads(bytes(data.data(BLOCK_MIME).data()).decode("utf-8"))
        if "layers" in plain:
            clipping = from_text(str(plain["layers"]))
            return OwnBlock(str(plain["name"]), clipping, float(plain["factor"]))
        block = Block(str(plain["kind"]), int(plain["width"]), int(plain["stride"]))
        if block.kind not in KINDS or block.width < 0 or block.stride < 1:
            raise ValueError(block)
    except (ValueError, KeyError, TypeError, ClippingError) as error:
        text = _tr("Expected a block of this program, received something else.")
        raise BlockError(text) from error
    return block


# ---- the graphs that a drop makes ------------------------------------------------------------


def inserted(
    graph: Graph, inference: Inference, block: AnyBlock, inputs: Sequence[EdgeKey]
) -> tuple[Graph, str]:
    """With a block between a tensor and those inputs that read it; and the block's path.

    Raises GraphError where nothing enters, or no maps for a block that needs them.
    """
    source = graph.source_of(*inputs[0])
    if source is None:
        reader, slot = inputs[0]
        raise GraphError(f"{reader}: input {slot + 1} has no connection to insert into.")
    path = _free_path(graph, block, (source[0], *(reader for reader, _ in inputs)))
    spec = inference.specs.get(source)
    nodes, end = _built(block, path, source, _channels(block, source, spec))
    after = graph
    for node in nodes:
        after = after.add(node)
    for key in inputs:
        after = after.connect(end, *key)
    return after, path


def instead(
    graph: Graph, inference: Inference, block: AnyBlock, ids: Iterable[str]
) -> tuple[Graph, str]:
    """With a block in the place of layers, of their width and stride; and the block's path.

    Raises GraphError where these do not read one tensor and give out one, or lend their weights
    to others, and as ``inserted`` does.
    """
    members = [node.id for node in graph.nodes if node.id in set(ids)]
    gone = set(members)
    name = members[0] if len(members) == 1 else common_group(members)
    sources = {
        ref for node in graph.nodes if node.id in gone for ref in node.sources if ref[0] not in gone
    }
    ends = {ref for ref in graph.readers if ref[0] in gone and _read_outside(graph, ref, gone)}
    ends |= {ref for _, ref in graph.outputs if ref[0] in gone}
    if len(sources) != 1 or len(ends) > 1:
        raise GraphError(
            _tr(
                "{0}: expected one tensor in and one out, received {1} and {2}. "
                "Drop the block on a connection instead."
            ).format(name, len(sources), len(ends))
        )
    lends = [n.id for n in graph.nodes if n.params in gone and n.id not in gone]
    if lends:
        raise GraphError(
            _tr("{0} uses the weights of {1}. Delete it first.").format(lends[0], name)
        )
    (source,) = sources
    spec = inference.specs.get(source)
    leaves = next(iter(ends), (members[-1], 0))
    path = _free_path(graph, block, members)
    fitted = _like(block, spec, inference.specs.get(leaves))
    nodes, end = _built(fitted, path, source, _channels(block, source, spec))
    first = next(i for i, node in enumerate(graph.nodes) if node.id in gone)

    def rest(some: Iterable[Node]) -> tuple[Node, ...]:
        return tuple(
            replace(n, inputs=tuple(end if r == leaves else r for r in n.inputs))
            for n in some
            if n.id not in gone
        )

    after = replace(
        graph,
        nodes=(*rest(graph.nodes[:first]), *nodes, *rest(graph.nodes[first:])),
        losses=tuple(replace(x, input=end) if x.input == leaves else x for x in graph.losses),
        outputs=tuple((n, end if ref == leaves else ref) for n, ref in graph.outputs),
    )
    return after, path


def loose(graph: Graph, block: AnyBlock) -> tuple[Graph, str]:
    """With a block that nothing enters and nobody reads yet; and its path."""
    path = _free_path(graph, block, ())
    nodes, _ = _built(block, path, _NOTHING, CHANNELS)
    after = graph
    for node in nodes:
        inputs = tuple(None if ref == _NOTHING else ref for ref in node.inputs)
        after = after.add(replace(node, inputs=inputs))
    return after, path


def takes(block: AnyBlock, spec: Spec | None) -> bool:
    """Whether a block can stand behind a tensor of that spec, at a quick look."""
    return isinstance(block, OwnBlock) or (spec is not None and len(spec.shape) == 4)


def _built(block: AnyBlock, path: str, entry: Ref, channels: int) -> tuple[tuple[Node, ...], Ref]:
    if isinstance(block, OwnBlock):
        return part(block.clipping, path, entry, block.factor)
    made = Part(path, entry, channels)
    end = block.description.build(made, block.width, block.stride)
    return tuple(made.nodes), end


def _channels(block: AnyBlock, source: Ref, spec: Spec | None) -> int:
    if isinstance(block, OwnBlock):
        return 0
    if spec is None or len(spec.shape) != 4:
        raise GraphError(
            _tr("{0}: expected maps (C, H, W), received {1} from {2}.").format(
                title(block), _tr("nothing") if spec is None else spec, source[0]
            )
        )
    return spec.shape[1]


def _like(block: AnyBlock, enters: Spec | None, leaves: Spec | None) -> AnyBlock:
    """With the channels and the stride of what it stands for, where it has such."""
    if isinstance(block, OwnBlock) or enters is None or leaves is None:
        return block
    if len(enters.shape) != 4 or len(leaves.shape) != 4:
        return block
    width = leaves.shape[1] if block.description.width == "channels" else 0
    stride = max(1, round(enters.shape[2] / max(1, leaves.shape[2])))
    return replace(
        block,
        width=block.width or width,
        stride=stride if block.description.strides and block.stride == 1 else block.stride,
    )


def _read_outside(graph: Graph, ref: Ref, inside: set[str]) -> bool:
    return any(reader not in inside for reader, _ in graph.readers[ref])


def _free_path(graph: Graph, block: AnyBlock, among: Iterable[str]) -> str:
    """A path that no id has or begins with, in the group that all of ``among`` have."""
    if isinstance(block, OwnBlock):
        stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", block.name) + "_"
    else:
        stem = block.description.path
    group = common_group(among)
    start = f"{group}/{stem}" if group else stem
    taken = [*graph.by_id, *graph.input_ids, *(x.id for x in graph.losses)]
    number = 1
    while any(f"{name}/".startswith(f"{start}{number}/") for name in taken):
        number += 1
    return f"{start}{number}"
