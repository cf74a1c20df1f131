"""Random subsets that lie in one another: 1, 1/10, 1/100 ... of a corpus, as the paper trains on.

Every clip draws a number from [0, 1) by its id and a seed, and a subset is the clips that drew less than its share. So
a smaller subset lies in a larger one, and a corpus that grows keeps the clips it had chosen. A share of a hundredth has
about, not exactly, a hundredth of the clips; a size has that many exactly (the smallest draws), and then a corpus that
grows lets some go. Where groups are drawn whole, a size is not exceeded.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from earwitness.errors import ManifestError, SettingsError
from earwitness.manifest import Manifest
from earwitness.subsets.draws import clip_draws, group_draws

DRAW_COLUMN = "draw"


@dataclass(frozen=True, kw_only=True)
class NestedSubset:
    """One of several subsets."""

    name: str
    """The share or size as asked for."""
    below: float
    """Its clips are those whose draw is below this."""
    num_clips: int


@dataclass(frozen=True, kw_only=True)
class NestedSubsets:
    """Subsets of a manifest, largest first."""

    manifest: Manifest
    """With the column `draw`."""
    subsets: Sequence[NestedSubset]

    def take(self, subset: NestedSubset) -> Manifest:
        """The clips of one."""
        return self.manifest.take(np.flatnonzero(_draws_in(self.manifest) < subset.below))


def nested_subsets(
    manifest: Manifest,
    *,
    fractions: Sequence[float] = (),
    sizes: Sequence[int] = (),
    seed: int = 0,
    whole_groups: bool = False,
) -> NestedSubsets:
    """Draw for every clip, and say which draws make subsets of these shares and sizes.

    Args:
        manifest: without a column `draw`.
        fractions: shares of the corpus, above 0 and at most 1.
        sizes: numbers of clips.
        seed: another one draws other clips.
        whole_groups: clips of one group, or of one recording, draw together.

    Raises:
        SettingsError: no subset is asked for, a share or size is outside what is possible, or asked for twice.
        ManifestError: there is a column `draw`, or a subset would be empty.
    """
    asked = [*map(str, fractions), *map(str, sizes)]
    if not asked:
        raise SettingsError("which subsets? give fractions, such as 0.1 0.01, or sizes in clips")
    if len(set(asked)) != len(asked):
        raise SettingsError(f"a subset is asked for twice: {', '.join(asked)}")
    for fraction in fractions:
        if not 0 < fraction <= 1:
            raise SettingsError(f"fraction={fraction} must be above 0 and at most 1")
    for size in sizes:
        if not 1 <= size <= len(manifest):
            raise SettingsError(f"size={size} must be from 1 to the {len(manifest)} clips of {manifest.source}")
    if DRAW_COLUMN in manifest.table.column_names:
        raise ManifestError(
            f"{manifest.source}: it has a column {DRAW_COLUMN!r} already (subsets of it are had by --where "
            f"'{DRAW_COLUMN} < 0.01'); draw from the manifest without it"
        )
    numbers = group_draws(manifest, seed=seed) if whole_groups else clip_draws(manifest, seed=seed)
    draws = (numbers >> np.uint64(11)) * 2.0**-53
    limits = {str(fraction): float(fraction) for fraction in fractions}
    if sizes:
        ordered = np.sort(draws)
        limits |= {str(size): _limit(ordered, size) for size in sizes}
    subsets = [
        NestedSubset(name=name, below=below, num_clips=int(np.count_nonzero(draws < below)))
        for name, below in sorted(limits.items(), key=lambda item: -item[1])
    ]
    if not subsets[-1].num_clips:
        raise ManifestError(
            f"{manifest.source}: the subset of {subsets[-1].name} would be empty; it has {len(manifest)} clips"
            + (", drawn in whole groups" if whole_groups else "")
        )
    table = manifest.table.append_column(DRAW_COLUMN, pa.array(draws))
    return NestedSubsets(manifest=Manifest(table, manifest.source), subsets=subsets)


def _limit(ordered: npt.NDArray[np.float64], size: int) -> float:
    """The draw below which there are `size`, or as many fewer as drew the same as the next."""
    return 1.0 if size == len(ordered) else float(ordered[size])


def _draws_in(manifest: Manifest) -> npt.NDArray[np.float64]:
    return np.asarray(manifest.table[DRAW_COLUMN], np.float64)
