"""The command train: from a network and a data set to a project file."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.cli.common import (
    NETWORK_HELP,
    NEW_WEIGHTS,
    Commands,
    new_parser,
    number,
    open_network,
    optimizer,
    plain_preprocessing,
    whole_number,
    writable,
)

if TYPE_CHECKING:
    from engine.checkpoint import Checkpoint
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
            "being finite, the last weights with a finite loss are saved, and the code is 3.\n"
            "With --checkpoint a run that ended early goes on with --resume."
        ),
        example="%(prog)s resnet-digits --fresh --data digits --epochs 10 --out mine.gflow",
        codes="  130  interrupted with Ctrl-C; what has been reached is saved\n",
    )
    parser.add_argument("network", metavar="NETWORK", help=NETWORK_HELP)
    parser.add_argument(
        "--data",
        metavar="NAME",
        help="digits (shipped, 8×8), shapes (generated, 32×32) or mnist:DIR (a folder "
        "with MNIST's four files); resized to the network's input (default: digits, or what the "
        "run of --resume has)",
    )
    parser.add_argument("--fresh", action="store_true", help="start from new weights")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="project file to write, replaced when it is there "
        "(default: NETWORK-trained.gflow in this folder, or the next free number)",
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="after each epoch, and at Ctrl-C, keep the whole run here, replaced each time",
    )
    parser.add_argument(
        "--resume",
        type=Path,
        metavar="FILE",
        help="go on with the run of a checkpoint, to the same numbers as without the break; "
        "settings come from it, and it is kept up to date unless --checkpoint names another",
    )
    _add_settings(parser)
    parser.set_defaults(run=_run_train)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    """An option for each setting; without a value, so that what was given can be told apart."""
    run = parser.add_argument_group("run")
    run.add_argument("--epochs", type=whole_number, metavar="N", help="passes (default: 5)")
    run.add_argument(
        "--batch-size", type=whole_number, metavar="N", help="samples a step (default: 32)"
    )
    run.add_argument(
        "--threads",
        type=whole_number,
        metavar="N",
        help="that share large operations; another number may change last digits (1)",
    )
    run.add_argument("--seed", type=whole_number, metavar="N", help="same seed, same run (0)")
    step = parser.add_argument_group("step")
    step.add_argument(
        "--optimizer", choices=("SGD", "Adam", "AdamW", "RMSProp"), help="default: SGD"
    )
    for name, words in (
        ("lr", "learning rate (SGD 0.01, others 0.001)"),
        ("momentum", "share of the last step that is kept (SGD 0.9, RMSProp 0)"),
        ("weight-decay", "pull of the weights towards zero (0, AdamW 0.01)"),
        ("beta1", "Adam, AdamW: memory of the gradient (0.9)"),
        ("beta2", "Adam, AdamW: memory of its square (0.999)"),
        ("alpha", "RMSProp: memory of the gradient's square (0.99)"),
        ("eps", "Adam, AdamW, RMSProp: added to the divisor (1e-8)"),
        ("clip-norm", "longest gradient; longer ones are shortened (0: never)"),
    ):
        step.add_argument(f"--{name}", type=number, metavar="NUMBER", help=words)
    step.add_argument(
        "--nesterov", action="store_const", const=True, help="SGD: look ahead along the momentum"
    )
    step.add_argument(
        "--no-decay-biases",
        dest="decay_biases",
        action="store_const",
        const=False,
        help="weight decay leaves biases and normalisations alone",
    )
    step.add_argument(
        "--schedule",
        choices=("constant", "cosine", "step", "one-cycle"),
        help="how the learning rate changes (default: cosine)",
    )
    step.add_argument(
        "--warmup", type=number, metavar="SHARE", help="of the run in which the rate rises (0)"
    )
    loss = parser.add_argument_group("loss")
    loss.add_argument(
        "--label-smoothing",
        type=number,
        metavar="SHARE",
        help="of the right answer that all classes get alike (0)",
    )
    loss.add_argument(
        "--class-weights",
        choices=("equal", "balanced"),
        help="balanced: a class with few pictures counts as much as one with many",
    )
    augment = parser.add_argument_group("augmentation (off unless given)")
    augment.add_argument(
        "--shift", type=whole_number, metavar="PIXELS", help="move each picture by up to so much"
    )
    augment.add_argument(
        "--rotate", type=number, metavar="DEGREES", help="turn it by up to so much"
    )
    augment.add_argument(
        "--crop", type=number, metavar="SHARE", help="cut off up to so much, enlarge the rest"
    )
    augment.add_argument(
        "--flip",
        choices=("none", "left-right", "up-down", "both"),
        help="mirror half of the pictures",
    )
    augment.add_argument(
        "--cutout", type=whole_number, metavar="PIXELS", help="blank a square of this side"
    )


_RUN = ("epochs", "batch_size", "seed", "schedule", "warmup", "label_smoothing", "class_weights")
_STEP = ("momentum", "weight_decay", "beta1", "beta2", "alpha", "eps")
_ANY_STEP = ("clip_norm", "nesterov", "decay_biases")
_AUGMENT = ("shift", "rotate", "crop", "flip", "cutout")


def _settings(chosen: argparse.Namespace) -> TrainSettings:
    """The settings of the options; raises TrainingError or HyperparameterError."""
    from engine.data.augmentation import Augmentation
    from engine.train import TrainingError, TrainSettings

    kind = optimizer(chosen.optimizer or "SGD", chosen.lr)
    numbers = _given(chosen, (*_STEP, *_ANY_STEP))
    known = [field.name for field in dataclasses.fields(kind)]
    for name in numbers:
        if name not in known:
            raise TrainingError(
                f"--{name.replace('_', '-')}: expected an optimizer that has it, received "
                f"{type(kind).__name__}. Leave it out, or choose another --optimizer."
            )
    return TrainSettings(
        optimizer=dataclasses.replace(kind, **numbers),
        augmentation=Augmentation(**_given(chosen, _AUGMENT)),
        **_given(chosen, _RUN),
    )


def _given(chosen: argparse.Namespace, names: tuple[str, ...]) -> dict[str, Any]:
    """The options among these that were given."""
    return {name: value for name in names if (value := getattr(chosen, name)) is not None}


def _run_train(chosen: argparse.Namespace) -> int:
    from engine.workers import single_blas

    # --threads counts all that compute: BLAS's own would make numbers depend on the processors,
    # and on a busy machine they wait for each other.
    with single_blas():
        return _train(chosen)


def _train(chosen: argparse.Namespace) -> int:
    from engine import checkpoint as checkpoints
    from engine.architectures import ARCHITECTURES
    from engine.parameters import initial_parameters
    from engine.project_file import save
    from engine.train import Trainer, TrainingDiverged

    settings = _settings(chosen)
    project = open_network(chosen.network)
    out = writable(chosen.out or _free_name(chosen.network))
    kept = chosen.checkpoint or chosen.resume
    if kept is not None:
        writable(kept, "--checkpoint" if chosen.checkpoint else "--resume")
    project.graph.check()
    run = _checkpoint(chosen) if chosen.resume is not None else None
    data = chosen.data or (run.standing.source if run else "") or "digits"
    training, held_out = _data(data, project)
    if run is not None:
        trainer = Trainer.resume(run, training, held_out, graph=project.graph)
    else:
        start = project.parameters
        if chosen.fresh:
            start = initial_parameters(project.graph, settings.seed)
        threads = 1 if chosen.threads is None else chosen.threads
        trainer = Trainer(project.graph, start, training, held_out, settings, threads=threads)
    print(
        f"{project.graph.name}: {len(training):,} pictures of {training.name}, "
        f"{trainer.steps_total:,} steps of {trainer.batch_size}, {len(held_out):,} held out",
        flush=True,
    )
    known = chosen.network in ARCHITECTURES and project.metadata.get("weights") != NEW_WEIGHTS
    if known and run is None and not chosen.fresh:
        print("starts from the trained weights that ship; --fresh starts from new ones")
    for note in trainer.notes:
        print(note)
    if trainer.step:
        print(f"going on after {trainer.step:,} steps", flush=True)

    def keep() -> None:
        if kept is not None:
            checkpoints.save(trainer.checkpoint(data), kept)

    diverged = None
    try:
        interrupted = _follow(trainer, keep)
    except TrainingDiverged as error:
        diverged, interrupted = error, False
    save(_trained(project, trainer, held_out, data), out)
    print(f"saved {out} after {trainer.step:,} of {trainer.steps_total:,} steps")
    if diverged is not None:
        raise diverged
    if interrupted and kept is not None:
        print(f"go on with --resume {kept}")
    return INTERRUPTED if interrupted else 0


def _checkpoint(chosen: argparse.Namespace) -> Checkpoint:
    """The checkpoint of --resume, with steps left; raises CheckpointError."""
    from engine import checkpoint as checkpoints

    names = (*_RUN, "threads", "optimizer", "lr", *_STEP, *_ANY_STEP, *_AUGMENT)
    given = [f"--{name.replace('_', '-')}" for name in _given(chosen, names)]
    given = ["--no-decay-biases" if name == "--decay-biases" else name for name in given]
    if given or chosen.fresh:
        raise checkpoints.CheckpointError(
            f"--resume: expected the settings of the checkpoint alone, received "
            f"{', '.join([*given, *['--fresh'] * chosen.fresh])}. Leave them out."
        )
    found = checkpoints.load(chosen.resume)
    if found.standing.finished:
        raise checkpoints.CheckpointError(
            f"{chosen.resume}: expected a run with steps left, received one that has made all "
            f"{found.standing.steps_total:,}. Train on from the project file that it made."
        )
    return found


def _follow(trainer: Trainer, keep: Callable[[], None]) -> bool:
    """Train to the end, printing progress; True where Ctrl-C ended it early."""
    printed = 0.0
    with _interruptions() as interrupted:
        for report in trainer.reports():
            epoch_ends = report.step % trainer.steps_per_epoch == 0
            if epoch_ends or report.seconds - printed >= PROGRESS_SECONDS:
                print(_progress(report, epoch_ends), flush=True)
                printed = report.seconds
            if epoch_ends or interrupted.is_set():
                keep()
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


def _trained(project: Project, trainer: Trainer, held_out: Dataset, data: str) -> Project:
    """The project with its new weights, and with what is known about them."""
    from engine.train import evaluate

    parameters = trainer.parameters()
    result = evaluate(project.graph, parameters, held_out)
    title = project.metadata.get("title", project.graph.name)
    return dataclasses.replace(
        project,
        parameters=parameters,
        preprocessing=held_out.preprocessing,
        settings={**project.settings, "training": trainer.settings.as_dict()},
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
