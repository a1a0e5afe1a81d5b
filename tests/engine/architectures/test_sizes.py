"""Published sizes of the known networks, counted without allocating a weight."""

import itertools
import tracemalloc

import numpy as np
import pytest

from engine.architectures import ARCHITECTURES, Size
from engine.architectures.resnet_cifar import resnet_cifar
from engine.graph import Graph
from engine.layers.add import Add
from engine.layers.base import Array, ParamSpec, Spec
from engine.layers.concat import Concat
from engine.layers.conv2d import Conv2d
from engine.layers.tanh import Tanh
from engine.losses import LeNetLoss

PUBLISHED: dict[str, tuple[int, int | str]] = {
    # id: (parameters, multiply-adds of convolutions and fully connected layers); as text where
    # only so many digits of giga or mega are published
    "lenet5-1998": (60_000, 326_520),
    "lenet5": (61_706, 416_520),
    "lenet5-average": (61_706, 416_520),
    "alexnet": (60_965_224, 724_406_816),
    "alexnet-one-tower": (61_100_840, 714_188_480),
    "zfnet": (62_357_608, 1_168_032_896),
    "nin": (966_986, 222_486_528),
    "vgg11": (132_863_336, "7.609 G"),
    "vgg13": (133_047_848, "11.308 G"),
    "vgg16": (138_357_544, "15.470 G"),
    "vgg19": (143_667_240, "19.632 G"),
    "vgg11-bn": (132_868_840, "7.609 G"),
    "vgg13-bn": (133_053_736, "11.308 G"),
    "vgg16-bn": (138_365_992, "15.470 G"),
    "vgg19-bn": (143_678_248, "19.632 G"),
    "googlenet": (6_998_552, 1_582_671_872),
    "resnet18": (11_689_512, "1.814 G"),
    "resnet34": (21_797_672, "3.664 G"),
    "resnet50": (25_557_032, "4.089 G"),
    "resnet101": (44_549_160, "7.801 G"),
    "resnet152": (60_192_808, "11.514 G"),
    "cifar-resnet20": (269_722, "40.55 M"),
    "cifar-resnet32": (464_154, "68.86 M"),
    "cifar-resnet44": (658_586, "97.17 M"),
    "cifar-resnet56": (853_018, "125.49 M"),
    "cifar-resnet110": (1_727_962, "252.89 M"),
    "cifar-plain20": (269_722, "40.55 M"),
    "cifar-plain32": (464_154, "68.86 M"),
    "cifar-plain44": (658_586, "97.17 M"),
    "cifar-plain56": (853_018, "125.49 M"),
    "cifar-plain110": (1_727_962, "252.89 M"),
    "squeezenet": (1_235_496, "0.349 G"),
    "densenet121": (7_978_856, "2.834 G"),
    "densenet169": (14_149_480, "3.360 G"),
    "densenet201": (20_013_928, "4.291 G"),
    "densenet-bc100": (769_162, "287.9 M"),
    "mobilenet-v1": (4_231_976, 568_740_352),
}

FACTORS = {"G": 1e9, "M": 1e6}


def size(name: str) -> Size:
    return Size.of(ARCHITECTURES[name].build())


def rounded(count: int, like: str) -> str:
    """``count`` with the unit and the digits of ``like``."""
    number, unit = like.split()
    return f"{count / FACTORS[unit]:.{len(number.partition('.')[2])}f} {unit}"


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_and_multiply_adds_are_the_published_ones(name: str) -> None:
    parameters, multiply_adds = PUBLISHED[name]
    found = size(name)
    assert found.parameters == parameters
    if isinstance(multiply_adds, int):
        assert found.multiply_adds == multiply_adds
    else:
        assert rounded(found.multiply_adds, multiply_adds) == multiply_adds


# What the papers' own tables print, with as many digits: network, what, figure, where.
TABLES = (
    *(
        (f"vgg{depth}", "parameters", figure, "Simonyan & Zisserman 2015, table 2")
        for depth, figure in ((11, "133 M"), (13, "133 M"), (16, "138 M"), (19, "144 M"))
    ),
    ("resnet18", "multiply_adds", "1.8 G", "He et al. 2016, table 1"),
    *(
        (f"cifar-resnet{depth}", "parameters", figure, "He et al. 2016, table 6")
        for depth, figure in (
            (20, "0.27 M"),
            (32, "0.46 M"),
            (44, "0.66 M"),
            (56, "0.85 M"),
            (110, "1.7 M"),
        )
    ),
    ("densenet-bc100", "parameters", "0.8 M", "Huang et al. 2017, table 2"),
    ("mobilenet-v1", "parameters", "4.2 M", "Howard et al. 2017, tables 4 and 8"),
    ("mobilenet-v1", "multiply_adds", "569 M", "Howard et al. 2017, tables 4 and 8"),
    ("nin", "parameters", "1 M", "Springenberg et al. 2015 (NIN's own paper has no count)"),
)


@pytest.mark.parametrize(("name", "what", "figure", "where"), TABLES)
def test_the_papers_tables_print_the_same(name: str, what: str, figure: str, where: str) -> None:
    found = getattr(size(name), what)
    assert rounded(found, figure) == figure, f"{where}: {found:,}"


def test_lenet5_of_1998_has_as_many_connections_as_its_paper_counts() -> None:
    """340,908: a bias is one too, and so are the coefficient and the cells of a subsampling."""
    graph = ARCHITECTURES["lenet5-1998"].build()
    specs = graph.infer().specs
    connections = Size.of(graph).multiply_adds
    for node in graph.nodes:
        out, kind = specs[node.id, 0].shape[1:], type(node.layer).__name__
        if kind == "TrainableSubsampling":
            connections += (4 + 1) * int(np.prod(out))
        elif kind in ("Conv2d", "PartialConv2d", "Linear"):
            connections += int(np.prod(out))
    assert connections == 340_908


def test_the_comparison_would_see_a_single_weight() -> None:
    graph = ARCHITECTURES["resnet18"].build()
    wider = graph.replace_node("stage4/block2/conv2", layer=Conv2d(512, 3, padding=1, bias=True))
    assert Size.of(wider).parameters == PUBLISHED["resnet18"][0] + 512
    assert rounded(1_815_499_999, "1.814 G") == "1.815 G"


def test_googlenets_auxiliary_heads_have_the_published_size_and_losses_of_their_own() -> None:
    assert size("googlenet-auxiliary").parameters == 13_378_280
    graph = ARCHITECTURES["googlenet-auxiliary"].build()
    assert [(x.id, x.input[0], x.weight) for x in graph.losses] == [
        ("loss", "fc", 1.0),
        ("auxiliary1_loss", "auxiliary1/fc2", 0.3),
        ("auxiliary2_loss", "auxiliary2/fc2", 0.3),
    ]
    specs = graph.infer().specs
    assert str(specs["inception4/a/concat", 0]) == "512×14×14"
    assert str(specs["inception4/d/concat", 0]) == "528×14×14"
    assert str(specs["auxiliary1/pool", 0]) == "512×4×4"
    assert graph.node("auxiliary1/pool").inputs == (("inception4/a/concat", 0),)
    assert graph.node("auxiliary2/pool").inputs == (("inception4/d/concat", 0),)
    assert graph.outputs == (("logits", ("fc", 0)),)


def test_lenet5_of_1998_has_the_parameters_that_its_paper_counts() -> None:
    graph = ARCHITECTURES["lenet5-1998"].build()
    specs = graph.infer().specs
    costs = graph.costs(specs)
    assert {n: c.parameters for n, c in costs.items() if c.parameters} == {
        "c1": 156,
        "s2": 12,
        "c3": 1_516,
        "s4": 32,
        "c5": 48_120,
        "f6": 10_164,
    }
    shapes = {"c1": "6×28×28", "s2": "6×14×14", "c3": "16×10×10", "s4": "16×5×5", "c5": "120×1×1"}
    assert {n: str(specs[n, 0]) for n in shapes} == shapes
    patterns = graph.parameter_specs(specs)["output", "weight"]
    assert (patterns.shape, patterns.kind, patterns.moves) == ((10, 84), "statistic", False)
    assert isinstance(graph.losses[0].function, LeNetLoss)
    # 1.7159 · tanh(2x / 3) makes 1 of 1 and −1 of −1
    squash = graph.node("f6_tanh").layer
    assert isinstance(squash, Tanh)
    np.testing.assert_allclose(squash.value(np.array([-1.0, 0.0, 1.0])), [-1, 0, 1], atol=1e-4)


# ---- shapes that the papers print ------------------------------------------------------------

PRINTED = {
    "alexnet": {"conv1": "96×55×55", "pool1": "96×27×27", "pool2": "256×13×13", "pool5": "256×6×6"},
    "zfnet": {
        "conv1": "96×110×110",
        "pool1": "96×55×55",
        "conv2": "256×26×26",
        "pool2": "256×13×13",
        "pool5": "256×6×6",
    },
    "alexnet-one-tower": {"conv1": "64×55×55", "pool5": "256×6×6", "fc7": "4096"},
    "nin": {"block1/pool": "96×16×16", "block2/pool": "192×8×8", "block3/conv3": "10×8×8"},
    "vgg16": {"stage1/pool": "64×112×112", "stage5/pool": "512×7×7", "fc1": "4096"},
    "googlenet": {
        "stem/pool1": "64×56×56",
        "stem/pool2": "192×28×28",
        "inception3/b/concat": "480×28×28",
        "inception4/e/concat": "832×14×14",
        "inception5/b/concat": "1024×7×7",
    },
    "resnet50": {
        "stem/pool": "64×56×56",
        "stage1/block3/add": "256×56×56",
        "stage2/block4/add": "512×28×28",
        "stage3/block6/add": "1024×14×14",
        "stage4/block3/add": "2048×7×7",
    },
    "cifar-resnet20-b": {
        "stage1/block3/add": "16×32×32",
        "stage2/block3/add": "32×16×16",
        "stage3/block3/add": "64×8×8",
    },
    "squeezenet": {"fire2/concat": "128×55×55", "fire9/concat": "512×13×13"},
    "densenet121": {
        "block1/layer6/concat": "256×56×56",
        "block2/layer12/concat": "512×28×28",
        "block3/layer24/concat": "1024×14×14",
        "block4/layer16/concat": "1024×7×7",
    },
    "densenet-bc100": {"block3/layer16/concat": "342×8×8"},
    "mobilenet-v1": {"stem/conv": "32×112×112", "block13/pointwise/conv": "1024×7×7"},
}


@pytest.mark.parametrize("name", PRINTED)
def test_maps_have_the_printed_sizes(name: str) -> None:
    specs = ARCHITECTURES[name].build().infer().specs
    assert {node: str(specs[node, 0]) for node in PRINTED[name]} == PRINTED[name]


# ---- families ---------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [18, 34])
def test_a_plain_twin_lacks_the_projections_alone(depth: int) -> None:
    projections = sum(a * b + 2 * b for a, b in itertools.pairwise((64, 128, 256, 512)))
    twin = ARCHITECTURES[f"plain{depth}"].build()
    assert Size.of(twin).parameters == PUBLISHED[f"resnet{depth}"][0] - projections
    assert not any(isinstance(node.layer, Add) for node in twin.nodes)


@pytest.mark.parametrize("depth", [20, 32, 44, 56, 110])
def test_projections_add_two_convolutions_to_a_network_for_cifar(depth: int) -> None:
    plain = PUBLISHED[f"cifar-plain{depth}"][0]
    weights = 16 * 32 + 32 * 64
    assert size(f"cifar-resnet{depth}-b").parameters == plain + weights + 2 * (32 + 64)
    # batch norms stand before the convolutions, and the projections have none
    assert size(f"cifar-resnet{depth}-preactivation-b").parameters == plain + weights


@pytest.mark.parametrize(("span", "skips"), [(1, 18), (2, 9), (3, 6)])
def test_skips_go_around_one_two_or_three_layers(span: int, skips: int) -> None:
    for ending, parameters in (("", 269_722), ("-b", 272_474)):
        middle = "" if span == 2 else f"-skip{span}"
        graph = ARCHITECTURES[f"cifar-resnet20{middle}{ending}"].build()
        adds = [node for node in graph.nodes if isinstance(node.layer, Add)]
        assert len(adds) == skips
        assert Size.of(graph).parameters == parameters
    with pytest.raises(ValueError, match="span 4, received 20"):
        resnet_cifar(20, span=4)


def test_shortcuts_of_option_a_thin_out_and_add_maps_of_zeros_without_a_parameter() -> None:
    for name in ("cifar-resnet20", "cifar-resnet20-preactivation"):
        graph = ARCHITECTURES[name].build()
        assert Size.of(graph).parameters == PUBLISHED["cifar-plain20"][0]
        skips = [n for n in graph.nodes if n.id.endswith("/shortcut/pad")]
        assert [n.id for n in skips] == ["stage2/block1/shortcut/pad", "stage3/block1/shortcut/pad"]
        before = "add" if "preactivation" in name else "relu2"
        start = graph.node("stage2/block1/shortcut/subsample").inputs[0]
        assert start == (f"stage1/block3/{before}", 0)
    x = np.random.default_rng(0).standard_normal((2, 16, 8, 8))
    thinned = x
    for node in ("subsample", "pad"):
        layer = ARCHITECTURES["cifar-resnet20"].build().node(f"stage2/block1/shortcut/{node}").layer
        thinned = layer.forward({}, thinned).ys[0]
    assert thinned.shape == (2, 32, 4, 4)
    assert np.array_equal(thinned[:, :16], x[:, :, ::2, ::2]) and not thinned[:, 16:].any()


def test_a_preactivated_network_passes_its_input_on_unchanged_within_a_stage() -> None:
    graph = ARCHITECTURES["cifar-resnet20-preactivation-b"].build()
    for number in (2, 3):
        name = f"stage2/block{number}"
        assert graph.node(f"{name}/add").inputs == (
            (f"{name}/conv2", 0),
            (f"stage2/block{number - 1}/add", 0),
        )
    assert graph.node("bn").inputs == (("stage3/block3/add", 0),)


def test_densenet_joins_the_channels_of_all_earlier_layers() -> None:
    small = ARCHITECTURES["densenet-digits"].build()
    assert [r[0] for r in small.node("block1/layer3/concat").inputs if r] == [
        "stem/conv",
        "block1/layer1/conv2",
        "block1/layer2/conv2",
        "block1/layer3/conv2",
    ]
    large = ARCHITECTURES["densenet121"].build()
    assert [r[0] for r in large.node("block1/layer3/concat").inputs if r] == [
        "block1/layer2/concat",
        "block1/layer3/conv2",
    ]
    assert sum(isinstance(node.layer, Concat) for node in large.nodes) == 6 + 12 + 24 + 16


def test_activations_are_every_tensor_of_one_picture() -> None:
    cells = 784 + 2 * 6 * 784 + 6 * 196 + 2 * 1600 + 2 * 400 + 2 * 120 + 2 * 84 + 10
    assert size("lenet5").activation_bytes == 4 * cells


# ---- memory and work ---------------------------------------------------------------------------


def test_the_largest_graph_is_built_and_measured_without_arrays() -> None:
    tracemalloc.start()
    try:
        graph: Graph = ARCHITECTURES["densenet201"].build()
        assert Size.of(graph).parameters * 4 > 80_000_000
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_network_is_measured_without_a_weight_and_each_layer_asked_a_few_times(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the gallery opens at once: its work grows with the layers, not with their square."""
    asked = 0
    original = Conv2d.outputs

    def counted(self: Conv2d, *specs: Spec) -> tuple[Spec, ...]:
        nonlocal asked
        asked += 1
        return original(self, *specs)

    def refuse(self: ParamSpec, rng: np.random.Generator, dtype: str = "float32") -> Array:
        raise AssertionError(f"Expected no weight to be drawn, received one of {self.shape}.")

    monkeypatch.setattr(Conv2d, "outputs", counted)
    monkeypatch.setattr(ParamSpec, "initial", refuse)
    graph = ARCHITECTURES[name].build()
    assert Size.of(graph).parameters > 0
    convolutions = sum(isinstance(node.layer, Conv2d) for node in graph.nodes)
    assert convolutions <= asked <= 4 * convolutions
