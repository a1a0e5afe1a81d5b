"""What a sentence may look at: one step, and the arrays that it read and wrote."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from engine.cell import Cell
from engine.graph import Graph, Node, Ref
from engine.layers.base import Array
from engine.trace import Key, Step, Trace
from explorer.narration.numbers import count_text, strongest, where_text
from explorer.narration.sentence import Link, Parts, fill, link_to, tr
from explorer.tensors.scales import format_number


class Run(NamedTuple):
    """What a sentence may look at: the step, and the arrays that it read and wrote."""

    graph: Graph
    trace: Trace
    step: Step
    labels: Sequence[str]
    assumed: bool

    def array(self, key: Key) -> Array:
        """The array without the batch axis; parameters as they are."""
        array = self.trace.at(key)
        if key.kind in ("value", "grad", "part") and array.ndim:
            return array[0]
        return array

    def inputs(self) -> list[tuple[Ref, Array]]:
        """Tensors that the step read in forward, by reference."""
        return [(k.ref, self.array(k)) for k in self.step.reads if k.kind == "value"]

    def saved(self, node_id: str, name: str) -> Array | None:
        return self.trace.look("saved", (node_id, name), self.step.index + 1)

    def upstream(self) -> tuple[Ref, Array] | None:
        for key in self.step.reads:
            if key.kind == "grad":
                return key.ref, self.array(key)
        return None

    def downstream(self) -> list[tuple[Ref, Array]]:
        """(tensor, gradient) that the step sends to each input that wants one."""
        found = []
        for key in self.step.writes:
            if key.kind == "grad":
                found.append((key.ref, self.array(key)))
            elif key.kind == "part":
                reader, slot = key.ref
                source = self.graph.source_of(reader, slot)
                if source is not None:
                    found.append((source, self.array(key)))
        return found

    def parameter_gradients(self) -> list[tuple[str, Array]]:
        return [
            (key.ref[1], self.array(key))
            for key in self.step.writes
            if key.kind in ("param_grad", "param_part")
        ]

    def class_name(self, index: int) -> str:
        return self.labels[index] if 0 <= index < len(self.labels) else str(index)

    def source_name(self, ref: Ref) -> Link | str:
        if ref[0] in self.graph.input_ids:
            return Link(tr("the picture"), ref[0])
        return link_to(ref[0])


Describe = Callable[[Run, Node], Parts]


def number(ref: Ref, array: Array, index: tuple[int, ...]) -> Link:
    return Link(format_number(float(array[index])), Cell(ref[0], ref[1], index))


def peak(run: Run, array: Array, ref: Ref, template: str, *, signed: bool = False) -> Parts:
    """A clause about the strongest cell; ``template`` has {value} and {where}."""
    index = strongest(array, signed=signed)
    if index is None:
        return fill(tr("; no number of it is finite."))
    wrong = int(array.size - np.isfinite(array).sum())
    if wrong:  # within the sentence, whose full stop may be the template's or come later
        stop = "." if template.endswith(".") else ""
        template = template.removesuffix(".") + tr(" ({wrong} are NaN or infinite)") + stop
    return fill(
        template,
        value=number(ref, array, index),
        where=where_text(index),
        wrong=count_text(wrong),
    )


def out(run: Run) -> tuple[Ref, Array]:
    key = run.step.writes[0]
    return key.ref, run.array(key)
