"""IDX files, the format of MNIST: a big-endian header, then unsigned bytes; plain or gzipped."""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import struct
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from engine.data.dataset import Dataset
from engine.data.errors import DataError
from engine.data.preprocessing import Preprocessing

IMAGES, LABELS = 2051, 2049
MAX_BYTES = 1 << 30

# MD5 of the uncompressed files: copies in circulation are compressed differently.
MNIST_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
MNIST_CREDIT = "MNIST, Y. LeCun, C. Cortes and C. J. C. Burges, licensed CC BY-SA 3.0"
# Mean and standard deviation of the 60,000 training pictures, to four digits.
MNIST_PREPROCESSING = Preprocessing((28, 28), 1, (0.1307,), (0.3081,), fit="pad")


class IdxError(DataError):
    """An IDX file that cannot be read; names the file, what was expected and what was found."""


def read_idx(path: str | os.PathLike[str], *, md5: str | None = None) -> NDArray[np.uint8]:
    """Read images, uint8 (n, rows, columns), or labels, uint8 (n,).

    md5: if given, the hash that the uncompressed file must have.
    Raises IdxError for a wrong magic number, a header or body cut short, bytes that follow the
    promised ones, a damaged gzip stream, another hash, and a file that cannot be opened.
    """
    path = Path(path)
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if zipped:
                with gzip.open(raw) as stream:
                    return _read(path, stream, md5)
            return _read(path, raw, md5)
    except FileNotFoundError:
        raise IdxError(f"{path}: no such file; check the folder") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise IdxError(f"{path}: damaged gzip file ({error}); download it again") from error
    except OSError as error:
        raise IdxError(f"{path}: could not be read ({error.strerror or error})") from error


def _read(path: Path, stream: IO[bytes] | gzip.GzipFile, md5: str | None) -> NDArray[np.uint8]:
    header = stream.read(4)
    magic = int.from_bytes(header, "big") if len(header) == 4 else None
    if magic not in (IMAGES, LABELS):
        raise IdxError(
            f"{path}: not an IDX file of images or labels: expected magic number {IMAGES} or "
            f"{LABELS}, found {f'{magic}' if magic is not None else f'{len(header)} bytes'}"
        )
    axes = magic & 0xFF
    sizes = stream.read(4 * axes)
    if len(sizes) < 4 * axes:
        raise IdxError(
            f"{path}: cut short: expected a header of {4 + 4 * axes} bytes, "
            f"found {4 + len(sizes)}; download it again"
        )
    shape = struct.unpack(f">{axes}I", sizes)
    promised = math.prod(shape)
    if promised > MAX_BYTES:
        raise IdxError(
            f"{path}: its header promises {shape}, {promised:,} bytes; at most {MAX_BYTES:,} are "
            "read; the file is probably damaged"
        )
    body = _at_most(stream, promised + 1)
    if len(body) < promised:
        raise IdxError(
            f"{path}: cut short: its header promises {shape}, {promised:,} bytes, "
            f"found {len(body):,}; download it again"
        )
    if len(body) > promised:
        raise IdxError(
            f"{path}: bytes follow the {promised:,} that its header promises {shape}; "
            "the header or the file is wrong; download it again"
        )
    if md5 is not None:
        found = hashlib.md5(header + sizes, usedforsecurity=False)
        found.update(body)
        if found.hexdigest() != md5:
            raise IdxError(
                f"{path}: another file of that name: expected MD5 {md5}, "
                f"found {found.hexdigest()}; download it again, or read it without the check"
            )
    return np.frombuffer(body, np.uint8).reshape(shape)


def _at_most(stream: IO[bytes] | gzip.GzipFile, count: int) -> bytes:
    """Up to `count` bytes, in pieces: a false header must not reserve what is not there."""
    pieces, missing = [], count
    while missing and (piece := stream.read(min(missing, 1 << 22))):
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)


def read_pair(
    images: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    *,
    name: str,
    classes: tuple[str, ...],
    preprocessing: Preprocessing,
    credit: str = "",
    md5: tuple[str | None, str | None] = (None, None),
) -> Dataset:
    """A data set from an IDX file of images and one of labels. Raises IdxError, DataError."""
    pictures, answers = read_idx(images, md5=md5[0]), read_idx(labels, md5=md5[1])
    if pictures.ndim != 3:
        raise IdxError(f"{images}: expected images (magic number {IMAGES}), found labels")
    if answers.ndim != 1:
        raise IdxError(f"{labels}: expected labels (magic number {LABELS}), found images")
    if len(pictures) != len(answers):
        raise IdxError(
            f"{images} has {len(pictures):,} images but {labels} {len(answers):,} labels; "
            "expected one label per image; use two files that belong together"
        )
    return Dataset(
        name, pictures[:, None], answers.astype(np.int64), classes, preprocessing, credit
    )


def mnist(folder: str | os.PathLike[str], *, verify: bool = True) -> tuple[Dataset, Dataset]:
    """(train, test): MNIST's 60,000 and 10,000 pictures, uint8 (N, 1, 28, 28), light on dark.

    folder holds the four files under their original names, plain or with .gz. verify compares
    each with MNIST's hash, so that Fashion-MNIST, which uses the same names, is not taken for it.
    Raises IdxError naming the file.
    """
    folder = Path(folder)
    parts: list[Any] = []
    for prefix, part in (("train", "train"), ("t10k", "test")):
        names = f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte"
        parts.append(
            read_pair(
                _plain_or_gz(folder, names[0]),
                _plain_or_gz(folder, names[1]),
                name=f"MNIST, {part}",
                classes=tuple("0123456789"),
                preprocessing=MNIST_PREPROCESSING,
                credit=MNIST_CREDIT,
                md5=(MNIST_MD5[names[0]], MNIST_MD5[names[1]]) if verify else (None, None),
            )
        )
    return parts[0], parts[1]


def _plain_or_gz(folder: Path, name: str) -> Path:
    for candidate in (folder / name, folder / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    raise IdxError(
        f"{folder}: has neither {name} nor {name}.gz; expected MNIST's four IDX files there"
    )
