"""Frozen values whose fields say what they are: settings of training, of augmentation."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from engine.layers.base import HyperField, check_hyperparameter


class Described:
    """Base of a frozen dataclass with ``hyper(...)`` fields, as a layer has them.

    ``owner`` is its name in messages. Raises HyperparameterError for a value out of range.
    """

    owner: ClassVar[str] = ""

    @classmethod
    def hyperparameters(cls) -> tuple[HyperField, ...]:
        """The fields that have a help sentence, with default, range, unit and choices."""
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
            for f in dataclasses.fields(cls)  # type: ignore[arg-type]
            if "help" in f.metadata
        )

    def __post_init__(self) -> None:
        for field in self.hyperparameters():
            check_hyperparameter(self.owner, field, getattr(self, field.name))
