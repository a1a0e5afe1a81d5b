"""The training panel asks, and draws the reports that it is given."""

import subprocess
import sys

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from engine.optimizers import SGD, Adam
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
    ],
)
def test_a_wrong_number_is_explained_and_nothing_starts(qtbot, name, text, words):
    panel = shown(qtbot)
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
