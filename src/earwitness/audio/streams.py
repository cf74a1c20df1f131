"""What the streams of this room have in common: blocks one after the other, from something that is to be closed."""

from collections.abc import Generator, Iterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

Sample = TypeVar("Sample", bound=np.floating[Any])


class BlockStream(Iterator[NDArray[Sample]], Generic[Sample]):
    """An iterator over arrays, and a context manager. Subclasses set `_blocks` and extend `close`."""

    _blocks: Generator[NDArray[Sample], None, None]

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> NDArray[Sample]:
        return next(self._blocks)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close what is read from, which the last block does too; further blocks do not come."""
        self._blocks.close()
