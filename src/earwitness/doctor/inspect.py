"""The two entries of the doctor: a manifest, whose media are decoded, and a store, whose frames are read."""

from collections.abc import Callable
from dataclasses import dataclass

from earwitness.doctor.findings import CorpusReport
from earwitness.doctor.settings import InspectSettings
from earwitness.labels import LabelSet
from earwitness.manifest import Manifest
from earwitness.store.read import Store


@dataclass(frozen=True, kw_only=True)
class InspectProgress:
    """How far an inspection is; given after every clip."""

    num_clips: int
    """To be scanned."""
    num_done: int
    num_with_findings: int
    """So far, of those done; copies are found at the end."""
    seconds_of_sound: float


Progress = Callable[[InspectProgress], None]


def inspect_manifest(
    manifest: Manifest,
    *,
    settings: InspectSettings | None = None,
    label_set: LabelSet | None = None,
    progress: Progress | None = None,
) -> CorpusReport:
    """Decode the clips of a manifest, or a sample of them, and say what is wrong with them.

    Args:
        manifest: the clips.
        settings: thresholds, sample, workers.
        label_set: the labels that were meant, to find holes; None: the manifest's own.
        progress: called after every clip.

    Raises:
        ManifestError: the split or source column is not there.
    """
    raise NotImplementedError


def inspect_store(
    store: Store, *, settings: InspectSettings | None = None, progress: Progress | None = None
) -> CorpusReport:
    """Read the frames of a store, or a sample of its clips, and say what is wrong with them.

    Raises:
        ManifestError: the split or source column is not there.
        StoreError: a part is missing or damaged.
    """
    raise NotImplementedError
