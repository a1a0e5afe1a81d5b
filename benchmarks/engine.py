"""How fast a training step of the engine is, next to PyTorch where that is installed.

Both sides take turns in one process, so that a busy moment of the machine meets both; figures are
ratios within a round, ours / theirs, below 1 is faster. "Best torch" is the fastest, in the median,
of its two memory formats with one and with two threads; ours likewise with one and two BLAS threads
(where threadpoolctl is installed, else as it comes). Everything here runs through ``Plan.run``.
Where the middle half of the ratios is wider than 30% of their median there is no verdict.

    python benchmarks/engine.py                 all cases
    python benchmarks/engine.py lenet-32 --rounds 31
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# OpenBLAS reads these when NumPy is imported; an override would measure another machine.
for _name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(_name, None)
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np  # noqa: E402

from engine.graph import Graph, Input, Loss, Node  # noqa: E402
from engine.layers.add import Add  # noqa: E402
from engine.layers.base import Array, Layer  # noqa: E402
from engine.layers.batch_norm2d import BatchNorm2d  # noqa: E402
from engine.layers.conv2d import Conv2d  # noqa: E402
from engine.layers.flatten import Flatten  # noqa: E402
from engine.layers.global_avg_pool import GlobalAvgPool  # noqa: E402
from engine.layers.linear import Linear  # noqa: E402
from engine.layers.max_pool2d import MaxPool2d  # noqa: E402
from engine.layers.relu import ReLU  # noqa: E402
from engine.losses import CrossEntropy  # noqa: E402
from engine.optimizers import SGD  # noqa: E402
from engine.parameters import initial_parameters  # noqa: E402
from engine.plan import Batch, compile, exhaust  # noqa: E402
from engine.trace import Trace  # noqa: E402

RATE, MOMENTUM = 0.01, 0.9
clock = time.perf_counter
WIDEST_SPREAD = 0.3


@dataclass(frozen=True)
class Case:
    """A network, a batch, and the largest ratio that the project allows itself (None: no goal)."""

    name: str
    graph: Graph
    batch: int
    goal: float | None = None


def lenet(first: int = 6, second: int = 16, size: int = 28) -> Graph:
    """LeNet-5 with other numbers of maps and another input size."""
    chain: list[tuple[str, Layer]] = [
        ("conv1", Conv2d(first, 5, padding=2)),
        ("relu1", ReLU()),
        ("pool1", MaxPool2d(2, 2)),
        ("conv2", Conv2d(second, 5)),
        ("relu2", ReLU()),
        ("pool2", MaxPool2d(2, 2)),
        ("flatten", Flatten()),
        ("fc1", Linear(120)),
        ("relu3", ReLU()),
        ("fc2", Linear(84)),
        ("relu4", ReLU()),
        ("fc3", Linear(10)),
    ]
    graph = Graph((Input("image", (1, size, size)),), name="lenet")
    before = "image"
    for node_id, layer in chain:
        graph, before = graph.add(Node(node_id, layer, ((before, 0),))), node_id
    return _classifier(graph, before)


def resnet(blocks: int = 1, widths: tuple[int, ...] = (16, 32, 64)) -> Graph:
    """The CIFAR network of He et al. 2016, section 4.2, with projections where the size changes."""
    graph = Graph((Input("image", (3, 32, 32)),), name="resnet")
    before = "image"

    def put(node_id: str, layer: Layer, *sources: str) -> str:
        nonlocal graph
        graph = graph.add(Node(node_id, layer, tuple((s, 0) for s in sources)))
        return node_id

    def conv(stem: str, source: str, width: int, kernel: int = 3, stride: int = 1) -> str:
        layer = Conv2d(width, kernel, stride, kernel // 2, bias=False)
        return put(f"{stem}.norm", BatchNorm2d(), put(f"{stem}.conv", layer, source))

    before = put("stem.relu", ReLU(), conv("stem", before, widths[0]))
    for stage, width in enumerate(widths):
        for block in range(blocks):
            stem, stride = f"{stage}.{block}", 2 if stage and not block else 1
            inner = put(f"{stem}.relu1", ReLU(), conv(f"{stem}.a", before, width, stride=stride))
            inner = conv(f"{stem}.b", inner, width)
            skip = conv(f"{stem}.skip", before, width, 1, stride) if stride == 2 else before
            before = put(f"{stem}.relu2", ReLU(), put(f"{stem}.add", Add(), inner, skip))
    pooled = put("flatten", Flatten(), put("pool", GlobalAvgPool(), before))
    logits = put("fc", Linear(10), pooled)
    return _classifier(graph, logits)


def _classifier(graph: Graph, logits: str) -> Graph:
    ref = (logits, 0)
    loss = Loss("loss", CrossEntropy(), ref)
    return Graph(graph.inputs, graph.nodes, (("logits", ref),), (loss,), graph.name)


CASES = (
    Case("lenet-1", lenet(), 1, 0.7),
    Case("lenet-32", lenet(), 32, 0.8),
    Case("lenet-128", lenet(), 128, 1.0),
    Case("lenet-7-19-at-30-batch-32", lenet(7, 19, 30), 32),
    Case("resnet8-32", resnet(), 32),
    Case("resnet20-32", resnet(3), 32, 1.6),
)
TRACED = (Case("traced-lenet-1", lenet(), 1, 1.3), Case("traced-lenet-32", lenet(), 32, 1.3))


def samples(case: Case) -> tuple[Array, Array]:
    """Random inputs and targets of a case."""
    rng = np.random.default_rng(0)
    shape = (case.batch, *case.graph.inputs[0].shape)
    return rng.random(shape, dtype=np.float32), rng.integers(0, 10, case.batch)


def our_step(case: Case, traced: bool = False) -> Callable[[], float]:
    """A training step through the plan; returns the loss."""
    plan = compile(
        case.graph, initial_parameters(case.graph, 0), batch=case.batch, input_gradients=False
    )
    batch = Batch.of(case.graph, *samples(case))
    optimizer = SGD(RATE, MOMENTUM)

    def step() -> float:
        exhaust(plan.run(batch, optimizer=optimizer, trace=Trace() if traced else None))
        return plan.loss()

    return step


def torch_step(torch: Any, case: Case, channels_last: bool) -> Callable[[], float]:
    """The same step in PyTorch, from the same weights, by walking the same graph."""
    nn = torch.nn
    initial, specs = initial_parameters(case.graph, 0), case.graph.infer(case.batch).specs

    def module(node: Node) -> Any:
        layer, (_, c, *_rest) = node.layer, specs[node.inputs[0]].shape  # type: ignore[index]
        match layer:
            case Conv2d():
                return nn.Conv2d(
                    c,
                    layer.out_channels,
                    layer.kernel_size,
                    layer.stride,
                    layer.padding,
                    bias=layer.bias,
                )
            case Linear():
                return nn.Linear(c, layer.out_features)
            case BatchNorm2d():
                return nn.BatchNorm2d(c, eps=layer.eps, momentum=layer.momentum)
            case MaxPool2d():
                return nn.MaxPool2d(layer.kernel_size, layer.stride)
            case ReLU():
                return nn.ReLU()
            case GlobalAvgPool():
                return nn.AdaptiveAvgPool2d(1)
            case Flatten():
                return nn.Flatten()
            case Add():
                return None
        raise TypeError(f"Expected a layer that this benchmark knows, received {layer}.")

    modules = {node.id: module(node) for node in case.graph.order}
    net = nn.ModuleDict({k.replace(".", "_"): m for k, m in modules.items() if m is not None})
    for (owner, name), value in initial.items():
        getattr(modules[owner], name).data = torch.from_numpy(value.copy())
    x, target = (torch.from_numpy(a) for a in samples(case))
    if channels_last:
        net, x = (a.to(memory_format=torch.channels_last) for a in (net, x))
    optimizer = torch.optim.SGD(net.parameters(), RATE, MOMENTUM)
    walk = [(n.id, modules[n.id], [r[0] for r in n.inputs if r]) for n in case.graph.order]
    entry, logits = case.graph.inputs[0].id, case.graph.losses[0].input[0]

    def step() -> float:
        values = {entry: x}
        for node_id, run, sources in walk:
            first = values[sources[0]]
            values[node_id] = run(first) if run else first + values[sources[1]]
        loss = nn.functional.cross_entropy(values[logits], target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


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


def seconds(step: Callable[[], object], repeats: int) -> float:
    """Mean time of a step; one more goes before, to warm up."""
    step()
    start = clock()
    for _ in range(repeats):
        step()
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


def report(
    name: str, ours: list[float], theirs: list[float], sides: str, goal: float | None
) -> None:
    """Print medians, the ratio with its quartiles and, where the spread allows, the verdict."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    low, median, high = statistics.quantiles(ratios, n=4)
    verdict = "" if goal is None else f"goal {goal}: {'met' if median <= goal else 'MISSED'}"
    if high - low > WIDEST_SPREAD * median:
        verdict = "no verdict: the spread exceeds 30%"
    print(
        f"{name:26s} {1e3 * statistics.median(ours):8.3f} / {1e3 * statistics.median(theirs):8.3f}"
        f" ms   {median:5.2f} ({low:.2f} to {high:.2f})   {verdict}   [{sides}]",
        flush=True,
    )


def against_torch(torch: Any, case: Case, count: int, budget: float) -> None:
    """Measure one case; first check that both sides compute the same losses."""

    def on_blas(threads: int, step: Callable[[], float]) -> Callable[[int], float]:
        def timed(repeats: int) -> float:
            with blas_threads(threads):
                return seconds(step, repeats)

        return timed

    def on_torch(threads: int, step: Callable[[], float]) -> Callable[[int], float]:
        def timed(repeats: int) -> float:
            torch.set_num_threads(threads)
            return seconds(step, repeats)

        return timed

    check, peer = our_step(case), torch_step(torch, case, False)
    for _ in range(3):
        a, b = check(), peer()
        if abs(a - b) > 1e-3 * abs(b):
            raise SystemExit(f"{case.name}: expected equal losses, received {a} and {b}.")
    sides: dict[str, Callable[[int], float]] = {}
    for threads in (1, 2) if clock is time.perf_counter else (1,):
        sides[f"ours {threads} BLAS"] = on_blas(threads, our_step(case))
        for layout in ("NCHW", "NHWC"):
            step = torch_step(torch, case, layout == "NHWC")
            sides[f"torch {layout} {threads}"] = on_torch(threads, step)
    times = rounds(sides, count, budget)
    ours, theirs = best(times, "ours"), best(times, "torch")
    report(case.name, times[ours], times[theirs], f"{ours}; {theirs}", case.goal)


def against_untraced(case: Case, count: int, budget: float) -> None:
    """A step whose arrays are all kept, against the same step without a trace."""
    traced, untraced = our_step(case, True), our_step(case)
    with blas_threads(1):
        times = rounds(
            {
                "traced": lambda repeats: seconds(traced, repeats),
                "untraced": lambda repeats: seconds(untraced, repeats),
            },
            count,
            budget,
        )
    report(case.name, times["traced"], times["untraced"], "traced / untraced", case.goal)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    names = [case.name for case in (*CASES, *TRACED)]
    parser.add_argument("cases", nargs="*", help=f"some of: {', '.join(names)} (all)")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--budget", type=float, default=0.05, help="seconds for a side and round")
    parser.add_argument(
        "--cpu",
        action="store_true",
        help="on a busy machine: processor time, and one thread on each side",
    )
    options = parser.parse_args()
    if options.cpu:
        global clock
        clock = time.process_time
    if unknown := set(options.cases) - set(names):
        parser.error(f"expected cases of {', '.join(names)}, received {', '.join(unknown)}")
    wanted = set(options.cases or names)
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        torch = None
        print("PyTorch is not installed here, so only traced against untraced is measured.")
    print(f"{'':26s} ours / theirs, ratio (quartiles)")
    for case in CASES:
        if torch is not None and case.name in wanted:
            against_torch(torch, case, options.rounds, options.budget)
    for case in TRACED:
        if case.name in wanted:
            against_untraced(case, options.rounds, options.budget)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
