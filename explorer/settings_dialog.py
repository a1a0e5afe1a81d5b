"""The settings as a dialog, made from their description; what is changed counts at once."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QCoreApplication, QSignalBlocker, Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from explorer import theme
from explorer.settings import SETTINGS, Setting, Settings


def _tr(text: str) -> str:
    return QCoreApplication.translate("Settings", text)


class SettingsDialog(QDialog):
    """A row for each setting with a title. It does not block the window."""

    def __init__(self, settings: Settings, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setModal(False)
        self.setWindowTitle(self.tr("Settings"))
        self._settings = settings
        self.editors: dict[str, QWidget] = {}
        m = theme.metrics()
        whole = QVBoxLayout(self)
        whole.setContentsMargins(m.space_4, m.space_4, m.space_4, m.space_4)
        whole.setSpacing(m.space_4)
        grid = QGridLayout()
        grid.setHorizontalSpacing(m.space_4)
        grid.setVerticalSpacing(m.space_1)
        grid.setColumnStretch(1, 1)
        for name, setting in SETTINGS.items():
            if setting.title:
                self._add(grid, name, setting)
        whole.addLayout(grid)
        whole.addStretch(1)
        buttons = QHBoxLayout()
        self.restore = QPushButton(theme.icon("undo"), self.tr("Restore defaults"))
        self.restore.setAutoDefault(False)
        self.restore.clicked.connect(self._restore)
        self.done_button = QPushButton(self.tr("Close"))
        self.done_button.setAutoDefault(False)  # Enter ends a number, not the dialog
        self.done_button.clicked.connect(self.close)
        buttons.addWidget(self.restore)
        buttons.addStretch(1)
        buttons.addWidget(self.done_button)
        whole.addLayout(buttons)
        settings.changed.connect(self._show)
        self._show()
        self.resize(12 * m.strip_height, self.sizeHint().height())

    def _add(self, grid: QGridLayout, name: str, setting: Setting) -> None:
        row, editor = grid.rowCount(), self._editor(name, setting)
        editor.setAccessibleName(_tr(setting.title))
        editor.setAccessibleDescription(_tr(setting.help))
        editor.setToolTip(_range(setting))
        label = QLabel(_tr(setting.title))
        label.setBuddy(editor)
        label.setFixedHeight(theme.metrics().control_height)
        about = QLabel(_tr(setting.help))
        about.setProperty("role", "muted")
        about.setWordWrap(True)
        about.setContentsMargins(0, 0, 0, theme.metrics().space_3)
        grid.addWidget(label, row, 0)
        grid.addWidget(editor, row, 1)
        grid.addWidget(about, row + 1, 1)
        self.editors[name] = editor

    def _editor(self, name: str, setting: Setting) -> QWidget:
        """The editor that suits a setting's type and range."""
        default = setting.default
        if setting.choices:
            box = QComboBox()
            for i, choice in enumerate(setting.choices):
                text = setting.words[i] if i < len(setting.words) else str(choice)
                box.addItem(_tr(text), choice)
            box.currentIndexChanged.connect(lambda _: self._put(name, box.currentData()))
            box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            return box
        if isinstance(default, bool):
            check = QCheckBox(self.tr("on"))
            check.toggled.connect(lambda on: self._put(name, on))
            return check
        if isinstance(default, int | float):
            spin = QSpinBox() if isinstance(default, int) else QDoubleSpinBox()
            # typed digits count once they are complete
            spin.setKeyboardTracking(False)
            spin.setRange(setting.low or 0, 10**6 if setting.high is None else setting.high)  # type: ignore[arg-type]
            spin.lineEdit().setTextMargins(theme.metrics().space_1, 0, 0, 0)
            spin.valueChanged.connect(lambda value: self._put(name, value))
            return spin
        line = QLineEdit()
        line.editingFinished.connect(lambda: self._put(name, line.text()))
        return line

    def _put(self, name: str, value: Any) -> None:
        if SETTINGS[name].accepts(value):
            self._settings.set(name, value)

    def _restore(self) -> None:
        for name in self.editors:
            self._settings.set(name, SETTINGS[name].default)

    def _show(self, _changed: str = "") -> None:
        """What is set, also by a menu or a key; the editors say nothing of it."""
        usual = True
        for name, editor in self.editors.items():
            value = self._settings[name]
            usual = usual and value == SETTINGS[name].default
            with QSignalBlocker(editor):
                if isinstance(editor, QComboBox):
                    editor.setCurrentIndex(editor.findData(value))
                elif isinstance(editor, QCheckBox):
                    editor.setChecked(value)
                elif isinstance(editor, QSpinBox | QDoubleSpinBox):
                    editor.setValue(value)
                elif isinstance(editor, QLineEdit):
                    editor.setText(value)
        self.restore.setEnabled(not usual)


def _range(setting: Setting) -> str:
    """Help, range and default in words."""
    parts = [_tr(setting.help)]
    if setting.low is not None and setting.high is not None:
        parts.append(_tr("From {0:g} to {1:g}.").format(setting.low, setting.high))
    default = setting.default
    if setting.choices and setting.words:
        default = _tr(setting.words[setting.choices.index(default)])
    elif isinstance(default, bool):
        default = _tr("on") if default else _tr("off")
    parts.append(_tr("Default: {0}.").format(default))
    return " ".join(parts)
