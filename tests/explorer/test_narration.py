"""Every layer kind in every phase: the numbers in the sentence are those of the trace."""

import math
import re

import numpy as np
import pytest

from engine.cell import Cell
from engine.graph import Graph, Input, Loss, Node
from engine.layers import REGISTRY
from engine.losses import CrossEntropy
from engine.optimizers import SGD
from engine.parameters import initial_parameters
from engine.plan import Batch, compile
from engine.trace import Trace
from explorer.narration import (
    BACKWARD,
    FORWARD,
    Link,
    join_at,
    percent,
    phase_name,
    readers_at,
    sentence,
)
from explorer.narration.numbers import plain_share, told_apart
from explorer.tensors.scales import format_number

L = REGISTRY
LABELS = ("cat", "dog", "fox")


def run(graph, label=1, seed=3, mode="eval", x=None):
    plan = compile(graph, initial_parameters(graph, seed), batch=1, mode=mode)
    if x is None:
        x = np.random.default_rng(seed).normal(size=(1, *graph.inputs[0].shape))
    trace = Trace()
    batch = Batch.of(graph, np.asarray(x, np.float32), np.array([label]))
    for _ in plan.run(batch, optimizer=SGD(), trace=trace):
        pass
    return trace


def after(trace, phase, node):
    return next(s.index for s in trace.steps if (s.phase, s.node) == (phase, node)) + 1


def tell(graph, trace, phase, node, **more):
    return sentence(graph, trace, after(trace, phase, node), **more)


def chain(*layers, shape=(2, 8, 8), head=True):
    """image → layers → (flatten → fc) → loss; ids are a, b, c …"""
    nodes, ref = [], ("image", 0)
    for i, layer in enumerate(layers):
        nodes.append(Node("abcdefgh"[i], layer, (ref,)))
        ref = (nodes[-1].id, 0)
    if head:
        nodes.append(Node("flat", L["Flatten"](), (ref,)))
        nodes.append(Node("fc", L["Linear"](3), (("flat", 0),)))
        ref = ("fc", 0)
    return Graph(
        inputs=(Input("image", shape),),
        nodes=tuple(nodes),
        losses=(Loss("loss", CrossEntropy(), ref),),
        labels=LABELS,
    )


def skip_graph(projection=False):
    skip = (Node("proj", L["Conv2d"](2, 1), (("stem", 0),)),) if projection else ()
    return Graph(
        inputs=(Input("image", (1, 6, 6)),),
        nodes=(
            Node("stem", L["Conv2d"](2, 3, padding=1), (("image", 0),)),
            *skip,
            Node("b1", L["Conv2d"](2, 3, padding=1), (("stem", 0),)),
            Node("b2", L["ReLU"](), (("b1", 0),)),
            Node("add", L["Add"](), (("b2", 0), ("proj" if projection else "stem", 0))),
            Node("flat", L["Flatten"](), (("add", 0),)),
            Node("fc", L["Linear"](3), (("flat", 0),)),
        ),
        losses=(Loss("loss", CrossEntropy(), ("fc", 0)),),
        labels=LABELS,
    )


def value_of(trace, found, link):
    """The recorded number behind a link to a cell, in the phase of the sentence."""
    cell = link.target
    kind = "grad" if found.phase in ("backward", "accumulate") else "value"
    return float(trace.look(kind, (cell.node, cell.port))[0][cell.index])


def check_links(trace, found):
    """Every link whose text is a number names the cell that holds it."""
    numbers = [
        link
        for link in found.links
        if isinstance(link.target, Cell) and re.fullmatch(r"[−\d.e∞]+|NaN", link.text)
    ]
    for link in numbers:
        assert link.text == format_number(value_of(trace, found, link)), found.text
    return numbers


def test_conv_names_its_kernels_and_the_strongest_answer():
    graph = chain(L["Conv2d"](5, (3, 2)))
    trace = run(graph)
    y = trace.look("value", ("a", 0))[0]
    c, r, k = np.unravel_index(y.argmax(), y.shape)
    assert tell(graph, trace, "forward", "a").text == (
        f"a slid 5 kernels of 3×2 over the picture; the strongest answer is "
        f"{format_number(float(y.max()))} in channel {c} at row {r}, column {k}."
    )
    back = tell(graph, trace, "backward", "a")
    assert check_links(trace, back)
    dw = trace.look("param_grad", ("a", "weight"))
    assert f"‖∂weight‖ {format_number(float(np.linalg.norm(dw.astype(float))))}" in back.text
    index = np.unravel_index(np.abs(dw).argmax(), dw.shape)
    assert f"weight[{', '.join(map(str, index))}]" in back.text


def test_relu_counts_what_it_set_to_zero():
    graph = chain(L["Conv2d"](3, 3), L["ReLU"]())
    trace = run(graph)
    y = trace.look("value", ("b", 0))[0]
    zeros = int((y == 0).sum())
    assert 0 < zeros < y.size
    found = tell(graph, trace, "forward", "b")
    assert f"set {zeros} of {y.size} cells ({percent(zeros / y.size)}) to zero" in found.text
    assert check_links(trace, found)
    dx = trace.look("grad", ("a", 0))[0]
    back = tell(graph, trace, "backward", "b")
    assert f"{int((dx == 0).sum())} of {dx.size} cells get exactly zero" in back.text
    assert check_links(trace, back)


def test_max_pool_says_where_the_largest_came_from_and_goes():
    graph = chain(L["MaxPool2d"](2), shape=(2, 8, 8))
    trace = run(graph)
    x, y = trace.look("value", ("image", 0))[0], trace.look("value", ("a", 0))[0]
    found = tell(graph, trace, "forward", "a")
    place = next(k for k in found.links if k.text.startswith("row"))
    assert x[place.target.index] == y.max()
    assert "kept the largest of each 2×2 window" in found.text
    dy, dx = trace.look("grad", ("a", 0))[0], trace.look("grad", ("image", 0))[0]
    back = tell(graph, trace, "backward", "a")
    strongest = dy.flat[np.abs(dy).argmax()]
    place = next(k for k in back.links if k.text.startswith("row"))
    assert dx[place.target.index] == strongest
    c, r, k = place.target.index
    assert back.text == (
        f"a sends {format_number(float(strongest))} to row {r}, column {k} of channel {c}, the "
        f"largest of its window; {int((dx == 0).sum())} of 128 cells get exactly zero."
    )
    assert int((dx == 0).sum()) == 96


def test_of_equal_cells_the_first_wins():
    graph = chain(L["MaxPool2d"](2), shape=(1, 4, 4))
    trace = run(graph, x=np.zeros((1, 1, 4, 4), np.float32))
    text = tell(graph, trace, "backward", "a").text
    assert "in its window all 4 are equal: the first wins" in text
    assert "largest of its window" not in text


def test_overlapping_windows_say_what_arrives_in_all():
    x = np.zeros((1, 1, 5, 5), np.float32)
    x[0, 0, 2, 2] = 9
    graph = chain(L["MaxPool2d"](3, stride=1), shape=(1, 5, 5))
    trace = run(graph, x=x)
    dx = trace.look("grad", ("image", 0))[0]
    text = tell(graph, trace, "backward", "a").text
    assert f"it won 9 windows and gets {format_number(float(dx[0, 2, 2]))} in all" in text
    assert "24 of 25 cells get exactly zero" in text


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("AvgPool2d", "averaged each 2×2 window; the largest average is"),
        ("GlobalAvgPool", "averaged each of 2 maps of 8×8 to one number; the largest is"),
        ("BatchNorm2d", "shifted and scaled each of 2 maps"),
        ("Dropout", "let all 128 numbers through unchanged; the largest is"),
        ("Softmax", "turned 128 scores into shares that add up to 1"),
    ],
)
def test_other_layers_forward(layer, words):
    graph = chain(L[layer]())
    trace = run(graph)
    found = tell(graph, trace, "forward", "a")
    y = trace.look("value", ("a", 0))[0]
    assert words in found.text
    shown = percent if layer == "Softmax" else format_number
    assert shown(float(y.max())) in found.text
    links = [k for k in found.links if isinstance(k.target, Cell)]
    assert y[links[-1].target.index] == y.max()


def test_batch_norm_says_how_mean_and_spread_changed():
    graph = chain(L["BatchNorm2d"]())
    trace = run(graph, mode="train")
    x, y = (trace.look("value", (n, 0))[0].astype(float) for n in ("image", "a"))
    text = tell(graph, trace, "forward", "a").text
    for before in (x.mean(), x.std()):
        assert f"from {format_number(before)} to " in text
    assert f"spread from {format_number(x.std())} to {format_number(y.std())}" in text
    where = [s.index + 1 for s in trace.steps if s.phase == "update" and s.node == "a"]
    told = [sentence(graph, trace, position).text for position in where]
    assert any("running statistics move by" in text for text in told)
    assert any("The weights of a move by" in text for text in told)


def test_dropout_in_training_counts_what_it_dropped():
    graph = chain(L["Dropout"](0.5))
    trace = run(graph, mode="train")
    x, y = trace.look("value", ("image", 0)), trace.look("value", ("a", 0))
    dropped = int(((y == 0) & (x != 0)).sum())
    assert 30 < dropped < 98
    assert (
        f"set {dropped} of 128 numbers to zero by chance" in tell(graph, trace, "forward", "a").text
    )
    dx = trace.look("grad", ("image", 0))
    assert f"{int((dx == 0).sum())} of 128 cells" in tell(graph, trace, "backward", "a").text


@pytest.mark.parametrize("layer", sorted(REGISTRY))
def test_every_layer_is_told_in_both_directions_with_true_numbers(layer):
    if REGISTRY[layer].arity[0] > 1:
        graph = Graph(
            inputs=(Input("image", (2, 6, 6)),),
            nodes=(
                Node("c", L["Conv2d"](2, 3, padding=1), (("image", 0),)),
                Node("a", L[layer](), (("c", 0), ("image", 0))),
                Node("flat", L["Flatten"](), (("a", 0),)),
                Node("fc", L["Linear"](3), (("flat", 0),)),
            ),
            losses=(Loss("loss", CrossEntropy(), ("fc", 0)),),
            labels=LABELS,
        )
    elif layer in ("Linear", "RBF", "Flatten"):
        graph = chain(*((L["Flatten"](),) if layer != "Flatten" else ()), L[layer](), head=False)
        last = graph.nodes[-1].id
        graph = graph.add(Node("out", L["Linear"](3), ((last, 0),))).connect(("out", 0), "loss", 0)
    elif layer == "PartialConv2d":  # its table is for six maps
        graph = chain(L["Conv2d"](6, 1), L[layer](kernel_size=3))
    else:
        graph = chain(L[layer]())
    trace = run(graph)
    node = next(n.id for n in graph.nodes if type(n.layer).__name__ == layer)
    for phase in ("forward", "backward"):
        found = tell(graph, trace, phase, node)
        assert found.phase == phase
        assert node in found.text and found.text.endswith((".", ")."))
        assert "{" not in found.text and "nan" not in found.text.lower()
        assert any(character.isdigit() for character in found.text)
        if phase == "forward" or layer not in ("MaxPool2d",):
            check_links(trace, found) if layer not in ("Add", "Concat", "Multiply") else None


def test_tables_name_layers_that_exist_or_are_planned():
    planned = {"ConvTranspose2d", "LeakyReLU", "Sigmoid", "Tanh", "Multiply", "Reshape"}
    assert set(FORWARD) <= set(REGISTRY) | planned
    assert set(BACKWARD) <= set(REGISTRY) | planned


def test_linear_before_the_loss_names_the_class():
    graph = chain()
    trace = run(graph)
    scores = trace.look("value", ("fc", 0))[0]
    text = tell(graph, trace, "forward", "fc").text
    assert text == (
        f"fc weighed all 128 numbers once for each of 3 answers; the highest score is "
        f"{format_number(float(scores.max()))}, for {LABELS[scores.argmax()]}."
    )
    assert check_links(trace, tell(graph, trace, "backward", "fc"))


@pytest.mark.parametrize("label", [0, 1, 2])
def test_loss_says_the_share_of_the_right_answer(label):
    graph = chain()
    trace = run(graph, label=label)
    scores = trace.look("value", ("fc", 0))[0].astype(float)
    shares = np.exp(scores - scores.max())
    shares /= shares.sum()
    loss = -math.log(shares[label])
    found = tell(graph, trace, "loss", "loss")
    assert f"The right answer, {LABELS[label]}, got {percent(float(shares[label]))}" in found.text
    assert f"= {format_number(loss)}" in found.text
    best = int(shares.argmax())
    assert (f"prefers {LABELS[best]}" in found.text) == (best != label)
    back = tell(graph, trace, "backward", "loss")
    assert f"(gradient {format_number(float(shares[label] - 1))})" in back.text
    other = max((i for i in range(3) if i != label), key=lambda i: shares[i])
    assert f"that of {LABELS[other]} should fall most ({format_number(shares[other])})" in back.text


def test_an_assumed_answer_is_said():
    graph = chain()
    trace = run(graph)
    position = after(trace, "loss", "loss")
    assert "Nobody said" not in sentence(graph, trace, position).text
    text = sentence(graph, trace, position, assumed=True).text
    assert text.startswith("Nobody said what the picture shows, so the network's own guess, dog,")


@pytest.mark.parametrize("projection", [False, True])
def test_add_and_fork_name_skip_and_branch(projection):
    graph = skip_graph(projection)
    trace = run(graph)
    join = join_at(graph, "add")
    assert join.fork == ("stem", 0) and join.names == ("branch", "skip")
    skip = ("proj", 0) if projection else ("add", 1)
    assert readers_at(graph, ("stem", 0)) == {skip: "skip", ("b1", 0): "branch"}
    dy = np.linalg.norm(trace.look("grad", ("add", 0)).astype(float))
    text = tell(graph, trace, "backward", "add").text
    source = "proj" if projection else "stem"
    assert text == (
        f"add passes the gradient unchanged to b2 (branch, ‖∂‖ {format_number(dy)}) and "
        f"{source} (skip, ‖∂‖ {format_number(dy)})."
    )
    forward = tell(graph, trace, "forward", "add").text
    y = trace.look("value", ("add", 0))[0]
    index = np.unravel_index(np.abs(y).argmax(), y.shape)
    parts = [float(trace.look("value", (n, 0))[0][index]) for n in ("b2", source)]
    numbers = [format_number(v) for v in (*parts, float(y[index]))]
    assert forward.endswith(f"{numbers[0]} + {numbers[1]} = {numbers[2]}.")


def test_accumulate_says_sizes_their_sum_and_how_much_they_agree():
    graph = skip_graph()
    trace = run(graph)
    a = trace.look("part", ("add", 1)).astype(float).ravel()
    b = trace.look("part", ("b1", 0)).astype(float).ravel()
    total = np.linalg.norm(trace.look("grad", ("stem", 0)).astype(float))
    norms = [format_number(np.linalg.norm(v)) for v in (a, b)]
    angle = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert tell(graph, trace, "accumulate", "stem").text == (
        f"At stem two gradients are added cell by cell: skip of size {norms[0]} and branch of "
        f"size {norms[1]} make one of size {format_number(float(total))}. Sizes add up fully only "
        f"where both point the same way; these two {_agree(angle)} "
        f"(cosine {format_number(float(angle))})."
    )


def _agree(angle):
    assert abs(angle) < 0.9
    if abs(angle) <= 0.1:
        return "are nearly independent"
    return "agree in part" if angle > 0 else "work against each other"


def test_update_says_how_far_the_weights_move():
    graph = chain()
    trace = run(graph)
    names = ("weight", "bias")
    before = [trace.look("param", ("fc", n), 0).astype(float) for n in names]
    now = [trace.look("param", ("fc", n)).astype(float) for n in names]
    moved = math.sqrt(sum(((b - a) ** 2).sum() for a, b in zip(before, now, strict=True)))
    length = math.sqrt(sum((a**2).sum() for a in before))
    text = tell(graph, trace, "update", "fc").text
    assert f"The weights of fc move by {format_number(moved)}" in text
    assert f", {percent(moved / length)} of their length" in text


def test_shared_weights_meet_too():
    graph = Graph(
        inputs=(Input("image", (2, 6, 6)),),
        nodes=(
            Node("c1", L["Conv2d"](2, 3, padding=1), (("image", 0),)),
            Node("c2", L["Conv2d"](2, 3, padding=1), (("c1", 0),), params="c1"),
            Node("flat", L["Flatten"](), (("c2", 0),)),
            Node("fc", L["Linear"](3), (("flat", 0),)),
        ),
        losses=(Loss("loss", CrossEntropy(), ("fc", 0)),),
    )
    trace = run(graph)
    total = trace.look("param_grad", ("c1", "weight")).astype(float)
    text = tell(graph, trace, "accumulate", "c1").text
    assert text.startswith(
        "weight of c1 is used more than once, so its gradients are added number by number: c2 of "
    )
    assert f"make one of size {format_number(float(np.linalg.norm(total)))}." in text


def test_numbers_that_are_not_finite_are_said():
    x = np.full((1, 2, 8, 8), np.nan, np.float32)
    graph = chain(L["Conv2d"](1, 3))
    trace = run(graph, x=x)
    for position in range(len(trace) + 1):
        assert sentence(graph, trace, position).text
    assert tell(graph, trace, "forward", "a").text.endswith("; no number of it is finite.")


def test_a_few_numbers_that_are_not_finite_are_counted_within_the_sentence():
    x = np.zeros((1, 2, 40, 40), np.float32)
    x[0, 1, :30] = np.nan
    graph = chain(L["ReLU"](), shape=(2, 40, 40))
    text = tell(graph, run(graph, x=x), "forward", "a").text
    assert text == (
        "a set 2,000 of 3,200 cells (62.5%) to zero and let the rest through; the largest is 0 in "
        "channel 0 at row 0, column 0 (1,200 are NaN or infinite)."
    )


def test_before_the_first_step_and_without_a_run():
    graph = chain()
    trace = run(graph)
    opening = sentence(graph, trace, 0)
    assert opening.phase == ""
    assert opening.text.startswith("The picture (2×8×8) is ready. The next operation is flat")
    assert Link("flat", "flat") in opening.links
    assert "picture" in sentence(graph, None, 0).text
    assert "empty" in sentence(Graph(), trace, 0).text
    assert "not been computed" in sentence(graph, trace, len(trace) + 1).text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.983, "98.3%"),
        (1.0, "100%"),
        (0.0, "0%"),
        (0.99996, "99.996%"),
        (0.0004, "0.04%"),
        (1.42e-8, "1.42e−6%"),
        (0.5, "50%"),
    ],
)
def test_a_percentage_is_never_rounded_to_all_or_nothing(share, text):
    assert percent(share) == text


def test_phases_have_plain_names():
    assert phase_name("backward") == ("Send blame back", "backward")
    with pytest.raises(KeyError):
        phase_name("sideways")


@pytest.mark.parametrize(
    ("share", "text"),
    [(1.0, "1"), (0.94, "0.94"), (0.9997, "0.9997"), (0.99999928, "0.999999"), (1e-9, "1.00e−9")],
)
def test_a_share_that_is_not_one_is_not_written_as_one(share: float, text: str) -> None:
    assert plain_share(share) == text


def test_a_weight_that_moved_a_little_is_seen_to_have_moved() -> None:
    assert told_apart(0.09037, 0.07347) == ("0.09037", "0.07347")
    old, new = told_apart(1.3, 1.30001)
    assert (old, new) == ("1.3", "1.30001")
    assert told_apart(2.0, 2.0) == ("2", "2")


def test_a_broken_network_names_the_node_to_mend() -> None:
    node = Node("conv1", REGISTRY["Conv2d"](), (("image", 0),))
    said = sentence(Graph(nodes=(node,)), None, 0, broken=("conv1",))
    assert said.text == "conv1 needs mending before anything runs."
    assert [link.target for link in said.links] == ["conv1"]
