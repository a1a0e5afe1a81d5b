"""One element of one tensor: the value that every view marks as the focus."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """An element of the tensor at output ``port`` of ``node``, without the batch axis.

    ``index`` is (channel, row, column) for a feature map, (feature,) for a vector, and the full
    index without its first axis for any other rank. The batch sample is chosen for the whole run,
    not per cell.
    """

    node: str
    port: int
    index: tuple[int, ...]

    @property
    def channel(self) -> int:
        """The channel of a map, the feature of a vector; 0 for a scalar."""
        return self.index[0] if self.index else 0

    @property
    def row(self) -> int:
        """The row of a map; 0 where the tensor has none."""
        return self.index[-2] if len(self.index) >= 3 else 0

    @property
    def column(self) -> int:
        """The column of a map; 0 where the tensor has none."""
        return self.index[-1] if len(self.index) >= 3 else 0

    def __str__(self) -> str:
        port = f":{self.port}" if self.port else ""
        return f"{self.node}{port}[{', '.join(map(str, self.index))}]"
