"""The tour as a user gets it: a process of its own, its pictures, its page, its errors."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PySide6.QtGui import QImage

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60.0


def start_tour(out: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """``main.py tour`` without a screen, as from a terminal."""
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    environment |= {"GRADIENT_FLOW_HOME": str(home / "settings"), "HOME": str(home)}
    del environment["QT_QPA_PLATFORM"]  # the tour chooses it itself
    return subprocess.run(
        [sys.executable, str(ROOT / "main.py"), "tour", "--out", str(out)],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


class _Reader(HTMLParser):
    """Collects what the page shows and where it leads."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures: list[str] = []
        self.alt: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {k: v or "" for k, v in attributes}
        if tag not in ("meta", "img"):
            self.open.append(tag)
        self.ids |= {found["id"]} if "id" in found else set()
        if tag == "img":
            self.pictures.append(found["src"])
            self.alt.append(found["alt"])
        if tag == "a":
            self.links.append(found["href"])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@dataclass
class Tour:
    folder: Path
    ran: subprocess.CompletedProcess[str]
    seconds: float
    page: _Reader
    source: str

    def pixels(self, name: str) -> NDArray[np.uint8]:
        """(height, width, 4) of a picture."""
        image = QImage(str(self.folder / name)).convertToFormat(QImage.Format.Format_RGBA8888)
        assert not image.isNull(), name
        data = np.frombuffer(image.constBits(), np.uint8)
        return data.reshape(image.height(), image.width(), 4).copy()

    def picture(self, part: str) -> str:
        """The one picture whose name has this part."""
        (name,) = [n for n in self.page.pictures if part in n]
        return name

    def said(self, part: str) -> str:
        """What the program said at that picture."""
        return self.page.alt[self.page.pictures.index(self.picture(part))]


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory) -> Tour:
    folder = tmp_path_factory.mktemp("tour") / "made" / "on the way"
    start = time.monotonic()
    ran = start_tour(folder, tmp_path_factory.mktemp("home"))
    seconds = time.monotonic() - start
    assert ran.returncode == 0, ran.stderr
    page = _Reader()
    source = (folder / "index.html").read_text("utf-8")
    page.feed(source)
    return Tour(folder, ran, seconds, page, source)


class TestRun:
    def test_it_ends_well_and_says_nothing_on_stderr(self, tour: Tour) -> None:
        assert tour.ran.returncode == 0
        assert tour.ran.stderr == ""

    def test_it_shows_its_progress_and_where_the_page_is(self, tour: Tour) -> None:
        *progress, last = tour.ran.stdout.splitlines()
        count = len(tour.page.pictures)
        assert [line.split("]")[0] for line in progress] == [
            f"[{i}/{count}" for i in range(1, count + 1)
        ]
        assert last == f"Open {tour.folder / 'index.html'}"

    def test_it_is_short(self, tour: Tour) -> None:
        assert 20 <= len(tour.page.pictures) <= 40
        assert tour.seconds < 40  # 6 alone on two cores

    def test_nothing_else_is_left_in_the_folder(self, tour: Tour) -> None:
        there = {p.name for p in tour.folder.iterdir()}
        assert there == {"index.html", *tour.page.pictures}


class TestPage:
    def test_it_shows_every_picture_in_order(self, tour: Tour) -> None:
        assert tour.page.pictures == sorted(p.name for p in tour.folder.glob("*.png"))

    def test_it_is_well_formed_and_leads_nowhere_else(self, tour: Tour) -> None:
        assert tour.page.open == []
        for link in tour.page.links:
            if link.startswith("#"):
                assert link[1:] in tour.page.ids
            else:
                assert (tour.folder / link).is_file()
        assert "http" not in tour.source and "<script" not in tour.source

    def test_every_picture_has_a_sentence_with_what_the_program_says(self, tour: Tour) -> None:
        assert all(len(alt) > 30 for alt in tour.page.alt)
        assert len(set(tour.page.alt)) == len(tour.page.alt)

    def test_it_tells_all_phases(self, tour: Tour) -> None:
        assert {"forward", "loss", "backward", "update", "residual"} <= tour.page.ids


class TestPictures:
    def test_all_have_the_size_of_a_slide(self, tour: Tour) -> None:
        for name in tour.page.pictures:
            image = QImage(str(tour.folder / name))
            assert (image.width(), image.height()) == (1600, 900), name

    def test_none_is_uniform_and_consecutive_ones_differ(self, tour: Tour) -> None:
        shown = [tour.pixels(name) for name in tour.page.pictures]
        for name, pixels in zip(tour.page.pictures, shown, strict=True):
            assert len(np.unique(pixels.reshape(-1, 4)[::97], axis=0)) > 60, name
        for name, (before, after) in zip(tour.page.pictures, pairwise(shown), strict=False):
            assert (before != after).any(axis=2).sum() > 2000, name

    def test_every_operation_of_both_passes_is_there(self, tour: Tour) -> None:
        from explorer import session

        names = [node.id for node in session.shipped("lenet5").graph.order]
        forward = [n for n in tour.page.pictures if "-lenet5-forward-" in n][1:]
        backward = [n for n in tour.page.pictures if "-lenet5-backward-" in n]
        assert [re.sub(r".*-forward-|\.png", "", n) for n in forward] == names
        assert [re.sub(r".*-backward-|\.png", "", n) for n in backward] == [
            "loss",
            *reversed(names),
        ]

    def test_the_cards_fill_up_on_the_way(self, tour: Tour) -> None:
        """Coloured pixels of the canvas: feature maps come, then gradients besides."""

        def coloured(name: str) -> int:
            canvas = tour.pixels(name)[150:640, :1100, :3].astype(int)
            return int((np.ptp(canvas, axis=2) > 60).sum())

        start = coloured(tour.picture("-forward-image"))
        middle = coloured(tour.picture("-forward-fc3"))
        end = coloured(tour.picture("-backward-conv1"))
        assert middle > start + 5000 and end > middle + 5000

    def test_the_argmax_mask_is_marked_forward_and_backward(self, tour: Tour) -> None:
        """The same marks twice: on what was read, and on the gradient that is sent back."""

        def marks(name: str, gradient: bool) -> int:
            """Pixels of the magenta marks, a colour that no scale has, in half an inspector."""
            columns = np.s_[1370:1590] if gradient else np.s_[1130:1350]
            red, green, blue = tour.pixels(tour.picture(name))[200:800, columns, :3].T.astype(int)
            return int(((red > 180) & (green < 60) & (blue > 90) & (blue < 190)).sum())

        assert marks("-forward-pool1", gradient=False) > 100
        assert marks("-forward-pool1", gradient=True) == 0
        assert marks("-backward-pool1", gradient=False) > 100
        assert marks("-backward-pool1", gradient=True) > 100
        assert marks("-backward-relu1", gradient=True) == 0
        assert "exactly zero" in tour.said("-backward-pool1")

    def test_the_skip_is_split_and_added_up_with_its_shares(self, tour: Tour) -> None:
        named = [n for n in tour.page.pictures if "-residual-" in n]
        said = [tour.page.alt[tour.page.pictures.index(n)] for n in named]
        (parts,) = [s for s in said if s.startswith("The gradient parts")]
        assert "skip" in parts and "branch" in parts
        (sums,) = [s for s in said if s.startswith("Add up")]
        skip, branch, total = (
            float(re.search(rf"{w} of size ([\d.e−]+\d)", sums)[1].replace("−", "-"))  # type: ignore[index]
            for w in ("skip", "branch", "one")
        )
        assert skip > 0 and branch > 0
        assert abs(branch - skip) <= total <= (branch + skip) * 1.01

    def test_it_answers_three_questions_with_numbers_of_the_run(self, tour: Tour) -> None:
        assert {"pooled", "skips", "zeros"} <= tour.page.ids
        answers = re.findall(r"The answer, in this run</b>([^<]*)</blockquote>", tour.source)
        assert len(answers) == 3
        pooled, skips, zeros = answers
        sent = re.match(r"The gradient ([\d.e−]+) of pool1 \[\d, \d+, \d+\] went to row", pooled)
        assert sent is not None and f"sends {sent[1]} to row" in tour.said("-pooled-pool1")
        shares = re.findall(r"(−?[\d.]+)%", skips)
        assert skips.startswith("At stage1/block1 there are 8 paths") and len(shares) == 5
        assert shares[0] == shares[1]  # of the skips alone: told, and first of all
        assert abs(sum(float(s.replace("−", "-")) for s in shares[1:]) - 100) < 0.5
        assert zeros.startswith("12 of 16 cells (75%)")

    def test_the_bars_of_the_paths_are_in_the_picture(self, tour: Tour) -> None:
        beside = tour.pixels(tour.picture("-skips-"))[150:400, 1130:1590, :3].astype(int)
        red, green, blue = np.moveaxis(beside, 2, 0)
        branch = (abs(red - 139) < 30) & (abs(green - 42) < 40) & (abs(blue - 128) < 30)
        assert branch.sum() > 2000

    def test_the_digit_leaves_something_to_blame(self, tour: Tour) -> None:
        """A certain answer would send a gradient of next to nothing."""
        loss = re.search(r"= ([\d.e−]+)", tour.said("-lenet5-loss"))
        assert loss is not None and float(loss[1].rstrip(".").replace("−", "-")) > 0.01


class TestErrors:
    def test_a_folder_that_cannot_be_made_is_told_in_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        ran = start_tour(tmp_path / "file" / "tour", tmp_path)
        assert ran.returncode == 3
        assert ran.stderr.count("\n") == 1
        assert "file/tour" in ran.stderr and "--out" in ran.stderr
        assert ran.stdout == ""
        assert (tmp_path / "file").read_text() == "in the way"

    @pytest.mark.skipif(
        not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes into every folder"
    )
    def test_a_folder_that_cannot_be_written_to_is_told_in_one_line(self, tmp_path: Path) -> None:
        folder = tmp_path / "locked"
        folder.mkdir(mode=0o500)
        ran = start_tour(folder, tmp_path)
        assert ran.returncode == 3 and ran.stderr.count("\n") == 1
        assert list(folder.iterdir()) == []
