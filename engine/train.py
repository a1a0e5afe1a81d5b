"""Training and evaluation: loops that exhaust ``Plan.run``, the only way in which a network runs.

``Trainer.reports`` is a generator: whoever pulls it sets the pace, so pausing is not pulling, and
stopping is closing it.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from engine.data.dataset import Dataset
from engine.graph import Graph
from engine.layers.base import (
    Array,
    HyperField,
    HyperparameterError,
    check_hyperparameter,
    hyper,
)
from engine.optimizers import OPTIMIZERS, SGD, AnyOptimizer
from engine.parameters import Parameters
from engine.plan import Batch, Plan, compile, exhaust
from engine.trace import Step
from engine.weights import OwnerName

Schedule = Literal["constant", "cosine", "step", "one-cycle"]
Augment = Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.float32]]

WINDOW = 50
"""Batches that a report's running accuracy and speed look back on."""


class TrainingError(ValueError):
    """Settings, network and data do not fit; names expected, received and what to do."""


class TrainingDiverged(TrainingError):  # noqa: N818 (what happened, not a mistake of the caller)
    """The loss became infinite or not a number.

    ``step`` counts from 1 and is the step whose loss was not finite; no update was made from it.
    The trainer has gone back to the parameters that last gave a finite loss.
    """

    def __init__(self, step: int, loss: float, learning_rate: float) -> None:
        self.step, self.loss, self.learning_rate = step, loss, learning_rate
        super().__init__(
            f"Training step {step}: expected a finite loss, received {loss} "
            f"(learning rate {learning_rate:.3g}). Lower the learning rate, for example to "
            f"{learning_rate / 10:.2g}. The weights are those before the loss became {loss}."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.step, self.loss, self.learning_rate)


@dataclass(frozen=True)
class TrainSettings:
    """How to train; a frozen value. Raises TrainingError or HyperparameterError when out of range.

    ``optimizer`` carries the learning rate that the schedule starts from. ``seed`` decides the
    order of the samples and all randomness of layers: the same seed gives the same weights.
    Schedules, with T steps in all and step t from 0: constant: lr; cosine:
    lr · (1 + cos(π t / T)) / 2 (Loshchilov & Hutter 2017, without restarts); step: lr, a tenth
    of it after half and a hundredth after three quarters of the run (He et al. 2016, section
    4.2); one-cycle: along half cosines from lr / 25 up to lr in the first 30% of the run and down
    to lr / 250,000 (Smith & Topin 2018, in PyTorch's form). ``warmup`` is the share of the run in
    which the rate first rises in a straight line to lr; the schedule has the rest (Goyal et al.
    2017, section 2.2).
    """

    epochs: int = hyper(5, "Passes over the training data.", low=1, high=10_000, unit="epochs")
    batch_size: int = hyper(
        32, "Samples whose mean gradient makes one step.", low=1, high=65_536, unit="samples"
    )
    optimizer: AnyOptimizer = dataclasses.field(default_factory=lambda: SGD(lr=0.01))
    seed: int = hyper(0, "Same seed, same run.", low=0, high=2**31 - 1)
    schedule: Schedule = hyper(
        "cosine", "How the learning rate changes.", choices=get_args(Schedule)
    )
    warmup: float = hyper(
        0.0, "Share of the run in which the learning rate first rises.", low=0.0, high=0.9
    )

    @classmethod
    def hyperparameters(cls) -> tuple[HyperField, ...]:
        """The fields but the optimizer, with default, range, unit and help, as a layer's."""
        return tuple(
            HyperField(
                f.name,
                f.type,
                f.default,
                f.metadata.get("low"),
                f.metadata.get("high"),
                f.metadata.get("unit", ""),
                f.metadata["help"],
                f.metadata.get("choices", ()),
            )
            for f in dataclasses.fields(cls)
            if "help" in f.metadata
        )

    def __post_init__(self) -> None:
        for field in self.hyperparameters():
            check_hyperparameter("Training", field, getattr(self, field.name))
        if not isinstance(self.optimizer, tuple(OPTIMIZERS.values())):
            *names, last = OPTIMIZERS
            raise TrainingError(
                f"Optimizer: expected {', '.join(names)} or {last}, "
                f"received {type(self.optimizer).__name__}."
            )
        for number in dataclasses.fields(self.optimizer):
            _check_optimizer(number.name, getattr(self.optimizer, number.name))

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON and the project file; ``from_dict`` reads it back, equal."""
        plain = {f.name: getattr(self, f.name) for f in self.hyperparameters()}
        return {
            **plain,
            "optimizer": {
                "kind": type(self.optimizer).__name__,
                **dataclasses.asdict(self.optimizer),
            },
        }

    @classmethod
    def from_dict(cls, data: Any) -> TrainSettings:
        """Read what ``as_dict`` wrote; what is missing has its default. Raises TrainingError."""
        try:
            values = dict(data)
            if "optimizer" in values:
                numbers = dict(values["optimizer"])
                values["optimizer"] = OPTIMIZERS[numbers.pop("kind")](**numbers)
            return cls(**values)
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, TrainingError | HyperparameterError):
                raise
            raise TrainingError(
                f"Training settings: expected epochs, batch_size, optimizer, seed and schedule, "
                f"received something else ({type(error).__name__}: {error}). Use the defaults."
            ) from error

    def learning_rate(self, step: int, steps_total: int) -> float:
        """The learning rate of a step, counted from 0."""
        peak = self.optimizer.lr
        rising = round(self.warmup * steps_total)
        if step < rising:
            return peak * (step + 1) / rising
        step, steps = step - rising, max(1, steps_total - rising)
        if self.schedule == "constant":
            return peak
        if self.schedule == "step":
            return peak * 0.1 ** ((2 * step >= steps) + (4 * step >= 3 * steps))
        if self.schedule == "one-cycle":
            top = 0.3 * steps - 1
            if step <= top:
                return _between(peak / 25, peak, step / top)
            end = max(steps - 1 - top, 1e-9)
            return _between(peak, peak / 250_000, min(1.0, (step - top) / end))
        return _between(peak, 0.0, step / steps)


def _between(start: float, end: float, share: float) -> float:
    """From ``start`` (share 0) to ``end`` (share 1) along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


# Name of an optimizer's number: (allowed, in words).
_RANGES: dict[str, tuple[Callable[[float], bool], str]] = {
    "lr": (lambda v: 0 < v <= 100, "a number above 0, at most 100"),
    "momentum": (lambda v: 0 <= v < 1, "a number from 0 to below 1"),
    "beta1": (lambda v: 0 <= v < 1, "a number from 0 to below 1"),
    "beta2": (lambda v: 0 <= v < 1, "a number from 0 to below 1"),
    "eps": (lambda v: 0 < v <= 1, "a number above 0, at most 1"),
    "alpha": (lambda v: 0 <= v < 1, "a number from 0 to below 1"),
    "weight_decay": (lambda v: 0 <= v <= 1, "a number from 0 to 1"),
    "clip_norm": (lambda v: 0 <= v <= 1e6, "a number from 0 (never clip) to 1000000"),
}
_SWITCHES = ("nesterov", "decay_biases")
_TITLES = {"lr": "Learning rate", "weight_decay": "Weight decay"}


def _check_optimizer(name: str, value: Any) -> None:
    if name in _SWITCHES:
        if not isinstance(value, bool):
            raise TrainingError(f"{name}: expected true or false, received {value!r}.")
        return
    allowed, words = _RANGES[name]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not allowed(value):
        title = _TITLES.get(name, name.capitalize())
        raise TrainingError(f"{title}: expected {words}, received {value!r}.")


@dataclass(frozen=True)
class Report:
    """How training stands after a step; a small value that can be sent to another process.

    ``step`` counts finished steps, ``epoch`` from 1. ``loss`` is this batch's, before its update.
    ``accuracy`` is the share of right answers over the last 50 batches (fewer at the start), each
    answered before its own update. ``validation_accuracy`` and ``validation_loss`` are the last
    measured ones, taken after the last step of each epoch; None before. ``seconds`` counts
    computing only: a pause does not enter it. ``samples_per_second`` is over the last 50 batches,
    validation left out.
    """

    step: int
    steps_total: int
    epoch: int
    loss: float
    accuracy: float
    validation_accuracy: float | None
    validation_loss: float | None
    learning_rate: float
    samples_per_second: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a network makes of a data set. ``predictions``: int64 (N,), the largest logits."""

    accuracy: float
    loss: float
    correct: int
    total: int
    predictions: NDArray[np.int64]


class Trainer:
    """Trains a graph on a data set.

    ``parameters`` are copied. ``flat``, if given, is the array that will hold the trained weights
    (its memory may be shared with another process). ``augment`` changes each training batch: it
    gets float32 (n, C, H, W) inputs, as the network sees them, and a generator that depends on
    seed and step alone.

    Every epoch shuffles the samples and takes whole batches; the rest, fewer than ``batch_size``
    samples and others in each epoch, sits out. A data set smaller than a batch makes one batch.

    Raises TrainingError where network and data do not fit, and what ``compile`` raises.
    """

    def __init__(
        self,
        graph: Graph,
        parameters: Parameters,
        training: Dataset,
        validation: Dataset | None,
        settings: TrainSettings,
        flat: Array | None = None,
        *,
        augment: Augment | None = None,
    ) -> None:
        for dataset in (training, validation):
            if dataset is not None:
                _check_fit(graph, dataset)
        self.graph, self.training, self.validation = graph, training, validation
        self.settings = settings
        self.batch_size = min(settings.batch_size, len(training))
        self.steps_per_epoch = len(training) // self.batch_size
        self.steps_total = self.steps_per_epoch * settings.epochs
        self._augment = augment
        self._plan = compile(
            graph,
            parameters,
            batch=self.batch_size,
            mode="train",
            input_gradients=False,
            flat=flat,
        )
        self._scores = graph.losses[0].input
        self._step = 0
        self._seconds = 0.0
        self._recent: deque[tuple[int, float]] = deque(maxlen=WINDOW)
        self._evaluation: Evaluation | None = None
        self._good = self._state()

    @property
    def plan(self) -> Plan:
        """The plan that every step runs."""
        return self._plan

    @property
    def step(self) -> int:
        """Steps finished."""
        return self._step

    def parameters(self) -> dict[OwnerName, Array]:
        """Copies of all parameters and running statistics as they are now."""
        return self._plan.parameters()

    def reports(self) -> Iterator[Report]:
        """Train, yielding a report after each step.

        May be closed at any time; called again, it goes on with the next step. After the last
        step it ends. Raises TrainingDiverged at a loss that is not finite.
        """
        while self._step < self.steps_total:
            epoch, done = divmod(self._step, self.steps_per_epoch)
            batches = self.training.batches(
                self.batch_size, seed=self.settings.seed, epoch=epoch, drop_last=True
            )
            for x, labels in islice(batches, done, None):
                yield self._train(x, labels)

    def _train(self, x: NDArray[np.float32], labels: NDArray[np.int64]) -> Report:
        """One step, and the validation after an epoch's last one."""
        started = time.perf_counter()
        settings, plan = self.settings, self._plan
        if self._augment is not None:
            x = self._augment(x, np.random.default_rng((settings.seed, 1, self._step)))
        rate = settings.learning_rate(self._step, self.steps_total)
        optimizer = dataclasses.replace(settings.optimizer, lr=rate)
        batch = Batch.of(self.graph, x, labels)
        last_loss = self.graph.losses[-1].id
        # The overflow that a diverging run makes is found below, and said in words.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for event in plan.run(batch, key=(settings.seed, self._step), optimizer=optimizer):
                if event.phase == "loss" and event.node == last_loss:
                    self._stop_unless_finite(event, rate)
        loss = plan.loss()
        correct = int((plan.value(self._scores).argmax(1) == labels).sum())
        seconds = time.perf_counter() - started
        self._recent.append((correct, seconds))
        self._step += 1
        epoch = (self._step - 1) // self.steps_per_epoch + 1
        if self.validation is not None and self._step % self.steps_per_epoch == 0:
            self._evaluation = evaluate(self.graph, self.parameters(), self.validation)
        self._seconds += time.perf_counter() - started
        seen = len(self._recent) * self.batch_size
        return Report(
            step=self._step,
            steps_total=self.steps_total,
            epoch=epoch,
            loss=loss,
            accuracy=sum(c for c, _ in self._recent) / seen,
            validation_accuracy=self._evaluation.accuracy if self._evaluation else None,
            validation_loss=self._evaluation.loss if self._evaluation else None,
            learning_rate=rate,
            samples_per_second=seen / max(sum(s for _, s in self._recent), 1e-9),
            seconds=self._seconds,
        )

    def _state(self) -> tuple[Array, dict[OwnerName, Array]]:
        weights = self._plan.weights
        return weights.flat.copy(), dict(weights.statistics)

    def _stop_unless_finite(self, event: Step, rate: float) -> None:
        """Called between the loss and its backward: remember these weights, or go back."""
        weights = self._plan.weights
        loss = self._plan.loss()
        if math.isfinite(loss):
            np.copyto(self._good[0], weights.flat)
            self._good = self._good[0], dict(weights.statistics)
            return
        np.copyto(weights.flat, self._good[0])
        weights.set_statistics(self._good[1])
        raise TrainingDiverged(self._step + 1, loss, rate)


def evaluate(
    graph: Graph, parameters: Parameters, dataset: Dataset, batch_size: int = 256
) -> Evaluation:
    """Answer every sample of a data set, in evaluation mode; nothing is changed.

    The last batch may be smaller. ``loss`` is the mean over samples. Raises TrainingError where
    network and data do not fit.
    """
    if batch_size < 1:
        raise TrainingError(f"Batch size: expected at least 1, received {batch_size}.")
    _check_fit(graph, dataset)
    plans: dict[int, Plan] = {}
    predictions = []
    total_loss = 0.0
    for x, labels in dataset.batches(batch_size, seed=None):
        if len(x) not in plans:
            plans[len(x)] = compile(graph, parameters, batch=len(x), mode="eval", backward=False)
        plan = plans[len(x)]
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            exhaust(plan.run(Batch.of(graph, x, labels), backward=False))
        predictions.append(plan.value(graph.losses[0].input).argmax(1))
        total_loss += plan.loss() * len(x)
    answers = np.concatenate(predictions).astype(np.int64)
    correct = int((answers == dataset.labels).sum())
    return Evaluation(
        correct / len(dataset), total_loss / len(dataset), correct, len(dataset), answers
    )


def _check_fit(graph: Graph, dataset: Dataset) -> None:
    """Raise TrainingError unless the graph can be trained on the data."""
    if not graph.losses:
        raise TrainingError(
            f"{graph.name}: expected a loss to train against, received none. "
            "Connect a cross-entropy loss to the output."
        )
    if len(graph.inputs) != 1:
        raise TrainingError(
            f"{graph.name}: expected one input for pictures, received {len(graph.inputs)}. "
            "Leave one input."
        )
    if not len(dataset):
        raise TrainingError(f"{dataset.name}: expected at least one sample, received none.")
    shape, wanted = dataset.preprocessing.shape, graph.inputs[0].shape
    if shape != wanted:
        raise TrainingError(
            f"{graph.name}: expected pictures of {_size(wanted)}, received {_size(shape)} from "
            f"{dataset.name}. Choose another data set, or set the network's input to "
            f"{_size(shape)}."
        )
    inference = graph.check()
    for loss in graph.losses:
        classes = _classes(inference.specs[loss.input].shape)
        if classes < len(dataset.classes):
            raise TrainingError(
                f"{graph.name}: expected at least {len(dataset.classes)} outputs, one for each "
                f"class of {dataset.name}, received {classes}. Set out_features of the last "
                f"Linear to {len(dataset.classes)}."
            )


def _classes(shape: tuple[int, ...]) -> int:
    return shape[1] if len(shape) > 1 else 0


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
