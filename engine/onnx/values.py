"""What a tensor of a file is while it is opened: known, made by the network, or missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from engine.graph import Ref
from engine.onnx.folding import Known
from engine.onnx.model_file import OnnxError

FREE = (2, 3)
"""The two batch sizes of shape arithmetic where the number of samples stays free."""
ONE = (1, 1)


class MixesSamplesError(Exception):
    """An operator mixes the samples of a batch."""


class UnsupportedError(Exception):
    """An operator has a form that no layer has; says which."""


class ValueNeededError(OnnxError):
    """An input of the file is what a layer has as a parameter or setting; ``name`` is its name."""

    def __init__(self, name: str, where: str) -> None:
        self.name = name
        super().__init__(
            f"Input {name}: expected its values when the file is opened, because {where} takes "
            "them as its weights or settings. Give them, or export the model with them inside."
        )


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor of the network, with its shape (samples first) for the two batch sizes."""

    ref: Ref
    first: tuple[int, ...]
    second: tuple[int, ...]
    hidden: bool = False
    whole: bool = False
    """Whether its type in the file is one of whole numbers."""
    local: bool = False
    """Whether it holds places counted in each map, where the file counts through the batch."""

    @property
    def sample(self) -> tuple[int, ...]:
        """The shape of a sample."""
        return self.first[1:]

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The shape in the file, for the two batch sizes."""
        return (self.first[1:], self.second[1:]) if self.hidden else (self.first, self.second)

    @property
    def rank(self) -> int:
        """The number of axes in the file."""
        return len(self.first) - self.hidden


@dataclass(frozen=True, eq=False)
class Missing:
    """An output of an operator that does not run, whose shape nobody knows."""

    ref: Ref


Value: TypeAlias = Known | Tensor | Missing


@dataclass(frozen=True)
class Problem:
    """A node that could not become a layer: its id, operator, and why.

    ``missing``: the program lacks the operator or this form of it; else it only comes after one.
    """

    node: str
    operator: str
    reason: str
    missing: bool


class SizesNeededError(OnnxError):
    """Inputs have sizes that the file leaves open; ``wanted`` maps names to (size or None, …)."""

    def __init__(self, where: str, wanted: Mapping[str, tuple[int | None, ...] | None]) -> None:
        self.wanted = dict(wanted)
        some = "; ".join(f"{name}: {spelled(dims)}" for name, dims in wanted.items())
        super().__init__(
            f"{where}: the file leaves sizes of its inputs open ({some}). Say which to use, for "
            "example 3×224×224."
        )


def spelled(dims: tuple[int | None, ...] | None) -> str:
    if dims is None:
        return "any shape"
    return "×".join("?" if d is None else str(d) for d in dims) or "a single number"
