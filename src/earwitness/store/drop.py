"""Clips taken out of a store: their rows go to the failures as `dropped`, at once out of sight of every reader.

So each row of the manifest is still in one of two places. Their frames stay on the disk until the store is compacted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from earwitness.errors import StoreError
from earwitness.parallel import Failure
from earwitness.places import Place, place
from earwitness.store.complete import begin_change, finish_store, held_store
from earwitness.store.parts import change_part, read_rows
from earwitness.store.read import Store


@dataclass(frozen=True, kw_only=True)
class DropSummary:
    """What was dropped."""

    num_dropped: int
    num_before: int
    """Clips asked for that had been dropped before."""
    num_left: int
    """Clips that the store still holds."""


def drop_clips(folder: str | Place, *, where: str | None = None, clip_ids: Sequence[str] = ()) -> DropSummary:
    """Drop clips from a store.

    Args:
        folder: the store.
        where: drop clips for which this SQL condition holds.
        clip_ids: drop these clips, be they stored or failed.

    Raises:
        SelectionError: the condition cannot be evaluated, or holds for no clip.
        StoreError: a clip is not in the store; or there is no store, another process holds it, or it cannot be
            written.
    """
    folder = place(folder)
    with held_store(folder) as header:
        data_folder = folder / header.data_folder
        wanted, reason = list(clip_ids), "dropped by a list of clips"
        if where is not None:
            store = Store.open(folder)
            wanted = [*wanted, *store.read_clips(["clip_id"])["clip_id"].take(store.select(where)).to_pylist()]
            reason = f"dropped by --where {where!r}"
        ids = pa.array(wanted, pa.string())
        found, num_before, places = set[str](), 0, dict[int, list[int]]()
        for part in range(header.num_parts):
            rows = read_rows(data_folder, part, ["clip_id", "failure_kind"])
            asked = pc.is_in(rows["clip_id"], value_set=ids)
            is_new = pc.and_(asked, pc.fill_null(pc.not_equal(rows["failure_kind"], "dropped"), True))
            found.update(rows["clip_id"].filter(asked).to_pylist())
            num_before += pc.sum(asked, min_count=0).as_py() - pc.sum(is_new, min_count=0).as_py()
            if new := pc.indices_nonzero(is_new).to_pylist():
                places[part] = new
        if unknown := [clip_id for clip_id in wanted if clip_id not in found]:
            count = f"{len(unknown)} of {len(wanted)} clips"
            raise StoreError(f"{folder}: {count} are not in it, nothing was dropped; the first: {unknown[0]!r}")
        if places:
            header = begin_change(folder, header)
            for part, new in places.items():
                results = dict.fromkeys(new, Failure("dropped", reason))
                change_part(data_folder, part, results, num_bands=header.front_end.num_bands)
            header = finish_store(folder, header)
        assert header.totals is not None
        return DropSummary(
            num_dropped=sum(map(len, places.values())), num_before=num_before, num_left=header.totals.num_clips
        )
