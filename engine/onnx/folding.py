"""Values that are known at import, worked out there without baking the batch in.

Shape arithmetic (Shape, Gather, Concat, …) is worked out twice, for two batch sizes. What is the
same both times is a constant; what differs depends on the batch, and only there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper

from engine.layers.base import Array

LARGEST = 1 << 28
"""More numbers than this are not made out of a few; a damaged file could ask for anything."""
LONGEST_RANGE = 1 << 24
"""Numbers of a range: they count axes, cells or anchors."""

FOLDABLE = frozenset(
    [
        "Abs",
        "Acos",
        "Acosh",
        "Add",
        "And",
        "ArgMax",
        "ArgMin",
        "Asin",
        "Asinh",
        "Atan",
        "Atanh",
        "BitShift",
        "BitwiseAnd",
        "BitwiseNot",
        "BitwiseOr",
        "BitwiseXor",
        "Cast",
        "CastLike",
        "Ceil",
        "Celu",
        "Clip",
        "Compress",
        "Concat",
        "Constant",
        "ConstantOfShape",
        "Cos",
        "Cosh",
        "CumSum",
        "DepthToSpace",
        "DequantizeLinear",
        "Det",
        "Div",
        "DynamicQuantizeLinear",
        "Einsum",
        "Elu",
        "Equal",
        "Erf",
        "Exp",
        "Expand",
        "EyeLike",
        "Flatten",
        "Floor",
        "Gather",
        "GatherElements",
        "GatherND",
        "Gelu",
        "Gemm",
        "Greater",
        "GreaterOrEqual",
        "HardSigmoid",
        "HardSwish",
        "Hardmax",
        "Identity",
        "IsInf",
        "IsNaN",
        "LeakyRelu",
        "Less",
        "LessOrEqual",
        "Log",
        "LogSoftmax",
        "MatMul",
        "Max",
        "Mean",
        "Min",
        "Mish",
        "Mod",
        "Mul",
        "Neg",
        "NonZero",
        "Not",
        "OneHot",
        "Or",
        "PRelu",
        "Pad",
        "Pow",
        "QuantizeLinear",
        "Range",
        "Reciprocal",
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "ReduceSumSquare",
        "Relu",
        "Reshape",
        "Resize",
        "Round",
        "ScatterElements",
        "ScatterND",
        "Selu",
        "Shrink",
        "Sigmoid",
        "Sign",
        "Sin",
        "Sinh",
        "Size",
        "Slice",
        "Softmax",
        "Softplus",
        "Softsign",
        "SpaceToDepth",
        "Split",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Sum",
        "Tan",
        "Tanh",
        "ThresholdedRelu",
        "Tile",
        "TopK",
        "Transpose",
        "Trilu",
        "Unique",
        "Unsqueeze",
        "Upsample",
        "Where",
        "Xor",
    ]
)
"""Operators that are worked out where all their inputs are known (all are pure)."""


class FoldError(ValueError):
    """A constant cannot be worked out; says why."""


@dataclass(frozen=True, eq=False)
class Known:
    """A value known at import, for the first and for the second batch size.

    ``name``: the tensor in the file, where it is one of its own (so that shared weights show).
    """

    first: Array
    second: Array
    name: str = ""

    @classmethod
    def of(cls, array: Any, name: str = "") -> Known:
        """The same value for both."""
        array = np.asarray(array)
        return cls(array, array, name)

    @property
    def fixed(self) -> bool:
        """Whether it does not depend on the batch."""
        return self.first is self.second or (
            self.first.shape == self.second.shape
            and bool(
                np.array_equal(self.first, self.second, equal_nan=self.first.dtype.kind == "f")
            )
        )


def fold(node: onnx.NodeProto, opset: int, inputs: Sequence[Known | None]) -> tuple[Known, ...]:
    """What an operator makes of known values. Raises FoldError."""
    same = all(value is None or value.first is value.second for value in inputs)
    first = _evaluate(node, opset, [v.first if v is not None else None for v in inputs])
    if same:
        return tuple(Known(a, a) for a in first)
    second = _evaluate(node, opset, [v.second if v is not None else None for v in inputs])
    return tuple(Known(a, b) for a, b in zip(first, second, strict=True))


def _evaluate(
    node: onnx.NodeProto, opset: int, inputs: Sequence[Array | None]
) -> tuple[Array, ...]:
    _refuse_the_huge(node, inputs)
    own = {
        "ConstantOfShape": _constant_of_shape,
        "Concat": _concat,
        "DequantizeLinear": _dequantize,
        "Gather": _gather,
        "Identity": lambda n, xs: (xs[0],),
        "Range": _range,
        "Transpose": _transpose,
    }.get(node.op_type)
    try:
        if own is not None and all(x is not None for x in inputs):
            found = own(node, list(inputs))
            if found is not None:
                return found
        try:
            return _reference(node, opset, inputs)
        except Exception:
            # the evaluator lacks some old forms that the newest opset has unchanged
            return _reference(node, onnx.defs.onnx_opset_version(), inputs)
    except FoldError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        raise FoldError(
            f"{node.op_type} of constants: expected values that fit it, received: "
            f"{text or type(error).__name__}."
        ) from error


def _refuse_the_huge(node: onnx.NodeProto, inputs: Sequence[Array | None]) -> None:
    """Raise FoldError where few numbers ask for very many."""
    size = 0.0
    known = [x for x in inputs if x is not None]
    if node.op_type in ("ConstantOfShape", "Expand") and known:
        shape = known[-1].ravel()
        size = math.prod(max(1.0, float(n)) for n in shape)
        if node.op_type == "Expand":
            size = max(size, float(known[0].size))
    elif node.op_type == "Tile" and len(known) == 2:
        size = known[0].size * math.prod(max(1.0, float(n)) for n in known[1].ravel())
    elif node.op_type == "Range" and len(known) == 3:
        start, limit, delta = (float(x.ravel()[0]) for x in known)
        size = abs((limit - start) / delta) if delta else math.inf
    elif node.op_type in ("Pad", "Resize", "Upsample", "OneHot", "EyeLike") and known:
        numbers = [
            abs(float(n)) for x in known[1:] for n in x.ravel()[:64] if x.dtype.kind in "fiu"
        ]
        size = known[0].size * max([1.0, *numbers])
    most = LONGEST_RANGE if node.op_type == "Range" else LARGEST
    if not size <= most:
        raise FoldError(
            f"{node.op_type} of constants: expected at most {most:,} numbers, received {size:.3g}."
        )


def _attribute(node: onnx.NodeProto, name: str, default: Any = None) -> Any:
    for attribute in node.attribute:
        if attribute.name == name:
            return helper.get_attribute_value(attribute)
    return default


def _constant_of_shape(node: onnx.NodeProto, xs: list[Any]) -> tuple[Array, ...]:
    value = _attribute(node, "value")
    filling = np.zeros(1, np.float32) if value is None else onnx.numpy_helper.to_array(value)
    # one number seen everywhere: made as an array only where somebody writes
    return (np.broadcast_to(filling.ravel()[0], [int(n) for n in xs[0]]),)


def _concat(node: onnx.NodeProto, xs: list[Any]) -> tuple[Array, ...]:
    return (np.concatenate(xs, int(_attribute(node, "axis", 1))),)


def _gather(node: onnx.NodeProto, xs: list[Any]) -> tuple[Array, ...]:
    return (np.asarray(np.take(xs[0], xs[1].astype(np.int64), int(_attribute(node, "axis", 0)))),)


def _dequantize(node: onnx.NodeProto, xs: list[Any]) -> tuple[Array, ...] | None:
    """(x − zero point) · scale, one for all or one for each place of an axis; None for blocks."""
    x, scale = xs[0], xs[1].astype(np.float32)
    zero = xs[2].astype(np.int32) if len(xs) > 2 else np.zeros_like(scale, np.int32)
    if _attribute(node, "block_size", 0) or x.dtype.kind not in "iu" or scale.ndim > 1:
        return None
    if scale.size > 1:
        shape = [1] * x.ndim
        shape[int(_attribute(node, "axis", 1))] = -1
        scale, zero = scale.reshape(shape), zero.reshape(shape)
    return ((x.astype(np.int32) - zero).astype(np.float32) * scale,)


def _range(node: onnx.NodeProto, xs: list[Any]) -> tuple[Array, ...]:
    """start + i · delta; onnx's evaluator takes a second for each million."""
    start, limit, delta = (x.reshape(()) for x in xs)
    count = max(0, math.ceil((float(limit) - float(start)) / float(delta)))
    return ((start + np.arange(count) * delta).astype(start.dtype),)


def _transpose(node: onnx.NodeProto, xs: list[Any]) -> tuple[Array, ...]:
    return (np.transpose(xs[0], _attribute(node, "perm")),)


def _reference(
    node: onnx.NodeProto, opset: int, inputs: Sequence[Array | None]
) -> tuple[Array, ...]:
    """The operator by onnx's reference evaluator."""
    from onnx.reference import ReferenceEvaluator

    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    names = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
    del copy.input[:], copy.output[:]
    copy.input.extend(names)
    copy.output.extend(f"y{i}" if name else "" for i, name in enumerate(node.output))
    graph = helper.make_graph(
        [copy],
        "fold",
        [helper.make_value_info(n, onnx.TypeProto()) for n in names if n],
        [helper.make_value_info(n, onnx.TypeProto()) for n in copy.output if n],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    with np.errstate(all="ignore"):
        found = ReferenceEvaluator(model).run(
            None, {n: x for n, x in zip(names, inputs, strict=True) if n}
        )
    return tuple(np.asarray(y) for y in found)
