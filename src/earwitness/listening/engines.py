"""Who makes the rows: this machine, in one process or several, or a Ray cluster."""

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy.typing as npt

from earwitness.audio.decode_limits import DecodeLimits
from earwitness.inference.any_model import AnyModel
from earwitness.inference.tag_settings import TagSettings
from earwitness.inference.tagger import PatchScores, Tagger
from earwitness.listening.tag_sounds import (
    FEW,
    Hearing,
    Numbered,
    NumberedRow,
    OnPatches,
    tag_here,
    tag_in_parallel,
)
from earwitness.listening.work import Engine


def digest_of(model: AnyModel) -> str:
    """32 hex digits over all that shows in rows: weights, labels, calibration, thresholds."""
    described = json.dumps([model.digest, model.describe()], sort_keys=True, default=str)
    return hashlib.sha256(described.encode()).hexdigest()[:32]


def local_engine(
    tagger: Tagger,
    *,
    num_inputs: int,
    settings: TagSettings,
    limits: DecodeLimits,
    has_all_scores: bool = False,
    draw_frames: Callable[[npt.NDArray[Any]], None] | None = None,
    draw_patches: Callable[[PatchScores], None] | None = None,
) -> Engine:
    """This machine. `draw_frames` and `draw_patches` are for the picture of a single input, which is decoded here."""

    def rows(
        inputs: Iterable[Numbered],
        *,
        spool_folder: Path | None,
        on_patches: OnPatches | None,
    ) -> Generator[list[NumberedRow]]:
        hearing = Hearing(
            tagger=tagger,
            settings=settings,
            has_all_scores=has_all_scores,
            on_patches=_both(on_patches, draw_patches),
        )
        if draw_frames is not None or (num_inputs < FEW and limits.workers is None):
            yield from tag_here(hearing, inputs, on_frames=draw_frames)
            return
        with _folder(spool_folder) as folder:
            yield from tag_in_parallel(hearing, inputs, limits=limits, spool_folder=folder)

    return rows


def _both(keep: OnPatches | None, draw: Callable[[PatchScores], None] | None) -> OnPatches | None:
    if draw is None:
        return keep

    def take(number: int, media: str, patches: PatchScores) -> None:
        draw(patches)
        if keep is not None:
            keep(number, media, patches)

    return take


@contextlib.contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="earwitness-") as name:
        yield Path(name)
