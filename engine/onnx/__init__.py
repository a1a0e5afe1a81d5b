"""ONNX files. The only package that imports onnx; import it where it is used (0.1 s)."""

from engine.onnx import operators  # noqa: F401  enters what reads and writes each operator
from engine.onnx.reader import (
    Imported,
    OnnxError,
    Problem,
    SizesNeededError,
    ValueNeededError,
    read,
)
from engine.onnx.writer import DEFAULT_OPSET, ExportError, export_onnx

__all__ = [
    "DEFAULT_OPSET",
    "ExportError",
    "Imported",
    "OnnxError",
    "Problem",
    "SizesNeededError",
    "ValueNeededError",
    "export_onnx",
    "read",
]
