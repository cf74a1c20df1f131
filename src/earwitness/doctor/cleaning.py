"""Which clips to leave out after an inspection, so that what was found harms nothing."""

from collections.abc import Collection
from difflib import get_close_matches

from earwitness.doctor.findings import KINDS, CorpusReport
from earwitness.errors import SettingsError

DROPPED_BY_DEFAULT = ("undecodable", "silent", "duplicate")
"""Clips of which nothing is learnt, and copies but for one of each, which ends leaks of equal sound, too."""


def clips_to_drop(report: CorpusReport, *, kinds: Collection[str] = DROPPED_BY_DEFAULT) -> tuple[str, ...]:
    """Ids of the clips with findings of these kinds, in the order of the findings.

    Of a group of copies (`duplicate`) one stays: the first that is not to be dropped for another reason. What a store
    does not hold, because no sound came of it, needs not be left out.

    Raises:
        SettingsError: a kind is unknown, or one for which dropping clips is no cure.
    """
    require_droppable(kinds)
    dropped = dict.fromkeys(
        finding.clip_id
        for finding in report.findings
        if finding.kind in kinds
        and finding.kind != "duplicate"
        and not (finding.kind == "undecodable" and report.scanned == "store")
    )
    if "duplicate" in kinds:
        for group in report.duplicates:
            good = [clip.clip_id for clip in group.clips if clip.clip_id not in dropped]
            dropped |= dict.fromkeys(good[1:])
    return tuple(dropped)


def require_droppable(kinds: Collection[str]) -> None:
    """Refuse kinds for which dropping clips is no cure.

    Raises:
        SettingsError: a kind is unknown, or a leak.
    """
    require_kinds(kinds)
    if "split_leak" in kinds:
        raise SettingsError(
            "split_leak: dropping all clips that leak would drop both sides. Drop 'duplicate', which leaves one of "
            "each, and deal clips of one group to one side (`earwitness manifest ... --folds`)"
        )


def require_kinds(kinds: Collection[str]) -> None:
    """Refuse what is no kind of finding.

    Raises:
        SettingsError: one of them is unknown; names the nearest.
    """
    for kind in kinds:
        if kind not in KINDS:
            near = get_close_matches(kind, KINDS, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise SettingsError(f"unknown kind of finding {kind!r}{hint}; known: {', '.join(KINDS)}")
