"""Tiles: the scores of a folder, range by range of rows, to be read by label and by clip.

    tiles/00000.npy, ...   float [labels, rows of the range]: one label's scores of the range after another's

So some labels of all rows are one stretch of each file, and some rows of all labels are one file. A tile is written
whole under a temporary name and renamed: a tile that is there is finished, and may be written again only by the same.
What is not as long as it must be was cut off by something else, and is noticed before anything is read.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from earwitness.errors import ScoreError
from earwitness.files import PARTIAL_SUFFIX
from earwitness.places import listing
from earwitness.scoring.score_header import ScoresHeader
from earwitness.store.files import npy_header_bytes, replacing_npy
from earwitness.store.lease import is_running

TILES_FOLDER = "tiles"

_LARGEST_TILE_BYTES = 64 * 2**20
_LARGEST_TILE_ROWS = 4_096
_LEAST_TILE_PATCHES = 2_048
"""32 whole batches: the smaller ones that are left over at a range's end do not count then."""
_MOST_LOST = 1 / 64
"""Of the work, when it is killed, as far as the other limits allow."""


def tile_rows_for(*, num_rows: int, num_patches: int, num_labels: int) -> int:
    """Rows of a tile, a power of two: as few as keep batches whole, and no more than memory and reading like."""
    by_patches = _LEAST_TILE_PATCHES * num_rows / max(num_patches, 1)
    wanted = max(num_rows * _MOST_LOST, by_patches, 1.0)
    most = max(1, min(_LARGEST_TILE_ROWS, _LARGEST_TILE_BYTES // (4 * num_labels)))
    return 1 << min(int(np.ceil(np.log2(wanted))), most.bit_length() - 1)


def tile_path(folder: Path, tile: int) -> Path:
    """The file of a tile."""
    return folder / TILES_FOLDER / f"{tile:05d}.npy"


def tile_bytes(header: ScoresHeader, tile: int) -> int:
    """How long the file of a tile must be."""
    num_rows = len(header.rows_of(tile))
    data_bytes = len(header.label_set) * num_rows * np.dtype(header.dtype).itemsize
    return npy_header_bytes(header.dtype, (num_rows,)) + data_bytes


def finished_tiles(folder: Path, header: ScoresHeader) -> list[int]:
    """The tiles that are there, ascending; not those that were cut off."""
    sizes = listing(folder / TILES_FOLDER)
    return [n for n in range(header.num_tiles) if sizes.get(tile_path(folder, n).name) == tile_bytes(header, n)]


def is_finished(folder: Path, header: ScoresHeader, tile: int) -> bool:
    """Whether a tile is there, whole."""
    path = tile_path(folder, tile)
    return path.exists() and path.stat().st_size == tile_bytes(header, tile)


def require_all_tiles(folder: Path, header: ScoresHeader) -> None:
    """Refuse scores that are not all there.

    Raises:
        ScoreError: the scoring has not ended, or a tile was cut off.
    """
    sizes = listing(folder / TILES_FOLDER)
    missing = [n for n in range(header.num_tiles) if tile_path(folder, n).name not in sizes]
    if missing:
        raise ScoreError(
            f"{folder}: the scores are unfinished ({header.num_tiles - len(missing)} of {header.num_tiles} ranges of "
            "clips are there); run the same command again, or the shards that are missing"
        )
    for tile in range(header.num_tiles):
        path, expected = tile_path(folder, tile), tile_bytes(header, tile)
        if sizes[path.name] != expected:
            raise ScoreError(
                f"{path}: damaged, it has {sizes[path.name]:,} bytes of {expected:,}; the command that made the scores "
                "makes this file again"
            )


def write_tile(folder: Path, header: ScoresHeader, tile: int, scores: npt.NDArray[Any]) -> None:
    """Put a tile [labels, rows] in its place; several processes may do so at a time.

    Raises:
        OSError: it cannot be written.
    """
    assert scores.shape == (len(header.label_set), len(header.rows_of(tile)))
    with replacing_npy(
        tile_path(folder, tile), dtype=header.dtype, row_shape=scores.shape[1:], writer=_writer()
    ) as append:
        append(scores)


@contextmanager
def writing_by_label(folder: Path, header: ScoresHeader) -> Iterator["Append"]:
    """Write all tiles at a time; what it gives takes the scores of the next labels, [labels, rows], of all rows.

    Raises:
        OSError: they cannot be written.
    """
    with ExitStack() as stack:
        appends = [
            stack.enter_context(
                replacing_npy(
                    tile_path(folder, tile),
                    dtype=header.dtype,
                    row_shape=(len(header.rows_of(tile)),),
                    writer=_writer(),
                )
            )
            for tile in range(header.num_tiles)
        ]

        def append(scores: npt.NDArray[Any]) -> None:
            for tile, append_rows in enumerate(appends):
                rows = header.rows_of(tile)
                append_rows(scores[:, rows.start : rows.stop])

        yield append


class Append(Protocol):
    """Takes scores [labels, rows]."""

    def __call__(self, scores: npt.NDArray[Any], /) -> None: ...


def remove_orphans(folder: Path) -> None:
    """Remove what processes of this machine that were killed have left of tiles."""
    for path in (folder / TILES_FOLDER).glob(f"*.{socket.gethostname()}-*{PARTIAL_SUFFIX}"):
        pid = path.name.removesuffix(PARTIAL_SUFFIX).rpartition("-")[2]
        if pid.isdecimal() and not is_running(int(pid)):
            path.unlink(missing_ok=True)


def remove_tiles(folder: Path) -> None:
    """Remove all tiles."""
    for path in (folder / TILES_FOLDER).glob("*.npy"):
        path.unlink(missing_ok=True)


def _writer() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


class TiledScores:
    """The scores of a folder, read block by block: a `ScoreSource`. Holds the blocks it gives, and one tile."""

    def __init__(self, folder: Path, header: ScoresHeader, rows: npt.NDArray[np.int64] | None = None) -> None:
        """Prepare to read.

        Args:
            folder: of scores that are all there.
            header: theirs.
            rows: ascending; the rows to be seen. None: all.
        """
        self._folder, self._header = folder, header
        self._rows = np.arange(header.num_rows, dtype=np.int64) if rows is None else rows
        self._borders = np.searchsorted(
            self._rows, np.minimum(np.arange(header.num_tiles + 1) * header.tile_rows, header.num_rows)
        )
        """Where the rows of each tile begin among those seen."""
        self._last: tuple[int, npt.NDArray[Any]] | None = None

    @property
    def num_clips(self) -> int:
        """Rows."""
        return len(self._rows)

    @property
    def num_labels(self) -> int:
        """Labels."""
        return len(self._header.label_set)

    def label_block(self, first: int, stop: int) -> npt.NDArray[Any]:
        """[labels of the block, rows], C-contiguous, of the labels [first, stop).

        Raises:
            ScoreError: a tile cannot be read.
        """
        block = np.empty((stop - first, self.num_clips), dtype=self._header.dtype)
        for tile in range(self._header.num_tiles):
            start, end = self._borders[tile], self._borders[tile + 1]
            if start < end:
                block[:, start:end] = self._seen(tile, self._read(tile, first, stop), start, end)
        return block

    def clip_block(self, first: int, stop: int) -> npt.NDArray[Any]:
        """[rows of the block, labels] of the rows [first, stop); a view where they lie in one tile.

        Raises:
            ScoreError: a tile cannot be read.
        """
        tiles = range(
            int(np.searchsorted(self._borders, first, side="right")) - 1,
            int(np.searchsorted(self._borders, stop, side="left")),
        )
        blocks = []
        for tile in tiles:
            start, end = max(first, self._borders[tile]), min(stop, self._borders[tile + 1])
            if start < end:
                blocks.append(self._seen(tile, self._whole(tile), start, end).T)
        if len(blocks) == 1:
            return blocks[0]
        return np.concatenate(blocks) if blocks else np.empty((0, self.num_labels), dtype=self._header.dtype)

    def _seen(self, tile: int, scores: npt.NDArray[Any], start: int, stop: int) -> npt.NDArray[Any]:
        """Of [labels, rows of the tile], those of the rows seen from `start` to `stop`; a view if none is missing."""
        columns = self._rows[start:stop] - tile * self._header.tile_rows
        first, last = int(columns[0]), int(columns[-1])
        return scores[:, first : last + 1] if last - first == stop - start - 1 else scores[:, columns]

    def _whole(self, tile: int) -> npt.NDArray[Any]:
        """A tile, kept until another one is asked for: blocks of clips that follow one another often lie in one."""
        if self._last is None or self._last[0] != tile:
            self._last = None  # let go of it before the next one comes
            self._last = (tile, self._read(tile, 0, self.num_labels))
        return self._last[1]

    def _read(self, tile: int, first: int, stop: int) -> npt.NDArray[Any]:
        """[labels, rows of the tile] of the labels [first, stop)."""
        num_rows = len(self._header.rows_of(tile))
        dtype = np.dtype(self._header.dtype)
        offset = npy_header_bytes(dtype, (num_rows,)) + first * num_rows * dtype.itemsize
        path = tile_path(self._folder, tile)
        try:
            scores = np.fromfile(path, dtype, (stop - first) * num_rows, offset=offset)
        except OSError as error:
            raise ScoreError(f"{path}: cannot be read ({error.strerror or error})") from error
        if len(scores) != (stop - first) * num_rows:
            raise ScoreError(f"{path}: it ends too early; the command that made the scores makes this file again")
        return scores.reshape(stop - first, num_rows)
