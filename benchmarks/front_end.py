"""How fast the log-mel front end is on one core, beside librosa set to the same transform.

What: float32 waveforms of 10 s and 276 s (the mean length of a YouTube-100M video) to log-mel frames [frames, 64].
librosa runs twice: as people call it, `librosa.feature.melspectrogram`, which also makes its mel weights anew for
every call; and as `librosa.stft` with our mel weights ready. Both give the same numbers but for the shape of the
triangles (librosa's are linear in Hz). Ours computes in float64, librosa in float32. Sounds: noise with tones, and real
clips, where EARWITNESS_DATA names them.

Why: the front end must not be what a store waits for. Aim: at least 2 times librosa on 10 s, 2.5 times on 276 s.

Run: python benchmarks/front_end.py   (needs librosa: pip install 'earwitness[bench]')
"""

# ruff: noqa: E402  (the thread counts must be set before NumPy is imported)

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_variable] = "1"  # one core; read when NumPy is imported

import time
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
from numpy.typing import NDArray

from earwitness.audio.decode import read_waveform
from earwitness.audio.logmel import logmel, mel_weights
from earwitness.front_end import FrontEnd

FRONT_END = FrontEnd()
LENGTHS_SECONDS = (10, 276)
REPEATS = {10: 200, 276: 12}

Waveform = NDArray[np.float32]


def librosa_melspectrogram(waveform: Waveform) -> NDArray[np.float32]:
    """As people call librosa."""
    mel = librosa.feature.melspectrogram(
        y=waveform,
        sr=FRONT_END.sample_rate_hz,
        n_fft=FRONT_END.fft_length,
        hop_length=FRONT_END.hop_samples,
        win_length=FRONT_END.window_samples,
        center=False,
        power=1.0,
        n_mels=FRONT_END.num_bands,
        fmin=FRONT_END.min_hz,
        fmax=FRONT_END.max_hz,
        htk=True,
        norm=None,
    )
    frames: NDArray[np.float32] = np.log(mel + np.float32(FRONT_END.log_offset))
    return frames


_WEIGHTS = mel_weights(FRONT_END).T.astype(np.float32)


def librosa_stft(waveform: Waveform) -> NDArray[np.float32]:
    """Librosa's Fourier transform alone, the mel weights ready."""
    spectrum = librosa.stft(
        waveform,
        n_fft=FRONT_END.fft_length,
        hop_length=FRONT_END.hop_samples,
        win_length=FRONT_END.window_samples,
        center=False,
    )
    frames: NDArray[np.float32] = np.log(_WEIGHTS @ np.abs(spectrum) + np.float32(FRONT_END.log_offset))
    return frames


def sounds(seconds: int) -> dict[str, Waveform]:
    """What is transformed, by name."""
    count = seconds * FRONT_END.sample_rate_hz
    at = np.arange(count) / FRONT_END.sample_rate_hz
    noise = 0.05 * np.random.default_rng(0).standard_normal(count)
    made = noise + 0.2 * np.sin(2 * np.pi * 440 * at) + 0.1 * np.sin(2 * np.pi * 3_000 * at)
    found = {"noise and tones": made.astype(np.float32)}
    if "EARWITNESS_DATA" in os.environ:
        clips = sorted((Path(os.environ["EARWITNESS_DATA"]) / "esc10" / "audio").glob("*.flac"))[::7]
        found["ESC-10 clips"] = np.concatenate([read_waveform(clip) for clip in clips])[:count]
    return found


def best_seconds(functions: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Processor time of the fastest of `repeats` runs of each; they take turns, so that other work hits all alike."""
    best = dict.fromkeys(functions, float("inf"))
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.process_time()
            function()
            best[name] = min(best[name], time.process_time() - start)
    return best


def main() -> None:
    """Print the table."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print("| seconds | sound | earwitness, x real time | melspectrogram | stft + mel | ratio | ratio to stft |")
    print("|---|---|---|---|---|---|---|")
    for seconds in LENGTHS_SECONDS:
        for name, sound in sounds(seconds).items():
            best = best_seconds(
                {
                    "ours": lambda sound=sound: logmel(sound, front_end=FRONT_END),  # type: ignore[misc]
                    "melspectrogram": lambda sound=sound: librosa_melspectrogram(sound),  # type: ignore[misc]
                    "stft": lambda sound=sound: librosa_stft(sound),  # type: ignore[misc]
                },
                REPEATS[seconds],
            )
            rates = {key: seconds / value for key, value in best.items()}
            print(
                f"| {seconds} | {name} | {rates['ours']:,.0f} | {rates['melspectrogram']:,.0f} | {rates['stft']:,.0f} "
                f"| **{rates['ours'] / rates['melspectrogram']:.2f}** | {rates['ours'] / rates['stft']:.2f} |"
            )


if __name__ == "__main__":
    main()
