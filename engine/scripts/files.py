"""Writes a script, and its weights beside it as safetensors, which hold no code to run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from engine.atomic_file import reason, replacing
from engine.data.preprocessing import Preprocessing
from engine.graph import Graph
from engine.layers.base import Array
from engine.parameters import ParameterError, Parameters, check_parameters
from engine.scripts.base import ScriptError
from engine.scripts.keras import keras_script, keras_weights
from engine.scripts.pytorch import pytorch_script, state_dict

FORMS = {"pytorch": (pytorch_script, state_dict), "keras": (keras_script, keras_weights)}
"""For each framework what writes the script, and what names the weights for it."""


def write_script(
    path: str | os.PathLike[str],
    form: str,
    graph: Graph,
    parameters: Parameters,
    preprocessing: Preprocessing | None = None,
    metadata: Mapping[str, str] | None = None,
) -> list[Path]:
    """Write the script of ``form`` (see ``FORMS``) and its weights; returns both paths.

    The weights lie beside the script under its name with the suffix ``.safetensors``; they are
    written first, so that a script always has some.
    Raises ScriptError: see ``FORMS``, weights that do not fit, or a file that cannot be written.
    """
    path = Path(path)
    weights = path.with_suffix(".safetensors")
    if weights == path:
        raise ScriptError(f"{path}: expected a name for the script, received one for its weights.")
    script, names = FORMS[form]
    text = script(graph, weights=weights.name, preprocessing=preprocessing)
    try:
        check_parameters(graph.parameter_specs(graph.check().specs), parameters)
    except ParameterError as error:
        raise ScriptError(f"{error} Then export again.") from error
    write_weights(weights, names(graph, parameters), metadata or {})
    try:
        with replacing(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise ScriptError(f"{path}: {reason(error, path)} Nothing was changed.") from error
    return [path, weights]


def write_weights(
    path: str | os.PathLike[str], arrays: Mapping[str, Array], metadata: Mapping[str, str]
) -> None:
    """Write arrays by name to ``path``; an old file is untouched when that fails.

    Raises ScriptError: a file that cannot be written.
    """
    from safetensors.numpy import save

    try:
        with replacing(path) as file:
            file.write(save(dict(arrays), dict(metadata)))
    except OSError as error:
        raise ScriptError(f"{path}: {reason(error, path)} Nothing was changed.") from error
