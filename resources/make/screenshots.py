"""Draw the pictures of the README: ``python -m resources.make.screenshots``.

They are the program's own window, laid out and painted offscreen.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from explorer import theme
from explorer.app import application
from explorer.settings import Settings
from explorer.tour import offscreen_window, save_picture, settle

FOLDER = Path(__file__).resolve().parents[2] / "docs"


def main() -> None:
    """Write docs/*.png."""
    FOLDER.mkdir(exist_ok=True)
    application()
    with tempfile.TemporaryDirectory() as home:
        window = offscreen_window(Settings(Path(home) / "settings.json"), Path(home))
        c = window.controller
        theme.set_mode("light")
        c.open_shipped("lenet5")
        settle()
        window.canvas.fit()
        c.run_to("pool1")
        c.select({"pool1"})
        save_picture(window, FOLDER / "forward.png")
        operations = window.document.operations
        back = next(
            i for i, o in enumerate(operations) if o.phase == "backward" and o.node == "pool1"
        )
        c.go_to(back + 1)
        save_picture(window, FOLDER / "max-pool-backward.png")
        c.open_shipped("resnet-digits")
        theme.set_mode("dark")
        settle()
        window.canvas.fit()
        operations = window.document.operations
        sums = [i for i, o in enumerate(operations) if o.phase == "accumulate"]
        c.go_to(sums[0] + 1)
        c.select({operations[sums[0]].node})
        save_picture(window, FOLDER / "residual.png")
        theme.set_mode("light")
        window.use_workspace("build")
        c.select({operations[sums[0]].node})
        settle()
        window.canvas.fit()
        save_picture(window, FOLDER / "build.png")
        window.close()


if __name__ == "__main__":
    main()
