"""Chance that depends on names alone: a number for every clip, or for its group, that only a seed can change.

So a choice by these numbers is the same whatever the order of a manifest's rows, and stays the same for the clips
that were there when others are added.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from earwitness.errors import ManifestError
from earwitness.manifest import Manifest, own_media
from earwitness.manifest_rows import PIECE_ROWS
from earwitness.text_hashes import text_hashes

Draws = npt.NDArray[np.uint64]


def clip_draws(manifest: Manifest, *, seed: int) -> Draws:
    """A number for every clip, evenly spread over all of 64 bits."""
    return _seeded(text_hashes(manifest.table["clip_id"]), seed)


def group_draws(manifest: Manifest, *, seed: int) -> Draws:
    """For every clip the number of its group: the same for clips of one `group`, and for clips of one recording that
    are in no group.
    """
    wanted = {"media", "media_offset_bytes", "media_num_bytes", "group"}
    table = manifest.table.select([name for name in manifest.table.column_names if name in wanted])
    hashes = [
        text_hashes(_group_names(table.slice(first, PIECE_ROWS))) for first in range(0, table.num_rows, PIECE_ROWS)
    ]
    return _seeded(np.concatenate(hashes), seed)


def _group_names(table: pa.Table) -> pa.ChunkedArray:
    media = pc.binary_join_element_wise("media", own_media(table), " ")
    if "group" not in table.column_names:
        return media
    try:
        groups = pc.cast(table["group"], pa.string())
    except pa.ArrowNotImplementedError as error:
        kind = table["group"].type
        raise ManifestError(f"column group is {kind}; a group is named by a text or a number") from error
    has_group = pc.fill_null(pc.not_equal(groups, ""), False)
    return pc.if_else(has_group, pc.binary_join_element_wise("group", groups, " "), media)


def _seeded(hashes: Draws, seed: int) -> Draws:
    """One to one for a seed, so that no two draws are alike where no two hashes are."""
    values = hashes ^ np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
