"""A node of a file as the rules see it that turn it into layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
import onnx
from onnx import helper

from engine.layers.base import Array, Layer
from engine.layers.constant import Constant
from engine.layers.view import View
from engine.onnx.folding import Known
from engine.onnx.values import (
    FREE,
    Missing,
    MixesSamplesError,
    Tensor,
    UnsupportedError,
    Value,
    ValueNeededError,
)

if TYPE_CHECKING:
    from engine.onnx.importer import Importer

__all__ = [
    "FREE",
    "IMPORTS",
    "PARTIAL",
    "Known",
    "MixesSamplesError",
    "Rule",
    "Site",
    "Tensor",
    "UnsupportedError",
    "Value",
    "imports",
]

Rule: TypeAlias = Callable[["Site"], Sequence[Value]]
IMPORTS: dict[str, Rule] = {}
"""By operator, what turns it into layers."""
PARTIAL = frozenset({"ScatterElements"})
"""Operators that are opened in the form of one layer only, and else count as unknown."""
_R = TypeVar("_R", bound=Rule)


def imports(*operators: str) -> Callable[[_R], _R]:
    """Enter a rule under the operators that it reads."""

    def enter(rule: _R) -> _R:
        for operator in operators:
            IMPORTS[operator] = rule
        return rule

    return enter


@dataclass
class Site:
    """A node that a rule turns into layers."""

    importer: Importer
    proto: onnx.NodeProto
    inputs: Sequence[Value | None]
    label: str
    """What its layers are named after."""
    name: str = ""
    """Its name in the file."""
    _attributes: dict[str, Any] | None = None
    _used: bool = False

    @property
    def opset(self) -> int:
        return self.importer.file.opset

    @property
    def op(self) -> str:
        return self.proto.op_type

    @property
    def outputs(self) -> int:
        """How many outputs somebody asks for."""
        return len(self.proto.output)

    def wants(self, port: int) -> bool:
        """Whether the output has a name."""
        return port < len(self.proto.output) and bool(self.proto.output[port])

    def attribute(self, name: str, default: Any = None) -> Any:
        """The value of an attribute (text as str)."""
        if self._attributes is None:
            self._attributes = {}
            for a in self.proto.attribute:
                value = helper.get_attribute_value(a)
                self._attributes[a.name] = (
                    value.decode("utf-8", "replace") if isinstance(value, bytes) else value
                )
        return self._attributes.get(name, default)

    def replace(self, **attributes: Any) -> None:
        """Let attributes have other values from now on."""
        self.attribute("")
        assert self._attributes is not None
        self._attributes.update(attributes)

    def has(self, slot: int) -> bool:
        """Whether an input is there."""
        return slot < len(self.inputs) and self.inputs[slot] is not None

    def value(self, slot: int) -> Value:
        """An input; raises UnsupportedError where it is left out."""
        found = self.inputs[slot] if slot < len(self.inputs) else None
        if found is None:
            raise UnsupportedError(f"its input {slot + 1} is left out")
        return found

    def known(self, slot: int) -> Known:
        """An input that has to be known; raises ValueNeededError or UnsupportedError."""
        value = self.value(slot)
        if isinstance(value, Known):
            return value
        if isinstance(value, Tensor):
            name = self.importer.source(value.ref[0])
            if name is not None:
                raise ValueNeededError(name, f"{self.op} ({self.label})")
        raise UnsupportedError(f"its input {slot + 1} is computed by the network")

    def array(self, slot: int) -> Array:
        """The numbers of an input that is known and does not depend on the batch."""
        value = self.known(slot)
        if not value.fixed:
            raise MixesSamplesError
        return value.first

    def integers(self, slot: int) -> tuple[int, ...]:
        return tuple(int(n) for n in self.array(slot).ravel())

    def number(self, slot: int, default: float) -> float:
        """A single number, or the default where it is left out."""
        if not self.has(slot):
            return default
        array = self.array(slot)
        if array.size != 1:
            raise UnsupportedError(f"its input {slot + 1} is not one number")
        return float(array.ravel()[0])

    def weights(self, slot: int) -> tuple[Array, str]:
        """An input as float32 numbers, with its name in the file."""
        value = self.known(slot)
        return self.floats(self.array(slot)), value.name

    def floats(self, array: Array) -> Array:
        if array.dtype == np.float32:
            return array
        if array.dtype == np.float64:
            self.importer.note("Weights of 64 bits are computed in float32.")
        with np.errstate(over="ignore"):
            return array.astype(np.float32)

    def ints_or_attribute(self, slot: int, name: str, default: Any = None) -> Any:
        """Whole numbers that older opsets have as an attribute and newer ones as an input."""
        if self.has(slot):
            return self.integers(slot)
        return self.attribute(name, default)

    # ---- tensors ---------------------------------------------------------------------------

    def tensor(self, value: Value | int, shown: bool = False) -> Tensor:
        """An input as a tensor of the network; a known one becomes a Constant layer.

        ``shown``: a known one of a single row is what each sample has, also where the network is
        for one sample at a time.
        """
        if isinstance(value, int):
            value = self.value(value)
        if isinstance(value, Tensor):
            return value
        if isinstance(value, Missing):
            raise UnsupportedError("what it needs is not known")
        anchor = self.importer.anchor()
        if value.fixed and self.importer.batches == FREE:
            array = value.first
            if array.ndim and array.shape[0] == 1:
                array = array[0]  # serves all samples
            else:
                raise MixesSamplesError
            hidden = False
        elif value.fixed:
            array, hidden = value.first, True
            if shown and array.ndim and array.shape[0] == 1:
                array, hidden = array[0], False
        else:
            array, hidden = self._rows(value), False
        constant = self.floats(array)
        shape = tuple(constant.shape) or (1,)
        (found,) = self.importer.add(
            Constant(shape),
            [anchor],
            self.new_id("constant"),
            {"weight": constant.reshape(shape)},
            (value.name,) if value.name else (),
        )
        made = Tensor(found.ref, found.first, found.second, hidden)
        if constant.ndim == 0:
            made = self.view(made, ())
        return made

    def _rows(self, value: Known) -> Array:
        """What each sample has of a value with one equal row per sample."""
        a, b = value.first, value.second
        p, q = self.importer.batches
        if not (a.ndim == b.ndim > 0 and (len(a), len(b)) == (p, q)) or a.shape[1:] != b.shape[1:]:
            raise MixesSamplesError
        if not all(np.array_equal(a[0], row) for row in (*a, *b)):
            raise MixesSamplesError
        return np.asarray(a[0])

    def maps(self, slot: int) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """An input as maps (N, C, H, W), and what brings a result back to the file's rank."""
        tensor = self.importer.show(self.tensor(slot))
        rank = len(tensor.first)
        if rank == 4:
            return tensor, lambda t: t
        if rank == 3:
            channels, length = tensor.sample
            made = self.view(tensor, (channels, 1, length))
            return made, lambda t: self.view(t, (t.sample[0], t.sample[2]))
        raise UnsupportedError(f"tensors with {rank} axes are not maps")

    def axes(self, tensor: Tensor, axes: Sequence[int]) -> tuple[Tensor, tuple[int, ...]]:
        """The network's axes for axes of the file; the tensor is hidden where samples take part."""
        rank = tensor.rank
        found = []
        for axis in axes:
            if not -rank <= axis < rank:
                raise UnsupportedError(f"axis {axis} does not exist in a tensor of {rank} axes")
            found.append(axis % rank)
        if not tensor.hidden and 0 in found:
            tensor = self.importer.hide(tensor)
        shift = int(tensor.hidden)
        return tensor, tuple(axis + shift for axis in found)

    # ---- layers ----------------------------------------------------------------------------

    def new_id(self, role: str = "") -> str:
        """The node's own id; with a role, that of a layer beside it."""
        text = f"{self.label}_{role}" if role else self.label
        stem = f"{self.op.lower()}_{role}" if role else self.op.lower()
        return self.importer.fresh_id(text, stem)

    def layers(
        self,
        layer: Layer,
        *inputs: Tensor,
        role: str = "",
        params: Mapping[str, Array] | None = None,
        key: tuple[str, ...] = (),
        hidden: bool | None = None,
    ) -> tuple[Tensor, ...]:
        """Add a layer; returns its outputs."""
        node_id = self.new_id(role)
        found = self.importer.add(layer, inputs, node_id, params, key)
        if not role:
            self.importer.names[node_id] = self.name
        if hidden is None:
            return found
        return tuple(Tensor(t.ref, t.first, t.second, hidden) for t in found)

    def local(self, tensor: Tensor, area: int) -> Tensor:
        """Places counted in each map of ``area`` cells."""
        self.importer._areas[tensor.ref] = area
        return Tensor(tensor.ref, tensor.first, tensor.second, tensor.hidden, True, True)

    def layer(self, layer: Layer, *inputs: Tensor, **options: Any) -> Tensor:
        """Add a layer of one output."""
        return self.layers(layer, *inputs, **options)[0]

    def view(self, tensor: Tensor, sample: tuple[int, ...], hidden: bool | None = None) -> Tensor:
        """The tensor with another shape of a sample."""
        hidden = tensor.hidden if hidden is None else hidden
        if tensor.sample == sample and tensor.hidden == hidden:
            return tensor
        if tensor.sample == sample:
            return Tensor(tensor.ref, tensor.first, tensor.second, hidden, tensor.whole)
        return self.layer(View(sample), tensor, role="view", hidden=hidden)
