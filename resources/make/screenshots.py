"""Draw the pictures of the README: ``python -m resources.make.screenshots``.

They are the program's own window, laid out and painted offscreen.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtTest import QTest

from engine.cell import Cell
from engine.layers.conv2d import Conv2d
from explorer import theme
from explorer.app import application
from explorer.settings import Settings
from explorer.tour import offscreen_window, save_picture, settle
from explorer.window import Window

FOLDER = Path(__file__).resolve().parents[2] / "docs"


def _first_cell(window: Window) -> Cell:
    """The place that the sentence names first."""
    return next(k.target for k in window.narration.sentence.links if isinstance(k.target, Cell))


def main() -> None:
    """Write docs/*.png."""
    FOLDER.mkdir(exist_ok=True)
    application()
    with tempfile.TemporaryDirectory() as home:
        window = offscreen_window(Settings(Path(home) / "settings.json"), Path(home))
        c = window.controller
        theme.set_mode("light")
        c.projects.open_shipped("lenet5")
        settle()
        window.canvas.fit()
        c.stepping.to_start()
        c.stepping.run_to("pool1")
        c.select({"pool1"})
        save_picture(window, FOLDER / "forward.png")
        operations = window.document.operations
        back = next(
            i for i, o in enumerate(operations) if o.phase == "backward" and o.node == "pool1"
        )
        c.stepping.go_to(back + 1)
        c.focus(_first_cell(window))
        c.select({"pool1"})
        save_picture(window, FOLDER / "max-pool-backward.png")
        c.projects.open_shipped("resnet-digits")
        theme.set_mode("dark")
        settle()
        window.canvas.fit()
        operations = window.document.operations
        sums = [i for i, o in enumerate(operations) if o.phase == "accumulate"]
        c.stepping.go_to(sums[0] + 1)
        c.select({operations[sums[0]].node})
        save_picture(window, FOLDER / "residual.png")
        theme.set_mode("light")
        c.projects.open_shipped("lenet5")
        window.use_workspace("build")
        conv2 = window.document.graph.node("conv2")
        assert isinstance(conv2.layer, Conv2d)
        c.change_layer("conv2", replace(conv2.layer, kernel_size=20))
        c.select({"conv2"})
        QTest.qWait(700)  # the tabs of the workspace before are taken away after a while
        window.canvas.fit()
        save_picture(window, FOLDER / "build.png")
        c.undo()
        window.use_workspace("step")
        c.select(set())
        c.stepping.to_start()
        c.stepping.run_to("fc3")
        window.actions_by_id["view.presentation"].trigger()
        QTest.qWait(700)
        window.notices.clear()
        settle()
        window.canvas.fit()
        save_picture(window, FOLDER / "presentation.png")
        window.actions_by_id["view.presentation"].trigger()
        window.use_workspace("build")
        _open(window, "resnet50")
        save_picture(window, FOLDER / "folded.png")
        theme.set_mode("dark")
        _open(window, "densenet121")
        c.folds.unfold_all()
        QTest.qWait(700)
        window.canvas.fit()
        save_picture(window, FOLDER / "unfolded.png")
        window.close()


def _open(window: Window, name: str) -> None:
    """A network of the gallery, which is made beside the window."""
    projects = window.controller.projects
    projects.open_architecture(name)
    while projects.builders.busy:
        QTest.qWait(20)
    QTest.qWait(700)  # the tabs of the workspace before are taken away after a while
    window.notices.clear()
    settle()
    window.canvas.fit()


if __name__ == "__main__":
    main()
