"""Our YAMNet beside TFLite's own runtime, on the same file of weights and all clips of ESC-10.

    EARWITNESS_DATA=... python benchmarks/yamnet.py [agreement] [classes] [speed]

Needs `pip install 'earwitness[bench]'`. Prints

- agreement: how often the two name the same label first and the same five, how their scores correlate, and where the
  differences come from: the 8-bit mel matrix, the runtime's 8-bit arithmetic, our frames in 16 bits; as a measure of
  what 8 bits do, two copies of the release against one another, in the runtime.
- classes: accuracy on ESC-10 without any training. A class's score is the highest of the Audio Set labels that
  `esc10_audio_set.csv` names for it, of the clip's mean scores. (The list was written before it was tried.)
- speed: seconds of sound a second of one thread: the runtime, our network alone, our whole way from a file.
"""

import argparse
import csv
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt
import torch
from ai_edge_litert.interpreter import Interpreter
from scipy.io import wavfile
from scipy.stats import spearmanr

from earwitness.audio.decode import decode
from earwitness.audio.frames import waveform_frames
from earwitness.audio.logmel import logmel, mel_weights
from earwitness.audio.patches import cut_patches
from earwitness.inference.probabilities import PatchScorer
from earwitness.inference.tagger import Tagger
from earwitness.labels import LabelSet
from earwitness.models.model_file import Model
from earwitness.published.importing import import_model
from earwitness.published.tflite import read_tflite_layers
from earwitness.published.yamnet import FRONT_END

ROUNDS = 5
MINUTES_OF_SOUND = 5
PARTS = ("agreement", "classes", "speed")

Array = npt.NDArray[Any]


def main() -> None:
    """Run the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; none: all")
    parts = parser.parse_args().parts or PARTS
    data = Path(os.environ["EARWITNESS_DATA"])
    weights = {copy: data / "weights" / f"yamnet_waveform_{copy}.tflite" for copy in "ab"}
    torch.set_num_threads(1)
    model = import_model(weights["b"], published_as="yamnet").model
    with (data / "esc10" / "meta" / "esc10.csv").open() as file:
        clips = list(csv.DictReader(file))
    waveforms = [read(data / "esc10" / "audio" / clip["filename"]) for clip in clips]
    if {"agreement", "classes"} & set(parts):
        runtime = Runtime(weights["b"])
        theirs = [runtime(waveform) for waveform in waveforms]
        tagger = Tagger(model, device="cpu")
        ours = np.stack([tagger.score(data / "esc10" / "audio" / clip["filename"]).scores for clip in clips])
        if "agreement" in parts:
            agreement(model, ours, theirs, waveforms, weights)
        if "classes" in parts:
            targets = [clip["category"] for clip in clips]
            for name, scores in (("ours", ours), ("runtime", np.stack([clip.scores.mean(axis=0) for clip in theirs]))):
                classes(name, scores, targets, model.label_set)
    if "speed" in parts:
        speed(model, weights["b"], np.concatenate(waveforms)[: MINUTES_OF_SOUND * 60 * 16_000])


class RuntimeOutput:
    """What the runtime makes of a waveform."""

    def __init__(self, scores: Array, embeddings: Array, frames: Array) -> None:
        self.scores, self.embeddings, self.frames = scores, embeddings, frames


class Runtime:
    """TFLite's interpreter of the copy that takes any length, on one thread."""

    def __init__(self, path: Path) -> None:
        self._interpreter = Interpreter(str(path), num_threads=1)
        self._length = 0

    def __call__(self, waveform: Array) -> RuntimeOutput:
        place = self._interpreter.get_input_details()[0]["index"]
        if len(waveform) != self._length:
            self._interpreter.resize_tensor_input(place, [len(waveform)])
            self._interpreter.allocate_tensors()
            self._length = len(waveform)
        self._interpreter.set_tensor(place, waveform)
        self._interpreter.invoke()
        outputs = [self._interpreter.get_tensor(each["index"]) for each in self._interpreter.get_output_details()]
        by_width = {output.shape[1]: output for output in outputs}
        return RuntimeOutput(by_width[521], by_width[1024], by_width[64])


def agreement(
    model: Model, ours: Array, theirs: list[RuntimeOutput], waveforms: list[Array], weights: dict[str, Path]
) -> None:
    """Print how the two agree, clip by clip and patch by patch, and why they differ."""
    their_clips = np.stack([clip.scores.mean(axis=0) for clip in theirs])
    print(f"clips ({len(ours)}), ours from the file against the runtime")
    compare(ours, their_clips)
    scorer = PatchScorer(model.network, device=torch.device("cpu"))
    exact = [padded_frames(waveform) for waveform in waveforms]
    rounded = [waveform_frames(waveform, front_end=FRONT_END) for waveform in waveforms]
    their_patches = np.concatenate([clip.scores for clip in theirs])

    def scores_of(all_frames: list[Array]) -> Array:
        return np.concatenate([scorer(cut_patches(frames, front_end=FRONT_END)) for frames in all_frames])

    our_patches = scores_of(rounded)
    print(f"patches ({len(our_patches)}), ours against the runtime")
    compare(our_patches, their_patches)
    print("patches, ours on the runtime's own log-mel against the runtime: its 8-bit arithmetic in the network")
    on_their_frames = scores_of([clip.frames for clip in theirs])
    compare(on_their_frames, their_patches)
    print("patches, ours on our log-mel against ours on the runtime's: its 8-bit front end")
    compare(our_patches, on_their_frames)
    print("patches, ours on frames of 16 bits against ours on frames of 32 bits")
    compare(our_patches, scores_of(exact))

    mel = read_tflite_layers(weights["b"])[0]
    expected = mel_weights(FRONT_END).T
    print(f"mel matrix of the file against ours: at most {np.abs(mel.weight - expected).max():.4f} apart")
    log_offset = np.unique(mel.bias) if mel.bias is not None else None
    print(f"log offset in the file: {log_offset}")
    differences = [np.abs(frames - clip.frames) for frames, clip in zip(exact, theirs, strict=True)]
    mean, most = np.mean([each.mean() for each in differences]), max(each.max() for each in differences)
    print(f"log-mel of the runtime against ours: mean difference {mean:.3f}, largest {most:.2f} (natural logarithm)")

    one_patch = Interpreter(str(weights["a"]), num_threads=1)
    one_patch.allocate_tensors()
    place, output = one_patch.get_input_details()[0]["index"], one_patch.get_output_details()[0]["index"]
    other_copy, same_patch = [], []
    for waveform, clip in zip(waveforms, theirs, strict=True):
        one_patch.set_tensor(place, waveform[:15_600])
        one_patch.invoke()
        other_copy.append(one_patch.get_tensor(output)[0].copy())
        same_patch.append(clip.scores[0])
    print("first patches, two copies of the release against one another in the runtime")
    compare(np.stack(other_copy), np.stack(same_patch))


def compare(ours: Array, theirs: Array) -> None:
    """Print how two arrays of scores [n, labels] agree."""
    best_ours, best_theirs = np.argsort(-ours, axis=1)[:, :5], np.argsort(-theirs, axis=1)[:, :5]
    same_first = np.mean(best_ours[:, 0] == best_theirs[:, 0])
    among_five = np.mean([first in row for first, row in zip(best_theirs[:, 0], best_ours, strict=True)])
    shared = np.mean([len(set(a) & set(b)) for a, b in zip(best_ours.tolist(), best_theirs.tolist(), strict=True)])
    pearson = np.corrcoef(ours.ravel(), theirs.ravel())[0, 1]
    ranks = median(float(spearmanr(a, b).statistic) for a, b in zip(ours, theirs, strict=True))
    difference = np.abs(ours - theirs)
    print(
        f"  same first label {same_first:6.1%}; its first among our five {among_five:6.1%}; of 5 shared {shared:.2f};"
        f" correlation {pearson:.4f}, of ranks (median) {ranks:.4f};"
        f" score differs by {difference.mean():.5f} in the mean, {difference.max():.3f} at most"
    )


def classes(name: str, scores: Array, targets: list[str], label_set: LabelSet) -> None:
    """Print the accuracy of mapped labels, with the interval of Wilson, and by class."""
    names_of: dict[str, list[int]] = {}
    with Path(__file__).with_name("esc10_audio_set.csv").open() as file:
        for row in csv.DictReader(file):
            names_of.setdefault(row["label"], []).append(label_set.names.index(row["audio_set_name"]))
    labels = sorted(names_of)
    mapped = np.stack([scores[:, names_of[label]].max(axis=1) for label in labels], axis=1)
    is_right = np.array(labels)[mapped.argmax(axis=1)] == np.array(targets)
    share, num, z = is_right.mean(), len(is_right), 1.96
    centre, half = share + z**2 / (2 * num), z * np.sqrt(share * (1 - share) / num + z**2 / (4 * num**2))
    low, high = (centre - half) / (1 + z**2 / num), (centre + half) / (1 + z**2 / num)
    print(f"ESC-10 without training, {name}: accuracy {share:.1%} (95 % interval {low:.1%} to {high:.1%})")
    by_class = {label: is_right[np.array(targets) == label].mean() for label in labels}
    print("  " + ", ".join(f"{label} {value:.0%}" for label, value in by_class.items()))


def speed(model: Model, path: Path, waveform: Array) -> None:
    """Print how many times faster than it sounds; the ways take turns, and the median of the rounds counts."""
    runtime, scorer = Runtime(path), PatchScorer(model.network, device=torch.device("cpu"))
    tagger = Tagger(model, device="cpu")
    patches = cut_patches(waveform_frames(waveform, front_end=FRONT_END), front_end=FRONT_END)
    seconds = len(waveform) / 16_000
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sound.wav"
        wavfile.write(file, 16_000, (waveform * 32_767).astype(np.int16))
        ways: dict[str, Callable[[], object]] = {
            "TFLite runtime, waveform to scores": lambda: runtime(waveform),
            "ours, patches to scores": lambda: scorer(patches),
            "ours, waveform to scores": lambda: scorer(
                cut_patches(waveform_frames(waveform, front_end=FRONT_END), front_end=FRONT_END)
            ),
            "ours, WAV file to tags": lambda: tagger.score(file),
        }
        took: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(ROUNDS + 1):
            for name, way in ways.items():
                began = time.perf_counter()
                way()
                if number:  # the first is to warm up
                    took[name].append(time.perf_counter() - began)
    print(f"{seconds:.0f} s of sound, one thread, median of {ROUNDS} rounds")
    first = median(next(iter(took.values())))
    for name, times in took.items():
        ratio = first / median(times)
        print(f"  {name:36} {seconds / median(times):7.0f} times real time ({ratio:.2f} of the runtime's speed)")


def read(path: Path) -> Array:
    """The waveform of a file, as `tag` hears it."""
    with decode(path) as blocks:
        return np.concatenate(list(blocks))


def padded_frames(waveform: Array) -> Array:
    """Frames of 32 bits, filled up as YAMNet does."""
    silence = FRONT_END.samples_of_silence_behind(len(waveform))
    return logmel(np.pad(waveform, (0, silence)), front_end=FRONT_END)


if __name__ == "__main__":
    main()
