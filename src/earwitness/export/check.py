"""An exported graph against the original, before it is written: made sounds and media, several lengths and batches."""

from collections.abc import Iterator, Sequence
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
from earwitness.models.onnx_file import CLIP_SCORES, EMBEDDINGS, PATCH_SCORES, WAVEFORM, OnnxModel

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
    largest_score_difference: float
    """Over all patches, and all clips, in probability."""
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
    has_embeddings = exported.embedding_size is not None
    originals, cuts = [patch_scorer(original, device="cpu")], [patch_scorer(exported)]
    outputs = [PATCH_SCORES, CLIP_SCORES]
    if has_embeddings:
        originals.append(patch_embedder(original, device="cpu"))
        cuts.append(patch_embedder(exported))
        outputs.append(EMBEDDINGS)
    num_sounds = num_patches = 0
    score_differences: list[float] = []
    embedding_differences: list[float] = []
    for name, waveforms in _sounds(front_end, media):
        patch_scores, clip_scores, *embeddings = whole.run(outputs, {WAVEFORM: waveforms})
        patches = np.stack(
            [cut_patches(waveform_frames(w, front_end=front_end), front_end=front_end) for w in waveforms]
        )
        if patch_scores.shape[:2] != patches.shape[:2]:
            raise ModelError(
                f"{exported.name}: of {name} the graph makes {patch_scores.shape[1]} patches, the original "
                f"{patches.shape[1]}; nothing is written"
            )
        flat = patches.reshape(-1, *patches.shape[2:])
        scores = originals[0](flat)
        pairs = [(patch_scores, scores), (cuts[0](flat), scores)]
        pairs.append((clip_scores, scores.reshape(patch_scores.shape).mean(axis=1, dtype=np.float64)))
        score_differences += [_difference(*pair) for pair in pairs]
        for came in embeddings:
            expected = originals[1](flat)
            largest = float(np.abs(expected).max()) or 1.0
            embedding_differences += [_difference(c, expected) / largest for c in (came, cuts[1](flat))]
        num_sounds += len(waveforms)
        num_patches += len(flat)
    return Agreement(
        num_sounds=num_sounds,
        num_patches=num_patches,
        largest_score_difference=float(np.max(score_differences)),  # nan, if any is
        largest_embedding_difference=float(np.max(embedding_differences)) if has_embeddings else None,
    )


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
                f"{name}: the {what} of the exported graph differ from the model's by up to {came:.2g} over "
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
