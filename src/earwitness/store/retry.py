"""Clips that failed, tried again: those that give sound now are stored, the others keep their place among the failures.

Only parts in which something changes are written again, each by one rename.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from earwitness.errors import FAILURE_KINDS, SettingsError
from earwitness.places import Place, place
from earwitness.store.complete import Progress, begin_change, finish_store, held_store, part_job, run_jobs
from earwitness.store.local import make_parts
from earwitness.store.part_jobs import Engine, PartJob
from earwitness.store.parts import PartCounts, count_part, manifest_columns, read_rows
from earwitness.store.settings import DecodeSettings

RETRIED_KINDS = tuple(kind for kind in FAILURE_KINDS if kind != "dropped")
"""Tried again unless told otherwise: clips that were dropped were dropped on purpose."""


@dataclass(frozen=True, kw_only=True)
class RetrySummary:
    """What came of trying again."""

    num_tried: int
    num_stored: int
    """Of these, clips that are in the store now."""


def retry_failures(
    folder: str | Place,
    *,
    kinds: Collection[str] = RETRIED_KINDS,
    settings: DecodeSettings,
    engine: Engine = make_parts,
    progress: Progress | None = None,
) -> RetrySummary:
    """Decode the clips of a store again that failed.

    Args:
        folder: a store with all its parts.
        kinds: of failures, of `FAILURE_KINDS`.
        settings: workers and limits; `max_failures` says nothing here.
        engine: who decodes.
        progress: called after every clip.

    Raises:
        SettingsError: an unknown kind.
        StoreError: there is no such store, another process holds it, or it cannot be written.
    """
    check_kinds(kinds)
    folder = place(folder)
    with held_store(folder) as header:
        data_folder = folder / header.data_folder
        places = {part: found for part in range(header.num_parts) if (found := _places(data_folder, part, kinds))}
        num_tried = sum(map(len, places.values()))
        if not num_tried:
            return RetrySummary(num_tried=0, num_stored=0)
        before = sum((count_part(data_folder, part) for part in range(header.num_parts)), PartCounts())
        others = {kind: number for kind, number in before.failures.items() if kind not in kinds}
        before = replace(before, num_rows=before.num_rows - num_tried, failures=others)
        header = begin_change(folder, header)

        def jobs() -> Iterator[PartJob]:
            for part, wanted in places.items():
                yield part_job(data_folder, header, part, manifest_columns(read_rows(data_folder, part)), wanted)

        settings = replace(settings, max_failures=None)
        after = run_jobs(folder, header, jobs(), before=before, settings=settings, engine=engine, progress=progress)
        finish_store(folder, header)
        return RetrySummary(num_tried=num_tried, num_stored=num_tried - (after.num_failed - before.num_failed))


def check_kinds(kinds: Collection[str]) -> None:
    """Refuse words that are no kinds of failures.

    Raises:
        SettingsError: names the first.
    """
    if unknown := sorted(set(kinds) - set(FAILURE_KINDS)):
        raise SettingsError(f"there is no kind of failure {unknown[0]!r}; known: {', '.join(FAILURE_KINDS)}")


def _places(data_folder: Place, part: int, kinds: Collection[str]) -> tuple[int, ...]:
    column = read_rows(data_folder, part, ["failure_kind"])["failure_kind"]
    return tuple(pc.indices_nonzero(pc.is_in(column, value_set=pa.array(list(kinds), pa.string()))).to_pylist())
