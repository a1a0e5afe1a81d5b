"""Buffers and operations of a run: forward, loss, backward, accumulate, update, in order.

A binding is made once and run many times; each run writes to the same buffers, and a trace takes
copies. (Fresh buffers for each traced run were measured too: making them anew took longer than a
LeNet step, and a trace then also kept every border and workspace alive.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from engine.arena import Arena
from engine.graph import Graph, GraphError, Loss, Node, Ref
from engine.kernels import KERNELS, PLAIN
from engine.kernels.base import PASS_NS, Bound, Site, like
from engine.layers.base import Array, Ctx, Mode, Spec
from engine.lives import NodeMemory, Schedule
from engine.optimizers import Optimizer
from engine.trace import Kind, Operand, Operation, Phase
from engine.weights import OwnerName, Weights
from engine.workers import ALONE, Workers, controls_blas, slices_of

Saved = Mapping[str, Array | Callable[[], Array]]
Kept = Literal["all", "results"]
"""Which tensors and gradients are still there after a run: all, or outputs, what losses read and
gradients of the network's inputs. The memory of the others is used again within the run."""
Keep = Callable[[Array], Array]
"""Turns an array of a run into one that later runs do not write to."""


@dataclass
class Situation:
    """What a run is about: changes from run to run, read by the operations."""

    mode: Mode = "eval"
    key: tuple[int, int] = (0, 0)
    targets: Mapping[str, Array] = field(default_factory=dict)
    optimizer: Optimizer | None = None
    update: int = 0
    gains: Mapping[tuple[str, int], float] = field(default_factory=dict)

    def scaled(self, array: Array, reader: str, slot: int) -> Array:
        """An input, or the gradient that goes back along it, times the what-if's factor."""
        gain = self.gains.get((reader, slot))
        return array if gain is None else np.multiply(array, gain, dtype=array.dtype)


@dataclass(frozen=True)
class Blueprint:
    """What a plan has found out about its graph."""

    graph: Graph
    order: tuple[Node, ...]
    specs: Mapping[Ref, Spec]
    needs: frozenset[Ref]
    mode: Mode
    dtype: str
    backward: bool
    pin: Mapping[str, str]
    keep: Kept = "all"
    threads: int = 1


@dataclass(frozen=True)
class Choice:
    """Which form runs a node."""

    node: str
    layer: str
    kernel: str


@dataclass(frozen=True)
class Op:
    """A piece of work: carries out its operation and returns the arrays that it wrote."""

    operation: Operation
    work: Callable[[], tuple[Array, ...]]
    saved: Callable[[Keep], Saved] | None = None


class Binding:
    """Allocates buffers and lays out the operations of a blueprint."""

    def __init__(self, blueprint: Blueprint, weights: Weights, situation: Situation) -> None:
        self.blueprint, self.weights, self.situation = blueprint, weights, situation
        self.values: dict[Ref, Array] = {}
        self.grads: dict[Ref, Array] = {}
        self.losses: dict[str, float] = {}
        self.gradient = np.zeros(weights.flat.size if blueprint.backward else 0, blueprint.dtype)
        self._gradient_views: dict[str, dict[str, Array]] = {}
        if blueprint.backward:
            for (owner, name), view in weights.gradient_views(self.gradient).items():
                self._gradient_views.setdefault(owner, {})[name] = view
        self.ops: list[Op] = []
        self._by_phases: dict[frozenset[Phase], tuple[Op, ...]] = {}
        self.choices: list[Choice] = []
        self._saved: dict[str, Mapping[str, Array]] = {}
        self._bounds: dict[str, Bound] = {}
        self._dparams: dict[str, dict[str, Array]] = {}
        self._parts: dict[tuple[str, int], Array] = {}
        self._new_statistics: dict[OwnerName, Array] = {}
        self._active = [
            node for node in blueprint.order if any(r in blueprint.needs for r in self._ports(node))
        ]
        self._sharers: dict[str, list[str]] = {}
        for node in self._active:
            self._sharers.setdefault(node.owner, []).append(node.id)
        self._contributions = self._count_contributions()

        self.arena = Arena()
        several = blueprint.threads > 1 and controls_blas()
        self.workers = Workers(blueprint.threads) if several else ALONE
        self._sums: dict[Ref, Array] = {}
        self._bind_nodes()
        for number, node in enumerate(blueprint.order):
            self._forward(number, node)
        for loss in blueprint.graph.losses:
            self._loss(loss)
        if blueprint.backward:
            self._backward_schedule()
            self._updates()

    def ops_of(self, phases: frozenset[Phase]) -> tuple[Op, ...]:
        """The operations of these phases, in order."""
        found = self._by_phases.get(phases)
        if found is None:
            found = tuple(op for op in self.ops if op.operation.phase in phases)
            self._by_phases[phases] = found
        return found

    # ---- the shape of the schedule ---------------------------------------------------------

    def _ports(self, node: Node) -> list[Ref]:
        ports, port = [], 0
        while (node.id, port) in self.blueprint.specs:
            ports.append((node.id, port))
            port += 1
        return ports

    def _count_contributions(self) -> dict[Ref, int]:
        """How many gradients will arrive at each tensor that needs one."""
        senders = {n.id for n in self._active} | {x.id for x in self.blueprint.graph.losses}
        readers = self.blueprint.graph.readers
        return {
            ref: sum(who in senders for who, _ in readers.get(ref, ()))
            for ref in self.blueprint.needs
        }

    def _grad(self, ref: Ref, written: int | None = None) -> Operand:
        """The gradient of a tensor after ``written`` writes of this run (None: complete)."""
        per_run = max(1, self._contributions.get(ref, 1) - 1)
        return Operand("grad", ref, (per_run if written is None else written) - 1, per_run)

    def _param_grad(self, key: OwnerName, written: int | None = None) -> Operand:
        per_run = max(1, len(self._sharers.get(key[0], ())) - 1)
        return Operand("param_grad", key, (per_run if written is None else written) - 1, per_run)

    def _contribution(self, ref: Ref, reader: str, slot: int) -> Operand:
        """What a reader writes: the gradient itself, or its part when there are several."""
        return self._grad(ref) if self._contributions[ref] == 1 else Operand("part", (reader, slot))

    # ---- forward ---------------------------------------------------------------------------

    def _bind_nodes(self) -> None:
        """Choose and bind all kernels, in two rounds: see the arena."""
        blueprint, readers = self.blueprint, self.blueprint.graph.readers
        sites = {node.id: self._site(node) for node in blueprint.order}
        kernels = {node.id: self._choose(node, sites[node.id]) for node in blueprint.order}
        for node in blueprint.order:
            choice = Choice(node.id, type(node.layer).__name__, kernels[node.id].name)
            self.choices.append(choice)
        active = frozenset(node.id for node in self._active) if blueprint.backward else frozenset()
        losses = {x.id for x in blueprint.graph.losses}
        senders = {
            ref: tuple(who for who, _ in readers.get(ref, ()) if who in active or who in losses)
            for ref in blueprint.needs
        }
        schedule = Schedule(blueprint.graph, blueprint.order, kernels, active, senders)
        shared = blueprint.keep == "results"
        memories = {
            node.id: NodeMemory(self.arena, schedule.of_node(node, shared))
            for node in blueprint.order
        }
        forked = [ref for ref, who in senders.items() if len(who) > 1]
        for laid_out in (False, True):
            for node_id, site in sites.items():
                site = replace(site, memory=memories[node_id])
                self._bounds[node_id] = kernels[node_id].bind(site)
            for ref in forked:
                size, lives = math.prod(blueprint.specs[ref].shape), schedule.of_sum(ref)
                self._sums[ref] = (
                    self.arena.take(size, blueprint.dtype, lives)
                    if shared
                    else np.empty(size, blueprint.dtype)
                )
            if not laid_out:
                self.arena.lay_out()

    def _site(self, node: Node) -> Site:
        blueprint = self.blueprint
        refs = node.sources
        shared = len(self._sharers.get(node.owner, ())) > 1
        self._dparams[node.id] = {
            name: np.zeros_like(view) if shared else view
            for name, view in self._gradient_views.get(node.owner, {}).items()
        }
        return Site(
            node.layer,
            tuple(blueprint.specs[r] for r in refs),
            tuple(blueprint.specs[r] for r in self._ports(node)),
            tuple(r in blueprint.needs for r in refs),
            self._dparams[node.id],
            blueprint.backward,
            workers=self.workers,
        )

    def _choose(self, node: Node, site: Site) -> Any:
        wanted = self.blueprint.pin.get(node.id)
        if wanted == PLAIN.name:
            return PLAIN
        for kernel in KERNELS:
            fits = type(node.layer) is kernel.layer and wanted in (None, kernel.name)
            if fits and kernel.offers(site):
                return kernel
        if wanted is not None:
            raise GraphError(
                f"{node.id}: expected a kernel that serves it, received {wanted!r}. Pin 'plain'."
            )
        return PLAIN

    def _forward(self, number: int, node: Node) -> None:
        bound, owner, values = self._bounds[node.id], node.owner, self.values
        refs, slots = node.sources, node.slots
        ports = self._ports(node)
        p = self.weights.by_owner.get(owner, {})
        situation, saved, fresh = self.situation, self._saved, self._new_statistics
        node_id, first, rest = node.id, ports[0], ports[1:]

        def work() -> tuple[Array, ...]:
            ctx = Ctx(situation.mode, (*situation.key, number))
            xs = [values[r] for r in refs]
            if situation.gains:
                xs = [situation.scaled(x, node_id, s) for x, s in zip(xs, slots, strict=True)]
            ys, kept, statistics = bound.forward(p, *xs, ctx=ctx)
            values[first] = ys[0]
            if rest:
                values.update(zip(rest, ys[1:], strict=True))
            saved[node_id] = kept
            for name, statistic in statistics.items():
                fresh[owner, name] = statistic
            return ys

        def describe(keep: Keep) -> Saved:
            return bound.describe({name: keep(array) for name, array in saved[node_id].items()})

        reads = [Operand("value", r) for r in refs]
        for key, spec in self.weights.specs.items():
            if key[0] == owner:
                kind: Kind = "param" if spec.kind == "weight" else "statistic"
                reads.append(Operand(kind, key, 0, 0))
        writes = tuple(Operand("value", r) for r in ports)
        operation = Operation("forward", node.id, tuple(reads), writes)
        self.ops.append(Op(operation, work, describe))

    def _loss(self, loss: Loss) -> None:
        values, saved, situation = self.values, self._saved, self.situation

        def work() -> tuple[Array, ...]:
            value, saved[loss.id] = loss.function.forward(
                values[loss.input], situation.targets[loss.id]
            )
            self.losses[loss.id] = float(value)
            return (value,)

        operation = Operation(
            "loss", loss.id, (Operand("value", loss.input),), (Operand("value", (loss.id, 0)),)
        )

        def describe(keep: Keep) -> Saved:
            return {name: keep(array) for name, array in saved[loss.id].items()}

        self.ops.append(Op(operation, work, describe))

    # ---- backward --------------------------------------------------------------------------

    def _backward_schedule(self) -> None:
        """Losses first, then the nodes in reverse; sums as soon as their last part is there."""
        arrived: dict[Ref, list[tuple[str, int]]] = {}
        param_arrived: dict[OwnerName, list[str]] = {}

        def arrive(ref: Ref, reader: str, slot: int) -> None:
            who = arrived.setdefault(ref, [])
            who.append((reader, slot))
            if len(who) == self._contributions[ref] > 1:
                self._accumulate(ref, who)

        for loss in reversed(self.blueprint.graph.losses):
            if loss.input in self.blueprint.needs:
                self._loss_backward(loss)
                arrive(loss.input, loss.id, 0)
        numbers = {n.id: i for i, n in enumerate(self.blueprint.order)}
        for node in reversed(self._active):
            self._backward(numbers[node.id], node)
            for slot, ref in enumerate(node.inputs):
                if ref is not None and ref in self.blueprint.needs:
                    arrive(ref, node.id, slot)
            sharers = self._sharers[node.owner]
            for name in self._dparams[node.id] if len(sharers) > 1 else ():
                nodes = param_arrived.setdefault((node.owner, name), [])
                nodes.append(node.id)
                if len(nodes) == len(sharers):
                    self._accumulate_shared((node.owner, name), nodes)

    def _deliver(self, ref: Ref, reader: str, slot: int, array: Array) -> None:
        if self._contributions[ref] == 1:
            self.grads[ref] = array
        else:
            self._parts[reader, slot] = array

    def _loss_backward(self, loss: Loss) -> None:
        def work() -> tuple[Array, ...]:
            dx = loss.function.backward(self._saved[loss.id], loss.weight)
            self._deliver(loss.input, loss.id, 0, dx)
            return (dx,)

        operation = Operation(
            "backward",
            loss.id,
            (Operand("value", loss.input), Operand("value", (loss.id, 0))),
            (self._contribution(loss.input, loss.id, 0),),
        )
        self.ops.append(Op(operation, work))

    def _backward(self, number: int, node: Node) -> None:
        bound, owner, grads, needs = (
            self._bounds[node.id],
            node.owner,
            self.grads,
            self.blueprint.needs,
        )
        ports = self._ports(node)
        connected = list(zip(node.slots, node.sources, strict=True))
        need = tuple(ref in needs for _, ref in connected)
        p = self.weights.by_owner.get(owner, {})
        names = tuple(self._dparams[node.id])
        situation, saved = self.situation, self._saved
        for ref in ports:
            if not self._contributions.get(ref):  # nobody reads this output: its gradient is zero
                grads[ref] = np.zeros(self.blueprint.specs[ref].shape, self.blueprint.dtype)

        # where each input gradient goes: (position among the inputs, store, its key)
        places: list[tuple[int, dict[Any, Array], Any]] = []
        for position, (slot, ref) in enumerate(connected):
            if ref in needs and self._contributions[ref] == 1:
                places.append((position, self.grads, ref))
            elif ref in needs:
                places.append((position, self._parts, (node.id, slot)))

        def work() -> tuple[Array, ...]:
            ctx = Ctx(situation.mode, (*situation.key, number))
            dys = tuple([grads[r] for r in ports])
            dxs, dparams = bound.backward(p, saved[node.id], dys, need, ctx)
            written: list[Array] = []
            for position, store, key in places:
                dx = dxs[position]
                if dx is None:
                    raise TypeError(f"{node.id}: expected a gradient of input {position + 1}.")
                if situation.gains:
                    dx = situation.scaled(dx, node.id, connected[position][0])
                store[key] = dx
                written.append(dx)
            written += [dparams[name] for name in names]
            return tuple(written)

        reads = [self._grad(r) for r in ports if self._contributions.get(r)]
        reads += [Operand("value", r) for _, r in connected]
        reads += [Operand("param", (owner, name), 0, 0) for name in names]
        writes = [self._contribution(r, node.id, slot) for slot, r in connected if r in needs]
        for name in names:
            shared = len(self._sharers[owner]) > 1
            writes.append(
                Operand("param_part", (node.id, name))
                if shared
                else self._param_grad((owner, name))
            )
        self.ops.append(Op(Operation("backward", node.id, tuple(reads), tuple(writes)), work))

    def _accumulate(self, ref: Ref, who: list[tuple[str, int]]) -> None:
        """k parts make k − 1 sums, each a step and a version of its own, all at one place."""
        sums: list[Array] = []
        shape = self.blueprint.specs[ref].shape
        workers = self.workers.worth(PASS_NS * math.prod(shape))
        samples = slices_of(shape[0], workers)

        def add(a: Array, b: Array, out: Array) -> None:
            workers.each(lambda some: np.add(a[some], b[some], out=out[some]), samples)

        for i, second in enumerate(who[1:]):

            def work(i: int = i, second: tuple[str, int] = second) -> tuple[Array, ...]:
                before = self._parts[who[0]] if i == 0 else sums[i - 1]
                if i == len(sums):  # the first run: now the parts' order of memory is known
                    sums.append(like(self._sums[ref], before))
                add(before, self._parts[second], sums[i])
                self.grads[ref] = sums[i]
                return (sums[i],)

            first = Operand("part", who[0]) if i == 0 else self._grad(ref, i)
            reads = (first, Operand("part", second))
            operation = Operation("accumulate", ref[0], reads, (self._grad(ref, i + 1),))
            self.ops.append(Op(operation, work))

    def _accumulate_shared(self, key: OwnerName, who: list[str]) -> None:
        """The same for a parameter that several nodes share."""
        owner, name = key
        final = self._gradient_views[owner][name]
        sums = [np.empty_like(final) for _ in who[2:]] + [final]
        for i, second in enumerate(who[1:]):

            def work(i: int = i, second: str = second) -> tuple[Array, ...]:
                before = self._dparams[who[0]][name] if i == 0 else sums[i - 1]
                return (np.add(before, self._dparams[second][name], out=sums[i]),)

            first = Operand("param_part", (who[0], name)) if i == 0 else self._param_grad(key, i)
            reads = (first, Operand("param_part", (second, name)))
            operation = Operation("accumulate", owner, reads, (self._param_grad(key, i + 1),))
            self.ops.append(Op(operation, work))

    # ---- update ----------------------------------------------------------------------------

    def _updates(self) -> None:
        """One piece of work moves all weights; each owner has a step of its own."""
        weights, situation = self.weights, self.situation
        first = True
        for owner in dict.fromkeys(key[0] for key in weights.slices):
            keys = [k for k in weights.slices if k[0] == owner]

            def work(keys: list[OwnerName] = keys, first: bool = first) -> tuple[Array, ...]:
                if first and situation.optimizer is not None:
                    weights.move(situation.optimizer, self.gradient, situation.update)
                return tuple([weights.by_owner[k[0]][k[1]] for k in keys])

            reads = [Operand("param", k, 0, 0) for k in keys]
            reads += [self._param_grad(k) for k in keys if k[0] in self._sharers]
            writes = tuple(Operand("param", k, 1, 0) for k in keys)
            self.ops.append(Op(Operation("update", owner, tuple(reads), writes), work))
            first = False
        moving = [key for key in weights.statistics if weights.specs[key].moves]
        statistics = moving if self.blueprint.mode == "train" else ()
        for owner in dict.fromkeys(key[0] for key in statistics):
            keys = [k for k in statistics if k[0] == owner]

            def keep(keys: list[OwnerName] = keys) -> tuple[Array, ...]:
                weights.set_statistics({k: self._new_statistics[k] for k in keys})
                return tuple(weights[k] for k in keys)

            reads = [Operand("statistic", k, 0, 0) for k in keys]
            writes = tuple(Operand("statistic", k, 1, 0) for k in keys)
            self.ops.append(Op(Operation("update", owner, tuple(reads), writes), keep))
