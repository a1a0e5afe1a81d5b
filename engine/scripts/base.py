"""What scripts for other frameworks share: names, lines of the forward pass, errors."""

from __future__ import annotations

import json
import keyword
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.data.preprocessing import Preprocessing
from engine.graph import Graph, GraphError, Node, Ref
from engine.layers.base import Layer, ShapeError, Spec


class ScriptError(ValueError):
    """A network has no script in that framework; names the node, and what to do."""


@dataclass(frozen=True)
class Site:
    """A node as a rule sees it."""

    node: Node
    specs: tuple[Spec, ...]
    """Of its connected inputs."""
    outputs: tuple[Spec, ...]

    @property
    def layer(self) -> Layer:
        """The layer of the node."""
        return self.node.layer

    def refuse(self, why: str) -> ScriptError:
        """The error of a layer that the framework has no form of."""
        title = self.layer.title or type(self.layer).__name__
        return ScriptError(f"{self.node.id}: {title} {why} Change it, or export as ONNX.")


@dataclass(frozen=True)
class Written:
    """How PyTorch writes a layer. ``call`` has {0}, {1} … for inputs, {all}, and {module}.

    ``module`` is what holds its parameters, ``definition`` a function or class that it needs.
    """

    call: str
    module: str = ""
    definition: str = ""


@dataclass
class Names:
    """Python names, each given once."""

    taken: set[str] = field(default_factory=set)

    def fresh(self, text: str) -> str:
        """``text`` as a name, with a number behind it where it is taken."""
        stem = re.sub(r"\W", "_", text, flags=re.ASCII).strip("_") or "tensor"
        if stem[0].isdigit() or keyword.iskeyword(stem):
            stem = f"_{stem}"
        name, number = stem, 2
        while name in self.taken:
            name, number = f"{stem}_{number}", number + 1
        self.taken.add(name)
        return name


def class_name(text: str) -> str:
    """``text`` as the name of a class: ``resnet-digits`` gives ResnetDigits."""
    parts = re.findall(r"[A-Za-z0-9]+", text)
    name = "".join(part[0].upper() + part[1:] for part in parts) or "Network"
    return f"Net{name}" if name[0].isdigit() or keyword.iskeyword(name) else name


def sites(graph: Graph, losses: bool = True) -> dict[str, Site]:
    """The nodes that an output depends on, or a loss if these are asked for, in order.

    Raises ScriptError where the network is incomplete or wrong.
    """
    try:
        specs = graph.check().specs
    except (GraphError, ShapeError) as error:
        raise ScriptError(f"{error} Then export again.") from error
    if not graph.outputs:
        raise ScriptError(f"{graph.name}: expected an output, received none. Mark one as output.")
    needed: set[str] = set()
    ends = [ref for _, ref in graph.outputs]
    ends += [loss.input for loss in graph.losses if losses]
    for ref in ends:
        needed |= {ref[0], *graph.ancestors(ref[0])}
    ports: dict[str, list[Spec]] = {}
    for (node_id, _), spec in sorted(specs.items()):
        ports.setdefault(node_id, []).append(spec)
    return {
        node.id: Site(
            node,
            tuple(specs[ref] for ref in node.inputs if ref is not None),
            tuple(ports[node.id]),
        )
        for node in graph.order
        if node.id in needed
    }


def variables(graph: Graph, found: Mapping[str, Site], names: Names) -> dict[Ref, str]:
    """The variable that holds each tensor.

    A tensor that only the next line reads is ``x``; one that waits for a later line has the name
    of its node.
    """
    order = list(found)
    place = {node_id: i for i, node_id in enumerate(order)}
    given = {ref for _, ref in graph.outputs} | {loss.input for loss in graph.losses}
    result: dict[Ref, str] = {}
    for entry in graph.inputs:
        result[entry.id, 0] = names.fresh(entry.id)
    through = names.fresh("x")
    for node_id, site in found.items():
        for port in range(len(site.outputs)):
            ref = (node_id, port)
            readers = [who for who, _ in graph.readers.get(ref, ()) if who in place]
            alone = len(site.outputs) == 1
            next_line = [place[node_id] + 1] == [place[who] for who in readers]
            last = not readers and len(given) == 1
            if alone and (last if ref in given else next_line):
                result[ref] = through
            else:
                result[ref] = names.fresh(node_id if port == 0 else f"{node_id}_{port}")
    return result


def heading(graph: Graph, preprocessing: Preprocessing | None, channels_last: bool = False) -> str:
    """The docstring of a script: what goes in, and which classes come out."""

    def size(shape: tuple[int, ...]) -> str:
        turned = (*shape[1:], shape[0]) if channels_last and len(shape) == 3 else shape
        return ", ".join(map(str, turned))

    inputs = ", ".join(f"{i.id} (N, {size(i.shape)})" for i in graph.inputs)
    lines = [f"{graph.name}: made with Gradient Flow Explorer.", "", f"Input: {inputs}."]
    if preprocessing is not None:
        mean, std = list(preprocessing.mean), list(preprocessing.std)
        lines.append(f"Pixels in [0, 1], less {mean}, divided by {std}.")
    if graph.labels:
        lines.append(f"Classes: {', '.join(graph.labels)}.")
    text = "\n".join(part for line in lines for part in (textwrap.wrap(line, 96) if line else [""]))
    return '"""' + text.replace("\\", "\\\\").replace('"""', "'''") + '\n"""'


class Quoted(str):
    """A text that is written in double quotes."""

    def __repr__(self) -> str:
        return json.dumps(str(self))


def plain(value: object) -> str:
    """A hyper-parameter as it is written: a pair of equal numbers as one."""
    if isinstance(value, tuple) and len(set(value)) == 1:
        return repr(value[0])
    return repr(value)


def arguments(*positional: object, **named: tuple[object, object]) -> str:
    """Arguments of a call; ``named`` gives (value, default) and leaves defaults out."""
    parts = [plain(value) for value in positional]
    for name, (value, default) in named.items():
        if plain(value) != plain(default):
            parts.append(f"{name}={plain(value)}")
    return ", ".join(parts)


WIDTH = 100


def wrapped(text: str, indent: int) -> list[str]:
    """A statement on lines of at most ``WIDTH`` characters, broken inside its brackets."""
    before = " " * indent
    if indent + len(text) <= WIDTH or "(" not in text:
        return [before + text]
    start, depth, ends, begun = text.index("("), 0, [], -1
    for i, character in enumerate(text[start:], start):
        depth += (character in "([{") - (character in ")]}")
        if depth == 1 and character == ",":
            ends.append(i)
        if depth == 0:
            begun = i
            break
    inside = [text[a + 1 : b].strip() for a, b in zip([start, *ends], [*ends, begun], strict=True)]
    together = [*filter(None, inside)]
    if indent + 4 + len(", ".join(together)) <= WIDTH and len(together) > 1:
        middle = [f"{before}    {', '.join(together)}"]
    else:
        comma = "," if len(inside) > 1 else ""
        middle = [line for part in together for line in wrapped(part + comma, indent + 4)]
    return [before + text[: start + 1], *middle, *wrapped(text[begun:], indent)]
