"""The sentence is shown with links that ask for cells and nodes."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QVBoxLayout, QWidget

from engine.cell import Cell
from explorer import theme
from explorer.narration import Crumb, Link, Sentence, Text, sentence
from explorer.panels import Narration


def test_links_are_reached_and_followed_by_keyboard(qtbot, ran):
    panel = Narration()
    qtbot.addWidget(panel)
    panel.resize(900, 110)
    panel.show()
    found = sentence(ran.graph, ran.trace, ran.after("forward", "conv1"))
    panel.set_sentence(found)
    assert panel.words.toPlainText() == found.text
    asked = []
    panel.link_requested.connect(asked.append)
    panel.words.setFocus()
    for _ in found.links:
        qtbot.keyClick(panel.words, Qt.Key.Key_Tab)
        qtbot.keyClick(panel.words, Qt.Key.Key_Return)
    assert asked == [link.target for link in found.links]
    assert any(isinstance(target, Cell) for target in asked)


def test_a_click_on_a_number_asks_for_its_cell(qtbot):
    cell = Cell("conv1", 0, (0, 1, 2))
    panel = Narration()
    qtbot.addWidget(panel)
    panel.resize(600, 110)
    panel.show()
    panel.set_sentence(Sentence((Link("3.42", cell), Text(" is the strongest")), "forward"))
    with qtbot.waitSignal(panel.link_requested) as caught:
        at = panel.words.cursorRect().center()
        at.setX(at.x() + 10)
        qtbot.mouseClick(panel.words.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert caught.args == [cell]


def test_names_are_text_and_not_markup(qtbot):
    panel = Narration()
    qtbot.addWidget(panel)
    panel.set_sentence(Sentence((Text("a < b & <b>c</b>"),), "loss"))
    assert panel.words.toPlainText() == "a < b & <b>c</b>"


def test_the_area_grows_for_a_sentence_that_fits_at_no_size(qtbot):
    """Such as the result of a check before the sentence of the step."""
    window, canvas, panel = QWidget(), QWidget(), Narration()
    column = QVBoxLayout(window)
    column.addWidget(canvas, 1)
    column.addWidget(panel)
    qtbot.addWidget(window)
    window.resize(760, 500)
    window.show()
    panel.set_sentence(Sentence((Text("word " * 20),), "backward"))
    qtbot.waitUntil(lambda: panel.height() > 0)
    usual = panel.height()
    for words in (75, 120, 90):
        panel.set_sentence(Sentence((Text("word " * words),), "backward"))
        qtbot.waitUntil(lambda: _whole(panel))
        assert panel.height() > usual
    panel.set_sentence(Sentence((Text("word " * 20),), "backward"))
    qtbot.waitUntil(lambda: panel.height() == usual)
    assert _whole(panel)


def _whole(panel):
    return panel.words.document().size().height() <= panel.words.viewport().height()


def test_a_sentence_is_as_large_as_its_area_allows(qtbot):
    """In a narrow window the next smaller size is taken, and not at once the smallest."""
    panel = Narration()
    qtbot.addWidget(panel)
    panel.resize(455, 90)
    panel.show()
    text = (
        "The weights of fc3 move by 0.0699, 1.6% of their length; weight[7, 36] moves most, "
        "from 0.2893 to 0.3156."
    )
    sizes = []
    for width in (1100, 700, 600, 520, 455):
        panel.resize(width, 90)
        panel.set_sentence(Sentence((Text(text),), "update"))
        qtbot.waitUntil(lambda: _whole(panel))
        document = panel.words.document().clone()
        sizes.append(document.defaultFont().pixelSize())
        if sizes[-1] < theme.metrics().text_title:  # one larger would not fit
            font = document.defaultFont()
            font.setPixelSize(sizes[-1] + 1)
            document.setDefaultFont(font)
            document.setTextWidth(panel.words.viewport().width())
            assert document.size().height() > panel.words.viewport().height()
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == theme.metrics().text_title
    assert len(set(sizes)) > 2


def test_a_long_sentence_is_in_sight_as_a_whole(qtbot):
    panel = Narration()
    qtbot.addWidget(panel)
    panel.resize(760, 100)
    panel.show()
    panel.set_sentence(Sentence((Text("word " * 38),), "backward"))
    assert panel.words.document().size().height() <= panel.words.viewport().height()


def test_a_long_way_drops_its_beginning(qtbot):
    panel = Narration()
    qtbot.addWidget(panel)
    panel.show()
    way = tuple(Crumb(text, text) for text in ("network", "stage1", "block2", "conv1"))
    panel.resize(900, 140)
    panel.set_crumbs(way)
    qtbot.waitUntil(lambda: "network" in panel.way.text())
    assert panel.way.toolTip() == ""
    panel.resize(260, 140)
    qtbot.waitUntil(lambda: "network" not in panel.way.text())
    assert "…" in panel.way.text() and "conv1" in panel.way.text()
    assert panel.way.toolTip() == "network ▸ stage1 ▸ block2 ▸ conv1"
    asked = []
    panel.crumb_requested.connect(asked.append)
    panel.way.linkActivated.emit("3")
    assert asked == [way[3]]
