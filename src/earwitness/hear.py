"""The interface of HEAR 2021 (Holistic Evaluation of Audio Representations): any model of ours in that benchmark.

    hear-validator earwitness.hear -m model.safetensors
    python -m heareval.embeddings.runner earwitness.hear --model model.safetensors

A model is a model file or an exported one (.onnx, with --embeddings), be it trained here, YAMNet or VGGish.

- **A scene's embedding** is the mean over its patches, as the benchmark's other entries have it: the same numbers as
  `earwitness embed --per clip`.
- **Timestamps** are the centres of patches, at 0, 40, 80 ... milliseconds up to the sound's end: half a patch of
  silence is put before and behind the sound. 40 ms (4 frames) is within the 50 ms that the benchmark recommends for
  events, and divides the half patch of 480 ms: so the timestamp at t has the embedding of the patch of `earwitness
  embed --patch-hop-frames 4` that begins at t - 480 ms, where that lies within the sound. The network runs 24 times as
  often as for scenes. The environment variable EARWITNESS_HEAR_HOP_MS, or the argument of `load_model`, sets another
  step, rounded to whole frames.

Frames are made on the CPU, rounded as on every route; the network runs where the model is (`model.to("cuda")`), and
results come back on the device of the audio. Nothing is learnt through it: there is no gradient.

References: Turian et al. 2022, "HEAR: Holistic Evaluation of Audio Representations"; its common API,
https://hearbenchmark.com/hear-api.html.
"""

import os
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from earwitness.audio.frames import waveform_frames
from earwitness.audio.patches import cut_patches
from earwitness.errors import ModelError, SettingsError
from earwitness.front_end import FrontEnd
from earwitness.inference.any_model import AnyModel, open_model, patch_embedder
from earwitness.inference.patch_runner import PatchRunner
from earwitness.models.model_file import Model

HOP_VARIABLE = "EARWITNESS_HEAR_HOP_MS"
DEFAULT_HOP_MS = 40.0


class HearModel(nn.Module):
    """A model with what HEAR asks of one."""

    sample_rate: int
    scene_embedding_size: int
    timestamp_embedding_size: int

    def __init__(self, model: AnyModel, *, hop_ms: float = DEFAULT_HOP_MS) -> None:
        """Make it ready.

        Args:
            model: of either kind.
            hop_ms: from one timestamp to the next, rounded to whole frames.

        Raises:
            SettingsError: the step is less than a frame, or longer than a patch.
            ModelError: an exported model gives no embeddings.
        """
        super().__init__()
        own = model.front_end
        frame_ms = 1_000 * own.frame_seconds
        hop_frames = round(hop_ms / frame_ms) if 0 < hop_ms < np.inf else 0
        if not 1 <= hop_frames <= own.patch_frames:
            raise SettingsError(
                f"{hop_ms:g} ms from timestamp to timestamp: it must be from {frame_ms:g}, a frame, to "
                f"{own.patch_frames * frame_ms:g}, a patch"
            )
        self.model = model
        self.hop_ms = hop_frames * frame_ms
        """Milliseconds from one timestamp to the next."""
        self._scene_front_end = own
        self._time_front_end = replace(own, patch_hop_frames=hop_frames, fill_last_patch=False)
        self.network = model.network if isinstance(model, Model) else None
        """What moves with the device; an exported model stays on the CPU."""
        self._runner = patch_embedder(model, device="cpu")
        self.sample_rate = own.sample_rate_hz
        self.scene_embedding_size = self.timestamp_embedding_size = self._runner.num_outputs
        self.eval()

    def scene(self, sound: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The embedding [size] of samples [n]: the mean over its patches."""
        patches = self._patches(sound, self._scene_front_end)
        embedding: npt.NDArray[np.float32] = self._embed(patches).mean(axis=0, dtype=np.float64).astype(np.float32)
        return embedding

    def timestamps(self, sound: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The embeddings [timestamps, size] of samples [n], at every multiple of the step within the sound."""
        front_end = self._time_front_end
        half = front_end.patch_frames * front_end.hop_samples // 2
        num_stamps = self.num_timestamps(len(sound))
        num_needed = (num_stamps - 1) * front_end.patch_hop_frames * front_end.hop_samples + front_end.min_patch_samples
        padded = np.zeros(max(num_needed, half + len(sound)), np.float32)
        padded[half : half + len(sound)] = sound
        return self._embed(self._patches(padded, front_end)[:num_stamps])

    def num_timestamps(self, num_samples: int) -> int:
        """How many timestamps lie in so many samples."""
        return num_samples // (self._time_front_end.patch_hop_frames * self._time_front_end.hop_samples) + 1

    def _patches(self, sound: npt.NDArray[np.float32], front_end: FrontEnd) -> npt.NDArray[np.float16]:
        return cut_patches(waveform_frames(sound, front_end=front_end), front_end=front_end)

    def _embed(self, patches: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
        return self._here()(patches)

    def _here(self) -> PatchRunner:
        """The runner, on the device that the network was moved to."""
        weights = next(self.network.parameters(), None) if self.network is not None else None
        if weights is not None and weights.device != getattr(self._runner, "device", weights.device):
            self._runner = patch_embedder(self.model, device=str(weights.device))
        return self._runner


def load_model(model_file_path: str = "", *, timestamp_hop_ms: float | None = None) -> HearModel:
    """Load a model file, or an exported model (.onnx).

    Args:
        model_file_path: the file. There is no default model: one must be named.
        timestamp_hop_ms: from one timestamp to the next. None: what the environment variable says, or else 40.

    Raises:
        ModelError: no file is named, or it is no model.
        SettingsError: the step is no number, less than a frame, or longer than a patch.
    """
    if not model_file_path:
        raise ModelError(
            "load_model: no model is named; give the path of a model file, or of an exported model (.onnx)"
        )
    if timestamp_hop_ms is None:
        said = os.environ.get(HOP_VARIABLE) or str(DEFAULT_HOP_MS)
        try:
            timestamp_hop_ms = float(said)
        except ValueError as error:
            raise SettingsError(f"{HOP_VARIABLE}={said}: milliseconds are needed, such as 40") from error
    return HearModel(open_model(model_file_path), hop_ms=timestamp_hop_ms)


def get_scene_embeddings(audio: Tensor, model: HearModel) -> Tensor:
    """Embeddings [sounds, scene_embedding_size], float32, of sounds [sounds, samples] in [-1, 1].

    Raises:
        SettingsError: the audio is of another shape or kind, empty, or holds something that is no number.
    """
    embeddings = [model.scene(sound) for sound in _sounds(audio)]
    return _stacked(embeddings, (model.scene_embedding_size,), audio)


def get_timestamp_embeddings(audio: Tensor, model: HearModel) -> tuple[Tensor, Tensor]:
    """Embeddings [sounds, timestamps, timestamp_embedding_size], float32, of sounds [sounds, samples] in [-1, 1], and
    the timestamps [sounds, timestamps] in milliseconds.

    Raises:
        SettingsError: as `get_scene_embeddings`.
    """
    embeddings = [model.timestamps(sound) for sound in _sounds(audio)]
    num_stamps = model.num_timestamps(audio.shape[1])
    stamps = torch.arange(num_stamps, dtype=torch.float32, device=audio.device) * model.hop_ms
    stacked = _stacked(embeddings, (num_stamps, model.timestamp_embedding_size), audio)
    return stacked, stamps.repeat(len(audio), 1)


def _sounds(audio: Tensor) -> npt.NDArray[np.float32]:
    if not isinstance(audio, Tensor):
        raise SettingsError(f"audio is {type(audio).__name__}, not a tensor; torch.from_numpy makes one of an array")
    if audio.ndim != 2 or not audio.is_floating_point():
        raise SettingsError(
            f"audio of shape {list(audio.shape)} and type {audio.dtype}; [sounds, samples] in floating point is needed"
        )
    if not audio.shape[1]:
        raise SettingsError("the audio is empty; at least one sample is needed")
    sounds: npt.NDArray[np.float32] = audio.detach().to("cpu", torch.float32).numpy()
    if not np.isfinite(sounds).all():
        raise SettingsError("the audio holds a nan or an infinite number; samples lie in [-1, 1]")
    return sounds


def _stacked(embeddings: list[npt.NDArray[np.float32]], shape: tuple[int, ...], audio: Tensor) -> Tensor:
    stacked = np.stack(embeddings) if embeddings else np.empty((0, *shape), np.float32)
    return torch.from_numpy(stacked).to(audio.device)
