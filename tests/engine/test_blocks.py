"""Blocks of networks whose names say nothing, and of those whose names do."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import pytest

from engine.architectures import ARCHITECTURES
from engine.blocks import convex, paths
from engine.graph import Graph, Input, Node
from engine.layers.add import Add
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.concat import Concat
from engine.layers.conv2d import Conv2d
from engine.layers.conv_transpose2d import ConvTranspose2d
from engine.layers.flatten import Flatten
from engine.layers.global_avg_pool import GlobalAvgPool
from engine.layers.linear import Linear
from engine.layers.mul import Mul
from engine.layers.relu import ReLU
from engine.layers.sigmoid import Sigmoid
from engine.onnx import export_onnx, read
from engine.parameters import initial_parameters
from engine.plan import Batch, compile, exhaust


def scrambled(graph: Graph) -> Graph:
    """The network with names that say nothing."""
    return graph.renamed({node.id: f"op{i}" for i, node in enumerate(graph.nodes)})


def divided(graph: Graph) -> Graph:
    return graph.renamed(paths(graph))


def groups(graph: Graph) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for node in graph.nodes:
        parts = node.id.split("/")
        for n in range(1, len(parts)):
            found.setdefault("/".join(parts[:n]), []).append(node.id)
    return found


def outermost(graph: Graph) -> list[str]:
    return list(dict.fromkeys(node.id.split("/")[0] for node in graph.nodes))


def within(graph: Graph, path: str) -> list[str]:
    """What stands in a group, groups in it counted once."""
    start = path + "/"
    ids = [n.id[len(start) :] for n in graph.nodes if n.id.startswith(start)]
    return list(dict.fromkeys(name.split("/")[0] for name in ids))


def built(network: str) -> Graph:
    return divided(scrambled(ARCHITECTURES[network].build()))


FIVE = ["stem", "stage1", "stage2", "stage3", "stage4", "head"]


@pytest.mark.parametrize(
    ("network", "counts"),
    [("resnet18", (2, 2, 2, 2)), ("resnet50", (3, 4, 6, 3)), ("resnet152", (3, 8, 36, 3))],
)
def test_residual_networks_are_stages_of_blocks(network: str, counts: tuple[int, ...]) -> None:
    graph = built(network)
    assert outermost(graph) == FIVE
    for stage, count in enumerate(counts, 1):
        blocks = [f"block{n}" for n in range(1, count + 1)]
        assert within(graph, f"stage{stage}") == blocks
    assert within(graph, "stem") == ["conv", "bn", "relu", "pool"]
    first = within(graph, "stage2/block1")
    assert "shortcut" in first and first.index("add") == len(first) - 2 and first[-1][:4] == "relu"
    assert within(graph, "stage2/block1/shortcut") == ["conv", "bn"]
    assert "shortcut" not in within(graph, "stage2/block2")


def test_the_blocks_are_those_of_the_gallery() -> None:
    original = ARCHITECTURES["resnet50"].build()
    new = paths(scrambled(original))
    for number, node in enumerate(original.nodes):
        own, found = node.id, new.get(f"op{number}", "")
        if own.startswith("stage"):
            assert found.split("/")[:2] == own.split("/")[:2], own


def test_inception() -> None:
    graph = built("googlenet")
    assert outermost(graph) == ["stem", "stage1", "stage2", "stage3", "head"]
    assert within(graph, "stage2") == [*(f"block{n}" for n in range(1, 6)), "pool"]
    assert all(len(ids) == 14 for path, ids in groups(graph).items() if "block" in path)
    assert within(graph, "stage1/block1")[-1] == "concat"


def test_heads_beside_the_trunk_are_groups_of_their_own() -> None:
    graph = built("googlenet-auxiliary")
    assert {"branch1", "branch2"} <= set(outermost(graph))
    assert len(within(graph, "branch1")) == 8


@pytest.mark.parametrize("network", ["densenet121", "densenet-bc100", "densenet-digits"])
def test_dense_blocks_are_layers(network: str) -> None:
    counts = {
        "densenet121": (6, 12, 24, 16),
        "densenet-bc100": (16, 16, 16),
        "densenet-digits": (3, 3),
    }[network]
    graph = built(network)
    for stage, count in enumerate(counts, 1):
        found = within(graph, f"stage{stage}/dense")
        assert [n for n in found if n != "concat"] == [f"layer{n}" for n in range(1, count + 1)]


def test_fire_modules_have_their_squeeze() -> None:
    graph = built("squeezenet")
    blocks = [path for path in groups(graph) if path.count("/") == 1]
    assert len(blocks) == 8
    for block in blocks:
        assert len(within(graph, block)) == 7
        first = graph.node(f"{block}/conv1").layer
        assert isinstance(first, Conv2d) and first.kernel_size == 1


def chained(parts: list[Node], name: str, layers: Mapping[str, object], x: str) -> str:
    for own, layer in layers.items():
        parts.append(Node(f"{name}{own}", layer, ((x, 0),)))  # type: ignore[arg-type]
        x = f"{name}{own}"
    return x


def squeezed() -> Graph:
    """Two inverted residual blocks with squeeze and excite, as in MobileNetV3."""
    nodes: list[Node] = []
    x = chained(nodes, "s", {"1": Conv2d(8, 3, padding=1), "2": BatchNorm2d(), "3": ReLU()}, "x")
    for name in ("p", "q"):
        wide = chained(
            nodes,
            name,
            {
                "1": Conv2d(16, 1),
                "2": ReLU(),
                "3": Conv2d(16, 3, padding=1, groups=16),
                "4": ReLU(),
            },
            x,
        )
        gate = chained(
            nodes,
            name,
            {
                "5": GlobalAvgPool(),
                "6": Conv2d(4, 1),
                "7": ReLU(),
                "8": Conv2d(16, 1),
                "9": Sigmoid(),
            },
            wide,
        )
        nodes.append(Node(f"{name}10", Mul(), ((wide, 0), (gate, 0))))
        nodes.append(Node(f"{name}11", Conv2d(8, 1), ((f"{name}10", 0),)))
        nodes.append(Node(f"{name}12", Add(), ((f"{name}11", 0), (x, 0))))
        x = f"{name}12"
    x = chained(nodes, "h", {"1": GlobalAvgPool(), "2": Flatten(), "3": Linear(5)}, x)
    return Graph((Input("x", (3, 8, 8)),), tuple(nodes), (("y", (x, 0)),))


def test_squeeze_and_excite_lies_within_its_residual_block() -> None:
    graph = divided(scrambled(squeezed()))
    assert {path for path in groups(graph) if path.endswith("se")} == {"block1/se", "block2/se"}
    inside = within(graph, "block2/se")
    assert len(inside) == 6 and inside[-1] == "mul" and "sigmoid" in inside
    assert within(graph, "block2")[-1] == "add"


def test_a_network_that_goes_down_and_up_is_no_block() -> None:
    nodes: list[Node] = []
    a = chained(nodes, "a", {"1": Conv2d(4, 3, padding=1), "2": ReLU()}, "x")
    b = chained(
        nodes,
        "b",
        {
            "1": Conv2d(8, 3, stride=2, padding=1),
            "2": ReLU(),
            "3": ConvTranspose2d(4, 2, stride=2),
        },
        a,
    )
    nodes.append(Node("join", Concat(), ((a, 0), (b, 0))))
    chained(nodes, "c", {"1": Conv2d(2, 1)}, "join")
    graph = Graph((Input("x", (3, 8, 8)),), tuple(nodes), (("y", ("c1", 0)),))
    assert graph.infer().valid and paths(graph) == {}


def test_dense_layers_that_each_join_all_before() -> None:
    """As PyTorch exports them: every Concat reads the block's input and all outputs so far."""
    nodes: list[Node] = []
    x = chained(nodes, "s", {"1": Conv2d(4, 3, padding=1), "2": ReLU()}, "x")
    features = [(x, 0)]
    for name in ("p", "q", "r"):
        if len(features) > 1:
            nodes.append(Node(f"{name}0", Concat(), tuple(features)))
            start = f"{name}0"
        else:
            start = x
        end = chained(nodes, name, {"1": ReLU(), "2": Conv2d(2, 3, padding=1)}, start)
        features.append((end, 0))
    nodes.append(Node("all", Concat(), tuple(features)))
    graph = Graph((Input("x", (3, 6, 6)),), tuple(nodes), (("y", ("all", 0)),))
    found = divided(scrambled(graph))
    assert within(found, "dense") == ["layer1", "layer2", "layer3", "concat"]
    assert within(found, "dense/layer2") == ["concat", "relu", "conv"]
    assert all(convex(found, ids) for ids in groups(found).values())


@pytest.mark.parametrize("network", sorted(ARCHITECTURES))
def test_every_group_is_convex_and_every_layer_kept(network: str) -> None:
    original = scrambled(ARCHITECTURES[network].build())
    graph = divided(original)
    assert len(graph.by_id) == len(graph.nodes) == len(original.nodes)
    assert [n.layer for n in graph.nodes] == [n.layer for n in original.nodes]
    for path, ids in groups(graph).items():
        assert convex(graph, ids) and path not in graph.by_id, path
    graph.check()


# ---- names ---------------------------------------------------------------------------------------


def test_paths_in_names_are_kept_without_groups_of_one() -> None:
    """PyTorch's names: /layer1/layer1.0/conv1/Conv."""
    graph = ARCHITECTURES["resnet-digits"].build()
    spoken = graph.renamed({n.id: f"{n.id}/{type(n.layer).__name__}" for n in graph.nodes})
    assert {n.id for n in divided(spoken).nodes} == {n.id for n in graph.nodes}


def test_dots_are_paths_too() -> None:
    graph = ARCHITECTURES["resnet-digits"].build()
    dotted = graph.renamed({n.id: n.id.replace("/", ".") for n in graph.nodes})
    assert {n.id for n in divided(dotted).nodes} == {n.id for n in graph.nodes}


def test_a_name_that_says_something_stays_the_last_part() -> None:
    graph = squeezed()
    graph = graph.renamed({"p11": "project_down"})
    assert "block1/project_down" in divided(graph).by_id


def test_a_name_does_not_repeat_its_path() -> None:
    graph = ARCHITECTURES["resnet-digits"].build()
    flat = graph.renamed({n.id: n.id.replace("stage2/block1", "block2_mine") for n in graph.nodes})
    flat = flat.renamed({n.id: n.id.replace("/", "_") for n in flat.nodes})
    ids = divided(flat).by_id
    assert "block2/mine_conv1" in ids


def test_a_group_that_is_not_convex_is_taken_apart() -> None:
    graph = ARCHITECTURES["resnet-digits"].build()
    moved = graph.renamed({"stage2/block1/conv2": "stage1/late"})
    found = divided(moved)
    assert all(convex(found, ids) for ids in groups(found).values())
    assert "stage2.block2/conv1" in found.by_id


# ---- through a file ------------------------------------------------------------------------------


def nameless(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with names that say nothing at nodes, tensors and weights."""
    kept = {entry.name for entry in (*model.graph.input, *model.graph.output)}
    short: dict[str, str] = {}

    def name(old: str) -> str:
        return old if old in kept or not old else short.setdefault(old, f"t{len(short)}")

    for number, node in enumerate(model.graph.node):
        node.name = f"n{number}"
        for names in (node.input, node.output):
            names[:] = [name(old) for old in names]
    for tensor in model.graph.initializer:
        tensor.name = name(tensor.name)
    del model.graph.value_info[:]
    return model


def test_names_of_the_file_come_back_in_the_export() -> None:
    graph = ARCHITECTURES["resnet-digits"].build()
    model = nameless(export_onnx(graph, initial_parameters(graph, 2)))
    for node in model.graph.node:
        if node.op_type == "Gemm":
            node.name = "Größe / 1"
    wanted = [node.name for node in model.graph.node]
    grouped = read(model).grouped()
    project = grouped.project()
    assert project.metadata["node_names"]["block1/conv1"] in wanted
    again = export_onnx(project.graph, project.parameters, metadata=project.metadata)
    assert sorted(node.name for node in again.graph.node) == sorted(wanted)
    assert "node_names" not in {prop.key for prop in again.metadata_props}
    moved = project.graph.renamed({"block1/conv1": "mine"})
    parameters = {
        ("mine" if o == "block1/conv1" else o, n): a for (o, n), a in project.parameters.items()
    }
    found = [n.name for n in export_onnx(moved, parameters, metadata=project.metadata).graph.node]
    assert "mine" in found and len(set(found) & set(wanted)) == len(wanted) - 1


@pytest.mark.parametrize("network", ["resnet-digits", "googlenet-digits", "cifar-resnet56"])
def test_a_file_without_names_is_grouped_and_computes_the_same(network: str) -> None:
    graph = ARCHITECTURES[network].build()
    parameters = initial_parameters(graph, 2)
    plain = read(nameless(export_onnx(graph, parameters)))
    grouped = plain.grouped()
    assert any(path.endswith("block1") for path in groups(grouped.graph))
    assert [grouped.names.get(n.id) for n in grouped.graph.nodes] == [
        plain.names.get(n.id) for n in plain.graph.nodes
    ]
    x = np.random.default_rng(4).normal(size=(2, *graph.inputs[0].shape)).astype("float32")
    found = []
    for imported in (plain, grouped):
        plan = compile(
            imported.graph, dict(imported.parameters), batch=2, mode="eval", backward=False
        )
        exhaust(plan.run(Batch({imported.graph.inputs[0].id: x})))
        found.append([plan.value(ref).copy() for _, ref in imported.graph.outputs])
    for a, b in zip(*found, strict=True):
        assert np.array_equal(a, b)
