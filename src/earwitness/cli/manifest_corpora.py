"""The sub-commands of `earwitness manifest` for corpora as they are published."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from earwitness.cli.manifest_output import ManifestOutput

Output = Annotated[ManifestOutput, arg(name="")]


@dataclass(frozen=True, kw_only=True)
class FromAudioSet:
    """From Audio Set's lists of segments, and a folder of media named by YouTube id."""

    segments: Annotated[Positional[tuple[Path, ...]], arg(metavar="SEGMENTS.csv")]
    """The lists, such as balanced_train_segments.csv; each becomes a `split`."""
    output: Output
    media: Path | None = None
    """The folder where media lie, at any depth: whole videos (ID.mp4) or cut segments (ID_30.wav, YID.wav ...). None:
    labels only."""
    media_is: Literal["cut", "whole"] | None = None
    """What files named by the id alone are. None: whole videos, with a remark."""
    label_set: Path | None = None
    """The labels that are allowed, such as class_labels_indices.csv. None: any."""

    def run(self) -> int:
        """Make the manifest."""
        from earwitness.datasets.audioset import manifest_from_audioset
        from earwitness.labels import read_label_set

        self.output.require_other_than(*self.segments, self.label_set)
        label_set = read_label_set(self.label_set) if self.label_set is not None else None
        adapted = manifest_from_audioset(self.segments, media=self.media, media_is=self.media_is, label_set=label_set)
        names = {} if label_set is None else dict(zip(label_set.ids, label_set.names, strict=True))
        return self.output.finish(adapted, names=names)


@dataclass(frozen=True, kw_only=True)
class FromFsd50k:
    """From FSD50K as published: FSD50K.ground_truth/ beside FSD50K.dev_audio/ and FSD50K.eval_audio/."""

    folder: Annotated[Positional[Path], arg(metavar="FOLDER")]
    """The folder that holds them."""
    output: Output
    label_column: Literal["labels", "mids"] = "labels"
    """FSD50K's own names, or the ids (mids) that Audio Set uses, too."""

    def run(self) -> int:
        """Make the manifest."""
        from earwitness.datasets.fsd50k import manifest_from_fsd50k

        return self.output.finish(manifest_from_fsd50k(self.folder, label_column=self.label_column))


@dataclass(frozen=True, kw_only=True)
class FromUrbanSound8k:
    """From UrbanSound8K as published: metadata/UrbanSound8K.csv beside audio/."""

    folder: Annotated[Positional[Path], arg(metavar="FOLDER")]
    """The folder that holds metadata/ and audio/."""
    output: Output

    def run(self) -> int:
        """Make the manifest."""
        from earwitness.datasets.urbansound8k import manifest_from_urbansound8k

        return self.output.finish(manifest_from_urbansound8k(self.folder))


@dataclass(frozen=True, kw_only=True)
class FromEsc50:
    """From ESC-50 or ESC-10 as published: meta/esc50.csv (or esc10.csv) beside audio/."""

    folder: Annotated[Positional[Path], arg(metavar="FOLDER")]
    """The folder that holds meta/ and audio/."""
    output: Output

    def run(self) -> int:
        """Make the manifest."""
        from earwitness.datasets.adapted import Adapted
        from earwitness.datasets.esc50 import manifest_from_esc50

        return self.output.finish(Adapted.of(manifest_from_esc50(self.folder)))


@dataclass(frozen=True, kw_only=True)
class FromHuggingFace:
    """From a Hugging Face audio folder: metadata.csv, .jsonl or .parquet with file_name, or a folder per label."""

    folder: Annotated[Positional[Path], arg(metavar="FOLDER")]
    """The root of the data set; train/, validation/ and test/ within it become `split`."""
    output: Output
    folds: int | None = None
    """Deal the clips to so many folds, in a column `fold`; clips of one `group`, or of one file, stay together."""
    label_column: str | None = None
    """The metadata's column of labels. None: label or labels."""
    label_separator: str | None = None
    """What stands between the labels of one cell, for example ';'. None: a cell is one label."""

    def run(self) -> int:
        """Make the manifest."""
        from earwitness.datasets.huggingface import manifest_from_audio_folder

        adapted = manifest_from_audio_folder(
            self.folder, label_column=self.label_column, label_separator=self.label_separator
        )
        return self.output.finish(adapted, folds=self.folds)
