"""The record of a run: what happened in which order, and every array that was written.

Stepping back is a look-up, never a computation.
"""

from __future__ import annotations

import bisect
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np

from engine.atomic_file import replacing
from engine.layers.base import Array, Record
from engine.statistics import norm

Phase = Literal["forward", "loss", "backward", "accumulate", "update"]
PHASES: tuple[Phase, ...] = ("forward", "loss", "backward", "accumulate", "update")

Kind = Literal["value", "grad", "part", "param", "param_grad", "param_part", "statistic", "saved"]
"""What an array is.

value       a tensor in forward            ref = (node or input id, port); of a loss: (loss id, 0)
grad        gradient of a tensor           ref = (node or input id, port)
part        one reader's share of a forked tensor's gradient      ref = (reader id, input slot)
param       a trained parameter            ref = (owner id, name)
param_grad  gradient of a parameter        ref = (owner id, name)
param_part  one node's share of a shared parameter's gradient     ref = (node id, name)
statistic   a running statistic            ref = (owner id, name)
saved       what forward kept for backward ref = (node id, name)
"""


class Key(NamedTuple):
    """Name of one recorded array; every write of the same (kind, ref) has a higher version."""

    kind: Kind
    ref: tuple[str, Any]
    version: int

    def __str__(self) -> str:
        node, part = self.ref
        return f"{self.kind} {node}" + (f".{part}" if part != 0 else "")


@dataclass(frozen=True, slots=True)
class Operand:
    """A key without its version, and how the version follows from the run's clocks.

    version = run · writes_per_run + offset, or updates + offset where ``writes_per_run`` is 0
    (parameters and statistics, which only an update writes).
    """

    kind: Kind
    ref: tuple[str, Any]
    offset: int = 0
    writes_per_run: int = 1

    def key(self, run: int, updates: int) -> Key:
        clock = run * self.writes_per_run if self.writes_per_run else updates
        return Key(self.kind, self.ref, clock + self.offset)


@dataclass(frozen=True, slots=True)
class Operation:
    """What a plan does at one place of every run: the part of a step that does not change."""

    phase: Phase
    node: str
    reads: tuple[Operand, ...]
    writes: tuple[Operand, ...]
    hidden: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One event of a run.

    ``index`` counts within the run, ``run`` the runs of the plan, ``updates`` the updates that
    came before this step. ``reads`` and ``writes`` name the arrays with their versions.
    """

    index: int
    operation: Operation
    run: int = 0
    updates: int = 0

    @property
    def phase(self) -> Phase:
        return self.operation.phase

    @property
    def node(self) -> str:
        return self.operation.node

    @property
    def reads(self) -> tuple[Key, ...]:
        return tuple(o.key(self.run, self.updates) for o in self.operation.reads)

    @property
    def writes(self) -> tuple[Key, ...]:
        return tuple(o.key(self.run, self.updates) for o in self.operation.writes)

    @property
    def hidden(self) -> tuple[tuple[str, Any], ...]:
        return self.operation.hidden

    def __str__(self) -> str:
        return (
            f"{self.index:4d} {self.phase:10s} {self.node:20s} "
            f"{', '.join(map(str, self.reads))} → {', '.join(map(str, self.writes))}"
        )


Gains = Mapping[tuple[str, int], float]
"""Factors of a what-if, by (id of an Add, input slot)."""
Entry = Array | Callable[[], Array]
Arrays = tuple[Array, ...]
Saved = Mapping[str, Entry]


class Trace:
    """Steps, and one array store keyed by tensor and version.

    ``position`` counts executed steps: 0 is before the first, ``len(steps)`` after the last. No run
    writes to the arrays any more; they are handed out read-only.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.failure: str | None = None
        self.gains: Gains = {}
        """The what-if of the run: its values along these connections were multiplied."""
        # recorded, but not yet in the two indexes below: a run should not wait for them
        self._pending: list[tuple[int, tuple[Key, Entry] | tuple[Step, Arrays, Saved]]] = []
        self._by_key: dict[Key, Entry] = {}
        self._history: dict[tuple[Kind, tuple[str, Any]], tuple[list[int], list[Key]]] = {}

    def __len__(self) -> int:
        return len(self.steps)

    def give(self, arrays: Mapping[Key, Array]) -> None:
        """Record arrays that were there before the next step: inputs, targets, parameters."""
        position = len(self.steps)
        self._pending += [(position, entry) for entry in arrays.items()]

    def record(self, step: Step, arrays: Arrays, saved: Saved = MappingProxyType({})) -> None:
        """Append a step; ``arrays`` in the order of its writes, ``saved`` by name."""
        # the arrays first: another thread may read up to the last step meanwhile
        self._pending.append((len(self.steps) + 1, (step, arrays, saved)))
        self.steps.append(step)

    @property
    def _arrays(self) -> dict[Key, Entry]:
        self._catch_up()
        return self._by_key

    @property
    def _written(self) -> dict[tuple[Kind, tuple[str, Any]], tuple[list[int], list[Key]]]:
        """Positions and keys of every write, by (kind, ref)."""
        self._catch_up()
        return self._history

    def _catch_up(self) -> None:
        """Enter what was recorded since the last look-up into the indexes."""
        if not self._pending:
            return
        pending = self._pending[:]
        del self._pending[: len(pending)]  # not replaced: another thread may be adding to it
        for position, entry in pending:
            if len(entry) == 2:
                self._store(*entry, position)
                continue
            step, arrays, saved = entry
            for key, array in zip(step.writes, arrays, strict=True):
                self._store(key, array, position)
            for name, value in saved.items():
                self._store(Key("saved", (step.node, name), step.run), value, position)

    def _store(self, key: Key, array: Entry, position: int) -> None:
        if key in self._by_key:
            return
        self._by_key[key] = array
        positions, keys = self._history.setdefault((key.kind, key.ref), ([], []))
        positions.append(position)
        keys.append(key)

    def __contains__(self, key: object) -> bool:
        return key in self._arrays

    def keys(self) -> Iterator[Key]:
        """All recorded keys, in the order of their first write."""
        return iter(self._arrays)

    def at(self, key: Key) -> Array:
        """The array of a key, read-only; raises KeyError when it was never written."""
        entry = self._arrays[key]
        if callable(entry):
            entry = self._arrays[key] = entry()
        view = entry.view()
        view.flags.writeable = False
        return view

    def latest(self, kind: Kind, ref: tuple[str, Any], position: int | None = None) -> Key | None:
        """The key last written when ``position`` steps had run (None: at the end)."""
        positions, keys = self._written.get((kind, ref), ((), ()))
        end = len(positions) if position is None else bisect.bisect_right(positions, position)
        return keys[end - 1] if end else None

    def look(self, kind: Kind, ref: tuple[str, Any], position: int | None = None) -> Array | None:
        """The array last written when ``position`` steps had run, or None.

        In a trace of several runs that may be one of an earlier run: its key says which.
        """
        key = self.latest(kind, ref, position)
        return None if key is None else self.at(key)

    def sent(self, node: str, position: int | None = None) -> tuple[Key, ...]:
        """What a node's (or loss's) latest backward step wrote, when ``position`` steps had run.

        Its own gradients, where ``latest`` may find a sum with others'. Empty before that step.
        """
        end = len(self.steps) if position is None else min(position, len(self.steps))
        for step in map(self.steps.__getitem__, range(end - 1, -1, -1)):
            if step.node == node and step.phase == "backward":
                return step.writes
        return ()

    def position_of(self, key: Key) -> int:
        """How many steps had run when this key had just been written."""
        positions, keys = self._written[key.kind, key.ref]
        return positions[keys.index(key)]

    def around(
        self,
        node: Any,
        position: int | None = None,
        sample: int = 0,
        mode: Literal["train", "eval"] = "eval",
    ) -> Record | None:
        """The recorded arrays around a node for one sample, for its ``reads`` and ``feeds``.

        None while its forward step has not run.
        """
        ys = []
        port = 0
        while (y := self.look("value", (node.id, port), position)) is not None:
            ys.append(y[sample])
            port += 1
        if not ys:
            return None
        xs = [self.look("value", ref, position) for ref in node.sources]
        dys = [self.look("grad", (node.id, port), position) for port in range(len(ys))]
        params = {}
        saved = {}
        for kind, (owner, name) in self._written:
            if kind in ("param", "statistic") and owner == node.owner:
                array = self.look(kind, (owner, name), position)
                if array is not None:
                    params[name] = array
            elif kind == "saved" and owner == node.id:
                array = self.look(kind, (owner, name), position)
                if array is not None:
                    saved[name] = array
        return Record(
            tuple(x[sample] for x in xs if x is not None),
            tuple(ys),
            tuple(None if g is None else g[sample] for g in dys),
            params,
            saved,
            sample,
            mode,
            tuple(dys),
        )

    def nbytes(self) -> int:
        """Bytes of the arrays that are held (those not yet decoded count as none)."""
        return sum(a.nbytes for a in self._arrays.values() if not callable(a))

    def lines(self) -> Iterator[str]:
        """The run as text, a line a step, with size and range of what was written."""
        width = max((len(step.node) for step in self.steps), default=0)
        for step in self.steps:
            parts = []
            for key in step.writes:
                a = self.at(key)
                # only tensors have a batch axis, which is left out
                shape = a.shape[1:] if key.kind in ("value", "grad", "part") else a.shape
                parts.append(
                    f"{key} {'×'.join(map(str, shape)) or 'scalar'} "
                    + (f"= {float(a):.6g}" if a.ndim == 0 else _summary(a))
                )
            yield f"{step.index:4d}  {step.phase:<10s}  {step.node:<{width}s}  {'; '.join(parts)}"

    # ---- file ------------------------------------------------------------------------------

    def save(self, path: Path, more: Mapping[str, bytes] = MappingProxyType({})) -> None:
        """Write steps and arrays as a zip of JSON and .npy; replaces ``path`` only when whole.

        ``more`` are further entries by name (see engine/recording.py).
        """
        operations: dict[Operation, int] = {}
        steps = [
            [s.index, operations.setdefault(s.operation, len(operations)), s.run, s.updates]
            for s in self.steps
        ]
        keys = list(self._arrays)
        description = {
            "format": "gradient-flow-trace",
            "version": 1,
            "operations": [
                [o.phase, o.node, [_operand(x) for x in o.reads], [_operand(x) for x in o.writes]]
                for o in operations
            ],
            "steps": steps,
            "keys": [[k.kind, *k.ref, k.version, self.position_of(k)] for k in keys],
            "failure": self.failure,
            "gains": [[*place, gain] for place, gain in self.gains.items()],
        }
        with replacing(path) as out, zipfile.ZipFile(out, "w") as archive:
            archive.writestr("trace.json", json.dumps(description))
            for name, content in more.items():
                archive.writestr(name, content)
            for i, key in enumerate(keys):
                buffer = io.BytesIO()
                np.lib.format.write_array(
                    buffer, np.asarray(self.at(key), order="C"), allow_pickle=False
                )
                archive.writestr(f"{i}.npy", buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> Trace:
        """The trace in a file; raises TraceError when it is not one."""
        try:
            with zipfile.ZipFile(path) as archive:
                data = json.loads(archive.read("trace.json"))
                if data["format"] != "gradient-flow-trace" or data["version"] != 1:
                    raise TraceError(
                        f"{path}: expected a trace of version 1, received "
                        f"{data['format']} {data['version']}. Use a newer program."
                    )
                trace = cls()
                operations = [
                    Operation(
                        phase,
                        node,
                        tuple(Operand(k, (a, b), o, w) for k, a, b, o, w in reads),
                        tuple(Operand(k, (a, b), o, w) for k, a, b, o, w in writes),
                    )
                    for phase, node, reads, writes in data["operations"]
                ]
                trace.steps = [Step(i, operations[o], r, u) for i, o, r, u in data["steps"]]
                trace.failure = data["failure"]
                trace.gains = {(node, slot): gain for node, slot, gain in data.get("gains", ())}
                for i, (kind, a, b, version, position) in enumerate(data["keys"]):
                    array = np.lib.format.read_array(
                        io.BytesIO(archive.read(f"{i}.npy")), allow_pickle=False
                    )
                    trace._store(Key(kind, (a, b), version), array, position)
                return trace
        except DAMAGE as error:
            if isinstance(error, TraceError):
                raise
            raise TraceError(
                f"{path}: expected a saved trace, received a damaged or other file "
                f"({error}). Save the run again."
            ) from error


class TraceError(ValueError):
    """A file is not a trace; names the file, expected and received."""


# What zipfile, json and NumPy raise at bytes that were changed.
DAMAGE = (
    *(OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError),
    *(KeyError, ValueError, TypeError, IndexError, AttributeError, SyntaxError, MemoryError),
)


def _operand(o: Operand) -> list[Any]:
    return [o.kind, *o.ref, o.offset, o.writes_per_run]


def _summary(a: Array) -> str:
    if a.size == 0:
        return "empty"
    return f"[{a.min():.4g}, {a.max():.4g}] ‖·‖ {norm(a):.4g}"
