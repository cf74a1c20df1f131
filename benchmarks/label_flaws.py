"""How much flawed labels hurt: the same training on the same sound, once with metadata's labels, once with true ones.

    python benchmarks/label_flaws.py FOLDER

Makes a corpus of the demo's settings, a store with either labels, trains the demo's network on each, and measures both
on the same held-out soundtracks against what truly sounds there. FOLDER keeps everything; a second call goes on.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

from earwitness.demo.settings import CORPUS, SETTINGS, TEST
from earwitness.evaluation.summary import evaluate
from earwitness.inference.probabilities import PatchScorer
from earwitness.labels import read_label_set
from earwitness.manifest import read_manifest
from earwitness.models.model_file import load_model
from earwitness.models.precision import choose_device
from earwitness.parallel import usable_cpus
from earwitness.scoring.clip_scores import score_clips
from earwitness.store.build import build_store
from earwitness.store.read import Store
from earwitness.store.reading import FrameReader
from earwitness.store.settings import BuildSettings
from earwitness.synth.corpus import make_corpus
from earwitness.training.loop import train

LABELS = {"true": "manifest_true.parquet", "metadata": "manifest.parquet"}


def main() -> None:
    """Train both ways and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=1, help="trainings with each kind of labels")
    arguments = parser.parse_args()
    corpus = arguments.folder / "corpus"
    make_corpus(corpus, settings=CORPUS, workers=usable_cpus())
    for name, manifest in LABELS.items():
        build_store(
            read_manifest(corpus / manifest),
            arguments.folder / f"store_{name}",
            settings=BuildSettings(),
            label_set=read_label_set(corpus / "labels.csv"),
        )
    truth = Store.open(arguments.folder / "store_true")
    clips = truth.select(TEST)
    targets = truth.targets(clips)
    print("learnt from      seed  mAP    AUC    d-prime  (all against what truly sounds)")
    for name in LABELS:
        store = Store.open(arguments.folder / f"store_{name}")
        found: list[float] = []
        for seed in range(1, arguments.seeds + 1):
            run = arguments.folder / f"run_{name}_{seed}"
            summary = train(store, run, settings=replace(SETTINGS, seed=seed))
            model = load_model(summary.model_path)
            scorer = PatchScorer(model.network, device=choose_device())
            with FrameReader(truth) as reader:
                scores = score_clips(scorer, reader, clips, front_end=model.front_end)
            result = evaluate(scores, targets, label_set=truth.label_set)
            found.append(result.mean_average_precision)
            print(
                f"{name + ' labels':16s} {seed:4d}  {result.mean_average_precision:.3f}  {result.mean_auc:.3f}  "
                f"{result.dprime:.2f}",
                flush=True,
            )
        if len(found) > 1:
            print(f"{name + ' labels':16s} mean  {fmean(found):.3f}  (standard deviation {stdev(found):.3f})")
    print(f"chance                 {result.chance.mean_average_precision:.3f}  0.500  0.00")


if __name__ == "__main__":
    main()
