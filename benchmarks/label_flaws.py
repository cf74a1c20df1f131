"""How much flawed labels hurt: the same training on the same sound, once with metadata's labels, once with true ones.

    python benchmarks/label_flaws.py FOLDER

Makes a corpus of the demo's settings, a store with either labels, trains the demo's network on each, and measures both
on the same held-out soundtracks against what truly sounds there. FOLDER keeps everything; a second call goes on.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from earwitness.demo.settings import CORPUS, SETTINGS, TEST
from earwitness.experiments.evaluating import evaluate_model
from earwitness.experiments.timelines import evaluate_timelines
from earwitness.labels import read_label_set
from earwitness.manifest import read_manifest
from earwitness.models.model_file import load_model
from earwitness.store.build import build_store
from earwitness.store.read import Store
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
    make_corpus(corpus, settings=CORPUS, workers=BuildSettings().workers)
    for name, manifest in LABELS.items():
        build_store(
            read_manifest(corpus / manifest),
            arguments.folder / f"store_{name}",
            settings=BuildSettings(),
            label_set=read_label_set(corpus / "labels.csv"),
        )
    truth = Store.open(arguments.folder / "store_true")
    print("learnt from      seed  mAP    AUC    d-prime  timeline mAP   (all against what truly sounds)")
    chance = None
    for name in LABELS:
        store = Store.open(arguments.folder / f"store_{name}")
        for seed in range(1, arguments.seeds + 1):
            run = arguments.folder / f"run_{name}_{seed}"
            summary = train(store, run, settings=replace(SETTINGS, seed=seed))
            model = load_model(summary.model_path)
            clips = evaluate_model(model, truth, where=TEST).model
            patches = evaluate_timelines(model, truth, events_path=corpus / "events.parquet", where=TEST).patches
            print(
                f"{name + ' labels':16s} {seed:4d}  {clips.mean_average_precision:.3f}  {clips.mean_auc:.3f}  "
                f"{clips.dprime:.2f}     {patches.mean_average_precision:.3f}",
                flush=True,
            )
            chance = clips.chance.mean_average_precision, patches.chance.mean_average_precision
    if chance is not None:
        print(f"chance                 {chance[0]:.3f}  0.500  0.00     {chance[1]:.3f}")


if __name__ == "__main__":
    main()
