"""The balanced evaluation set: about so many clips of every label, in as few clips as possible.

The paper evaluates on about 33 clips a class: too few of any to weigh more than others, enough to rank by. Clips carry
several labels, so the set is a cover (see `cover`): it has at least so many clips of every label that has them, and all
clips of a label that has not; no clip of it can be left out. Frequent labels come along with rare ones and have more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earwitness.errors import LabelError, ManifestError, SettingsError
from earwitness.manifest import Manifest
from earwitness.subsets.cover import cover
from earwitness.subsets.draws import clip_draws, group_draws
from earwitness.subsets.incidence import Indices, incidence_of


@dataclass(frozen=True, kw_only=True)
class BalancedSet:
    """The set, and what it holds of each label."""

    manifest: Manifest
    """Its clips, in the order of the corpus, with all of their labels."""
    rows: Indices
    """Their rows in the corpus."""
    lower_bound: int
    """No set of clips that does the same is smaller."""
    labels: Sequence[str]
    """The labels it is balanced over."""
    num_in_corpus: Indices
    """[labels]; clips."""
    num_in_set: Indices
    """[labels]; clips."""
    per_label: int

    @property
    def is_filled(self) -> npt.NDArray[np.bool_]:
        """[labels]; whether the set has as many clips of it as were asked for."""
        return self.num_in_set >= self.per_label


def balanced_set(
    manifest: Manifest, *, per_label: int, labels: Sequence[str] | None = None, seed: int = 0
) -> BalancedSet:
    """Choose a balanced evaluation set.

    Args:
        manifest: the corpus.
        per_label: clips wanted of every label.
        labels: to balance over; None: all of the manifest's. Clips keep the other labels that they have.
        seed: another one decides otherwise between equals.

    Raises:
        SettingsError: `per_label` is below 1.
        ManifestError: no clip has a label.
        LabelError: no clip carries any of `labels`.
    """
    if per_label < 1:
        raise SettingsError(f"per_label={per_label} must be at least 1")
    counts = manifest.label_counts()
    if not counts:
        raise ManifestError(f"{manifest.source}: not one of its clips has a label")
    chosen = list(counts) if labels is None else list(labels)
    if not any(label in counts for label in chosen):
        raise LabelError(
            f"{manifest.source}: no clip carries any of the {len(chosen)} labels wanted, such as {chosen[0]!r}; the "
            f"most frequent of its own is {next(iter(counts))!r}"
        )
    clips = incidence_of(manifest, chosen)
    num_in_corpus = clips.counts()
    covered = cover(clips, np.minimum(num_in_corpus, per_label), clip_draws(manifest, seed=seed))
    return BalancedSet(
        manifest=manifest.take(covered.rows),
        rows=covered.rows,
        lower_bound=covered.lower_bound,
        labels=chosen,
        num_in_corpus=num_in_corpus,
        num_in_set=np.bincount(clips.matrix(covered.rows).indices, minlength=len(chosen)),
        per_label=per_label,
    )


@dataclass(frozen=True, kw_only=True)
class Rest:
    """What is left of a corpus to learn from once an evaluation set is taken out."""

    manifest: Manifest
    num_of_same_groups: int
    """Clips left out because the set has others of their group or recording."""


def rest_of(manifest: Manifest, rows: Indices) -> Rest:
    """The corpus without these clips, and without all others of their groups or recordings.

    Raises:
        ManifestError: nothing is left.
    """
    groups = group_draws(manifest, seed=0)
    is_left = ~np.isin(groups, groups[rows])
    if not is_left.any():
        raise ManifestError(
            f"{manifest.source}: nothing is left to learn from: every clip is in the evaluation set or shares a group "
            "with one that is"
        )
    num_of_same_groups = len(manifest) - len(rows) - int(np.count_nonzero(is_left))
    return Rest(manifest=manifest.take(np.flatnonzero(is_left)), num_of_same_groups=num_of_same_groups)


def report_rows(found: BalancedSet, names: Mapping[str, str]) -> list[dict[str, str | int | bool]]:
    """A row for each label, for a table."""
    columns = zip(
        found.labels, found.num_in_corpus.tolist(), found.num_in_set.tolist(), found.is_filled.tolist(), strict=True
    )
    return [
        {"label": label, "name": names.get(label, label), "in_corpus": corpus, "in_set": in_set, "is_filled": filled}
        for label, corpus, in_set, filled in columns
    ]
