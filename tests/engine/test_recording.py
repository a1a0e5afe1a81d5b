"""A run saved with its network reopens as it was; what is damaged or does not fit is refused."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from engine import recording
from engine.cell import Cell
from engine.cli.common import open_network
from engine.explain import origin
from engine.optimizers import SGD
from engine.plan import Batch, compile, exhaust
from engine.recording import Recording
from engine.trace import Trace, TraceError


def recorded() -> Recording:
    project = open_network("lenet5")
    x = np.random.default_rng(0).random((1, *project.graph.inputs[0].shape), np.float32)
    trace = Trace()
    plan = compile(project.graph, project.parameters, batch=1, mode="eval")
    batch = Batch.of(project.graph, x, np.array([3]))
    exhaust(plan.run(batch, optimizer=SGD(lr=0.5), trace=trace))
    return Recording(project, trace, 3, origin="random numbers")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "run.gftrace"
    recording.save(recorded(), path)
    return path


def test_all_of_it_comes_back_without_a_project_file(path: Path) -> None:
    before, after = recorded(), recording.load(path)
    assert after.project.graph == before.project.graph
    assert after.project.layout == before.project.layout
    assert (after.target, after.assumed_target, after.origin) == (3, False, "random numbers")
    assert after.trace.steps == before.trace.steps
    for key in tuple(before.trace.keys()):
        assert np.array_equal(after.trace.at(key), before.trace.at(key))
    assert after.x is not None and np.array_equal(after.x, before.x)
    assert after.parameters.keys() == before.project.parameters.keys()
    for name, array in before.project.parameters.items():  # those before the update
        assert np.array_equal(after.parameters[name], array)


def test_numbers_are_explained_from_the_file_alone(path: Path) -> None:
    after = recording.load(path)
    graph, trace = after.project.graph, after.trace
    found = origin(graph, trace, len(trace), Cell("conv1", 0, (2, 5, 7)), "gradient")
    assert found is not None and len(found) > 0
    assert abs(found.difference or 0.0) <= 2e-6 * float(np.abs(found.products).sum() + 1)


def test_nothing_in_it_is_code(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        assert {n.rsplit(".", 1)[-1] for n in names} == {"json", "gflow", "npy"}
        for name in names:
            if name.endswith(".npy"):
                with archive.open(name) as file:
                    np.lib.format.read_array(file, allow_pickle=False)


def rewritten(path: Path, changes: dict[str, bytes | None]) -> Path:
    other = path.with_name("other.gftrace")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(other, "w") as new:
        for name in old.namelist():
            content = changes.get(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
    return other


@pytest.mark.parametrize("name", ["network.gflow", "recording.json", "trace.json", "5.npy"])
@pytest.mark.parametrize("content", [None, b"", b"{}", b"\x93NUMPY nonsense"])
def test_what_is_missing_or_damaged_is_refused(
    path: Path, name: str, content: bytes | None
) -> None:
    with pytest.raises(TraceError, match=r"other\.gftrace: expected"):
        recording.load(rewritten(path, {name: content}))


def test_another_networks_run_is_refused(tmp_path: Path) -> None:
    wrong = Recording(open_network("resnet-digits"), recorded().trace, 3)
    recording.save(wrong, tmp_path / "wrong.gftrace")
    with pytest.raises(TraceError, match="expected steps of the layers of its network"):
        recording.load(tmp_path / "wrong.gftrace")


def test_arrays_of_other_sizes_are_refused(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        keys = json.loads(archive.read("trace.json"))["keys"]
        number = next(i for i, k in enumerate(keys) if k[:2] == ["value", "conv1"])
    with pytest.raises(TraceError, match="value conv1: expected an array of the network"):
        recording.load(rewritten(path, {f"{number}.npy": _npy(np.zeros((1, 2, 3)))}))


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def test_a_target_that_is_no_class_is_refused(path: Path) -> None:
    text = json.dumps({"target": "seven", "assumed_target": False, "origin": ""}).encode()
    with pytest.raises(TraceError, match="target: expected a class or null, received 'seven'"):
        recording.load(rewritten(path, {"recording.json": text}))


def test_a_file_that_cannot_be_written_leaves_nothing_behind(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(OSError):
        recording.save(recorded(), path / "run.gftrace")
    assert path.read_bytes() == before
    assert not list(path.parent.glob(".*"))
