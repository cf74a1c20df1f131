"""Small files that claim or unpack to something huge meet limits: memory, time and length stay bounded."""

import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from earwitness.audio import native
from earwitness.audio.decode import decode, read_waveform
from earwitness.audio.native import CORRUPT_PACKETS, ENDS_BEFORE_HEADER
from earwitness.errors import MediaError, TooLargeError, UndecodableError
from made_media import encode, sweep
from media_bombs import ape, bombs, cover, silent_flac

LIMIT_MIB = 256
"""Beyond what a worker holds; ten thousand mutated files never needed as much, unless they asked for gigabytes."""

PEAK_MIB = 512
"""What a worker may hold in all: some 100 MiB of libraries, and the limit."""

LIMIT_SECONDS = 30

OUTCOMES = {
    # samples at 16 kHz, or the kind of the failure
    "data 4 GiB.wav": 16_000,
    "list 2 GiB.wav": "undecodable",  # denied the memory, FFmpeg looks for sound behind it
    "years.wav": 16_000,
    "years.mp4": 16_000,
    "begins in 24 days.mp4": 16_000,
    "billions of samples.mp4": 1,
    "many chunks.mp4": 24_418,
    "packed header.mov": "memory_limit",
    "packed sound.mkv": "no_samples",
    "void.mkv": "undecodable",
    "nested.mkv": "undecodable",
    "nested.mp4": "no_audio",
    "silence.flac": 41_942_400,
    "picture 4 GiB.flac": "no_samples",
    "padding.flac": 8_388_480,
    "many frames.ape": "memory_limit",
    "cover 40 MB.mp3": 8_000,  # FFmpeg holds it three times
    "chained.ogg": 108_584,
}

BUILD = """
import json, resource, subprocess, sys, time
started = time.monotonic()
status = subprocess.run([sys.executable, "-m", "earwitness", *sys.argv[1:]]).returncode
peak_kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps({"status": status, "peak_mib": peak_kib >> 10, "seconds": time.monotonic() - started}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux only")
def test_bombs_meet_the_limits_of_a_build(tmp_path):
    made = bombs()
    made["chained.ogg"] = 500 * encode(tmp_path / "link.ogg", "libopus", 48_000, sweep(48_000, 0.05)).read_bytes()
    made["cover 40 MB.mp3"] = cover(40_000_000)
    made["cover 40 MB.mp3"] += encode(tmp_path / "small.mp3", "mp3", 44_100, sweep(44_100, 0.5)).read_bytes()
    for name, content in made.items():
        (tmp_path / name).write_bytes(content)
    table = {"clip_id": list(made), "media": [str(tmp_path / name) for name in made], "labels": [["sound"]] * len(made)}
    pq.write_table(pa.table(table), tmp_path / "clips.parquet")
    command = ["prepare", str(tmp_path / "clips.parquet"), str(tmp_path / "store"), "--workers", "1"]
    limits = ["--memory-limit-mib", str(LIMIT_MIB), "--timeout-seconds", str(LIMIT_SECONDS)]
    result = subprocess.run(
        [sys.executable, "-c", BUILD, *command, *limits], stdout=subprocess.PIPE, text=True, timeout=240, check=True
    )
    build = json.loads(result.stdout.splitlines()[-1])
    assert build["status"] == 0
    assert build["peak_mib"] < PEAK_MIB
    rows = pq.read_table(tmp_path / "store" / "parts" / "part-000000.parquet").to_pylist()
    assert {row["clip_id"]: row["failure_kind"] or row["num_samples"] for row in rows} == OUTCOMES
    warnings = {row["clip_id"]: row["warnings"] for row in rows}
    assert warnings["data 4 GiB.wav"] == [CORRUPT_PACKETS]
    assert warnings["years.wav"] == [CORRUPT_PACKETS, ENDS_BEFORE_HEADER]


def test_a_table_larger_than_any_memory_names_the_file():
    with pytest.raises(TooLargeError, match=r"^<bytes>: asks for more memory than there is, or than is allowed$"):
        decode(ape(0x7FFFFFF))


def test_memory_that_runs_out_while_decoding_names_the_file(monkeypatch):
    def run_out(frame):
        raise MemoryError

    monkeypatch.setattr(native, "mean_of_channels", run_out)
    with decode(silent_flac(128)) as blocks, pytest.raises(TooLargeError, match=r"^<bytes>: asks for more memory"):
        next(blocks)
    assert issubclass(TooLargeError, MediaError)
    assert TooLargeError.kind == "memory_limit"


def test_endless_sound_is_refused_and_ranges_of_it_are_read(monkeypatch):
    monkeypatch.setattr(native, "MAX_HOURS", 0.1)
    flac = silent_flac(128)  # 524 s
    with pytest.raises(UndecodableError, match=r"^<bytes>: it lasts for more than 0.1 hours, which is not read$"):
        read_waveform(flac)
    assert len(read_waveform(flac, stop_seconds=300.0)) == 300 * 16_000
