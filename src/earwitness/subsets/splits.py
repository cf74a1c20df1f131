"""Parts of a corpus (train, validation, test; folds) that keep groups on one side and every label in its share.

A group is what the column `group` says (one recording, one uploader); clips without one go by their recording.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_array

from earwitness.errors import ManifestError, SettingsError
from earwitness.manifest import Manifest
from earwitness.subsets.dealing import Dealer
from earwitness.subsets.draws import group_draws
from earwitness.subsets.incidence import Incidence, Indices, incidence_of


@dataclass(frozen=True, kw_only=True)
class Split:
    """A manifest with a column of parts, and how even they are."""

    manifest: Manifest
    num_clips: Mapping[str, int]
    """By part."""
    num_groups: Mapping[str, int]
    """By part."""
    label_error: float
    """How far a part's share of a label's clips is from the part's share: mean over parts and labels."""
    missing: Mapping[str, Sequence[str]]
    """The parts that have nothing of a label, for the labels that have as many groups as there are parts."""
    num_too_few: int
    """Labels with fewer groups than there are parts."""


def split_manifest(manifest: Manifest, shares: Mapping[str, float], *, column: str = "split", seed: int = 0) -> Split:
    """Add a column that says which part each clip belongs to.

    Args:
        manifest: without such a column.
        shares: of each part; they sum to 1.
        column: its name.
        seed: another one deals otherwise, as evenly.

    Raises:
        SettingsError: fewer than two parts, or shares that are not above 0 or do not sum to 1.
        ManifestError: there is such a column already, or there are fewer groups than parts.
    """
    if len(shares) < 2:
        raise SettingsError(f"a split needs two parts at least, such as train=0.9 test=0.1; came {len(shares)}")
    if not (min(shares.values()) > 0 and abs(sum(shares.values()) - 1.0) < 1e-6):  # a nan is neither
        given = ", ".join(f"{name}={share:g}" for name, share in shares.items())
        raise SettingsError(
            f"the shares of the parts must be above 0 and sum to 1; came {given}, which sum to {sum(shares.values()):g}"
        )
    if column in manifest.table.column_names:
        raise ManifestError(
            f"{manifest.source}: it has a column {column!r} already; --column gives the new one another name"
        )
    names = list(shares)
    dealt = _deal(manifest, list(shares.values()), seed=seed)
    clip_of_pair = np.repeat(np.arange(len(dealt.clips)), np.diff(dealt.clips.offsets))
    held = np.zeros((len(dealt.labels), len(names)), np.int64)
    np.add.at(held, (dealt.clips.labels, dealt.parts[clip_of_pair]), 1)
    num_groups = dealt.groups_of_labels
    is_missing = (held == 0) & (num_groups >= len(names))[:, None]
    error = np.abs(held / held.sum(axis=1, keepdims=True) - list(shares.values())).mean() if len(held) else 0.0
    _, first_clips = np.unique(dealt.group_of_clip, return_index=True)
    return Split(
        manifest=_with_column(manifest, column, pa.array(names).take(pa.array(dealt.parts))),
        num_clips=_by_name(names, dealt.parts),
        num_groups=_by_name(names, dealt.parts[first_clips]),
        label_error=float(error),
        missing={
            label: [name for name, lacks in zip(names, row, strict=True) if lacks]
            for label, row in zip(dealt.labels, is_missing.tolist(), strict=True)
            if any(row)
        },
        num_too_few=int(np.count_nonzero(num_groups < len(names))),
    )


def with_folds(manifest: Manifest, num_folds: int) -> Manifest:
    """Add a column `fold` of the numbers 1 to `num_folds`: parts of equal shares.

    Raises:
        ManifestError: there is a column `fold` already, or there are fewer groups than folds.
        SettingsError: `num_folds` is below 2.
    """
    if num_folds < 2:
        raise SettingsError(f"folds={num_folds} must be at least 2")
    if "fold" in manifest.table.column_names:
        raise ManifestError(f"{manifest.source}: it has a column 'fold' already; leave --folds away")
    folds = _deal(manifest, [1.0 / num_folds] * num_folds, seed=0).parts + 1
    return _with_column(manifest, "fold", pa.array(folds, pa.int64()))


@dataclass(frozen=True, kw_only=True)
class _Dealt:
    """Clips and their parts, counted from 0."""

    parts: Indices
    group_of_clip: Indices
    clips: Incidence
    labels: Sequence[str]
    groups_of_labels: Indices


def _deal(manifest: Manifest, shares: Sequence[float], *, seed: int) -> _Dealt:
    labels = sorted(manifest.label_counts())
    clips = incidence_of(manifest, labels)
    draws, group_of_clip = np.unique(group_draws(manifest, seed=seed), return_inverse=True)
    if len(draws) < len(shares):
        raise ManifestError(
            f"{manifest.source}: {len(shares)} parts need as many groups of clips; there are {len(draws)}"
        )
    pairs = (np.repeat(group_of_clip, np.diff(clips.offsets)), clips.labels.astype(np.int64))
    groups = csr_array((np.ones(len(clips.labels)), pairs), shape=(len(draws), len(labels)))
    dealer = Dealer(groups, np.bincount(group_of_clip), shares)
    dealer.deal()
    return _Dealt(
        parts=dealer.part_of[group_of_clip],
        group_of_clip=group_of_clip,
        clips=clips,
        labels=labels,
        groups_of_labels=np.bincount(groups.indices, minlength=len(labels)),
    )


def _by_name(names: Sequence[str], parts: Indices) -> dict[str, int]:
    return dict(zip(names, np.bincount(parts, minlength=len(names)).tolist(), strict=True))


def _with_column(manifest: Manifest, name: str, values: pa.Array) -> Manifest:
    return Manifest(manifest.table.append_column(name, values), manifest.source)
