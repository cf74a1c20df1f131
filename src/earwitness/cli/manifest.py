"""`earwitness manifest`: a table of clips from what people have."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, UseAppendAction, arg, subcommand

from earwitness.cli.manifest_corpora import (
    FromAudioSet,
    FromEsc50,
    FromFsd50k,
    FromHuggingFace,
    FromUrbanSound8k,
    Output,
)
from earwitness.cli.output import remark
from earwitness.errors import ManifestError


@dataclass(frozen=True, kw_only=True)
class FromTable:
    """From any table with a column of media files: CSV, TSV, JSON Lines or Parquet."""

    table: Annotated[Positional[Path], arg(metavar="TABLE")]
    """The table, with a header."""
    media_column: str
    """Its column of paths or URLs."""
    output: Output
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
    encoding: str | None = None
    """Of its text, for example latin-1 or utf-16. None: UTF-8, or what a mark at its beginning says."""

    def run(self) -> int:
        """Make the manifest."""
        from earwitness.datasets.adapted import Adapted
        from earwitness.datasets.recognise import hint
        from earwitness.datasets.tables import manifest_from_table

        self.output.require_other_than(self.table)
        try:
            manifest = manifest_from_table(
                self.table,
                media_column=self.media_column,
                label_column=self.label_column,
                label_separator=self.label_separator,
                media_root=self.media_root,
                clip_id_column=self.clip_id_column,
                start_column=self.start_column,
                stop_column=self.stop_column,
                encoding=self.encoding,
            )
            adapted = Adapted.of(manifest)
        except ManifestError as error:
            root = " (--media-root says where relative paths begin)" if "looked for at" in str(error) else ""
            raise ManifestError(f"{error}{root}{hint(self.table, but='table')}") from error
        glued = [label for label in manifest.label_counts() if any(sign in label for sign in ";|,")]
        if glued and self.label_separator is None:
            remark(
                f"labels such as {glued[0]!r} hold signs that often stand between labels; --label-separator splits them"
            )
        return self.output.finish(adapted, folds=self.folds)


@dataclass(frozen=True, kw_only=True)
class FromFolders:
    """From a folder that holds a folder of media for each label."""

    folder: Annotated[Positional[Path], arg(metavar="FOLDER")]
    """Its sub-folders are the labels."""
    output: Output
    folds: int | None = None
    """Deal the clips to so many folds, in a column `fold`."""

    def run(self) -> int:
        """Make the manifest."""
        from earwitness.datasets.adapted import Adapted
        from earwitness.datasets.folders import manifest_from_folders
        from earwitness.datasets.recognise import recognised

        scan = manifest_from_folders(self.folder)
        known = recognised(self.folder)
        remarks = (f"{self.folder} looks like {known}, by its table instead of its folders",) if known else ()
        adapted = Adapted(manifest=scan.manifest, missing=(), remarks=remarks)
        return self.output.finish(adapted, folds=self.folds, skipped=scan.skipped)


@dataclass(frozen=True, kw_only=True)
class FromWebDataset:
    """From WebDataset's tar shards; sound is read where it lies in them."""

    shards: Annotated[Positional[tuple[str, ...]], arg(metavar="SHARDS")]
    """Tars, patterns such as 'train-{000..099}.tar', or folders of tars."""
    output: Output
    folds: int | None = None
    """Deal the clips to so many folds, in a column `fold`; clips of one `group` stay together."""
    media_extension: str | None = None
    """The extension of the sound where a sample has several media files, such as flac. None: it has one."""
    label_extension: str | None = None
    """The member with the labels: json, cls or txt. None: cls, else json where the sample has it."""
    label_key: str | None = None
    """Where in the JSON the labels stand, such as tags or meta.tags. None: labels, label, tags or tag."""
    label_separator: str | None = None
    """What stands between the labels of one text. None: a text, or a line of a .txt, is one label."""
    label_set: Path | None = None
    """Labels in order (.csv or .txt), for numbers in .cls. None: numbers are labels as they stand."""
    carry: UseAppendAction[tuple[str, ...]] = ()
    """A key of the JSON that becomes a column, such as split; may be given several times."""

    def run(self) -> int:
        """Make the manifest."""
        from earwitness.datasets.webdataset import SampleSettings, manifest_from_webdataset
        from earwitness.labels import read_label_set

        self.output.require_other_than(self.label_set)
        settings = SampleSettings(
            media_extension=self.media_extension,
            label_extension=self.label_extension,
            label_key=self.label_key,
            label_separator=self.label_separator,
            carry=self.carry,
        )
        label_set = read_label_set(self.label_set) if self.label_set is not None else None
        adapted = manifest_from_webdataset(self.shards, settings=settings, label_set=label_set)
        return self.output.finish(adapted, folds=self.folds)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Make a table of clips from what you have."""

    source: Annotated[
        Annotated[FromTable, subcommand("table")]
        | Annotated[FromFolders, subcommand("folder")]
        | Annotated[FromAudioSet, subcommand("audioset")]
        | Annotated[FromFsd50k, subcommand("fsd50k")]
        | Annotated[FromUrbanSound8k, subcommand("urbansound8k")]
        | Annotated[FromEsc50, subcommand("esc50")]
        | Annotated[FromWebDataset, subcommand("webdataset")]
        | Annotated[FromHuggingFace, subcommand("huggingface")],
        arg(name=""),
    ]

    def run(self) -> int:
        """Run the chosen adapter."""
        return self.source.run()
