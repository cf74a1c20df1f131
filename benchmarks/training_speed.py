"""Training as earwitness does it, beside a plain float32 loop over the same network: patches/s, memory, waiting.

    python benchmarks/training_speed.py [--networks resnet50 alexnet ...] [--batch-size 128] [--steps 8] [--rounds 5]

Each way of training runs in a process of its own, and they take turns of `--steps` updates in the same run, so that
whatever else the machine does falls on all alike; the medians over the turns are shown, after one turn that does not
count. All train the same network from the same first weights, on a store of noise.

    plain          float32, channels first, Adam as torch has it by default, batches ready in memory
    ours           what `earwitness train` does: from the store, in the arithmetic that `--precision auto` chooses
    ours-float32   the same with `--precision float32`

Memory is the peak of the whole process, on a GPU that of what torch has on it. Waiting is the share of the time in
which the loop waited for data from the store. Validation is timed on as many clips as `earwitness train` watches by
default, ten patches each, and shown as a share of training at default settings. TFLOP/s counts three passes of two
operations for each multiply-add; what a bare product of matrices reaches stands above the table. Give
`--peak-tflops` for the share of the chip's peak.

Then the loader alone, from the store to dense targets on the device, with the store's files in the page cache and
dropped from it.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from itertools import cycle, islice
from pathlib import Path
from typing import Protocol

import torch
from torch.nn import functional as F

from earwitness.inference.probabilities import exact_float32
from earwitness.models.costs import network_costs
from earwitness.models.precision import choose_device
from earwitness.store.parts import frames_path
from earwitness.store.read import Store
from earwitness.store.reading import FrameReader
from earwitness.training.batches import BATCHES_AHEAD, on_device
from earwitness.training.distributed import Processes
from earwitness.training.learner import Learner, make_optimizer
from earwitness.training.running_means import RunningMeans
from earwitness.training.settings import TrainSettings
from earwitness.training.setup import Setup, set_up
from store_reading import evict, make_store, warm

WAYS = ("plain", "ours", "ours-float32")
NETWORKS = ["fully_connected", "alexnet", "vgg", "inception_v3", "resnet50"]
READY_BATCHES = 4
BARE_SIZE = 4_096
LONG = 10**6
"""More steps than are taken."""


class Way(Protocol):
    """A way of training, ready to take steps."""

    def prepare(self) -> None:
        """Come to the state in which the middle of a training is."""

    def learn(self, num_steps: int) -> dict[str, float]:
        """Take steps; figures beyond the time they took."""


def main() -> None:
    """Make the store, let the ways take turns for each network, print a table; then the loader alone."""
    arguments = parse_arguments()
    if arguments.way:
        take_turns(arguments)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.folder or Path(name)
        if not (folder / "store.json").exists():
            make_store(folder, 20, max(1, arguments.clips // 20), num_labels=arguments.labels)
        options = [*sys.argv[1:], "--folder", str(folder)]
        print(f"batch {arguments.batch_size}, width {arguments.width:g}, {arguments.labels} labels")
        print(device_name(arguments))
        print(bare_products(arguments))
        print("\n| network | way | patches/s | ratio | TFLOP/s | peak MiB | waiting | validation |")
        print("|---|---|---|---|---|---|---|---|")
        for network in arguments.networks:
            compare(network, arguments, options)
        print("\n| loader alone, page cache | patches/s |\n|---|---|")
        for state in ("warm", "cold"):
            print(f"| {state} | {loader_rate(arguments, folder, is_cold=state == 'cold'):,.0f} |", flush=True)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--labels", type=int, default=527)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=8, help="of a turn")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each way")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--clips", type=int, default=2_000, help="of ten patches, in the store")
    parser.add_argument("--peak-tflops", type=float, help="of the chip, in the arithmetic of ours")
    parser.add_argument("--folder", type=Path, help="where the store is made and kept (default: a temporary one)")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--network", help=argparse.SUPPRESS)
    return parser.parse_args()


def compare(network: str, arguments: argparse.Namespace, options: list[str]) -> None:
    """All ways on one network, by turns."""
    command = [sys.executable, __file__, *options, "--network", network, "--way"]
    processes = {
        way: subprocess.Popen([*command, way], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for way in arguments.ways
    }
    turns: dict[str, list[dict[str, float]]] = {way: [] for way in processes}
    for _ in range(arguments.rounds + 1):
        for way, process in processes.items():
            turns[way].append(ask(process))
    for process in processes.values():
        process.communicate()
    costs = network_costs(network, num_labels=arguments.labels, width=arguments.width)
    rates = {way: statistics.median(turn["rate"] for turn in those[1:]) for way, those in turns.items()}
    for way, those in turns.items():
        tflops = 6 * costs.num_multiply_adds * rates[way] / 1e12
        share = f" ({tflops / arguments.peak_tflops:.0%})" if arguments.peak_tflops else ""
        ratio = rates[way] / rates["plain"] if "plain" in rates else float("nan")
        waiting, validation = (
            f"{statistics.median(t[name] for t in those[1:]):.1%}" if name in those[-1] else "-"
            for name in ("waiting_share", "validation_share")
        )
        print(
            f"| {network} | {way} | {rates[way]:,.1f} | {ratio:.2f} | {tflops:.3g}{share} "
            f"| {those[-1]['peak_mib']:,.0f} | {waiting} | {validation} |",
            flush=True,
        )


def ask(process: "subprocess.Popen[str]") -> dict[str, float]:
    """Have a process take a turn."""
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the process was started without pipes")
    process.stdin.write("\n")
    process.stdin.flush()
    figures: dict[str, float] = json.loads(process.stdout.readline())
    return figures


def take_turns(arguments: argparse.Namespace) -> None:
    """In a process of its own: a turn for each line that comes in."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    settings = train_settings(arguments, network=arguments.network, way=arguments.way)
    with FrameReader(Store.open(arguments.folder)) as reader:
        setup = set_up(reader, settings=settings, processes=Processes())
        way: Way = Plain(setup) if arguments.way == "plain" else Ours(setup)
        for _ in sys.stdin:
            way.prepare()
            synchronise(setup.device)
            started = time.perf_counter()
            figures = way.learn(arguments.steps)
            synchronise(setup.device)
            seconds = time.perf_counter() - started
            figures["rate"] = arguments.steps * settings.batch_size / seconds
            figures["peak_mib"] = peak_mib(setup.device)
            if "waited_seconds" in figures:
                figures["waiting_share"] = figures["waited_seconds"] / seconds
            if isinstance(way, Ours):
                validating = way.validation_seconds()
                between = settings.validation_every * seconds / arguments.steps
                figures["validation_share"] = validating / (validating + between)
            print(json.dumps(figures), flush=True)


class Plain:
    """The loop that everybody writes first."""

    def __init__(self, setup: Setup) -> None:
        torch.manual_seed(setup.settings.seed)
        self.network = setup.architecture.build().to(setup.device).train()
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=setup.settings.effective_learning_rate)
        num_labels = self.network.head.out_features
        with setup.loader(embedding_size=self.network.embedding_size) as loader:
            batches = [b.to_device(setup.device, num_labels=num_labels) for b in loader.batches(0, READY_BATCHES)]
        self.batches = cycle(batches)

    def prepare(self) -> None:
        """Nothing: its batches are always there."""

    def learn(self, num_steps: int) -> dict[str, float]:
        """Forward, backward, update."""
        for batch in islice(self.batches, num_steps):
            self.optimizer.zero_grad()
            logits = self.network(batch.patches)
            loss = F.binary_cross_entropy_with_logits(logits, batch.targets, reduction="none").sum(dim=1).mean()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
        return {}


class Ours:
    """The steps of `training.loop`, one after the other."""

    def __init__(self, setup: Setup) -> None:
        self.network = setup.fresh_network().train()
        self.learner = Learner(
            self.network,
            settings=setup.settings,
            precision=setup.precision,
            device=setup.device,
            processes=setup.processes,
        )
        self.optimizer = make_optimizer(self.network, setup.settings, setup.device)
        self.means = RunningMeans(setup.device)
        self.loader = setup.loader(embedding_size=self.network.embedding_size)
        self.batches = on_device(self.loader.batches(0, LONG), setup.device, num_labels=self.network.head.out_features)
        self.validation = setup.validation()
        self.is_exact = setup.precision == "float32"

    def prepare(self) -> None:
        """Throw away what was read ahead while others had their turn."""
        for _ in islice(self.batches, BATCHES_AHEAD):
            pass

    def learn(self, num_steps: int) -> dict[str, float]:
        """As the loop does."""
        waited = self.loader.seconds_waited
        with exact_float32() if self.is_exact else nullcontext():
            for batch in islice(self.batches, num_steps):
                self.optimizer.zero_grad(set_to_none=True)
                self.learner.add_gradients(batch, on_part=self.means.add)
                self.optimizer.step()
        return {"waited_seconds": self.loader.seconds_waited - waited}

    def validation_seconds(self) -> float:
        """The time of one validation, outside the turn."""
        started = time.perf_counter()
        self.validation(self.network)
        return time.perf_counter() - started


def train_settings(arguments: argparse.Namespace, *, network: str, way: str) -> TrainSettings:
    """Settings of one way; what is watched is as by default."""
    return TrainSettings(
        network=network,
        width=arguments.width,
        batch_size=arguments.batch_size,
        device=arguments.device,
        precision="auto" if way == "ours" else "float32",
        steps=LONG,
    )


def loader_rate(arguments: argparse.Namespace, folder: Path, *, is_cold: bool) -> float:
    """Patches/s of the loader with nothing to learn; the median of the rounds."""
    store = Store.open(folder)
    files = [frames_path(folder, part) for part in range(store.num_parts)]
    settings = train_settings(arguments, network="fully_connected", way="ours")
    num_steps = max(1, store.num_frames // store.front_end.patch_frames // arguments.batch_size // 2)

    def rate() -> float:
        (evict if is_cold else warm)(files)
        with FrameReader(store) as reader:
            setup = set_up(reader, settings=settings, processes=Processes())
            with setup.loader(embedding_size=1) as loader:
                started = time.perf_counter()
                for _ in on_device(loader.batches(0, num_steps), setup.device, num_labels=len(store.label_set)):
                    pass
                synchronise(setup.device)
        return float(num_steps * settings.batch_size / (time.perf_counter() - started))

    return statistics.median(rate() for _ in range(arguments.rounds))


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_mib(device: torch.device) -> float:
    """The most memory so far: of this process, or on the GPU."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device)) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def bare_products(arguments: argparse.Namespace) -> str:
    """What the device does at most, for the heading: the product of two large matrices and nothing else."""
    device = choose_device(arguments.device)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)

    def tflops(dtype: torch.dtype) -> float:
        matrix = torch.ones(BARE_SIZE, BARE_SIZE, dtype=dtype, device=device)
        seconds = []
        for _ in range(6):
            synchronise(device)
            started = time.perf_counter()
            matrix @ matrix
            synchronise(device)
            seconds.append(time.perf_counter() - started)
        return 2e-12 * BARE_SIZE**3 / statistics.median(seconds[1:])

    single, half = tflops(torch.float32), tflops(torch.bfloat16)
    return (
        f"a bare matrix product: {single:.3g} TFLOP/s in float32, {half:.3g} in bfloat16, "
        f"{half / single:.2f} times as many"
    )


def device_name(arguments: argparse.Namespace) -> str:
    """For the heading."""
    device = choose_device(arguments.device)
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"{arguments.threads or torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"


if __name__ == "__main__":
    main()
