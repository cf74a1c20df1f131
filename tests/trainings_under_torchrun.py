"""Run by torchrun in `test_training_distributed.py`: several trainings in one start, for starting is what takes time.

    torchrun ... trainings_under_torchrun.py STORE OUT JOB...

Leaves OUT/JOB/run and, from each process, OUT/JOB/read-RANK.json: the patches it read at each step.
"""

import json
import os
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np

from earwitness.store.read import Store
from earwitness.store.reading import FrameReader
from earwitness.training import loop
from earwitness.training.batches import Batch, BatchLoader
from earwitness.training.settings import LearningRatePlan, SmallData, TrainSettings

PLAIN = TrainSettings(
    network="fully_connected",
    width=0.03,
    steps=8,
    batch_size=16,
    learning_rate=1e-3,
    validation_share=0.3,
    validation_every=4,
    threads=1,
    precision="float32",
)
SMALL_DATA = SmallData(
    balanced=True,
    time_shift_frames=30,
    mixup=0.4,
    mask_frames=20,
    mask_bands=10,
    dropout=0.3,
    weight_decay=0.01,
    average_decay=0.9,
)
JOBS = {
    "plain": PLAIN,
    "everything": replace(PLAIN, small_data=SMALL_DATA, plan=LearningRatePlan(rate_plan="cosine", warmup_steps=3)),
    "accumulate": replace(PLAIN, accumulate=2),
    "convolutions": replace(PLAIN, network="resnet50", width=0.0625, steps=4),
    "stopped": replace(PLAIN, network="resnet50", width=0.0625, steps=4),  # resnet50: its statistics are shared, too
}


def run(store: Store, folder: Path, job: str) -> None:
    """One training; the batches are noted on their way from the store."""
    rank = int(os.environ.get("RANK", "0"))
    noted: dict[int, list[list[float]]] = {}
    read_patches, load = FrameReader.read_patches, BatchLoader.load
    places: list[list[float]] = []

    def note_places(reader: FrameReader, clips: np.ndarray, first_frames: np.ndarray, *rest: object) -> object:
        if threading.current_thread().name.startswith("batches"):  # validation reads as well
            places[:] = np.stack([clips, first_frames], axis=1).tolist()
        return read_patches(reader, clips, first_frames, *rest)

    def note_batch(loader: BatchLoader, step: int) -> Batch:
        batch = load(loader, step)
        drawn = [t.reshape(len(t), -1).float() for t in vars(batch.draws).values() if t is not None]
        noted[step] = [place + [float(x) for t in drawn for x in t[row]] for row, place in enumerate(places)]
        return batch

    FrameReader.read_patches, BatchLoader.load = note_places, note_batch
    try:
        for stop in (2, None) if job == "stopped" else (None,):
            stop_after(stop)
            loop.train(store, folder / job / "run", settings=JOBS[job])
    finally:
        FrameReader.read_patches, BatchLoader.load = read_patches, load
    (folder / job / f"read-{rank}.json").write_text(json.dumps([noted[step] for step in sorted(noted)]))


def stop_after(step: int | None) -> None:
    """Have the last process alone be asked to stop once that step is done."""
    learn = original_learn

    def learn_and_ask(training: loop._Training, *arguments: object) -> None:
        learn(training, *arguments)
        if training.step + 1 == step and training.processes.rank == training.processes.count - 1:
            os.kill(os.getpid(), 2)

    loop._Training._learn = learn_and_ask


original_learn = loop._Training._learn

if __name__ == "__main__":
    for name in sys.argv[3:]:
        run(Store.open(sys.argv[1]), Path(sys.argv[2]), name)
