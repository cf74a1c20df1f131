"""Does memory grow with the length of a file? Peak anonymous memory of `prepare` and of `tag --timeline`.

    python benchmarks/memory_by_length.py [MODEL]

Makes files of 10 minutes and of 10 hours with AAC sound, in Matroska and in MP4 (the long ones by copying the short
one's packets 60 times), runs both commands on each as a user would, and samples RssAnon of the process and all its
children ten times a second. Without MODEL a small untrained ResNet-50 of 500 labels is used: memory does not depend on
what was learnt. The figure to show: 10 hours within 10 % of 10 minutes.

An MP4 file lists every packet in its header, which FFmpeg holds in memory while the file is open; so the bare demuxer
is measured beside the commands, in a process that does nothing but open the file and read its packets.
"""

import subprocess
import sys
import tempfile
import threading
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow as pa

from earwitness.front_end import FrontEnd
from earwitness.labels import LabelSet
from earwitness.manifest import Manifest, write_manifest
from earwitness.models.description import Architecture
from earwitness.models.model_file import Model, save_model

_RATE_HZ = 44_100
_MINUTES = 10
_COPIES = 60


def main() -> None:
    """Run the comparison and print it as a table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = Path(sys.argv[1]) if len(sys.argv) > 1 else untrained_model(folder / "model.safetensors")
        print("| container | what runs | 10 min: peak MiB | 10 h: peak MiB | growth MiB | ratio | 10 h: seconds |")
        print("|---|---|---|---|---|---|---|")
        original = folder / "original.mp4"
        write_noise(original)
        for suffix in (".mkv", ".mp4"):
            short, long = folder / f"short{suffix}", folder / f"long{suffix}"
            repeat_packets(original, short, copies=1)
            repeat_packets(original, long, copies=_COPIES)
            for title, commands in (
                ("bare demuxer", [demux_command(media) for media in (short, long)]),
                ("prepare", [prepare_command(media, folder) for media in (short, long)]),
                ("tag --timeline", [tag_command(media, model, folder) for media in (short, long)]),
            ):
                (low, _), (high, seconds) = map(peak_memory, commands)
                figures = f"{low:.0f} | {high:.0f} | {high - low:.0f} | {high / low:.2f} | {seconds:.0f}"
                print(f"| {suffix[1:]} | {title} | {figures} |", flush=True)


def untrained_model(path: Path) -> Path:
    """A small network with random weights, saved."""
    arguments = {"num_labels": 500, "patch_frames": 96, "num_bands": 64, "width": 0.0625}
    architecture = Architecture(name="resnet50", arguments=arguments)
    labels = LabelSet.of(f"label {number}" for number in range(500))
    model = Model(network=architecture.build(), architecture=architecture, label_set=labels, front_end=FrontEnd())
    save_model(model, path)
    return path


def write_noise(path: Path) -> None:
    """Ten minutes of coloured stereo noise as AAC in MP4."""
    rng = np.random.default_rng(1)
    with av.open(path, "w") as container:
        stream = container.add_stream("aac", rate=_RATE_HZ, layout="stereo")
        for second in range(_MINUTES * 60):
            noise = 0.1 * rng.standard_normal((2, _RATE_HZ), dtype=np.float32)
            frame = av.AudioFrame.from_ndarray(noise, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = _RATE_HZ, second * _RATE_HZ, Fraction(1, _RATE_HZ)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def repeat_packets(source: Path, target: Path, *, copies: int) -> None:
    """Write the packets of `source` again and again, with the time going on."""
    with av.open(target, "w") as output:
        stream = None
        next_dts = 0
        for _ in range(copies):
            with av.open(source) as container:
                audio = container.streams.audio[0]
                stream = stream or output.add_stream_from_template(audio)
                shift = None
                for packet in container.demux(audio):
                    if packet.dts is None or packet.pts is None or packet.duration is None:
                        continue
                    if shift is None:
                        shift = next_dts - packet.dts
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    next_dts = packet.dts + packet.duration
                    packet.stream = stream
                    output.mux(packet)


def demux_command(media: Path) -> list[str]:
    """FFmpeg opens the file and reads its packets, and nothing else happens."""
    code = "import av, sys\nwith av.open(sys.argv[1]) as media:\n    for _ in media.demux(audio=0): pass"
    return ["-c", code, str(media)]


def prepare_command(media: Path, folder: Path) -> list[str]:
    """`earwitness prepare` of a manifest of that one file."""
    manifest = folder / f"{media.name}.parquet"
    write_manifest(Manifest.from_table(pa.table({"media": [str(media)], "labels": [["noise"]]})), manifest)
    store = folder / f"store-{media.name}"
    return ["-m", "earwitness", "prepare", str(manifest), str(store), "--workers", "1"]


def tag_command(media: Path, model: Path, folder: Path) -> list[str]:
    """`earwitness tag --timeline` of that file, with the scores of every patch written."""
    outputs = ["--out", str(folder / "tags.jsonl"), "--patch-scores", str(folder / f"{media.name}.csv")]
    return ["-m", "earwitness", "tag", str(model), str(media), "--timeline", *outputs]


def peak_memory(arguments: list[str]) -> tuple[float, float]:
    """Run a command; the peak of the summed anonymous memory of its processes in MiB, and its seconds."""
    started = time.monotonic()
    command = [sys.executable, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0.0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.1):
            peak = max(peak, sum(anonymous_mib(pid) for pid in family(process.pid)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    status = process.wait()
    done.set()
    watcher.join()
    if status:
        raise SystemExit(f"{' '.join(arguments)} ended with status {status}")
    return peak, time.monotonic() - started


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    for parent in found:
        for path in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(child) for child in path.read_text().split()]
            except OSError:  # it has just ended
                continue
    return found


def anonymous_mib(pid: int) -> float:
    """RssAnon of a process; 0 once it has ended."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


if __name__ == "__main__":
    main()
