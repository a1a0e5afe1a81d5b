"""Edits and saves without end, and says what it did; killed by ``test_killed.py``.

    python editing_child.py SEED

Prints "edit NUMBER" after each edit and "saved NUMBER" after each save; the number is the name of
the network's last layer.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from PySide6.QtCore import QCoreApplication, QTimer

from engine.layers.relu import ReLU
from explorer import projects
from explorer.controller import Controller
from explorer.document import Document
from explorer.settings import Settings, folder

KEEP = 30
SAVE_ONE_IN = 8


def main(seed: int) -> int:
    app = QCoreApplication([])
    projects.KEEP_MILLISECONDS = KEEP
    rng = np.random.default_rng(seed)
    document = Document()
    control = Controller(document, Settings(folder() / "settings.json"))
    control.start(None)
    control.adding.insert_layer(ReLU(), "flatten", 0, 0.0, 0.0)
    (name,) = document.selection
    number = 0

    def edit() -> None:
        nonlocal name, number
        number += 1
        control.layers.rename(name, f"edit{number}")
        name = f"edit{number}"
        print(f"edit {number}", flush=True)
        if rng.integers(SAVE_ONE_IN) == 0:
            assert control.projects.save(folder() / "work.gflow") and control.projects.finish()
            print(f"saved {number}", flush=True)

    timer = QTimer()
    timer.timeout.connect(edit)
    timer.start(5)
    return app.exec()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
