"""Image files in and out, and the size and grey conversions that every input goes through."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data.errors import DataError

# Pillow is imported where it is used: the first picture of the program needs no image file.

FORMATS = ("PNG", "JPEG", "PPM", "BMP", "GIF", "WEBP", "TIFF")
MAX_PIXELS = 64_000_000


class ImageError(DataError):
    """An image file that cannot be read or written; names the file and what to do."""


def read_image(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read a picture as (1, H, W) grey or (3, H, W) red, green, blue.

    PNG, JPEG, PGM and PPM, BMP, GIF (its first frame), WebP and TIFF give uint8; turned upright
    as its camera noted, transparency laid over white, 16-bit grey brought to 8. A .npy file with
    uint8 or floats in [0, 1], of shape (H, W), (1, H, W), (3, H, W) or (H, W, 3), comes back with
    its dtype (floats as float32). Raises ImageError, never another exception, for anything else.
    """
    path = Path(path)
    try:
        # Opened here, so that a folder or a missing file is told from one that is no picture.
        with path.open("rb") as file:
            if file.read(6) == b"\x93NUMPY":
                file.seek(0)
                return _from_npy(path, file)
            file.seek(0)
            return _from_picture(path, file)
    except FileNotFoundError:
        raise ImageError(f"{path.name}: no such file; check the name") from None
    except IsADirectoryError:
        raise ImageError(f"{path.name or path}: is a folder; expected an image file") from None
    except PermissionError:
        raise ImageError(f"{path.name}: may not be read; check its permissions") from None
    except OSError as error:
        raise ImageError(
            f"{path.name}: could not be read ({error.strerror or error}); try a copy of it"
        ) from error


def _from_npy(path: Path, file: Any) -> NDArray[Any]:
    try:
        array = np.load(file, allow_pickle=False)
    except (ValueError, EOFError, OSError, MemoryError) as error:
        raise ImageError(
            f"{path.name}: damaged or unsafe .npy file ({error}); expected a saved array of numbers"
        ) from error
    if array.ndim == 2:
        array = array[None]
    elif array.ndim == 3 and array.shape[0] not in (1, 3) and array.shape[2] == 3:
        array = np.moveaxis(array, 2, 0)
    if array.ndim != 3 or array.shape[0] not in (1, 3) or 0 in array.shape:
        raise ImageError(
            f"{path.name}: array of shape {array.shape}; expected (height, width), "
            "(1, height, width), (3, height, width) or (height, width, 3)"
        )
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    # A negated test, so that NaN is refused too.
    if array.dtype.kind != "f" or not (array.min() >= 0 and array.max() <= 1):
        raise ImageError(
            f"{path.name}: {array.dtype} values; expected uint8 (0 to 255) or floats in [0, 1]; "
            "convert it before saving"
        )
    return np.ascontiguousarray(array, np.float32)


def _from_picture(path: Path, file: Any) -> NDArray[np.uint8]:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # Our own limit below is stricter than the one that Pillow warns about.
            warnings.simplefilter("ignore")
            with Image.open(file, formats=FORMATS) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise ImageError(
                        f"{path.name}: {picture.width} x {picture.height} pixels; at most "
                        f"{MAX_PIXELS:,} are read; make it smaller"
                    )
                picture.load()
                upright = ImageOps.exif_transpose(picture)
                return _to_array(upright)
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError(
            f"{path.name}: not a picture ({_what_it_holds(path)}); "
            "expected PNG, JPEG, PGM, PPM, BMP, GIF, WebP, TIFF or .npy"
        ) from None
    except Image.DecompressionBombError:
        raise ImageError(
            f"{path.name}: far too many pixels; at most {MAX_PIXELS:,} are read; make it smaller"
        ) from None
    except Exception as error:
        raise ImageError(
            f"{path.name}: damaged or cut short; expected a whole picture; "
            "export or download it again"
        ) from error


def _to_array(picture: Any) -> NDArray[np.uint8]:
    """A loaded Pillow image of any mode as uint8 (1 or 3, H, W)."""
    from PIL import Image

    if picture.mode.startswith("I"):
        # 16-bit grey (Pillow's own conversion to 8 bits clips it instead of scaling).
        wide = np.clip(np.asarray(picture).astype(np.int64), 0, 65535)
        return ((wide + 128) // 257).astype(np.uint8)[None]
    if picture.mode == "F":
        return np.clip(np.rint(np.nan_to_num(np.asarray(picture))), 0, 255).astype(np.uint8)[None]
    if picture.has_transparency_data:
        above = picture.convert("RGBA")
        paper = Image.new("RGBA", above.size, "white")
        flat = Image.alpha_composite(paper, above).convert("RGB")
        picture = flat.convert("L") if picture.mode in ("L", "LA", "La", "1") else flat
    if picture.mode in ("1", "L"):
        return np.array(picture.convert("L"))[None]
    return np.ascontiguousarray(np.moveaxis(np.asarray(picture.convert("RGB")), 2, 0))


def _what_it_holds(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        return "the file is empty"
    text = all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head)
    return "the file holds text" if text else "the file is of a kind that is not read"


def resize(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Float32 (C, H, W) to (C, *size): along an axis that shrinks, area averages, else bilinear.

    An area average keeps the mean exactly. (Pillow's box filter gives a pixel that two results
    share wholly to one of them, so that a mirrored picture would not give a mirrored result.)
    """
    if values.shape[1:] == tuple(size):
        return values
    rows, columns = _weights(values.shape[1], size[0]), _weights(values.shape[2], size[1])
    # Rounding may leave the range of the picture by an ulp.
    return np.clip(rows @ values @ columns.T, values.min(), values.max())


def _weights(before: int, after: int) -> NDArray[np.float32]:
    """Float32 (after, before): how much of each old pixel goes into a new one; rows sum to 1."""
    old, new = np.arange(before), np.arange(after)[:, None]
    if after < before:
        scale = before / after
        ends = np.minimum(old + 1, (new + 1) * scale) - np.maximum(old, new * scale)
        overlap = np.maximum(ends, 0) / scale
    else:
        # Where each new centre falls among the old ones; beyond the last, the edge repeats.
        centre = np.clip((new + 0.5) * before / after - 0.5, 0, before - 1)
        overlap = np.maximum(1 - np.abs(centre - old), 0)
    return overlap.astype(np.float32)


def to_grey(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(1 or 3, H, W) to (H, W), by the luma of Rec. 601: .299 red + .587 green + .114 blue."""
    if values.shape[0] == 1:
        return values[0]
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    grey: NDArray[np.float32] = np.tensordot(weights, values, 1)
    # Rounding may pass 1 by an ulp, which would no longer be a picture in [0, 1].
    return np.minimum(grey, np.float32(1))
