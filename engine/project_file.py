"""The project file: a network with its weights, positions, preprocessing and settings.

A zip (``.gflow``) of ``project.json`` and one .npy file for each parameter. Nothing in it can be
executed, equal projects give equal bytes, and work in progress (open connections, shape errors)
is kept as it is.
"""

from __future__ import annotations

import io
import json
import math
import os
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np

from engine.atomic_file import reason, replacing
from engine.data.errors import DataError
from engine.data.preprocessing import Preprocessing
from engine.graph import CycleError, Graph, GraphError
from engine.layers import REGISTRY
from engine.layers.base import UNLISTED, Array, HyperparameterError, layer_from_dict
from engine.losses import LOSSES
from engine.parameters import Parameters

FORMAT = "gradient-flow-project"
VERSION = 1
SUFFIX = ".gflow"

MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""From each earlier version the function that turns its project.json into the next version's."""

_DESCRIPTION = "project.json"
_LARGEST_DESCRIPTION = 64 << 20
# A zip bomb shrinks a thousandfold; weights, even mostly zeros, stay far below this.
_LARGEST_RATIO, _SLACK = 100, 1 << 20
_DTYPES = ("float16", "float32", "float64")
# Every file of the archive carries this time, so that equal projects give equal bytes.
_TIME = (1980, 1, 1, 0, 0, 0)


class ProjectError(ValueError):
    """A project cannot be saved or loaded; names the file, expected, received and what to do."""


@dataclass(frozen=True, eq=False)
class Project:
    """What a project file holds.

    ``parameters``: arrays by (owner id, name). ``layout``: scene position (x, y) by the id of a
    node, input or loss. ``settings`` (training, view) and ``metadata`` (title, accuracy, credit,
    program version) are plain JSON data. ``warnings`` says what ``load`` found odd; it is neither
    saved nor compared. Two projects are equal when a file could not tell them apart.
    """

    graph: Graph
    parameters: Parameters = field(default_factory=dict)
    layout: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    preprocessing: Preprocessing | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "parameters", dict(self.parameters))
        put(self, "layout", {str(k): (float(x), float(y)) for k, (x, y) in self.layout.items()})
        put(self, "settings", _plain(self.settings, "settings"))
        put(self, "metadata", _plain(self.metadata, "metadata"))
        for node_id, place in self.layout.items():
            if not all(map(math.isfinite, place)):
                raise ProjectError(
                    f"Position of {node_id}: expected two finite numbers, received {place}."
                )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Project):
            return NotImplemented
        return (
            self.graph == other.graph
            and self.preprocessing == other.preprocessing
            and self.layout == other.layout
            and _text(self.settings) == _text(other.settings)
            and _text(self.metadata) == _text(other.metadata)
            and self.parameters.keys() == other.parameters.keys()
            and all(
                a.dtype == other.parameters[k].dtype
                and np.array_equal(a, other.parameters[k], equal_nan=True)
                for k, a in self.parameters.items()
            )
        )

    __hash__ = None  # type: ignore[assignment]


# ---- writing ---------------------------------------------------------------------------------


def save(project: Project, path: str | os.PathLike[str]) -> None:
    """Write a project; ``path`` is replaced only when the new file is whole and on the disk.

    Raises ProjectError (unwritable or missing folder, full disk, parameters that do not fit the
    graph); then an old file is as it was and no temporary file is left.
    """
    members = _members(project, str(path))
    try:
        with replacing(path) as file:
            _write(members, file)
    except OSError as error:
        raise ProjectError(f"{path}: {reason(error, path)} Nothing was changed.") from error


def to_bytes(project: Project, name: str = "Project") -> bytes:
    """The file of a project as bytes, which ``load_bytes`` reads; raises ProjectError."""
    buffer = io.BytesIO()
    _write(_members(project, name), buffer)
    return buffer.getvalue()


def _members(project: Project, where: str) -> list[tuple[str, bytes | Array]]:
    """The files of the archive, checked so that what is written can be loaded."""
    graph = project.graph
    _check_graph(graph, where)
    _check_parameters(graph, project.parameters, where)
    entries = []
    arrays: list[tuple[str, bytes | Array]] = []
    for i, (owner, name) in enumerate(sorted(project.parameters)):
        array = project.parameters[owner, name]
        readable = f"{owner}.{name}".replace("/", ".")[-80:]
        file = f"parameters/{i:04d}-{readable}.npy"
        arrays.append((file, array))
        entries.append(
            {
                "owner": owner,
                "name": name,
                "file": file,
                "shape": list(array.shape),
                "dtype": array.dtype.name,
            }
        )
    preprocessing = project.preprocessing
    description = {
        "format": FORMAT,
        "version": VERSION,
        "metadata": _ordered(project.metadata),
        "graph": graph.to_dict(),
        "layout": {k: list(v) for k, v in sorted(project.layout.items())},
        "preprocessing": preprocessing.as_dict() if preprocessing else None,
        "settings": _ordered(project.settings),
        "parameters": entries,
    }
    text = json.dumps(description, indent=1, ensure_ascii=False) + "\n"
    return [(_DESCRIPTION, text.encode("utf-8", "surrogatepass")), *arrays]


def _write(members: list[tuple[str, bytes | Array]], file: BinaryIO) -> None:
    # Stored, not deflated: weights hardly shrink, and zlib's output differs between its versions.
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name, _TIME)
            info.create_system = 3
            info.external_attr = 0o644 << 16
            if isinstance(content, bytes):
                archive.writestr(info, content)
                continue
            array = np.ascontiguousarray(content, content.dtype.newbyteorder("<"))
            with archive.open(info, "w", force_zip64=array.nbytes > 1 << 30) as member:
                np.lib.format.write_array(
                    member, array.reshape(content.shape), (1, 0), allow_pickle=False
                )


# ---- reading ---------------------------------------------------------------------------------


def load(path: str | os.PathLike[str]) -> Project:
    """Read and check a project file. Raises ProjectError, never another exception.

    Weights that are not finite load, and are named in ``warnings``.
    """
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise ProjectError(f"{path}: expected a project file, received a folder or device.")
        with open(path, "rb") as file:
            return _read(file, str(path))
    except OSError as error:
        raise ProjectError(f"{path}: {reason(error, path)}") from error
    except ValueError as error:
        if isinstance(error, ProjectError):
            raise
        # A NUL in the name.
        raise ProjectError(f"{path!r}: expected the name of a file. Check it.") from error


def load_bytes(data: bytes, name: str = "Project") -> Project:
    """Read a project from bytes, such as a shipped resource; ``name`` is for messages."""
    return _read(io.BytesIO(data), name)


def migrate(data: dict[str, Any], where: str = "Project") -> dict[str, Any]:
    """The project.json of any version known as one of the present version; raises ProjectError."""
    if data.get("format") != FORMAT:
        raise ProjectError(
            f"{where}: expected the format {FORMAT}, received {data.get('format')!r}. "
            "Choose a file that this program saved."
        )
    version = data.get("version")
    if type(version) is not int or version < 1:
        raise ProjectError(f"{where}: expected a version from 1 to {VERSION}, received {version}.")
    if version > VERSION:
        raise ProjectError(
            f"{where}: expected a version up to {VERSION}, received {version}, which a newer "
            "program wrote. Install the newer program to open it."
        )
    while version < VERSION:
        data = {**MIGRATIONS[version](data), "version": version + 1}
        version += 1
    return data


def _read(file: BinaryIO, where: str) -> Project:
    try:
        with zipfile.ZipFile(file) as archive:
            members = _listed(archive, where)
            data = migrate(_description(archive, members, where), where)
            graph = _graph(data, where)
            parameters, warnings = _parameters(archive, members, data, graph, where)
            return _project(data, graph, parameters, warnings, where)
    except ProjectError:
        raise
    # Damaged bytes make zipfile, json and the .npy reader raise a dozen types.
    except Exception as error:
        empty = file.seek(0, os.SEEK_END) == 0
        file.seek(0)
        if empty:
            received = "an empty file"
        elif isinstance(error, zipfile.BadZipFile) and file.read(2) != b"PK":
            received = "a file of another kind"
        else:
            received = f"a damaged or other file ({_short(error)})"
        raise ProjectError(
            f"{where}: expected a project file ({SUFFIX}), received {received}. "
            "Choose another file, or an earlier copy of this one."
        ) from error


def _listed(archive: zipfile.ZipFile, where: str) -> dict[str, zipfile.ZipInfo]:
    """The archive's files by name: no name twice, and no more bytes than the file can hold."""
    members: dict[str, zipfile.ZipInfo] = {}
    packed = unpacked = 0
    for info in archive.infolist():
        if info.filename in members:
            raise ProjectError(
                f"{where}: expected each part once, received {info.filename} twice. "
                "The file is damaged; use an earlier copy."
            )
        members[info.filename] = info
        packed += info.compress_size
        unpacked += info.file_size
    if archive.fp is not None:
        packed = min(packed, archive.fp.seek(0, os.SEEK_END))
    if unpacked > packed * _LARGEST_RATIO + _SLACK:
        raise ProjectError(
            f"{where}: expected at most {_LARGEST_RATIO} times the size of the file, received "
            f"{unpacked:,} bytes from {packed:,}. The file is damaged or was made to do harm."
        )
    if _DESCRIPTION not in members:
        raise ProjectError(
            f"{where}: expected {_DESCRIPTION} in it, received a zip without. "
            "Choose a file that this program saved."
        )
    return members


def _description(
    archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], where: str
) -> dict[str, Any]:
    size = members[_DESCRIPTION].file_size
    if size > _LARGEST_DESCRIPTION:
        raise ProjectError(
            f"{where}: expected {_DESCRIPTION} of at most {_LARGEST_DESCRIPTION:,} bytes, "
            f"received {size:,}."
        )
    text = archive.read(_DESCRIPTION).decode("utf-8", "surrogatepass")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProjectError(
            f"{where}: expected JSON in {_DESCRIPTION}, received something else "
            f"({_short(error)}). Use an earlier copy."
        ) from error
    return _typed(data, dict, _DESCRIPTION, where)


def _graph(data: Mapping[str, Any], where: str) -> Graph:
    """The graph, which may be incomplete, but in which everything has the type that it needs."""
    described = _typed(data.get("graph"), dict, "graph", where)
    for part, known, key in (
        ("nodes", {**REGISTRY, **UNLISTED}, "layer"),
        ("losses", LOSSES, None),
    ):
        for entry in _typed(described.get(part), list, f"graph.{part}", where):
            _typed(entry, dict, f"an entry of graph.{part}", where)
            holder = _typed(entry.get(key), dict, "a layer", where) if key else entry
            kind = holder.get("kind")
            if not isinstance(kind, str) or kind not in known:
                raise ProjectError(
                    f"{where}: {entry.get('id')}: expected a {key or 'loss'} kind that this "
                    f"program knows ({', '.join(sorted(known))}), received {kind!r}. "
                    "Install the program that wrote the file."
                )
            if entry.get("params") is not None:
                _typed(entry["params"], str, f"params of {entry.get('id')}", where)
            try:
                if key:
                    layer_from_dict(holder)
            except HyperparameterError as error:
                raise ProjectError(f"{where}: {entry.get('id')}: {error}") from error
    try:
        graph = Graph.from_dict(described)
    except GraphError as error:
        raise ProjectError(f"{where}: {error}") from error
    # What from_dict had to bend into shape ("28" as a shape, say) was not written by save.
    if _without_layers(graph.to_dict()) != _without_layers(described):
        raise ProjectError(
            f"{where}: expected ids as text and shapes as whole numbers in graph, received other "
            "types. Use an earlier copy."
        )
    _check_graph(graph, where)
    return graph


def _check_graph(graph: Graph, where: str) -> None:
    """Raise ProjectError for what no editor makes: a circle, an id twice, an impossible shape."""
    try:
        _ = graph.order
    except CycleError as error:
        raise ProjectError(f"{where}: {error}") from error
    ids = Counter(
        [i.id for i in graph.inputs] + [n.id for n in graph.nodes] + [x.id for x in graph.losses]
    )
    if double := [name for name, count in ids.items() if count > 1]:
        raise ProjectError(
            f"{where}: expected each id once, received {double[0]!r} twice. Rename one."
        )


def _required(graph: Graph) -> dict[tuple[str, str], tuple[int, ...]]:
    """The shape of every parameter that the graph, as far as it is complete, must have."""
    specs = graph.infer().specs
    found: dict[tuple[str, str], tuple[int, ...]] = {}
    disputed = set()
    for node in graph.order:
        if (node.id, 0) not in specs:
            continue
        inputs = (specs[ref] for ref in node.inputs if ref is not None and ref in specs)
        for name, spec in node.layer.parameters(*inputs).items():
            key = (node.owner, name)
            # Two nodes that share a weight and want different shapes: work in progress.
            if found.setdefault(key, spec.shape) != spec.shape:
                disputed.add(key)
    return {key: shape for key, shape in found.items() if key not in disputed}


def _check_parameters(graph: Graph, parameters: Parameters, where: str) -> None:
    """All the weights that the network needs, or none at all: then it is a structure."""
    required = _required(graph) if parameters else {}
    for owner, name in (key for key in required if key not in parameters):
        raise ProjectError(
            f"{where}: {name} of {owner}: expected an array of shape {required[owner, name]}, "
            "received none. Use weights that belong to this network."
        )
    for (owner, name), array in parameters.items():
        wanted = required.get((owner, name))
        if array.dtype.name not in _DTYPES:
            raise ProjectError(
                f"{where}: {name} of {owner}: expected {', '.join(_DTYPES)}, "
                f"received {array.dtype}. Convert the weights."
            )
        if wanted is not None and array.shape != wanted:
            raise ProjectError(
                f"{where}: {name} of {owner}: expected shape {wanted}, received {array.shape}. "
                "Use weights that belong to this network."
            )


def _parameters(
    archive: zipfile.ZipFile,
    members: Mapping[str, zipfile.ZipInfo],
    data: Mapping[str, Any],
    graph: Graph,
    where: str,
) -> tuple[dict[tuple[str, str], Array], list[str]]:
    """All arrays, their sizes checked before any memory is asked for; and what is odd in them."""
    required = _required(graph)
    found: dict[tuple[str, str], Array] = {}
    warnings = []
    for entry in _typed(data.get("parameters"), list, "parameters", where):
        _typed(entry, dict, "an entry of parameters", where)
        owner, name, file, dtype = (
            _typed(entry.get(k), str, f"{k} of a parameter", where)
            for k in ("owner", "name", "file", "dtype")
        )
        label = f"{name} of {owner}"
        listed = _typed(entry.get("shape"), list, f"shape of {label}", where)
        shape = tuple(_typed(size, int, f"shape of {label}", where) for size in listed)
        wanted = required.get((owner, name), shape)
        if shape != wanted:
            raise ProjectError(
                f"{where}: {label}: expected shape {wanted}, received {shape}. "
                "Use weights that belong to this network."
            )
        if dtype not in _DTYPES:
            raise ProjectError(
                f"{where}: {label}: expected {', '.join(_DTYPES)}, received {dtype}."
            )
        if file not in members:
            raise ProjectError(
                f"{where}: {label}: expected an array of shape {shape} in {file}, received none. "
                "The file is incomplete; use an earlier copy."
            )
        if (owner, name) in found:
            raise ProjectError(f"{where}: {label}: expected it once, received it twice.")
        array = _array(archive, members[file], shape, dtype, f"{where}: {label}")
        found[owner, name] = array
        if bad := array.size - int(np.isfinite(array).sum()):
            warnings.append(
                f"{label}: {bad} of {array.size} numbers are not finite (NaN or infinity). "
                "Start it afresh, or load weights from before training went wrong."
            )
    _check_parameters(graph, found, where)
    if required and not found:
        warnings.append("The file holds the network without weights.")
    owners = {node.owner for node in graph.nodes}
    for owner in sorted({owner for owner, _ in found} - owners):
        warnings.append(f"{owner}: has weights, but no layer of the network uses them.")
    return found, warnings


def _array(
    archive: zipfile.ZipFile,
    info: zipfile.ZipInfo,
    shape: tuple[int, ...],
    dtype: str,
    label: str,
) -> Array:
    """One .npy file of the archive as a new array; its header must say what project.json says."""
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        if version != (1, 0):
            raise ProjectError(f"{label}: expected .npy version 1.0, received {version}.")
        header = np.lib.format.read_array_header_1_0(member)
        stored, fortran, kind = header
        if stored != shape or kind != np.dtype(dtype).newbyteorder("<") or fortran:
            raise ProjectError(
                f"{label}: expected {dtype} of shape {shape}, received {kind} of shape {stored}. "
                "Use weights that belong to this network."
            )
        size = math.prod(shape) * kind.itemsize
        if info.file_size - member.tell() != size:
            raise ProjectError(
                f"{label}: expected {size:,} bytes, received {info.file_size - member.tell():,}. "
                "The file is damaged; use an earlier copy."
            )
        array = np.empty(shape, dtype)
        target = array.reshape(-1).view(np.uint8)
        done = 0
        while block := member.read(1 << 20):
            target[done : done + len(block)] = np.frombuffer(block, np.uint8)
            done += len(block)
        if done != size:
            raise ProjectError(f"{label}: expected {size:,} bytes, received {done:,}.")
    return array if sys.byteorder == "little" else array.byteswap()


def _project(
    data: Mapping[str, Any],
    graph: Graph,
    parameters: Parameters,
    warnings: list[str],
    where: str,
) -> Project:
    layout = {}
    for node_id, place in _typed(data.get("layout"), dict, "layout", where).items():
        numbers = place if isinstance(place, list) else []
        numbers = [float(v) for v in numbers if type(v) in (int, float) and math.isfinite(v)]
        if len(numbers) != 2 or len(place) != 2:
            raise ProjectError(
                f"{where}: position of {node_id}: expected two finite numbers, received {place!r}."
            )
        layout[node_id] = (numbers[0], numbers[1])
    described = data.get("preprocessing")
    try:
        preprocessing = (
            None
            if described is None
            else Preprocessing.from_dict(_typed(described, dict, "preprocessing", where))
        )
    except DataError as error:
        raise ProjectError(f"{where}: {error}") from error
    return Project(
        graph,
        parameters,
        layout,
        preprocessing,
        _typed(data.get("settings"), dict, "settings", where),
        _typed(data.get("metadata"), dict, "metadata", where),
        tuple(warnings),
    )


# ---- plain data ------------------------------------------------------------------------------


def _plain(value: Any, place: str) -> Any:
    """A deep copy in JSON's types (tuples as lists, NumPy numbers as Python's)."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ProjectError(f"{place}: expected text as keys, received {key!r}.")
        return {key: _plain(part, f"{place}.{key}") for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part, f"{place}[{i}]") for i, part in enumerate(value)]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise ProjectError(
        f"{place}: expected text, numbers, lists and dicts, received {type(value).__name__}."
    )


def _ordered(value: Any) -> Any:
    """The same data with the keys of every dict sorted."""
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value)}
    return [_ordered(part) for part in value] if isinstance(value, list) else value


def _text(value: Any) -> str:
    # As text, because NaN is not equal to itself.
    return json.dumps(value, sort_keys=True)


def _typed(value: Any, kind: Any, name: str, where: str) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        words = {dict: "an object", list: "a list", str: "text", int: "a whole number"}
        raise ProjectError(
            f"{where}: {name}: expected {words[kind]}, received {_short(value)}. "
            "Use an earlier copy."
        )
    return value


def _without_layers(described: Mapping[str, Any]) -> dict[str, Any]:
    nodes = [{k: v for k, v in node.items() if k != "layer"} for node in described["nodes"]]
    return {**described, "nodes": nodes}


def _short(value: object) -> str:
    text = f"{type(value).__name__}: {value}" if isinstance(value, Exception) else repr(value)
    return text if len(text) <= 120 else text[:117] + "…"
