"""A script and its weights as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from engine.architectures import ARCHITECTURES
from engine.parameters import initial_parameters
from engine.scripts.base import ScriptError
from engine.scripts.files import write_script, write_weights
from engine.scripts.pytorch import state_dict


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    graph = ARCHITECTURES["resnet-digits"].build()
    parameters = initial_parameters(graph, 0)
    arrays = state_dict(graph, parameters)
    path = tmp_path / "net.safetensors"
    write_weights(path, arrays, {"network": "résidu"})
    found = load_file(path)
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    np.testing.assert_array_equal(found["fc.weight"], parameters["fc", "weight"])
    with safe_open(path, "numpy") as file:
        assert file.metadata() == {"network": "résidu"}


def test_a_file_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "net.safetensors"
    with pytest.raises(ScriptError, match=r"missing.*Nothing was changed"):
        write_weights(path, {"a": np.ones(2, "float32")}, {})
    assert not path.parent.exists()


@pytest.mark.parametrize(("form", "name"), [("pytorch", "conv1.weight"), ("keras", "conv1.kernel")])
def test_a_script_lies_beside_its_weights(tmp_path: Path, form: str, name: str) -> None:
    graph = ARCHITECTURES["lenet5"].build()
    out = tmp_path / "net.py"
    assert write_script(out, form, graph, initial_parameters(graph, 0)) == [
        out,
        tmp_path / "net.safetensors",
    ]
    assert '"net.safetensors"' in out.read_text()
    assert name in load_file(tmp_path / "net.safetensors")


def test_nothing_is_written_for_wrong_weights_or_names(tmp_path: Path) -> None:
    graph = ARCHITECTURES["lenet5"].build()
    parameters = initial_parameters(graph, 0)
    with pytest.raises(ScriptError, match="received one for its weights"):
        write_script(tmp_path / "a.safetensors", "pytorch", graph, parameters)
    del parameters["conv1", "weight"]
    with pytest.raises(ScriptError, match=r"conv1.*Then export again"):
        write_script(tmp_path / "a.py", "pytorch", graph, parameters)
    assert not [path for path in tmp_path.iterdir() if path.suffix]
