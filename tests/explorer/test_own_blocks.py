"""The user's own blocks: kept as plain text, added with other widths, renamed and deleted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.building_blocks import Block
from engine.layers.conv2d import Conv2d
from explorer.clipping import Clipping
from explorer.own_blocks import BlockError, OwnBlocks, scaled


@pytest.fixture
def own(tmp_path: Path) -> OwnBlocks:
    return OwnBlocks(tmp_path / "blocks")


def test_names_are_file_names_and_nothing_else(own: OwnBlocks) -> None:
    assert own.names == ()
    for name in ("", "../evil", "a/b", ".hidden", "x" * 80, "nul\0"):
        with pytest.raises(BlockError, match="Name of a block"):
            own.save(name, Clipping((), {}, {}))
    own.save("mine", Clipping((), {}, {}))
    assert own.names == ("mine",) and own.free_name("mine") == "mine 2"
    assert own.free_name("../evil") == "block"


def test_renamed_deleted_and_damaged(own: OwnBlocks) -> None:
    for name in ("one", "two"):
        own.save(name, Clipping((), {}, {}))
    with pytest.raises(BlockError, match="There is a block two already"):
        own.rename("one", "two")
    own.rename("one", "first")
    own.delete("two")
    assert own.names == ("first",)
    with pytest.raises(BlockError):
        own.delete("two")
    (own.folder / "first.gfblock").write_text("__import__('os')")
    with pytest.raises(BlockError, match="first: this block cannot be read"):
        own.load("first")


def test_widths_are_scaled_with_their_groups() -> None:
    assert scaled(Conv2d(8), 2) == Conv2d(16)
    assert scaled(Conv2d(8, groups=8), 0.5) == Conv2d(4, groups=4)
    assert scaled(Conv2d(1), 0.25) == Conv2d(1)


def test_kept_and_added_again_with_other_widths(bench: Any) -> None:
    c, document = bench.controller, bench.document
    c.select({"relu1"})
    c.adding.append_block(Block("residual", 4))
    name = c.blocks.save_block(document.selection)
    assert name == "block1" and c.own_blocks.names == ("block1",)
    count, before = c.undo_stack.count(), document.graph
    c.adding.append_own_block(name, 2.0)
    assert c.undo_stack.count() == count + 1 and document.inference.valid
    new = [n for n in document.graph.nodes if n.id not in before.by_id]
    assert {n.layer.out_channels for n in new if isinstance(n.layer, Conv2d)} == {8}
    assert document.selection == {n.id for n in new}
    (first,) = (n for n in new if n.id.endswith("/conv1"))
    assert first.inputs == (("block1/relu2", 0),)
    assert document.graph.node("flatten1").inputs[0][0].endswith("/relu2")
    c.undo()
    assert document.graph == before

    c.blocks.rename_own_block(name, "wide")
    assert c.own_blocks.names == ("wide",)
    c.adding.append_own_block("gone")
    c.blocks.rename_own_block("wide", "a/b")
    assert [n.level for n in bench.notices[-2:]] == ["warning"] * 2
    c.blocks.delete_own_block("wide")
    assert c.own_blocks.names == () and document.graph == before


def test_nothing_selected_is_said(bench: Any) -> None:
    bench.controller.select(())
    assert bench.controller.blocks.save_block(()) == ""
    assert "Select layers first" in bench.notices[-1].text
