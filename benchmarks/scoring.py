"""Clips/s of `earwitness score`, from a store on disk to a folder of scores, beside the network alone.

    python benchmarks/scoring.py [--networks resnet50 alexnet ...] [--width 1] [--labels 527] [--seconds 8] [--rounds 5]

What: the clips of a store of noise, ten patches each, are scored by `score_store` into a fresh folder: reading, making
batches, the network, means over patches, tiles written and synced. Beside it the same network alone runs forward on as
many patches, in float32 batches of the same size that lie ready in memory, its weights channels last as in scoring.
Both take turns of about `--seconds` in the same process, so that whatever else the machine does falls on both alike;
the medians over the turns are shown, after one turn that does not count, and the medians of the turns' ratios: by the
clock, and by processor time of the whole process, which counts what reads and writes beside the network and is hardly
disturbed by what else the machine does (on a GPU it says nothing).

Why: what is not the network should cost 5 % at most.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from pathlib import Path

import torch

from earwitness.inference.patch_runner import BATCH_PATCHES
from earwitness.inference.probabilities import exact_float32
from earwitness.labels import LabelSet
from earwitness.models.description import Architecture
from earwitness.models.model_file import Model
from earwitness.models.network import Network
from earwitness.models.precision import choose_device
from earwitness.scoring.score_settings import ScoreSettings
from earwitness.scoring.score_store import score_store
from earwitness.store.read import Store
from store_reading import CLIP_FRAMES, FRONT_END, make_store

NETWORKS = ["fully_connected", "alexnet", "vgg", "inception_v3", "resnet50"]
PATCHES_OF_CLIP = CLIP_FRAMES // FRONT_END.patch_frames
READY_BATCHES = 8
TRIAL_BATCHES = 4


def main() -> None:
    """Make the store, let both take turns for each network, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--labels", type=int, default=527)
    parser.add_argument("--clips", type=int, default=20_000, help="in the store; fewer are scored by slow networks")
    parser.add_argument("--seconds", type=float, default=8.0, help="of a turn, about")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.device)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_store(folder / "store", 20, max(1, arguments.clips // 20), num_labels=arguments.labels)
        store = Store.open(folder / "store")
        print(f"{device}, {torch.get_num_threads()} threads, width {arguments.width:g}, {arguments.labels:,} labels\n")
        print("| network | clips a turn | bare, clips/s | score, clips/s | score / bare | by processor time |")
        print("|---|---|---|---|---|---|")
        for network in arguments.networks:
            compare(network, store, folder, device, arguments)


def compare(name: str, store: Store, folder: Path, device: torch.device, arguments: argparse.Namespace) -> None:
    """A line of the table."""
    architecture = Architecture(name=name, arguments={"num_labels": arguments.labels, "width": arguments.width})
    model = Model(
        network=architecture.build().eval(),
        architecture=architecture,
        label_set=LabelSet.of(store.label_set.ids),
        front_end=store.front_end,
    )
    model.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    batches = [
        torch.randn(BATCH_PATCHES, FRONT_END.patch_frames, FRONT_END.num_bands, device=device)
        for _ in range(READY_BATCHES)
    ]
    bare(model.network, batches, TRIAL_BATCHES)
    trial_seconds = bare(model.network, batches, TRIAL_BATCHES)
    wanted = arguments.seconds / trial_seconds * TRIAL_BATCHES * BATCH_PATCHES / PATCHES_OF_CLIP
    num_clips = max(BATCH_PATCHES, min(store.num_clips, round(wanted / BATCH_PATCHES) * BATCH_PATCHES))
    settings = ScoreSettings(where=f"cast(regexp_extract(media, '[0-9]+') as integer) < {num_clips}")
    num_batches = -(-num_clips * PATCHES_OF_CLIP // BATCH_PATCHES)
    bare_clips = num_batches * BATCH_PATCHES / PATCHES_OF_CLIP
    clock: list[tuple[float, float]] = []
    processor: list[tuple[float, float]] = []
    for turn in range(arguments.rounds + 1):
        before = Moment()
        bare(model.network, batches, num_batches)
        between = Moment()
        score_store(model, store, folder / f"{name}-{turn}", settings=settings, device=arguments.device)
        after = Moment()
        clock.append((bare_clips / (between.clock - before.clock), num_clips / (after.clock - between.clock)))
        processor.append(
            (bare_clips / (between.processor - before.processor), num_clips / (after.processor - between.processor))
        )
    rates = [f"{statistics.median(values):,.1f}" for values in zip(*clock[1:], strict=True)]
    ratios = [f"{statistics.median(ours / alone for alone, ours in side[1:]):.1%}" for side in (clock, processor)]
    print(f"| {name} | {num_clips:,} | {' | '.join(rates)} | {' | '.join(ratios)} |", flush=True)


class Moment:
    """What the clocks say now."""

    def __init__(self) -> None:
        self.clock, self.processor = time.perf_counter(), time.process_time()


def bare(network: Network, batches: list[torch.Tensor], num_batches: int) -> float:
    """Seconds that the network alone takes for some batches."""
    synchronise(batches[0].device)
    started = time.perf_counter()
    with torch.inference_mode(), exact_float32():
        for batch in itertools.islice(itertools.cycle(batches), num_batches):
            network(batch)
    synchronise(batches[0].device)
    return time.perf_counter() - started


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
