"""WebDataset shards: samples become clips whose sound stays in the tar, with the frames of the extracted files."""

import csv
import gzip
import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from conftest import MadeSounds
from earwitness.audio.decode import read_waveform
from earwitness.audio.frames import media_frames
from earwitness.audio.source import ByteRange
from earwitness.datasets.media import missing_media
from earwitness.datasets.shards import Member, expand, read_shard, samples
from earwitness.datasets.webdataset import SampleSettings, manifest_from_webdataset
from earwitness.doctor.inspect import inspect_store
from earwitness.doctor.settings import InspectSettings
from earwitness.errors import LabelError, ManifestError, MissingError, UndecodableError
from earwitness.front_end import FrontEnd
from earwitness.labels import LabelSet
from earwitness.manifest import Manifest, own_media, read_manifest, write_manifest
from earwitness.store.append import append_clips
from earwitness.store.build import build_store
from earwitness.store.drop import drop_clips
from earwitness.store.merge import compact_store
from earwitness.store.read import Store
from earwitness.store.retry import retry_failures
from earwitness.store.settings import BuildSettings
from earwitness.store.verify import verify_store
from earwitness.subsets.splits import with_folds
from earwitness.training.clips import clip_groups
from in_process import run
from made_media import encode, sweep
from test_cli import refused


def shard(path: Path, members: dict[str, bytes | str], format_: int = tarfile.PAX_FORMAT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=format_) as tar:
        for name, content in members.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def adapt(*shards: Path | str, label_set: LabelSet | None = None, **settings: object) -> Manifest:
    return manifest_from_webdataset(
        [str(path) for path in shards],
        settings=SampleSettings(**settings),  # type: ignore[arg-type]
        label_set=label_set,
    ).manifest


SAMPLES: dict[str, bytes | str] = {
    "./a/000.flac": b"one",
    "./a/000.json": '{"label": "dog, small", "fold": 1, "meta": {"tags": ["x", "y"]}, "score": 0.5}',
    "./a/001.MP3": b"three",
    "./a/001.json": '{"labels": ["rain", "dog, small", "rain"], "fold": 2, "score": 1}',
    "./a/002.json": '{"label": "alone"}',
    "__index__.json": "{}",
    "README": "no extension",
    "./a/003.wav": b"",
}


@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_samples_become_clips(tmp_path: Path, format_: int) -> None:
    path = shard(tmp_path / "s.tar", SAMPLES, format_)
    adapted = manifest_from_webdataset([str(path)], settings=SampleSettings(carry=("fold", "score", "no")))
    table = adapted.manifest.table
    assert table.drop_columns(["media_offset_bytes"]).to_pydict() == {
        "clip_id": ["a/000", "a/001", "a/003"],
        "media": [str(path)] * 3,
        "start_seconds": [None] * 3,
        "stop_seconds": [None] * 3,
        "labels": [["dog, small"], ["rain", "dog, small"], []],
        "media_num_bytes": [3, 5, 0],
        "shard": ["s.tar"] * 3,
        "fold": [1, 2, None],
        "score": [0.5, 1.0, None],
        "no": [None] * 3,
    }
    content = path.read_bytes()
    for row, expected in zip(table.to_pylist(), (b"one", b"three", b""), strict=True):
        assert content[row["media_offset_bytes"] :][: row["media_num_bytes"]] == expected
    assert adapted.missing == ()
    assert adapted.remarks == (
        "1 sample has no media file and is left out: s.tar: sample a/002",
        "1 sample has no label: s.tar: sample a/003",
        "no sample has the key 'no' (--carry), so its column is empty",
    )


def test_where_labels_stand(tmp_path: Path) -> None:
    members = {"0.wav": "x", "0.cls": "1\n", "0.txt": "a; b\nc\n", "0.json": '{"tag": 7, "meta": {"tags": ["x", 2]}}'}
    path = shard(tmp_path / "s.tar", members)

    def labels(label_set: LabelSet | None = None, **settings: object) -> object:
        return adapt(path, label_set=label_set, **settings).table["labels"].to_pylist()[0]

    assert labels() == ["1"]
    assert labels(LabelSet.of(["cat", "dog"])) == ["dog"]
    assert labels(label_extension="json") == ["7"]
    assert labels(label_extension=".JSON", label_key="meta.tags") == ["x", "2"]
    assert labels(LabelSet.of(["x", "y", "z"]), label_extension="json", label_key="meta.tags") == ["x", "z"]
    assert labels(label_extension="txt") == ["a; b", "c"]
    assert labels(label_extension="txt", label_separator=";") == ["a", "b", "c"]
    with pytest.raises(LabelError, match=r"s.tar: sample 0: unknown label '7'"):
        labels(LabelSet.of(["cat"]), label_extension="json")


def test_several_shards(tmp_path: Path) -> None:
    for number in range(3):
        shard(tmp_path / f"t-{number:03d}.tar", {"0.wav": "x", "0.cls": "dog"})
    assert adapt(tmp_path / "t-{000..001}.tar").table["clip_id"].to_pylist() == ["t-000/0", "t-001/0"]
    assert adapt(tmp_path / "t-{000,002}.tar").table["shard"].to_pylist() == ["t-000.tar", "t-002.tar"]
    assert adapt(tmp_path).table["clip_id"].to_pylist() == ["t-000/0", "t-001/0", "t-002/0"]
    assert adapt(tmp_path / "t-001.tar").table["clip_id"].to_pylist() == ["0"]
    with pytest.raises(ManifestError, match=r"t-003\.tar: there is no such file"):
        adapt(tmp_path / "t-{000..003}.tar")


def test_shards_of_one_name_in_several_folders(tmp_path: Path) -> None:
    """As corpora come that have a folder for each part, with samples numbered anew in each."""
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        shard(tmp_path / part / "000.tar", {"0.wav": b"x", "0.cls": part})
    manifest = adapt(tmp_path / "train", tmp_path / "test")
    assert manifest.table["clip_id"].to_pylist() == ["train/000/0", "test/000/0"]
    with pytest.raises(ManifestError, match=r"000\.tar: this shard is given twice"):
        adapt(tmp_path / "train", tmp_path / "train")


def test_brace_patterns() -> None:
    def names(pattern: str) -> list[str]:
        return [str(path) for path in expand(pattern)]

    assert names("s-{008..010}.tar") == ["s-008.tar", "s-009.tar", "s-010.tar"]
    assert names("{a,b}/{0..1}.tar") == ["a/0.tar", "a/1.tar", "b/0.tar", "b/1.tar"]
    assert names("s{9..11}.tar") == ["s9.tar", "s10.tar", "s11.tar"]
    assert names("s{2..0}") == ["s2", "s1", "s0"]
    assert names("plain.tar") == ["plain.tar"]
    assert names("odd{x}.tar") == ["odd{x}.tar"]
    with pytest.raises(ManifestError, match="more than 1,000,000 shards"):
        expand("s{0..9999999}.tar")


def test_samples_share_all_before_the_first_dot() -> None:
    names = ["d.1/x.left.wav", "d.1/x.json", "x.json", ".hidden", "y", "__meta__.json", "d.1/.wav"]
    found = dict(samples([Member(name, 0, 0) for name in names]))
    assert {key: list(members) for key, members in found.items()} == {"d.1/x": ["left.wav", "json"], "x": ["json"]}


@pytest.mark.parametrize(
    ("members", "settings", "message"),
    [
        (
            {"0.wav": "x", "0.mp3": "y"},
            {},
            "sample 0 has several media files, mp3, wav; say which by --media-extension",
        ),
        (
            {"0.txt": "x"},
            {},
            "no sample has a media file; 1 sample has no media file and is left out: s.tar: sample 0",
        ),
        ({}, {}, "no sample has a media file; the tars are empty"),
        ({"0.wav": "x", "0.json": '{"text": "a", "id": 3}'}, {}, "none of the keys labels, .* Its keys are text, id"),
        ({"0.wav": "x", "0.json": "{"}, {}, "sample 0: its .json is not JSON"),
        ({"0.wav": "x", "0.json": 100_000 * "["}, {}, "sample 0: its .json is not JSON .*recursion"),
        ({"0.wav": "x", "0.json": r'{"label": "\ud800"}'}, {}, "sample 0: its .json is not JSON .*surrogates"),
        ({"0.wav": "x", "0.json": "[1]"}, {}, "sample 0: its .json is not a JSON object"),
        ({"0.wav": "x", "0.json": '{"label": {"a": 1}}'}, {}, 'a label must be a text or a number; came {"a": 1}'),
        ({"0.wav": "x", "0.cls": b"\xff"}, {}, "sample 0: 0.cls is not UTF-8 text"),
    ],
)
def test_bad_samples_are_named(tmp_path: Path, members: dict[str, bytes | str], settings: dict, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        adapt(shard(tmp_path / "s.tar", members), **settings)


def test_a_number_of_any_length_is_no_label(tmp_path: Path) -> None:
    path = shard(tmp_path / "s.tar", {"0.wav": b"x", "0.cls": "9" * 5_000})
    with pytest.raises(LabelError, match="sample 0: unknown label '9999"):
        adapt(path, label_set=LabelSet.of(["dog"]))


def test_a_chosen_medium_of_several(tmp_path: Path) -> None:
    path = shard(tmp_path / "s.tar", {"0.wav": "x", "0.mp3": "yy", "0.cls": "a", "1.wav": "x"})
    assert adapt(path, media_extension="mp3").table["media_num_bytes"].to_pylist() == [2]


def test_compressed_and_foreign_files_are_refused(tmp_path: Path) -> None:
    path = shard(tmp_path / "s.tar", SAMPLES)
    (tmp_path / "z" / "s.tar.gz").parent.mkdir()
    (tmp_path / "z" / "s.tar.gz").write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(ManifestError, match=r"it is compressed \(gzip\); .*decompress it first, to a \.tar"):
        adapt(tmp_path / "z" / "s.tar.gz")
    with pytest.raises(ManifestError, match=r"no tar lies in this folder; s.tar.gz must be decompressed first"):
        adapt(tmp_path / "z")
    (tmp_path / "x.tar").write_bytes(b"RIFF....WAVEfmt " * 100)
    with pytest.raises(ManifestError, match=r"x.tar: this is no tar .*looks like a sound or video file"):
        adapt(tmp_path / "x.tar")
    (tmp_path / "x.tar").write_bytes(b"")
    with pytest.raises(ManifestError, match=r"x.tar: this is no tar"):
        adapt(tmp_path / "x.tar")
    with pytest.raises(ManifestError, match="no shard is given"):
        adapt()


def test_of_a_tar_cut_anywhere_whole_members_are_kept(tmp_path: Path) -> None:
    members: dict[str, bytes | str] = {f"{number}.wav": bytes([number]) * 700 for number in range(4)}
    whole = shard(tmp_path / "whole.tar", members, tarfile.USTAR_FORMAT).read_bytes()
    ends = [member.offset_bytes + member.num_bytes for member in read_shard(tmp_path / "whole.tar").members]
    assert read_shard(tmp_path / "whole.tar").fault is None
    for length in (*range(512, 4 * 1536 + 1, 128), *ends, *(end - 1 for end in ends), *(end + 1 for end in ends)):
        path = tmp_path / "cut.tar"
        path.write_bytes(whole[:length])
        found = read_shard(path)
        assert len(found.members) == sum(end <= length for end in ends), length
        assert found.fault is not None
        assert "cut off" in found.fault, length
    damaged = bytearray(whole)
    damaged[2 * 1536 + 148 : 2 * 1536 + 156] = b"xxxxxxxx"  # a checksum
    (tmp_path / "cut.tar").write_bytes(damaged)
    found = read_shard(tmp_path / "cut.tar")
    assert len(found.members) == 2
    assert found.fault == f"it is damaged at byte 3,072 of {len(whole):,}"


def test_links_are_skipped_and_said(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        for name, kind in (("d", tarfile.DIRTYPE), ("0.wav", tarfile.SYMTYPE), ("1.wav", tarfile.LNKTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "../../etc/passwd"
            tar.addfile(info)
        tar.addfile(tarfile.TarInfo("2.wav"))
    adapted = manifest_from_webdataset([str(tmp_path / "s.tar")], settings=SampleSettings())
    assert adapted.manifest.table["clip_id"].to_pylist() == ["2"]
    assert "2 members of the tars are no plain files with a readable name" in adapted.remarks


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four kinds of media, some with video, and a manifest's worth of neighbours."""
    folder = tmp_path_factory.mktemp("media")
    encode(folder / "a.wav", "pcm_s16le", 22_050, sweep(22_050, 3.0))
    encode(folder / "b.mp3", "libmp3lame", 44_100, sweep(44_100, 4.0, seed=1))
    encode(folder / "c.mp4", "aac", 48_000, sweep(48_000, 14.0, seed=2), with_video=True)
    encode(folder / "d.flac", "flac", 16_000, sweep(16_000, 2.0, channels=1, seed=3))
    encode(folder / "e.webm", "libopus", 48_000, sweep(48_000, 3.0, seed=4))
    return folder


@pytest.fixture(scope="module")
def tar(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    members: dict[str, bytes | str] = {}
    for number, path in enumerate(sorted(media.iterdir())):
        members[path.name] = path.read_bytes()
        members[f"{path.stem}.cls"] = f"label {number % 2}"
    return shard(tmp_path_factory.mktemp("tar") / "s.tar", members)


def test_frames_equal_those_of_the_extracted_files(media: Path, tar: Path) -> None:
    for row in adapt(tar).table.to_pylist():
        path = next(media.glob(f"{row['clip_id']}.*"))
        source = ByteRange(row["media"], row["media_offset_bytes"], row["media_num_bytes"])
        ranges = [(None, None), (1.0, 1.9)] + ([(11.5, 13.0)] if path.suffix == ".mp4" else [])
        for start, stop in ranges:
            frames = []
            for medium in (path, source):
                with media_frames(medium, front_end=FrontEnd(), start_seconds=start, stop_seconds=stop) as stream:
                    frames.append(np.concatenate(list(stream)))
                    assert stream.warnings == ()
            np.testing.assert_array_equal(*frames)
            assert len(frames[0])


def stored_frames(store: Path) -> np.ndarray:
    """All frames of a store of one part."""
    (part,) = (store / "parts").glob("*.npy")
    return np.load(part)


def test_prepare_reads_clips_within_a_tar(media: Path, tar: Path, tmp_path: Path) -> None:
    """By the command: the store of the tar equals that of the files, and one damaged member costs one clip."""
    with tarfile.open(tar, "a") as more:
        for name, content in (
            ("f.wav", b"not sound at all"),
            ("g.mp4", f"ffconcat version 1.0\nfile {media}/a.wav\n".encode()),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            more.addfile(info, io.BytesIO(content))
    run("manifest", "webdataset", tar, "--out", tmp_path / "tar.csv")
    run("prepare", tmp_path / "tar.csv", tmp_path / "tar", "--workers", 2)
    in_tar = Store.open(tmp_path / "tar")
    rows = [{"clip_id": path.stem, "media": str(path)} for path in sorted(media.iterdir())]
    labels = pa.array([[f"label {number % 2}"] for number in range(len(rows))])
    manifest = Manifest.from_table(pa.Table.from_pylist(rows).append_column("labels", labels))
    build_store(manifest, tmp_path / "files", settings=BuildSettings(workers=1))
    files = Store.open(tmp_path / "files")
    assert in_tar.clips["clip_id"].to_pylist() == files.clips["clip_id"].to_pylist() == list("abcde")
    assert in_tar.clips["num_frames"].to_pylist() == files.clips["num_frames"].to_pylist()
    np.testing.assert_array_equal(stored_frames(tmp_path / "tar"), stored_frames(tmp_path / "files"))
    assert in_tar.clips["media_codec"].to_pylist() == files.clips["media_codec"].to_pylist()
    with (tmp_path / "tar" / "failures.csv").open(newline="") as file:
        reasons = {row["clip_id"]: row["reason"] for row in csv.DictReader(file)}
    assert reasons.keys() == {"f", "g"}
    assert "s.tar, bytes " in reasons["f"]
    assert "playlists and other files that point at files are refused" in reasons["g"]


def test_a_store_of_a_tar_is_looked_after(media: Path, tar: Path, tmp_path: Path) -> None:
    """Tried again, appended, verified, dropped from, compacted: it is the store of one build of the whole tar."""
    tar = Path(shutil.copy(tar, tmp_path))
    manifest = adapt(tar).take(np.arange(5))
    store, once, settings = tmp_path / "store", tmp_path / "once", BuildSettings(workers=1, clips_per_part=2)
    build_store(manifest, once, settings=settings)
    whole = tar.read_bytes()
    tar.write_bytes(whole[: manifest.table["media_offset_bytes"][1].as_py()])  # of which one clip is left
    assert build_store(manifest.take(np.arange(3)), store, settings=settings).num_failed == 2
    tar.write_bytes(whole)
    assert retry_failures(store, settings=settings).num_stored == 2
    assert append_clips(manifest, store, settings=settings).num_added == 2
    assert verify_store(store).is_whole
    drop_clips(store, clip_ids=["b"])
    report = inspect_store(Store.open(store), settings=InspectSettings(workers=1))
    assert "undecodable" not in {finding.kind for finding in report.findings}
    retry_failures(store, kinds=["dropped"], settings=settings)
    compact_store(store)
    one, two = Store.open(store), Store.open(once)
    assert one.fingerprint == two.fingerprint
    assert one.clips.equals(two.clips)
    for number in range(3):
        name = f"part-{number:06d}.parquet"
        assert (store / "compacted-1" / "parts" / name).read_bytes() == (once / "parts" / name).read_bytes()


def test_how_a_manifest_came_does_not_show_in_a_store(tar: Path, tmp_path: Path) -> None:
    """Labels are numbers into a dictionary in some tables and text in others; offsets are text in CSV."""
    manifest = adapt(tar)
    settings = BuildSettings(workers=1, clips_per_part=3)
    for suffix in ("parquet", "csv", "jsonl"):
        write_manifest(manifest, tmp_path / f"m.{suffix}")
        build_store(
            read_manifest(tmp_path / f"m.{suffix}"),
            tmp_path / suffix,
            settings=settings,
        )
    for name in ("manifest.parquet", "parts/part-000000.parquet", "parts/part-000001.parquet"):
        assert len({(tmp_path / suffix / name).read_bytes() for suffix in ("parquet", "csv", "jsonl")}) == 1


def test_the_fingerprint_does_not_depend_on_the_place_in_the_tar(media: Path, tmp_path: Path) -> None:
    fingerprints = set()
    for number, names in enumerate((["d.flac"], ["d.flac", "d.json"], ["x.txt", "d.flac"])):
        members: dict[str, bytes | str] = dict.fromkeys(names, '{"label": "a"}')
        members["d.flac"] = (media / "d.flac").read_bytes()
        manifest = adapt(shard(tmp_path / str(number) / "s.tar", members | {"d.cls": "a"}))
        build_store(manifest, tmp_path / f"store {number}", settings=BuildSettings(workers=1))
        fingerprints.add(Store.open(tmp_path / f"store {number}").fingerprint)
    assert len(fingerprints) == 1


def test_ranges_that_do_not_fit_are_refused(tar: Path, tmp_path: Path) -> None:
    size = tar.stat().st_size
    with pytest.raises(UndecodableError, match=rf"the file ends at byte {size} \(is it cut off"):
        read_waveform(ByteRange(str(tar), size - 10, 11))
    with pytest.raises(UndecodableError, match="bytes 0 to 0: is empty"):
        read_waveform(ByteRange(str(tar), 0, 0))
    with pytest.raises(MissingError, match="no such file"):
        read_waveform(ByteRange(str(tmp_path / "no.tar"), 0, 1))
    with pytest.raises(UndecodableError, match="is a directory"):
        read_waveform(ByteRange(str(tmp_path), 0, 1))


def test_a_range_ends_where_it_ends(tmp_path: Path, made_sounds: MadeSounds) -> None:
    """Sound that follows in the file is not read: a WAV whose header promises more is cut at the end of its range."""
    sound = (made_sounds.folder / "00.wav").read_bytes()
    path = tmp_path / "two.bin"
    path.write_bytes(b"before" + sound[:20_044] + sound)
    read = read_waveform(ByteRange(str(path), 6, 20_044))
    np.testing.assert_array_equal(read, read_waveform(sound)[: len(read)])
    assert len(read) == 10_000


def test_clips_of_one_tar_are_not_of_one_recording(tmp_path: Path, made_sounds: MadeSounds) -> None:
    members: dict[str, bytes | str] = {}
    for path in sorted(made_sounds.folder.glob("*.wav"))[:6]:
        members |= {path.name: path.read_bytes(), f"{path.stem}.cls": "a"}
    manifest = adapt(shard(tmp_path / "s.tar", members))
    assert len(set(own_media(manifest.table).to_pylist())) == 6
    folds = with_folds(manifest, 3).table["fold"].to_pylist()
    assert sorted(folds) == [1, 1, 2, 2, 3, 3]
    twice = Manifest.from_table(  # two ranges of time of each member do share it
        pa.concat_tables([manifest.table, manifest.table]).set_column(
            0, "clip_id", pa.array([str(number) for number in range(12)])
        )
    )
    folds = with_folds(twice, 3).table["fold"].to_pylist()
    assert folds[:6] == folds[6:]
    build_store(twice, tmp_path / "store", settings=BuildSettings(workers=1))
    groups = clip_groups(Store.open(tmp_path / "store"), np.arange(12)).numbers.tolist()
    assert groups[:6] == groups[6:]
    assert len(set(groups)) == 6


def test_missing_media_within_a_tar(tmp_path: Path) -> None:
    path = shard(tmp_path / "s.tar", {f"{number}.wav": b"x" * 100 for number in range(3)})
    manifest = adapt(path)
    assert missing_media(manifest) == []
    stops = manifest.table["media_offset_bytes"].to_pylist()
    path.write_bytes(path.read_bytes()[: stops[1] + 100])
    assert missing_media(manifest) == ["2"]
    path.unlink()
    assert missing_media(manifest) == ["0", "1", "2"]


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_ranges_survive_every_format(tmp_path: Path, suffix: str) -> None:
    table = pa.table(
        {
            "clip_id": ["a", "b"],
            "media": ["/s.tar", "/b.wav"],
            "media_offset_bytes": [512, None],
            "media_num_bytes": [7, None],
        }
    )
    manifest = Manifest.from_table(table)
    write_manifest(manifest, tmp_path / f"m{suffix}")
    again = read_manifest(tmp_path / f"m{suffix}").table
    assert again.to_pylist() == manifest.table.to_pylist()
    assert again.schema.field("media_offset_bytes").type == pa.int64()
    assert own_media(again).to_pylist() == ["/s.tar@512", "/b.wav"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"media_offset_bytes": [0]}, "column media_offset_bytes needs the other of"),
        ({"media_offset_bytes": [0], "media_num_bytes": [None]}, "row 1: .*a range of bytes needs both"),
        ({"media_offset_bytes": [-1], "media_num_bytes": [5]}, "row 1: media_offset_bytes=-1, media_num_bytes=5"),
        ({"media_offset_bytes": ["x"], "media_num_bytes": [5]}, "row 1: media_offset_bytes='x' is not a whole number"),
    ],
)
def test_bad_ranges_are_refused(columns: dict[str, list[object]], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        Manifest.from_table(pa.table({"clip_id": ["a"], "media": ["/a"], **columns}))


def test_the_command(tmp_path: Path) -> None:
    path = shard(tmp_path / "s.tar", SAMPLES)
    (tmp_path / "t.tar").write_bytes(path.read_bytes()[:1700])
    out = tmp_path / "m.parquet"
    said = run(
        *("manifest", "webdataset", tmp_path / "{s,t}.tar", "--carry", "fold", "--carry", "score", "--out", out),
    )
    assert "t.tar: it is cut off" in said.stderr
    assert read_manifest(out).table.select(["clip_id", "fold"]).to_pydict() == {
        "clip_id": ["s/a/000", "s/a/001", "s/a/003", "t/a/000"],
        "fold": [1, 2, None, 1],
    }
    report = json.loads(run("manifest", "webdataset", path, "--json", "--out", out).stdout)
    assert len(report["remarks"]) == 2
    refused("manifest", "webdataset", "--out", out, saying="no shard is given")


def test_patterns_of_stars_shards_given_twice_and_keys_that_are_not_there(tmp_path: Path) -> None:
    for number in range(2):
        shard(tmp_path / f"s-{number}.tar", {f"{number}.wav": "x", f"{number}.json": '{"label": "a"}'})
    assert expand(str(tmp_path / "s-*.tar")) == [tmp_path / "s-0.tar", tmp_path / "s-1.tar"]
    assert len(adapt(str(tmp_path / "s-?.tar"))) == 2
    with pytest.raises(ManifestError, match=r"no file meets this pattern"):
        adapt(str(tmp_path / "t-*.tar"))
    with pytest.raises(ManifestError, match=r"s-0.tar: this shard is given twice"):
        adapt(tmp_path / "s-0.tar", str(tmp_path / "s-*.tar"))
    adapted = manifest_from_webdataset([str(tmp_path)], settings=SampleSettings(carry=("nope", "label")))
    assert adapted.remarks == ("no sample has the key 'nope' (--carry), so its column is empty",)
