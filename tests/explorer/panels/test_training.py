"""The training panel asks, and draws the reports that it is given."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel

from engine.data.augmentation import Augmentation
from engine.optimizers import OPTIMIZERS, SGD, Adam, AdamW, RMSProp
from engine.train import Report, TrainSettings
from explorer.panels import TrainingPanel


def shown(qtbot):
    panel = TrainingPanel()
    qtbot.addWidget(panel)
    panel.resize(380, 900)
    panel.set_datasets(["UCI digits", "shapes"])
    panel.show()
    return panel


def reports(count=6, per_epoch=3):
    found = []
    held = None
    for step in range(1, count + 1):
        if step % per_epoch == 0:
            held = (0.5 + step / 100, 1 - step / 100)
        found.append(
            Report(
                step,
                12,
                (step - 1) // per_epoch + 1,
                2 / step,
                step / 10,
                held[0] if held else None,
                held[1] if held else None,
                0.05,
                640.0,
                step * 0.1,
            )
        )
    return found


def type_into(qtbot, box, text):
    box.setFocus()
    box.selectAll()
    QTest.keyClicks(box, text)
    qtbot.keyClick(box, Qt.Key.Key_Return)


def test_start_asks_with_the_settings_as_they_stand(qtbot):
    panel = shown(qtbot)
    type_into(qtbot, panel.fields["epochs"].box, "3")
    type_into(qtbot, panel.fields["lr"].box, "0.01")
    qtbot.keyClick(panel.dataset, Qt.Key.Key_Down)
    with qtbot.waitSignal(panel.start_requested) as caught:
        qtbot.mouseClick(panel.start, Qt.MouseButton.LeftButton)
    assert caught.args == [TrainSettings(epochs=3, optimizer=SGD(lr=0.01)), "shapes"]


def open_all(qtbot, panel):
    for fold in panel.form.folds:
        qtbot.mouseClick(fold.button, Qt.MouseButton.LeftButton)


def test_what_is_seldom_changed_is_folded_away_and_its_changes_are_said(qtbot):
    panel = shown(qtbot)
    first = {name for name, field in panel.fields.items() if field.isVisible()}
    assert first == {"lr", "epochs", "batch_size", "schedule"}
    step, loss, augmentation = panel.form.folds
    assert (step.summary(), loss.summary(), augmentation.summary()) == ("", "", "off")
    qtbot.mouseClick(augmentation.button, Qt.MouseButton.LeftButton)
    assert panel.fields["shift"].isVisible() and not panel.fields["momentum"].isVisible()
    type_into(qtbot, panel.fields["shift"].box, "2")
    type_into(qtbot, panel.fields["rotate"].box, "7.5")
    assert augmentation.summary() == "shift 2 · rotate 7.5"
    qtbot.mouseClick(augmentation.button, Qt.MouseButton.LeftButton)
    assert not panel.fields["shift"].isVisible()
    assert panel.settings().augmentation == Augmentation(shift=2, rotate=7.5)


def test_everything_that_training_knows_is_offered(qtbot):
    panel = shown(qtbot)
    numbers = {f.name for kind in OPTIMIZERS.values() for f in dataclasses.fields(kind)}
    run = {f.name for f in TrainSettings.hyperparameters()}
    augmentation = {f.name for f in Augmentation.hyperparameters()}
    assert set(panel.fields) == numbers | run | augmentation
    open_all(qtbot, panel)
    for row, kind in enumerate(OPTIMIZERS.values()):
        panel.optimizer.setCurrentIndex(row)
        own = {f.name for f in dataclasses.fields(kind)}
        seen = {name for name, field in panel.fields.items() if not field.isHidden()}
        assert seen == own | run | augmentation


@pytest.mark.parametrize(
    "settings",
    [
        TrainSettings(
            epochs=9,
            batch_size=7,
            seed=3,
            schedule="one-cycle",
            warmup=0.25,
            label_smoothing=0.1,
            class_weights="balanced",
            optimizer=SGD(0.2, 0.5, 1e-4, nesterov=True, clip_norm=2.0, decay_biases=False),
            augmentation=Augmentation(2, 10.0, 0.2, "both", 4),
        ),
        TrainSettings(optimizer=Adam(0.01, 0.8, 0.9, 1e-6, 0.1)),
        TrainSettings(optimizer=AdamW()),
        TrainSettings(optimizer=RMSProp(0.01, 0.9, 1e-5, 0.3, 0.1)),
    ],
)
def test_settings_are_shown_and_read_back(qtbot, settings):
    panel = shown(qtbot)
    panel.set_settings(settings)
    assert panel.settings() == settings
    assert panel.optimizer.currentText() == type(settings.optimizer).__name__


def test_names_of_fields_begin_as_those_of_the_other_panels_do(qtbot):
    """With a capital; within a summary they are in the middle of a sentence."""
    panel = shown(qtbot)
    open_all(qtbot, panel)
    labels = [label for label in panel.form.findChildren(QLabel) if label.buddy() is not None]
    texts = [label.text() for label in labels]
    assert {"Data set", "Optimizer", "Learning rate", "Batch size", "Epochs"} <= set(texts)
    assert all(text[0].isupper() for text in texts), texts
    panel.set_settings(TrainSettings(optimizer=SGD(0.01, 0.5)))
    assert panel.form.step.summary() == "momentum 0.5"


def test_a_switch_is_a_click(qtbot):
    panel = shown(qtbot)
    open_all(qtbot, panel)
    box = panel.fields["nesterov"].box
    qtbot.mouseClick(box, Qt.MouseButton.LeftButton, pos=box.rect().center() / 4)
    assert panel.settings().optimizer == SGD(lr=0.01, nesterov=True)
    assert panel.form.step.summary() == "Nesterov"


def test_what_is_wrong_is_never_folded_away(qtbot):
    panel = shown(qtbot)
    step = panel.form.step
    qtbot.mouseClick(step.button, Qt.MouseButton.LeftButton)
    type_into(qtbot, panel.fields["momentum"].box, "2")
    qtbot.mouseClick(step.button, Qt.MouseButton.LeftButton)
    assert panel.settings() is None
    assert panel.fields["momentum"].isVisible()


def test_a_run_that_was_stopped_is_offered_to_go_on(qtbot):
    panel = shown(qtbot)
    assert not panel.go_on.isVisible()
    panel.set_resumable(3)
    assert panel.go_on.isVisible() and panel.go_on.text() == "Go on from epoch 3"
    with qtbot.waitSignal(panel.go_on_requested):
        qtbot.mouseClick(panel.go_on, Qt.MouseButton.LeftButton)
    panel.set_state("running")
    assert not panel.go_on.isVisible()
    panel.set_state("stopped")
    assert panel.go_on.isVisible()
    panel.set_resumable(None)
    assert not panel.go_on.isVisible()


def test_another_optimizer_brings_its_own_numbers(qtbot):
    panel = shown(qtbot)
    qtbot.keyClick(panel.optimizer, Qt.Key.Key_Down)
    assert not panel.fields["momentum"].isVisible()
    assert panel.settings() == TrainSettings(optimizer=Adam())
    panel.set_settings(TrainSettings(epochs=2, optimizer=SGD(0.2, 0.5), schedule="constant"))
    assert panel.settings() == TrainSettings(epochs=2, optimizer=SGD(0.2, 0.5), schedule="constant")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("lr", "-1", "Learning rate: expected a number above 0"),
        ("momentum", "1", "Momentum: expected a number from 0 to below 1"),
        ("epochs", "0", "epochs: expected at least 1, received 0"),
        ("lr", "fast", "Expected a number"),
        ("clip_norm", "-1", "Clip norm: expected a number from 0"),
        ("warmup", "1", "warmup: expected at most 0.9"),
        ("label_smoothing", "1", "label_smoothing: expected at most 0.9"),
        ("rotate", "200", "Augmentation.rotate: expected at most 180"),
    ],
)
def test_a_wrong_number_is_explained_and_nothing_starts(qtbot, name, text, words):
    panel = shown(qtbot)
    open_all(qtbot, panel)
    type_into(qtbot, panel.fields[name].box, text)
    assert panel.settings() is None and not panel.start.isEnabled()
    field = panel.fields[name].box
    assert field.property("invalid") is True
    texts = [label.text() for label in panel.findChildren(type(panel.message)) if label.isVisible()]
    assert any(words in text for text in texts)


def test_states_enable_what_can_be_done(qtbot):
    panel = shown(qtbot)
    buttons = (panel.start, panel.pause, panel.stop)

    def enabled():
        return tuple(button.isEnabled() for button in buttons)

    assert enabled() == (True, False, False) and not panel.restore.isVisible()
    panel.set_state("starting")
    assert enabled() == (False, False, True)
    panel.set_state("running")
    assert enabled() == (False, True, True)
    with qtbot.waitSignal(panel.pause_requested):
        qtbot.mouseClick(panel.pause, Qt.MouseButton.LeftButton)
    panel.set_state("paused")
    assert panel.pause.text() == "Resume"
    with qtbot.waitSignal(panel.resume_requested):
        qtbot.mouseClick(panel.pause, Qt.MouseButton.LeftButton)
    with qtbot.waitSignal(panel.stop_requested):
        qtbot.mouseClick(panel.stop, Qt.MouseButton.LeftButton)
    panel.set_state("failed", "Training step 3: expected a finite loss, received nan.")
    assert panel.message.text().startswith("Training step 3")
    assert enabled() == (True, False, False)
    with qtbot.waitSignal(panel.restore_requested):
        qtbot.mouseClick(panel.restore, Qt.MouseButton.LeftButton)
    with pytest.raises(ValueError, match="training state 'asleep'"):
        panel.set_state("asleep")


def test_reports_are_drawn_and_said(qtbot):
    panel = shown(qtbot)
    found = reports()
    panel.set_reports(found)
    x, y = panel.curves.data("loss")
    assert np.array_equal(x, [1, 2, 3, 4, 5, 6]) and np.allclose(y, [r.loss for r in found])
    x, y = panel.curves.data("validation_accuracy")
    assert np.array_equal(x, [3, 6]) and np.allclose(y, [53, 56])
    assert panel.progress.value() == 6 and panel.progress.maximum() == 12
    assert "loss 0.333 · accuracy 60% · held-out 56%" in panel.numbers.text()
    panel.set_reports([])
    assert panel.empty.isVisible() and not panel.curves.isVisible()


def test_no_data_set_that_fits_means_no_start(qtbot):
    panel = shown(qtbot)
    panel.set_datasets([])
    assert not panel.start.isEnabled()
    panel.set_datasets(["shapes"])
    assert panel.start.isEnabled()


def test_the_plotting_library_waits_for_the_first_show():
    code = (
        "import sys\n"
        "from PySide6.QtWidgets import QApplication\n"
        "app = QApplication([])\n"
        "from explorer.panels import TrainingPanel\n"
        "panel = TrainingPanel()\n"
        "assert 'pyqtgraph' not in sys.modules\n"
        "panel.show()\n"
        "assert 'pyqtgraph' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_curves_come_before_the_settings_in_a_narrow_panel(qtbot):
    panel = shown(qtbot)
    panel.resize(360, 480)
    qtbot.waitUntil(lambda: panel.fields["epochs"].isVisible())
    assert panel.dataset.mapTo(panel, panel.dataset.rect().center()).y() < 240
    panel.set_reports(reports())
    qtbot.waitUntil(lambda: panel.dataset.mapTo(panel, panel.dataset.rect().center()).y() > 240)
    assert panel.progress.mapTo(panel, panel.progress.rect().topLeft()).y() < 120
