"""Properties are generated from the layer, validated live, and requested, never applied."""

from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPushButton

from engine.layers import REGISTRY
from explorer.panels import Properties
from explorer.panels.fields import SizeField


def show(panel, graph, node_id):
    inference = graph.infer()
    node = graph.node(node_id)
    panel.set_node(
        node,
        tuple(inference.specs[r] for r in node.inputs if r in inference.specs),
        tuple(inference.specs[r] for r in ((node_id, 0),) if r in inference.specs),
        graph.costs(inference.specs).get(node_id),
        inference.errors.get(node_id),
    )


def shown(qtbot, graph, node_id):
    panel = Properties()
    qtbot.addWidget(panel)
    panel.resize(340, 700)
    panel.show()
    show(panel, graph, node_id)
    asked = []
    panel.change_requested.connect(lambda node, layer: asked.append((node, layer)))
    return panel, asked


def type_into(qtbot, box, text, enter=True):
    box.setFocus()
    box.selectAll()
    QTest.keyClicks(box, text)
    if enter:
        qtbot.keyClick(box, Qt.Key.Key_Return)


def test_a_typed_number_is_requested_once_when_it_stands(qtbot, ran):
    panel, asked = shown(qtbot, ran.graph, "conv1")
    box = panel.fields["out_channels"].box
    type_into(qtbot, box, "12", enter=False)
    assert asked == []
    qtbot.keyClick(box, Qt.Key.Key_Return)
    layer = replace(ran.graph.node("conv1").layer, out_channels=12)
    assert asked == [("conv1", layer)]


def test_arrow_keys_step_within_the_range(qtbot, ran):
    panel, asked = shown(qtbot, ran.graph, "conv1")
    box = panel.fields["groups"].box
    qtbot.keyClick(box, Qt.Key.Key_Down)
    assert asked == [] and box.value() == 1
    qtbot.keyClick(box, Qt.Key.Key_Up)
    assert asked[-1][1].groups == 2


def test_an_impossible_value_is_explained_in_place_and_kept(qtbot, ran):
    panel, asked = shown(qtbot, ran.graph, "conv1")
    field = panel.fields["stride"]
    type_into(qtbot, field.numbers[0], "0")
    assert asked == []
    assert panel.message("stride") == "Conv2d.stride: expected at least 1, received 0."
    assert field.numbers[0].property("invalid") is True
    assert field.value() == 0
    # The model answers something else in between: what was typed stays.
    show(panel, ran.graph, "conv1")
    assert field.value() == 0
    type_into(qtbot, field.numbers[0], "2")
    assert panel.message("stride") == ""
    assert asked[-1][1].stride == 2


def test_padding_has_one_number_two_or_four_sides(qtbot, ran):
    panel, asked = shown(qtbot, ran.graph, "conv1")
    field = panel.fields["padding"]
    assert isinstance(field, SizeField) and field.value() == 1
    qtbot.keyClick(field.form, Qt.Key.Key_Down)
    assert asked[-1][1].padding == (1, 1)
    qtbot.keyClick(field.form, Qt.Key.Key_Down)
    assert asked[-1][1].padding == (1, 1, 1, 1)
    type_into(qtbot, field.numbers[3], "0")
    assert asked[-1][1].padding == (1, 1, 1, 0)
    assert [box.isVisible() for box in field.numbers] == [True] * 4


def test_two_fields_that_are_wrong_together_mend_each_other(qtbot, ran):
    panel, asked = shown(qtbot, ran.graph, "pool1")
    type_into(qtbot, panel.fields["padding"].numbers[0], "2")
    assert "half the window" in panel.message("padding")
    type_into(qtbot, panel.fields["kernel_size"].numbers[0], "4")
    assert panel.message("padding") == ""
    assert (asked[-1][1].kernel_size, asked[-1][1].padding) == (4, 2)


def test_checkbox_and_undo(qtbot, ran):
    panel, asked = shown(qtbot, ran.graph, "conv1")
    box = panel.fields["bias"].box
    qtbot.keyClick(box, Qt.Key.Key_Space)
    assert asked == [("conv1", replace(ran.graph.node("conv1").layer, bias=False))]
    graph = ran.graph.replace_node("conv1", layer=asked[0][1])
    show(panel, graph, "conv1")
    assert not box.isChecked() and len(asked) == 1
    show(panel, ran.graph, "conv1")
    assert box.isChecked() and len(asked) == 1


def test_real_numbers_are_typed_as_text(qtbot, ran):
    graph = ran.graph.replace_node("relu1", layer=REGISTRY["Dropout"](0.5))
    panel, asked = shown(qtbot, graph, "relu1")
    type_into(qtbot, panel.fields["p"].box, "0,25")
    assert asked[-1][1].p == 0.25
    type_into(qtbot, panel.fields["p"].box, "much")
    assert panel.message("p").startswith("Expected a number")
    type_into(qtbot, panel.fields["p"].box, "2")
    assert "expected at most 0.95, received 2" in panel.message("p")
    assert len(asked) == 1


def test_facts_give_shapes_parameters_and_work(qtbot, ran):
    panel, _ = shown(qtbot, ran.graph, "block/conv")
    for fact in ("4×6×6", "148", "5,184"):
        assert f"<td>{fact}</td>" in panel.facts


def test_rename_checks_the_form_and_asks(qtbot, ran):
    panel, _ = shown(qtbot, ran.graph, "conv1")
    asked = []
    panel.rename_requested.connect(lambda *names: asked.append(names))
    type_into(qtbot, panel.name, "first conv")
    assert asked == [] and panel.name.property("invalid") is True
    type_into(qtbot, panel.name, "stem/conv")
    assert asked == [("conv1", "stem/conv")]
    panel.set_name_error("Node id 'stem/conv' is taken. Choose another name.")
    assert panel.name.text() == "stem/conv" and panel.name.property("invalid") is True


def test_an_error_offers_its_fixes(qtbot, ran):
    wide = replace(ran.graph.node("block/conv").layer, out_channels=9)
    graph = ran.graph.replace_node("block/conv", layer=wide)
    panel, _ = shown(qtbot, graph, "block/add")
    button = panel.card.findChild(QPushButton)
    with qtbot.waitSignal(panel.fix_requested) as caught:
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert caught.args == ["block/add", graph.infer().errors["block/add"].fixes[0]]
    show(panel, ran.graph, "block/add")
    assert panel.card is None


def test_nothing_selected_says_what_to_do(qtbot, ran):
    panel, _ = shown(qtbot, ran.graph, "conv1")
    panel.set_node(None)
    assert panel.fields == {}
    assert any(
        "Select a layer" in w.text() for w in panel.widget().children() if hasattr(w, "text")
    )


@pytest.mark.parametrize("kind", sorted(REGISTRY))
def test_every_layer_has_an_editor_that_shows_its_values(qtbot, ran, kind):
    graph = ran.graph.replace_node("relu1", layer=REGISTRY[kind]())
    panel, asked = shown(qtbot, graph, "relu1")
    for field in REGISTRY[kind].hyperparameters():
        assert panel.fields[field.name].value() == field.default
        assert panel.fields[field.name].toolTip().startswith(field.help)
    assert asked == []


def test_a_loss_shows_what_is_wrong_with_it_and_asks_for_the_fix(qtbot, ran):
    graph = ran.graph.connect(("conv1", 0), "loss", 0)
    error = graph.infer().errors["loss"]
    panel = Properties()
    qtbot.addWidget(panel)
    panel.show()
    fixes = []
    panel.fix_requested.connect(lambda node, fix: fixes.append((node, fix)))
    panel.set_end("loss", "Cross-entropy", "How surprised. More.", {"Input": "4×12×12"}, error)
    assert "<td>4×12×12</td>" in panel.facts and panel.name is None
    button = panel.card.findChild(QPushButton)
    assert button.text() == "Add Flatten"
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert fixes == [("loss", error.fixes[0])]
    panel.set_end("loss", "Cross-entropy", "How surprised. More.", {"Input": "10"})
    assert panel.card is None
