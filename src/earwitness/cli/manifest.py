"""`earwitness manifest`: a table of clips from what people have."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg, subcommand

from earwitness.cli.output import counted, print_json, remark
from earwitness.errors import ManifestError

if TYPE_CHECKING:
    from earwitness.manifest import Manifest as ClipTable


@dataclass(frozen=True, kw_only=True)
class FromTable:
    """From any table with a column of media files: CSV, TSV, JSON Lines or Parquet."""

    table: Annotated[Positional[Path], arg(metavar="TABLE")]
    """The table, with a header."""
    media_column: str
    """Its column of paths or URLs."""
    out: Path
    """The manifest to write: .parquet, .csv or .jsonl."""
    folds: int | None = None
    """Deal the clips to so many folds, in a column `fold`; clips of one `group`, or of one file, stay together."""
    label_column: str | None = None
    """Its column of labels."""
    label_separator: str | None = None
    """What stands between the labels of one cell, for example ';'. None: a cell is one label."""
    media_root: Path | None = None
    """Relative paths begin here. None: in the table's folder."""
    clip_id_column: str | None = None
    """Its column of unique clip ids. None: ids are made from the media."""
    start_column: str | None = None
    """Its column of start times in seconds."""
    stop_column: str | None = None
    """Its column of stop times in seconds."""
    json: bool = False
    """Report as JSON."""

    def run(self) -> int:
        """Make the manifest."""
        from earwitness.datasets.tables import manifest_from_table

        manifest = manifest_from_table(
            self.table,
            media_column=self.media_column,
            label_column=self.label_column,
            label_separator=self.label_separator,
            media_root=self.media_root,
            clip_id_column=self.clip_id_column,
            start_column=self.start_column,
            stop_column=self.stop_column,
        )
        glued = [label for label in manifest.label_counts() if any(sign in label for sign in ";|,")]
        if glued and self.label_separator is None:
            remark(
                f"labels such as {glued[0]!r} hold signs that often stand between labels; --label-separator splits them"
            )
        return _finish(manifest, self.out, folds=self.folds, as_json=self.json)


@dataclass(frozen=True, kw_only=True)
class FromFolders:
    """From a folder that holds a folder of media for each label."""

    folder: Annotated[Positional[Path], arg(metavar="FOLDER")]
    """Its sub-folders are the labels."""
    out: Path
    """The manifest to write: .parquet, .csv or .jsonl."""
    folds: int | None = None
    """Deal the clips to so many folds, in a column `fold`."""
    json: bool = False
    """Report as JSON."""

    def run(self) -> int:
        """Make the manifest."""
        from earwitness.datasets.folders import manifest_from_folders

        scan = manifest_from_folders(self.folder)
        return _finish(scan.manifest, self.out, folds=self.folds, as_json=self.json, skipped=scan.skipped)


@dataclass(frozen=True, kw_only=True)
class FromEsc50:
    """From ESC-50 or ESC-10 as published: meta/esc50.csv (or esc10.csv) beside audio/."""

    folder: Annotated[Positional[Path], arg(metavar="FOLDER")]
    """The folder that holds meta/ and audio/."""
    out: Path
    """The manifest to write: .parquet, .csv or .jsonl."""
    json: bool = False
    """Report as JSON."""

    def run(self) -> int:
        """Make the manifest."""
        from earwitness.datasets.esc50 import manifest_from_esc50

        return _finish(manifest_from_esc50(self.folder), self.out, as_json=self.json)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Make a table of clips from what you have."""

    source: Annotated[
        Annotated[FromTable, subcommand("table")]
        | Annotated[FromFolders, subcommand("folder")]
        | Annotated[FromEsc50, subcommand("esc50")],
        arg(name=""),
    ]

    def run(self) -> int:
        """Run the chosen adapter."""
        return self.source.run()


def _finish(
    manifest: "ClipTable", out: Path, *, folds: int | None = None, as_json: bool, skipped: Sequence[str] = ()
) -> int:
    from earwitness.subsets.splits import with_folds
    from earwitness.datasets.media import missing_media
    from earwitness.manifest import write_manifest

    missing = missing_media(manifest)
    if len(missing) == len(manifest):
        raise ManifestError(
            f"not one of the {len(manifest)} media files is there; the first was looked for at "
            f"{manifest.table['media'][0]} (--media-root says where relative paths begin)"
        )
    if folds is not None:
        manifest = with_folds(manifest, folds)
    write_manifest(manifest, out)
    counts = manifest.label_counts()
    if as_json:
        print_json(
            {
                "schema_version": 1,
                "manifest": str(out),
                "num_clips": len(manifest),
                "label_counts": counts,
                "missing_media": missing,
                "skipped_files": list(skipped),
            }
        )
        return 0
    print(f"{out}: {counted(len(manifest), 'clip')}, {counted(len(counts), 'label')}")
    if counts:
        most = [f"{label} {count}" for label, count in list(counts.items())[:8]]
        print(f"  clips a label: {', '.join(most)}{', ...' if len(counts) > 8 else ''}")
    if skipped:
        remark(
            f"{len(skipped)} files were left out, as no media, hidden, or outside a label's folder: {_first(skipped)}"
        )
    if missing:
        remark(f"{len(missing)} clips have no media file: {_first(missing)}. `prepare` will list them as failures.")
    return 0


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
