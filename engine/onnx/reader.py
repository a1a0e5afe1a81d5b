"""Opens ONNX files: a network of layers, its weights, and a report of what was found.

imported = read("model.onnx")
imported.graph, imported.parameters, imported.notes, imported.problems
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx

from engine import blocks
from engine.data.preprocessing import Preprocessing
from engine.graph import Graph, GraphError, Loss, Ref
from engine.layers.arg_max import ArgMax
from engine.layers.base import Array
from engine.layers.log_softmax import LogSoftmax
from engine.layers.pick import Pick
from engine.layers.softmax import Softmax
from engine.layers.top_k import TopK
from engine.losses import CrossEntropy, Total
from engine.onnx import operators  # noqa: F401  enters the rules
from engine.onnx.folding import Known
from engine.onnx.importer import Importer
from engine.onnx.model_file import ModelFile, OnnxError, load
from engine.onnx.values import (
    FREE,
    ONE,
    MixesSamplesError,
    Problem,
    SizesNeededError,
    UnsupportedError,
    ValueNeededError,
)
from engine.parameters import Parameters
from engine.project_file import Project

__all__ = [
    "Imported",
    "OnnxError",
    "Problem",
    "SizesNeededError",
    "ValueNeededError",
    "read",
]

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Imported:
    """A network that came from an ONNX file.

    ``graph``: outputs have the file's names; a classifier has a cross-entropy named "loss".
    ``parameters``: arrays by (owner id, name), views of the file where it holds float32.
    ``names``: the file's node name by node id. ``inputs``: the file's input name by input id.
    ``notes``: what was changed or assumed. ``problems``: nodes that cannot run, and why.
    ``samples_free``: False where the network was opened for one sample at a time.
    ``metadata``: producer, opset and the file's own properties.
    """

    graph: Graph
    parameters: Parameters
    names: Mapping[str, str]
    inputs: Mapping[str, str]
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    samples_free: bool = True
    metadata: Mapping[str, Any] = field(default_factory=dict)
    shown: frozenset[str] = frozenset()
    """Inputs and outputs, by name in the file, whose first axis is the samples'."""
    constants: Mapping[str, Known] = field(default_factory=dict)
    """Outputs of the file that are no tensors of the network, because they are known."""

    def missing(self) -> dict[str, int]:
        """Operators that the program lacks, and how many nodes need each."""
        return dict(Counter(p.operator for p in self.problems if p.missing).most_common())

    def grouped(self) -> Imported:
        """The same with ids that say which block a layer is in, as "stage2/block1/conv1".

        ``names`` still has the file's names. Where nothing is found, ids stay as they are.
        """
        try:
            new = blocks.paths(self.graph)
            graph = self.graph.renamed(new)
        except GraphError:  # a file whose names leave no room for those of blocks
            return self
        return replace(
            self,
            graph=graph,
            parameters={(new.get(o, o), name): a for (o, name), a in self.parameters.items()},
            names={new.get(node_id, node_id): name for node_id, name in self.names.items()},
            problems=tuple(replace(p, node=new.get(p.node, p.node)) for p in self.problems),
        )

    def feed(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """Inputs by the file's names as the graph takes them: samples first, by input id.

        Raises OnnxError where one is missing or unknown.
        """
        found = {}
        for node_id, name in self.inputs.items():
            if name not in values:
                raise OnnxError(f"Input {name}: expected an array, received none.")
            array = np.asarray(values[name])
            found[node_id] = array if name in self.shown else array[None]
        extra = set(values) - set(self.inputs.values())
        if extra:
            raise OnnxError(
                f"Inputs: expected {', '.join(self.inputs.values())}, received "
                f"{', '.join(sorted(extra))} too."
            )
        return found

    def results(
        self, values: Callable[[Ref], Array], samples: int, graph: Graph | None = None
    ) -> dict[str, Array]:
        """Every output by the file's name, in the file's shape; ``values`` looks a tensor up.

        ``graph``: the part of the network that was run, where that is not all of it.
        """
        found = {}
        own = dict(self.graph.outputs)
        for name, ref in (graph or self.graph).outputs:
            array = values(ref)
            found[name] = array if name in self.shown or name not in own else array[0]
        for name, known in self.constants.items():
            a, b = known.first, known.second
            found[name] = a
            if a is b or not self.samples_free:
                continue
            if a.shape == b.shape and a.dtype.kind in "iu":
                found[name] = a + (b - a) * (samples - FREE[0])
            elif a.ndim and (len(a), len(b)) == FREE and all((row == a[0]).all() for row in b):
                found[name] = np.broadcast_to(a[:1], (samples, *a.shape[1:]))
        return found

    def project(self) -> Project:
        """The network as a project of the program."""
        prepared = None
        text = self.metadata.get("preprocessing")
        if isinstance(text, str):
            try:
                prepared = Preprocessing.from_dict(json.loads(text))
            except ValueError:
                prepared = None
        metadata = {
            k: v
            for k, v in self.metadata.items()
            if k not in ("labels", "preprocessing", "node_names")
        }
        own = {node_id: name for node_id, name in self.names.items() if name != node_id}
        if own:
            metadata["node_names"] = own
        report = [*self.notes, *(f"{p.node}: {p.operator}: {p.reason}" for p in self.problems)]
        return Project(
            self.graph,
            self.parameters,
            preprocessing=prepared,
            metadata={"title": self.graph.name, **metadata, "import": report},
            warnings=tuple(report),
        )


def read(
    source: str | os.PathLike[str] | bytes | onnx.ModelProto,
    *,
    shapes: Mapping[str, Sequence[int]] | None = None,
    values: Mapping[str, Array] | None = None,
    progress: Progress | None = None,
) -> Imported:
    """Open an ONNX file (or its bytes, or a model).

    ``shapes`` gives sizes that the file leaves open, by input name: those of a sample, or with
    the samples first (0 keeps their number free). ``values`` fixes inputs that are settings or
    weights. ``progress(done, all)`` is called before each node; what it raises ends the reading.

    Raises OnnxError: a damaged file, data outside the model's folder; SizesNeededError names sizes
    that are open; ValueNeededError an input that must be known.
    """
    file = load(source)
    try:
        return _read(file, shapes or {}, values or {}, progress)
    except MemoryError as error:
        raise OnnxError(
            f"{file.where}: expected weights that fit into memory, received more."
        ) from error
    except RecursionError as error:
        raise OnnxError(
            f"{file.where}: expected a network, received one nested too deep."
        ) from error


def _read(
    file: ModelFile,
    shapes: Mapping[str, Sequence[int]],
    values: Mapping[str, Array],
    progress: Progress | None,
) -> Imported:
    importer = Importer(file, FREE, shapes, values, progress)
    try:
        graph = importer.run()
    except MixesSamplesError:
        blamed = importer.blamed
        importer = Importer(file, ONE, shapes, values, progress)
        importer.note(
            "The network is opened for one sample at a time, because "
            + (f"{blamed} mixes samples." if blamed else "its inputs do not share their samples.")
        )
        try:
            graph = importer.run()
        except (MixesSamplesError, UnsupportedError) as error:
            raise _none(file, error) from error
    except UnsupportedError as error:
        raise _none(file, error) from error
    if importer.parameters:
        bits = {t.data_type for t in file.model.graph.initializer}
        for kind, name in ((10, "float16"), (16, "bfloat16")):
            if kind in bits:
                importer.note(f"Weights of type {name} are computed in float32.")
    graph = replace(graph, labels=_labels(file.model))
    graph = _with_loss(graph)
    names = [*importer.input_names.values(), *(name for name, _ in graph.outputs)]
    shown = {n for n in names if not getattr(importer.values[n], "hidden", False)}
    return Imported(
        graph,
        importer.parameters,
        importer.names,
        importer.input_names,
        (*file.notes, *importer.notes),
        tuple(importer.problems),
        importer.batches == FREE,
        _metadata(file),
        frozenset(shown),
        importer.constants,
    )


def _none(file: ModelFile, error: Exception) -> OnnxError:
    return OnnxError(
        f"{file.where}: expected a network that runs sample by sample, received one that does not"
        f"{f' ({error})' if str(error) else ''}."
    )


def _metadata(file: ModelFile) -> dict[str, Any]:
    model = file.model
    found: dict[str, Any] = {p.key: p.value for p in model.metadata_props}
    if model.producer_name:
        found["producer"] = f"{model.producer_name} {model.producer_version}".strip()
    found["opset"] = file.opset
    return found


def _labels(model: onnx.ModelProto) -> tuple[str, ...]:
    """Names of classes that the file carries (as this program and some others write them)."""
    for prop in model.metadata_props:
        if prop.key in ("labels", "names", "classes"):
            try:
                found = json.loads(prop.value)
            except ValueError:
                continue
            if isinstance(found, list) and all(isinstance(x, str) for x in found):
                return tuple(found)
    return ()


def _with_loss(graph: Graph) -> Graph:
    """With a cross-entropy at the scores of a classifier, so that it can be stepped backward.

    What a detector kept of its scores is no score of each class: their sum is followed instead.
    """
    specs = graph.infer().specs
    kept: Ref | None = None
    choosing = {n.id for n in graph.nodes if isinstance(n.layer, (ArgMax, Pick, TopK))}
    for name, ref in graph.outputs:
        node = graph.by_id.get(ref[0])
        if node is not None and isinstance(node.layer, (Softmax, LogSoftmax)):
            source = node.inputs[0]
            ref = source if source is not None else ref
        spec = specs.get(ref)
        if node is not None and choosing & {node.id, *graph.ancestors(node.id)}:
            if kept is None and isinstance(node.layer, (Pick, TopK)) and ref[1] == 0:
                kept = ref
            continue
        if spec is None or len(spec.shape) != 2 or spec.shape[1] < 2 or ref[0] in graph.input_ids:
            continue
        try:
            found = replace(graph, losses=(Loss("loss", CrossEntropy(), ref),))
            if not set(found.infer().errors) & {"loss"}:
                return found
        except GraphError:
            continue
        assert name
    if kept is not None:
        return replace(graph, losses=(Loss("loss", Total(), kept),))
    return graph
