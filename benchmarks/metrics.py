"""AUC and average precision a label, beside scikit-learn and torchmetrics; and whole tables, from disk to the figures.

    python benchmarks/metrics.py [--clips 1000000] [--repeats 5]
    python benchmarks/metrics.py --table 100000x3087 [--folder DIR] [--memory-mib 512] [--workers 2] [--resamples 200]

The first prints a Markdown table: one label of so many clips, float32 scores, for 33 positives, 1 % and 10 %, where no
two scores are made alike, and where they are: rounded to two digits, saturated at 0 and 1, all the same. Each side
computes both measures, and the least processor time of one thread is shown, for others may use the machine; the last
columns say how many times as long the others take. The figures of all sides are compared: with scikit-learn to 1e-12,
with torchmetrics (which adds in float32) to 1e-4.

The second writes made scores [clips, labels] as tiles of 4,096 clips, float32, each label's scores side by side, as
folders of scores are laid out, with about three labels a clip; then evaluates them in a process of its own, and prints
how long that takes and its peak memory. The disk must have room: 4 bytes a score.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from shutil import disk_usage
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.evaluation.metrics import rank_label
from earwitness.evaluation.positives import Positives
from earwitness.evaluation.summary import evaluate
from earwitness.labels import LabelSet

Measures = tuple[float, float]
Label = tuple[npt.NDArray[Any], npt.NDArray[np.int64]]

EXACT, SINGLE = 1e-12, 1e-4
TILE_CLIPS = 4096
LABELS_PER_CLIP = 3.0


def main() -> None:
    """Measure single labels, or a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--table", help="clips x labels, such as 100000x3087")
    parser.add_argument("--folder", type=Path, help="where a table is made (default: a temporary folder)")
    parser.add_argument("--memory-mib", type=int, default=512, help="the evaluation's budget")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--resamples", type=int, default=0)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)  # what the process of its own is called with
    arguments = parser.parse_args()
    if arguments.read:
        print(json.dumps(read_table(arguments.read, arguments.memory_mib, arguments.workers, arguments.resamples)))
    elif arguments.table:
        clips, labels = (int(number) for number in arguments.table.split("x"))
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            run_table(Path(folder), clips, labels, arguments)
    else:
        run_labels(arguments.clips, arguments.repeats)


def run_labels(clips: int, repeats: int) -> None:
    """Print the table of single labels."""
    rivals = {"scikit-learn": by_scikit_learn, "torchmetrics": torchmetrics_or_none()}
    print(f"{clips:,} clips, float32 scores; AUC and average precision of one label, ms of one thread\n")
    print("| positives | scores | earwitness | scikit-learn | torchmetrics | scikit-learn / | torchmetrics / |")
    print("|--:|:--|--:|--:|--:|--:|--:|")
    for num_positives in (33, clips // 100, clips // 10):
        for kind in ("probabilities", "logits", "two digits", "saturated", "constant"):
            scores, positive_clips = made_label(kind, clips, num_positives)
            targets = np.zeros(clips, dtype=np.bool_)
            targets[positive_clips] = True
            ours, own = least_ms(partial(rank_label, scores, positive_clips), 3 * repeats)
            cells, ratios = [f"{ours:.2f}"], []
            for name, rival in rivals.items():
                if rival is None:
                    cells.append("not installed")
                    ratios.append("")
                    continue
                theirs, found = least_ms(partial(rival, scores, targets), max(2, repeats // 2))
                tolerance = EXACT if name == "scikit-learn" else SINGLE
                assert np.allclose(own, found, rtol=0, atol=tolerance), (name, kind, own, found)
                cells.append(f"{theirs:.0f}")
                ratios.append(f"{theirs / ours:.0f}")
            print(f"| {num_positives:,} | {kind} | {' | '.join(cells + ratios)} |", flush=True)


def made_label(kind: str, clips: int, num_positives: int) -> Label:
    """Scores as of a network that knows the label well."""
    rng = np.random.default_rng(0)
    positive_clips = np.sort(rng.choice(clips, num_positives, replace=False)).astype(np.int64)
    logits = rng.normal(size=clips) * 2 - 5
    logits[positive_clips] += 2.5
    probabilities = 1 / (1 + np.exp(-logits))
    scores = {
        "probabilities": probabilities,
        "logits": logits,
        "two digits": np.round(probabilities, 2),
        "saturated": 1 / (1 + np.exp(-60 * (logits + 4))),
        "constant": np.full(clips, 0.25),
    }[kind]
    return scores.astype(np.float32), positive_clips


def by_scikit_learn(scores: npt.NDArray[Any], targets: npt.NDArray[np.bool_]) -> Measures:
    """Its two functions."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    return float(roc_auc_score(targets, scores)), float(average_precision_score(targets, scores))


def torchmetrics_or_none() -> Callable[[npt.NDArray[Any], npt.NDArray[np.bool_]], Measures] | None:
    """Its two functions, exact (no thresholds given)."""
    try:
        from torchmetrics.functional.classification import binary_auroc, binary_average_precision
    except ImportError:
        return None
    import torch

    torch.set_num_threads(1)

    def measure(scores: npt.NDArray[Any], targets: npt.NDArray[np.bool_]) -> Measures:
        # it would take logits for such and squash them, which makes ties: ranks in [0, 1] have the same order
        if scores.min() < 0 or scores.max() > 1:
            scores = (scores - scores.min()) / (scores.max() - scores.min())
        preds, target = torch.from_numpy(scores), torch.from_numpy(targets).long()
        return float(binary_auroc(preds, target)), float(binary_average_precision(preds, target))

    return measure


def least_ms(measure: Callable[[], Measures], repeats: int) -> tuple[float, Measures]:
    """Least processor time of this thread, and what came out."""
    times = []
    for _ in range(repeats):
        start = time.thread_time()
        found = measure()
        times.append(time.thread_time() - start)
    return min(times) * 1e3, found


class Tiles:
    """A `ScoreSource` over tiles [labels, clips of the tile]."""

    def __init__(self, folder: Path) -> None:
        facts = json.loads((folder / "facts.json").read_text())
        self._folder, self.num_clips, self.num_labels = folder, facts["clips"], facts["labels"]

    def label_block(self, first: int, stop: int) -> npt.NDArray[Any]:
        """Labels [first, stop) of all clips."""
        block = np.empty((stop - first, self.num_clips), np.float32)
        for start in range(0, self.num_clips, TILE_CLIPS):
            clips = min(TILE_CLIPS, self.num_clips - start)
            block[:, start : start + clips] = self._read(start, first, stop)
        return block

    def clip_block(self, first: int, stop: int) -> npt.NDArray[Any]:
        """Clips [first, stop) of all labels."""
        blocks = []
        for start in range(first // TILE_CLIPS * TILE_CLIPS, stop, TILE_CLIPS):
            tile = self._read(start, 0, self.num_labels)
            blocks.append(tile[:, max(first - start, 0) : stop - start].T)
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)

    def _read(self, start: int, first: int, stop: int) -> npt.NDArray[Any]:
        clips = min(TILE_CLIPS, self.num_clips - start)
        path = self._folder / f"{start // TILE_CLIPS:05d}.f32"
        return np.fromfile(path, np.float32, (stop - first) * clips, offset=4 * first * clips).reshape(-1, clips)


def run_table(folder: Path, clips: int, labels: int, arguments: argparse.Namespace) -> None:
    """Make a table on disk, evaluate it, print what it took."""
    needed, free = 4 * clips * labels, disk_usage(folder).free
    if needed > 0.9 * free:
        sys.exit(f"{folder}: {needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free")
    seconds = make_table(folder, clips, labels)
    print(f"{clips:,} x {labels:,} scores, {needed / 1e9:.2f} GB, made in {seconds:.0f} s")
    command = [sys.executable, __file__, "--read", str(folder), "--memory-mib", str(arguments.memory_mib)]
    command += ["--workers", str(arguments.workers), "--resamples", str(arguments.resamples)]
    took = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(f"{arguments.workers} threads, {arguments.memory_mib} MiB, {arguments.resamples} resamples: {took}")


def make_table(folder: Path, clips: int, labels: int) -> float:
    """Write tiles, and which clips carry which labels; a few labels are frequent, most are rare."""
    begin = time.perf_counter()
    rng = np.random.default_rng(0)
    frequencies = 1.0 / np.arange(1, labels + 1)
    num_pairs = int(clips * LABELS_PER_CLIP)
    pairs = np.stack(
        [rng.integers(0, clips, num_pairs), rng.choice(labels, num_pairs, p=frequencies / frequencies.sum())]
    )
    positives = Positives.from_pairs(*pairs, num_clips=clips, num_labels=labels)
    np.save(folder / "pairs.npy", pairs)
    (folder / "facts.json").write_text(json.dumps({"clips": clips, "labels": labels}))
    for start in range(0, clips, TILE_CLIPS):
        stop = min(start + TILE_CLIPS, clips)
        logits = rng.standard_normal((labels, stop - start), dtype=np.float32)
        logits *= 2
        logits -= 5
        rows, columns = positives.pairs_of_clips(start, stop)
        logits[columns, rows] += 2.5
        np.negative(logits, out=logits)
        np.exp(logits, out=logits)
        logits += 1
        np.reciprocal(logits, out=logits)
        logits.tofile(folder / f"{start // TILE_CLIPS:05d}.f32")
    return time.perf_counter() - begin


def read_table(folder: Path, memory_mib: int, workers: int, resamples: int) -> dict[str, float]:
    """Evaluate the tiles; seconds, peak memory, and the headline."""
    source = Tiles(folder)
    begin = time.perf_counter()
    pairs = np.load(folder / "pairs.npy")
    positives = Positives.from_pairs(*pairs, num_clips=source.num_clips, num_labels=source.num_labels)
    labels_done: list[float] = []
    evaluation = evaluate(
        source,
        positives,
        label_set=LabelSet.of(str(label) for label in range(source.num_labels)),
        resamples=resamples,
        memory_bytes=memory_mib * 2**20,
        workers=workers,
        on_labels=lambda _: labels_done.append(time.perf_counter() - begin),
    )
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": round(time.perf_counter() - begin, 1),
        "of these for labels": round(labels_done[-1], 1),
        "processor seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak MB": round(usage.ru_maxrss / 1e3),
        "mAP": round(evaluation.mean_average_precision, 6),
        "micro AP": round(evaluation.micro_average_precision, 6),
        "lwlrap": round(evaluation.lwlrap, 6),
    }


if __name__ == "__main__":
    main()
