"""The menu of a tensor: what of it can be copied and saved."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtGui import QAction, QGuiApplication
from PySide6.QtWidgets import QMenu

from engine.cell import Cell
from explorer import theme

if TYPE_CHECKING:
    from explorer.tensors.grid import TensorGrid


def tensor_menu(grid: TensorGrid, cell: Cell | None) -> QMenu:
    """What can be copied of the tensor that a grid shows, for the cell under the pointer."""
    menu = QMenu(grid)

    def add(text: str, does: Callable[[], object]) -> QAction:
        action = QAction(text, menu)
        action.triggered.connect(does)
        menu.addAction(action)
        return action

    value = grid.value(cell) if cell is not None else None
    if cell is not None and value is not None:
        add(grid.tr("Copy value"), lambda: copy_text(repr(value)))
        channel = grid.channel_of(cell)
        if not grid.is_vector:
            add(grid.tr("Copy channel as table"), lambda: copy_text(grid.text_of(channel)))
    add(grid.tr("Copy tensor as table"), lambda: copy_text(grid.text_of()))
    add(grid.tr("Copy tensor as CSV"), lambda: copy_text(grid.text_of(None, ",")))
    add(
        grid.tr("Copy picture"),
        lambda: QGuiApplication.clipboard().setImage(grid.grab().toImage()),
    )
    add(
        grid.tr("Save picture…"),
        lambda: grid.picture_requested.emit(grid.picture(), grid.node),
    )
    menu.addSeparator()
    add(grid.tr("Show all"), grid.fit).setIcon(theme.icon("fit"))
    return menu


def copy_text(text: str) -> None:
    """Put a text into the clipboard."""
    # as text: a QMimeData made here would outlive Python in the clipboard and crash at exit
    QGuiApplication.clipboard().setText(text)
