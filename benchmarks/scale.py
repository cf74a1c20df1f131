"""What a corpus of the paper's size would cost, by arithmetic from measured rates.

    python benchmarks/scale.py [--core-seconds-per-hour 3.8] [--clips 70e6] [--hours 5.24e6] ...

Nothing is measured here: the rates come from the other benchmarks (`preparing.py`, `store_reading.py`,
`training_speed.py`, `corpus_scale.py`) and can be given, so that everybody can put in those of their own machines.
"""

import argparse

FRAME_BYTES = 64 * 2
FRAMES_PER_SECOND = 100
PATCH_BYTES = 96 * FRAME_BYTES
INDEX_BYTES_PER_CLIP = 4 + 8 + 8 + 8
LABEL_BYTES = 4
PAPER_RUNS = {
    # network: steps, hours, GPUs of the paper's five trainings
    "fully_connected": (5e6, 35, 10),
    "alexnet": (5e6, 82, 20),
    "vgg": (5e6, 184, 10),
    "inception_v3": (5e6, 137, 40),
    "resnet50": (5e6, 119, 20),
}
BATCH_SIZE = 128


def main() -> None:
    """Print two tables."""
    arguments = parse_arguments()
    print_preparing(arguments)
    print()
    print_feeding(arguments)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=float, default=70e6)
    parser.add_argument("--hours", type=float, default=5.24e6, help="of media")
    parser.add_argument("--labels-per-clip", type=float, default=5.0)
    parser.add_argument("--core-seconds-per-hour", type=float, default=3.8, help="of media, to prepare it")
    parser.add_argument("--cores-per-node", type=float, default=64)
    parser.add_argument("--days", type=float, default=7.0, help="in which the store is to be there")
    parser.add_argument("--media-mbit-per-second", type=float, default=1.0, help="of the media, pictures included")
    parser.add_argument("--read-mib", type=float, default=5.0, help="of one ranged request for media")
    parser.add_argument("--clips-per-part", type=float, default=1_000)
    parser.add_argument("--patches-per-second", type=float, default=10_000, help="of a trainer, to be fed")
    parser.add_argument("--reads-per-second", type=float, default=17_000, help="of patches, from one cold local disk")
    return parser.parse_args()


def print_preparing(arguments: argparse.Namespace) -> None:
    """From media to a store."""
    core_hours = arguments.hours * arguments.core_seconds_per_hour / 3600
    store_bytes = arguments.hours * 3600 * FRAMES_PER_SECOND * FRAME_BYTES
    media_bytes = arguments.hours * 3600 * arguments.media_mbit_per_second * 1e6 / 8
    nodes = core_hours / (arguments.cores_per_node * arguments.days * 24)
    seconds = arguments.days * 86_400
    index_bytes = arguments.clips * (INDEX_BYTES_PER_CLIP + arguments.labels_per_clip * LABEL_BYTES)
    reads = media_bytes / (arguments.read_mib * 2**20) + arguments.clips  # a clip's last read is not full
    parts = arguments.clips / arguments.clips_per_part
    rows = {
        "media read": f"{media_bytes / 1e15:,.2f} PB at {arguments.media_mbit_per_second:g} Mbit/s",
        "ranged requests for media": f"{reads / 1e6:,.0f} M of {arguments.read_mib:g} MiB",
        "processor time": f"{core_hours:,.0f} core-hours at {arguments.core_seconds_per_hour:g} s an hour of media",
        f"nodes of {arguments.cores_per_node:g} cores, for {arguments.days:g} days": f"{nodes:,.1f}",
        "network of all nodes together": f"{media_bytes * 8 / seconds / 1e9:,.0f} Gbit/s in, "
        f"{store_bytes * 8 / seconds / 1e9:,.1f} Gbit/s out",
        "store": f"{store_bytes / 1e12:,.0f} TB of frames in {parts:,.0f} parts of {store_bytes / parts / 1e9:,.1f} GB",
        "commits": f"{2 * parts:,.0f} objects written",
        "index, mapped by each trainer": f"{index_bytes / 1e9:,.1f} GB",
        "patches": f"{arguments.hours * 3600 / 0.96 / 1e9:,.1f} thousand millions",
    }
    print("| preparing | |\n|---|---|")
    for name, value in rows.items():
        print(f"| {name} | {value} |")


def print_feeding(arguments: argparse.Namespace) -> None:
    """From the store to the paper's five trainings."""
    print("| training | patches | read | the paper's rate | to feed it | at the trainer's rate | to feed it | disks |")
    print("|---|---|---|---|---|---|---|---|")
    for network, (steps, hours, gpus) in PAPER_RUNS.items():
        patches = steps * BATCH_SIZE
        rate = patches / (hours * 3600)
        days = patches / arguments.patches_per_second / 86_400
        print(
            f"| {network} | {patches / 1e6:,.0f} M | {patches * PATCH_BYTES / 1e12:.2f} TB "
            f"| {rate:,.0f}/s on {gpus} GPUs, {hours} h | {rate * PATCH_BYTES / 1e6:,.0f} MB/s "
            f"| {arguments.patches_per_second:,.0f}/s, {days * 24:,.0f} h "
            f"| {arguments.patches_per_second * PATCH_BYTES / 1e6:,.0f} MB/s "
            f"| {arguments.patches_per_second / arguments.reads_per_second:.2f} |"
        )


if __name__ == "__main__":
    main()
