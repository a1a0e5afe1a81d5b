"""Checkpoints: a training run as one file, from which it goes on to the same numbers, bit for bit.

A zip of ``checkpoint.json`` and a few .npy files, written under a temporary name and renamed;
nothing in it can be executed. All randomness of a run (order, dropout, augmentation) is a function
of seed and step, so that these two are its random state.
"""

from __future__ import annotations

import json
import os
import sys
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine import workers
from engine.atomic_file import reason, replacing
from engine.data.dataset import Dataset
from engine.graph import Graph
from engine.layers.base import Array
from engine.train_settings import TrainSettings
from engine.weights import OwnerName

FORMAT = "gradient-flow-checkpoint"
VERSION = 1
_DESCRIPTION = "checkpoint.json"
_LARGEST_DESCRIPTION = 64 << 20


class CheckpointError(ValueError):
    """A checkpoint cannot be written, read or gone on from; names expected and received."""


@dataclass(frozen=True)
class Standing:
    """Where a run stands: everything of a checkpoint but its arrays.

    ``kernels``: the form that ran each node, by node id. ``threads``: those that share large
    operations; ``blas_threads``: BLAS's own. ``data``: see ``data_mark``. ``recent``: (right
    answers, seconds) of the last batches. ``validated``: accuracy and loss of the last validation.
    ``updates``: updates that the optimizer has made. ``custom_augment``: a function changed the
    batches that the file cannot hold. ``source``: the data set as it was asked for ("digits",
    "mnist:DIR"), if that is known.
    """

    graph: Graph
    settings: TrainSettings
    step: int
    steps_per_epoch: int
    steps_total: int
    updates: int
    seconds: float
    recent: tuple[tuple[int, float], ...]
    validated: tuple[float, float] | None
    kernels: Mapping[str, str]
    threads: int
    blas_threads: int
    numpy: str
    data: Mapping[str, Any]
    custom_augment: bool = False
    source: str = ""

    @property
    def epoch(self) -> int:
        """The epoch, from 1, in which the next step lies (the last one when all are made)."""
        return min(self.step, self.steps_total - 1) // self.steps_per_epoch + 1

    @property
    def finished(self) -> bool:
        """Whether no step is left."""
        return self.step >= self.steps_total


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A run and its arrays, all float32 vectors, in the order of ``graph.parameter_specs``.

    ``weights``: all trained weights. ``statistics``: all running statistics. ``state``: the
    optimizer's vectors, each as long as ``weights``; empty before the first step.
    """

    standing: Standing
    weights: Array
    statistics: Array
    state: tuple[Array, ...] = ()

    def parameters(self) -> dict[OwnerName, Array]:
        """The weights and statistics by (owner id, name), as a network takes them."""
        found: dict[OwnerName, Array] = {}
        at = {"weight": 0, "statistic": 0}
        graph = self.standing.graph
        for key, spec in graph.parameter_specs(graph.infer().specs).items():
            source = self.weights if spec.kind == "weight" else self.statistics
            start = at[spec.kind]
            found[key] = source[start : start + spec.size].reshape(spec.shape)
            at[spec.kind] += spec.size
        return found


def data_mark(dataset: Dataset) -> dict[str, Any]:
    """What a data set is recognised by: name, number of samples, and a checksum of all of them."""
    checksum = 0
    for array in (dataset.images, dataset.labels):
        checksum = zlib.crc32(np.ascontiguousarray(array).data.cast("B"), checksum)
    return {
        "name": dataset.name,
        "samples": len(dataset),
        "checksum": checksum,
        "preprocessing": dataset.preprocessing.as_dict(),
    }


def blas_threads() -> int:
    """Threads of the matrix products: as BLAS says, else the environment, else all processors."""
    if (known := workers.blas_threads()) is not None:
        return known
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        text = os.environ.get(name, "")
        if text.isascii() and text.isdigit() and int(text):
            return int(text)
    if sys.platform.startswith("linux"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


# ---- file ------------------------------------------------------------------------------------


def save(checkpoint: Checkpoint, path: str | os.PathLike[str]) -> None:
    """Write a checkpoint; ``path`` is replaced only when the new file is whole.

    Raises CheckpointError; then an old file is as it was.
    """
    standing = checkpoint.standing
    description = {
        "format": FORMAT,
        "version": VERSION,
        **{name: getattr(standing, name) for name in _PLAIN},
        "recent": [list(entry) for entry in standing.recent],
        "validated": list(standing.validated) if standing.validated else None,
        "kernels": dict(standing.kernels),
        "data": dict(standing.data),
        "settings": standing.settings.as_dict(),
        "graph": standing.graph.to_dict(),
        "states": len(checkpoint.state),
    }
    arrays = {"weights": checkpoint.weights, "statistics": checkpoint.statistics}
    arrays |= {f"state-{i}": array for i, array in enumerate(checkpoint.state)}
    try:
        with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(_DESCRIPTION, json.dumps(description))
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=array.nbytes > 1 << 30) as member:
                    np.lib.format.write_array(member, array.astype("<f4"), allow_pickle=False)
    except OSError as error:
        raise CheckpointError(f"{path}: {reason(error, path)} Nothing was changed.") from error


_PLAIN = (
    "step",
    "steps_per_epoch",
    "steps_total",
    "updates",
    "seconds",
    "threads",
    "blas_threads",
    "numpy",
    "custom_augment",
    "source",
)


def load(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint whole. Raises CheckpointError, never another exception."""
    return _opened(path, _read)


def standing(path: str | os.PathLike[str]) -> Standing:
    """Where the run of a file stands; its arrays are not read. Raises CheckpointError."""
    return _opened(path, lambda archive: _standing(archive)[0])


def _opened(path: str | os.PathLike[str], read: Any) -> Any:
    try:
        with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
            return read(archive)
    except OSError as error:
        raise CheckpointError(f"{path}: {reason(error, path)}") from error
    # Damaged bytes make zipfile, json and the .npy reader raise a dozen types.
    except Exception as error:
        raise CheckpointError(
            f"{path}: expected a checkpoint of a training, received a damaged or other file "
            f"({error}). Start the training afresh, or use an earlier copy."
        ) from error


def _standing(archive: zipfile.ZipFile) -> tuple[Standing, int]:
    """The description, and the number of the optimizer's vectors."""
    if archive.getinfo(_DESCRIPTION).file_size > _LARGEST_DESCRIPTION:
        raise ValueError(f"{_DESCRIPTION} is larger than {_LARGEST_DESCRIPTION:,} bytes")
    data = json.loads(archive.read(_DESCRIPTION))
    if data["format"] != FORMAT or data["version"] != VERSION:
        raise ValueError(f"format {data['format']!r}, version {data['version']!r}")
    validated = data["validated"]
    found = Standing(
        graph=Graph.from_dict(data["graph"]),
        settings=TrainSettings.from_dict(data["settings"]),
        recent=tuple((int(correct), float(seconds)) for correct, seconds in data["recent"]),
        validated=(float(validated[0]), float(validated[1])) if validated else None,
        kernels={str(k): str(v) for k, v in data["kernels"].items()},
        data=dict(data["data"]),
        **{name: data[name] for name in _PLAIN},
    )
    counts = (found.step, found.steps_per_epoch, found.steps_total, found.updates)
    if not all(type(n) is int and n >= 0 for n in counts) or not found.steps_per_epoch:
        raise ValueError(f"steps {counts}")
    return found, int(data["states"])


def _read(archive: zipfile.ZipFile) -> Checkpoint:
    found, states = _standing(archive)
    specs = found.graph.parameter_specs(found.graph.check().specs).values()
    weights = sum(spec.size for spec in specs if spec.kind == "weight")
    statistics = sum(spec.size for spec in specs if spec.kind == "statistic")
    if states not in (0, type(found.settings.optimizer).slots):
        raise ValueError(f"{states} vectors of the optimizer")
    return Checkpoint(
        found,
        _vector(archive, "weights", weights),
        _vector(archive, "statistics", statistics),
        tuple(_vector(archive, f"state-{i}", weights) for i in range(states)),
    )


def _vector(archive: zipfile.ZipFile, name: str, size: int) -> Array:
    """One .npy file as a new vector; its header must promise the size that the graph needs."""
    with archive.open(f"{name}.npy") as member:
        version = np.lib.format.read_magic(member)
        if version != (1, 0):
            raise ValueError(f"{name} of .npy version {version}")
        shape, _, kind = np.lib.format.read_array_header_1_0(member)
        if shape != (size,) or kind != np.dtype("<f4"):
            raise ValueError(f"{name}: {kind} of shape {shape} for {size} numbers of float32")
        content = member.read(4 * size + 1)
        if len(content) != 4 * size:
            raise ValueError(f"{name}: {len(content)} bytes for {4 * size}")
        return np.frombuffer(content, "<f4").astype(np.float32)
