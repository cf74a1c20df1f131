"""Few labelled clips: a classifier on the frozen embedding of YAMNet, beside a network that learns from these alone.

    EARWITNESS_DATA=... python benchmarks/few_labels.py FOLDER [--clips 10 40 100] [--scratch-steps 200]

For each fold of ESC-10, so many clips are drawn from the other four folds, as many of each class, the same for both;
the fold itself is tagged. The embeddings are made once; the classifier is logistic regression (500 steps of 64 patches,
nothing tuned). From scratch: a ResNet-50 of an eighth of the width with the recipe for small corpora. Prints accuracy
over folds with Student's interval, and the seconds of learning. FOLDER keeps everything; a second call goes on.
"""

import argparse
import hashlib
import os
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy import stats

from earwitness.datasets.esc50 import manifest_from_esc50
from earwitness.front_end import FrontEnd
from earwitness.inference.probabilities import PatchScorer
from earwitness.models.model_file import load_model
from earwitness.models.precision import choose_device
from earwitness.published.importing import import_model
from earwitness.scoring.clip_scores import score_clips
from earwitness.scoring.embedding import embed_store
from earwitness.store.build import build_store
from earwitness.store.embeddings import Embeddings
from earwitness.store.read import Store
from earwitness.store.reading import FrameReader
from earwitness.store.settings import BuildSettings
from earwitness.training.loop import train
from earwitness.training.recipes import RECIPES
from earwitness.training.settings import TrainSettings

HEAD = TrainSettings(steps=500, batch_size=64, validation_share=0.0)
SCRATCH = replace(
    RECIPES["small-data"], network="resnet50", width=0.125, batch_size=32, validation_share=0.0, threads=1, device="cpu"
)
FOLDS = range(1, 6)


def main() -> None:
    """Learn from few clips in both ways and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--clips", type=int, nargs="+", default=[10, 40, 100], help="labelled clips, all classes together"
    )
    parser.add_argument("--scratch-steps", type=int, default=200, help="of the training from scratch")
    arguments = parser.parse_args()
    data, folder = Path(os.environ["EARWITNESS_DATA"]), arguments.folder
    model = import_model(data / "weights" / "yamnet_waveform_b.tflite", published_as="yamnet").model
    manifest = manifest_from_esc50(data / "esc10")
    for name, front_end in (("yamnet", model.front_end), ("paper", FrontEnd())):
        build_store(manifest, folder / f"store_{name}", settings=BuildSettings(front_end=front_end))
    yamnet_store, paper_store = Store.open(folder / "store_yamnet"), Store.open(folder / "store_paper")
    began = time.perf_counter()
    made = embed_store(model, yamnet_store, folder / "embeddings", device="cpu")
    if not made.was_complete:
        print(f"{made.num_patches} embeddings, once: {time.perf_counter() - began:.0f} s")
    embeddings = Embeddings.open(folder / "embeddings")
    scratch = replace(SCRATCH, steps=arguments.scratch_steps)
    print("clips  way       accuracy  95 % interval   seconds of learning, each   by fold")
    for num_clips in arguments.clips:
        for way, learnt_from, tagged, settings in (
            ("head", embeddings, yamnet_store, HEAD),
            ("scratch", paper_store, paper_store, scratch),
        ):
            accuracies, seconds = [], []
            for fold in FOLDS:
                where = f"clip_id in ({', '.join(map(repr, draw(yamnet_store, fold, num_clips)))})"
                run = folder / f"{way}_{num_clips}_{fold}"
                summary = train(learnt_from, run, settings=replace(settings, where=where))
                seconds.append(summary.seconds)
                accuracies.append(accuracy(summary.model_path, tagged, fold))
            mean, error = np.mean(accuracies), stats.sem(accuracies)
            half = stats.t.ppf(0.975, len(accuracies) - 1) * error
            print(
                f"{num_clips:5}  {way:8}  {mean:7.1%}   {mean - half:.1%} to {mean + half:.1%}  {np.mean(seconds):8.1f}"
                f"                    {' '.join(f'{each:.1%}' for each in accuracies)}"
            )


def draw(store: Store, fold: int, num_clips: int) -> list[str]:
    """Ids of so many clips outside a fold, as many of each class, by a hash of their names."""
    table = store.clips.select(["clip_id", "fold", "category"]).to_pylist()
    others = sorted(
        (row for row in table if row["fold"] != fold),
        key=lambda row: hashlib.sha256(f"{fold}/{row['clip_id']}".encode()).digest(),
    )
    labels = sorted({row["category"] for row in others})
    each = num_clips // len(labels)
    return [row["clip_id"] for label in labels for row in [r for r in others if r["category"] == label][:each]]


def accuracy(model_path: Path, store: Store, fold: int) -> float:
    """Share of a fold's clips whose best label is theirs."""
    model = load_model(model_path)
    clips = store.select(f"fold = {fold}")
    scorer = PatchScorer(model.network, device=choose_device("cpu"))
    with FrameReader(store) as reader:
        scores = score_clips(scorer, reader, clips, front_end=model.front_end)
    targets = store.targets(clips)
    return float(targets[np.arange(len(clips)), scores.argmax(axis=1)].mean())


if __name__ == "__main__":
    main()
