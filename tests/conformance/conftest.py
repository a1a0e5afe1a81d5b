"""Running onnx's own backend tests: which of them are ours, and what became of each."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

from engine.graph import Loss
from engine.layers.base import Array
from engine.onnx import Imported, ValueNeededError, read
from engine.onnx.site import IMPORTS, PARTIAL
from engine.plan import Batch, compile, exhaust

NUMBERS = {
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.INT32: "whole",
    onnx.TensorProto.INT64: "whole",
    onnx.TensorProto.BOOL: "true or false",
}
LARGEST_RANK = 4
REASONS = {
    "mixes samples": "samples are mixed before an operator that works on each sample",
    "region of interest": "a region of interest (tf_crop_and_resize)",
    "storage_order": "places counted by columns",
    "parts of": "a part without a single number",
}
"""What importing says of a form that no layer has, and under which head it is counted."""


class ExcludedError(Exception):
    """The test asks for something outside the scope; says what."""


@dataclass
class Report:
    """What became of the tests of one kind."""

    passed: list[str] = field(default_factory=list)
    outside: Counter[str] = field(default_factory=Counter)
    """Tests of other operators, types, ranks."""
    excluded: dict[str, str] = field(default_factory=dict)
    """Tests of our operators that are left out all the same, and why."""
    failed: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [
            f"passed {len(self.passed)}, excluded {len(self.excluded)}, failed {len(self.failed)}"
        ]
        lines += [f"  not ours: {n} with {reason}" for reason, n in self.outside.most_common()]
        for reason, count in Counter(self.excluded.values()).most_common():
            lines.append(f"  excluded: {count} because of {reason}")
        lines += [f"  FAILED {name}: {why}" for name, why in self.failed.items()]
        return "\n".join(lines)


@dataclass(frozen=True)
class Trial:
    """A model with inputs in the order of its graph and the outputs that are expected."""

    name: str
    model: onnx.ModelProto
    pairs: tuple[tuple[list[Array], list[Array]], ...]
    rtol: float
    atol: float


def trials(kind: str) -> Iterator[Trial]:
    """onnx's tests of that kind. "node" tests are computed anew, the others are files."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # onnx's own, while it computes what is expected
        cases = load_model_tests(kind=kind)
    for case in cases:
        if case.model is not None:
            pairs = tuple(case.data_sets or ())
            yield Trial(case.name, case.model, pairs, case.rtol, case.atol)
            continue
        folder = Path(case.model_dir)
        model = onnx.load(folder / "model.onnx")
        pairs = tuple(
            (_tensors(data, "input"), _tensors(data, "output"))
            for data in sorted(folder.glob("test_data_set_*"))
        )
        yield Trial(case.name, model, pairs, case.rtol, case.atol)


def _tensors(folder: Path, stem: str) -> list[Array]:
    count = len(list(folder.glob(f"{stem}_*.pb")))
    found = []
    for number in range(count):
        content = (folder / f"{stem}_{number}.pb").read_bytes()
        tensor = onnx.TensorProto()
        tensor.ParseFromString(content)
        found.append(numpy_helper.to_array(tensor))
    return found


def outside(trial: Trial) -> str | None:
    """Why a test is none of ours: by operator, type and rank, never by name."""
    graph = trial.model.graph
    operators = {n.op_type for n in graph.node if n.domain in ("", "ai.onnx")}
    others = {n.op_type for n in graph.node if n.domain not in ("", "ai.onnx")}
    if others or operators - (set(IMPORTS) - PARTIAL):
        return "other operators"
    for entry in (*graph.input, *graph.output):
        if not entry.type.HasField("tensor_type"):
            return "sequences, maps or optional values"
        if entry.type.tensor_type.elem_type not in NUMBERS:
            return "other types than float32, int32, int64 and bool"
    arrays = [np.asarray(a) for pair in trial.pairs for part in pair for a in part]
    if any(a.ndim > LARGEST_RANK for a in arrays):
        return f"more than {LARGEST_RANK} axes"
    if any(a.size == 0 for a in arrays):
        return "tensors without a single number"
    return None


def run(model: onnx.ModelProto, arrays: list[Array]) -> list[Array]:
    """The outputs of a model by our engine; raises ExcludedError for a form that no layer has."""
    initial = {t.name for t in model.graph.initializer}
    names = [i.name for i in model.graph.input if i.name not in initial]
    given = dict(zip(names, arrays, strict=True))
    imported, values = opened(model, given)
    for problem in imported.problems:
        head = next((text for key, text in REASONS.items() if key in problem.reason), None)
        if head is not None:
            raise ExcludedError(head)
        if problem.missing:
            raise AssertionError(f"{problem.operator}: {problem.reason}")
    plan = None
    samples = 1
    if imported.graph.nodes or imported.graph.inputs:
        feed = imported.feed({k: v for k, v in given.items() if k not in values})
        samples = len(next(iter(feed.values()))) if feed else 1
        plan = compile(
            imported.graph, imported.parameters, batch=samples, mode="eval", backward=False
        )
        exhaust(plan.run(Batch(feed)))
    found = imported.results(plan.value if plan else _nothing, samples)
    return [found[entry.name] for entry in model.graph.output]


def opened(model: onnx.ModelProto, given: Mapping[str, Array]) -> tuple[Imported, set[str]]:
    """The model, with inputs that layers have as parameters or settings fixed to their values."""
    values: dict[str, Array] = {}
    while True:
        shapes = {k: v.shape for k, v in given.items() if k not in values}
        try:
            return read(model, shapes=shapes, values=values), set(values)
        except ValueNeededError as error:
            assert error.name not in values
            values[error.name] = np.asarray(given[error.name])


def _nothing(ref: Any) -> Array:
    raise AssertionError(f"{ref}: nothing was computed")


def judge(kind: str) -> Report:
    """Run all tests of a kind."""
    report = Report()
    for trial in trials(kind):
        reason = outside(trial)
        if reason is not None:
            report.outside[reason] += 1
            continue
        if excluded := out_of_reach(trial):
            report.excluded[trial.name] = excluded
            continue
        try:
            with np.errstate(all="ignore"):
                for inputs, outputs in trial.pairs:
                    compare(run(trial.model, inputs), outputs, trial)
        except ExcludedError as error:
            report.excluded[trial.name] = str(error)
        except Exception as error:
            why = " ".join(str(error).split())[:160]
            report.failed[trial.name] = f"{type(error).__name__}: {why}"
        else:
            report.passed.append(trial.name)
    return report


def out_of_reach(trial: Trial) -> str | None:
    """What no backend without the same random numbers, or without IEEE corners, can agree on."""
    for node in trial.model.graph.node:
        if node.op_type == "Dropout" and len(node.input) > 2 and node.input[2]:
            order = [i.name for i in trial.model.graph.input]
            if node.input[2] in order and trial.pairs[0][0][order.index(node.input[2])]:
                return "a random mask"
        if node.op_type == "Mod" and not all(
            np.isfinite(a).all() for a in trial.pairs[0][0] if a.dtype.kind == "f"
        ):
            return "remainders of infinity"
    return None


def compare(found: list[Array], expected: list[Array], trial: Trial) -> None:
    """Assert that outputs agree within the test's own tolerance."""
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        theirs = np.asarray(theirs)
        assert ours.shape == theirs.shape, f"shape {ours.shape}, expected {theirs.shape}"
        np.testing.assert_allclose(
            ours.astype(np.float64), theirs.astype(np.float64), trial.rtol, trial.atol
        )


@pytest.fixture(name="judge")
def judge_fixture() -> Callable[[str], Report]:
    return judge


# ---- gradients -------------------------------------------------------------------------------


@dataclass
class Slopes:
    """Directional derivatives of imported models against differences."""

    agreed: list[str] = field(default_factory=list)
    flat: list[str] = field(default_factory=list)
    """Nothing changes with the inputs, and the gradient is zero."""
    kinked: list[str] = field(default_factory=list)
    """Differences of two step sizes do not agree: there is no derivative to compare with."""
    wrong: dict[str, str] = field(default_factory=dict)


def slopes() -> Slopes:
    """Each of onnx's node tests that we pass, with the sum of its first output's numbers."""
    found = Slopes()
    for trial in trials("node"):
        if outside(trial) or out_of_reach(trial) or len(trial.model.graph.node) > 3:
            continue
        arrays = trial.pairs[0][0]
        names = [i.name for i in trial.model.graph.input]
        try:
            with np.errstate(all="ignore"):
                imported, values = opened(trial.model, dict(zip(names, arrays, strict=True)))
                given = dict(zip(names, arrays, strict=True))
                feed = imported.feed({k: v for k, v in given.items() if k not in values})
                if imported.problems or not imported.graph.outputs or not feed:
                    continue
                _slope(trial.name, imported, feed, found)
        except (ValueError, AssertionError):
            continue  # counted by the tests of outputs
    return found


def _slope(name: str, imported: Imported, feed: Mapping[str, Array], found: Slopes) -> None:
    graph = imported.graph
    ref = graph.outputs[0][1]
    rng = np.random.default_rng(3)
    if ref[0] in graph.input_ids:
        return
    shape = graph.infer(len(next(iter(feed.values())))).specs[ref].shape
    weights = rng.standard_normal(shape[1:] or (1,)).astype("float32")
    graph = replace(graph, losses=(Loss("loss", Weighted(weights.reshape(shape[1:])), ref),))
    # away from ties and from corners at whole numbers, where there is no derivative
    exact = {k: v + 0.01 * rng.standard_normal(v.shape) for k, v in feed.items()}
    samples = len(next(iter(exact.values())))
    plan = compile(graph, imported.parameters, batch=samples, mode="eval", dtype="float64")
    target = {"loss": np.zeros(samples, int)}
    exhaust(plan.run(Batch(exact, target)))
    gradients = {}
    for entry in graph.inputs:
        gradient = plan.gradient((entry.id, 0))
        gradients[entry.id] = (
            np.zeros_like(exact[entry.id]) if gradient is None else gradient.copy()
        )
    ways = {k: rng.standard_normal(v.shape) for k, v in exact.items()}
    claimed = sum(float((gradients[k] * ways[k]).sum()) for k in exact)

    def difference(step: float) -> float:
        ends = []
        for sign in (1, -1):
            moved = {k: v + sign * step * ways[k] for k, v in exact.items()}
            exhaust(plan.run(Batch(moved, target), backward=False))
            ends.append(float((plan.value(ref) * weights.reshape(shape[1:])).sum()))
        return (ends[0] - ends[1]) / (2 * step)

    coarse, fine = difference(1e-5), difference(2.5e-6)
    scale = max(1e-6, abs(coarse), abs(claimed))
    if not np.isfinite([coarse, fine, claimed]).all() or abs(coarse - fine) > 1e-4 * scale:
        found.kinked.append(name)
    elif coarse == claimed == 0:
        found.flat.append(name)
    elif abs(claimed - coarse) <= 1e-4 * scale:
        found.agreed.append(name)
    else:
        found.wrong[name] = f"backward {claimed:.9g}, measured {coarse:.9g}"


@dataclass(frozen=True)
class Weighted:
    """The sum of a tensor's numbers times fixed factors, over all samples."""

    factors: Array
    title: ClassVar[str] = "Weighted sum"

    def check(self, spec: Any) -> None:
        assert spec.shape[1:] == self.factors.shape

    def forward(self, x: Array, target: Array) -> tuple[Array, Mapping[str, Array]]:
        return np.asarray((x * self.factors).sum()), {"shape": np.array(x.shape)}

    def backward(self, saved: Mapping[str, Array], weight: float = 1.0) -> Array:
        shape = tuple(int(n) for n in saved["shape"])
        return np.broadcast_to(self.factors.astype(np.float64), shape).copy()

    def reads(self, saved: Any, x: Array, sample: int = 0) -> Any:
        raise NotImplementedError

    def feeds(self, cell: Any, saved: Any, sample: int = 0, weight: float = 1) -> Any:
        raise NotImplementedError


@pytest.fixture(name="slopes")
def slopes_fixture() -> Callable[[], Slopes]:
    return slopes
