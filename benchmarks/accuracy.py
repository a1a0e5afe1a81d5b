"""How well the engine's networks learn: each is trained by a fixed recipe and tested once, after.

The test part is never looked at before the end, and never chosen; the last epoch's weights count.

    python -m benchmarks.accuracy                             all networks on the shipped digits
    python -m benchmarks.accuracy --mnist DIR                 LeNet-5 on MNIST too (its four files)
    python -m benchmarks.accuracy vgg-digits --seed 1         one of them, from another seed
    python -m benchmarks.accuracy --mnist DIR --json FILE     and keep the figures
    python -m benchmarks.accuracy --read FILE --markdown      put them into both READMEs

Ends with code 1 where a network misses its goal.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.published import processor, put_into
from engine.architectures import ARCHITECTURES
from engine.architectures.base import Size
from engine.architectures.resnet_cifar import resnet_cifar
from engine.checkpoint import blas_threads
from engine.data import catalogue
from engine.data.augmentation import Augmentation
from engine.data.dataset import Dataset
from engine.graph import Graph, Input
from engine.optimizers import SGD, Adam
from engine.parameters import initial_parameters
from engine.train import Trainer, TrainSettings, evaluate
from engine.workers import single_blas

ROOT = Path(__file__).resolve().parents[1]
TABLES = (ROOT / "benchmarks" / "README.md", ROOT / "README.md")
HEAD = ("Network", "Data", "Epochs", "Parameters", "Test accuracy", "Goal", "Seconds", "Seed")


@dataclass(frozen=True)
class Recipe:
    """A network, its data ("mnist", or "digits" in the network's size), and how it is trained.

    ``goal``: least share of right answers on the test part. ``seconds``: the most that training
    may take on two processors (None: no limit).
    """

    title: str
    build: Callable[[], Graph]
    data: str
    settings: TrainSettings
    goal: float
    seconds: float | None = 120.0


def resnet20() -> Graph:
    """The CIFAR form of ResNet-20 for (1, 16, 16) digits: the same layers, less to look at."""
    return replace(resnet_cifar(20), inputs=(Input("image", (1, 16, 16)),))


_SHIFTED = Augmentation(shift=1)
_DIGITS = TrainSettings(
    epochs=30,
    batch_size=32,
    optimizer=Adam(lr=0.003),
    schedule="one-cycle",
    augmentation=_SHIFTED,
)

RECIPES: dict[str, Recipe] = {
    "lenet5": Recipe(
        "LeNet-5, max pooling",
        ARCHITECTURES["lenet5"].build,
        "mnist",
        TrainSettings(
            epochs=12,
            batch_size=64,
            optimizer=Adam(lr=0.002),
            schedule="one-cycle",
            augmentation=Augmentation(shift=1),
        ),
        0.99,
        None,
    ),
    "resnet20": Recipe(
        "ResNet-20, CIFAR form",
        resnet20,
        "digits",
        TrainSettings(
            epochs=15,
            batch_size=32,
            optimizer=SGD(lr=0.1, momentum=0.9, weight_decay=5e-4, decay_biases=False),
            schedule="one-cycle",
            augmentation=Augmentation(shift=2),
        ),
        0.97,
        None,
    ),
    **{
        name: Recipe(ARCHITECTURES[name].title, ARCHITECTURES[name].build, "digits", settings, 0.95)
        for name, settings in {
            "alexnet-digits": replace(
                _DIGITS, epochs=15, optimizer=Adam(lr=0.002), augmentation=Augmentation(shift=2)
            ),
            "googlenet-digits-auxiliary": _DIGITS,
            "vgg-digits": _DIGITS,
            "densenet-digits": _DIGITS,
        }.items()
    },
}


@dataclass(frozen=True)
class Row:
    """What came of a recipe."""

    id: str
    title: str
    data: str
    epochs: int
    parameters: int
    correct: int
    total: int
    goal: float
    seconds: float
    seed: int

    @property
    def accuracy(self) -> float:
        return self.correct / self.total

    def cells(self) -> tuple[str, ...]:
        return (
            self.title,
            self.data,
            str(self.epochs),
            f"{self.parameters:,}",
            f"{self.accuracy:.2%} ({self.correct:,} of {self.total:,})",
            f"{self.goal:.0%}",
            f"{self.seconds:.0f}",
            str(self.seed),
        )


def data_of(recipe: Recipe, graph: Graph, mnist: Path | None) -> tuple[Dataset, Dataset]:
    """(training, test) in the network's size."""
    if recipe.data == "mnist":
        return catalogue.load(f"mnist:{mnist}")
    training, test = catalogue.load("digits")
    _, height, width = graph.inputs[0].shape
    wanted = replace(training.preprocessing, size=(height, width))
    return catalogue.fitted(training, wanted), catalogue.fitted(test, wanted)


def run(name: str, recipe: Recipe, seed: int, mnist: Path | None) -> Row:
    """Train by the recipe and answer the test part once."""
    graph = recipe.build()
    training, test = data_of(recipe, graph, mnist)
    settings = replace(recipe.settings, seed=seed)
    trainer = Trainer(graph, initial_parameters(graph, seed), training, None, settings)
    seconds = 0.0
    for report in trainer.reports():
        seconds = report.seconds
        if report.step % trainer.steps_per_epoch == 0:
            print(
                f"{name}: epoch {report.epoch}, loss {report.loss:.4f}, "
                f"accuracy {report.accuracy:.2%}, {seconds:.0f} s",
                file=sys.stderr,
                flush=True,
            )
    result = evaluate(graph, trainer.parameters(), test)
    _, height, width = graph.inputs[0].shape
    title = "MNIST" if recipe.data == "mnist" else "UCI digits"
    return Row(
        name,
        recipe.title,
        f"{title}, {height}×{width}",
        settings.epochs,
        Size.of(graph).parameters,
        result.correct,
        result.total,
        recipe.goal,
        seconds,
        seed,
    )


def table(rows: Sequence[Row]) -> str:
    """The rows in markdown."""
    lines = [HEAD, tuple("---" for _ in HEAD), *(row.cells() for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def circumstances() -> str:
    """Where the table was measured."""
    day = dt.date.today().isoformat()
    threads = blas_threads()
    return (
        f"{day}, {threads} BLAS thread{'s' * (threads > 1)} on {processor()}, NumPy "
        f"{np.__version__}; seconds are those of training alone."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; the exit code says whether all goals were met."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "networks", nargs="*", metavar="NETWORK", help=f"of {', '.join(RECIPES)} (default: all)"
    )
    parser.add_argument("--mnist", type=Path, metavar="DIR", help="folder of MNIST's four files")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    parser.add_argument(
        "--read", type=Path, metavar="FILE", help="take them from there, and train nothing"
    )
    parser.add_argument(
        "--markdown", action="store_true", help="put the table between the marks of both READMEs"
    )
    chosen = parser.parse_args(arguments)
    if chosen.read:
        data = json.loads(chosen.read.read_text("utf-8"))
        where, rows = data["measured"], [Row(**row) for row in data["rows"]]
    else:
        names = chosen.networks or [
            name for name, recipe in RECIPES.items() if recipe.data != "mnist" or chosen.mnist
        ]
        if unknown := set(names) - set(RECIPES):
            parser.error(f"expected of {', '.join(RECIPES)}, received {', '.join(sorted(unknown))}")
        if not chosen.mnist and any(RECIPES[name].data == "mnist" for name in names):
            parser.error("LeNet-5 is trained on MNIST: give the folder of its files with --mnist")
        # The same numbers whatever the number of processors; and on a busy machine two threads that
        # wait for each other take up to twenty times as long for matrices as small as these.
        with single_blas():
            rows = [run(name, RECIPES[name], chosen.seed, chosen.mnist) for name in names]
            where = circumstances()
    text = f"{table(rows)}\n\n{where}"
    print(text)
    if chosen.json:
        content = {"measured": where, "rows": [asdict(row) for row in rows]}
        chosen.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if chosen.markdown:
        for path in TABLES:
            put_into(path, "accuracy", text)
    missed = [row for row in rows if row.accuracy < row.goal]
    limits = {name: recipe.seconds for name, recipe in RECIPES.items()}
    late = [row for row in rows if (limit := limits[row.id]) is not None and row.seconds > limit]
    for row in missed:
        print(f"{row.id}: {row.accuracy:.2%}, expected {row.goal:.0%}", file=sys.stderr)
    for row in late:
        print(f"{row.id}: {row.seconds:.0f} s, expected {limits[row.id]:.0f}", file=sys.stderr)
    return 1 if missed or late else 0


if __name__ == "__main__":
    sys.exit(main())
