"""Exported models in ONNX Runtime beside the same networks in PyTorch, on one core; mAP before and after 8 bits.

    python benchmarks/export.py [--networks resnet50 alexnet ...] [--width 1] [--rounds 5]
    python benchmarks/export.py --model RUN/model.safetensors --store STORE --where "split = 'train'" \
        --measure-where "split = 'test'"

Speed: patches/s of each network with random weights, on patches of noise. PyTorch in float32 as scores are made
(channels last), and under bfloat16 autocast; ONNX Runtime in float32 and in 8 bits, by the network cut out of the
exported file, as `earwitness tag` runs it. All in one process by turns of a batch of 64; processor time, the medians
over the rounds after one that does not count. Then the front end alone, in SciPy and in the exported graph, in times
real time.

mAP: of a trained model on the clips that --measure-where chooses, in float32 and in 8 bits, and the largest difference
of a clip's score.
"""

# ruff: noqa: E402  (the thread counts must be set before NumPy is imported)

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"  # one core; ONNX Runtime is told the first, too

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

NETWORKS = ["fully_connected", "alexnet", "vgg", "inception_v3", "resnet50"]
NUM_LABELS = 527
BATCH_PATCHES = 64
FRONT_END_SECONDS = 60


def main() -> None:
    """Speed, or what 8 bits cost a trained model."""
    arguments = parse_arguments()
    if arguments.model is not None:
        accuracy(arguments)
        return
    print(f"width {arguments.width:g}, {NUM_LABELS} labels, batch {BATCH_PATCHES}\n")
    print(
        "| network | torch float32 | torch bfloat16 | ONNX float32 | ONNX 8-bit | 8-bit to torch bfloat16 | MB, 8-bit |"
    )
    print("|---|---|---|---|---|---|---|")
    for name in arguments.networks:
        speed(name, arguments)
    front_end_speed(arguments)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", type=Path, help="a trained model, whose mAP is measured")
    parser.add_argument("--store", help="with --model")
    parser.add_argument("--where", help="with --model: clips to calibrate on")
    parser.add_argument("--measure-where", help="with --model: clips to measure on")
    arguments = parser.parse_args()
    if (arguments.model is None) != (arguments.store is None):
        parser.error("--model and --store go together")
    return arguments


def speed(name: str, arguments: argparse.Namespace) -> None:
    """One row of the table."""
    import numpy as np
    import torch

    from earwitness.export.eight_bit import quantize
    from earwitness.export.graph import front_end_graph, join, network_graph
    from earwitness.front_end import FrontEnd
    from earwitness.inference.onnx_runner import open_session
    from earwitness.inference.probabilities import PatchScorer
    from earwitness.labels import LabelSet
    from earwitness.models.description import Architecture
    from earwitness.models.model_file import Model
    from earwitness.models.onnx_file import NETWORK_PATCHES

    front_end = FrontEnd()
    sizes = {"num_labels": NUM_LABELS, "patch_frames": 96, "num_bands": 64, "width": arguments.width}
    architecture = Architecture(name=name, arguments=sizes)
    labels = LabelSet.of([str(number) for number in range(NUM_LABELS)])
    model = Model(network=architecture.build().eval(), architecture=architecture, label_set=labels, front_end=front_end)
    rng = np.random.default_rng(0)
    patches = rng.normal(-2, 2, size=(BATCH_PATCHES, 96, 64)).astype(np.float32)
    float32 = network_graph(model, with_embeddings=False)
    int8 = quantize(float32, patches)
    sessions = [open_session(part.SerializeToString(), name=name) for part in (float32, int8)]
    scorer = PatchScorer(model.network, device=torch.device("cpu"))

    def in_bfloat16() -> None:
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            torch.sigmoid(scorer.network(torch.from_numpy(patches)))

    ways: list[Callable[[], object]] = [
        lambda: scorer(patches),
        in_bfloat16,
        lambda: sessions[0].run(None, {NETWORK_PATCHES: patches}),
        lambda: sessions[1].run(None, {NETWORK_PATCHES: patches}),
    ]
    rates = [BATCH_PATCHES / seconds for seconds in turns(ways, arguments.rounds)]
    whole = join(front_end_graph(front_end), int8, model)
    cells = [*(f"{rate:,.1f}" for rate in rates), f"**{rates[3] / rates[1]:.2f}**", f"{whole.ByteSize() / 1e6:.1f}"]
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def front_end_speed(arguments: argparse.Namespace) -> None:
    """SciPy's and the graph's."""
    import numpy as np

    from earwitness.audio.frames import waveform_frames
    from earwitness.export.graph import front_end_graph
    from earwitness.front_end import FrontEnd
    from earwitness.inference.onnx_runner import open_session

    front_end = FrontEnd()
    session = open_session(front_end_graph(front_end).SerializeToString(), name="front end")
    num_samples = FRONT_END_SECONDS * front_end.sample_rate_hz
    waveform = (0.1 * np.random.default_rng(0).standard_normal(num_samples)).astype(np.float32)
    ways: list[Callable[[], object]] = [
        lambda: waveform_frames(waveform, front_end=front_end),
        lambda: session.run(None, {"waveform": waveform[None]}),
    ]
    scipy, graph = (FRONT_END_SECONDS / seconds for seconds in turns(ways, arguments.rounds))
    print(f"\nfront end alone: SciPy {scipy:,.0f}, exported graph {graph:,.0f} times real time")


def turns(ways: list[Callable[[], object]], num_rounds: int) -> list[float]:
    """Median seconds of processor time of each."""
    seconds: list[list[float]] = [[] for _ in ways]
    for _ in range(num_rounds + 1):
        for way, spent in zip(ways, seconds, strict=True):
            start = time.process_time()
            way()
            spent.append(time.process_time() - start)
    return [statistics.median(spent[1:]) for spent in seconds]


def accuracy(arguments: argparse.Namespace) -> None:
    """Export in 8 bits whatever is lost, and say what it was."""
    from earwitness.export.eight_bit import EightBitSettings
    from earwitness.export.exporting import export_model
    from earwitness.models.model_file import load_model

    settings = EightBitSettings(
        calibrate_on=arguments.store, where=arguments.where, measure_where=arguments.measure_where, accept_loss=1.0
    )
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "8-bit.onnx"
        report = export_model(load_model(arguments.model), out, eight_bit=settings, tolerance=1e-4).eight_bit
    if report is None:
        sys.exit("the export says nothing of 8 bits")
    print("| clips | mAP float32 | mAP 8-bit | loss | largest difference of a score |\n|---|---|---|---|---|---|")
    print(
        f"| {report.num_clips} | {report.map_before:.4f} | {report.map_after:.4f} | {report.loss:.4f} "
        f"| {report.largest_score_difference:.3f} |"
    )


if __name__ == "__main__":
    main()
