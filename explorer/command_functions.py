"""What each command of the table does, menu by menu."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QCoreApplication
from PySide6.QtGui import QGuiApplication

from explorer.alignment import SIDES, Side
from explorer.answer_panels import AnswerPanels
from explorer.canvas import Canvas
from explorer.controller import Controller
from explorer.file_dialogs import FileDialogs
from explorer.notices import Say
from explorer.panels import SampleBar, Timeline
from explorer.training_session import TrainingSession

Functions = dict[str, Callable[[], None]]


def file_functions(controller: Controller, files: FileDialogs) -> Functions:
    projects = controller.projects
    return {
        "file.lenet5": lambda: projects.open_shipped("lenet5"),
        "file.resnet_digits": lambda: projects.open_shipped("resnet-digits"),
        "file.open": files.open,
        "file.save": files.save,
        "file.save_as": files.save_as,
        "file.sizes": controller.projects.ask_sizes,
        "file.export": files.export,
        "file.picture": files.save_network_picture,
        "file.window_picture": files.save_window_picture,
        "file.save_run": files.save_run,
    }


def edit_functions(controller: Controller, answers: AnswerPanels, say: Say) -> Functions:
    c, document = controller, controller.document

    def copy(*, and_delete: bool = False) -> None:
        selection = document.selection
        text = c.clipboard.copy(selection)
        if not text:
            say("info", _tr("Select layers first: they are copied."))
            return
        QGuiApplication.clipboard().setText(text)
        if and_delete:
            c.layers.delete(selection)

    def aligner(side: Side) -> Callable[[], None]:
        return lambda: c.arranging.align(side)

    return {
        "edit.undo": c.undo,
        "edit.redo": c.redo,
        "edit.cut": lambda: copy(and_delete=True),
        "edit.copy": copy,
        "edit.paste": lambda: c.clipboard.paste(QGuiApplication.clipboard().text()),
        "edit.delete": lambda: c.layers.delete(document.selection),
        "edit.select_all": c.select_all,
        "edit.arrange": c.arranging.arrange,
        "edit.group": lambda: c.blocks.group(document.selection),
        "edit.ungroup": lambda: c.blocks.ungroup(document.selection),
        "edit.save_block": answers.save_block,
        "edit.add_loss": c.losses.add,
        "edit.mute": lambda: c.layers.mute(document.selection),
        **{f"edit.align_{side}": aligner(side) for side in SIDES},
        "edit.align_across": lambda: c.arranging.distribute("across"),
        "edit.align_down": lambda: c.arranging.distribute("down"),
        "edit.align_arrange": c.arranging.arrange_selection,
    }


def step_functions(
    controller: Controller,
    answers: AnswerPanels,
    timeline: Timeline,
    checked: Callable[[str], bool],
) -> Functions:
    """``checked`` says whether a command that shows a state is on."""
    stepping, document = controller.stepping, controller.document

    def toggle_breakpoint() -> None:
        """At the tick that was carried out last where the timeline has the keyboard."""
        if timeline.hasFocus() and document.step is not None:
            stepping.toggle_operation(document.position - 1)
        else:
            stepping.toggle_here()

    return {
        "step.start": stepping.to_start,
        "step.back": stepping.back,
        "step.next": stepping.next,
        "step.finish": stepping.finish,
        "step.inside": answers.look_inside,
        "step.predict": lambda: stepping.set_asks(checked("step.predict")),
        "step.end": stepping.to_end,
        "step.play": lambda: stepping.play(None),
        "step.run_to": stepping.run_to,
        "step.breakpoint": toggle_breakpoint,
    }


def focus_functions(controller: Controller, answers: AnswerPanels) -> Functions:
    c = controller
    return {
        "focus.why": answers.why,
        "focus.back": c.asking.why_back,
        "focus.forward": c.asking.why_forward,
        "focus.side": answers.other_side,
        "focus.reset": c.what_ifs.reset,
        "focus.watch": answers.watch,
        "focus.check": lambda: c.checker.check(c.asking.place),
    }


def sample_functions(
    controller: Controller, files: FileDialogs, sample_bar: SampleBar
) -> Functions:
    return {
        "sample.previous": controller.pictures.previous,
        "sample.next": controller.pictures.next,
        "sample.draw": sample_bar.draw.click,
        "sample.pin": controller.pinned.toggle,
        "sample.open": files.open_picture,
    }


def train_functions(controller: Controller, training: TrainingSession) -> Functions:
    return {
        "train.start": training.start_with_last_settings,
        "train.pause": training.toggle_pause,
        "train.stop": training.stop,
        "train.go_on": training.go_on,
        "train.restore": controller.restore_weights,
        "train.new_weights": controller.new_weights.make,
    }


def canvas_functions(controller: Controller, canvas: Canvas) -> Functions:
    folds, document = controller.folds, controller.document
    return {
        "view.fold": lambda: folds.toggle(document.selection),
        "view.fold_all": folds.fold_all,
        "view.unfold_all": folds.unfold_all,
        "view.fit": canvas.fit,
        "view.zoom_in": lambda: canvas.set_zoom(canvas.zoom * 1.25),
        "view.zoom_out": lambda: canvas.set_zoom(canvas.zoom / 1.25),
    }


def _tr(text: str) -> str:
    return QCoreApplication.translate("CommandFunctions", text)
