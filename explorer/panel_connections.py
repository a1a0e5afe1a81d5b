"""Panels that are made when they are first seen: one function makes and connects each."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QDockWidget, QWidget

from engine.lessons import lessons
from explorer import panels
from explorer.controller import Controller
from explorer.document import Document
from explorer.effective_field import EffectiveField
from explorer.fields import FieldsInSight
from explorer.lesson_guide import LessonGuide
from explorer.notices import Notice
from explorer.path_shares import PathShares
from explorer.tensors.grid import TensorGrid
from explorer.training_session import TrainingSession
from explorer.watches import Watches


def layers(controller: Controller, parent: QWidget) -> QWidget:
    palette, own = panels.Palette(parent), controller.own_blocks
    palette.add_requested.connect(controller.adding.append_layer)
    palette.block_requested.connect(controller.adding.append_block)
    palette.own_block_requested.connect(controller.adding.append_own_block)
    palette.rename_requested.connect(controller.blocks.rename_own_block)
    palette.delete_requested.connect(controller.blocks.delete_own_block)
    palette.refused.connect(lambda text: controller.notice.emit(Notice("warning", text)))
    own.changed.connect(lambda: palette.set_own_blocks(own.names, own.load))
    palette.set_own_blocks(own.names, own.load)
    return palette


def outline(document: Document, controller: Controller, parent: QWidget) -> QWidget:
    panel, d = panels.Outline(parent), document
    panel.select_requested.connect(controller.select)
    panel.delete_requested.connect(controller.layers.delete)
    panel.rename_requested.connect(controller.layers.rename)
    panel.rename_group_requested.connect(controller.blocks.rename_group)
    d.network_changed.connect(lambda: panel.set_network(d.graph, d.inference))
    d.selection_changed.connect(lambda: panel.set_selection(d.selection))
    panel.set_network(d.graph, d.inference)
    panel.set_selection(d.selection)
    return panel


def history(controller: Controller, training: Callable[[], bool], parent: QWidget) -> QWidget:
    """``training`` says whether it is under way: weights are brought back after it."""
    panel, kept = panels.HistoryPanel(controller.undo_stack, parent), controller.weight_history

    def bring_back(number: int) -> None:
        if training():
            text = panel.tr("Training is under way: stop it first.")
            controller.notice.emit(Notice("info", text))
        else:
            controller.restore_checkpoint(number)

    panel.weights_requested.connect(bring_back)
    kept.changed.connect(lambda: panel.set_marks(kept.checkpoints))
    panel.set_marks(kept.checkpoints)
    return panel


def flow(
    document: Document,
    controller: Controller,
    session: TrainingSession,
    save_plate: Callable[[object], None],
    parent: QWidget,
) -> QWidget:
    panel, d = panels.FlowPanel(parent), document
    panel.select_requested.connect(controller.select)
    panel.backward_requested.connect(controller.stepping.to_end)
    panel.train_requested.connect(session.start_with_last_settings)
    panel.weights_requested.connect(controller.new_weights.make)
    panel.save_requested.connect(save_plate)
    d.selection_changed.connect(lambda: panel.set_selection(d.selection))

    def show() -> None:
        panel.set_weightless(d.lacks_weights)
        panel.set_run(d.graph, d.trace, d.position)

    def show_training() -> None:
        panel.set_training(session.flows, session.earlier_flows, session.worker.busy)

    d.position_changed.connect(show)
    d.run_changed.connect(show)
    session.flows_changed.connect(show_training)
    session.state_changed.connect(show_training)
    show()
    show_training()
    return panel


def problems(
    document: Document, controller: Controller, fit: Callable[[bool], None], parent: QWidget
) -> QWidget:
    """``fit`` gives the panel more or less room, when it becomes empty or no longer is."""
    panel, d = panels.Problems(parent), document
    panel.select_requested.connect(controller.select)
    panel.fix_requested.connect(controller.layers.apply_fix)

    def show() -> None:
        was = panel.empty
        panel.set_errors(d.inference.errors)
        panel.set_advice(lessons(d.graph, d.inference))
        if panel.empty != was:
            fit(panel.empty)

    d.network_changed.connect(show)
    show()
    return panel


def training(session: TrainingSession, parent: QWidget) -> QWidget:
    panel = panels.TrainingPanel(parent)
    session.attach(panel)
    return panel


def watches(
    followed: Watches,
    watch: Callable[[], None],
    explain: Callable[[object], None],
    parent: QWidget,
) -> QWidget:
    """``watch`` follows one more number, ``explain`` says where one came from."""
    panel = panels.WatchesPanel(parent)
    panel.add_requested.connect(watch)
    panel.remove_requested.connect(followed.remove)
    panel.focus_requested.connect(explain)

    def show() -> None:
        panel.set_lines(followed.lines)

    followed.changed.connect(show)
    show()
    return panel


def paths(
    document: Document,
    controller: Controller,
    shares: PathShares,
    dock: QDockWidget,
    parent: QWidget,
) -> QWidget:
    """The shares are worked out while the dock is in sight."""
    panel, d = panels.PathsPanel(parent), document
    panel.select_requested.connect(controller.select)
    panel.gain_requested.connect(controller.what_ifs.set_gain)

    def show_gains() -> None:
        panel.set_gains(d.graph, d.gains)

    d.what_if_changed.connect(show_gains)
    d.network_changed.connect(show_gains)

    panel.begin_requested.connect(shares.begin)
    panel.cancel_requested.connect(shares.cancel)

    def show() -> None:
        panel.set_parts(shares.parts, shares.note)
        offer = shares.offer
        panel.set_work(offer.text if offer else "", offer.done if offer else None)
        panel.set_selection(d.selection)

    shares.changed.connect(show)
    d.selection_changed.connect(lambda: panel.set_selection(d.selection))
    dock.visibilityChanged.connect(shares.watch)
    shares.watch(True)
    show()
    show_gains()
    return panel


def field(
    document: Document,
    controller: Controller,
    measuring: EffectiveField,
    dock: QDockWidget,
    parent: QWidget,
) -> QWidget:
    """The field is measured while the dock is in sight."""
    panel = panels.EffectiveFieldPanel(parent)
    panel.over_requested.connect(measuring.set_over)
    panel.focus_requested.connect(controller.asking.focus)

    def show() -> None:
        found = measuring.measured
        panel.set_over(measuring.over)
        if found is None:
            panel.set_field(
                measuring.cell(), "", None, 0, None, None, measuring.note, measuring.progress
            )
        else:
            panel.set_field(
                found.cell,
                found.input,
                found.effective,
                found.pictures,
                found.fields,
                found.spread,
                measuring.note,
                measuring.progress,
            )

    measuring.changed.connect(show)
    document.focus_changed.connect(lambda: panel.set_focus(document.focus))
    dock.visibilityChanged.connect(measuring.watch)
    measuring.watch(True)
    show()
    panel.set_focus(document.focus)
    return panel


def lessons_panel(guide: LessonGuide, dock: QDockWidget, parent: QWidget) -> QWidget:
    """The numbers of the page follow the run while the dock is in sight."""
    panel = panels.LessonsPanel(parent)
    panel.set_titles(guide.titles)
    panel.page_requested.connect(guide.go_to)
    panel.doing_requested.connect(guide.do)
    guide.changed.connect(lambda: panel.set_page(guide.page))
    dock.visibilityChanged.connect(guide.watch)
    guide.watch(True)
    panel.set_page(guide.page)
    return panel


def inside(
    document: Document,
    controller: Controller,
    look_inside: Callable[[], None],
    save_picture: Callable[[object, str], None],
    parent: QWidget,
) -> QWidget:
    stepping, d = controller.stepping, document
    panel = panels.InsidePanel(parent)
    pictures_of(panel, save_picture)
    panel.level_requested.connect(stepping.set_level)
    panel.side_requested.connect(stepping.set_side)
    panel.cell_requested.connect(stepping.set_cell)
    panel.focus_requested.connect(controller.asking.focus)
    panel.inside_requested.connect(look_inside)

    def show() -> None:
        panel.set_inside(stepping.sheet, d.inside)

    d.position_changed.connect(show)
    show()
    return panel


def breakpoints(document: Document, controller: Controller, parent: QWidget) -> QWidget:
    panel, d = panels.Breakpoints(parent), document
    panel.change_requested.connect(controller.stepping.set_breakpoints)
    panel.select_requested.connect(controller.select)

    def show_nodes() -> None:
        panel.set_nodes((*(n.id for n in d.graph.order), *(x.id for x in d.graph.losses)))

    def show() -> None:
        panel.set_breakpoints(d.breakpoints)

    d.network_changed.connect(show_nodes)
    d.breakpoints_changed.connect(show)
    show_nodes()
    show()
    return panel


def cell(
    document: Document, controller: Controller, fields: FieldsInSight, parent: QWidget
) -> QWidget:
    panel, c, d = panels.CellPanel(parent), controller, document
    panel.focus_requested.connect(c.asking.focus)
    panel.why_requested.connect(c.asking.why)
    panel.back_requested.connect(c.asking.why_back)
    panel.forward_requested.connect(c.asking.why_forward)
    panel.jump_requested.connect(c.asking.why_back)

    def show_run() -> None:
        panel.set_run(d.graph, d.trace, d.explained)

    def show_way() -> None:
        panel.set_way(c.asking.way, c.asking.can_go_back, c.asking.can_go_forward)

    d.network_changed.connect(show_run)
    d.run_changed.connect(show_run)
    d.position_changed.connect(show_run)
    c.asking.trail_changed.connect(show_way)
    fields.found_changed.connect(panel.set_fields)
    panel.set_fields(fields.found)
    show_run()
    show_way()
    return panel


def pictures_of(panel: QWidget, save_picture: Callable[[object, str], None]) -> None:
    """What is drawn of a tensor in a panel can be saved."""
    for grid in panel.findChildren(TensorGrid):
        grid.picture_requested.connect(save_picture)
