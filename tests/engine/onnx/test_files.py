"""What files may do wrong, and what they may do differently: one clear error each, or a note."""

from __future__ import annotations

import hashlib
import io
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engine.architectures import ARCHITECTURES
from engine.layers.base import Array
from engine.layers.opaque import Opaque
from engine.onnx import (
    Imported,
    OnnxError,
    SizesNeededError,
    ValueNeededError,
    export_onnx,
    read,
)
from engine.onnx.proto_facts import inferred
from engine.parameters import initial_parameters
from engine.plan import Batch, compile, exhaust
from engine.project_file import load, save
from engine.runnable import runnable

FLOAT = TensorProto.FLOAT


def model(
    nodes: Sequence[onnx.NodeProto],
    shape: Sequence[Any] = ("N", 3, 6, 6),
    weights: dict[str, Array] | None = None,
    opset: int = 17,
    outputs: Sequence[str] = ("y",),
    **more: Any,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info("x", FLOAT, list(shape)), *more.get("inputs", ())],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset), *more.get("opsets", ())]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def compute(imported: Imported, **inputs: Array) -> dict[str, Array]:
    feed = imported.feed(inputs)
    samples = len(next(iter(feed.values())))
    graph = imported.graph
    plan = compile(graph, imported.parameters, batch=samples, mode="eval", backward=False)
    exhaust(plan.run(Batch(feed)))
    return {k: v.copy() for k, v in imported.results(plan.value, samples).items()}


def picture(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def small() -> bytes:
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("Flatten", ["r"], ["f"], name="flat"),
        helper.make_node("Gemm", ["f", "g"], ["y"], name="fc", transB=1),
    ]
    weights = {
        "w": rng.standard_normal((4, 3, 3, 3)).astype("float32"),
        "b": rng.standard_normal(4).astype("float32"),
        "g": rng.standard_normal((5, 144)).astype("float32"),
    }
    return model(nodes, weights=weights).SerializeToString()


# ---- damaged -------------------------------------------------------------------------------


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model.onnx", small())
    return buffer.getvalue()


def circle() -> bytes:
    nodes = [
        helper.make_node("Add", ["x", "b"], ["a"], name="one"),
        helper.make_node("Relu", ["a"], ["b"], name="two"),
    ]
    return model(nodes, outputs=["b"]).SerializeToString()


def twice() -> bytes:
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Abs", ["x"], ["y"])]
    return model(nodes).SerializeToString()


def dangling() -> bytes:
    return model([helper.make_node("Relu", ["nothing"], ["y"])]).SerializeToString()


def short_weight() -> bytes:
    made = onnx.load_from_string(small())
    made.graph.initializer[0].raw_data = made.graph.initializer[0].raw_data[:-4]
    return made.SerializeToString()


def huge_weight() -> bytes:
    made = onnx.load_from_string(small())
    made.graph.initializer[0].dims[0] = 1 << 50
    return made.SerializeToString()


def negative_weight() -> bytes:
    made = onnx.load_from_string(small())
    made.graph.initializer[0].dims[0] = -4
    return made.SerializeToString()


def wrong_type() -> bytes:
    made = onnx.load_from_string(small())
    made.graph.initializer[0].data_type = 99
    return made.SerializeToString()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty file"),
        (zipped(), "zip archive"),
        (b"not a model at all", "expected an ONNX model"),
        (small()[:-40], "expected an ONNX model"),
        (onnx.ModelProto(ir_version=8).SerializeToString(), "with a graph, received none"),
        (circle(), "without a circle"),
        (twice(), "expected to be made once"),
        (dangling(), "which nothing makes"),
        (short_weight(), "tensor w: expected"),
        (huge_weight(), "tensor w: expected"),
        (negative_weight(), "tensor w: expected sizes from 0"),
        (wrong_type(), "tensor w: expected a type of numbers"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_damaged_file_is_one_clear_error(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    for source in (content, path):
        with pytest.raises(OnnxError, match=said) as error:
            read(source)
        assert "\n" not in str(error.value)
    with pytest.raises(OnnxError, match=r"broken\.onnx"):
        read(path)


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(OnnxError, match="received none of that name"):
        read(tmp_path / "none.onnx")
    with pytest.raises(OnnxError, match="received a folder"):
        read(tmp_path)


def test_ten_thousand_mutated_bytes_never_crash() -> None:
    """Each file is opened, or refused by one error; what opens has a checked form or problems."""
    original = small()
    rng = np.random.default_rng(7)
    opened = refused = 0
    for _ in range(1000):
        content = bytearray(original)
        # the weights are most of the bytes, and any numbers are weights: mind the rest
        head = len(content) - 144 * 5 * 4
        places = np.where(
            rng.random(10) < 0.8, rng.integers(0, head, 10), rng.integers(0, len(content), 10)
        )
        for place in places:
            content[place] = rng.integers(0, 256)
        try:
            imported = read(bytes(content))
        except OnnxError:
            refused += 1
        else:
            opened += 1
            imported.graph.infer()
            runnable(imported.graph)
    assert opened > 100 and refused > 100


def test_a_damaged_size_is_not_followed_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """onnx's inference makes a list as long as a row of weights claims to be."""
    made = onnx.load_from_string(small())
    made.graph.initializer.append(TensorProto(name="odd", data_type=FLOAT, dims=[1 << 40]))
    made.graph.node.insert(0, helper.make_node("Riddle", ["x", "odd"], ["z"], domain="example"))
    made.opset_import.append(helper.make_opsetid("example", 1))
    given: list[onnx.ModelProto] = []
    infer = onnx.shape_inference.infer_shapes

    def watched(light: onnx.ModelProto, **options: Any) -> onnx.ModelProto:
        given.append(light)
        held = {t.name: list(t.dims) for t in light.graph.initializer}
        assert all(np.prod(sizes) < 4096 for sizes in held.values())
        return infer(light, **options)

    monkeypatch.setattr(onnx.shape_inference, "infer_shapes", watched)
    assert inferred(made)["f"] == (None, 144)
    assert "odd" in {entry.name for entry in given[0].graph.input}
    assert len(given) == 1  # without following numbers
    del made.graph.initializer[-1], made.graph.node[0].input[-1]
    assert inferred(made)["f"] == (None, 144) and len(given) == 3


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("AveragePool", {"kernel_shape": [1000, 1000], "pads": [2000] * 4, "dilations": [2, 2]}),
        ("AveragePool", {"kernel_shape": [3, 3], "pads": [1 << 31] * 4, "dilations": [2, 2]}),
        ("AveragePool", {"kernel_shape": [2, 2], "strides": [1, 0], "dilations": [2, 2]}),
        ("MaxPool", {"kernel_shape": [1 << 40, 1 << 40], "pads": [1 << 40] * 4}),
        ("Conv", {"kernel_shape": [3, 3], "pads": [1 << 40] * 4}),
        ("LpPool", {"kernel_shape": [2, 2], "pads": [1 << 31] * 4, "strides": [1 << 31] * 2}),
    ],
)
def test_absurd_windows_open_at_once(op: str, attributes: dict[str, Any]) -> None:
    weights = {"w": picture(2, 3, 3, 3)} if op == "Conv" else {}
    made = model([helper.make_node(op, ["x", *weights], ["y"], **attributes)], opset=19)
    if weights:
        made.graph.initializer.append(numpy_helper.from_array(weights["w"], "w"))
    begun = time.process_time()
    read(made).graph.infer()
    assert time.process_time() - begun < 2


@pytest.mark.parametrize(
    ("start", "limit", "delta"), [(0, 7, 2), (5, -4, -3), (0.5, 2.0, 0.25), (3, 3, 1), (0, 9e6, 1)]
)
def test_ranges_are_worked_out(start: float, limit: float, delta: float) -> None:
    bounds = [np.array(n, "float32") for n in (start, limit, delta)]
    nodes = [
        helper.make_node("Range", ["start", "limit", "delta"], ["r"]),
        helper.make_node("ReduceSum", ["r"], ["s"], keepdims=1),
        helper.make_node("Size", ["r"], ["n"]),
        helper.make_node("Cast", ["n"], ["count"], to=1),
        helper.make_node("Mul", ["x", "count"], ["y"]),
    ]
    made = model(nodes, ("N", 2), dict(zip(("start", "limit", "delta"), bounds, strict=True)))
    begun = time.process_time()
    found = compute(read(made), x=np.ones((1, 2), "float32"))["y"]
    assert time.process_time() - begun < 2
    assert found.tolist() == [[len(np.arange(start, limit, delta))] * 2]


# ---- external data -------------------------------------------------------------------------


def with_external(folder: Path, location: str = "weights.bin", **entries: str) -> Path:
    """The small model with its first weight in another file."""
    made = onnx.load_from_string(small())
    tensor = made.graph.initializer[0]
    content = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    wanted = {"location": location, "offset": "8", "length": str(len(content)), **entries}
    for key, value in wanted.items():
        tensor.external_data.add(key=key, value=value)
    folder.mkdir(exist_ok=True)
    (folder / "weights.bin").write_bytes(b"\0" * 8 + content)
    path = folder / "model.onnx"
    onnx.save(made, path)
    return path


def test_external_data_beside_the_model(tmp_path: Path) -> None:
    imported = read(with_external(tmp_path / "m", "weights.bin"))
    inside = read(small())
    x = picture(2, 3, 6, 6)
    assert np.array_equal(compute(imported, x=x)["y"], compute(inside, x=x)["y"])


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/passwd", "", ".", "a\\b", "link.bin"])
def test_data_outside_the_folder_is_refused(location: str, tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(b"\0" * 1000)
    path = with_external(tmp_path / "m", location)
    (tmp_path / "m" / "link.bin").symlink_to(tmp_path / "secret.bin")
    with pytest.raises(OnnxError, match="Nothing outside the folder is read"):
        read(path)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"location": "other.bin"}, "received none of that name"),
        ({"offset": "9"}, "bytes from 9"),
        ({"offset": "-8"}, "bytes from"),
        ({"offset": "a"}, "whole numbers"),
        ({"checksum": "0" * 40}, "expected the checksum"),
    ],
)
def test_wrong_external_data_is_refused(entries: dict[str, str], said: str, tmp_path: Path) -> None:
    path = with_external(tmp_path / "m", **entries)
    with pytest.raises(OnnxError, match=said):
        read(path)


def test_a_right_checksum_passes(tmp_path: Path) -> None:
    path = with_external(tmp_path / "m", "weights.bin")
    digest = hashlib.sha1((tmp_path / "m" / "weights.bin").read_bytes()).hexdigest()
    read(with_external(tmp_path / "m", "weights.bin", checksum=digest))
    with pytest.raises(OnnxError, match="not opened from a folder"):
        read(path.read_bytes())


# ---- other forms ---------------------------------------------------------------------------


def test_other_float_types_are_computed_in_float32() -> None:
    weight = picture(2, 3, 1, 1)
    for kind, said in (("float16", "float16"), ("float64", "64 bits")):
        nodes = [helper.make_node("Conv", ["x", "w"], ["y"], name="conv")]
        made = model(nodes, weights={"w": weight.astype(kind)})
        imported = read(made)
        assert any(said in note for note in imported.notes)
        assert imported.parameters["conv", "weight"].dtype == np.float32
        expected = np.einsum("nchw,ok->nohw", np.ones((1, 3, 6, 6)), np.ones((2, 3)))
        assert compute(imported, x=picture(1, 3, 6, 6))["y"].shape == (1, 2, *expected.shape[2:])


def test_bfloat16_weights() -> None:
    made = model([helper.make_node("Conv", ["x", "w"], ["y"], name="conv")])
    bits = np.array([1.5, -2.0, 0.25] * 2, "float32").view("uint32") >> 16
    tensor = helper.make_tensor(
        "w", TensorProto.BFLOAT16, [2, 3, 1, 1], bits.astype("uint16").tobytes(), raw=True
    )
    made.graph.initializer.append(tensor)
    imported = read(made)
    assert imported.parameters["conv", "weight"].ravel().tolist() == [1.5, -2.0, 0.25] * 2
    assert any("bfloat16" in note for note in imported.notes)


def test_quantised_weights_are_dequantised() -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        helper.make_node("DequantizeLinear", ["wq", "s", "z"], ["w"]),
        helper.make_node("Conv", ["xd", "w"], ["y"], name="conv"),
    ]
    whole = np.arange(-3, 3, dtype="int8").reshape(2, 3, 1, 1)
    weights = {"wq": whole, "s": np.float32(0.5), "z": np.int8(1)}
    imported = read(model(nodes, weights={k: np.asarray(v) for k, v in weights.items()}))
    assert np.array_equal(imported.parameters["conv", "weight"], (whole - 1.0) * 0.5)
    assert any("Quantised" in note for note in imported.notes)


def test_initializers_that_are_inputs_too_are_weights() -> None:
    entry = helper.make_tensor_value_info("w", FLOAT, [2, 3, 1, 1])
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], name="conv")]
    imported = read(model(nodes, weights={"w": picture(2, 3, 1, 1)}, inputs=[entry]))
    assert list(imported.inputs.values()) == ["x"]


def test_weights_that_come_as_inputs_are_asked_for() -> None:
    entry = helper.make_tensor_value_info("w", FLOAT, [2, 3, 1, 1])
    made = model([helper.make_node("Conv", ["x", "w"], ["y"], name="conv")], inputs=[entry])
    with pytest.raises(ValueNeededError) as error:
        read(made)
    assert error.value.name == "w"
    imported = read(made, values={"w": picture(2, 3, 1, 1)})
    assert list(imported.inputs.values()) == ["x"] and imported.problems == ()


@pytest.mark.parametrize("opset", [1, 3, 6])
def test_an_old_opset_is_converted_and_said(opset: int) -> None:
    made = model([helper.make_node("Relu", ["x"], ["y"])], opset=opset)
    imported = read(made)
    assert any(f"Opset {opset} was converted" in note for note in imported.notes)
    x = picture(2, 3, 6, 6)
    assert np.array_equal(compute(imported, x=x)["y"], np.maximum(x, 0))


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 17, 20, onnx.defs.onnx_opset_version()])
def test_every_opset_from_7_on_is_read(opset: int) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], auto_pad="SAME_LOWER", strides=[2, 2]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("AveragePool", ["r"], ["p"], kernel_shape=[2, 2], pads=[0, 1, 0, 0]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("MatMul", ["f", "m"], ["y"]),
    ]
    weights = {"w": picture(4, 3, 3, 3), "m": picture(24, 5)}
    made = model(nodes, weights=weights, opset=opset)
    assert compute(read(made), x=picture(3, 3, 6, 6))["y"].shape == (3, 5)


def test_an_opset_from_the_future_is_read_as_the_newest() -> None:
    imported = read(model([helper.make_node("Relu", ["x"], ["y"])], opset=900))
    assert any("newer than" in note for note in imported.notes)


def test_open_sizes_are_asked_for() -> None:
    made = model([helper.make_node("Relu", ["x"], ["y"])], shape=["N", 3, "H", "W"])
    with pytest.raises(SizesNeededError, match=r"x: \?×3×\?×\?") as error:
        read(made)
    assert error.value.wanted == {"x": (None, 3, None, None)}
    for sizes in ((3, 5, 4), (0, 3, 5, 4)):
        assert read(made, shapes={"x": sizes}).graph.inputs[0].shape == (3, 5, 4)
    for wrong in ((4, 5, 4), (3, 5), (3, 0, 4)):
        with pytest.raises(OnnxError, match="expected sizes that fit"):
            read(made, shapes={"x": wrong})


def test_the_number_of_samples_stays_free() -> None:
    """Shape arithmetic as exporters write it, for any number of samples."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"]),
        helper.make_node("Unsqueeze", ["n", "axis"], ["n1"]),
        helper.make_node("Concat", ["n1", "rest"], ["t"], axis=0),
        helper.make_node("Reshape", ["x", "t"], ["y"]),
    ]
    weights = {
        "zero": np.array(0),
        "axis": np.array([0]),
        "rest": np.array([-1]),
    }
    imported = read(model(nodes, weights=weights))
    assert imported.samples_free and len(imported.graph.nodes) == 1
    for count in (1, 4):
        x = picture(count, 3, 6, 6)
        assert np.array_equal(compute(imported, x=x)["y"], x.reshape(count, -1))


@pytest.mark.parametrize(("count", "target"), [(1, [1, 108]), (2, [2, -1]), (4, [4, 108])])
def test_a_number_of_samples_that_was_baked_in_is_freed(count: int, target: list[int]) -> None:
    nodes = [helper.make_node("Reshape", ["x", "t"], ["y"])]
    imported = read(model(nodes, shape=[count, 3, 6, 6], weights={"t": np.array(target)}))
    words = "one sample" if count == 1 else f"{count} samples"
    assert any(f"written for {words}" in note for note in imported.notes)
    x = picture(3, 3, 6, 6)
    assert np.array_equal(compute(imported, x=x)["y"], x.reshape(3, 108))


def test_what_mixes_samples_is_opened_for_one() -> None:
    nodes = [
        helper.make_node("Squeeze", ["x", "axis"], ["s"]),
        helper.make_node("Transpose", ["s"], ["y"], perm=[2, 0, 1]),
    ]
    imported = read(model(nodes, weights={"axis": np.array([0])}))
    assert not imported.samples_free
    assert any("one sample at a time, because Squeeze" in note for note in imported.notes)
    x = picture(1, 3, 6, 6)
    assert np.array_equal(compute(imported, x=x)["y"], x[0].transpose(2, 0, 1))


def test_odd_names_become_ids_and_are_kept() -> None:
    names = ["", "a b/c.d", "a b/c.d", "层/一", "/x/y/Relu", "..", "1"]
    nodes, last = [], "x"
    for number, name in enumerate(names):
        nodes.append(helper.make_node("Relu", [last], [f"{number} t/ü"], name=name))
        last = f"{number} t/ü"
    imported = read(model(nodes, outputs=[last]))
    ids = [node.id for node in imported.graph.nodes]
    assert len(set(ids)) == len(names) and imported.problems == ()
    assert [imported.names[i] for i in ids[1:]] == names[1:]
    assert imported.graph.outputs[0][0] == last
    x = picture(1, 3, 6, 6)
    assert np.array_equal(compute(imported, x=x)[last], np.maximum(x, 0))


def test_names_that_say_nothing_give_way_to_those_of_tensors() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["gpu_0/stem_1"], name="n1"),
        helper.make_node("Abs", ["gpu_0/stem_1"], ["gpu_0/res2/abs_1"], name=""),
        helper.make_node("Neg", ["gpu_0/res2/abs_1"], ["gpu_0/12"], name="gpu_0/last"),
    ]
    imported = read(model(nodes, outputs=["gpu_0/12"]))
    assert [n.id for n in imported.graph.nodes] == ["stem_1", "res2/abs_1", "last"]
    assert list(imported.names.values()) == ["n1", "gpu_0/res2/abs_1", "gpu_0/last"]
    nodes = [
        helper.make_node("Conv", ["x", "stem/conv1_w_0"], ["r0"], name="n0"),
        helper.make_node("Relu", ["r0"], ["r1"], name="n1"),
        helper.make_node("Relu", ["r1"], ["r2"], name="n2"),
    ]
    weights = {"stem/conv1_w_0": picture(2, 3, 1, 1)}
    found = read(model(nodes, outputs=["r2"], weights=weights)).graph.nodes
    assert [n.id for n in found] == ["stem/conv1", "relu1", "relu2"]


def test_no_id_is_a_node_and_a_group_at_once() -> None:
    names = ["a", "a/b", "c/d/e", "c/d", "c", "a/b/f"]
    nodes, last = [], "x"
    for number, name in enumerate(names):
        nodes.append(helper.make_node("Relu", [last], [f"t{number}"], name=name))
        last = f"t{number}"
    ids = [n.id for n in read(model(nodes, outputs=[last])).graph.nodes]
    assert ids == ["a", "a_b", "c/d/e", "c/d_2", "c_2", "a_b_f"]


def test_nodes_out_of_order_several_inputs_and_outputs() -> None:
    nodes = [
        helper.make_node("Add", ["a", "b"], ["y"], name="last"),
        helper.make_node("Relu", ["x"], ["a"], name="first"),
        helper.make_node("Abs", ["x2"], ["b"], name="second"),
        helper.make_node("Neg", ["x"], ["unused"], name="nobody needs it"),
    ]
    other = helper.make_tensor_value_info("x2", FLOAT, ["N", 3, 6, 6])
    imported = read(model(nodes, outputs=["y", "b"], inputs=[other]))
    assert len(imported.graph.nodes) == 3
    x, x2 = picture(2, 3, 6, 6), picture(2, 3, 6, 6, seed=1)
    found = compute(imported, x=x, x2=x2)
    assert np.array_equal(found["y"], np.maximum(x, 0) + np.abs(x2))
    assert np.array_equal(found["b"], np.abs(x2))
    with pytest.raises(OnnxError, match="Input x2: expected an array"):
        imported.feed({"x": x})
    with pytest.raises(OnnxError, match="received z too"):
        imported.feed({"x": x, "x2": x2, "z": x})


def test_an_output_that_is_an_input_or_a_constant() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Shape", ["x"], ["s"])]
    imported = read(model(nodes, weights={"w": np.ones(3)}, outputs=["y", "x", "w", "s"]))
    x = picture(5, 3, 6, 6)
    found = compute(imported, x=x)
    assert np.array_equal(found["x"], x) and found["w"].tolist() == [1, 1, 1]
    assert found["s"].tolist() == [5, 3, 6, 6]


def test_a_branch_whose_condition_is_known_is_taken() -> None:
    """As exporters write a squeeze that depends on a size."""

    def branch(operator: str) -> onnx.GraphProto:
        node = helper.make_node(operator, ["a"], ["b"], name=f"{operator} inside")
        out = helper.make_tensor_value_info("b", FLOAT, None)
        return helper.make_graph([node], operator, [], [out])

    nodes = [
        helper.make_node("Neg", ["x"], ["a"], name="neg"),
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "one"], ["n"]),
        helper.make_node("Equal", ["n", "three"], ["is"]),
        helper.make_node(
            "If", ["is"], ["y"], then_branch=branch("Relu"), else_branch=branch("Abs")
        ),
    ]
    for three in (3, 4):
        weights = {"one": np.array(1), "three": np.array(three)}
        imported = read(model(nodes, weights=weights))
        assert imported.problems == () and len(imported.graph.nodes) == 2
        x = picture(2, 3, 6, 6)
        expected = np.maximum(-x, 0) if three == 3 else np.abs(x)
        assert np.array_equal(compute(imported, x=x)["y"], expected)


def test_a_branch_that_depends_on_the_numbers_is_not_known() -> None:
    out = helper.make_tensor_value_info("b", FLOAT, None)
    inside = helper.make_graph([helper.make_node("Relu", ["x"], ["b"])], "inside", [], [out])
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0),
        helper.make_node("Cast", ["m"], ["is"], to=TensorProto.BOOL),
        helper.make_node("If", ["is"], ["y"], then_branch=inside, else_branch=inside),
    ]
    imported = read(model(nodes))
    assert imported.missing() == {"If": 1}


def test_what_was_opened_can_be_written_again() -> None:
    imported = read(small())
    written = export_onnx(imported.graph, imported.parameters)
    back = read(written)
    x = picture(2, 3, 6, 6)
    assert np.array_equal(compute(imported, x=x)["y"], compute(back, x=x)["y"])
    assert {n.id for n in back.graph.nodes} == {"conv", "relu", "flat", "fc"}


# ---- what is not known ---------------------------------------------------------------------


def riddle() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="before"),
        helper.make_node("Riddle", ["a"], ["b"], name="what", domain="example", depth=3, kind="q"),
        helper.make_node("Riddle", ["b"], ["c"], name="again", domain="example"),
        helper.make_node("Relu", ["c"], ["y"], name="after"),
        helper.make_node("Abs", ["a"], ["z"], name="beside"),
    ]
    return model(nodes, outputs=["y", "z"], opsets=[helper.make_opsetid("example", 1)])


def test_an_unknown_operator_is_opaque_and_the_rest_runs(tmp_path: Path) -> None:
    imported = read(riddle())
    assert imported.missing() == {"Riddle": 1}
    by_id = {p.node: p for p in imported.problems}
    assert by_id["what"].missing and not by_id["after"].missing
    layer = imported.graph.node("what").layer
    assert isinstance(layer, Opaque) and layer.operator == "Riddle"
    assert layer.attributes == '{"depth": 3, "kind": "q"}'
    part = runnable(imported.graph)
    assert [n.id for n in part.nodes] == ["before", "beside"]
    assert [name for name, _ in part.outputs] == ["z", "before"]
    plan = compile(part, {}, batch=1, mode="eval", backward=False)
    x = picture(1, 3, 6, 6)
    exhaust(plan.run(Batch({"x": x})))
    assert np.array_equal(plan.output("before"), np.maximum(x, 0))
    path = tmp_path / "odd.gflow"
    save(imported.project(), path)
    assert load(path).graph == imported.graph


def test_an_unknown_operator_whose_shape_is_told_lets_the_rest_be_drawn() -> None:
    made = riddle()
    for name in ("b", "c"):
        made.graph.value_info.append(helper.make_tensor_value_info(name, FLOAT, ["N", 7, 2, 2]))
    imported = read(made)
    assert imported.missing() == {"Riddle": 2} and len(imported.problems) == 2
    specs = imported.graph.infer(4).specs
    assert specs["after", 0].shape == (4, 7, 2, 2)


def test_a_form_of_a_known_operator_that_is_not_there_is_told() -> None:
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], name="conv")]
    imported = read(model(nodes, shape=["N", 3, 4, 4, 4], weights={"w": picture(2, 3, 1, 1, 1)}))
    (problem,) = imported.problems
    assert problem.operator == "Conv" and "5 axes" in problem.reason


def test_reading_can_be_watched_and_ended() -> None:
    graph = ARCHITECTURES["lenet5"].build()
    content = export_onnx(graph, initial_parameters(graph, 0)).SerializeToString()
    seen: list[tuple[int, int]] = []
    read(content, progress=lambda done, total: seen.append((done, total)))
    assert seen[0] == (0, 12) and seen[-1] == (11, 12)

    class EnoughError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise EnoughError

    with pytest.raises(EnoughError):
        read(content, progress=stop)


def test_weights_are_not_copied() -> None:
    content = small()
    made = onnx.load_from_string(content)
    imported = read(made)
    weight = imported.parameters["conv", "weight"]
    assert not weight.flags.owndata and not weight.flags.writeable
