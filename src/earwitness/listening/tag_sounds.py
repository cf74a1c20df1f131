"""Inputs to rows on this machine.

Many inputs are decoded by limited processes while the network runs in this one; few are decoded here, which is sooner
done than starting processes.

Inputs shorter than a batch share batches, or half of every batch would be filling. Who shares them shows in the last
digits of a score, so it depends on nothing but the inputs: the short ones of a group, which are some inputs in a row,
are scored together in their order, whenever they were decoded, and their rows are given together.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.audio.decode_limits import DecodeLimits
from earwitness.audio.decoding_pool import Sound, SpooledFrames, decoded
from earwitness.audio.frames import media_frames
from earwitness.audio.patches import cut_patches
from earwitness.errors import MediaError
from earwitness.inference.tag_settings import TagSettings
from earwitness.inference.tagger import ClipTally, FrameBlocks, PatchScores, Tagger
from earwitness.inference.tagging import TagMaker
from earwitness.listening.inputs import Input
from earwitness.listening.rows import Row, failed_row, tagged_row
from earwitness.parallel import Failure

FEW = 8
"""Fewer inputs than this are decoded in this process, unless a number of workers is asked for."""

_GROUP_INPUTS = 32

Numbered = tuple[int, Input]
NumberedRow = tuple[int, Row]
OnPatches = Callable[[int, str, PatchScores], None]


@dataclass(frozen=True, kw_only=True)
class Hearing:
    """How inputs are heard."""

    tagger: Tagger
    settings: TagSettings
    has_all_scores: bool = False
    on_patches: OnPatches | None = None
    """Given number and media of an input, and its patches' scores as they come; one input after the other, before
    their rows."""


def groups(inputs: Iterable[Numbered]) -> Iterator[list[Numbered]]:
    """Inputs that share batches, by their ascending numbers."""
    for _, group in groupby(inputs, key=lambda numbered: numbered[0] // _GROUP_INPUTS):
        yield list(group)


def tag_here(
    hearing: Hearing, inputs: Iterable[Numbered], *, on_frames: Callable[[npt.NDArray[Any]], None] | None = None
) -> Iterator[list[NumberedRow]]:
    """Decode in this process, one input after the other. `on_frames` is for pictures.

    Yields: numbers of inputs with their rows.
    """
    for number, given in inputs:
        sound = given.sound(number)
        try:
            stream = media_frames(
                sound.source,
                front_end=hearing.tagger.front_end(),
                start_seconds=sound.start_seconds,
                stop_seconds=sound.stop_seconds,
            )
            with stream:
                row = _score_alone(hearing, number, given, stream, on_frames)
        except MediaError as error:
            row = failed_row(given, error.kind, str(error))
        yield [(number, row)]


def tag_in_parallel(
    hearing: Hearing, inputs: Iterable[Numbered], *, limits: DecodeLimits, spool_folder: Path
) -> Generator[list[NumberedRow], None, None]:
    """Decode in processes of their own, beside the network.

    Args:
        hearing: what is made of the sound.
        inputs: by ascending numbers; taken as there is room for them.
        limits: of the processes.
        spool_folder: where they put frames aside, some 46 MB an hour of media.

    Yields: numbers of inputs with their rows, as they are done; rows that come together are to be kept together.

    Raises:
        EarwitnessError: as `decoded`.
    """
    front_end, batch_patches = hearing.tagger.front_end(), hearing.tagger.scorer.batch_patches
    waiting: dict[int, _Group] = {}  # by the numbers of all their inputs

    def sounds() -> Iterator[Sound[int]]:
        for members in groups(inputs):
            waiting.update(dict.fromkeys((number for number, _ in members), _Group(members)))
            for number, given in members:
                yield given.sound(number)

    stream = decoded(sounds(), front_end=front_end, limits=limits, spool_folder=spool_folder)
    with closing(stream):
        for sound, frames in stream:
            number, group = sound.key, waiting.pop(sound.key)
            given = group.left.pop(number)
            if isinstance(frames, Failure):
                yield [(number, failed_row(given, frames.kind, frames.message))]
            elif front_end.frames_to_patches(frames.num_frames) < batch_patches:
                group.clips[number] = _ShortClip(given, frames, np.concatenate(list(frames)))
            else:
                yield [(number, _score_alone(hearing, number, given, frames))]
            if not group.left and group.clips:
                yield _score_together(hearing, group)


@dataclass
class _ShortClip:
    """An input whose patches wait for others."""

    given: Input
    spooled: SpooledFrames
    """What is known of it; its file is gone."""
    frames: npt.NDArray[np.float16]


class _Group:
    """Inputs that share batches if they are short."""

    def __init__(self, members: Iterable[Numbered]) -> None:
        self.left = dict(members)
        """Those not decoded yet."""
        self.clips: dict[int, _ShortClip] = {}


def _score_alone(
    hearing: Hearing,
    number: int,
    given: Input,
    frames: FrameBlocks,
    on_frames: Callable[[npt.NDArray[Any]], None] | None = None,
) -> Row:
    """The row of an input whose frames are read block by block."""
    maker = TagMaker(hearing.tagger.model, hearing.settings)
    clip = hearing.tagger.score_frames(
        frames,
        start_seconds=given.start_seconds,
        on_frames=on_frames,
        on_patches=_taker(hearing, number, given, maker),
    )
    tagging = maker.finish(given.media, clip, start_seconds=given.start_seconds)
    return tagged_row(given, tagging, hearing.tagger.model.label_set, has_all_scores=hearing.has_all_scores)


def _score_together(hearing: Hearing, group: _Group) -> list[NumberedRow]:
    """The rows of the short inputs of a group."""
    front_end, scorer, model = hearing.tagger.front_end(), hearing.tagger.scorer, hearing.tagger.model
    clips = sorted(group.clips.items())
    patches_of = [cut_patches(clip.frames, front_end=front_end) for _, clip in clips]
    raw_scores = scorer(np.concatenate(patches_of))
    rows: list[NumberedRow] = []
    first = 0
    for (number, clip), patches in zip(clips, patches_of, strict=True):
        given = clip.given
        maker = TagMaker(model, hearing.settings)
        on_patches = _taker(hearing, number, given, maker)
        tally = ClipTally(scorer, front_end, start_seconds=given.start_seconds, on_patches=on_patches)
        tally.add(patches, raw_scores[first : first + len(patches)])
        first += len(patches)
        tagging = maker.finish(given.media, tally.finish(clip.spooled), start_seconds=given.start_seconds)
        rows.append((number, tagged_row(given, tagging, model.label_set, has_all_scores=hearing.has_all_scores)))
    return rows


def _taker(hearing: Hearing, number: int, given: Input, maker: TagMaker) -> Callable[[PatchScores], None] | None:
    on_patches = hearing.on_patches
    if on_patches is None:
        return maker.take if hearing.settings.timeline else None

    def take(patches: PatchScores) -> None:
        maker.take(patches)
        on_patches(number, given.media, patches)

    return take
