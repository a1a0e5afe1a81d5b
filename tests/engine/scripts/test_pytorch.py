"""PyTorch scripts: parsed everywhere, and run to the same numbers where PyTorch is installed."""

from __future__ import annotations

import ast
import builtins
import importlib
import importlib.util
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.architectures import ARCHITECTURES
from engine.data.preprocessing import Preprocessing
from engine.graph import Graph, Input, Loss, Node
from engine.layers.add import Add
from engine.layers.avg_pool2d import AvgPool2d
from engine.layers.base import REGISTRY, Array, Layer, Spec
from engine.layers.compare import Compare
from engine.layers.concat import Concat
from engine.layers.conv2d import Conv2d
from engine.layers.conv_transpose2d import ConvTranspose2d
from engine.layers.dropout import Dropout
from engine.layers.flatten import Flatten
from engine.layers.interpolate import Interpolate
from engine.layers.linear import Linear
from engine.layers.lp_pool2d import LpPool2d
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.max_unpool2d import MaxUnpool2d
from engine.layers.mul import Mul
from engine.layers.reduce import Reduce
from engine.layers.relu import ReLU
from engine.layers.split import Split
from engine.layers.top_k import TopK
from engine.layers.where import Where
from engine.losses import CrossEntropy, Hinge, LeNetLoss, LossFunction, MeanSquaredError, Total
from engine.parameters import initial_parameters
from engine.plan import Batch, compile, exhaust
from engine.scripts.base import ScriptError
from engine.scripts.pytorch import RULES, pytorch_script, state_dict

torch: Any = importlib.import_module("torch") if importlib.util.find_spec("torch") else None

needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch is not installed")
IMAGE = ("image", 0)

JOINING: dict[str, Layer] = {"Add": Add(), "Concat": Concat(), "Mul": Mul()}


def single(layer: Layer, shape: tuple[int, ...]) -> Graph:
    return Graph(
        (Input("image", shape),),
        (Node("class", layer, (IMAGE,)),),
        (("out", ("class", 0)),),
        name="a layer",
    )


def weights_of(graph: Graph, seed: int) -> dict[tuple[str, str], Array]:
    """Random ones, so that nothing is right because it is 0 or 1."""
    rng = np.random.default_rng(seed)
    return {
        key: (array + rng.uniform(0.1, 0.9, array.shape)).astype("float32")
        for key, array in initial_parameters(graph, seed).items()
    }


def ours(graph: Graph, parameters: dict[tuple[str, str], Array], x: Array) -> Array:
    plan = compile(graph, parameters, batch=len(x), mode="eval")
    exhaust(plan.run(Batch.of(graph, x), backward=False))
    return plan.output(graph.outputs[0][0])


def run(script: str) -> dict[str, Any]:
    """The names that a script defines; it is one of our own making."""
    space: dict[str, Any] = {"__name__": "script"}
    exec(builtins.compile(script, "script.py", "exec"), space)
    return space


def module_of(space: dict[str, Any]) -> Any:
    found = [
        value
        for name, value in space.items()
        if isinstance(value, type) and issubclass(value, torch.nn.Module) and name != "F"
    ]
    return found[-1]()


def results(graph: Graph, parameters: dict[tuple[str, str], Array], *xs: Array) -> list[Array]:
    module = module_of(run(pytorch_script(graph)))
    module.load_state_dict({n: torch.tensor(a) for n, a in state_dict(graph, parameters).items()})
    with torch.no_grad():
        found = module.eval()(*map(torch.tensor, xs))
    return [
        np.asarray(y.detach().numpy()) for y in (found if isinstance(found, tuple) else (found,))
    ]


def theirs(graph: Graph, parameters: dict[tuple[str, str], Array], x: Array) -> Array:
    (found,) = results(graph, parameters, x)
    return found


def test_every_layer_with_a_rule_has_a_case(layer_kinds: set[type[Layer]]) -> None:
    others = {MaxUnpool2d, Split, TopK, *(type(layer) for layer in JOINING.values())}
    assert layer_kinds | others == set(RULES)


def test_every_layer_of_the_program_has_a_rule() -> None:
    assert set(REGISTRY.values()) == set(RULES)


def joined(layer: Layer) -> Graph:
    """Two branches that meet: the second is one number per channel where that is allowed."""
    return Graph(
        (Input("image", (3, 4, 5)),),
        (
            Node("left", Conv2d(3, 3, padding=1), (IMAGE,)),
            Node("right", Conv2d(3, 1), (IMAGE,)),
            Node("meet", layer, (("left", 0), ("right", 0))),
        ),
        (("out", ("meet", 0)),),
    )


def test_a_layer_is_written_as_python(layer: Layer, shape: tuple[int, ...]) -> None:
    graph = single(layer, shape)
    ast.parse(pytorch_script(graph))
    parameters = graph.parameter_specs(graph.infer().specs)
    names = {name.split(".")[1] for name in state_dict(graph, weights_of(graph, 0))}
    assert {name for _, name in parameters} == names - {"num_batches_tracked"}


@needs_torch
def test_a_layer_computes_the_same(layer: Layer, shape: tuple[int, ...]) -> None:
    graph = single(layer, shape)
    x = np.random.default_rng(1).standard_normal((3, *shape)).astype("float32")
    parameters = weights_of(graph, 2)
    mine = ours(graph, parameters, x)
    assert np.ptp(mine) > 1e-3
    np.testing.assert_allclose(theirs(graph, parameters, x), mine, rtol=1e-4, atol=1e-5)
    if parameters:
        changed = {key: array * 1.1 + 0.1 for key, array in parameters.items()}
        assert not np.allclose(theirs(graph, changed, x), mine, rtol=1e-3)


@needs_torch
@pytest.mark.parametrize("layer", JOINING.values(), ids=list(JOINING))
def test_branches_meet_the_same(layer: Layer) -> None:
    graph = joined(layer)
    x = np.random.default_rng(1).standard_normal((3, 3, 4, 5)).astype("float32")
    parameters = weights_of(graph, 2)
    np.testing.assert_allclose(
        theirs(graph, parameters, x), ours(graph, parameters, x), rtol=1e-4, atol=1e-5
    )


def several(layer: Layer, shapes: tuple[tuple[int, ...], ...]) -> Graph:
    inputs = tuple(Input(f"x{i}", shape) for i, shape in enumerate(shapes))
    return Graph(
        inputs,
        (Node("class", layer, tuple((i.id, 0) for i in inputs)),),
        (("out", ("class", 0)),),
    )


def our_results(graph: Graph, *xs: Array) -> list[Array]:
    plan = compile(graph, {}, batch=len(xs[0]), mode="eval", backward=False)
    exhaust(plan.run(Batch(dict(zip([i.id for i in graph.inputs], xs, strict=True)))))
    return [plan.value(ref).copy() for _, ref in graph.outputs]


@needs_torch
def test_several_inputs_are_combined_the_same(
    layer: Layer, shapes: tuple[tuple[int, ...], ...]
) -> None:
    graph = several(layer, shapes)
    rng = np.random.default_rng(1)
    xs = [rng.integers(-2, 3, (3, *shape)).astype("float32") + 0.25 for shape in shapes]
    if isinstance(layer, Compare | Where):  # some are equal, some are zero
        xs = [x - np.float32(0.25) for x in xs]
    (mine,) = our_results(graph, *xs)
    assert np.ptp(mine) > 1e-3
    np.testing.assert_allclose(results(graph, {}, *xs)[0], mine, rtol=1e-5, atol=1e-6)


@needs_torch
def test_parts_and_places_are_the_same() -> None:
    for layer in (Split(1, (1, 2, 1)), Split(), TopK(3), TopK(2, 3, False)):
        node = Node("cut", layer, (IMAGE,))
        count = len(layer.outputs(Spec((1, 4, 2, 3))))
        outs = tuple((f"y{i}", ("cut", i)) for i in range(count))
        graph = Graph((Input("image", (4, 2, 3)),), (node,), outs)
        x = np.random.default_rng(0).standard_normal((2, 4, 2, 3)).astype("float32")
        for a, b in zip(our_results(graph, x), results(graph, {}, x), strict=True):
            assert np.array_equal(a, b)


@needs_torch
@pytest.mark.parametrize(
    ("pool", "unpool", "size", "short"),
    [
        (MaxPool2d(2), MaxUnpool2d(), (8, 8), True),
        (MaxPool2d(2), MaxUnpool2d(output_padding=(1, 0)), (9, 8), True),
        (MaxPool2d((2, 3), (2, 3), (1, 0)), MaxUnpool2d((2, 3), (2, 3), (1, 0)), (8, 9), True),
        (MaxPool2d(3, 2, 1), MaxUnpool2d(3, 2, 1), (7, 9), False),
        (MaxPool2d(3, 1), MaxUnpool2d(3, 1), (8, 8), False),
    ],
    ids=repr,
)
def test_what_won_comes_back_to_its_place(
    pool: MaxPool2d, unpool: MaxUnpool2d, size: tuple[int, int], short: bool
) -> None:
    graph = Graph(
        (Input("image", (3, *size)),),
        (
            Node("pool", replace(pool, return_indices=True), (IMAGE,)),
            Node("back", unpool, (("pool", 0), ("pool", 1))),
        ),
        (("y", ("back", 0)), ("places", ("pool", 1))),
    )
    # few different numbers, so that windows share their largest and places are doubled
    x = np.random.default_rng(3).integers(0, 4, (2, 3, *size)).astype("float32")
    for a, b in zip(our_results(graph, x), results(graph, {}, x), strict=True):
        assert np.array_equal(a, b)
    assert ("F.max_unpool2d" in pytorch_script(graph)) == short


CLASSROOM = [name for name in ARCHITECTURES if "digits" in name or name.startswith("lenet5")]


@pytest.mark.parametrize("name", CLASSROOM)
def test_the_gallery_is_written_as_python(name: str) -> None:
    script = pytorch_script(ARCHITECTURES[name].build(), weights="w.safetensors")
    ast.parse(script)
    assert max(map(len, script.splitlines())) <= 100


@needs_torch
@pytest.mark.parametrize("name", CLASSROOM)
def test_the_gallery_computes_the_same_and_has_the_same_loss(name: str) -> None:
    graph = ARCHITECTURES[name].build()
    rng = np.random.default_rng(3)
    x = rng.standard_normal((4, *graph.inputs[0].shape)).astype("float32")
    target = rng.integers(0, 10, 4)
    parameters = initial_parameters(graph, 4)
    np.testing.assert_allclose(
        theirs(graph, parameters, x), ours(graph, parameters, x), rtol=1e-3, atol=1e-4
    )
    space = run(pytorch_script(graph))
    module = module_of(space)
    module.load_state_dict({n: torch.tensor(a) for n, a in state_dict(graph, parameters).items()})
    module.train()
    for part in module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    calm = replace(
        graph,
        nodes=tuple(
            replace(n, layer=Dropout(0.0)) if isinstance(n.layer, Dropout) else n
            for n in graph.nodes
        ),
    )
    plan = compile(calm, parameters, batch=4)
    exhaust(plan.run(Batch.of(calm, x, target)))
    assert float(
        space["loss"](module(torch.tensor(x)), torch.tensor(target)).detach()
    ) == pytest.approx(plan.loss(), rel=1e-4)


@needs_torch
@pytest.mark.parametrize("name", ["resnet-digits", "googlenet-digits", "lenet5-1998"])
def test_a_network_that_came_from_onnx_is_written(name: str) -> None:
    pytest.importorskip("onnx")
    from engine.onnx import export_onnx, read

    graph = ARCHITECTURES[name].build()
    parameters = weights_of(graph, 2)
    imported = read(export_onnx(graph, parameters).SerializeToString())
    x = np.random.default_rng(3).standard_normal((3, *graph.inputs[0].shape)).astype("float32")
    mine = ours(graph, parameters, x)
    found = theirs(imported.graph, dict(imported.parameters), x)
    np.testing.assert_allclose(found, mine, rtol=1e-4, atol=1e-4 * np.abs(mine).max())


@needs_torch
@pytest.mark.parametrize(
    "function",
    [
        CrossEntropy(0.1),
        CrossEntropy(0.2, (0.5, 1.0, 2.0)),
        MeanSquaredError(),
        Hinge(0.7),
        LeNetLoss(0.5),
        LeNetLoss(1.0, negative=True),
        Total(),
    ],
    ids=repr,
)
def test_a_loss_is_the_same(function: LossFunction) -> None:
    graph = replace(
        single(Linear(3), (4,)), losses=(Loss("loss", function, ("class", 0), weight=0.5),)
    )
    rng = np.random.default_rng(5)
    x = rng.standard_normal((6, 4)).astype("float32")
    target = rng.integers(0, 3, 6)
    parameters = weights_of(graph, 6)
    plan = compile(graph, parameters, batch=6)
    exhaust(plan.run(Batch.of(graph, x, target)))
    space = run(pytorch_script(graph))
    module = module_of(space)
    module.load_state_dict({n: torch.tensor(a) for n, a in state_dict(graph, parameters).items()})
    found = float(space["loss"](module(torch.tensor(x)), torch.tensor(target)).detach())
    assert found == pytest.approx(plan.loss(), rel=1e-5)


def test_a_sum_beside_a_loss_of_classes_is_written() -> None:
    graph = Graph(
        (Input("image", (2, 4, 4)),),
        (Node("maps", Conv2d(3, 3), (IMAGE,)), Node("flat", Flatten(), (("maps", 0),))),
        (("out", ("flat", 0)),),
        (Loss("of_classes", CrossEntropy(), ("flat", 0)), Loss("sum", Total(), ("maps", 0), 0.25)),
    )
    text = pytorch_script(graph)
    ast.parse(text)
    assert "F.cross_entropy(outputs[0], target) + 0.25 * outputs[1].sum() / len(outputs[1])" in text
    if torch is None:
        return
    x = np.random.default_rng(1).standard_normal((3, 2, 4, 4)).astype("float32")
    target, parameters = np.array([1, 5, 11]), weights_of(graph, 2)
    plan = compile(graph, parameters, batch=3)
    exhaust(plan.run(Batch.of(graph, x, target)))
    space = run(text)
    module = module_of(space).train()
    module.load_state_dict({n: torch.tensor(a) for n, a in state_dict(graph, parameters).items()})
    found = float(space["loss"](module(torch.tensor(x)), torch.tensor(target)).detach())
    assert found == pytest.approx(plan.loss(), rel=1e-5)


def test_the_script_reads_as_a_person_would_write_it() -> None:
    script = pytorch_script(
        ARCHITECTURES["lenet5"].build(),
        weights="lenet5.safetensors",
        preprocessing=Preprocessing((28, 28), 1, (0.13,), (0.31,)),
    )
    assert "class LeNet5(nn.Module):" in script
    assert "self.conv1 = nn.Conv2d(1, 6, kernel_size=5, padding=2)\n" in script
    assert "        x = F.max_pool2d(x, 2)\n" in script
    assert "Pixels in [0, 1], less [0.13], divided by [0.31]." in script
    assert 'load_file("lenet5.safetensors")' in script
    assert len(script.splitlines()) < 60


def test_a_skip_has_the_name_of_its_node() -> None:
    script = pytorch_script(ARCHITECTURES["resnet-digits"].build())
    skips = [line for line in script.splitlines() if " + x" in line or "x + " in line]
    assert skips and all("relu" in line or "norm" in line or "bn" in line for line in skips)


def test_names_that_python_or_the_module_needs_are_avoided() -> None:
    graph = Graph(
        (Input("torch", (3,)),),
        (
            Node("forward", Linear(4), (("torch", 0),)),
            Node("1/class", Linear(4), (("forward", 0),)),
            Node("1-class", Linear(4), (("1/class", 0),)),
        ),
        (("out", ("1-class", 0)),),
        name='2 × quotes """ \\',
    )
    script = pytorch_script(graph)
    ast.parse(script)
    assert "self.forward_2 = " in script and "self._1_class = " in script
    assert "self._1_class_2 = " in script and "def forward(self, torch_2):" in script


def test_what_has_no_form_is_refused_by_name() -> None:
    refused: list[tuple[Layer, str]] = [
        (ConvTranspose2d(2, 3, 2, (0, 1, 1, 0)), "Transposed convolution with different padding"),
        (Interpolate(9, 9, 2.25, 2.3), "with these places"),
        (Interpolate(mode="cubic", cubic=-0.5), "with these places"),
        (AvgPool2d(2, 2, (0, 1, 1, 0), ceil_mode=True), "with ceil_mode and different padding"),
        (LpPool2d(dilation=2), "with dilation"),
        (Reduce("mean", ()), "along no axis"),
        (MaxPool2d(2, 2, (0, 1, 1, 0), return_indices=True), "with indices and different padding"),
    ]
    for layer, why in refused:
        with pytest.raises(ScriptError, match=f"class: .*{why}.*has no PyTorch form"):
            pytorch_script(single(layer, (2, 4, 4)))
    with pytest.raises(ScriptError, match="Mark one as output"):
        pytorch_script(replace(single(ReLU(), (2,)), outputs=()))
    shared = Graph(
        (Input("image", (3,)),),
        (
            Node("one", Linear(3), (IMAGE,)),
            Node("two", Linear(3), (("one", 0),), params="one"),
        ),
        (("out", ("two", 0)),),
    )
    assert pytorch_script(shared).count("nn.Linear") == 1
