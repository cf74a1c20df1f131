"""What the sub-commands of `earwitness manifest` have in common: where the result goes, and what is said of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from earwitness.cli.output import counted, print_json, remark, require_separate_files
from earwitness.errors import ManifestError

if TYPE_CHECKING:
    from earwitness.datasets.adapted import Adapted


_NO_MEDIA = "No media were looked for: this manifest is for counting and choosing; --media DIR finds them"


@dataclass(frozen=True, kw_only=True)
class ManifestOutput:
    """Where the manifest goes."""

    out: Path
    """The manifest to write: .parquet, .csv or .jsonl."""
    drop_missing: bool = False
    """Leave clips without media out of the manifest, instead of letting `prepare` list them as failures."""
    missing_out: Path | None = None
    """Write the ids of all clips without media here, one a line."""
    json: bool = False
    """Report as JSON."""

    def require_other_than(self, *inputs: Path | None) -> None:
        """Refuse to write over what is read.

        Raises:
            SettingsError: an output is one of these files, or the other output.
        """
        require_separate_files({"--out": self.out, "--missing-out": self.missing_out}, inputs=inputs)

    def finish(
        self,
        adapted: "Adapted",
        *,
        folds: int | None = None,
        skipped: Sequence[str] = (),
        names: Mapping[str, str] = MappingProxyType({}),
    ) -> int:
        """Write the manifest and say what it holds and what is missing; labels with names are shown with them."""
        from earwitness.manifest import write_manifest
        from earwitness.subsets.splits import with_folds

        manifest = (adapted.without_missing() if self.drop_missing else adapted).manifest
        if folds is not None:
            manifest = with_folds(manifest, folds)
        if self.missing_out is not None:
            _write_lines(self.missing_out, adapted.missing)
        write_manifest(manifest, self.out)
        counts = manifest.label_counts()
        if self.json:
            print_json(
                {
                    "schema_version": 1,
                    "manifest": str(self.out),
                    "num_clips": len(manifest),
                    "label_counts": counts,
                    "missing_media": list(adapted.missing) if adapted.wants_media else None,
                    "skipped_files": list(skipped),
                    "remarks": [*adapted.remarks, *([] if adapted.wants_media else [_NO_MEDIA])],
                }
            )
            return 0
        print(f"{self.out}: {counted(len(manifest), 'clip')}, {counted(len(counts), 'label')}")
        if counts:
            shown = {label: names.get(label, label) for label in list(counts)[:8]}
            most = [
                f"{label if name == label else f'{label} ({name})'} {counts[label]:,}" for label, name in shown.items()
            ]
            print(f"  clips a label: {listed(most)}{', ...' if len(counts) > 8 else ''}")
        for sentence in adapted.remarks:
            remark(f"{sentence}.")
        if skipped:
            remark(
                f"{counted(len(skipped), 'file')} left out, as no media, hidden, or outside a label's folder: "
                f"{first_few(skipped)}"
            )
        self._say_missing(adapted)
        return 0

    def _say_missing(self, adapted: "Adapted") -> None:
        if not adapted.wants_media:
            remark(f"{_NO_MEDIA}.")
        elif adapted.missing:
            fate = "They were left out." if self.drop_missing else "`prepare` will list them as failures."
            where = f" All are named in {self.missing_out}." if self.missing_out is not None else ""
            clips = counted(len(adapted.missing), "clip has", "clips have")
            remark(f"{clips} no media file: {first_few(adapted.missing)}. {fate}{where}")


def first_few(names: Sequence[str]) -> str:
    """Three names, and whether there are more."""
    return listed(names[:3]) + (", ..." if len(names) > 3 else "")


def listed(names: Sequence[str]) -> str:
    """Names joined by commas; by semicolons where there are commas within."""
    return ("; " if any("," in name for name in names) else ", ").join(names)


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    from earwitness.files import replacing

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.writelines(f"{line}\n".encode() for line in lines)
    except OSError as error:
        raise ManifestError(f"{path}: cannot be written ({error.strerror or error})") from error
