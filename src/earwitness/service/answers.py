"""The sound of an upload to what is sent back. Runs in the thread of the model."""

import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.inference.patch_cutter import PatchCutter
from earwitness.inference.patch_runner import PatchRunner
from earwitness.inference.tag_settings import TagSettings
from earwitness.inference.tagger import PatchScores, Tagger
from earwitness.inference.tagging import TagMaker
from earwitness.listening.event_files import FORMATS, events_as_json
from earwitness.listening.inputs import Input
from earwitness.listening.rows import SCHEMA_VERSION, tagged_row
from earwitness.listening.timeline import TimelineMaker
from earwitness.listening.timeline_settings import TimelineSettings
from earwitness.service.hearing import Sound
from earwitness.service.pictures import Spectrogram, lanes
from earwitness.service.problems import Problem

MAX_NUMBERS = {"json": 2_000_000, "npy": 1 << 27}
"""Of embeddings, which are held in memory, and are ten times as large in JSON."""


def tags(sound: Sound, tagger: Tagger, settings: TagSettings) -> bytes:
    """JSON as `earwitness tag --json` writes it."""
    maker = TagMaker(tagger.model, settings)

    def take(patches: PatchScores) -> None:
        sound.go_on()
        maker.take(patches)

    found = maker.finish(sound.name, tagger.score_frames(sound.frames, on_patches=take))
    return _json(tagged_row(Input(sound.name), found, tagger.model.label_set, has_all_scores=False))


def timeline(
    sound: Sound, tagger: Tagger, settings: TimelineSettings, *, form: str = "json", with_picture: bool = False
) -> bytes:
    """Events in one of the formats of `earwitness timeline`; `with_picture` adds to JSON what the page draws."""
    maker = TimelineMaker(tagger.model, settings)
    front_end = tagger.front_end(maker.patch_hop_frames)
    spectrogram = Spectrogram(front_end, num_frames=sound.frames.num_samples // front_end.hop_samples)
    scores_path = sound.folder / "scores"
    with scores_path.open("wb") as scores_file:

        def take(patches: PatchScores) -> None:
            sound.go_on()
            maker.take(patches)
            if with_picture:
                shown = maker.chosen(patches.scores)
                if patches.is_silent is not None:  # no events there: the page finds them by the scores alone
                    shown = np.where(patches.is_silent[:, None], 0, shown)
                scores_file.write(shown.astype("<f4").tobytes())

        clip = tagger.score_frames(
            sound.frames,
            patch_hop_frames=maker.patch_hop_frames,
            on_frames=spectrogram.push if with_picture else None,
            on_patches=take,
        )
    heard = maker.finish(sound.name, clip)
    if form != "json":
        return FORMATS[form](heard).encode("utf-8", "replace")
    values = events_as_json(heard)
    if with_picture:
        values["picture"] = {
            "rule": {name: getattr(settings, name) for name in ("keep_share", "min_seconds", "max_gap_seconds")},
            "spectrogram": spectrogram.to_dict(),
            "lanes": lanes(scores_path, maker.label_set, maker.thresholds, num_patches=heard.num_patches),
        }
    return _json(values)


def embeddings(sound: Sound, runner: PatchRunner, tagger: Tagger, *, patch_hop_frames: int | None, form: str) -> bytes:
    """The embedding of every patch: JSON, or a NumPy file float32 [patches, size]."""
    front_end = tagger.front_end(patch_hop_frames)
    cutter = PatchCutter(front_end, batch_patches=runner.batch_patches)
    blocks: list[npt.NDArray[np.float32]] = []
    num_left = MAX_NUMBERS[form]
    for patches in _patches(sound, cutter):
        blocks.append(runner(patches))
        num_left -= blocks[-1].size
        if num_left < 0:
            rest = "ask for them with format=npy" if form == "json" else "ask for a longer hop"
            raise Problem(422, f"{sound.name}: its embeddings are more than {MAX_NUMBERS[form]} numbers; {rest}")
    vectors = np.concatenate(blocks)
    if form == "npy":
        file = io.BytesIO()
        np.save(file, vectors)
        return file.getvalue()
    return _json(
        {
            "schema_version": SCHEMA_VERSION,
            "media": sound.name,
            "seconds": round(sound.frames.num_samples / front_end.sample_rate_hz, 3),
            "is_padded": sound.frames.is_padded,
            "warnings": list(sound.frames.warnings),
            "patch_seconds": front_end.patch_seconds,
            "hop_seconds": front_end.patch_hop_seconds,
            "embeddings": vectors.tolist(),
        }
    )


def _patches(sound: Sound, cutter: PatchCutter) -> Iterator[npt.NDArray[np.float16]]:
    for frames in sound.frames:
        sound.go_on()
        yield cutter.push(frames)
    yield cutter.finish()


def _json(values: dict[str, Any]) -> bytes:
    return json.dumps(values, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
