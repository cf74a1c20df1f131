"""Soundtracks composed of clips: times that are true, folds and groups that stay apart."""

import json
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.io import wavfile

from earwitness.audio.decode import read_waveform
from earwitness.cli.main import main
from earwitness.datasets.events import read_events
from earwitness.manifest import Manifest, read_manifest, write_manifest
from earwitness.synth.sources import Source, _deal, sounding_spans
from in_process import run

RATE_HZ = 16_000


def tone(seconds: float, *, hz: float = 440.0) -> np.ndarray[Any, np.dtype[np.float32]]:
    return 0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ).astype(np.float32)


def silence(seconds: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.zeros(round(seconds * RATE_HZ), np.float32)


class TestSoundingSpans:
    def test_by_hand(self) -> None:
        parts = [silence(0.7), tone(0.4), silence(0.3), tone(0.2), silence(1.0), tone(0.5), silence(0.9)]
        spans = sounding_spans(np.concatenate(parts), sample_rate_hz=RATE_HZ)
        assert spans == ((0.7, 1.6), (2.6, 3.1))  # the short gap belongs to the sound, the long one does not

    def test_all_of_it(self) -> None:
        assert sounding_spans(tone(1.005), sample_rate_hz=RATE_HZ) == ((0.0, 1.005),)

    def test_faint_ends(self) -> None:
        faint = tone(1.0) / 300  # 50 dB below
        assert sounding_spans(np.concatenate([faint, tone(1.0), faint]), sample_rate_hz=RATE_HZ) == ((1.0, 2.0),)

    def test_silent(self) -> None:
        assert sounding_spans(silence(1.0), sample_rate_hz=RATE_HZ) == ()
        assert sounding_spans(silence(0.0), sample_rate_hz=RATE_HZ) == ()


def test_parts_share_no_group() -> None:
    rows = [
        (Source(f"c{i}", "m", None, None, None, None, (f"label-{i % 3}",)), None, f"group {i // 2}") for i in range(300)
    ]
    parts = _deal(rows, 3)
    assert {part.fold for part in parts} == {1, 2, 3, 4, 5}
    assert sorted(source.clip_id for part in parts for source in part.sources) == sorted(s.clip_id for s, _, _ in rows)
    where = defaultdict(set)
    for part in parts:
        for source in part.sources:
            where[int(source.clip_id[1:]) // 2].add(part.name)
    assert all(len(names) == 1 for names in where.values())
    assert all(len({source.labels for source in part.sources}) == 3 for part in parts)


@pytest.fixture(scope="module")
def clips_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 padded clips of three labels, in two folds; one is silent."""
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(5)
    rows = []
    for number in range(24):
        label = ("low", "high", "hiss")[number % 3]
        sound = tone(rng.uniform(0.4, 1.5), hz={"low": 300, "high": 3_000}.get(label, 440))
        if label == "hiss":
            sound = 0.1 * rng.normal(size=len(sound)).astype(np.float32)
        whole = np.concatenate([silence(rng.uniform(0, 1)), sound, silence(rng.uniform(0, 1))])
        if number == 7:
            whole *= 0
        wavfile.write(folder / f"{number}.wav", RATE_HZ, (whole * 32_767).astype(np.int16))
        rows.append({"media": f"{number}.wav", "labels": [label], "fold": number % 2 + 1, "group": f"g{number // 2}"})
    write_manifest(Manifest.from_table(pa.Table.from_pylist(rows)), folder / "clips.parquet")
    return folder / "clips.parquet"


def compose(corpus: Path, clips: Path, *more: object) -> dict[str, Any]:
    words = ("synth", corpus, "--from-clips", clips, "--mean-seconds", 6, "--workers", 1, "--json", *more)
    made: dict[str, Any] = json.loads(run(*words).stdout)
    return made


@pytest.fixture(scope="module")
def corpus(clips_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("composed") / "corpus"
    made = compose(folder, clips_path, "--clips", 8)
    assert (made["num_clips"], made["num_resumed"], made["num_sources"]) == (8, 0, 23)
    assert made["left_out"] == [["7.wav", "silent"]]
    return folder


class TestComposed:
    def test_times_are_true(self, corpus: Path) -> None:
        events = read_events(corpus / "events.parquet")
        for row in read_manifest(corpus / "manifest.parquet").table.to_pylist():
            waveform = read_waveform(row["media"], sample_rate_hz=RATE_HZ)
            assert len(waveform) / RATE_HZ == pytest.approx(row["seconds"], abs=0.01)
            assert {event.label for event in events[row["clip_id"]]} == set(row["labels"])
            num_windows = len(waveform) // 320
            loud = np.sqrt(np.mean(waveform[: num_windows * 320].reshape(-1, 320) ** 2, axis=1)) > 0.002
            true = np.zeros(num_windows, bool)
            margin = true.copy()  # windows that an event's border may fall into
            for event in events[row["clip_id"]]:
                start, stop = event.start_seconds / 0.02, event.stop_seconds / 0.02
                true[round(start) : round(stop)] = True
                for border in (start, stop):
                    margin[max(0, int(border) - 1) : int(border) + 2] = True
            assert np.array_equal(loud[~margin], true[~margin])

    def test_folds_stay_apart(self, corpus: Path, clips_path: Path) -> None:
        fold_of = {row["clip_id"]: row["fold"] for row in read_manifest(clips_path).table.to_pylist()}
        rows = {row["clip_id"]: row for row in read_manifest(corpus / "manifest.parquet").table.to_pylist()}
        events = pq.read_table(corpus / "events.parquet").to_pylist()
        assert {fold_of[e["source_clip_id"]] for e in events} == {1, 2}
        assert all(fold_of[event["source_clip_id"]] == rows[event["clip_id"]]["fold"] for event in events)
        assert {(row["fold"], row["split"], row["group"]) for row in rows.values()} == {
            (1, "train", "fold-1-part-1"),
            (2, "test", "fold-2-part-1"),
        }

    def test_more_of_the_same(self, corpus: Path, clips_path: Path, tmp_path: Path) -> None:
        made = compose(tmp_path / "grown", clips_path, "--clips", 3)
        made = compose(tmp_path / "grown", clips_path, "--clips", 8)
        assert made["num_resumed"] == 3
        for name in ("events.parquet", "manifest.parquet", "labels.csv", "media/000/soundtrack-000006.flac"):
            assert (tmp_path / "grown" / name).read_bytes() == (corpus / name).read_bytes()

    def test_other_clips(
        self, clips_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A clip that cannot be read today would change what soundtracks made before are said to hold."""
        there = tmp_path / "clips"
        shutil.copytree(clips_path.parent, there)
        table = read_manifest(clips_path).table
        media = pa.array([str(there / Path(path).name) for path in table["media"].to_pylist()])
        manifest = table.set_column(table.column_names.index("media"), "media", media)
        write_manifest(Manifest.from_table(manifest), there / "moved.parquet")
        words = ("synth", tmp_path / "corpus", "--from-clips", there / "moved.parquet", "--mean-seconds", 6, "--json")

        def refused() -> str:
            monkeypatch.setattr("sys.argv", ["earwitness", *map(str, (*words, "--clips", 6, "--workers", 1))])
            with pytest.raises(SystemExit) as ending:
                main()
            assert ending.value.code == 1
            return capsys.readouterr().err

        compose(tmp_path / "corpus", there / "moved.parquet", "--clips", 3)
        whole = (there / "4.wav").read_bytes()
        wavfile.write(there / "4.wav", RATE_HZ, np.concatenate([silence(0.5), tone(0.5)]))
        assert "was begun with other clips: '4.wav' sounds at other times now" in refused()
        (there / "4.wav").unlink()
        assert "'4.wav' could not be used now" in refused()
        (there / "4.wav").write_bytes(whole)
        assert compose(tmp_path / "corpus", there / "moved.parquet", "--clips", 6)["num_resumed"] == 3
        (tmp_path / "corpus" / "sources.json").write_text("{}")
        assert "sources.json: damaged" in refused()

    @pytest.mark.parametrize(
        ("more", "says"),
        [
            (("--kinds", 5), "--kinds: with --from-clips, what sounds and its labels are those of the clips"),
            (("--seed", 2, "--clips", 8), "holds another corpus. There / asked for: seed 1 / 2"),
            (("--clips", 4), "holds a corpus of 8 clips, 4 were asked for"),
        ],
    )
    def test_refused(
        self,
        corpus: Path,
        clips_path: Path,
        more: tuple[object, ...],
        says: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        words = ("earwitness", "synth", corpus, "--from-clips", clips_path, "--mean-seconds", 6, *more)
        monkeypatch.setattr("sys.argv", [str(word) for word in words])
        with pytest.raises(SystemExit) as ending:
            main()
        assert ending.value.code == 1
        assert says in capsys.readouterr().err
