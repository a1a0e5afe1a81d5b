"""A run as a file: what happened, every array, and the network that it happened in.

The file (``.gftrace``) is the zip of a trace (``trace.json`` and one ``.npy`` for each array, see
``Trace.save``) with two entries more: ``network.gflow``, a project without weights, because the
trace has them, and ``recording.json`` (which class was taken as the right answer, and whether the
network's own guess stood for it). Nothing in it can be executed, and nothing is computed when it
is opened: it is looked at and stepped through as it was.
"""

from __future__ import annotations

import dataclasses
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

from engine import project_file
from engine.layers.base import Array
from engine.parameters import Parameters
from engine.project_file import Project, ProjectError
from engine.trace import DAMAGE, Trace, TraceError

SUFFIX = ".gftrace"
_NETWORK, _ABOUT = "network.gflow", "recording.json"


@dataclass(frozen=True, eq=False)
class Recording:
    """A run of one sample: its network (the weights are those before it), trace and answer.

    ``origin`` says where the picture was from.
    """

    project: Project
    trace: Trace
    target: int | None = None
    assumed_target: bool = False
    origin: str = ""

    @property
    def parameters(self) -> Parameters:
        """The weights that the run began with, from the trace."""
        keys = {k.ref: k for k in tuple(self.trace.keys()) if k.kind in ("param", "statistic")}
        first = {}
        for ref, key in keys.items():
            found = self.trace.latest(key.kind, ref, 0)
            if found is not None:
                first[ref] = self.trace.at(found)
        return first

    @property
    def x(self) -> Array | None:
        """What the network's input received: one sample, without the batch axis."""
        inputs = self.project.graph.inputs
        x = self.trace.look("value", (inputs[0].id, 0), 0) if inputs else None
        return None if x is None or not len(x) else x[0]


def save(recording: Recording, path: Path) -> None:
    """Write a recording; ``path`` is replaced only when the new file is whole. Raises OSError."""
    network = project_file.to_bytes(dataclasses.replace(recording.project, parameters={}))
    about = {
        "target": recording.target,
        "assumed_target": recording.assumed_target,
        "origin": recording.origin,
    }
    text = json.dumps(about, ensure_ascii=False)
    recording.trace.save(path, {_NETWORK: network, _ABOUT: text.encode("utf-8", "replace")})


def load(path: Path) -> Recording:
    """The recording in a file; raises TraceError when it is none or its parts do not fit."""
    trace = Trace.load(path)
    try:
        with zipfile.ZipFile(path) as archive:
            project = project_file.load_bytes(archive.read(_NETWORK), path.name)
            about = json.loads(archive.read(_ABOUT))
            target, assumed = about["target"], bool(about["assumed_target"])
            if target is not None and (isinstance(target, bool) or not isinstance(target, int)):
                raise TraceError(f"{path}: target: expected a class or null, received {target!r}.")
            recording = Recording(project, trace, target, assumed, str(about["origin"]))
        _check(recording, path)
        return recording
    except DAMAGE as error:
        if isinstance(error, TraceError):
            raise
        what = str(error) if isinstance(error, ProjectError) else f"{type(error).__name__}: {error}"
        raise TraceError(
            f"{path}: expected a recorded run with its network, received {what}. "
            "Save the run again."
        ) from error


def _check(recording: Recording, path: Path) -> None:
    """Raise TraceError where trace and network are not of each other."""
    graph, trace = recording.project.graph, recording.trace
    specs = graph.infer().specs
    expected: dict[tuple[str, tuple[str, object]], tuple[int, ...]] = {}
    for ref, spec in specs.items():
        for kind in ("value", "grad"):
            expected[kind, ref] = (1, *spec.shape[1:])
    for owner_name, spec_ in graph.parameter_specs(specs).items():
        for kind in ("param", "param_grad", "statistic"):
            expected[kind, owner_name] = spec_.shape
    known = {n.id for n in graph.nodes} | {n.owner for n in graph.nodes} | graph.input_ids
    known |= {loss.id for loss in graph.losses}
    for step in trace.steps:
        if step.node not in known:
            raise TraceError(
                f"{path}: expected steps of the layers of its network, received one of "
                f"{step.node!r}. Save the run again."
            )
    for key in tuple(trace.keys()):
        shape = expected.get((key.kind, key.ref))
        found = trace.at(key).shape
        if key.ref[0] not in known or (shape is not None and found != shape):
            raise TraceError(
                f"{path}: {key}: expected an array of the network"
                + (f" with the sizes {shape}" if shape is not None else "")
                + f", received {found}. Save the run again."
            )
