"""Do the tests notice a fault? Puts one at a time into a copy of the engine and runs a few tests.

    python tests/engine/mutations.py             every fault
    python tests/engine/mutations.py pool decay  those with one of these words in their description

Prints a line for each: killed (a test failed, as it should) or SURVIVED. Ends with 1 where one
survived, where its text is no longer in the source, or where the tests fail without any fault.
Nothing outside a temporary folder is changed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("engine", "tests/engine", "tests/conftest.py", "pyproject.toml")
LINKED = ("benchmarks", "explorer", "resources", "main.py")
"""What tests of the engine look at but no fault is put into."""
PATIENCE = 300.0
"""Seconds after which tests count as failed: a fault may well make a loop endless."""

LAYERS = "tests/engine/layers/test_layers.py"
PROPERTIES = "tests/engine/layers/test_properties.py"
POOLING = "tests/engine/layers/test_pooling.py"
SINGLE = "tests/engine/layers/test_single_layers.py"
PLAN = "tests/engine/test_plan.py"
OPTIMIZERS = "tests/engine/test_optimizers.py"
LOSSES = "tests/engine/test_losses.py"
EXTENT = "tests/engine/layers/test_extent.py"
GRADIENTS = "test_gradient_agrees_with_finite_differences"


@dataclass(frozen=True)
class Mutation:
    """One deliberate fault: ``old``, which stands once in ``file``, becomes ``new``.

    ``tests`` are arguments for pytest; at least one of them has to fail.
    """

    fault: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def problem(self, root: Path = ROOT) -> str:
        """Why the fault cannot be put in; empty where it can."""
        path = root / self.file
        count = path.read_text("utf-8").count(self.old) if path.exists() else 0
        if count == 1:
            return ""
        return f"{self.file}: expected this text once, received it {count} times: {self.old!r}"


MUTATIONS = (
    Mutation(
        "sign flipped in the gradient of cross-entropy",
        "engine/losses.py",
        "dx[np.arange(len(p)), target] -= 1",
        "dx[np.arange(len(p)), target] += 1",
        (LOSSES,),
    ),
    Mutation(
        "sign flipped in the update",
        "engine/optimizers.py",
        "scale *= real(self.lr / (1 - self.beta1**step))",
        "scale *= -real(self.lr / (1 - self.beta1**step))",
        (OPTIMIZERS,),
    ),
    Mutation(
        "tie rule changed: the last of equals wins a maximum",
        "engine/layers/max_pool2d.py",
        "wins = (candidate > y)",
        "wins = (candidate >= y)",
        (POOLING,),
    ),
    Mutation(
        "tie rule changed: the fast maximum sends a gradient to all of equals",
        "engine/kernels/max_pool2d.py",
        "np.subtract(rest, share, out=rest)",
        "pass",
        ("tests/engine/kernels",),
    ),
    Mutation(
        "padding wins a maximum against negative numbers",
        "engine/layers/max_pool2d.py",
        "padded = window.pad(x, -np.inf)",
        "padded = window.pad(x, 0.0)",
        (POOLING,),
    ),
    Mutation(
        "wrong divisor: average pooling always divides by the whole window",
        "engine/layers/avg_pool2d.py",
        "sides.append(np.minimum(first + window.kernel_size[i], high) - np.maximum(first, low))",
        "sides.append(np.full(len(first), window.kernel_size[i]))",
        (POOLING,),
    ),
    Mutation(
        "wrong divisor: what hangs over through ceil_mode counts",
        "engine/layers/avg_pool2d.py",
        "np.minimum(first + window.kernel_size[i], high) - ",
        "first + window.kernel_size[i] - ",
        (POOLING,),
    ),
    Mutation(
        "ceil_mode keeps a window that starts beyond the input",
        "engine/layers/window.py",
        "if (out - 1) * self.stride[i] >= size + self.before[i]:",
        "if (out - 1) * self.stride[i] > size + self.before[i]:",
        (POOLING,),
    ),
    Mutation(
        "missing accumulate where a tensor has several readers",
        "engine/binding.py",
        "add(before, self._parts[second], sums[i])",
        "np.copyto(sums[i], before)",
        (PLAN,),
    ),
    Mutation(
        "missing accumulate where nodes share weights",
        "engine/binding.py",
        "np.add(before, self._dparams[second][name], out=sums[i])",
        "np.add(before, 0, out=sums[i])",
        (PLAN,),
    ),
    Mutation(
        "stale statistics: those of the last batch are not kept",
        "engine/binding.py",
        "weights.set_statistics({k: self._new_statistics[k] for k in keys})",
        "weights.set_statistics({k: weights[k].copy() for k in keys})",
        (PLAN,),
    ),
    Mutation(
        "stale statistics: batch norm's gradient takes those of the batch for constants",
        "engine/layers/batch_norm2d.py",
        'if not saved["trained"]:\n            return',
        "if True:\n            return",
        (f"{LAYERS}::{GRADIENTS}", "-k", "BatchNorm2d"),
    ),
    Mutation(
        "running variance without Bessel's correction",
        "engine/layers/batch_norm2d.py",
        "unbiased = var * x.dtype.type(count / (count - 1))",
        "unbiased = var",
        (SINGLE,),
    ),
    Mutation(
        "transposed kernel in the input gradient of a convolution",
        "engine/layers/conv2d.py",
        "shares = (rows @ self._kernels(w))",
        "shares = (rows @ self._kernels(w.swapaxes(2, 3)))",
        (f"{LAYERS}::{GRADIENTS}", "-k", "Conv2d"),
    ),
    Mutation(
        "off by one in the dilation of a window",
        "engine/layers/window.py",
        "                sh * self.dilation[0],",
        "                sh * max(1, self.dilation[0] - 1),",
        (f"{LAYERS}::{GRADIENTS}", "-k", "Conv2d"),
    ),
    Mutation(
        "off by one in the dilation where a cell looks for its readers",
        "engine/layers/window.py",
        "- i * self.dilation[0], self.stride[0])",
        "- i * max(1, self.dilation[0] - 1), self.stride[0])",
        (f"{LAYERS}::test_feeds_add_up_to_the_gradient", "-k", "Conv2d"),
    ),
    Mutation(
        "mask not reused: backward draws another one",
        "engine/layers/random_mask.py",
        'dys[0] * saved["mask"] if',
        'self.forward(p, dys[0], ctx=Ctx("train", (9, 9, 9))).ys[0] if',
        (SINGLE, "-k", "mask or drop"),
    ),
    Mutation(
        "weight decay on bias although it is to be left alone",
        "engine/weights.py",
        "decays = None if optimizer.decay_biases else self.decays",
        "decays = None",
        ("tests/engine/test_weights.py", "tests/engine/test_train.py", "-k", "decay"),
    ),
    Mutation(
        "momentum order: the new gradient is weakened along with the old step",
        "engine/optimizers.py",
        "v *= real(self.momentum)\n        v += g / (np.sqrt(s) + real(self.eps))",
        "v += g / (np.sqrt(s) + real(self.eps))\n        v *= real(self.momentum)",
        (OPTIMIZERS,),
    ),
    Mutation(
        "Adam corrects its second moment by one step too many",
        "engine/optimizers.py",
        "real(1 - self.beta2**step)",
        "real(1 - self.beta2 ** (step + 1))",
        (OPTIMIZERS,),
    ),
    Mutation(
        "weight of a loss forgotten in its gradient",
        "engine/losses.py",
        "dx *= weight / len(p)",
        "dx *= 1 / len(p)",
        (LOSSES,),
    ),
    Mutation(
        "softmax's gradient without the influence on the other shares",
        "engine/layers/softmax.py",
        "y * (dy - (y * dy).sum(1, keepdims=True))",
        "y * (1 - y) * dy",
        (f"{LAYERS}::{GRADIENTS}", "-k", "Softmax"),
    ),
    Mutation(
        "NaN lost in a maximum",
        "engine/layers/max_pool2d.py",
        "(candidate > y) | (np.isnan(candidate) & ~np.isnan(y))",
        "candidate > y",
        (PROPERTIES, "-k", "nan and MaxPool2d"),
    ),
    Mutation(
        "a record that shows what later steps wrote",
        "engine/plan.py",
        '(array, array.copy("K"))',
        "(array, array)",
        ("tests/engine/test_trace.py",),
    ),
    Mutation(
        "reach of a block of cells from its last channel alone",
        "engine/extent.py",
        "ends[0].append(min(inside))",
        "ends[0].append(max(inside))",
        (EXTENT, "-k", "DepthToSpace"),
    ),
    Mutation(
        "reach of a matrix product along the wrong axis",
        "engine/layers/matmul.py",
        "summed = len(shape) - 1 - slot",
        "summed = len(shape) - 1",
        (EXTENT, "-k", "MatMul"),
    ),
    Mutation(
        "reach of the second output as that of the first",
        "engine/layers/split.py",
        "before=-sum(sizes[:port])",
        "before=0",
        (EXTENT, "-k", "every_output"),
    ),
    Mutation(
        "reach of a condition left out, because it has no gradient",
        "engine/layers/where.py",
        "        return served_places(shape, out)",
        "        return served_places(shape, out) if slot else served_places((1,), out)",
        (EXTENT, "-k", "Where"),
    ),
)


def copy_of_the_project(folder: Path) -> None:
    """What the engine's tests need, below ``folder``."""
    skip = shutil.ignore_patterns("__pycache__", ".*")
    for name in (*COPIED, *LINKED):
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if name in LINKED:
            target.symlink_to(source, target_is_directory=source.is_dir())
        elif source.is_dir():
            shutil.copytree(source, target, ignore=skip)
        else:
            shutil.copy(source, target)


def run_tests(folder: Path, tests: Sequence[str]) -> tuple[int, str]:
    """pytest's exit code and output; 1 where it took longer than ``PATIENCE``."""
    # a changed file of the same second and size would be taken from the cache of bytecode
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        return 1, f"no answer after {PATIENCE:g} s"
    return done.returncode, done.stdout + done.stderr


def verdict(mutation: Mutation, folder: Path) -> str:
    """ "killed", or what else happened."""
    path = folder / mutation.file
    before = path.read_text("utf-8")
    path.write_text(before.replace(mutation.old, mutation.new), "utf-8")
    try:
        code, output = run_tests(folder, mutation.tests)
    finally:
        path.write_text(before, "utf-8")
    if code == 1:
        return "killed"
    if code == 0:
        return "SURVIVED"
    return f"NOT TESTED (pytest ended with {code})\n{output[-2000:]}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the faults that were asked for; 0 where all were killed."""
    parser = argparse.ArgumentParser(description="Put faults into a copy of the engine, one by one")
    parser.add_argument("word", nargs="*", help="only faults with one of these words")
    words = parser.parse_args(arguments).word
    chosen = [m for m in MUTATIONS if not words or any(word in m.fault for word in words)]
    problems = [problem for m in chosen if (problem := m.problem())]
    for problem in problems:
        print(problem)
    if problems or not chosen:
        return 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_of_the_project(folder)
        for tests in dict.fromkeys(m.tests for m in chosen):
            code, output = run_tests(folder, tests)
            if code:
                print(f"Without any fault these tests fail: {' '.join(tests)}\n{output[-2000:]}")
                return 1
        alive = 0
        for mutation in chosen:
            start = time.perf_counter()
            found = verdict(mutation, folder)
            alive += found != "killed"
            print(f"{found:<9s} {time.perf_counter() - start:5.1f} s  {mutation.fault}", flush=True)
    print(f"{len(chosen) - alive} of {len(chosen)} faults killed")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
