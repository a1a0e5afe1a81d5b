"""Peak memory of a training step, each side in a process of its own."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from typing import Any

from benchmarks.engine import theirs as torch_side
from benchmarks.engine.cases import MEMORY
from benchmarks.engine.measuring import Figure
from benchmarks.engine.ours import OurSide

STEPS = 3
SIDES = ("ours", "torch NCHW", "torch NHWC")


def megabytes() -> float:
    """The largest resident size that this process had so far.

    Linux counts into ru_maxrss what the parent had before the child's program was loaded, so that
    the kernel's own high-water mark is preferred.
    """
    try:
        with open("/proc/self/status", encoding="utf-8") as lines:
            return int(next(x for x in lines if x.startswith("VmHWM:")).split()[1]) / 1024
    except (OSError, StopIteration):
        scale = 1 << 20 if sys.platform == "darwin" else 1 << 10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def child(side: str) -> dict[str, float]:
    """Take some steps; the peak before (everything is imported) and after."""
    torch: Any = torch_side.found() if side != "ours" else None
    before = megabytes()
    run = OurSide(MEMORY) if torch is None else torch_side.TorchSide(torch, MEMORY, "NHWC" in side)
    for _ in range(STEPS):
        run()
    return {"before": before, "peak": megabytes()}


def compared() -> Figure:
    """Growth of the process over its imports, which would flatter the engine, ours / theirs."""
    grown = {}
    for side in SIDES:
        command = [sys.executable, "-m", "benchmarks.engine", "--memory-of", side]
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
        found = json.loads(answer.stdout)
        grown[side] = found["peak"] - found["before"]
    best = min(SIDES[1:], key=lambda side: grown[side])
    ratio = grown["ours"] / grown[best]
    return Figure(
        MEMORY.name,
        MEMORY.title,
        grown["ours"],
        grown[best],
        ratio,
        ratio,
        ratio,
        MEMORY.must,
        MEMORY.aim,
        f"growth over imports; {best}",
        "MB",
    )
