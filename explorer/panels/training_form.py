"""The settings of a training as a form: the few that matter in sight, the rest folded away."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QGridLayout,
    QLabel,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from engine.data.augmentation import Augmentation
from engine.layers.base import HyperField, HyperparameterError
from engine.optimizers import OPTIMIZERS
from engine.train import TrainingError, TrainSettings
from explorer import theme
from explorer.panels.fields import Field, field_for
from explorer.panels.fold import Fold

FIRST = ("lr", "epochs", "batch_size", "schedule")
"""In sight; the learning rate is the optimizer's."""
STEP = (
    "momentum",
    "nesterov",
    "beta1",
    "beta2",
    "alpha",
    "eps",
    "weight_decay",
    "decay_biases",
    "clip_norm",
    "warmup",
)
LOSS = ("label_smoothing", "class_weights", "seed")
AUGMENT = tuple(field.name for field in Augmentation.hyperparameters())

_RUN = tuple(field.name for field in TrainSettings.hyperparameters())
_SWITCHES = ("nesterov", "decay_biases")


class TrainingForm(QWidget):
    """Edits a ``TrainSettings`` and the choice of a data set; ``changed`` while it is edited."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        m = theme.metrics()
        self.fields: dict[str, Field] = {}
        self._rows: dict[str, tuple[QLabel, Field, QLabel]] = {}
        self._texts: dict[str, str] = {}
        self._names = self._words()
        self.dataset, self.optimizer = QComboBox(), QComboBox()
        self.dataset.setAccessibleName(self.tr("Data set"))
        self.dataset.setMinimumContentsLength(8)
        self.dataset.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.optimizer.setAccessibleName(self.tr("Optimizer"))
        for box in (self.dataset, self.optimizer):
            box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            # their longest text would widen the panel beyond its place
            box.setMinimumWidth(2 * m.strip_height)
        for name, kind in OPTIMIZERS.items():
            self.optimizer.addItem(name, name)
            tip = Qt.ItemDataRole.ToolTipRole
            self.optimizer.setItemData(self.optimizer.count() - 1, kind.title, tip)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(m.space_3, m.space_3, m.space_3, m.space_3)
        whole.setSpacing(m.space_2)
        grid = QGridLayout()
        grid.setHorizontalSpacing(m.space_3)
        grid.setVerticalSpacing(m.space_1)
        grid.setColumnStretch(1, 1)
        for row, (text, widget) in enumerate(
            ((self.tr("Data set"), self.dataset), (self.tr("Optimizer"), self.optimizer))
        ):
            label = QLabel(text)
            label.setBuddy(widget)
            grid.addWidget(label, row, 0)
            grid.addWidget(widget, row, 1)
        whole.addLayout(grid)
        self.step = Fold(self.tr("Steps"))
        self.loss = Fold(self.tr("Loss and seed"))
        self.augmentation = Fold(self.tr("Augmentation"))
        self.folds = (self.step, self.loss, self.augmentation)
        parts = (
            (FIRST, grid),
            (STEP, self.step.grid),
            (LOSS, self.loss.grid),
            (AUGMENT, self.augmentation.grid),
        )
        descriptions = self._descriptions()
        for names, place in parts:
            for name in names:
                self._add_field(descriptions[name], place)
        folds = QVBoxLayout()
        folds.setSpacing(0)
        for fold in self.folds:
            folds.addWidget(fold)
        whole.addLayout(folds)
        whole.addStretch(1)
        self._show(TrainSettings())
        self.optimizer.currentIndexChanged.connect(self._optimizer_changed)

    def _words(self) -> dict[str, tuple[str, str]]:
        """Names and helps of what the optimizers have; the rest describes itself."""
        return {
            "lr": (
                self.tr("learning rate"),
                self.tr("How far the weights move against their gradient."),
            ),
            "momentum": (self.tr("momentum"), self.tr("Share of the last step that is kept.")),
            "nesterov": (self.tr("Nesterov"), self.tr("Looks ahead along the momentum.")),
            "beta1": (self.tr("beta 1"), self.tr("How long the mean of gradients remembers.")),
            "beta2": (self.tr("beta 2"), self.tr("How long the mean of squares remembers.")),
            "alpha": (self.tr("alpha"), self.tr("How long the mean of squares remembers.")),
            "eps": (self.tr("epsilon"), self.tr("Added to the divisor, against division by zero.")),
            "weight_decay": (
                self.tr("weight decay"),
                self.tr("Pulls the weights towards zero."),
            ),
            "decay_biases": (
                self.tr("decay biases"),
                self.tr("Weight decay pulls at biases and normalisations too."),
            ),
            "clip_norm": (
                self.tr("clip norm"),
                self.tr("A gradient longer than this is shortened to it; 0: never."),
            ),
            "warmup": (self.tr("warm-up"), ""),
            "batch_size": (self.tr("batch size"), ""),
            "label_smoothing": (self.tr("label smoothing"), ""),
            "class_weights": (self.tr("class weights"), ""),
        }

    def _descriptions(self) -> dict[str, HyperField]:
        found = {
            field.name: field
            for field in (*TrainSettings.hyperparameters(), *Augmentation.hyperparameters())
        }
        for name in ("lr", *STEP):
            if name not in found:
                kind = "bool" if name in _SWITCHES else "float"
                help_text = self._names[name][1]
                found[name] = HyperField(name, kind, 0.0, None, None, "", help_text, ())
        return found

    def _add_field(self, description: HyperField, grid: QGridLayout) -> None:
        m = theme.metrics()
        row, name = grid.rowCount(), description.name
        field = field_for(description)
        text = self._names.get(name, (name.replace("_", " "), ""))[0]
        for part in field.boxes():
            part.setAccessibleName(text)
            part.setAccessibleDescription(description.help)
            part.setToolTip(description.help)
        self._texts[name] = text
        label = QLabel(f"{text[:1].upper()}{text[1:]}")  # within a summary it is not the first word
        label.setToolTip(description.help)
        label.setBuddy(field.boxes()[0])
        label.setFixedHeight(m.control_height)
        # one width for all parts, so that their fields stand in one column
        label.setMinimumWidth(3 * m.strip_height)
        message = QLabel()
        message.setProperty("role", "error")
        message.setWordWrap(True)
        message.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        message.hide()
        grid.addWidget(label, row, 0)
        grid.addWidget(field, row, 1)
        grid.addWidget(message, row + 1, 1)
        field.typed.connect(self.changed)
        field.committed.connect(self.changed)
        self.fields[name] = field
        self._rows[name] = (label, field, message)

    # ---- the settings ----------------------------------------------------------------------

    def _kind(self) -> type[Any]:
        return OPTIMIZERS[self.optimizer.currentData()]

    def _usual(self) -> Any:
        """The optimizer that is chosen, at training's own numbers or at its defaults."""
        usual = TrainSettings().optimizer
        return usual if type(usual) is self._kind() else self._kind()()

    def _optimizer_changed(self) -> None:
        self._show_optimizer(self._usual())
        self.changed.emit()

    def _show_optimizer(self, optimizer: Any) -> None:
        """The optimizer's own fields and no others."""
        values = dataclasses.asdict(optimizer)
        for name in ("lr", *STEP):
            if name in _RUN:
                continue
            label, field, message = self._rows[name]
            label.setVisible(name in values)
            field.setVisible(name in values)
            message.hide()
            if name in values:
                field.set_value(values[name])

    def _show(self, settings: TrainSettings) -> None:
        index = self.optimizer.findData(type(settings.optimizer).__name__)
        self.optimizer.blockSignals(True)
        self.optimizer.setCurrentIndex(index)
        self.optimizer.blockSignals(False)
        self._show_optimizer(settings.optimizer)
        for name in _RUN:
            self.fields[name].set_value(getattr(settings, name))
        for name in AUGMENT:
            self.fields[name].set_value(getattr(settings.augmentation, name))

    def set_settings(self, settings: TrainSettings) -> None:
        """Show these settings, silently."""
        self._show(settings)
        self._summarise(settings)

    def settings(self) -> TrainSettings | None:
        """The settings as they stand; None after saying at the field what is wrong."""
        kind = self._kind()
        own = {f.name for f in dataclasses.fields(kind)}
        values: dict[str, Any] = {}
        fine = True
        for name, field in self.fields.items():
            if name not in own and name not in (*_RUN, *AUGMENT):
                continue
            values[name] = field.value()
            text = self._complaint(name, values[name], kind if name in own else None)
            label = self._rows[name][2]
            label.setText(text)
            label.setVisible(bool(text))
            field.set_invalid(bool(text))
            if text:
                fine = False
                self._unfold(name)
        if not fine:
            return None
        settings = TrainSettings(
            optimizer=kind(**{name: values[name] for name in own}),
            augmentation=Augmentation(**{name: values[name] for name in AUGMENT}),
            **{name: values[name] for name in _RUN},
        )
        self._summarise(settings)
        return settings

    def _complaint(self, name: str, value: Any, optimizer: type[Any] | None) -> str:
        """What is wrong with one value, in words; empty where nothing is."""
        if value is None:
            return self.tr("Expected a number, received none. Type one.")
        try:
            if optimizer is not None:
                TrainSettings(optimizer=optimizer(**{name: value}))
            elif name in AUGMENT:
                Augmentation(**{name: value})
            else:
                TrainSettings(**{name: value})
        except (HyperparameterError, TrainingError) as error:
            return str(error)
        return ""

    def _unfold(self, name: str) -> None:
        """What is wrong must be in sight."""
        for fold, names in zip(self.folds, (STEP, LOSS, AUGMENT), strict=True):
            if name in names:
                fold.set_open(True)

    def _summarise(self, settings: TrainSettings) -> None:
        """Beside each folded part what differs in it from the usual."""
        usual = TrainSettings()
        optimizer, normal = settings.optimizer, self._usual()
        step = {
            name: (getattr(optimizer, name), getattr(normal, name))
            for name in STEP
            if hasattr(optimizer, name)
        }
        step["warmup"] = settings.warmup, usual.warmup
        loss = {name: (getattr(settings, name), getattr(usual, name)) for name in LOSS}
        augment = {
            name: (getattr(settings.augmentation, name), getattr(usual.augmentation, name))
            for name in AUGMENT
        }
        for fold, values in zip(self.folds, (step, loss, augment), strict=True):
            fold.set_summary(self._different(values))
        if not settings.augmentation.active:
            self.augmentation.set_summary(self.tr("off"))

    def _different(self, values: Mapping[str, tuple[Any, Any]]) -> str:
        words = []
        for name, (value, normal) in values.items():
            if value == normal:
                continue
            text = self._texts[name]
            if isinstance(value, bool):
                words.append(text if value else self.tr("no {0}").format(text))
            else:
                number = isinstance(value, int | float)
                words.append(f"{text} {value:g}" if number else f"{text} {value}")
        return " · ".join(words)
