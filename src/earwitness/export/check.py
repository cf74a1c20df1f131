"""An exported graph against the original, before it is written: made sounds and media, several lengths and batches."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.audio.decode import decode
from earwitness.audio.frames import waveform_frames
from earwitness.audio.patches import cut_patches
from earwitness.errors import ModelError
from earwitness.front_end import FrontEnd
from earwitness.inference.any_model import AnyModel, patch_embedder, patch_scorer
from earwitness.inference.onnx_runner import open_session
from earwitness.labels import NO_LABELS
from earwitness.models.onnx_file import (
    CLIP_SCORES,
    EMBEDDINGS,
    PATCH_SCORES,
    RAW_PATCH_SCORES,
    WAVEFORM,
    OnnxModel,
)

SCORE_TOLERANCE = 1e-5
"""Largest difference of a probability between the graph and the original, unless more is allowed. Float32 products in
another order come to 1e-6 with most networks, and to 1.2e-5 with the steepest one met, which had learnt 320 clips by
heart; frames that are rounded the other way moved scores by up to 1e-3."""

EMBEDDING_TOLERANCE = 1e-4
"""Largest difference of a number of an embedding, as a share of the largest number of the sound's embeddings."""

MEDIA_SECONDS = 60.0
"""So much of the beginning of a media file is compared."""

_BATCHES = (1, 3)


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """What the check found."""

    num_sounds: int
    num_patches: int
    largest_score_difference: float | None
    """Over all patches, and all clips, in probability: of scores as people see them, and of raw ones. None where the
    model names nothing."""
    largest_embedding_difference: float | None
    """As a share of a sound's largest number; None where there are no embeddings."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def check(exported: OnnxModel, original: AnyModel, *, media: Sequence[str] = ()) -> Agreement:
    """Compare by two routes: waveforms through the whole graph, and our own patches through the network cut out of it.

    Args:
        exported: the graph that is to be written.
        original: the model.
        media: files to compare on, beside made sounds.

    Raises:
        MediaError: a file gives no sound.
        ModelError: the graph cannot be run, or other numbers of patches come out of it.
    """
    front_end = exported.front_end
    whole = open_session(exported.content, name=exported.name)
    outputs = [put.name for put in whole.get_outputs()]
    comparisons: list[_Scores | _Embeddings] = []
    if exported.label_set != NO_LABELS:
        comparisons.append(_Scores(exported, original))
    if exported.embedding_size is not None:
        comparisons.append(_Embeddings(exported, original))
    largest = {type(comparison): 0.0 for comparison in comparisons}
    num_sounds = num_patches = 0
    for name, waveforms in _sounds(front_end, media):
        came = dict(zip(outputs, whole.run(outputs, {WAVEFORM: waveforms}), strict=True))
        patches = np.stack(
            [cut_patches(waveform_frames(w, front_end=front_end), front_end=front_end) for w in waveforms]
        )
        num_came = came[PATCH_SCORES if PATCH_SCORES in came else EMBEDDINGS].shape[1]
        if num_came != patches.shape[1]:
            raise ModelError(
                f"{exported.name}: of {name} the graph makes {num_came} patches, the original {patches.shape[1]}; "
                "nothing is written"
            )
        for comparison in comparisons:
            differences = [largest[type(comparison)], *comparison.differences(came, patches)]
            largest[type(comparison)] = float(np.max(differences))  # nan, if any is
        num_sounds += len(waveforms)
        num_patches += patches.shape[0] * patches.shape[1]
    return Agreement(
        num_sounds=num_sounds,
        num_patches=num_patches,
        largest_score_difference=largest.get(_Scores),
        largest_embedding_difference=largest.get(_Embeddings),
    )


class _Scores:
    """Scores by both routes, against the original's."""

    def __init__(self, exported: OnnxModel, original: AnyModel) -> None:
        self._original, self._cut = patch_scorer(original, device="cpu"), patch_scorer(exported)

    def differences(self, came: Mapping[str, npt.NDArray[Any]], patches: npt.NDArray[Any]) -> list[float]:
        """Of what the graph gave for patches [batch, patches, frames, bands]."""
        flat = patches.reshape(-1, *patches.shape[2:])
        raw, raw_cut = self._original(flat), self._cut(flat)
        scores = self._original.calibrated(raw)
        of_clips = raw.reshape(*patches.shape[:2], -1).mean(axis=1, dtype=np.float64)
        return [
            _difference(raw_cut, raw),
            _difference(came.get(RAW_PATCH_SCORES, came[PATCH_SCORES]), raw),
            _difference(self._cut.calibrated(raw_cut), scores),
            _difference(came[PATCH_SCORES], scores),
            _difference(came[CLIP_SCORES], self._original.calibrated(of_clips)),
        ]


class _Embeddings:
    """Embeddings by both routes, against the original's."""

    def __init__(self, exported: OnnxModel, original: AnyModel) -> None:
        self._original, self._cut = patch_embedder(original, device="cpu"), patch_embedder(exported)

    def differences(self, came: Mapping[str, npt.NDArray[Any]], patches: npt.NDArray[Any]) -> list[float]:
        """Of what the graph gave for patches [batch, patches, frames, bands], as shares of the largest number."""
        flat = patches.reshape(-1, *patches.shape[2:])
        expected = self._original(flat)
        largest = float(np.abs(expected).max()) or 1.0
        return [_difference(other, expected) / largest for other in (came[EMBEDDINGS], self._cut(flat))]


def require_agreement(agreement: Agreement, *, tolerance: float, name: str) -> None:
    """Refuse an export whose numbers are not the model's.

    Raises:
        ModelError: scores or embeddings differ by more than the tolerance.
    """
    for what, came, allowed in (
        ("scores", agreement.largest_score_difference, tolerance),
        ("embeddings", agreement.largest_embedding_difference, EMBEDDING_TOLERANCE),
    ):
        if came is not None and not came <= allowed:  # nan is refused, too
            raise ModelError(
                f"{name}: the {what} of the exported graph differ from the model's by up to {came:.3g} over "
                f"{agreement.num_sounds} sounds, and {allowed:g} is allowed; nothing is written"
                + (" (--tolerance allows more)" if what == "scores" else "")
            )


def made_sounds(front_end: FrontEnd) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    """Noises, tones, clicks and silence, float32 [batch, samples], of lengths from one sample up, and their names."""
    rng = np.random.default_rng(0)
    least, rate_hz = front_end.min_patch_samples, front_end.sample_rate_hz
    lengths = (1, least // 2, least - 1, least, least + front_end.hop_samples, 5 * rate_hz, 12 * rate_hz + 345)
    for batch in _BATCHES:
        for num_samples in lengths:
            yield f"{batch} x {num_samples} samples", np.stack([_made(rng, num_samples, rate_hz) for _ in range(batch)])
    yield "silence", np.zeros((1, 2 * least), np.float32)


def _made(rng: np.random.Generator, num_samples: int, rate_hz: int) -> npt.NDArray[np.float32]:
    """A tone over noise, both of any loudness and the tone now and then silent, and clicks."""
    seconds = np.arange(num_samples) / rate_hz
    waveform = 10 ** rng.uniform(-5, -0.5) * rng.standard_normal(num_samples)
    tone = 10 ** rng.uniform(-4, 0) * np.sin(2 * np.pi * rng.uniform(60, 0.45 * rate_hz) * seconds)
    waveform += tone * (np.sin(2 * np.pi * rng.uniform(0.2, 2) * seconds) > 0)
    waveform[rng.integers(num_samples, size=num_samples // rate_hz)] += 0.9
    return waveform.clip(-1, 1).astype(np.float32)


def _sounds(front_end: FrontEnd, media: Sequence[str]) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    yield from made_sounds(front_end)
    for file in media:
        with decode(file, sample_rate_hz=front_end.sample_rate_hz, stop_seconds=MEDIA_SECONDS) as blocks:
            yield file, np.concatenate(list(blocks))[None]


def _difference(came: npt.NDArray[Any], expected: npt.NDArray[Any]) -> float:
    """The largest; nan where any number is nan, which no tolerance allows."""
    return float(np.abs(came.reshape(-1) - expected.reshape(-1)).max())
