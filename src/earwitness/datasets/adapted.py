"""What an adapter of a published corpus gives back."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from earwitness.datasets.media import missing_media
from earwitness.errors import ManifestError
from earwitness.manifest import Manifest


@dataclass(frozen=True, kw_only=True)
class Adapted:
    """A corpus as a manifest, and what is to be said of it."""

    manifest: Manifest
    missing: Sequence[str]
    """Ids of the clips without media, in the manifest's order; they are in the manifest, too."""
    remarks: tuple[str, ...] = ()
    """Sentences for people: what was left out, taken for granted, or looks like half a download."""
    wants_media: bool = True
    """Whether media were looked for at all."""

    @classmethod
    def of(cls, manifest: Manifest, *, remarks: Sequence[str] = ()) -> "Adapted":
        """With the media looked for where the manifest says.

        Raises:
            ManifestError: not one of them is there.
        """
        missing = missing_media(manifest)
        if len(missing) == len(manifest):
            raise ManifestError(
                f"{manifest.source}: not one of the {len(manifest):,} media files is there; the first was looked for "
                f"at {manifest.table['media'][0]}"
            )
        return cls(manifest=manifest, missing=missing, remarks=tuple(remarks))

    def without_missing(self) -> "Adapted":
        """The same with only those clips in the manifest that have media. `missing` still names the others.

        Raises:
            ManifestError: none has.
        """
        if not self.missing:
            return self
        is_missing = pc.is_in(self.manifest.table["clip_id"], value_set=pa.array(self.missing, pa.string()))
        table = self.manifest.table.filter(pc.invert(is_missing))
        if not table.num_rows:
            raise ManifestError(f"{self.manifest.source}: not one of its clips has media, so none would be left")
        return replace(self, manifest=Manifest(table, self.manifest.source))
