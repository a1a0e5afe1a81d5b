"""The numbers that were asked about, in order, and where one stands: Back and Forward."""

from __future__ import annotations

from collections.abc import Callable

from engine.explain import Place

LONGEST = 500


class Trail:
    """Like a browser's history: going somewhere forgets what one had gone back from.

    ``stands`` says whether a place is still part of the network; others are passed over.
    """

    def __init__(self, stands: Callable[[Place], bool] = lambda _: True) -> None:
        self._places: list[Place] = []
        self._at = -1
        self._stands = stands

    def clear(self) -> None:
        """Forget everything."""
        self._places, self._at = [], -1

    @property
    def here(self) -> Place | None:
        """The place that was gone to last."""
        return self._places[self._at] if self._at >= 0 else None

    @property
    def way(self) -> tuple[Place, ...]:
        """The places that led here, each reached by a term of the one before."""
        start = self._at
        while start > 0 and self._places[start].followed:
            start -= 1
        return tuple(self._places[max(0, start) : self._at + 1])

    def visit(self, place: Place) -> None:
        """Go to a place; where one is already, nothing changes."""
        here = self.here
        if here is not None and (here.source, here.direction) == (place.source, place.direction):
            return
        self._places = [*self._places[: self._at + 1], place][-LONGEST:]
        self._at = len(self._places) - 1

    def rename(self, place: Place) -> None:
        """The place here has another name now."""
        if self._at >= 0:
            self._places[self._at] = place

    def earlier(self) -> int | None:
        """Where Back leads."""
        return next((i for i in range(self._at - 1, -1, -1) if self._stands(self._places[i])), None)

    def later(self) -> int | None:
        """Where Forward leads."""
        further = range(self._at + 1, len(self._places))
        return next((i for i in further if self._stands(self._places[i])), None)

    def go(self, number: int) -> None:
        """Stand at a place of the trail, as ``earlier`` or ``later`` named it."""
        self._at = number
