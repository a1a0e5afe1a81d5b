"""The parameters of a plan: all trained weights in one flat array, running statistics beside it.

Kernels, of shape (O, C, rows, columns), lie there as (rows, columns, C, O): the matrix that windows
of channels-last maps are multiplied with, so that a convolution need not rearrange them.

Arrays that a trace holds are never written again: an update then goes to a new flat array.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from engine.layers.base import Array, ParamSpec
from engine.optimizers import clipped
from engine.parameters import ParameterError, Parameters, check_parameters

if TYPE_CHECKING:
    from engine.optimizers import Optimizer

OwnerName = tuple[str, str]


class Weights:
    """Copies of the parameters, laid out for one-vector updates. Raises ParameterError."""

    def __init__(
        self, specs: Mapping[OwnerName, ParamSpec], parameters: Parameters, dtype: str
    ) -> None:
        check_parameters(specs, parameters)
        self.specs = specs
        self.slices: dict[OwnerName, slice] = {}
        size = 0
        for key, spec in specs.items():
            if spec.kind == "weight":
                self.slices[key] = slice(size, size + spec.size)
                size += spec.size
        self.flat = np.empty(size, dtype)
        for key in self.slices:
            np.copyto(self._part(self.flat, key), parameters[key])
        self.statistics: dict[OwnerName, Array] = {
            key: np.array(parameters[key], dtype)
            for key, spec in specs.items()
            if spec.kind == "statistic"
        }
        self._recorded = False
        self._state: list[Array] = []
        self._state_of: type | None = None
        self.by_owner: dict[str, dict[str, Array]] = {}
        self._refresh()

    def _refresh(self) -> None:
        """Point the dictionaries that layers read at the arrays now in force."""
        for key in self.specs:
            self.by_owner.setdefault(key[0], {})[key[1]] = self[key]

    def __getitem__(self, key: OwnerName) -> Array:
        """The array in force, not a copy."""
        if key in self.slices:
            return self._part(self.flat, key)
        return self.statistics[key]

    def _part(self, flat: Array, key: OwnerName) -> Array:
        """View of a parameter's part of a flat array, in its shape."""
        part, shape = flat[self.slices[key]], self.specs[key].shape
        if len(shape) != 4:
            return part.reshape(shape)
        o, c, rows, columns = shape
        return part.reshape(rows, columns, c, o).transpose(3, 2, 0, 1)

    def copy(self) -> dict[OwnerName, Array]:
        """Copies of all parameters and statistics."""
        return {key: self[key].copy() for key in self.specs}

    def gradient_views(self, flat: Array) -> dict[OwnerName, Array]:
        """The parts of a flat gradient by parameter, in the parameters' shapes."""
        return {key: self._part(flat, key) for key in self.slices}

    @cached_property
    def decays(self) -> Array:
        """1 where weight decay concerns a trained number, 0 at biases and normalisations; flat."""
        found = np.ones_like(self.flat)
        for key, part in self.slices.items():
            if not self.specs[key].decay:
                found[part] = 0
        return found

    def hold(self) -> None:
        """Say that a trace now refers to the flat array, so that it must not change."""
        self._recorded = True

    def move(self, optimizer: Optimizer, gradient: Array, step: int) -> None:
        """Apply one update; ``step`` counts from 1.

        The gradient is shortened to the optimizer's ``clip_norm``, and weight decay leaves biases
        and normalisations alone where the optimizer says so.
        """
        if self._state_of is not type(optimizer):
            self._state = [np.zeros_like(self.flat) for _ in range(optimizer.slots)]
            self._state_of = type(optimizer)
        # a held array stays as it is: the update goes to a new one
        out = np.empty_like(self.flat) if self._recorded else self.flat
        gradient = clipped(gradient, optimizer.clip_norm)
        decays = None if optimizer.decay_biases else self.decays
        optimizer.update(self.flat, gradient, self._state, step, out, decays)
        if out is not self.flat:
            self.flat, self._recorded = out, False
            self._refresh()

    @property
    def optimizer_state(self) -> tuple[Array, ...]:
        """Copies of the optimizer's vectors, each as long as ``flat``; none before an update."""
        return tuple(array.copy() for array in self._state)

    def set_optimizer_state(self, optimizer: Optimizer, state: Sequence[Array]) -> None:
        """Let ``optimizer`` go on from these vectors; raises ParameterError for other lengths."""
        if state and [a.shape for a in state] != [self.flat.shape] * optimizer.slots:
            raise ParameterError(
                f"{optimizer.title}: expected {optimizer.slots} vectors of {self.flat.size} "
                f"numbers, received shapes {', '.join(str(a.shape) for a in state)}."
            )
        self._state = [np.array(array, self.flat.dtype) for array in state]
        self._state_of = type(optimizer) if state else None

    def set_statistics(self, new: Mapping[OwnerName, Array]) -> None:
        """Put new running statistics into force (the old arrays stay as they are)."""
        for key, array in new.items():
            self.statistics[key] = array
            self.by_owner[key[0]][key[1]] = array
