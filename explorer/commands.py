"""Every command of the program: id, text, shortcut, icon, help. One table feeds menus, toolbar,
command box, shortcut sheet and tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import QCoreApplication, QObject, Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QWidget

from explorer import theme

Scope = Literal["window", "canvas", "stepping", "presentation"]
"""window: works anywhere. canvas: only when the canvas or outline has the keyboard. stepping:
canvas, timeline or grid (keys such as Space that would steal from buttons and text fields).
presentation: anywhere, but only while presenting (the keys of a clicker, and the way out)."""


@dataclass(frozen=True)
class Command:
    """One thing that the program can do. ``checkable`` commands show a state."""

    id: str
    text: str
    menu: str
    shortcuts: tuple[str, ...] = ()
    icon: str = ""
    help: str = ""
    scope: Scope = "window"
    checkable: bool = False


def _c(
    id: str,
    text: str,
    *shortcuts: str,
    icon: str = "",
    help: str = "",
    scope: Scope = "window",
    checkable: bool = False,
) -> Command:
    return Command(id, text, id.split(".")[0], shortcuts, icon, help, scope, checkable)


def QT_TRANSLATE_NOOP(_context: str, text: str) -> str:
    """Mark a text for the translation tools, which look for this name."""
    return text


COMMANDS: tuple[Command, ...] = (
    _c("file.new", QT_TRANSLATE_NOOP("Commands", "New empty network"), "Ctrl+N", icon="new"),
    _c("file.lenet5", QT_TRANSLATE_NOOP("Commands", "Open LeNet-5 (trained on MNIST)")),
    _c(
        "file.resnet_digits",
        QT_TRANSLATE_NOOP("Commands", "Open residual network (trained on digits)"),
    ),
    _c(
        "file.gallery",
        QT_TRANSLATE_NOOP("Commands", "Gallery with pictures…"),
        "Ctrl+Shift+O",
        icon="image",
        help="All networks of the gallery, each with its picture, year, idea and source.",
    ),
    _c(
        "file.open",
        QT_TRANSLATE_NOOP("Commands", "Open…"),
        "Ctrl+O",
        icon="open",
        help="Open a project file.",
    ),
    _c(
        "file.save",
        QT_TRANSLATE_NOOP("Commands", "Save"),
        "Ctrl+S",
        icon="save",
        help="Save the project.",
    ),
    _c("file.save_as", QT_TRANSLATE_NOOP("Commands", "Save as…"), "Ctrl+Shift+S"),
    _c(
        "file.sizes",
        QT_TRANSLATE_NOOP("Commands", "Other sizes of pictures…"),
        help="Choose again how large the pictures are, where the ONNX file leaves that open.",
    ),
    _c(
        "file.export",
        QT_TRANSLATE_NOOP("Commands", "Export…"),
        "Ctrl+E",
        icon="export",
        help="Write network and weights for other programs: ONNX, PyTorch or Keras.",
    ),
    _c(
        "file.picture",
        QT_TRANSLATE_NOOP("Commands", "Save picture of the network…"),
        "Ctrl+Shift+E",
        icon="image",
        help="Write the network as it is shown as a PNG, twice as large, or as an SVG.",
    ),
    _c(
        "file.window_picture",
        QT_TRANSLATE_NOOP("Commands", "Save picture of the window…"),
        help="Write the window with its panels, as they are, as a PNG.",
    ),
    _c(
        "file.save_run",
        QT_TRANSLATE_NOOP("Commands", "Save the run…"),
        "Ctrl+Shift+R",
        icon="save",
        help="Write the run with all its numbers, to be opened again without the project; or as a "
        "table of its steps, or as an animated GIF.",
    ),
    _c("file.quit", QT_TRANSLATE_NOOP("Commands", "Quit"), "Ctrl+Q"),
    _c("edit.undo", QT_TRANSLATE_NOOP("Commands", "Undo"), "Ctrl+Z", icon="undo"),
    _c("edit.redo", QT_TRANSLATE_NOOP("Commands", "Redo"), "Ctrl+Shift+Z", "Ctrl+Y", icon="redo"),
    _c(
        "edit.cut",
        QT_TRANSLATE_NOOP("Commands", "Cut"),
        "Ctrl+X",
        scope="canvas",
        help="Take the selected layers out, to paste them elsewhere.",
    ),
    _c(
        "edit.copy",
        QT_TRANSLATE_NOOP("Commands", "Copy"),
        "Ctrl+C",
        icon="copy",
        scope="canvas",
        help="Copy the selected layers with their weights, also for another window.",
    ),
    _c(
        "edit.paste",
        QT_TRANSLATE_NOOP("Commands", "Paste"),
        "Ctrl+V",
        scope="canvas",
        help="Add the layers that were copied or cut.",
    ),
    _c(
        "edit.delete",
        QT_TRANSLATE_NOOP("Commands", "Delete"),
        "Delete",
        icon="delete",
        scope="canvas",
        help="Remove the selected layers; their neighbours are connected.",
    ),
    _c("edit.select_all", QT_TRANSLATE_NOOP("Commands", "Select all"), "Ctrl+A", scope="canvas"),
    _c(
        "edit.arrange", QT_TRANSLATE_NOOP("Commands", "Arrange the network"), "Ctrl+L", icon="group"
    ),
    _c(
        "edit.group",
        QT_TRANSLATE_NOOP("Commands", "Group into a block"),
        "Ctrl+G",
        scope="canvas",
        help="Give the selected layers a name in common: a block that folds.",
    ),
    _c(
        "edit.ungroup",
        QT_TRANSLATE_NOOP("Commands", "Take the block apart"),
        "Ctrl+Shift+G",
        scope="canvas",
        help="The layers of the selected block stay, without its name.",
    ),
    _c(
        "edit.save_block",
        QT_TRANSLATE_NOOP("Commands", "Keep the selection as a block"),
        "Ctrl+Alt+G",
        scope="canvas",
        help="Put the selected layers into the palette, to be added again with other widths.",
    ),
    _c(
        "edit.add_loss",
        QT_TRANSLATE_NOOP("Commands", "Add a loss"),
        help="Judge what the selected layer sends, or an output that has no loss yet: from there a "
        "gradient is sent back.",
    ),
    _c(
        "edit.mute",
        QT_TRANSLATE_NOOP("Commands", "Mute or unmute"),
        "Ctrl+M",
        scope="canvas",
        help="Pass the selected layers by, which hand on what they receive; again, they are back "
        "with their weights.",
    ),
    _c("edit.align_left", QT_TRANSLATE_NOOP("Commands", "Align left")),
    _c("edit.align_centre", QT_TRANSLATE_NOOP("Commands", "Align centres")),
    _c("edit.align_right", QT_TRANSLATE_NOOP("Commands", "Align right")),
    _c("edit.align_top", QT_TRANSLATE_NOOP("Commands", "Align top")),
    _c("edit.align_middle", QT_TRANSLATE_NOOP("Commands", "Align middles")),
    _c("edit.align_bottom", QT_TRANSLATE_NOOP("Commands", "Align bottom")),
    _c("edit.align_across", QT_TRANSLATE_NOOP("Commands", "Distribute across")),
    _c("edit.align_down", QT_TRANSLATE_NOOP("Commands", "Distribute down")),
    _c(
        "edit.align_arrange",
        QT_TRANSLATE_NOOP("Commands", "Arrange the selection"),
        "Ctrl+Shift+L",
        scope="canvas",
        help="Lay the selected layers out anew; the others stay.",
    ),
    _c(
        "edit.settings",
        QT_TRANSLATE_NOOP("Commands", "Settings…"),
        "Ctrl+Alt+S",
        help="Colours, speed of playing, and what is shown and asked.",
    ),
    _c("step.start", QT_TRANSLATE_NOOP("Commands", "To the start"), "Ctrl+Home", icon="first"),
    _c(
        "step.back",
        QT_TRANSLATE_NOOP("Commands", "Back"),
        "Shift+F10",
        "Shift+N",
        "PgUp",
        icon="back",
        help="One operation back, exactly (debugger: step back).",
    ),
    _c(
        "step.next",
        QT_TRANSLATE_NOOP("Commands", "Next operation"),
        "F10",
        "N",
        "PgDown",
        icon="next",
        help="Carry out one operation (debugger: step over).",
    ),
    _c(
        "step.finish",
        QT_TRANSLATE_NOOP("Commands", "Finish phase"),
        "Shift+F11",
        "O",
        icon="finish",
        help="Carry on to the end of this phase; inside of a layer to the end of what is begun "
        "(debugger: step out).",
    ),
    _c(
        "step.inside",
        QT_TRANSLATE_NOOP("Commands", "Look inside"),
        "F11",
        "I",
        icon="inside",
        help="Go into the operation: by channels, again by rows, cells and terms (debugger: step "
        "into).",
    ),
    _c("step.end", QT_TRANSLATE_NOOP("Commands", "To the end"), "Ctrl+End", icon="last"),
    _c("step.play", QT_TRANSLATE_NOOP("Commands", "Play"), "F5", icon="play", checkable=True),
    _c(
        "step.run_to",
        QT_TRANSLATE_NOOP("Commands", "Run to the selected layer"),
        "Ctrl+F10",
        icon="run-to",
        help="Carry on until the selected layer is next touched (debugger: run to cursor).",
    ),
    _c(
        "step.predict",
        QT_TRANSLATE_NOOP("Commands", "Predict, then reveal"),
        "P",
        icon="eye-off",
        checkable=True,
        help="Ask what a pooling, a ReLU, an Add or a convolution will do before it is shown.",
    ),
    _c(
        "step.breakpoint",
        QT_TRANSLATE_NOOP("Commands", "Breakpoint here"),
        "F9",
        icon="breakpoint",
        help="Stop at the selected layer, or no longer; with none selected, at the present "
        "operation.",
    ),
    _c(
        "focus.why",
        QT_TRANSLATE_NOOP("Commands", "Why this number?"),
        "W",
        icon="why",
        help="Go to the term that contributed most to the selected number; again, down to a pixel "
        "or a weight.",
    ),
    _c(
        "focus.back",
        QT_TRANSLATE_NOOP("Commands", "Back to the number before"),
        "Backspace",
        "Alt+Left",
        help="Walk back the way that Why? and clicks on numbers led.",
        scope="stepping",
    ),
    _c(
        "focus.forward",
        QT_TRANSLATE_NOOP("Commands", "Forward to the number after"),
        "Alt+Right",
        scope="stepping",
    ),
    _c(
        "focus.side",
        QT_TRANSLATE_NOOP("Commands", "Between a number and its gradient"),
        "G",
        help="Ask where the selected number came from, or what made its gradient.",
    ),
    _c(
        "focus.field",
        QT_TRANSLATE_NOOP("Commands", "Show the receptive field"),
        "R",
        checkable=True,
        help="Outline what the selected number sees in every layer before it, and, dashed, what "
        "it changes in every layer after it.",
    ),
    _c(
        "focus.check",
        QT_TRANSLATE_NOOP("Commands", "Check this gradient"),
        "C",
        icon="measure",
        help="Nudge the selected number up and down, run the network again, and say the slope of "
        "the loss beside the gradient.",
    ),
    _c(
        "focus.watch",
        QT_TRANSLATE_NOOP("Commands", "Watch this number"),
        "Shift+W",
        icon="watch",
        help="Follow the selected number over the steps of training; without one the gradient of "
        "the selected layer.",
    ),
    _c(
        "focus.reset",
        QT_TRANSLATE_NOOP("Commands", "Reset the what-if"),
        "Ctrl+R",
        icon="undo",
        help="Run the network as it is again, without changed factors.",
    ),
    _c(
        "sample.previous",
        QT_TRANSLATE_NOOP("Commands", "Previous picture"),
        "Ctrl+,",
        icon="image-previous",
    ),
    _c("sample.next", QT_TRANSLATE_NOOP("Commands", "Next picture"), "Ctrl+.", icon="image-next"),
    _c(
        "sample.draw",
        QT_TRANSLATE_NOOP("Commands", "Draw your own digit"),
        "Ctrl+D",
        icon="pen",
        checkable=True,
    ),
    _c(
        "sample.pin",
        QT_TRANSLATE_NOOP("Commands", "Pin this picture"),
        "Ctrl+P",
        icon="pin",
        checkable=True,
        help="Keep this picture and its run beside the next one in the inspector: same layer, same "
        "cell, same step. Again: let go of it.",
    ),
    _c("sample.open", QT_TRANSLATE_NOOP("Commands", "Open a picture…"), "Ctrl+I", icon="image"),
    _c("train.start", QT_TRANSLATE_NOOP("Commands", "Start training"), "Ctrl+T", icon="train"),
    _c(
        "train.pause",
        QT_TRANSLATE_NOOP("Commands", "Pause or resume training"),
        "Ctrl+Shift+T",
        icon="pause",
    ),
    _c("train.stop", QT_TRANSLATE_NOOP("Commands", "Stop training"), icon="stop"),
    _c(
        "train.go_on",
        QT_TRANSLATE_NOOP("Commands", "Go on with the training that ended early"),
        help="The run of this network goes on as if there had been no break.",
    ),
    _c(
        "train.restore",
        QT_TRANSLATE_NOOP("Commands", "Restore the weights from before training"),
        help="Undo the last training: the weights become what they were when it started.",
    ),
    _c(
        "train.new_weights",
        QT_TRANSLATE_NOOP("Commands", "New random weights"),
        help="Start anew: each layer's weights as before any training; those of now stay in the "
        "history. A network that is shown as a structure gets its weights and runs.",
    ),
    _c("view.build", QT_TRANSLATE_NOOP("Commands", "Build"), "Ctrl+1", checkable=True),
    _c("view.step", QT_TRANSLATE_NOOP("Commands", "Step"), "Ctrl+2", checkable=True),
    _c("view.train", QT_TRANSLATE_NOOP("Commands", "Train"), "Ctrl+3", checkable=True),
    _c("view.flow", QT_TRANSLATE_NOOP("Commands", "Flow"), "Ctrl+4", checkable=True),
    _c("view.learn", QT_TRANSLATE_NOOP("Commands", "Learn"), "Ctrl+5", checkable=True),
    _c(
        "view.fold",
        QT_TRANSLATE_NOOP("Commands", "Fold or unfold the block"),
        "T",
        scope="canvas",
        help="Show the selected block as one card, or what is folded into the card.",
    ),
    _c(
        "view.fold_all",
        QT_TRANSLATE_NOOP("Commands", "Fold all blocks"),
        "Shift+T",
        scope="canvas",
        help="Show every block as one card.",
    ),
    _c(
        "view.unfold_all",
        QT_TRANSLATE_NOOP("Commands", "Unfold all blocks"),
        "Ctrl+Alt+T",
        scope="canvas",
        help="Show every layer.",
    ),
    _c("view.fit", QT_TRANSLATE_NOOP("Commands", "Fit the network"), "Ctrl+0", icon="fit"),
    _c(
        "view.zoom_in", QT_TRANSLATE_NOOP("Commands", "Zoom in"), "Ctrl++", "Ctrl+=", icon="zoom-in"
    ),
    _c("view.zoom_out", QT_TRANSLATE_NOOP("Commands", "Zoom out"), "Ctrl+-", icon="zoom-out"),
    _c(
        "view.presentation",
        QT_TRANSLATE_NOOP("Commands", "Presentation"),
        "Ctrl+Shift+P",
        "Esc",
        icon="presentation",
        checkable=True,
        help="Canvas and narration only, large and light, for a projector.",
    ),
    _c(
        "view.system",
        QT_TRANSLATE_NOOP("Commands", "Colours of the system"),
        checkable=True,
        icon="theme-system",
    ),
    _c("view.light", QT_TRANSLATE_NOOP("Commands", "Light"), checkable=True, icon="theme-light"),
    _c("view.dark", QT_TRANSLATE_NOOP("Commands", "Dark"), checkable=True, icon="theme-dark"),
    _c("help.find", QT_TRANSLATE_NOOP("Commands", "Find a command…"), "Ctrl+K", icon="search"),
    _c(
        "help.shortcuts",
        QT_TRANSLATE_NOOP("Commands", "Keyboard shortcuts"),
        "F1",
        "?",
        icon="help",
    ),
    _c("help.about", QT_TRANSLATE_NOOP("Commands", "About and credits")),
)

MENUS: tuple[tuple[str, str], ...] = (
    ("file", QT_TRANSLATE_NOOP("Commands", "&File")),
    ("edit", QT_TRANSLATE_NOOP("Commands", "&Edit")),
    ("step", QT_TRANSLATE_NOOP("Commands", "&Run")),
    ("focus", QT_TRANSLATE_NOOP("Commands", "E&xplain")),
    ("sample", QT_TRANSLATE_NOOP("Commands", "&Picture")),
    ("train", QT_TRANSLATE_NOOP("Commands", "&Train")),
    ("view", QT_TRANSLATE_NOOP("Commands", "&View")),
    ("help", QT_TRANSLATE_NOOP("Commands", "&Help")),
)


def tr(text: str) -> str:
    """A text of the table in the user's language."""
    return QCoreApplication.translate("Commands", text)


class Actions(QObject):
    """The QActions of the table. Keys of a canvas or stepping scope stay with their widgets."""

    def __init__(self, window: QWidget, run: Mapping[str, Callable[[], None]]) -> None:
        super().__init__(window)
        self._actions: dict[str, QAction] = {}
        for command in COMMANDS:
            action = QAction(tr(command.text), window)
            action.setObjectName(command.id)
            if command.icon:
                action.setIcon(theme.icon(command.icon))
            keys = [
                QKeySequence(s) for s in command.shortcuts if scope_of(command, s) != "presentation"
            ]
            anywhere = [
                QKeySequence(s) for s in command.shortcuts if scope_of(command, s) == "window"
            ]
            if anywhere:
                action.setShortcuts(anywhere)
                action.setShortcutContext(Qt.ShortcutContext.WindowShortcut)
            elif keys:  # the menu names them; the widgets that have them listen for them
                action.setShortcuts(keys)
                action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
            shown = ", ".join(k.toString(QKeySequence.SequenceFormat.NativeText) for k in keys)
            tip = tr(command.help) if command.help else tr(command.text)
            action.setToolTip(f"{tip} ({shown})" if shown else tip)
            action.setStatusTip(tip)
            action.setCheckable(command.checkable)
            action.triggered.connect(_without_state(run[command.id]))
            window.addAction(action)
            self._actions[command.id] = action

    def __getitem__(self, command_id: str) -> QAction:
        return self._actions[command_id]

    def in_menu(self, menu: str) -> list[QAction]:
        """The actions of one menu, in the table's order."""
        return [self._actions[c.id] for c in COMMANDS if c.menu == menu]


def _without_state(function: Callable[[], None]) -> Callable[[bool], None]:
    """A slot that drops QAction.triggered's argument."""

    def slot(_checked: bool = False) -> None:
        function()

    return slot


_PRESENTING = frozenset(("PgDown", "PgUp", "Esc"))


def scope_of(command: Command, key: str) -> Scope:
    """Where a key of a command works: one that types a character belongs to text fields first."""
    if key in _PRESENTING:
        return "presentation"
    types = len(key.removeprefix("Shift+")) == 1
    return "stepping" if types and command.scope == "window" else command.scope


def key_table() -> list[tuple[str, str, Scope]]:
    """(shortcut, command id, scope) of every key of the commands, for the sheet and the tests."""
    return [(key, c.id, scope_of(c, key)) for c in COMMANDS for key in c.shortcuts]
