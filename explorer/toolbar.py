"""The toolbar: files, stepping, the speed of playing, and the workspaces."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, QSize, Qt, Signal
from PySide6.QtWidgets import QSlider, QToolBar, QToolButton, QWidget

from explorer import theme
from explorer.commands import Actions
from explorer.workspaces import WORKSPACES

SPEEDS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Operations per second that the slider offers."""
GROUPS = (
    ("file.open", "file.save", "edit.undo", "edit.redo"),
    (
        "step.start",
        "step.back",
        "step.next",
        "step.inside",
        "step.finish",
        "step.end",
        "step.play",
    ),
)


class MainToolbar(QToolBar):
    """Buttons of the commands that are used most; ``speed`` is the slider for playing."""

    speed_changed = Signal(float)

    def __init__(self, actions: Actions, play_speed: float, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Main"))
        self.setObjectName("main-toolbar")
        self.setMovable(False)
        self.setIconSize(QSize(theme.METRICS.icon, theme.METRICS.icon))
        for ids in GROUPS:
            for command_id in ids:
                self.addAction(actions[command_id])
            before_speed = self.addSeparator()
        actions["step.next"].setIconText(self.tr("Next"))
        next_button = self.widgetForAction(actions["step.next"])
        if isinstance(next_button, QToolButton):
            next_button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            next_button.setObjectName("next-button")
        self.speed = QSlider(Qt.Orientation.Horizontal, self)
        self.speed.setObjectName("speed")
        self.speed.setRange(0, len(SPEEDS) - 1)
        self.speed.setFixedWidth(theme.METRICS.strip_height * 2)
        self.speed.setPageStep(1)
        self.speed.setValue(_nearest(play_speed))
        self.speed.setAccessibleName(self.tr("Speed of playing"))
        self._tell(SPEEDS[_nearest(play_speed)])
        self.speed.valueChanged.connect(self._speed_moved)
        self._speed_parts = (before_speed, self.addWidget(self.speed))
        spacer = QWidget(self)
        spacer.setSizePolicy(
            spacer.sizePolicy().Policy.Expanding, spacer.sizePolicy().Policy.Preferred
        )
        self.addWidget(spacer)
        for workspace in WORKSPACES:
            self.addAction(actions[f"view.{workspace}"])
        self.addAction(actions["help.shortcuts"])

    def fit(self, width: int) -> None:
        """In a narrow window the workspaces come before the speed, which is seldom changed."""
        for part in self._speed_parts:
            part.setVisible(width >= 28 * theme.METRICS.strip_height)

    def set_speed(self, speed: float) -> None:
        """Operations per second; the slider goes to the nearest that it has."""
        with QSignalBlocker(self.speed):
            self.speed.setValue(_nearest(speed))
        self._tell(speed)

    def _speed_moved(self, index: int) -> None:
        self._tell(SPEEDS[index])
        self.speed_changed.emit(SPEEDS[index])

    def _tell(self, speed: float) -> None:
        self.speed.setToolTip(
            self.tr("Speed of playing: {0:g} operations per second").format(speed)
        )


def _nearest(speed: float) -> int:
    return min(range(len(SPEEDS)), key=lambda i: abs(SPEEDS[i] - speed))
