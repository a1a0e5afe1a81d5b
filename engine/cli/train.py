"""The command train: from a network and a data set to a project file."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.cli.common import (
    NETWORK_HELP,
    Commands,
    new_parser,
    open_network,
    optimizer,
    plain_preprocessing,
    whole_number,
    writable,
)

if TYPE_CHECKING:
    from engine.data.dataset import Dataset
    from engine.project_file import Project
    from engine.train import Report, Trainer, TrainSettings

INTERRUPTED = 130
PROGRESS_SECONDS = 5.0


def add_train(commands: Commands) -> None:
    parser = new_parser(
        commands,
        "train",
        summary="train a network and save it as a project file",
        description=(
            "Train a network from its present weights (--fresh: from new ones) and save it.\n"
            "Prints a line every few seconds and at the end of each epoch. Ctrl-C finishes the\n"
            "step under way, saves what has been reached and exits with 130. If the loss stops\n"
            "being finite, the last weights with a finite loss are saved, and the code is 3."
        ),
        example="%(prog)s resnet-digits --fresh --data digits --epochs 10 --out mine.gflow",
        codes="  130  interrupted with Ctrl-C; what has been reached is saved\n",
    )
    parser.add_argument("network", metavar="NETWORK", help=NETWORK_HELP)
    parser.add_argument(
        "--data",
        default="digits",
        metavar="NAME",
        help="digits (shipped, 8×8), shapes (generated, 32×32) or mnist:DIR (a folder "
        "with MNIST's four files); resized to the network's input (default: %(default)s)",
    )
    parser.add_argument(
        "--epochs", type=whole_number, default=5, help="passes (default: %(default)s)"
    )
    parser.add_argument(
        "--batch-size", type=whole_number, default=32, help="samples a step (default: %(default)s)"
    )
    parser.add_argument(
        "--optimizer", choices=("SGD", "Adam"), default="SGD", help="default: %(default)s"
    )
    parser.add_argument(
        "--lr", type=float, metavar="RATE", help="learning rate (default: 0.01, Adam 0.001)"
    )
    parser.add_argument(
        "--schedule",
        choices=("constant", "cosine"),
        default="cosine",
        help="how the learning rate changes (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=whole_number, default=0, help="same seed, same run (default: %(default)s)"
    )
    parser.add_argument("--fresh", action="store_true", help="start from new weights")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="project file to write, replaced when it is there "
        "(default: NETWORK-trained.gflow in this folder, or the next free number)",
    )
    parser.set_defaults(run=_run_train)


def _run_train(chosen: argparse.Namespace) -> int:
    from engine.parameters import initial_parameters
    from engine.project_file import save
    from engine.train import Trainer, TrainingDiverged, TrainSettings

    settings = TrainSettings(
        epochs=chosen.epochs,
        batch_size=chosen.batch_size,
        optimizer=optimizer(chosen.optimizer, chosen.lr),
        seed=chosen.seed,
        schedule=chosen.schedule,
    )
    project = open_network(chosen.network)
    out = writable(chosen.out or _free_name(chosen.network))
    project.graph.check()
    training, held_out = _data(chosen.data, project)
    start = initial_parameters(project.graph, chosen.seed) if chosen.fresh else project.parameters
    trainer = Trainer(project.graph, start, training, held_out, settings)
    print(
        f"{project.graph.name}: {len(training):,} pictures of {training.name}, "
        f"{trainer.steps_total:,} steps of {trainer.batch_size}, {len(held_out):,} held out",
        flush=True,
    )
    diverged = None
    try:
        interrupted = _follow(trainer)
    except TrainingDiverged as error:
        diverged, interrupted = error, False
    save(_trained(project, trainer, settings, held_out, chosen.data), out)
    print(f"saved {out} after {trainer.step:,} of {trainer.steps_total:,} steps")
    if diverged is not None:
        raise diverged
    return INTERRUPTED if interrupted else 0


def _follow(trainer: Trainer) -> bool:
    """Train to the end, printing progress; True where Ctrl-C ended it early."""
    printed = 0.0
    with _interruptions() as interrupted:
        for report in trainer.reports():
            epoch_ends = report.step % trainer.steps_per_epoch == 0
            if epoch_ends or report.seconds - printed >= PROGRESS_SECONDS:
                print(_progress(report, epoch_ends), flush=True)
                printed = report.seconds
            if interrupted.is_set():
                return report.step < report.steps_total
    return False


def _progress(report: Report, epoch_ends: bool) -> str:
    text = (
        f"epoch {report.epoch}  step {report.step}/{report.steps_total}  loss {report.loss:.4f}  "
        f"accuracy {report.accuracy:.2%}  "
    )
    if epoch_ends and report.validation_accuracy is not None:
        text += f"held-out {report.validation_accuracy:.2%}  "
    return (
        text + f"lr {report.learning_rate:.2g}  {report.samples_per_second:,.0f} samples/s  "
        f"{report.seconds:.1f} s"
    )


@contextlib.contextmanager
def _interruptions() -> Iterator[threading.Event]:
    """Ctrl-C sets the event, so that the step under way is finished; a second one stops at once."""
    seen = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield seen  # only the main thread may take signals
        return

    def note(number: int, frame: Any) -> None:
        seen.set()
        signal.signal(signal.SIGINT, before)

    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, note)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)


def _data(name: str, project: Project) -> tuple[Dataset, Dataset]:
    """(training, held-out), in the network's size; its own preprocessing wins over the data's."""
    from engine.data import catalogue

    if project.preprocessing is not None:
        return catalogue.load(name, project.preprocessing)
    training, held_out = catalogue.load(name)
    wanted = plain_preprocessing(project.graph)
    own = training.preprocessing
    if own.channels == wanted.channels:
        wanted = dataclasses.replace(own, size=wanted.size)
    return catalogue.fitted(training, wanted), catalogue.fitted(held_out, wanted)


def _trained(
    project: Project, trainer: Trainer, settings: TrainSettings, held_out: Dataset, data: str
) -> Project:
    """The project with its new weights, and with what is known about them."""
    from engine.train import evaluate

    parameters = trainer.parameters()
    result = evaluate(project.graph, parameters, held_out)
    title = project.metadata.get("title", project.graph.name)
    return dataclasses.replace(
        project,
        parameters=parameters,
        preprocessing=held_out.preprocessing,
        settings={**project.settings, "training": settings.as_dict()},
        metadata={
            "title": title,
            "accuracy": result.accuracy,
            "correct": result.correct,
            "total": result.total,
            "measured_on": held_out.name,
            "trained_on": f"{trainer.training.name} ({len(trainer.training):,} pictures)",
            "credit": held_out.credit,
            "data": data,
            "steps": trainer.step,
        },
    )


def _free_name(network: str) -> Path:
    """A file name that is not taken: a training run must not replace an earlier one unasked."""
    stem = f"{Path(network).stem}-trained"
    number = 1
    while (path := Path(f"{stem}{f'-{number}' if number > 1 else ''}.gflow")).exists():
        number += 1
    return path
