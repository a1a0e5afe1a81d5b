"""The form of a loss: kinds that fit, settings with their reasons, what it counts."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QComboBox, QLineEdit
from pytestqt.qtbot import QtBot

from engine.graph import Loss
from engine.layers.base import Spec
from engine.losses import CrossEntropy, Hinge, Total, suited
from explorer.panels.loss_form import LossForm

LOSS = Loss("loss", CrossEntropy(0.1), ("fc", 0), 0.5)


def shown(qtbot: QtBot, loss: Loss = LOSS) -> tuple[LossForm, list[Loss]]:
    form = LossForm(loss, suited(Spec((1, 3))))
    qtbot.addWidget(form)
    wanted: list[Loss] = []
    form.change_requested.connect(wanted.append)
    form.show()
    return form, wanted


def box(form: LossForm, name: str) -> QLineEdit:
    (found,) = form.fields[name].boxes()
    assert isinstance(found, QLineEdit)
    return found


def type_into(form: LossForm, name: str, text: str) -> None:
    field = box(form, name)
    field.setFocus()
    field.selectAll()
    QTest.keyClicks(field, text)
    QTest.keyClick(field, Qt.Key.Key_Return)


def test_shows_the_loss_as_it_is_and_asks_for_nothing(qtbot: QtBot) -> None:
    form, wanted = shown(qtbot)
    values = {name: field.value() for name, field in form.fields.items()}
    assert values == {
        "kind": "Cross-entropy",
        "label_smoothing": 0.1,
        "class_weights": (),
        "weight": 0.5,
    }
    assert wanted == []


def test_another_kind_is_chosen_by_key(qtbot: QtBot) -> None:
    form, wanted = shown(qtbot)
    (kinds,) = form.fields["kind"].boxes()
    assert isinstance(kinds, QComboBox)
    titles = [kinds.itemText(i) for i in range(kinds.count())]
    assert titles == [
        "Cross-entropy",
        "Mean squared error",
        "Hinge",
        "LeNet's loss",
        "Sum of the output",
    ]
    kinds.setFocus()
    QTest.keyClicks(kinds, "H")
    assert wanted == [Loss("loss", Hinge(), ("fc", 0), 0.5)]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("label_smoothing", "0.2", Loss("loss", CrossEntropy(0.2), ("fc", 0), 0.5)),
        (
            "class_weights",
            "1 0.5 2",
            Loss("loss", CrossEntropy(0.1, (1.0, 0.5, 2.0)), ("fc", 0), 0.5),
        ),
        ("weight", "0,3", Loss("loss", CrossEntropy(0.1), ("fc", 0), 0.3)),
    ],
)
def test_a_setting_is_typed(qtbot: QtBot, name: str, text: str, expected: Loss) -> None:
    form, wanted = shown(qtbot)
    type_into(form, name, text)
    assert wanted[-1] == expected and form.message(name) == ""


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("label_smoothing", "1.5", "from 0 to below 1, received 1.5"),
        ("label_smoothing", "much", "Expected a number"),
        ("class_weights", "1 -1 2", "expected numbers from 0"),
        ("class_weights", "1 inf", "Expected a number"),
        ("weight", "", "Expected a number"),
    ],
)
def test_what_cannot_be_is_explained_and_not_asked_for(
    qtbot: QtBot, name: str, text: str, said: str
) -> None:
    form, wanted = shown(qtbot)
    if text:
        type_into(form, name, text)
    else:
        box(form, name).setFocus()
        box(form, name).selectAll()
        QTest.keyClick(box(form, name), Qt.Key.Key_Delete)
    assert wanted == [] and said in form.message(name)


def test_a_kind_that_does_not_fit_is_still_shown(qtbot: QtBot) -> None:
    form = LossForm(LOSS, suited(Spec((1, 3, 8, 8))))
    qtbot.addWidget(form)
    (kinds,) = form.fields["kind"].boxes()
    assert isinstance(kinds, QComboBox)
    titles = [kinds.itemText(i) for i in range(kinds.count())]
    assert titles == [Total.title, CrossEntropy.title]
    assert form.fields["kind"].value() == CrossEntropy.title
