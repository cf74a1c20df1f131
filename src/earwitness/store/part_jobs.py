"""The seam between what is to be built and who builds it.

A job names a part to be made, or rows of a part to be tried again. An engine takes jobs and sees to it that each
part is committed: `local.make_parts` does so with the processes of this machine. What travels back is counts.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from earwitness.front_end import FrontEnd
from earwitness.parallel import Failure
from earwitness.places import Place
from earwitness.store.decoded import DecodedClip
from earwitness.store.parts import Append, PartCounts, change_part, write_part
from earwitness.store.settings import DecodeSettings

Result = DecodedClip | Failure
"""What became of a clip."""


@dataclass(frozen=True)
class PartJob:
    """All that a process on any machine needs to know to make a part."""

    data_folder: Place
    """Where the parts lie."""
    part: int
    rows: pa.Table
    """Rows of the manifest."""
    label_indices: Sequence[Sequence[int]]
    """For each row."""
    front_end: FrontEnd
    places: tuple[int, ...] | None = None
    """The rows to decode, in a part that is there already; None: all of one that is not."""
    writer: str = ""
    """Who makes the part, where several processes may at a time; see `files.replacing`."""

    def commit(self, results: Mapping[int, Result], append_frames: Callable[[int, Append], None]) -> None:
        """Write the part, once something became of all rows to decode; see `parts.write_part`."""
        if self.places is None:
            write_part(
                self.data_folder,
                self.part,
                rows=self.rows,
                label_indices=self.label_indices,
                results=[results[place] for place in range(self.rows.num_rows)],
                append_frames=append_frames,
                num_bands=self.front_end.num_bands,
                writer=self.writer,
            )
        else:
            change_part(
                self.data_folder,
                self.part,
                {place: results[place] for place in self.places},
                label_indices=self.label_indices,
                append_frames=append_frames,
                num_bands=self.front_end.num_bands,
                writer=self.writer,
            )


Engine = Callable[[Iterable[PartJob], Path, DecodeSettings], Generator[PartCounts, None, None]]
"""Called as `engine(jobs, spool_folder, settings)`: makes and commits the parts, and yields counts of the rows that are
done, as often as it likes. Jobs are taken as they are needed. Below `spool_folder` it may keep what it likes while it
works. When it ends, every job is committed; when it is closed, it stops at once.
"""


def counts_of(result: Result) -> PartCounts:
    """The counts of one row."""
    if isinstance(result, Failure):
        return PartCounts(num_rows=1, failures={result.kind: 1}, reasons={result.kind: result.message})
    return PartCounts(
        num_rows=1,
        num_warned=int(bool(result.warnings)),
        num_frames=result.num_frames,
        num_samples=result.num_samples,
    )
