"""Parameters: arrays by (owner id, name). No layer owns an array."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from engine.layers.base import Array, ParamSpec

if TYPE_CHECKING:
    from engine.graph import Graph

Parameters = Mapping[tuple[str, str], Array]


class ParameterError(ValueError):
    """Parameters do not fit their network; names the parameter, expected and received."""


def initial_parameters(
    graph: Graph, seed: int, dtype: str = "float32", keep: Parameters | None = None
) -> dict[tuple[str, str], Array]:
    """Starting values of every parameter, the same for the same seed, owner and name.

    A parameter of ``keep`` whose shape still fits is taken over (as it is, not copied).
    """
    specs = graph.parameter_specs(graph.infer().specs)
    found = {}
    for key, spec in specs.items():
        old = keep.get(key) if keep else None
        if old is not None and old.shape == spec.shape:
            found[key] = old if old.dtype == np.dtype(dtype) else old.astype(dtype)
            continue
        name = zlib.crc32("/".join(key).encode())
        found[key] = spec.initial(np.random.default_rng([seed, name]), dtype)
    return found


def check_parameters(specs: Mapping[tuple[str, str], ParamSpec], parameters: Parameters) -> None:
    """Raise ParameterError unless there is an array of the right shape and finite type for each."""
    for key, spec in specs.items():
        where = f"{key[1]} of {key[0]}"
        if key not in parameters:
            raise ParameterError(
                f"{where}: expected an array of shape {spec.shape}, received none. "
                "Load weights that belong to this network."
            )
        array = parameters[key]
        if array.shape != spec.shape:
            raise ParameterError(
                f"{where}: expected shape {spec.shape}, received {array.shape}. "
                "Load weights that belong to this network."
            )
        if array.dtype.kind != "f":
            raise ParameterError(
                f"{where}: expected real numbers (float32 or float64), received {array.dtype}."
            )
