"""What is said inside of an operation, and the way that leads there."""

from __future__ import annotations

import numpy as np
import pytest

from engine.architectures import ARCHITECTURES
from engine.cell import Cell
from engine.graph import Graph, Input, Loss, Node
from engine.inside import Inside, Sheet, sheet_of, written_by
from engine.layers import REGISTRY
from engine.losses import CrossEntropy
from engine.optimizers import SGD
from engine.parameters import initial_parameters
from engine.plan import Batch, compile
from engine.trace import Trace
from explorer.narration import Crumb, crumbs, finish_text, inside_sentence
from explorer.tensors.scales import format_number

L = REGISTRY


@pytest.fixture(scope="module")
def ran() -> tuple[Graph, Trace]:
    graph = Graph(
        inputs=(Input("image", (1, 6, 6)),),
        nodes=(
            Node("stage1/conv", L["Conv2d"](2, 3), (("image", 0),)),
            Node("pool", L["MaxPool2d"](2), (("stage1/conv", 0),)),
            Node("bn", L["BatchNorm2d"](), (("pool", 0),)),
            Node("flatten", L["Flatten"](), (("bn", 0),)),
            Node("fc", L["Linear"](3), (("flatten", 0),)),
        ),
        losses=(Loss("loss", CrossEntropy(), ("fc", 0)),),
    )
    plan = compile(graph, initial_parameters(graph, 1), batch=1, mode="eval")
    x = np.random.default_rng(2).normal(size=(1, 1, 6, 6)).astype(np.float32)
    trace = Trace()
    for _ in plan.run(Batch.of(graph, x, np.array([1])), trace=trace):
        pass
    return graph, trace


def sheet_at(ran: tuple[Graph, Trace], phase: str, node: str, side: str, part: int = 0) -> Sheet:
    graph, trace = ran
    index = next(s.index for s in trace.steps if (s.phase, s.node) == (phase, node))
    return sheet_of(graph, trace, index, side, part=part)  # type: ignore[arg-type]


def at(sheet: Sheet, level: str, cells: int, terms: int = 0) -> Inside:
    return Inside(sheet.operation, sheet.side, level, cells, terms)  # type: ignore[arg-type]


def test_a_cell_of_a_convolution(ran: tuple[Graph, Trace]) -> None:
    sheet = sheet_at(ran, "forward", "stage1/conv", "output")
    assert "its output, 2×4×4, is made cell by cell from image" in (
        inside_sentence(sheet, at(sheet, "channel", 0)).text
    )
    told = inside_sentence(sheet, at(sheet, "cell", 22))
    value = format_number(float(ran[1].look("value", ("stage1/conv", 0))[0, 1, 1, 1]))
    assert told.text == (
        f"Row 1, column 1 of channel 1 is {value}: 9 products and the bias, added up."
    )
    assert told.links[0].target == Cell("stage1/conv", 0, (1, 1, 1)) and told.phase == "forward"
    told = inside_sentence(sheet, at(sheet, "row", 20))
    assert told.text.startswith("Row 0 is done, 4 cells. Row 0, column 3 of channel 1 is ")
    told = inside_sentence(sheet, at(sheet, "channel", 16))
    assert told.text.startswith("Channel 0 is done, 16 cells. ")


def test_a_term_and_the_sum_so_far(ran: tuple[Graph, Trace]) -> None:
    sheet = sheet_at(ran, "forward", "stage1/conv", "output")
    first, second = sheet.terms(3).terms[:2]
    text = inside_sentence(sheet, at(sheet, "term", 3, 2)).text
    assert text.startswith("Row 0, column 3 of channel 0, term 2 of 10: ")
    assert format_number(second.product) in text
    assert text.endswith(f"the sum so far is {format_number(first.product + second.product)}.")


def test_a_pool_names_the_cell_that_won(ran: tuple[Graph, Trace]) -> None:
    sheet = sheet_at(ran, "forward", "pool", "output")
    row, column = divmod(int(ran[1].look("saved", ("pool", "argmax"))[0, 1, 1, 0]), 4)
    text = inside_sentence(sheet, at(sheet, "cell", 7)).text
    assert f"the largest of 4: it stood at row {row}, column {column} of stage1/conv." in text
    back = sheet_at(ran, "backward", "pool", "input")
    winner = int(ran[1].look("saved", ("pool", "argmax"))[0, 0, 0, 0])
    told = inside_sentence(back, at(back, "cell", winner + 1)).text
    assert "it was the largest of its window of pool" in told
    loser = next(i for i in (0, 1, 4, 5) if i != winner)
    told = inside_sentence(back, at(back, "cell", loser + 1)).text
    assert told.endswith(" gets 0: another cell of its window was larger.")


def test_backward_of_a_convolution(ran: tuple[Graph, Trace]) -> None:
    sheet = sheet_at(ran, "backward", "stage1/conv", "input")
    text = inside_sentence(sheet, at(sheet, "cell", 15)).text
    count = len(sheet.terms(14).terms)
    assert f"{count} cells of stage1/conv read it, and each sends its gradient times" in text
    weights = sheet_at(ran, "backward", "stage1/conv", "weight")
    assert inside_sentence(weights, at(weights, "cell", 5)).text.endswith(
        "5 of 16 positions so far."
    )
    assert "is complete, a sum over 16 positions" in (
        inside_sentence(weights, at(weights, "channel", 16)).text
    )
    linear = sheet_at(ran, "backward", "fc", "weight")
    assert "times the input is the gradient of its weights" in (
        inside_sentence(linear, at(linear, "cell", 1)).text
    )


def test_a_formula(ran: tuple[Graph, Trace]) -> None:
    sheet = sheet_at(ran, "forward", "bn", "output")
    told = inside_sentence(sheet, at(sheet, "cell", 1))
    assert sheet.terms(0).formula in told.text


def test_the_way_in(ran: tuple[Graph, Trace]) -> None:
    sheet = sheet_at(ran, "forward", "stage1/conv", "output")
    assert crumbs("net", "stage1/conv") == (
        Crumb("net"),
        Crumb("stage1", "stage1"),
        Crumb("conv", "stage1/conv"),
    )
    way = crumbs("net", "stage1/conv", sheet, at(sheet, "term", 22, 3))
    assert [c.text for c in way[3:]] == ["channel 1", "row 1", "column 2", "term 3"]
    assert [c.level for c in way[3:]] == ["channel", "row", "cell", "term"]
    assert crumbs("net", "") == (Crumb("net"),)
    assert [finish_text(level) for level in (None, "channel", "term")] == [
        "Finish phase",
        "Finish layer",
        "Finish cell",
    ]
    # a vector has no rows, a loss nothing but lines
    assert finish_text("cell", ("cell", "term")) == "Finish layer"
    assert finish_text("cell", ("channel", "cell", "term")) == "Finish channel"
    assert finish_text("term", ("term",)) == "Finish operation"


def test_a_relu_says_what_counted(ran: tuple[Graph, Trace]) -> None:
    graph = Graph(
        inputs=(Input("x", (4,)),),
        nodes=(Node("relu", L["ReLU"](), (("x", 0),)), Node("fc", L["Linear"](2), (("relu", 0),))),
        losses=(Loss("loss", CrossEntropy(), ("fc", 0)),),
    )
    plan = compile(graph, initial_parameters(graph, 1), batch=1, mode="eval")
    trace = Trace()
    x = np.array([[1.5, -2.0, 0.5, -1.0]], np.float32)
    for _ in plan.run(Batch.of(graph, x, np.array([1])), trace=trace):
        pass
    sheet = Sheet(graph, trace, 0, "output")
    assert inside_sentence(sheet, at(sheet, "cell", 1)).text == (
        "Number 0 is 1.5, the largest of 2: it stood at number 0 of x."
    )
    assert inside_sentence(sheet, at(sheet, "cell", 2)).text == (
        "Number 1 is 0, the largest of 2: what came in is below zero, so the floor counts."
    )


@pytest.mark.parametrize("name", ["googlenet-digits", "densenet-digits", "mobilenet-digits"])
def test_every_operation_of_a_network_has_words_inside(name: str) -> None:
    graph = ARCHITECTURES[name].build()
    plan = compile(graph, initial_parameters(graph, 0), mode="eval")
    x = np.random.default_rng(0).random((1, *graph.inputs[0].shape)).astype(np.float32)
    trace = Trace()
    for _ in plan.run(Batch.of(graph, x, np.array([1])), trace=trace):
        pass
    seen = set()
    for step in trace.steps:
        for side, part, _ in written_by(graph, step):
            node = graph.by_id.get(step.node)
            kind = (type(node.layer).__name__ if node else step.phase, side, part)
            if kind in seen:
                continue
            seen.add(kind)
            sheet = sheet_of(graph, trace, step.index, side, part=part)
            for level in sheet.levels:
                for cells in {0, sheet.unit(level), sheet.total - sheet.unit(level)}:
                    told = inside_sentence(sheet, at(sheet, level, cells))
                    assert told.text.endswith(".") and told.phase == step.phase
                    assert len(crumbs("net", step.node, sheet, at(sheet, level, cells))) > 2
    assert len(seen) > 10


@pytest.fixture(scope="module")
def flat() -> tuple[Graph, Trace]:
    """A max pool over windows: all equal, two largest, one largest, all equal."""
    graph = Graph(
        inputs=(Input("image", (1, 4, 4)),),
        nodes=(
            Node("relu", L["ReLU"](), (("image", 0),)),
            Node("pool", L["MaxPool2d"](2), (("relu", 0),)),
            Node("flatten", L["Flatten"](), (("pool", 0),)),
            Node("fc", L["Linear"](3), (("flatten", 0),)),
        ),
        losses=(Loss("loss", CrossEntropy(), ("fc", 0)),),
    )
    plan = compile(graph, initial_parameters(graph, 1), batch=1, mode="eval")
    x = np.array([[-1, -2, 1, 2], [-3, 0, 2, 0], [1, 3, 0, 0], [0, 0, 0, 0]], np.float32)
    trace = Trace()
    for _ in plan.run(Batch.of(graph, x[None, None], np.array([1])), trace=trace):
        pass
    return graph, trace


def test_of_equal_cells_none_is_called_the_largest(flat: tuple[Graph, Trace]) -> None:
    sheet = sheet_at(flat, "forward", "pool", "output")
    texts = [inside_sentence(sheet, at(sheet, "cell", n)).text for n in (1, 2, 3)]
    assert texts[0].endswith(
        " is 0, the largest of 4; all 4 are equal: the first wins, at row 0, column 0 of relu."
    )
    assert "2 of 4 are equally large: the first of them wins, at row 0, column 3" in texts[1]
    assert texts[2].endswith("the largest of 4: it stood at row 2, column 1 of relu.")
    back = sheet_at(flat, "backward", "pool", "input")
    told = [inside_sentence(back, at(back, "cell", n + 1)).text for n in range(10)]
    assert "all 4 are equal: the first wins, this one." in told[0]
    assert "all 4 are equal: the first wins, another one." in told[1]
    assert "another cell of its window was larger" in told[2]
    assert "2 of 4 are equally large: the first of them wins, this one." in told[3]
    assert "2 of 4 are equally large: the first of them wins, another one." in told[6]
    assert "it was the largest of its window of pool" in told[9]
    floor = sheet_at(flat, "forward", "relu", "output")
    assert inside_sentence(floor, at(floor, "cell", 6)).text.endswith("as low as the floor.")


@pytest.fixture(scope="module")
def forked() -> tuple[Graph, Trace]:
    """A fork, and an update at its end."""
    graph = Graph(
        inputs=(Input("x", (3,)),),
        nodes=(
            Node("fc", L["Linear"](3), (("x", 0),)),
            Node("relu", L["ReLU"](), (("fc", 0),)),
            Node("add", L["Add"](), (("fc", 0), ("relu", 0))),
            Node("norm", L["LayerNorm"](), (("add", 0),)),
        ),
        losses=(Loss("loss", CrossEntropy(), ("norm", 0)),),
    )
    plan = compile(graph, initial_parameters(graph, 1), batch=1, mode="eval")
    trace = Trace()
    x = np.array([[1.5, -2.0, 0.5]], np.float32)
    for _ in plan.run(Batch.of(graph, x, np.array([1])), optimizer=SGD(lr=0.5), trace=trace):
        pass
    return graph, trace


def test_the_lines_of_a_loss(forked: tuple[Graph, Trace]) -> None:
    sheet = sheet_at(forked, "loss", "loss", "loss")
    assert inside_sentence(sheet, at(sheet, "term", 0)).text == (
        "Inside loss: the loss is worked out from what norm says, line by line."
    )
    told = inside_sentence(sheet, at(sheet, "term", 0, 6)).text
    log_p = sheet.stages(0)[5].values
    assert told.startswith("Line 6 of 8: log p, 3 numbers from ")
    assert told.endswith(f"The next line takes number 1, {format_number(float(log_p[1]))}.")
    told = inside_sentence(sheet, at(sheet, "term", 0, 8))
    loss = format_number(float(forked[1].look("value", ("loss", 0))))
    assert told.text == f"Line 8 of 8: L = {loss} (÷ 1, the number of samples)."
    assert told.phase == "loss"
    assert [c.text for c in crumbs("net", "loss", sheet, at(sheet, "term", 0, 8))] == [
        "net",
        "loss",
        "line 8",
    ]


def test_the_lines_of_a_scores_gradient(forked: tuple[Graph, Trace]) -> None:
    sheet = sheet_at(forked, "backward", "loss", "loss")
    told = inside_sentence(sheet, at(sheet, "term", 1, 2)).text
    assert told == "Number 1, line 2 of 3: y = 1 (what was wanted of it)."
    told = inside_sentence(sheet, at(sheet, "cell", 2))
    value = format_number(sheet.value(1))
    share = format_number(sheet.stages(1)[0].number)
    assert told.text == f"Number 1 gets {value}: p {share} less y 1."
    assert told.links[0].target == Cell("norm", 0, (1,))


def test_the_parts_of_a_sum(forked: tuple[Graph, Trace]) -> None:
    sheet = sheet_at(forked, "accumulate", "fc", "sum")
    assert "two parts of its gradient, 3, meet and are added up" in (
        inside_sentence(sheet, at(sheet, "cell", 0)).text
    )
    one, two = (format_number(t.value) for t in sheet.terms(2).terms)
    first, second = sheet.senders
    assert {first, second} == {"add", "relu"}
    assert inside_sentence(sheet, at(sheet, "cell", 3)).text == (
        f"Number 2 gets {format_number(sheet.value(2))}: {one} from {first} and {two} from "
        f"{second}."
    )


def test_one_weight_of_an_update(forked: tuple[Graph, Trace]) -> None:
    graph, trace = forked
    index = next(s.index for s in trace.steps if (s.phase, s.node) == ("update", "fc"))
    sheet = sheet_of(graph, trace, index, "update", optimizer=SGD(lr=0.5))
    assert inside_sentence(sheet, at(sheet, "cell", 0)).text == (
        "Inside the update of fc: each number of weight, 3×3, goes against its gradient, by SGD "
        "with momentum."
    )
    assert inside_sentence(sheet, at(sheet, "channel", 3)).text.startswith(
        "Row 0 is done, 3 weights. weight[0, 2] goes from "
    )
    v, g = (s.number for s in (sheet.stages(4)[2], sheet.stages(4)[1]))
    assert v == 0.0 and inside_sentence(sheet, at(sheet, "term", 4, 4)).text == (
        f"weight[1, 1], line 4 of 6: v = {format_number(g)} (0.9 · v + g)."
    )
    before = float(trace.look("param", ("fc", "weight"), 0)[1, 1])
    assert inside_sentence(sheet, at(sheet, "cell", 5)).text == (
        f"weight[1, 1] goes from {format_number(before)} to {format_number(sheet.value(4))}: its "
        f"gradient is {format_number(g)}."
    )
    way = crumbs("net", "fc", sheet, at(sheet, "term", 4, 4))
    assert [c.text for c in way] == ["net", "fc", "weight", "row 1", "number 1", "line 4"]


def test_a_parameter_that_all_positions_share(forked: tuple[Graph, Trace]) -> None:
    sheet = sheet_at(forked, "backward", "norm", "weight", 1)
    assert inside_sentence(sheet, at(sheet, "cell", 0)).text == (
        "Inside norm: each of the 3 positions adds its share to the gradient of bias."
    )
    value = format_number(sheet.value(1))
    assert inside_sentence(sheet, at(sheet, "cell", 2)).text == (
        f"Number 1: its gradient {value} adds its share to the gradient of bias, 2 of 3 positions "
        "so far."
    )
    assert "the gradient of bias is complete, a sum over 3 positions." in (
        inside_sentence(sheet, at(sheet, "cell", 3)).text
    )
