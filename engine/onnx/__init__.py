"""ONNX files. The only package that imports onnx; import it where it is used (0.1 s)."""

from engine.onnx.writer import DEFAULT_OPSET, ExportError, export_onnx

__all__ = ["DEFAULT_OPSET", "ExportError", "export_onnx"]
