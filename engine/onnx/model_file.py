"""An ONNX file as a checked model: its bytes, its external data, its opset.

What a file says is not to be trusted: sizes are compared with what is there before anything is
allocated, and external data is read only from inside the model's folder.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engine.atomic_file import reason
from engine.layers.base import Array

OLDEST_OPSET = 7
"""Older files go through onnx's version converter first."""
LARGEST_FILE = (1 << 31) - 1


class OnnxError(ValueError):
    """An ONNX file cannot be opened; names the file and the part, expected, received and why."""


@dataclass
class ModelFile:
    """A model with the folder that its external data may come from, and what was noted."""

    model: onnx.ModelProto
    where: str
    folder: Path | None = None
    opset: int = 0
    notes: list[str] = field(default_factory=list)
    checked: dict[str, Path] = field(default_factory=dict)

    # ---- tensors -----------------------------------------------------------------------------

    def array(self, tensor: onnx.TensorProto) -> Array:
        """The numbers of a tensor: a view of the file's bytes where its form allows.

        float16, bfloat16 and the 8-bit floats become float32. Raises OnnxError where sizes do not
        fit or the type is not one of numbers.
        """
        name = tensor.name or "a constant"
        shape = tuple(tensor.dims)
        if any(size < 0 for size in shape):
            raise OnnxError(
                f"{self.where}: tensor {name}: expected sizes from 0, received {shape}."
            )
        if tensor.data_type == TensorProto.STRING:
            return np.array([b.decode("utf-8", "replace") for b in tensor.string_data], object)
        try:
            dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        except (KeyError, ValueError, TypeError):
            raise OnnxError(
                f"{self.where}: tensor {name}: expected a type of numbers, received number "
                f"{tensor.data_type}. The file is damaged or newer than this program."
            ) from None
        if tensor.data_location == TensorProto.EXTERNAL:
            return self._widened(self._external(tensor, name, np.dtype(dtype), shape))
        count = math.prod(shape)
        # a damaged size must not make anything be allocated
        held = tensor.ByteSize()
        if count > 16 * held + 16:
            raise OnnxError(
                f"{self.where}: tensor {name}: expected {count:,} numbers for its size "
                f"{'×'.join(map(str, shape))}, received {held:,} bytes. The file is damaged."
            )
        try:
            array = numpy_helper.to_array(tensor)
        except Exception as error:
            raise OnnxError(
                f"{self.where}: tensor {name}: expected {count:,} numbers of {dtype}, received "
                f"other data ({_short(error)}). The file is damaged."
            ) from error
        return self._widened(array)

    def _widened(self, array: Array) -> Array:
        """The numbers as float32 where they are floats of fewer bits."""
        if array.dtype.kind in "fiubc" and array.dtype.isbuiltin == 1:
            return array.astype(np.float32) if array.dtype == np.float16 else array
        try:
            # bfloat16 and the small types of ml_dtypes
            as_int = "int" in array.dtype.name
            return array.astype(np.int32 if as_int else np.float32)
        except (TypeError, ValueError) as error:
            raise OnnxError(
                f"{self.where}: expected a type of numbers, received {array.dtype}."
            ) from error

    def _external(
        self, tensor: onnx.TensorProto, name: str, dtype: np.dtype, shape: tuple[int, ...]
    ) -> Array:
        entries = {e.key: e.value for e in tensor.external_data}
        path = self._inside(name, entries.get("location", ""), entries.get("checksum"))
        count = math.prod(shape)
        bits = 4 if dtype.name in ("int4", "uint4", "float4_e2m1fn") else 8 * dtype.itemsize
        needed = -(-count * bits // 8)
        try:
            offset = int(entries.get("offset") or 0)
            length = int(entries.get("length") or needed)
        except ValueError:
            raise OnnxError(
                f"{self.where}: tensor {name}: expected whole numbers for offset and length of "
                f"its external data, received {entries}."
            ) from None
        size = path.stat().st_size
        if offset < 0 or length < needed or offset + needed > size or bits < 8:
            raise OnnxError(
                f"{self.where}: tensor {name}: expected {needed:,} bytes from {offset:,} in "
                f"{path.name}, received {min(length, max(0, size - offset)):,}. Fetch the file "
                "again."
            )
        if not count:
            return np.zeros(shape, dtype)
        little = dtype.newbyteorder("<") if dtype.isbuiltin == 1 else dtype
        # mapped, not read: what is never looked at is never loaded
        return np.memmap(path, little, "r", offset, shape or (1,)).reshape(shape)

    def _inside(self, name: str, location: str, checksum: str | None) -> Path:
        """The file of external data, which must lie in the model's folder."""
        if location in self.checked:
            return self.checked[location]
        if self.folder is None:
            raise OnnxError(
                f"{self.where}: tensor {name}: its data lies in the file {location!r}, but the "
                "model was not opened from a folder. Open it from its file."
            )
        folder = self.folder.resolve()
        try:
            path = (folder / location).resolve()
            outside = not path.is_relative_to(folder) or path == folder
        except (ValueError, OSError):
            outside = True
        if outside or not location or os.path.isabs(location) or "\\" in location:
            raise OnnxError(
                f"{self.where}: tensor {name}: expected its data in the model's folder, received "
                f"the path {location!r}. Nothing outside the folder is read."
            )
        if not path.is_file():
            raise OnnxError(
                f"{self.where}: tensor {name}: expected its data in the file {location}, received "
                "none of that name. Put it beside the model."
            )
        if checksum:
            self._verify(path, name, checksum)
        self.checked[location] = path
        return path

    def _verify(self, path: Path, name: str, checksum: str) -> None:
        import hashlib

        digest = hashlib.sha1(usedforsecurity=False)
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        if digest.hexdigest() != checksum.strip().lower():
            raise OnnxError(
                f"{self.where}: tensor {name}: expected the checksum {checksum} of {path.name}, "
                f"received {digest.hexdigest()}. Fetch the file again."
            )


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 160 else f"{text[:160]} …"


def load(source: str | os.PathLike[str] | bytes | onnx.ModelProto) -> ModelFile:
    """The model of a file, of bytes or as it is, in an opset from 7 on.

    Raises OnnxError: no ONNX model, damaged, no graph, or an opset that cannot be converted.
    """
    if isinstance(source, onnx.ModelProto):
        return _checked(ModelFile(source, source.graph.name or "model"))
    if isinstance(source, bytes):
        return _checked(ModelFile(_parse(source, "model"), "model"))
    path = Path(source)
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise OnnxError(f"{path}: expected an ONNX file, received a folder.")
        if size > LARGEST_FILE:
            raise OnnxError(
                f"{path}: expected at most 2 GB, the limit of one ONNX file, received {size:,} "
                "bytes. Larger models keep their weights in a second file."
            )
        content = path.read_bytes()
    except OSError as error:
        raise OnnxError(f"{path}: {reason(error, path)}") from error
    return _checked(ModelFile(_parse(content, path.name), path.name, path.parent))


def _parse(content: bytes, where: str) -> onnx.ModelProto:
    if not content:
        raise OnnxError(f"{where}: expected an ONNX model, received an empty file.")
    if content[:4] == b"PK\x03\x04":
        raise OnnxError(
            f"{where}: expected an ONNX model, received a zip archive. Unpack it, or export the "
            "model as ONNX (a .pt or .keras file is such an archive)."
        )
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except Exception as error:
        raise OnnxError(
            f"{where}: expected an ONNX model, received bytes that are none, or are cut off "
            f"({_short(error)}). Fetch the file again."
        ) from error
    return model


def _texts(model: onnx.ModelProto) -> Iterator[str | bytes]:
    """Every name in a model; one that is no text comes as bytes."""
    graph = model.graph
    yield graph.name
    for opset in model.opset_import:
        yield opset.domain
    for prop in model.metadata_props:
        yield from (prop.key, prop.value)
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)
    for entry in (*graph.input, *graph.output, *graph.value_info):
        yield entry.name
    for tensor in graph.initializer:
        yield tensor.name
        for pair in tensor.external_data:
            yield from (pair.key, pair.value)


def _checked(file: ModelFile) -> ModelFile:
    model, where = file.model, file.where
    if any(isinstance(text, bytes) for text in _texts(model)):
        raise OnnxError(
            f"{where}: expected names that are text, received other bytes. The file is damaged."
        )
    if not model.HasField("graph") or not (model.graph.node or model.graph.output):
        raise OnnxError(
            f"{where}: expected an ONNX model with a graph, received none. Is it an ONNX file?"
        )
    versions = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
    newest = onnx.defs.onnx_opset_version()
    opset = max(versions, default=0)
    if not versions:
        opset = 1 if model.ir_version < 3 else newest
        file.notes.append(f"The file names no opset; it is read as {opset}.")
    if opset > newest:
        file.notes.append(
            f"Opset {opset} is newer than the {newest} that this program knows; it is read as "
            "that one."
        )
        opset = newest
    if model.functions:
        file.model = model = _inlined(model, where)
    if 0 < opset < OLDEST_OPSET:
        from onnx import version_converter

        try:
            file.model = version_converter.convert_version(model, OLDEST_OPSET)
        except Exception as error:
            raise OnnxError(
                f"{where}: opset {opset}: expected one from {OLDEST_OPSET} on, or one that onnx "
                f"can convert, received: {_short(error)}. Export the model again."
            ) from error
        file.notes.append(f"Opset {opset} was converted to {OLDEST_OPSET} by onnx's converter.")
        opset = OLDEST_OPSET
    file.opset = max(opset, 1)
    return file


def _inlined(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    """The model with its own functions written out where they are called."""
    from onnx import inliner

    try:
        return inliner.inline_local_functions(model)
    except Exception as error:
        raise OnnxError(
            f"{where}: expected functions that can be written out, received: {_short(error)}."
        ) from error
