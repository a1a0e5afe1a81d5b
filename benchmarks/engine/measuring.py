"""Taking turns, ratios and their spread."""

from __future__ import annotations

import importlib
import os
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from benchmarks.engine.cases import Case
from benchmarks.engine.ours import OurSide, Outcome
from benchmarks.engine.theirs import TorchSide
from benchmarks.published import processor

WIDEST_SPREAD = 0.3
"""Quartiles of the ratios further apart than this share of their median allow no verdict."""
TOLERANCE = {"loss": 1e-3, "output": 1e-3, "gradients": 5e-2}
"""Largest relative differences between the sides. That of gradients is rounding too: batch norm
over a single picture amplifies it from layer to layer (float64 agrees to twelve digits)."""

Clock = Callable[[], float]


@dataclass(frozen=True)
class Figure:
    """A measured case: medians of both sides (ms or MB), the ratio's quartiles, who ran how."""

    name: str
    title: str
    ours: float
    theirs: float
    low: float
    ratio: float
    high: float
    must: float | None
    aim: float | None
    sides: str
    unit: str = "ms"
    kernels: dict[str, str] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """Whether the goals are met, or that the spread is too wide to say."""
        if self.high - self.low > WIDEST_SPREAD * self.ratio:
            return "no verdict: the spread exceeds 30%"
        if self.must is None:
            return ""
        if self.ratio > self.must:
            return f"missed by {self.ratio / self.must - 1:.0%}"
        return "aim met" if self.aim is not None and self.ratio <= self.aim else "must met"

    def line(self) -> str:
        """For the terminal."""
        return (
            f"{self.name:18s} {self.ours:9.3f} / {self.theirs:9.3f} {self.unit}  {self.ratio:5.2f} "
            f"({self.low:.2f} to {self.high:.2f})  {self.verdict:12s}  [{self.sides}]"
        )

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return asdict(self)


@dataclass(frozen=True)
class Conditions:
    """What a figure depends on besides the program."""

    date: str
    machine: str
    numpy: str
    blas: str
    torch: str
    clock: str

    @classmethod
    def now(cls, torch: Any | None, clock: str) -> Conditions:
        """Those of this process."""
        blas = "unknown core (threadpoolctl is not installed)"
        try:
            control = importlib.import_module("threadpoolctl")
        except ImportError:
            pass
        else:
            blas = ", ".join(
                f"{pool['internal_api']} {pool['version']}, {pool.get('architecture', '?')} kernels"
                for pool in control.threadpool_info()
                if pool["user_api"] == "blas"
            )
        return cls(
            time.strftime("%Y-%m-%d"),
            f"{processor()}, {os.cpu_count()} processors",
            np.__version__,
            blas,
            "not installed" if torch is None else str(torch.__version__),
            clock,
        )

    def sentence(self) -> str:
        """For a table's caption."""
        return (
            f"{self.date}; {self.machine}; numpy {self.numpy} ({self.blas}); "
            f"torch {self.torch}; {self.clock}"
        )


@contextmanager
def blas_threads(count: int) -> Iterator[None]:
    """BLAS on so many threads, where that can be set."""
    try:
        control = importlib.import_module("threadpoolctl")
    except ImportError:
        limit: Any = nullcontext()
    else:
        limit = control.threadpool_limits(count, "blas")
    with limit:
        yield


def seconds(run: Callable[[], object], repeats: int, clock: Clock) -> float:
    """Mean time of a pass; one more goes before, to warm up."""
    run()
    start = clock()
    for _ in range(repeats):
        run()
    return (clock() - start) / repeats


def rounds(
    sides: dict[str, Callable[[int], float]], count: int, budget: float
) -> dict[str, list[float]]:
    """Times by side; the sides take turns within each round."""
    repeats = {name: max(1, int(budget / max(side(1), 1e-6))) for name, side in sides.items()}
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(count):
        for name, side in sides.items():
            times[name].append(side(repeats[name]))
    return times


def best(times: dict[str, list[float]], prefix: str) -> str:
    """The side of that prefix whose median is lowest."""
    return min(
        (n for n in times if n.startswith(prefix)), key=lambda n: statistics.median(times[n])
    )


def figure(
    case: Case, ours: list[float], theirs: list[float], sides: str, kernels: dict[str, str]
) -> Figure:
    """Medians, and the ratios within each round."""
    low, ratio, high = statistics.quantiles([a / b for a, b in zip(ours, theirs, strict=True)], n=4)
    return Figure(
        case.name,
        case.title,
        1e3 * statistics.median(ours),
        1e3 * statistics.median(theirs),
        low,
        ratio,
        high,
        case.must,
        case.aim,
        sides,
        kernels=kernels,
    )


def differences(ours: Outcome, theirs: Outcome) -> dict[str, float]:
    """Relative differences of what both sides computed."""
    found = {}
    if ours.loss is not None and theirs.loss is not None:
        found["loss"] = abs(ours.loss - theirs.loss) / abs(theirs.loss)
    if ours.output is not None and theirs.output is not None:
        found["output"] = _apart([ours.output], [theirs.output])
    if theirs.gradients:
        if ours.gradients.keys() != theirs.gradients.keys():
            raise SystemExit("Expected the same parameters on both sides.")
        keys = list(theirs.gradients)
        found["gradients"] = _apart(
            [ours.gradients[k] for k in keys], [theirs.gradients[k] for k in keys]
        )
    return found


def _apart(ours: list[Any], theirs: list[Any]) -> float:
    """‖a − b‖ / ‖b‖ over all arrays."""
    square = sum(
        float(np.square(a - b, dtype=np.float64).sum()) for a, b in zip(ours, theirs, strict=True)
    )
    return float(np.sqrt(square / sum(float(np.square(b).sum(dtype=np.float64)) for b in theirs)))


def check_equal(case: Case, torch: Any, threads: int) -> None:
    """Both sides take a pass; raises SystemExit when they do not compute the same."""
    ours, theirs = OurSide(case, threads=threads), TorchSide(torch, case, False)
    ours()
    theirs()
    found = differences(ours.outcome(), theirs.outcome())
    for name, apart in found.items():
        if not apart <= TOLERANCE[name]:
            raise SystemExit(
                f"{case.name}: expected the same {name} on both sides, received a relative "
                f"difference of {apart:.1e}."
            )


def against_torch(
    torch: Any, case: Case, count: int, budget: float, clock: Clock, threads: tuple[int, ...]
) -> Figure:
    """Measure one case; first check that both sides compute the same."""

    def on_blas(number: int, run: Callable[[], None]) -> Callable[[int], float]:
        def timed(repeats: int) -> float:
            with blas_threads(number):
                return seconds(run, repeats, clock)

        return timed

    def on_torch(number: int, run: Callable[[], None]) -> Callable[[int], float]:
        def timed(repeats: int) -> float:
            torch.set_num_threads(number)
            return seconds(run, repeats, clock)

        return timed

    for number in threads:
        check_equal(case, torch, number)
    theirs = {name: TorchSide(torch, case, name == "NHWC") for name in ("NCHW", "NHWC")}
    sides: dict[str, Callable[[int], float]] = {}
    for number in threads:
        ours = OurSide(case, threads=number)
        sides[f"ours {number}"] = on_blas(number, ours)
        for layout, run in theirs.items():
            sides[f"torch {layout} {number}"] = on_torch(number, run)
    times = rounds(sides, count, budget)
    mine, other = best(times, "ours"), best(times, "torch")
    kernels = {choice.node: choice.kernel for choice in ours.plan.choices}
    return figure(case, times[mine], times[other], f"{mine}; {other}", kernels)


def against_untraced(case: Case, count: int, budget: float, clock: Clock) -> Figure:
    """A step whose arrays are all kept, against the same step without a trace."""
    traced, untraced = OurSide(case, traced=True), OurSide(case)
    with blas_threads(1):
        times = rounds(
            {
                "traced": lambda repeats: seconds(traced, repeats, clock),
                "untraced": lambda repeats: seconds(untraced, repeats, clock),
            },
            count,
            budget,
        )
    kernels = {choice.node: choice.kernel for choice in untraced.plan.choices}
    return figure(case, times["traced"], times["untraced"], "traced / untraced", kernels)


def kernel_summary(kernels: dict[str, str]) -> str:
    """How many nodes each kernel serves."""
    counts = Counter(kernels.values())
    return ", ".join(f"{name} ×{count}" for name, count in counts.most_common())
