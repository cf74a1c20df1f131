"""Where the media of Audio Set's segments lie: by the names of the files, at any depth below one folder.

ID is the YouTube id (11 of `A-Za-z0-9_-`; it may begin with `-` or `_`), START and STOP are seconds (`30.000`, `30`,
`000030`) or milliseconds (`30000`). What a file is follows from the form of its name:

    ID_START, ID_START_STOP, ID_START-STOP, also with Y before them     a segment, cut already
    YID                                                                 a segment, cut already, as copies are shared
    ID, `Title [ID]`                                                    says nothing: `media_is`, or else a whole video

A START is taken for seconds if such a segment is listed, else for milliseconds. Where a segment has several files, one
cut already comes before a whole video, then the first path counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from earwitness.datasets.media import media_below
from earwitness.errors import ManifestError

MediaIs = Literal["cut", "whole"]

_CUT = r"^Y?(?P<ytid>[A-Za-z0-9_-]{11})[_-](?P<start>[0-9]{1,9}(?:\.[0-9]+)?)(?:[_-][0-9]+(?:\.[0-9]+)?)?$"
_SHARED = r"^Y(?P<ytid>[A-Za-z0-9_-]{11})$"
_BARE = r"^(?P<ytid>[A-Za-z0-9_-]{11})$"
_TITLED = r"^.*\[([A-Za-z0-9_-]{11})\]$"

_NONE = -1


@dataclass(frozen=True, kw_only=True)
class SegmentMedia:
    """The file of each segment."""

    paths: pa.Array
    """Of all media files, below the folder."""
    file_of_segment: npt.NDArray[np.int64]
    """Number of the file of each segment; -1: it has none."""
    is_cut: npt.NDArray[np.bool_]
    """The file holds the segment and nothing else; false where there is none."""
    num_bare: int
    """Files in use whose names do not say what they are."""
    num_several: int
    """Segments that have more than one file."""
    unused: pa.Array
    """Paths of the files that belong to no listed segment."""

    @classmethod
    def none(cls, num_segments: int) -> "SegmentMedia":
        """No segment has media."""
        no_paths = pa.array([], pa.string())
        return cls(
            paths=no_paths,
            file_of_segment=np.full(num_segments, _NONE),
            is_cut=np.zeros(num_segments, np.bool_),
            num_bare=0,
            num_several=0,
            unused=no_paths,
        )

    @property
    def num_files(self) -> int:
        """Media files below the folder."""
        return len(self.paths)

    @property
    def has_media(self) -> npt.NDArray[np.bool_]:
        """Of each segment."""
        found: npt.NDArray[np.bool_] = self.file_of_segment != _NONE
        return found

    def media(self, folder: Path | None) -> pa.Array:
        """The path of each segment's file, whole; null where it has none."""
        numbers = pa.array(self.file_of_segment, mask=~self.has_media)
        return pc.binary_join_element_wise(str(folder), self.paths.take(numbers), "/")

    def remarks(self, media_is: MediaIs | None) -> Iterator[str]:
        """What is to be said, in sentences."""
        if self.num_bare and media_is is None:
            yield (
                f"{self.num_bare:,} files are named by the YouTube id alone and are taken for whole videos; if they "
                "are cut to their segments already, say --media-is cut (else --media-is whole, and this is not said)"
            )
        if self.num_several:
            yield f"{self.num_several:,} segments have several files; of each the first path is taken, cut ones first"
        if len(self.unused):
            shown = ", ".join(self.unused.slice(0, 3).to_pylist()) + (", ..." if len(self.unused) > 3 else "")
            yield f"{len(self.unused):,} media files belong to no listed segment: {shown}"


def find_segments(segments: pa.Table, folder: Path, *, media_is: MediaIs | None) -> SegmentMedia:
    """Find the files of segments.

    Args:
        segments: columns `clip_id` (`YTID_MILLISECONDS`) and `group` (the YouTube id).
        folder: scanned once, at any depth.
        media_is: what files named by an id alone are; None: whole videos.

    Raises:
        ManifestError: the folder cannot be read, or a cut file is named by its id alone and several segments of the
            video are listed.
    """
    paths = pa.array(media_below(folder), pa.string())
    stems = pc.replace_substring_regex(pc.replace_substring_regex(paths, r"^.*/", ""), r"\.[^.]*$", "")
    stems = pc.replace_substring_regex(stems, _TITLED, r"\1")
    # no name has two of these forms: an id has 11 signs, YID 12, and ID_START 13 and more
    cut, shared, bare = (pc.extract_regex(stems, form) for form in (_CUT, _SHARED, _BARE))
    segment_of_cut = _segments_of_cut(cut, segments["clip_id"])
    is_used = segment_of_cut != _NONE
    num_files = np.bincount(segment_of_cut[is_used], minlength=segments.num_rows)
    file_of_segment = np.full(segments.num_rows, _NONE)
    _give_first(file_of_segment, segment_of_cut)
    is_cut = file_of_segment != _NONE

    videos = pc.unique(segments["group"])
    video_of_segment = _numbers(pc.index_in(segments["group"], value_set=videos))
    for named, are_cut in ((shared, True), (bare, media_is == "cut")):
        video_of_file = _numbers(pc.index_in(pc.struct_field(named, "ytid"), value_set=videos))
        is_ours = video_of_file != _NONE
        is_used |= is_ours
        num_files += np.bincount(video_of_file[is_ours], minlength=len(videos))[video_of_segment]
        file_of_video = np.full(len(videos), _NONE)
        _give_first(file_of_video, video_of_file)
        files = file_of_video[video_of_segment]
        if are_cut:
            _check_alone(segments, files, paths)
        takes = (file_of_segment == _NONE) & (files != _NONE)
        file_of_segment[takes] = files[takes]
        is_cut[takes] = are_cut
    in_use = np.unique(file_of_segment[file_of_segment != _NONE])
    return SegmentMedia(
        paths=paths,
        file_of_segment=file_of_segment,
        is_cut=is_cut,
        num_bare=int(bare.is_valid().to_numpy(zero_copy_only=False)[in_use].sum()),
        num_several=int((num_files > 1).sum()),
        unused=paths.filter(pa.array(~is_used)),
    )


def _segments_of_cut(cut: pa.StructArray, clip_ids: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """The segment of each file whose name has a start, else -1."""
    ytid, start = pc.struct_field(cut, "ytid"), pc.struct_field(cut, "start")
    number = pc.cast(start, pa.float64())
    whole_number = pc.if_else(pc.match_substring(start, "."), pa.scalar(None, pa.float64()), number)
    found = []
    for milliseconds in (pc.round(pc.multiply(number, 1000.0)), whole_number):
        text = pc.cast(pc.cast(milliseconds, pa.int64()), pa.string())
        found.append(_numbers(pc.index_in(pc.binary_join_element_wise(ytid, text, "_"), value_set=clip_ids)))
    as_seconds, as_milliseconds = found
    return np.where(as_seconds != _NONE, as_seconds, as_milliseconds)


def _give_first(file_of: npt.NDArray[np.int64], owner_of_file: npt.NDArray[np.int64]) -> None:
    """Set the file of each owner to its first one."""
    files = np.flatnonzero(owner_of_file != _NONE)[::-1]  # of several assignments the last one stays
    file_of[owner_of_file[files]] = files


def _check_alone(segments: pa.Table, file_of_segment: npt.NDArray[np.int64], paths: pa.Array) -> None:
    """Refuse a file that would be the whole of two segments."""
    owners = np.flatnonzero(file_of_segment != _NONE)
    files, counts = np.unique(file_of_segment[owners], return_counts=True)
    if (counts > 1).any():
        file = files[counts > 1][0]
        clips = segments["clip_id"].take(np.flatnonzero(file_of_segment == file)).to_pylist()
        raise ManifestError(
            f"{paths[file]}: a cut file named by its id alone, but {len(clips)} segments of the video are listed "
            f"({', '.join(clips[:3])}); which one it is must stand in its name: {clips[0]}"
        )


def _numbers(values: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Positions as an array of its own; null is -1."""
    return np.array(pc.fill_null(values, _NONE).to_numpy(), np.int64)
