"""Two or more threads that share the work of one operation, and BLAS's own threads meanwhile.

NumPy lets go of Python's lock while it computes, so threads of Python share an operation that
consists of some large calls. A hand-over costs some hundredths of a millisecond.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")
WORTH = 150_000
"""Nanoseconds of work for which a hand-over pays."""


class Workers:
    """``count`` threads, the caller's own among them; the others start when they are first needed.

    They end with :meth:`close`, or when nothing refers to this object any more.
    """

    def __init__(self, count: int = 1) -> None:
        if count < 1:
            raise ValueError(f"Threads: expected at least 1, received {count}.")
        self.count = count
        self._tasks: list[SimpleQueue[Callable[[], None] | None]] = []
        self._done: SimpleQueue[BaseException | None] = SimpleQueue()
        self._end: Callable[[], object] | None = None

    def worth(self, nanoseconds: float) -> Workers:
        """These workers for so much work, or the caller alone where it is too little."""
        return self if self.count == 1 or nanoseconds >= WORTH else ALONE

    def each(self, work: Callable[[T], object], items: Sequence[T]) -> None:
        """Call ``work`` with every item, neighbouring ones in the same thread.

        Raises what the first failing call raised, when all threads are done.
        """
        shares = split(items, self.count)
        if len(shares) < 2:
            for item in items:
                work(item)
            return
        self._start()

        def task(share: Sequence[T]) -> Callable[[], None]:
            def run() -> None:
                for item in share:
                    work(item)

            return run

        with single_blas():
            for queue, share in zip(self._tasks, shares[1:], strict=False):
                queue.put(task(share))
            failure: BaseException | None = None
            try:
                task(shares[0])()
            except BaseException as error:  # the others must be waited for all the same
                failure = error
            for _ in shares[1:]:
                failure = self._done.get() or failure
        if failure is not None:
            raise failure

    def _start(self) -> None:
        if self._tasks:
            return
        threads = []
        for number in range(1, self.count):
            queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
            thread = threading.Thread(
                target=_serve, args=(queue, self._done), name=f"worker-{number}", daemon=True
            )
            thread.start()
            self._tasks.append(queue)
            threads.append(thread)
        self._end = weakref.finalize(self, _end, list(self._tasks), threads)

    def close(self) -> None:
        """End the threads; more work starts new ones."""
        if self._end is not None:
            self._end()
        self._tasks, self._end = [], None


def split(items: Sequence[T], count: int) -> list[Sequence[T]]:
    """Up to ``count`` parts of neighbours, as equal as can be."""
    count = min(count, len(items))
    bounds = [len(items) * i // count for i in range(count + 1)] if count else []
    return [items[a:b] for a, b in pairwise(bounds)]


def slices_of(count: int, workers: Workers) -> list[slice]:
    """Of so many rows, those of each thread."""
    return [slice(s[0], s[-1] + 1) for s in split(range(count), workers.count)]


def _serve(
    tasks: SimpleQueue[Callable[[], None] | None], done: SimpleQueue[BaseException | None]
) -> None:
    while (task := tasks.get()) is not None:
        try:
            task()
        except BaseException as error:
            done.put(error)
        else:
            done.put(None)
        del task  # what it refers to must not wait for the next one


def _end(
    queues: list[SimpleQueue[Callable[[], None] | None]], threads: list[threading.Thread]
) -> None:
    for queue in queues:
        queue.put(None)
    for thread in threads:
        if thread is not threading.current_thread():
            thread.join()


ALONE = Workers()
"""Only the caller."""


@cache
def _blas() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """Functions of NumPy's own OpenBLAS that read and set its number of threads, if found."""
    package = Path(np.__file__).parent
    for folder in (package.parent / "numpy.libs", package / ".dylibs"):
        for path in sorted(folder.glob("*openblas*")):
            try:
                library: Any = ctypes.CDLL(str(path))
            except OSError:
                continue
            for prefix, suffix in (("scipy_", "64_"), ("", "64_"), ("scipy_", ""), ("", "")):
                names = [f"{prefix}openblas_{verb}_num_threads{suffix}" for verb in ("get", "set")]
                if all(hasattr(library, name) for name in names):
                    get, put = (getattr(library, name) for name in names)
                    get.restype, get.argtypes = ctypes.c_int, []
                    put.restype, put.argtypes = None, [ctypes.c_int]
                    return get, put
    return None


def blas_threads() -> int | None:
    """How many threads BLAS has now; None where it does not say."""
    found = _blas()
    return None if found is None else found[0]()


def controls_blas() -> bool:
    """Whether the number of BLAS threads can be set; without, workers would get in its way."""
    return _blas() is not None


@contextmanager
def single_blas() -> Iterator[None]:
    """BLAS on one thread, and then on as many as before."""
    found = _blas()
    before = found[0]() if found else 1
    if found is None or before == 1:
        yield
        return
    found[1](1)
    try:
        yield
    finally:
        found[1](before)
