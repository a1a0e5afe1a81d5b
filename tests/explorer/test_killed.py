"""The program is killed at any moment: the file opens, and the last seconds at most are lost."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from engine.graph import Graph
from engine.project_file import load
from explorer.session import Unsaved

CHILD = Path(__file__).with_name("editing_child.py")
KILLS = int(os.environ.get("GRADIENT_FLOW_KILLS", "4"))
"""How often; 200 is worth a coffee."""
LOST_AT_MOST = 5.0


def number_in(graph: Graph) -> int:
    """Which edit a network holds."""
    (found,) = (re.fullmatch(r"edit(\d+)", node.id) for node in graph.nodes if "edit" in node.id)
    assert found is not None
    return int(found[1])


@pytest.mark.parametrize("seed", range(KILLS))
def test_a_kill_loses_seconds_at_most(tmp_path: Path, seed: int) -> None:
    home = tmp_path / "killed"
    moment = float(np.random.default_rng(seed).uniform(0.2, 0.9))
    child = subprocess.Popen(
        [sys.executable, str(CHILD), str(seed)],
        stdout=subprocess.PIPE,
        env={**os.environ, "GRADIENT_FLOW_HOME": str(home)},
        bufsize=0,
    )
    assert child.stdout is not None
    said: list[tuple[float, str, int]] = []
    pending = b""
    end = None
    # Reads until the moment after the first save has come, then kills.
    while end is None or time.monotonic() < end:
        wait = 60.0 if end is None else max(0.0, end - time.monotonic())
        if not select.select([child.stdout], [], [], wait)[0]:
            assert end is not None, "the child never saved"
            break
        part = os.read(child.stdout.fileno(), 65536)
        assert part, "the child ended by itself"
        *lines, pending = (pending + part).split(b"\n")
        for line in lines:
            what, number = line.decode().split()
            said.append((time.monotonic(), what, int(number)))
            if what == "saved" and end is None:
                end = time.monotonic() + moment
    child.kill()
    killed = time.monotonic()
    child.wait(timeout=30)
    child.stdout.close()

    edits = [(at, number) for at, what, number in said if what == "edit"]
    saves = [number for _, what, number in said if what == "saved"]
    assert len(edits) > 1 and saves
    project = load(home / "work.gflow")
    # The save under way when it was killed may be whole as well.
    in_file = number_in(project.graph)
    assert in_file >= saves[-1]
    unsaved = Unsaved(home)
    kept = unsaved.take()
    unsaved.release()
    best = max(in_file, number_in(kept.graph) if kept is not None else 0)
    first_lost = next((at for at, number in edits if number > best), killed)
    assert killed - first_lost < LOST_AT_MOST
    assert not list(home.glob("*.damaged"))
