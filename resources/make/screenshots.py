"""Draw the pictures of the README: ``python -m resources.make.screenshots``.

They are the program's own window, laid out and painted offscreen. Those of the canvas alone are
drawn in a process for each scale of the screen, because Qt takes that at its start; ``--canvas``
draws only these.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PIL import Image
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest

from engine.cell import Cell
from engine.layers.conv2d import Conv2d
from explorer import theme
from explorer.app import application
from explorer.settings import Settings
from explorer.tour import offscreen_window, save_picture, settle
from explorer.window import Window

FOLDER = Path(__file__).resolve().parents[2] / "docs"
CANVAS = (960, 540)
"""Size of the pictures of the canvas, in pixels at 100%."""
SCALES = (1, 2)


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
        c.asking.focus(_first_cell(window))
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
        c.layers.change_layer("conv2", replace(conv2.layer, kernel_size=20))
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


def canvases(scale: int) -> None:
    """Write docs/canvas/*.png of this scale, which the environment has given to Qt."""
    folder = FOLDER / "canvas"
    folder.mkdir(parents=True, exist_ok=True)
    application()
    with tempfile.TemporaryDirectory() as home:
        window = offscreen_window(Settings(Path(home) / "settings.json"), Path(home))
        for mode in ("light", "dark"):
            theme.set_mode(mode)
            c = window.controller
            c.projects.open_shipped("lenet5")
            settle()
            c.stepping.to_end()
            _write(window, folder / f"lenet5-{mode}-{scale}x.png")
            _open(window, "resnet50")
            _write(window, folder / f"resnet50-folded-{mode}-{scale}x.png")
            _open(window, "densenet121")
            c.folds.unfold_all()
            _write(window, folder / f"densenet121-unfolded-{mode}-{scale}x.png")
        window.close()


def _write(window: Window, path: Path) -> None:
    """The canvas alone, with its network laid out for it, in no more colours than it needs."""
    canvas = window.canvas
    canvas.setFixedSize(*CANVAS)
    QTest.qWait(300)
    window.controller.select(())
    window.controller.arranging.arrange()
    window.controller.undo_stack.setClean()
    QTest.qWait(300)
    canvas.fit()
    QTest.qWait(700)  # maps come in slices
    picture = canvas.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    size, row = (picture.width(), picture.height()), picture.bytesPerLine()
    made = Image.frombytes("RGB", size, bytes(picture.constBits()), "raw", "RGB", row)
    made = made.quantize(192, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    made.save(path, optimize=True)


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


def _each_scale() -> None:
    for scale in SCALES:
        command = [sys.executable, "-m", "resources.make.screenshots", "--scale", str(scale)]
        environment = {**os.environ, "QT_SCALE_FACTOR": str(scale)}
        subprocess.run(command, env=environment, check=True)


if __name__ == "__main__":
    if "--scale" in sys.argv:
        canvases(int(sys.argv[-1]))
    else:
        if "--canvas" not in sys.argv:
            main()
        _each_scale()
