"""Steps of layers that move, choose or bend numbers one by one, most of them from ONNX files."""

from __future__ import annotations

from typing import cast

import numpy as np

from engine.graph import Node
from engine.layers.arg_max import ArgMax
from engine.layers.compare import Compare
from engine.layers.depth_to_space import DepthToSpace
from engine.layers.feature_norm import FeatureNorm
from engine.layers.function import FUNCTIONS, Function
from engine.layers.gather import Gather
from engine.layers.join import Join
from engine.layers.space_to_depth import SpaceToDepth
from engine.layers.split import Split
from engine.layers.top_k import TopK
from explorer.narration.backward import sent, to_inputs, weights_clause, zeros_text
from explorer.narration.numbers import count_text, percent, shape_text
from explorer.narration.record import Describe, Run, out, peak
from explorer.narration.sentence import Link, Parts, Text, fill, link_to, listed, tr
from explorer.tensors.scales import format_number

_STRONGEST = "; the strongest is {value} in {where}."
_STILL = "; no number changed, the strongest is still {value}."
_KEPT = "; the strongest that is kept is {value} in {where}."


def _source(run: Run, slot: int = 0) -> Link | str:
    return run.source_name(run.inputs()[slot][0])


def _axis_name(axis: int, rank: int) -> str:
    """An axis of a sample in words: those of maps have names."""
    if rank == 3:
        return (tr("channels"), tr("rows"), tr("columns"))[axis - 1]
    return tr("axis {number}").format(number=axis)


def _shaped(template: str, ending: str) -> Describe:
    """A sentence that only names what was read, and both sizes."""

    def describe(run: Run, node: Node) -> Parts:
        ref, y = out(run)
        _, x = run.inputs()[0]
        return fill(
            tr(template),
            node=link_to(node.id),
            source=_source(run),
            before=shape_text(x.shape),
            after=shape_text(y.shape),
        ) + peak(run, y, ref, tr(ending), signed=True)

    return describe


def _gather(run: Run, node: Node) -> Parts:
    layer = cast(Gather, node.layer)
    ref, y = out(run)
    _, x = run.inputs()[0]
    few = layer.indices[:6]
    numbers = ", ".join(map(str, few)) + (", …" if len(layer.indices) > len(few) else "")
    return fill(
        tr("{node} picked numbers {numbers} of the {size} {axis} of {source}: {after}"),
        node=link_to(node.id),
        numbers=numbers,
        size=count_text(x.shape[layer.axis - 1]),
        axis=_axis_name(layer.axis, x.ndim),
        source=_source(run),
        after=shape_text(y.shape),
    ) + peak(run, y, ref, tr(_KEPT), signed=True)


def _split(run: Run, node: Node) -> Parts:
    layer = cast(Split, node.layer)
    _, x = run.inputs()[0]
    parts = [run.array(key) for key in run.step.writes if key.kind == "value"]
    ref, y = out(run)
    return fill(
        tr("{node} cut {source} along its {axis} into {count} parts of {sizes}"),
        node=link_to(node.id),
        source=_source(run),
        axis=_axis_name(layer.axis, x.ndim),
        count=count_text(len(parts)),
        sizes=", ".join(str(part.shape[layer.axis - 1]) for part in parts),
    ) + peak(run, y, ref, tr("; the strongest of the first is {value} in {where}."), signed=True)


def _join(run: Run, node: Node) -> Parts:
    layer = cast(Join, node.layer)
    ref, y = out(run)
    parts = fill(tr("{node} put "), node=link_to(node.id))
    parts += listed(
        fill("{source} ({shape})", source=run.source_name(source), shape=shape_text(x.shape))
        for source, x in run.inputs()
    )
    parts += fill(
        tr(" one after another along the {axis}: {shape}"),
        axis=_axis_name(layer.axis, y.ndim),
        shape=shape_text(y.shape),
    )
    return parts + peak(run, y, ref, tr(_STRONGEST), signed=True)


def _blocks(run: Run, node: Node) -> Parts:
    layer = node.layer
    assert isinstance(layer, DepthToSpace | SpaceToDepth)
    ref, y = out(run)
    _, x = run.inputs()[0]
    if isinstance(layer, DepthToSpace):
        verb = tr("{node} laid every {cells} channels of {source} out as blocks of {b}×{b} cells")
    else:
        verb = tr("{node} stacked each block of {b}×{b} cells of {source} as {cells} channels")
    return (
        fill(
            verb,
            node=link_to(node.id),
            source=_source(run),
            b=str(layer.block),
            cells=str(layer.block**2),
        )
        + fill(
            tr(": {before} become {after}"),
            before=shape_text(x.shape),
            after=shape_text(y.shape),
        )
        + peak(run, y, ref, tr(_STILL), signed=True)
    )


def _framed(run: Run, node: Node) -> Parts:
    ref, y = out(run)
    _, x = run.inputs()[0]
    if all(a <= b for a, b in zip(y.shape, x.shape, strict=True)):
        verb = tr("{node} cut the rim off {source}: {before} become {after}")
    elif _repeats(node):
        verb = tr("{node} put cells of {source} around it once more: {before} become {after}")
    else:
        verb = tr("{node} put a frame around {source}: {before} become {after}")
    return fill(
        verb,
        node=link_to(node.id),
        source=_source(run),
        before=shape_text(x.shape),
        after=shape_text(y.shape),
    ) + peak(run, y, ref, tr(_STRONGEST), signed=True)


def _repeats(node: Node) -> bool:
    """Whether the frame is made of cells of the input."""
    return getattr(node.layer, "mode", "zeros") not in ("zeros", "constant")


def _framed_back(run: Run, node: Node) -> Parts:
    if _repeats(node):
        verb = tr("{node} adds the frame's gradient to the cells of {source} that it repeated")
    else:
        verb = tr("{node} cuts the frame off the gradient for {source}")
    return sent(run, node, verb + ": ‖∂‖ {norm}")


def _constant(run: Run, node: Node) -> Parts:
    ref, y = out(run)
    return fill(
        tr("{node} gave its own {shape} numbers, the same for every picture"),
        node=link_to(node.id),
        shape=shape_text(y.shape),
    ) + peak(run, y, ref, tr(_STRONGEST), signed=True)


_VERBS = {
    "abs": "{node} dropped the sign of each number of {source}",
    "negative": "{node} turned the sign of each number of {source}",
    "exp": "{node} raised e to the power of each number of {source}",
    "log": "{node} took the natural logarithm of each number of {source}",
    "sqrt": "{node} took the square root of each number of {source}",
    "reciprocal": "{node} divided 1 by each number of {source}",
    "erf": "{node} took the error function of each number of {source}",
    "sin": "{node} took the sine of each number of {source}",
    "cos": "{node} took the cosine of each number of {source}",
    "sign": "{node} kept only the sign of each number of {source}, as −1, 0 or 1",
    "floor": "{node} rounded each number of {source} down",
    "ceil": "{node} rounded each number of {source} up",
    "round": "{node} rounded each number of {source} to the nearest whole one",
    "truncate": "{node} cut the fraction off each number of {source}",
    "not": "{node} made each 0 of {source} a 1, and everything else a 0",
}
_FLAT = {name for name, rule in FUNCTIONS.items() if not np.any(rule.slope(np.ones(1), np.ones(1)))}


def _function(run: Run, node: Node) -> Parts:
    layer = cast(Function, node.layer)
    ref, y = out(run)
    return fill(tr(_VERBS[layer.name]), node=link_to(node.id), source=_source(run)) + peak(
        run, y, ref, tr(_STRONGEST), signed=True
    )


def _function_back(run: Run, node: Node) -> Parts:
    layer = cast(Function, node.layer)
    if layer.name in _FLAT:
        return _nothing(run, node)
    slopes = {
        "abs": tr("times the sign of its number"),
        "negative": tr("with the sign turned"),
        "exp": tr("times what came out"),
        "log": tr("divided by its number"),
        "sqrt": tr("divided by twice the root"),
        "reciprocal": tr("times minus the square of what came out"),
        "sin": tr("times the cosine of its number"),
        "cos": tr("times minus the sine of its number"),
    }
    slope = slopes.get(layer.name, tr("times the slope of the curve at its number"))
    verb = tr("{node} sends each gradient, {slope}, to {source}: ‖∂‖ {norm}")
    return sent(run, node, verb.replace("{slope}", slope))


def _nothing(run: Run, node: Node) -> Parts:
    if not run.downstream():
        return sent(run, node, "")
    return fill(
        tr(
            "{node} sends an exact zero to each of the {count} numbers of {source}: a small change "
            "there does not change what came out."
        ),
        node=link_to(node.id),
        count=count_text(run.downstream()[0][1].size),
        source=run.source_name(run.downstream()[0][0]),
    )


def _bent(template: str) -> Describe:
    """An activation with a curve: how many numbers lie below zero, and the largest."""

    def describe(run: Run, node: Node) -> Parts:
        ref, y = out(run)
        _, x = run.inputs()[0]
        below = int((x < 0).sum())
        return fill(
            tr(template),
            node=link_to(node.id),
            below=count_text(below),
            count=count_text(x.size),
            share=percent(below / x.size),
        ) + peak(run, y, ref, tr("; the largest is {value} in {where}."))

    return describe


def _by_slope(run: Run, node: Node) -> Parts:
    verb = tr(
        "{node} sends each gradient, times the slope of its curve there, to {source}: ‖∂‖ {norm}"
    )
    return sent(run, node, verb)


def _compare(run: Run, node: Node) -> Parts:
    layer = cast(Compare, node.layer)
    _, y = out(run)
    words = {
        "greater": tr("is larger than"),
        "greater_equal": tr("is at least"),
        "less": tr("is smaller than"),
        "less_equal": tr("is at most"),
        "equal": tr("equals"),
    }
    a: Link | str = _source(run)
    if len(run.inputs()) > 1:
        b: Link | str = _source(run, 1)
    else:
        b = tr("its own numbers") if layer.operand else format_number(layer.value)
        if layer.swapped:
            a, b = b, a
    true = int((y != 0).sum())
    asked = words.get(layer.comparison, layer.comparison.replace("_", " "))
    return fill(
        tr("{node} asked in each cell whether {a} {asked} {b}: {true} of {count} times it is so."),
        node=link_to(node.id),
        a=a,
        asked=asked,
        b=b,
        true=count_text(true),
        count=count_text(y.size),
    )


def _arg_max(run: Run, node: Node) -> Parts:
    layer = cast(ArgMax, node.layer)
    _, y = out(run)
    _, x = run.inputs()[0]
    places, counts = np.unique(y, return_counts=True)
    most = int(places[counts.argmax()])
    return fill(
        tr(
            "{node} looked along the {size} {axis} of {source} for the {which} number, "
            "{count} times: most often it was number {most}, in {share}."
        ),
        node=link_to(node.id),
        size=count_text(x.shape[layer.axis - 1]),
        axis=_axis_name(layer.axis, x.ndim),
        source=_source(run),
        which=tr("largest") if layer.operation == "max" else tr("smallest"),
        count=count_text(y.size),
        most=str(most),
        share=percent(int(counts.max()) / y.size),
    )


def _top_k(run: Run, node: Node) -> Parts:
    layer = cast(TopK, node.layer)
    ref, y = out(run)
    _, x = run.inputs()[0]
    return fill(
        tr("{node} kept the {k} {which} of every {size} numbers of {source}, in order: {after}"),
        node=link_to(node.id),
        k=count_text(layer.k),
        which=tr("largest") if layer.largest else tr("smallest"),
        size=count_text(x.shape[layer.axis - 1]),
        source=_source(run),
        after=shape_text(y.shape),
    ) + peak(run, y, ref, tr(_STRONGEST), signed=True)


def _pick(run: Run, node: Node) -> Parts:
    ref, y = out(run)
    return fill(
        tr("{node} took {count} numbers of {source} at the places that {places} says"),
        node=link_to(node.id),
        count=count_text(y.size),
        source=_source(run),
        places=_source(run, 1),
    ) + peak(run, y, ref, tr(_KEPT), signed=True)


def _norm(run: Run, node: Node) -> Parts:
    layer = node.layer
    ref, y = out(run)
    _, x = run.inputs()[0]
    if isinstance(layer, FeatureNorm):
        count = int(np.prod(x.shape[layer.axis - 1 :]))
        centred = layer.centred
    else:
        groups = {
            "InstanceNorm": x.shape[0],
            "LayerNorm": 1,
            "GroupNorm": int(getattr(layer, "groups", 1)),
        }[type(layer).__name__]
        count, centred = x.size // max(1, groups), True
    if centred:
        verb = tr("{node} gave every {count} numbers of {source} together mean 0 and spread 1")
    else:
        verb = tr("{node} gave every {count} numbers of {source} together a mean square of 1")
    said = fill(verb, node=link_to(node.id), count=count_text(count), source=_source(run))
    if any(key.kind == "param" for key in run.step.reads):
        said += (Text(tr(", then its own scale and shift")),)
    return said + peak(run, y, ref, tr(_STRONGEST), signed=True)


def _moved_back(template: str) -> Describe:
    def describe(run: Run, node: Node) -> Parts:
        return sent(run, node, tr(template) + ": ‖∂‖ {norm}")

    return describe


def _zeros_back(template: str) -> Describe:
    """What was not taken gets an exact zero; says of how many."""

    def describe(run: Run, node: Node) -> Parts:
        down = run.downstream()
        if not down:
            return sent(run, node, "")
        ref, dx = down[0]
        return fill(
            tr(template), node=link_to(node.id), source=run.source_name(ref), zeros=zeros_text(dx)
        ) + peak(run, dx, ref, tr(", strongest {value} in {where}."), signed=True)

    return describe


def _norm_back(run: Run, node: Node) -> Parts:
    verb = tr(
        "{node} takes mean and spread out of the gradient too, and sends it to {source}: ‖∂‖ {norm}"
    )
    return sent(run, node, verb) + weights_clause(run, node)


def _constant_back(run: Run, node: Node) -> Parts:
    clause = weights_clause(run, node)
    if not clause:
        return sent(run, node, "")
    return fill(tr("{node} keeps the gradient for its own numbers"), node=link_to(node.id)) + clause


_SMOOTH = "{node} bent each number along its curve; {below} of {count} ({share}) are below zero"
_PLACED = "{node} sends each gradient back to the place in {source} that its number came from"
_CURVES = ("CELU", "ELU", "GELU", "HardSwish", "Mish", "SELU", "SiLU", "Softplus", "Softsign")
_NORMS = ("FeatureNorm", "GroupNorm", "InstanceNorm", "LayerNorm")
_CHOSEN = "{node} gives each gradient to the number of {source} that it kept; {zeros}"

MOVES_FORWARD: dict[str, Describe] = {
    "Gather": _gather,
    "Slice": _shaped("{node} cut {after} out of the {before} of {source}", _KEPT),
    "StridedSlice": _shaped("{node} kept {after} of the {before} cells of {source}", _KEPT),
    "Split": _split,
    "Join": _join,
    "Expand": _shaped("{node} repeated the {before} numbers of {source} to {after}", _STILL),
    "DepthToSpace": _blocks,
    "SpaceToDepth": _blocks,
    "Frame": _framed,
    "Pad": _framed,
    "Resize": _shaped("{node} enlarged the maps of {source} from {before} to {after}", _STRONGEST),
    "Identity": _shaped("{node} handed the {before} numbers of {source} on", _STILL),
    "Constant": _constant,
    "Function": _function,
    "Compare": _compare,
    "ArgMax": _arg_max,
    "TopK": _top_k,
    "Pick": _pick,
    "HardSigmoid": _shaped(
        "{node} squeezed {source} between 0 and 1 along a broken line", _STRONGEST
    ),
    **{name: _bent(_SMOOTH) for name in _CURVES},
    **dict.fromkeys(_NORMS, _norm),
}
"""How a forward step is told, by the name of the layer's class."""
MOVES_BACKWARD: dict[str, Describe] = {
    "Gather": _zeros_back(
        "{node} gives each gradient to the cell of {source} that it picked; {zeros}"
    ),
    "Slice": _zeros_back(
        "{node} gives the gradient to the part of {source} that it cut out; {zeros}"
    ),
    "StridedSlice": _zeros_back(
        "{node} gives the gradient to the cells of {source} that it kept; {zeros}"
    ),
    "Split": _moved_back("{node} puts the gradients of its parts together again for {source}"),
    "Join": to_inputs("{node} cuts the gradient into the parts of "),
    "Expand": _moved_back("{node} adds up the gradients of all copies for {source}"),
    "DepthToSpace": _moved_back(_PLACED),
    "SpaceToDepth": _moved_back(_PLACED),
    "Frame": _framed_back,
    "Pad": _framed_back,
    "Identity": _moved_back("{node} passes the gradient unchanged to {source}"),
    "Constant": _constant_back,
    "Function": _function_back,
    "Compare": _nothing,
    "ArgMax": _nothing,
    "TopK": _zeros_back(_CHOSEN),
    "Pick": _zeros_back("{node} gives each gradient to the cell of {source} that it took; {zeros}"),
    "Sigmoid": _by_slope,
    "Tanh": _by_slope,
    "HardSigmoid": _by_slope,
    **dict.fromkeys(_CURVES, _by_slope),
    **dict.fromkeys(_NORMS, _norm_back),
}
"""How a backward step is told, by the name of the layer's class."""
