"""How fast the engine is next to PyTorch, where that is installed; traced against untraced.

Both sides take turns in one process, so that a busy moment of the machine meets both; figures are
ratios within a round, ours / theirs, below 1 is faster. "Best torch" is the fastest, in the median,
of its two memory formats with one and with two threads; ours likewise with one and two threads, of
the plan and of BLAS (the latter where threadpoolctl is installed, else as it comes). Everything of
ours runs through ``Plan.run``. Where the middle half of the ratios is wider than 30% of their
median there is no verdict.

    python -m benchmarks.engine                            all cases
    python -m benchmarks.engine lenet-32 --rounds 31
    python -m benchmarks.engine --json figures.json --markdown README.md
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

# OpenBLAS reads these when NumPy is imported; an override would measure another machine.
for _name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(_name, None)

from benchmarks.engine import memory, report, theirs  # noqa: E402
from benchmarks.engine.cases import CASES, MEMORY, TRACED  # noqa: E402
from benchmarks.engine.measuring import (  # noqa: E402
    Conditions,
    Figure,
    against_torch,
    against_untraced,
    kernel_summary,
)
from benchmarks.published import put_into  # noqa: E402


def options_of(arguments: list[str] | None) -> argparse.Namespace:
    """The command line, checked."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.engine", description=(__doc__ or "").split("\n\n")[0]
    )
    names = [case.name for case in (*CASES, *TRACED, MEMORY)]
    parser.add_argument("cases", nargs="*", help=f"some of: {', '.join(names)} (all)")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--budget", type=float, default=0.05, help="seconds for a side and round")
    parser.add_argument(
        "--cpu",
        action="store_true",
        help="on a busy machine: processor time, and one thread on each side",
    )
    parser.add_argument("--kernels", action="store_true", help="print the kernel of every node")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file")
    parser.add_argument(
        "--markdown",
        type=Path,
        nargs="*",
        metavar="FILE",
        help="put the table between the marks in these files (README.md and benchmarks/README.md)",
    )
    parser.add_argument(
        "--read", type=Path, metavar="FILE", help="take figures from a JSON file, measure nothing"
    )
    parser.add_argument("--memory-of", choices=memory.SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if unknown := set(options.cases) - set(names):
        parser.error(f"expected cases of {', '.join(names)}, received {', '.join(unknown)}")
    if options.rounds < 2:
        parser.error(f"--rounds: expected at least 2, received {options.rounds}")
    options.cases = options.cases or names
    if options.markdown == []:
        options.markdown = [Path("README.md"), Path("benchmarks", "README.md")]
    return options


def measured(options: argparse.Namespace) -> tuple[list[Figure], Conditions]:
    """Measure the wanted cases, printing each as it comes."""
    torch = theirs.found()
    clock = time.process_time if options.cpu else time.perf_counter
    threads = (1,) if options.cpu else (1, 2)
    what = "processor time, one thread a side" if options.cpu else "wall clock, 1 or 2 threads"
    conditions = Conditions.now(torch, what)
    print(f"{conditions.sentence()}\nours / theirs, ratio (quartiles)", flush=True)
    if torch is None:
        print("PyTorch is not installed here, so only traced against untraced is measured.")
    figures = []

    def add(figure: Figure) -> None:
        figures.append(figure)
        print(figure.line(), flush=True)
        if options.kernels:
            for node, kernel in figure.kernels.items():
                print(f"    {node:40s} {kernel}")
        elif figure.kernels:
            print(f"    kernels: {kernel_summary(figure.kernels)}", flush=True)

    for case in CASES:
        if torch is not None and case.name in options.cases:
            add(against_torch(torch, case, options.rounds, options.budget, clock, threads))
    for case in TRACED:
        if case.name in options.cases:
            add(against_untraced(case, options.rounds, options.budget, clock))
    if torch is not None and MEMORY.name in options.cases:
        add(memory.compared())
    return figures, conditions


def main(arguments: list[str] | None = None) -> int:
    options = options_of(arguments)
    if options.memory_of:
        print(json.dumps(memory.child(options.memory_of)))
        return 0
    figures, conditions = report.load(options.read) if options.read else measured(options)
    if options.json:
        report.save(options.json, figures, conditions)
    for path in options.markdown or ():
        put_into(path, "speed", report.table(figures, conditions))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
