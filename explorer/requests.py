"""What the views ask for, and who does it: one function for each view that is always there."""

from __future__ import annotations

from collections.abc import Callable

from explorer.answer_panels import AnswerPanels
from explorer.canvas import Canvas
from explorer.controller import Controller
from explorer.narration import Crumb
from explorer.open_sizes import OpenSizesBar
from explorer.panel_connections import pictures_of
from explorer.panels import Inspector, Narration, Properties, SampleBar, Timeline
from explorer.settings import Settings


def from_canvas(canvas: Canvas, controller: Controller, answers: AnswerPanels) -> None:
    c = controller
    canvas.insert_requested.connect(c.adding.insert_layer)
    canvas.insert_before_requested.connect(c.adding.insert_before)
    canvas.insert_block_requested.connect(c.blocks.insert)
    canvas.put_instead_requested.connect(c.blocks.put_instead)
    canvas.add_block_requested.connect(c.blocks.add)
    canvas.fold_requested.connect(c.folds.fold)
    canvas.unfold_requested.connect(c.folds.unfold)
    canvas.fold_all_requested.connect(c.folds.fold_all)
    canvas.unfold_all_requested.connect(c.folds.unfold_all)
    canvas.group_requested.connect(c.blocks.group)
    canvas.mute_requested.connect(c.layers.mute)
    canvas.gain_requested.connect(c.what_ifs.set_gain)
    canvas.ungroup_requested.connect(c.blocks.ungroup)
    canvas.rename_group_requested.connect(answers.rename_block)
    canvas.add_requested.connect(c.adding.add_layer)
    canvas.replace_requested.connect(c.layers.replace_layer)
    canvas.connect_requested.connect(c.layers.connect_tensor)
    canvas.disconnect_requested.connect(c.layers.disconnect_tensor)
    canvas.delete_requested.connect(c.layers.delete)
    canvas.move_requested.connect(c.arranging.move)
    canvas.select_requested.connect(c.select)
    canvas.duplicate_requested.connect(c.clipboard.duplicate)
    canvas.focus_requested.connect(answers.cell_chosen)
    canvas.fix_requested.connect(c.layers.apply_fix)
    canvas.run_to_requested.connect(c.stepping.run_to)
    canvas.next_requested.connect(c.stepping.next)
    canvas.back_requested.connect(c.stepping.back)
    canvas.open_requested.connect(answers.open_node)
    canvas.breakpoint_requested.connect(c.stepping.toggle_node)
    c.arranged.connect(canvas.fit)
    c.editing.added.connect(canvas.reveal_all)
    c.project_replaced.connect(canvas.travel.hold)

    def set_motion(name: str) -> None:
        if name == "motion":
            wanted = {"system": None, "always": True, "never": False}[c.settings[name]]
            canvas.travel.set_wanted(wanted)

    c.settings.changed.connect(set_motion)
    set_motion("motion")

    def aspect() -> float:
        """Width by height, so that a new layout fills the canvas."""
        size = canvas.viewport().size()
        return size.width() / max(1, size.height())

    c.layouts.aspect = aspect


def from_timeline(timeline: Timeline, controller: Controller) -> None:
    stepping = controller.stepping
    timeline.position_requested.connect(stepping.go_to)
    timeline.breakpoint_requested.connect(stepping.toggle_operation)
    timeline.play_requested.connect(lambda: stepping.play(True))
    timeline.weights_requested.connect(controller.new_weights.make)


def from_narration(
    narration: Narration, canvas: Canvas, controller: Controller, answers: AnswerPanels
) -> None:
    stepping = controller.stepping

    def go_to(crumb: Crumb) -> None:
        """A block or layer is shown; a level inside is what steps go by from now on."""
        if crumb.level is not None:
            stepping.set_level(crumb.level)
        elif not crumb.path:
            canvas.fit()
        else:
            known = controller.document.known_ids
            inside = {n for n in known if (n + "/").startswith(crumb.path + "/")}
            controller.select(inside)
            canvas.zoom_to(inside)

    narration.answer_requested.connect(stepping.answer)
    narration.reveal_requested.connect(stepping.next)
    narration.crumb_requested.connect(go_to)
    narration.link_requested.connect(answers.explain)


def from_inspector(
    inspector: Inspector,
    controller: Controller,
    answers: AnswerPanels,
    settings: Settings,
    save_picture: Callable[[object, str], None],
) -> None:
    inspector.focus_requested.connect(answers.cell_chosen_beside)
    for pair in (inspector.output, inspector.source, inspector.input):
        pair.forward_grid.selected.connect(answers.side_asker("forward"))
        pair.gradient_grid.selected.connect(answers.side_asker("gradient"))
    inspector.weight_requested.connect(answers.explain)
    pictures_of(inspector, save_picture)
    inspector.gain_requested.connect(controller.what_ifs.set_gain)
    inspector.value_requested.connect(controller.what_ifs.set_pixel)
    inspector.compare_requested.connect(controller.pool_comparison.compare)
    inspector.unpin_requested.connect(controller.pinned.unpin)
    inspector.picture_requested.connect(save_picture)
    askers = {"forward": answers.side_asker("forward"), "gradient": answers.side_asker("gradient")}
    inspector.side_requested.connect(lambda cell, side: askers[side](cell))

    def set_scale_mode(mode: str) -> None:
        settings.set("scale_mode", mode)
        inspector.set_scale_mode(settings["scale_mode"])

    inspector.scale_mode_requested.connect(set_scale_mode)
    inspector.set_scale_mode(settings["scale_mode"])


def from_properties(properties: Properties, controller: Controller) -> None:
    properties.change_requested.connect(controller.layers.change_layer)
    properties.rename_requested.connect(controller.layers.rename)
    properties.fix_requested.connect(controller.layers.apply_fix)
    properties.loss_requested.connect(controller.losses.change)


def from_sample_bar(sample_bar: SampleBar, controller: Controller) -> None:
    pictures = controller.pictures
    sample_bar.previous_requested.connect(pictures.previous)
    sample_bar.next_requested.connect(pictures.next)
    sample_bar.target_requested.connect(
        lambda chosen: pictures.set_target(chosen if chosen >= 0 else None)
    )
    sample_bar.drawing_requested.connect(pictures.draw)
    sample_bar.pin_requested.connect(controller.pinned.toggle)


def from_open_sizes(bar: OpenSizesBar, controller: Controller) -> None:
    projects = controller.projects
    projects.replacing.connect(lambda: bar.set_question(None))
    projects.sizes_asked.connect(bar.set_question)
    bar.open_requested.connect(projects.open_sized)
    bar.kept.connect(lambda asked: projects.remember_sizes(asked, asked.used))
