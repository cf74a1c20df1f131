"""Long tables made small enough to draw, while they stream by and in constant memory.

Rows in time (frames, or patch scores) are pooled into columns of a picture. When the columns are full, they
are joined in pairs and from then on each takes twice the rows. So all columns are equally long (but the
last), and how the rows were cut into blocks does not change which rows a column pools.
"""

from typing import Any

import numpy as np
import numpy.typing as npt


class _PooledColumns:
    """Pools rows [rows, values] into at most `max_columns` columns, once full never fewer than half of
    that.
    """

    def __init__(self, *, max_columns: int, join: np.ufunc, dtype: npt.DTypeLike) -> None:
        if max_columns < 2 or max_columns % 2:
            raise ValueError(f"max_columns={max_columns} must be even and positive")
        self.rows_per_column = 1
        """Rows pooled in each column; the last column may hold fewer."""
        self.num_rows = 0
        """Rows pushed so far."""
        self._max_columns = max_columns
        self._join = join
        self._dtype = dtype
        self._joined: npt.NDArray[Any] | None = None  # [max_columns, values]

    def push(self, rows: npt.NDArray[Any]) -> None:
        """Add the next rows [rows, values] in time, any number of them."""
        if self._joined is None:
            self._joined = np.empty((self._max_columns, rows.shape[1]), dtype=self._dtype)
        while len(rows):
            if self.num_rows == self._max_columns * self.rows_per_column:
                self._join_pairs(self._joined)
            full, filled = divmod(self.num_rows, self.rows_per_column)
            if filled or len(rows) < self.rows_per_column:
                taken = min(self.rows_per_column - filled, len(rows))
                pooled = self._join.reduce(rows[:taken], axis=0, dtype=self._dtype)
                self._joined[full] = self._join(self._joined[full], pooled) if filled else pooled
            else:
                columns = min(len(rows) // self.rows_per_column, self._max_columns - full)
                taken = columns * self.rows_per_column
                grouped = rows[:taken].reshape(columns, self.rows_per_column, -1)
                self._join.reduce(grouped, axis=1, dtype=self._dtype, out=self._joined[full : full + columns])
            self.num_rows += taken
            rows = rows[taken:]

    @property
    def first_rows(self) -> npt.NDArray[np.int64]:
        """int64 [columns]: the number of the row that each column begins with."""
        return np.arange(0, self.num_rows, self.rows_per_column, dtype=np.int64)

    def _filled(self) -> npt.NDArray[Any]:
        """The joined rows of every column [columns, values], the unfinished last one included."""
        if self._joined is None:
            return np.empty((0, 0), dtype=self._dtype)
        return self._joined[: len(self.first_rows)]

    def _join_pairs(self, joined: npt.NDArray[Any]) -> None:
        half = self._max_columns // 2
        joined[:half] = self._join(joined[0::2], joined[1::2])
        self.rows_per_column *= 2


class SpectrogramPicture(_PooledColumns):
    """Log-mel frames [frames, bands], averaged: more columns than a picture has pixels across."""

    def __init__(self, *, max_columns: int = 2048) -> None:
        super().__init__(max_columns=max_columns, join=np.add, dtype=np.float64)

    @property
    def columns(self) -> npt.NDArray[np.float64]:
        """float64 [columns, bands]: means of the frames."""
        counts = np.diff(self.first_rows, append=self.num_rows)
        means: npt.NDArray[np.float64] = self._filled() / counts[:, np.newaxis]
        return means


class ScoreCurves(_PooledColumns):
    """Patch scores [patches, labels] by their maximum, so that no peak is lost."""

    def __init__(self, *, max_columns: int = 1024) -> None:
        super().__init__(max_columns=max_columns, join=np.maximum, dtype=np.float32)

    @property
    def columns(self) -> npt.NDArray[np.float32]:
        """float32 [columns, labels]: maxima of the patches."""
        maxima: npt.NDArray[np.float32] = self._filled().copy()
        return maxima
