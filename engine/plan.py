"""A plan is a graph made ready to run; ``Plan.run`` is the only way in which a network runs.

Training, the stepping window, the tour, the benchmarks and the command line exhaust the same
generator of steps.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

import numpy as np

from engine.binding import Binding, Blueprint, Choice, Kept, Situation
from engine.gains import takes_gains
from engine.graph import Graph, GraphError, Ref
from engine.kernels import PLAIN
from engine.layers.base import Array, Mode
from engine.optimizers import Optimizer
from engine.parameters import ParameterError, Parameters
from engine.trace import Gains, Key, Operation, Phase, Step, Trace
from engine.weights import OwnerName, Weights
from engine.workers import single_blas

TRACE_ROOM = 24 << 20
"""Bytes; nothing is written to them."""
KERNELS_VARIABLE = "GRADIENT_FLOW_KERNELS"
"""Environment variable that pins kernels where ``compile`` is given none: "plain" for every node,
or entries NODE=KERNEL with commas between them; nodes of other networks are passed over."""

Watch = Callable[[Operation, tuple[Array, ...]], None]
"""Hears an operation, and the arrays that it has just written."""


class BatchError(ValueError):
    """A batch does not fit the plan; names the input, expected and received."""


class RunError(RuntimeError):
    """A run was continued after a later one of the same plan had started."""


class NotKeptError(LookupError):
    """A tensor was asked for whose memory was used again within the run."""


class Keeper:
    """Copies the arrays of one run, each once; ``own`` are those that the run does not share."""

    def __init__(self, own: Iterable[Array]) -> None:
        # the array itself is held too: its id must not pass on to another one meanwhile
        self._copies = {id(array): (array, array) for array in own}

    def __call__(self, array: Array) -> Array:
        found = self._copies.get(id(array))
        if found is None:
            found = self._copies[id(array)] = (array, array.copy("K"))
        return found[1]


@dataclass(frozen=True)
class Batch:
    """Inputs by input id, (N, C, H, W) or (N, F), and targets by loss id."""

    inputs: Mapping[str, Array]
    targets: Mapping[str, Array] = field(default_factory=dict)

    @classmethod
    def of(cls, graph: Graph, x: Array, target: Array | None = None) -> Batch:
        """The batch of a graph with one input; every loss gets the same target."""
        targets = {} if target is None else {loss.id: target for loss in graph.losses}
        return cls({graph.inputs[0].id: x}, targets)


def compile(
    graph: Graph,
    parameters: Parameters,
    *,
    batch: int = 1,
    mode: Mode = "train",
    dtype: str = "float32",
    backward: bool = True,
    input_gradients: bool = True,
    pin: Mapping[str, str] | None = None,
    keep: Kept = "all",
    threads: int = 1,
) -> Plan:
    """Make a graph ready to run.

    ``batch`` samples a run; ``dtype`` float32 or float64; ``backward`` False leaves out what only
    gradients need; ``input_gradients`` asks for the gradients of the network's inputs too; ``pin``
    maps node ids to kernel names ("plain" always serves; without it the environment variable
    GRADIENT_FLOW_KERNELS may, see ``KERNELS_VARIABLE``). ``keep`` "results" saves memory: only
    the outputs, what the losses read, the gradients of inputs and those of the parameters are
    still there after a run (a trace has everything all the same). ``threads`` is how many threads
    share the work of an operation that is large enough; with another number, sums of weight
    gradients may differ in their last digits. They end with the plan, or with ``close``.

    Raises GraphError, CycleError, ShapeError, ParameterError or BatchError.
    """
    if batch < 1:
        raise BatchError(f"Batch: expected at least 1 sample, received {batch}.")
    if threads < 1:
        raise BatchError(f"Threads: expected at least 1, received {threads}.")
    if dtype not in ("float32", "float64"):
        raise ParameterError(f"dtype: expected float32 or float64, received {dtype!r}.")
    if unknown := set(pin or {}) - set(graph.by_id):
        raise GraphError(
            f"Pinned kernels: expected ids of nodes, received {', '.join(sorted(unknown))}."
        )
    if pin is None:
        pin = _pinned_by_environment(graph)
    inferred = graph.check(batch).specs
    specs = {ref: replace(spec, dtype=dtype) for ref, spec in inferred.items()}
    weights = Weights(graph.parameter_specs(specs), parameters, dtype)
    backward = backward and bool(graph.losses)
    needs = _wanted_gradients(graph, weights, input_gradients) if backward else frozenset()
    blueprint = Blueprint(
        graph,
        graph.order,
        specs,
        needs,
        mode,
        dtype,
        backward,
        dict(pin),
        keep,
        threads,
    )
    return Plan(blueprint, weights, batch)


def _pinned_by_environment(graph: Graph) -> dict[str, str]:
    """The kernels that ``KERNELS_VARIABLE`` pins in this network. Raises GraphError."""
    text = os.environ.get(KERNELS_VARIABLE, "").strip()
    if text == PLAIN.name:
        return dict.fromkeys(graph.by_id, PLAIN.name)
    found = {}
    for entry in filter(None, map(str.strip, text.split(","))):
        node, _, kernel = entry.rpartition("=")
        if not node or not kernel:
            raise GraphError(
                f"{KERNELS_VARIABLE}: expected {PLAIN.name}, or entries NODE=KERNEL with commas "
                f"between them, received {entry!r}. Correct or unset it."
            )
        if node.strip() in graph.by_id:
            found[node.strip()] = kernel.strip()
    return found


def _wanted_gradients(graph: Graph, weights: Weights, inputs: bool) -> frozenset[Ref]:
    """Tensors on a way from something whose gradient is wanted to a loss."""
    trained = {owner for owner, _ in weights.slices}
    wanted = set(graph.input_ids) if inputs else set()
    for node in graph.order:
        if node.owner in trained or any(r is not None and r[0] in wanted for r in node.inputs):
            wanted.add(node.id)
    return frozenset(ref for ref in graph.senders if ref[0] in wanted)


class Plan:
    """A graph ready to run; made by :func:`compile`."""

    def __init__(self, blueprint: Blueprint, weights: Weights, batch: int) -> None:
        self.graph, self.specs, self.batch = blueprint.graph, blueprint.specs, batch
        self.mode, self.dtype = blueprint.mode, blueprint.dtype
        self.weights = weights
        self._blueprint = blueprint
        self._situation = Situation(blueprint.mode)
        self._runs = self._updates = 0
        self._binding = Binding(blueprint, weights, self._situation)
        # glibc hands freed memory back to the system at once, so that each traced run would wait
        # for its pages anew, until it has seen an array of this size come and go
        np.empty(TRACE_ROOM, np.uint8)

    def run(
        self,
        batch: Batch,
        *,
        key: tuple[int, int] = (0, 0),
        backward: bool = True,
        optimizer: Optimizer | None = None,
        trace: Trace | None = None,
        gains: Gains | None = None,
        watch: Watch | None = None,
    ) -> Iterator[Step]:
        """Run once, yielding a Step after each operation has been carried out.

        ``key`` = (seed, step) decides all randomness. Without targets the run ends after forward;
        with ``optimizer`` it ends with the updates. With ``trace`` every array is recorded, as a
        copy. ``gains`` is a what-if, by (id of a join, input slot; see ``engine.gains``): that
        input counts times the factor, and so does the gradient that goes back along it; 0 mutes
        it. ``watch`` hears each
        operation with the arrays that it wrote, in the order of its writes: it may read them while
        it is called, later operations may use their memory. A run may be abandoned; once another
        has started, it cannot go on. Raises BatchError, or GraphError for the gain of an input that
        is not there, at the first step, and RunError when a later run has taken its buffers.
        """
        gains = self._checked_gains(gains)
        inputs = self._inputs(batch, copy=trace is not None)
        phases = self._phases(batch, backward, optimizer)
        binding, situation = self._binding, self._situation
        binding.values.update(inputs)
        run, updates = self._runs, self._updates
        self._runs += 1
        self._updates += "update" in phases
        situation.key = key
        situation.targets = batch.targets
        situation.optimizer = optimizer
        situation.update = self._updates
        situation.gains = gains
        keep = Keeper(inputs.values())
        if trace is not None:
            trace.gains = gains
            self._give(trace, inputs, run, updates)
        # threads that share an operation must not wait for one BLAS; the caller gets its own back
        with single_blas() if binding.workers.count > 1 else nullcontext():
            for index, op in enumerate(binding.ops_of(phases)):
                if self._runs != run + 1:
                    raise RunError(
                        f"Run {run}, step {index}: expected to be the latest run of its plan, but "
                        f"run {self._runs - 1} has started. Exhaust or close a run before the next."
                    )
                arrays = op.work()
                if watch is not None:
                    watch(op.operation, arrays)
                step = Step(index, op.operation, run, updates)
                if trace is not None:
                    if op.operation.phase == "update":
                        self.weights.hold()  # what an update wrote is recorded as it is
                    else:
                        arrays = tuple([keep(array) for array in arrays])
                    trace.record(step, arrays, op.saved(keep) if op.saved else {})
                yield step

    def _checked_gains(self, gains: Gains | None) -> Gains:
        for node_id, slot in gains or ():
            node = self.graph.by_id.get(node_id)
            inputs = node.inputs if node is not None and takes_gains(node.layer) else ()
            if not 0 <= slot < len(inputs) or inputs[slot] is None:
                raise GraphError(
                    "What-if: expected a connected input of an Add, a Concat or a Mul, received "
                    f"{node_id}, input {slot + 1}. Reset the what-if."
                )
        return dict(gains or {})

    def _give(self, trace: Trace, inputs: Mapping[Ref, Array], run: int, updates: int) -> None:
        """Record what is there before the first step."""
        self.weights.hold()
        trace.give({Key("value", ref, run): array for ref, array in inputs.items()})
        trace.give(
            {
                Key("param" if k in self.weights.slices else "statistic", k, updates): (
                    self.weights.by_owner[k[0]][k[1]]
                )
                for k in self.weights.specs
            }
        )

    def _phases(
        self, batch: Batch, backward: bool, optimizer: Optimizer | None
    ) -> frozenset[Phase]:
        losses = {loss.id for loss in self.graph.losses}
        if not losses or not batch.targets:
            return frozenset(("forward",))
        if missing := losses - set(batch.targets):
            raise BatchError(f"Targets: expected one for {', '.join(sorted(missing))}.")
        phases: set[Phase] = {"forward", "loss"}
        if backward and self._blueprint.backward:
            phases |= {"backward", "accumulate"}
            if optimizer is not None:
                phases.add("update")
        return frozenset(phases)

    def _inputs(self, batch: Batch, copy: bool) -> dict[Ref, Array]:
        """The batch's inputs in the plan's dtype, checked; a record gets copies."""
        found: dict[Ref, Array] = {}
        for entry in self.graph.inputs:
            if entry.id not in batch.inputs:
                raise BatchError(f"Input {entry.id}: expected an array, received none.")
            x = np.asarray(batch.inputs[entry.id])
            wanted = (self.batch, *entry.shape)
            if x.shape != wanted:
                raise BatchError(
                    f"Input {entry.id}: expected shape {wanted} (samples first), "
                    f"received {x.shape}."
                )
            if x.dtype.kind not in "fiub":
                raise BatchError(f"Input {entry.id}: expected numbers, received {x.dtype}.")
            found[entry.id, 0] = np.array(x, self.dtype) if copy else np.asarray(x, self.dtype)
        return found

    # ---- results of the last run -----------------------------------------------------------

    def value(self, ref: Ref) -> Array:
        """The tensor as the last run left it; the next run may write to its buffer.

        Raises NotKeptError where the plan keeps results only.
        """
        results = {r for _, r in self.graph.outputs} | {x.input for x in self.graph.losses}
        self._check_kept("tensor", ref, ref in results)
        return self._binding.values[ref]

    def output(self, name: str | None = None) -> Array:
        """An output of the last run (the first one unless named)."""
        return self.value(dict(self.graph.outputs)[name] if name else self.graph.outputs[0][1])

    def loss(self) -> float:
        """Weighted sum of the losses of the last run."""
        return sum(self._binding.losses[x.id] * x.weight for x in self.graph.losses)

    def gradient(self, ref: Ref) -> Array | None:
        """The gradient of a tensor in the last run, or None where it was not asked for.

        Raises NotKeptError where the plan keeps results only.
        """
        self._check_kept("gradient", ref, False)
        return self._binding.grads.get(ref)

    def _check_kept(self, what: str, ref: Ref, result: bool) -> None:
        if self._blueprint.keep != "all" and not result and ref[0] not in self.graph.input_ids:
            raise NotKeptError(
                f"{what.capitalize()} of {ref[0]}: expected one that the plan keeps, received one "
                "whose memory it has used again. Compile with keep='all', or record a trace."
            )

    def parameter_gradients(self) -> dict[OwnerName, Array]:
        """Views of the trained parameters' gradients of the last run."""
        return self.weights.gradient_views(self._binding.gradient)

    def parameters(self) -> dict[OwnerName, Array]:
        """Copies of all parameters and running statistics as they are now."""
        return self.weights.copy()

    @property
    def updates(self) -> int:
        """Updates that were made or begun; an optimizer's step counts them, from 1."""
        return self._updates

    def go_on(self, updates: int, optimizer: Optimizer, state: Sequence[Array]) -> None:
        """Let training go on after ``updates`` updates, with the optimizer's vectors."""
        self._updates = updates
        self.weights.set_optimizer_state(optimizer, state)

    def operations(self) -> tuple[Operation, ...]:
        """All operations of a full run, in order."""
        return tuple(op.operation for op in self._binding.ops)

    def close(self) -> None:
        """End the plan's own threads; a later run starts them again."""
        self._binding.workers.close()

    @property
    def memory(self) -> int:
        """Bytes of the memory that arrays of this plan share."""
        return self._binding.arena.nbytes

    @property
    def choices(self) -> tuple[Choice, ...]:
        """The kernel chosen for each node."""
        return tuple(self._binding.choices)

    def explain(self) -> str:
        """The chosen kernel of each node, as a table."""
        return "\n".join(f"{c.node:<24s} {c.layer:<16s} {c.kernel}" for c in self.choices)


def exhaust(steps: Iterator[Step]) -> None:
    """Run a generator of steps to its end."""
    deque(steps, maxlen=0)
