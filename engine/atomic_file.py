"""Files are replaced whole or not at all: a failed or killed save leaves the old file as it was."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary file to write to, which becomes ``path`` when the block ends without an error.

    Written under a temporary name in the same folder, flushed to the disk, then renamed; on any
    error the temporary is removed and ``path`` is untouched. A link is followed, and the mode of
    an existing file is kept. Raises OSError; :func:`reason` puts it into words.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    # Not mkstemp: its mode 0600 would make a shared file private.
    temporary = target.with_name(f".{secrets.token_hex(6)}.part")
    handle = os.open(
        temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666
    )
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(OSError):
            shutil.copymode(target, temporary)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _flush_folder(target.parent)


def _flush_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut, where the system offers that."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def reason(error: OSError, path: str | os.PathLike[str]) -> str:
    """Expected, received and what to do, for a file that could not be read or written."""
    folder = Path(path).parent
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return "expected room on the disk, received none. Free some space or save elsewhere."
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return (
                f"expected permission for the file in {folder}, received {error.strerror}. "
                "Choose another folder."
            )
        case errno.ENOENT | errno.ENOTDIR if not folder.is_dir():
            return f"expected the folder {folder}, received none. Create it or choose another."
        case errno.ENOENT:
            return "expected a file, received none of that name. Check the name."
        case errno.EISDIR:
            return "expected a file, received a folder of that name. Choose another name."
        case errno.ENAMETOOLONG:
            return "expected a shorter name, received one that the disk refuses. Shorten it."
    return (
        f"expected a file that can be used, received: {error.strerror or error}. "
        "Choose another place."
    )
