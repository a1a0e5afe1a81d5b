"""Files of the work: suffixes, unsaved work, and work that another project replaced."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from engine.graph import Graph, Input, Node
from engine.layers.linear import Linear
from engine.parameters import initial_parameters
from engine.project_file import Project, ProjectError
from explorer import session
from explorer.session import Unsaved


def project(name: str = "mine") -> Project:
    graph = Graph(
        inputs=(Input("x", (3,)),),
        nodes=(Node("linear1", Linear(out_features=2), (("x", 0),)),),
        outputs=(("y", ("linear1", 0)),),
        name=name,
    )
    return Project(graph, initial_parameters(graph, seed=0))


@pytest.mark.parametrize("name", sorted(session.SHIPPED))
def test_shipped_networks_load_with_weights_and_no_warning(name: str) -> None:
    shipped = session.shipped(name)
    assert shipped.graph.infer().valid and shipped.warnings == ()
    assert shipped.preprocessing is not None
    assert shipped.preprocessing.shape == shipped.graph.inputs[0].shape
    assert all(np.isfinite(a).all() for a in shipped.parameters.values())


def test_the_suffix_is_added_unless_the_file_is_there(tmp_path: Path) -> None:
    assert session.with_suffix(tmp_path / "net").name == "net.gflow"
    assert session.with_suffix(tmp_path / "net.v2").name == "net.v2.gflow"
    assert session.with_suffix(tmp_path / "net.GFLOW").name == "net.GFLOW"
    (tmp_path / "old.project").write_text("")
    assert session.with_suffix(tmp_path / "old.project").name == "old.project"


class TestUnsaved:
    def test_kept_and_taken(self, tmp_path: Path) -> None:
        first = Unsaved(tmp_path)
        assert first.take() is None
        first.keep(project())
        first.release()
        again = Unsaved(tmp_path)
        assert again.take() == project()
        assert again.take() == project()  # until it is saved or given up: the program may crash
        again.forget()
        assert again.take() is None

    def test_a_folder_is_made_when_it_is_missing(self, tmp_path: Path) -> None:
        unsaved = Unsaved(tmp_path / "a" / "b")
        unsaved.keep(project())
        assert unsaved.path.is_file()

    def test_damaged_work_is_put_aside_not_removed(self, tmp_path: Path) -> None:
        unsaved = Unsaved(tmp_path)
        unsaved.path.write_bytes(b"PK\x03\x04 half a file")
        assert unsaved.take() is None and unsaved.take() is None
        assert unsaved.path.with_suffix(".damaged").read_bytes().startswith(b"PK")

    def test_two_programs_do_not_take_each_others_work(self, tmp_path: Path) -> None:
        first, second = Unsaved(tmp_path), Unsaved(tmp_path)
        assert first.path != second.path
        first.keep(project("first"))
        second.keep(project("second"))
        assert second.take().graph.name == "second"
        second.forget()
        assert second.take() is None  # that of a program still running is not for it
        assert first.take().graph.name == "first"

    def test_work_of_a_second_program_that_ended_is_found(self, tmp_path: Path) -> None:
        first, second = Unsaved(tmp_path), Unsaved(tmp_path)
        second.keep(project("second"))
        first.release()
        second.release()
        third = Unsaved(tmp_path)
        assert third.path == first.path
        assert third.take().graph.name == "second"
        assert not second.path.exists()

    def test_replaced_work_is_set_aside_under_its_name(self, tmp_path: Path) -> None:
        unsaved = Unsaved(tmp_path)
        unsaved.keep(project())
        paths = [unsaved.set_aside(project("a/b: c")) for _ in range(2)]
        assert len(set(paths)) == 2 and all(p.name.startswith("a-b- c ") for p in paths)
        assert session.load(paths[0]).graph.name == "a/b: c"
        assert unsaved.take() is None  # it has its own file now

    def test_only_the_newest_are_kept_aside(self, tmp_path: Path) -> None:
        unsaved = Unsaved(tmp_path)
        for i in range(session.ASIDE + 3):
            path = unsaved.set_aside(project(f"n{i}"))
            os.utime(path, (i, i))
        newest = unsaved.set_aside(project("last"))
        left = {p.name.split()[0] for p in newest.parent.iterdir()}
        assert len(left) == session.ASIDE and "last" in left and "n0" not in left

    def test_a_place_that_cannot_be_written_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        unsaved = Unsaved(tmp_path / "file" / "folder")
        assert unsaved.take() is None
        with pytest.raises(ProjectError, match="unsaved.gflow"):
            unsaved.keep(project())
        unsaved.forget()


def test_what_a_killed_program_left_half_written_is_removed(tmp_path: Path) -> None:
    old, new = tmp_path / ".0123456789ab.part", tmp_path / ".ba9876543210.part"
    for part in (old, new):
        part.write_bytes(b"half")
    long_ago = new.stat().st_mtime - 7200
    os.utime(old, (long_ago, long_ago))
    session.Unsaved(tmp_path).release()
    assert not old.exists() and new.exists()
