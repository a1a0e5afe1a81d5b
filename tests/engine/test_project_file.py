"""The project file: nothing is lost on the way out or in, and no damaged file does harm."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import project_file
from engine.data.preprocessing import Preprocessing
from engine.graph import Graph, Input, Loss, Node
from engine.layers import (
    REGISTRY,
    Add,
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Linear,
    MaxPool2d,
    ReLU,
    Softmax,
)
from engine.losses import CrossEntropy
from engine.parameters import initial_parameters
from engine.project_file import Project, ProjectError, load, load_bytes, save

FIXTURE = Path(__file__).parent / "fixtures" / "version-1.gflow"


def network() -> Graph:
    """A residual network with shared weights, a side output and two losses; it is complete."""
    return Graph(
        inputs=(Input("image", (1, 8, 8)),),
        nodes=(
            Node("stem/conv", Conv2d(4, 3, padding=(1, 1, 1, 1), bias=False), (("image", 0),)),
            Node("stem/bn", BatchNorm2d(eps=1e-3), (("stem/conv", 0),)),
            Node("stem/relu", ReLU(), (("stem/bn", 0),)),
            Node("block/conv1", Conv2d(4, (3, 3), (1, 1), 1), (("stem/relu", 0),)),
            Node("block/conv2", Conv2d(4, 3, 1, 1), (("block/conv1", 0),), "block/conv1"),
            Node("block/add", Add(), (("stem/relu", 0), ("block/conv2", 0))),
            Node("pool", MaxPool2d(2, 2), (("block/add", 0),)),
            Node("mean", AvgPool2d(2, 2, count_include_pad=True), (("pool", 0),)),
            Node("flatten", Flatten(), (("mean", 0),)),
            Node("drop", Dropout(0.25), (("flatten", 0),)),
            Node("fc", Linear(3), (("drop", 0),)),
            Node("share", Softmax(), (("fc", 0),)),
            Node("gap", GlobalAvgPool(), (("pool", 0),)),
            Node("flat", Flatten(), (("gap", 0),)),
        ),
        outputs=(("logits", ("fc", 0)), ("shares", ("share", 0))),
        losses=(
            Loss("loss", CrossEntropy(), ("fc", 0)),
            Loss("side", CrossEntropy(), ("flat", 0), 0.3),
        ),
        name="Prüfnetz №1",
        labels=("null", "eins", "zwei"),
    )


def project(graph: Graph | None = None) -> Project:
    """A project in which no two numbers of a parameter are equal."""
    graph = graph or network()
    specs = graph.parameter_specs(graph.infer().specs)
    return Project(
        graph,
        {
            key: (np.arange(spec.size, dtype="float32").reshape(spec.shape) + i) / 64
            for i, (key, spec) in enumerate(specs.items())
        },
        {"stem/conv": (10.5, -20.0), "image": (0, 0), "loss": (1e4, 3.25)},
        Preprocessing((8, 8), 1, (0.3,), (0.4,), invert=True, fit="pad"),
        {"training": {"rate": 0.01, "batch": 32, "seed": None}, "collapsed": ["block", "stem"]},
        {"title": "A “test”", "accuracy": 0.987, "credit": "nobody", "program": "0.1.0"},
    )


def save_bytes(project: Project) -> bytes:
    """What ``save`` writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "project.gflow"
        save(project, path)
        return path.read_bytes()


def rewritten(
    change: Callable[[dict[str, Any]], object] = lambda data: None,
    parts: Callable[[dict[str, bytes]], object] = lambda parts: None,
    compression: int = zipfile.ZIP_STORED,
) -> bytes:
    """The bytes of ``project()`` with its description, and then its parts, changed."""
    with zipfile.ZipFile(io.BytesIO(save_bytes(project()))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    data = json.loads(members["project.json"])
    change(data)
    members["project.json"] = json.dumps(data).encode()
    parts(members)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def weight_file(data: dict[str, bytes]) -> str:
    return next(name for name in data if name.endswith("fc.weight.npy"))


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


# ---- there and back --------------------------------------------------------------------------


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "Übung 1.gflow"
    before = project()
    save(before, path)
    after = load(path)
    assert after.graph == before.graph
    assert after.parameters.keys() == before.parameters.keys()
    for key, array in before.parameters.items():
        assert after.parameters[key].dtype == array.dtype
        assert np.array_equal(after.parameters[key], array)
    assert after.layout == before.layout
    assert after.preprocessing == before.preprocessing
    assert after.settings == before.settings
    assert after.metadata == before.metadata
    assert after.warnings == ()
    assert after == before
    assert set(os.listdir(tmp_path)) == {"Übung 1.gflow", "home"}


@pytest.mark.parametrize(
    "change",
    [
        {"graph": replace(network(), name="other")},
        {"parameters": {k: a + 1 for k, a in project().parameters.items()}},
        {"parameters": {k: a.astype("float64") for k, a in project().parameters.items()}},
        {"parameters": {}},
        {"layout": {}},
        {"preprocessing": None},
        {"settings": {"training": {}}},
        {"metadata": {"title": "other"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_projects_that_differ_are_not_equal(change: dict[str, Any]) -> None:
    assert replace(project(), **change) != project()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4"])
def test_the_dtype_of_weights_is_kept(dtype: str) -> None:
    before = project()
    before = replace(before, parameters={k: a.astype(dtype) for k, a in before.parameters.items()})
    after = load_bytes(save_bytes(before))
    for key, array in before.parameters.items():
        assert after.parameters[key].dtype == np.dtype(dtype).newbyteorder("=")
        assert np.array_equal(after.parameters[key], array)


def test_weights_need_not_be_contiguous() -> None:
    before = project()
    turned = {
        k: np.asfortranarray(a) if a.ndim > 1 else np.repeat(a, 2)[::2]
        for k, a in before.parameters.items()
    }
    assert load_bytes(save_bytes(replace(before, parameters=turned))) == before


def test_equal_projects_give_equal_bytes() -> None:
    a = project()
    b = replace(
        a,
        parameters=dict(reversed(a.parameters.items())),
        layout=dict(reversed(a.layout.items())),
        settings=dict(reversed(a.settings.items())),
    )
    assert save_bytes(a) == save_bytes(b) == save_bytes(load_bytes(save_bytes(a)))


def test_settings_become_plain_data() -> None:
    given = {"range": (1, 2), "rate": np.float32(0.5), "count": np.int64(3), "loss": float("nan")}
    before = replace(project(), settings=given)
    assert before.settings["range"] == [1, 2]
    assert type(before.settings["rate"]) is float and type(before.settings["count"]) is int
    after = load_bytes(save_bytes(before))
    assert after == before and np.isnan(after.settings["loss"])
    given["range"] = (9, 9)
    assert before.settings["range"] == [1, 2]


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"a": [{"b": {1}}]}, r"settings\.a\[0\]\.b.*set"), ({1: 2}, "settings: expected text.*1")],
)
def test_settings_that_are_not_plain_are_refused(settings: Any, named: str) -> None:
    with pytest.raises(ProjectError, match=named):
        replace(project(), settings=settings)


def test_a_position_must_be_finite() -> None:
    with pytest.raises(ProjectError, match="Position of fc"):
        replace(project(), layout={"fc": (float("nan"), 0)})


def test_every_layer_with_its_hyperparameters_comes_back() -> None:
    nodes = tuple(
        Node(f"{cls.slug}{i}", cls(), ()) for i, (_, cls) in enumerate(sorted(REGISTRY.items()))
    )
    before = Project(Graph(nodes=nodes))
    assert len(nodes) >= 12
    assert load_bytes(save_bytes(before)) == before


def test_the_shipped_fixture_of_version_1_loads_as_it_was_saved() -> None:
    assert load(FIXTURE) == project()
    assert load_bytes(FIXTURE.read_bytes()).warnings == ()
    # A change of the format must raise VERSION and add a migration, not change version 1.
    assert save_bytes(project()) == FIXTURE.read_bytes()


def test_nothing_in_the_file_can_be_executed() -> None:
    with zipfile.ZipFile(FIXTURE) as archive:
        names = archive.namelist()
        assert names[0] == "project.json" and len(names) == 1 + len(project().parameters)
        for name in names[1:]:
            array = np.load(io.BytesIO(archive.read(name)), allow_pickle=False)
            assert array.dtype == np.float32
        assert all(not name.startswith("/") and ".." not in name for name in names)


# ---- work in progress ------------------------------------------------------------------------


def unfinished() -> dict[str, Graph]:
    whole = network()
    shared = replace(
        whole,
        nodes=(*whole.nodes, Node("twin", Conv2d(7, 1), (("image", 0),), "block/conv1")),
    )
    return {
        "empty": Graph(),
        "open input": whole.disconnect("block/conv1", 0),
        "add with one input": whole.disconnect("block/add", 1),
        "shape error": whole.replace_node("flatten", layer=MaxPool2d(9, 9)),
        "linear on maps": whole.connect(("pool", 0), "fc", 0),
        "loss of nothing": replace(whole, losses=(Loss("loss", CrossEntropy(), ("", 0)),)),
        "missing source": whole.replace_node("fc", inputs=(("gone", 0),)),
        "missing port": whole.replace_node("fc", inputs=(("flatten", 3),)),
        "removed": whole.remove(["stem/relu", "fc"]),
        "shared by two shapes": shared,
        "owner removed": whole.remove(["block/conv1"]),
    }


@pytest.mark.parametrize("name", unfinished())
def test_work_in_progress_is_kept_with_the_weights_that_it_has(name: str) -> None:
    before = replace(project(), graph=unfinished()[name])
    if name == "shared by two shapes":
        parameters = dict(before.parameters)
        del parameters["stem/bn", "bias"]
        with pytest.raises(ProjectError, match="bias of stem/bn"):
            save_bytes(replace(before, parameters=parameters))
    try:
        required = before.graph.parameter_specs(before.graph.infer().specs)
    except ValueError:
        required = {}
    fits = {
        k: a
        for k, a in before.parameters.items()
        if k not in required or a.shape == required[k].shape
    }
    before = replace(before, parameters={**initial_or_none(before.graph), **fits})
    after = load_bytes(save_bytes(before))
    assert after == before
    assert after.graph.infer().errors.keys() == before.graph.infer().errors.keys()


def initial_or_none(graph: Graph) -> dict[tuple[str, str], Any]:
    try:
        return initial_parameters(graph, 0)
    except ValueError:
        return {}


def test_weights_without_a_layer_load_and_are_named() -> None:
    before = project()
    before = replace(
        before, parameters={**before.parameters, ("old", "weight"): np.ones((2, 3), "float32")}
    )
    after = load_bytes(save_bytes(before))
    assert after == before
    assert len(after.warnings) == 1 and "old" in after.warnings[0]


def test_weights_that_are_not_finite_load_and_are_named() -> None:
    before = project()
    bad = before.parameters["fc", "weight"].copy()
    bad[0, 0], bad[1, 2] = np.nan, np.inf
    before = replace(before, parameters={**before.parameters, ("fc", "weight"): bad})
    after = load_bytes(save_bytes(before))
    assert after == before
    assert len(after.warnings) == 1
    assert "weight of fc: 2 of 48 numbers are not finite" in after.warnings[0]


# ---- what save refuses -----------------------------------------------------------------------


def test_save_refuses_parameters_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "p.gflow"
    save(project(), path)
    old = path.read_bytes()
    parameters = dict(project().parameters)
    parameters["fc", "weight"] = np.zeros((3, 5), "float32")
    with pytest.raises(ProjectError, match=r"weight of fc: expected shape \(3, 16\).*\(3, 5\)"):
        save(replace(project(), parameters=parameters), path)
    parameters["fc", "weight"] = np.zeros((3, 16), object)
    with pytest.raises(ProjectError, match=r"weight of fc: expected float16.*received object"):
        save(replace(project(), parameters=parameters), path)
    del parameters["fc", "weight"]
    with pytest.raises(ProjectError, match=r"weight of fc: expected an array of shape \(3, 16\)"):
        save(replace(project(), parameters=parameters), path)
    assert path.read_bytes() == old


def test_save_refuses_a_graph_with_a_cycle(tmp_path: Path) -> None:
    graph = Graph(nodes=(Node("a", ReLU(), (("b", 0),)), Node("b", ReLU(), (("a", 0),))))
    with pytest.raises(ProjectError, match="without a circle.* a "):
        save(Project(graph), tmp_path / "p.gflow")


def test_save_names_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"expected the folder .*nowhere, received none"):
        save(project(), tmp_path / "nowhere" / "p.gflow")


def test_save_names_a_path_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(ProjectError, match=r"expected the folder .*file, received none"):
        save(project(), tmp_path / "file" / "p.gflow")


def test_save_names_a_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "p.gflow").mkdir()
    with pytest.raises(ProjectError, match="received a folder of that name"):
        save(project(), tmp_path / "p.gflow")


def test_save_names_a_name_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="shorter name"):
        save(project(), tmp_path / ("x" * 300 + ".gflow"))
    assert [p.name for p in tmp_path.iterdir()] == ["home"]


@pytest.mark.parametrize(
    ("call", "code", "said"),
    [
        ("open", errno.EACCES, "permission"),
        ("open", errno.EROFS, "permission"),
        ("fsync", errno.ENOSPC, "room on the disk"),
        ("fsync", errno.EIO, "Input/output error"),
        ("replace", errno.EACCES, "permission"),
    ],
)
def test_a_failed_save_leaves_the_old_file_and_no_other(
    call: str, code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    path = folder / "p.gflow"
    path.write_bytes(b"old work")

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(ProjectError, match=said) as caught:
            save(project(), path)
    assert str(path) in str(caught.value) and "Nothing was changed" in str(caught.value)
    assert path.read_bytes() == b"old work"
    assert [p.name for p in folder.iterdir()] == ["p.gflow"]


def test_a_disk_that_fills_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    path = folder / "p.gflow"
    path.write_bytes(b"old work")
    resource = pytest.importorskip("resource")
    large = Project(Graph(), {("a", "w"): np.zeros(1 << 18, "float32")})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
    try:
        with pytest.raises(ProjectError, match="room on the disk"):
            save(large, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert path.read_bytes() == b"old work"
    assert [p.name for p in folder.iterdir()] == ["p.gflow"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_program_killed_before_the_rename_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "p.gflow"
    save(project(), path)
    program = (
        "import os, signal, sys\n"
        "from engine.project_file import load, save\n"
        "from dataclasses import replace\n"
        "os.replace = lambda *a: os.kill(os.getpid(), signal.SIGKILL)\n"
        "save(replace(load(sys.argv[1]), settings={'new': 1}), sys.argv[1])\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert load(path) == project()
    assert len(list(tmp_path.glob(".*.part"))) == 1  # it had been written


def test_an_interrupted_save_removes_its_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save(project(), tmp_path / "p.gflow")
    assert [p.name for p in tmp_path.iterdir()] == ["home"]


def test_a_link_stays_a_link_and_the_mode_stays(tmp_path: Path) -> None:
    real = tmp_path / "real.gflow"
    link = tmp_path / "link.gflow"
    real.write_bytes(b"old")
    real.chmod(0o640)
    link.symlink_to(real)
    save(project(), link)
    assert link.is_symlink() and load(real) == project()
    assert real.stat().st_mode & 0o777 == 0o640


def test_a_new_file_gets_the_mode_that_the_user_gives_new_files(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    save(project(), tmp_path / "p.gflow")
    assert (tmp_path / "p.gflow").stat().st_mode == (tmp_path / "other").stat().st_mode


# ---- what load refuses -----------------------------------------------------------------------


def test_a_file_cut_anywhere_is_refused() -> None:
    data = FIXTURE.read_bytes()
    for length in [*range(0, 64), *range(64, len(data), 97), *range(len(data) - 64, len(data))]:
        with pytest.raises(ProjectError, match="cut: "):
            load_bytes(data[:length], "cut")


def test_a_flipped_bit_is_refused_or_changes_nothing() -> None:
    data = FIXTURE.read_bytes()
    good = project()
    rng = np.random.default_rng(3)
    refused = 0
    places = rng.integers(0, len(data), 700)
    for place in (*places.tolist(), *range(len(data) - 60, len(data))):
        damaged = bytearray(data)
        damaged[place] ^= 1 << int(rng.integers(8))
        try:
            assert load_bytes(bytes(damaged), "flipped") == good
        except ProjectError as error:
            refused += 1
            assert str(error).startswith("flipped: ")
    assert refused > 500


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "an empty file"),
        (b"hello, this is text\n" * 40, "received a file of another kind"),
        (b"PK\x03\x04" + bytes(80), "damaged or other file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "of another kind"),
    ],
)
def test_other_files_are_refused(data: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "other.gflow"
    path.write_bytes(data)
    with pytest.raises(ProjectError, match=said) as caught:
        load(path)
    assert str(path) in str(caught.value) and ".gflow" in str(caught.value)


def test_places_without_a_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="received none of that name"):
        load(tmp_path / "nothing.gflow")
    with pytest.raises(ProjectError, match="expected the folder .*gone"):
        load(tmp_path / "gone" / "nothing.gflow")
    with pytest.raises(ProjectError, match="a folder or device"):
        load(tmp_path)
    with pytest.raises(ProjectError, match="a folder or device"):
        load("/dev/null")
    with pytest.raises(ProjectError, match="name of a file"):
        load(str(tmp_path) + "/a\0b")


def put(*path: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    """A change of the description: the value at a path."""

    def change(data: Any) -> None:
        for part in path[:-1]:
            data = data[part]
        data[path[-1]] = to

    return change


def test_rewriting_alone_changes_nothing() -> None:
    assert load_bytes(rewritten()) == project()
    assert load_bytes(rewritten(compression=zipfile.ZIP_DEFLATED)) == project()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("format", to="other"), "expected the format gradient-flow-project, received 'other'"),
        (put("version", to=2), "received 2, which a newer program wrote"),
        (put("version", to=0), "expected a version from 1"),
        (put("version", to="1"), "expected a version from 1"),
        (put("version", to=True), "expected a version from 1"),
        (put("graph", to=None), "graph: expected an object, received None"),
        (put("graph", "nodes", to={}), "graph.nodes: expected a list"),
        (put("graph", "nodes", 0, to=5), "graph.nodes: expected an object, received 5"),
        (put("graph", "nodes", 0, "layer", to=None), "a layer: expected an object"),
        (
            put("graph", "nodes", 0, "layer", "kind", to="Warp"),
            "stem/conv: expected a layer kind .*Conv2d.* received 'Warp'",
        ),
        (put("graph", "nodes", 0, "layer", "kind", to=["Conv2d"]), "expected a layer kind"),
        (put("graph", "losses", 0, "kind", to="Surprise"), "loss: expected a loss kind"),
        (put("graph", "nodes", 0, "layer", "colour", to=1), "received colour"),
        (put("graph", "nodes", 0, "layer", "out_channels", to=-3), "expected at least 1"),
        (
            put("graph", "nodes", 0, "layer", "out_channels", to="many"),
            "stem/conv: Conv2d.out_channels: expected .*received 'many'",
        ),
        (
            put("graph", "nodes", 0, "layer", "bias", to=2),
            "stem/conv: Conv2d.bias: expected true or false, received 2",
        ),
        (put("graph", "nodes", 0, "layer", "groups", to=None), "stem/conv: Conv2d.groups"),
        (
            put("graph", "nodes", 0, "layer", "kernel_size", to=[3, 3, 3]),
            "stem/conv: Conv2d.kernel_size",
        ),
        (put("graph", "nodes", 0, "layer", "kernel_size", to=[[3], 3]), "kernel_size"),
        (put("graph", "nodes", 0, "layer", "stride", to={"a": 1}), "stem/conv: Conv2d.stride"),
        (put("graph", "nodes", 1, "id", to="stem/conv"), "'stem/conv' is taken"),
        (put("graph", "nodes", 1, "id", to="a b"), "Node id: expected letters"),
        (put("graph", "nodes", 1, "params", to=5), "params of stem/bn: expected text, received 5"),
        (put("graph", "losses", 1, "id", to="fc"), "each id once, received 'fc'"),
        (put("graph", "nodes", 1, "inputs", to=[["stem/relu", 0]]), "without a circle.*stem/bn"),
        (put("graph", "nodes", 1, "inputs", to=[["stem/conv", "0"]]), "other types"),
        (put("graph", "nodes", 1, "inputs", to=[["stem/conv"]]), "expected inputs, nodes"),
        (put("graph", "inputs", 0, "shape", to="188"), "other types"),
        (put("graph", "inputs", 0, "shape", to=[1, 0, 8]), "expected sizes from 1"),
        (put("graph", "inputs", 0, "shape", to=[]), "expected sizes from 1"),
        (put("graph", "inputs", 0, "shape", to=[1, 10**30, 8]), "weight of fc: expected shape"),
        (put("graph", "labels", to=[1, 2, 3]), "other types"),
        (put("parameters", to=None), "parameters: expected a list"),
        (put("parameters", 0, to="x"), "an entry of parameters: expected an object"),
        (put("parameters", 0, "shape", to=[4, 4]), "expected shape .*received"),
        (put("parameters", 0, "shape", to=[4.0]), "expected a whole number"),
        (put("parameters", 0, "dtype", to="object"), "expected float16.* received object"),
        (put("parameters", 0, "dtype", to="float64"), "expected float64 .* received float32"),
        (put("parameters", 0, "file", to="gone.npy"), "in gone.npy, received none"),
        (put("parameters", 0, "owner", to=None), "owner of a parameter: expected text"),
        (lambda data: data["parameters"].append(data["parameters"][0]), "received it twice"),
        (
            lambda data: data["parameters"].pop(),
            r"weight of stem/conv: expected an array of shape \(4, 1, 3, 3\), received none",
        ),
        (put("layout", to=[]), "layout: expected an object"),
        (put("layout", "fc", to=[1]), "position of fc: expected two finite numbers"),
        (put("layout", "fc", to=[1, "2"]), "position of fc"),
        (put("layout", "fc", to=[1, float("inf")]), "position of fc"),
        (put("preprocessing", to=3), "preprocessing: expected an object"),
        (put("preprocessing", "std", to=[0]), "std .*expected numbers above 0"),
        (put("preprocessing", "size", to=None), "preprocessing"),
        (put("settings", to=None), "settings: expected an object"),
        (put("metadata", to="x"), "metadata: expected an object"),
    ],
)
def test_a_wrong_description_is_named(change: Any, said: str) -> None:
    with pytest.raises(ProjectError, match=said) as caught:
        load_bytes(rewritten(change), "given")
    assert str(caught.value).startswith("given: ")


@pytest.mark.parametrize("key", list(json.loads(zipfile.ZipFile(FIXTURE).read("project.json"))))
def test_each_part_of_the_description_is_needed(key: str) -> None:
    if key == "preprocessing":
        assert load_bytes(rewritten(lambda data: data.pop(key))).preprocessing is None
        return
    with pytest.raises(ProjectError, match=key):
        load_bytes(rewritten(lambda data: data.pop(key)))


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((3, 5), "float32"), r"expected float32 of shape \(3, 16\).* shape \(3, 5\)"),
        (np.zeros((3, 16), "float64"), r"received float64 of shape"),
        (np.zeros((3, 16), "int32"), "received int32"),
        (np.zeros((16, 3), "float32").T, r"expected float32 of shape \(3, 16\)"),
        (np.array([["x"]]), "received <U1"),
        (np.zeros((3, 16), object), "received object"),
    ],
)
def test_a_weight_file_that_does_not_fit_is_named(array: Any, said: str) -> None:
    def parts(data: dict[str, bytes]) -> None:
        data[weight_file(data)] = npy(array)

    with pytest.raises(ProjectError, match=f"weight of fc: {said}|{said}"):
        load_bytes(rewritten(parts=parts))


def test_a_weight_file_with_too_few_or_too_many_bytes_is_named() -> None:
    for change in (lambda b: b[:-4], lambda b: b + b"1234"):

        def parts(data: dict[str, bytes], change: Any = change) -> None:
            data[weight_file(data)] = change(data[weight_file(data)])

        with pytest.raises(ProjectError, match="weight of fc: expected 192 bytes, received"):
            load_bytes(rewritten(parts=parts))


def test_a_weight_file_of_a_later_format_is_named() -> None:
    def parts(data: dict[str, bytes]) -> None:
        name = weight_file(data)
        data[name] = data[name][:6] + bytes((2, 0)) + data[name][8:]

    with pytest.raises(ProjectError, match=r"expected .npy version 1.0, received \(2, 0\)"):
        load_bytes(rewritten(parts=parts))


def test_a_network_saved_without_its_weights_says_so() -> None:
    loaded = load_bytes(rewritten(put("parameters", to=[])))
    assert loaded.parameters == {} and loaded.graph == project().graph
    assert loaded.warnings == ("The file holds the network without weights.",)


def test_a_description_that_is_too_large_is_refused_unread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("engine.project_file._LARGEST_DESCRIPTION", 1000)
    with pytest.raises(ProjectError, match=r"project.json of at most 1,000 bytes, received \d"):
        load_bytes(save_bytes(project()))


def test_a_project_is_not_equal_to_something_else() -> None:
    assert project() != project().graph


def test_an_absurd_shape_asks_for_no_memory() -> None:
    def change(data: dict[str, Any]) -> None:
        data["graph"]["nodes"] = []
        data["graph"]["losses"] = []
        data["parameters"] = [
            {"owner": "a", "name": "w", "file": "a", "shape": [1 << 40], "dtype": "float32"}
        ]

    header = b"\x93NUMPY\x01\x00\x76\x00" + (
        str({"descr": "<f4", "fortran_order": False, "shape": (1 << 40,)}).ljust(117) + "\n"
    ).encode("latin1")
    data = rewritten(change, lambda parts: parts.update(a=header))
    with pytest.raises(ProjectError, match=r"w of a: expected 4,398,046,511,104 bytes"):
        load_bytes(data)


def test_a_zip_bomb_is_refused_before_it_is_unpacked() -> None:
    data = rewritten(
        parts=lambda parts: parts.update({"bomb": bytes(8 << 20)}),
        compression=zipfile.ZIP_DEFLATED,
    )
    assert len(data) < 64_000
    with pytest.raises(ProjectError, match="100 times the size"):
        load_bytes(data)


def test_a_declared_size_larger_than_the_file_is_refused() -> None:
    data = bytearray(save_bytes(project()))
    place = data.rindex(b"PK\x01\x02")
    data[place + 20 : place + 28] = b"\xff\xff\xff\x7f" * 2  # compressed and real size
    with pytest.raises(ProjectError, match="100 times the size"):
        load_bytes(bytes(data))


def test_a_part_that_is_there_twice_is_refused() -> None:
    buffer = io.BytesIO(save_bytes(project()))
    with (
        pytest.warns(UserWarning, match="Duplicate"),
        zipfile.ZipFile(buffer, "a") as archive,
    ):
        archive.writestr("project.json", "{}")
    with pytest.raises(ProjectError, match=r"each part once, received project.json twice"):
        load_bytes(buffer.getvalue())


def test_a_zip_without_a_description_is_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ProjectError, match="received a zip without"):
        load_bytes(buffer.getvalue())


@pytest.mark.parametrize("text", [b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b"1" * 5000, b"null"])
def test_a_description_that_is_no_json_object_is_refused(text: bytes) -> None:
    data = rewritten(parts=lambda parts: parts.update({"project.json": text}))
    with pytest.raises(ProjectError, match="Project: "):
        load_bytes(data)


def test_an_encrypted_part_is_refused() -> None:
    data = bytearray(save_bytes(project()))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.index(signature)
        data[place + offset] |= 1
    with pytest.raises(ProjectError, match="password|encrypted"):
        load_bytes(bytes(data))


# ---- versions --------------------------------------------------------------------------------


def test_older_versions_are_migrated_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project_file, "VERSION", 3)
    monkeypatch.setattr(
        project_file,
        "MIGRATIONS",
        {
            1: lambda data: {**data, "settings": {"by": data["settings"]["collapsed"]}},
            2: lambda data: {**data, "settings": {"way": data["settings"]["by"]}},
        },
    )
    assert load(FIXTURE).settings == {"way": ["block", "stem"]}


def test_every_earlier_version_has_a_migration_and_a_fixture() -> None:
    assert set(project_file.MIGRATIONS) == set(range(1, project_file.VERSION))
    for version in range(1, project_file.VERSION + 1):
        assert FIXTURE.with_name(f"version-{version}.gflow").exists()
