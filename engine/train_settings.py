"""How to train, as a frozen value: optimizer, schedule, augmentation, and what the loss weighs."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from engine.data.augmentation import Augmentation
from engine.described import Described
from engine.layers.base import HyperparameterError, hyper
from engine.optimizers import OPTIMIZERS, SGD, AnyOptimizer

Schedule = Literal["constant", "cosine", "step", "one-cycle"]
ClassWeights = Literal["equal", "balanced"]


class TrainingError(ValueError):
    """Settings, network and data do not fit; names expected, received and what to do."""


@dataclass(frozen=True)
class TrainSettings(Described):
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

    ``label_smoothing`` and ``class_weights`` concern the cross-entropies of the network while it
    is trained, in place of their own; "balanced" gives class k the weight N / (K · N_k), so that
    each class counts the same, however many pictures it has. Evaluation uses the network's own.
    """

    owner: ClassVar[str] = "Training"

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
    label_smoothing: float = hyper(
        0.0, "Share of the right answer that all classes get alike.", low=0.0, high=0.9
    )
    class_weights: ClassWeights = hyper(
        "equal",
        "Whether a class with few pictures counts as much as one with many.",
        choices=get_args(ClassWeights),
    )
    augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.augmentation, Augmentation):
            raise TrainingError(
                f"Augmentation: expected an Augmentation, received "
                f"{type(self.augmentation).__name__}."
            )
        if not isinstance(self.optimizer, tuple(OPTIMIZERS.values())):
            *names, last = OPTIMIZERS
            raise TrainingError(
                f"Optimizer: expected {', '.join(names)} or {last}, "
                f"received {type(self.optimizer).__name__}."
            )

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON and the project file; ``from_dict`` reads it back, equal."""
        plain = {f.name: getattr(self, f.name) for f in self.hyperparameters()}
        return {
            **plain,
            "optimizer": {
                "kind": type(self.optimizer).__name__,
                **dataclasses.asdict(self.optimizer),
            },
            "augmentation": self.augmentation.as_dict(),
        }

    @classmethod
    def from_dict(cls, data: Any) -> TrainSettings:
        """Read what ``as_dict`` wrote; what is missing has its default. Raises TrainingError."""
        try:
            values = dict(data)
            if "optimizer" in values:
                numbers = dict(values["optimizer"])
                values["optimizer"] = OPTIMIZERS[numbers.pop("kind")](**numbers)
            if "augmentation" in values:
                values["augmentation"] = Augmentation.from_dict(values["augmentation"])
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
