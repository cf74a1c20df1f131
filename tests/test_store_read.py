"""Reading a store, held against plain NumPy slices of what was put in."""

import json
import os
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from earwitness.errors import SelectionError, StoreError
from earwitness.front_end import FrontEnd
from earwitness.labels import LabelSet
from earwitness.manifest import Manifest
from earwitness.parallel import Failure
from earwitness.store import reading
from earwitness.store.decoded import DecodedClip
from earwitness.store.header import StoreHeader, Totals, digest_table, read_header, write_header
from earwitness.store.index import write_index
from earwitness.store.parts import PARTS_FOLDER, frames_path, read_stored_rows, rows_path, write_part
from earwitness.store.patches import PatchIndex
from earwitness.store.read import Store
from earwitness.store.reading import FrameReader

LABELS = LabelSet.of(["bark", "bell", "rain"])
CLIPS_PER_PART = 4


def make_store(folder: Path, lengths: list[int | None], labels: list[list[str]]) -> list[np.ndarray]:
    """Write a store by hand: `lengths[row]` frames for each row, None for a failure. Gives the frames
    stored.
    """
    front_end = FrontEnd()
    rng = np.random.default_rng(1)
    frames = {
        row: rng.standard_normal((length, 64)).astype(np.float16)
        for row, length in enumerate(lengths)
        if length is not None
    }
    table = pa.table(
        {
            "clip_id": [f"clip {row}" for row in range(len(lengths))],
            "media": [f"{row}.wav" for row in range(len(lengths))],
            "labels": pa.array(labels, pa.list_(pa.string())),
            "fold": [row % 3 for row in range(len(lengths))],
        }
    )
    table = Manifest.from_table(table).table
    header = StoreHeader(
        front_end=front_end,
        label_set=LABELS,
        manifest_digest=digest_table(table),
        manifest_source="made.csv",
        num_rows=len(lengths),
        clips_per_part=CLIPS_PER_PART,
    )
    (folder / PARTS_FOLDER).mkdir(parents=True)
    write_header(folder, header)
    for part in range(header.num_parts):
        rows = range(len(lengths))[part * CLIPS_PER_PART : (part + 1) * CLIPS_PER_PART]
        write_part(
            folder,
            part,
            rows=table.slice(rows.start, len(rows)),
            label_indices=[LABELS.indices(labels[row]) for row in rows],
            results=[
                DecodedClip(len(frames[row]), 16_000, False, ("odd",) * (row % 2), "wav", "pcm", 8_000, 2)
                if row in frames
                else Failure("undecodable", "it is no sound")
                for row in rows
            ],
            append_frames=lambda place, append, rows=rows: append(frames[rows[place]]),
            num_bands=64,
        )
    totals = Totals(
        num_clips=len(frames),
        num_failed=len(lengths) - len(frames),
        num_warned=sum(row % 2 for row in frames),
        num_frames=sum(map(len, frames.values())),
        seconds_of_sound=float(len(frames)),
    )
    fingerprint = write_index(folder, header, (read_stored_rows(folder, part) for part in range(header.num_parts)))
    write_header(folder, StoreHeader(**{**vars(header), "totals": totals, "fingerprint": fingerprint}))
    return list(frames.values())


LENGTHS = [100, 96, None, 300, 0, 97, 500, 99, None, None, None, None, 20_000]
ROW_LABELS = [
    ["bark"],
    [],
    ["bell"],
    ["rain", "bark"],
    ["bell"],
    [],
    ["bell", "rain", "bark"],
    [],
    *[["rain"]] * 5,
]
STORED = [row for row, length in enumerate(LENGTHS) if length is not None]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "store"
    frames = make_store(folder, LENGTHS, ROW_LABELS)
    return folder, frames


@pytest.fixture
def copy(tmp_path):
    """A store that a test may damage."""
    make_store(tmp_path / "store", LENGTHS[:6], ROW_LABELS[:6])
    return tmp_path / "store"


def test_what_a_store_knows(made):
    folder, frames = made
    store = Store.open(folder)
    assert store.num_clips == len(frames) == len(STORED)
    assert store.num_frames == sum(map(len, frames))
    np.testing.assert_array_equal(store.frames_per_clip, [len(f) for f in frames])
    assert store.label_set == LABELS
    assert store.front_end == FrontEnd()
    assert store.clips["clip_id"].to_pylist() == [f"clip {row}" for row in STORED]
    assert store.clips["labels"].to_pylist() == [ROW_LABELS[row] for row in STORED]
    assert store.clips["num_frames"].to_pylist() == [len(f) for f in frames]
    assert store.clips["media_sample_rate_hz"].unique().to_pylist() == [8_000]
    assert not {"failure_kind", "first_frame", "label_indices"} & set(store.clips.column_names)
    assert store.failures().to_pylist() == [
        {"clip_id": f"clip {row}", "media": f"{row}.wav", "kind": "undecodable", "reason": "it is no sound"}
        for row in range(len(LENGTHS))
        if row not in STORED
    ]


def test_parts_are_plain_numpy_files(made):
    folder, frames = made
    together = np.concatenate([np.load(frames_path(folder, part)) for part in range(4)])
    np.testing.assert_array_equal(together, np.concatenate(frames))


def test_labels(made):
    store = Store.open(made[0])
    expected = np.array([[label in ROW_LABELS[row] for label in LABELS.ids] for row in STORED])
    np.testing.assert_array_equal(store.targets(np.arange(store.num_clips)), expected)
    np.testing.assert_array_equal(store.targets(np.array([5, 0, 5])), expected[[5, 0, 5]])
    assert store.targets(np.array([], dtype=np.int64)).shape == (0, 3)
    for clip, row in enumerate(STORED):
        start, stop = store.label_offsets[clip : clip + 2]
        assert store.label_indices[start:stop].tolist() == LABELS.indices(ROW_LABELS[row])


def test_selection(made):
    store = Store.open(made[0])
    np.testing.assert_array_equal(store.select(None), np.arange(store.num_clips))
    chosen = store.select("fold = 1 and len(warnings) = 1")
    assert [STORED[clip] for clip in chosen] == [row for row in STORED if row % 3 == 1 and row % 2 == 1]
    with pytest.raises(SelectionError, match="flod"):
        store.select("flod = 1")


def test_the_fingerprint_follows_the_content(tmp_path):
    prints = []
    for number, (lengths, labels) in enumerate(
        [
            ([5, 6], [["bark"], []]),
            ([5, 6], [["bark"], []]),
            ([5, 7], [["bark"], []]),
            ([5, 6], [["bell"], []]),
        ]
    ):
        make_store(tmp_path / str(number), lengths, labels)
        prints.append(Store.open(tmp_path / str(number)).fingerprint)
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_patches_equal_slices(made, data):
    folder, frames = made
    patch_frames = data.draw(st.integers(1, 200))
    able = [clip for clip, array in enumerate(frames) if len(array) >= patch_frames]
    clips = data.draw(st.lists(st.sampled_from(able), max_size=300))
    firsts = [data.draw(st.integers(0, len(frames[clip]) - patch_frames)) for clip in clips]
    with FrameReader(Store.open(folder), threads=3) as reader:
        found = reader.read_patches(np.array(clips, np.int64), np.array(firsts, np.int64), patch_frames)
    assert found.dtype == np.float16
    assert found.shape == (len(clips), patch_frames, 64)
    for patch, clip, first in zip(found, clips, firsts, strict=True):
        np.testing.assert_array_equal(patch, frames[clip][first : first + patch_frames])


@pytest.fixture(params=["as it is", "no flag for reads that do not wait", "nothing in memory", "no preadv"])
def way(request, monkeypatch):
    """The ways in which the system may answer a read."""
    if request.param == "no flag for reads that do not wait":

        def refuse(descriptor, buffers, offset, flags=0):
            if flags:
                raise OSError(95, "Operation not supported")
            return preadv(descriptor, buffers, offset)

        preadv = os.preadv
        monkeypatch.setattr(os, "preadv", refuse)
    elif request.param == "nothing in memory":
        turns = iter(range(10**9))

        def wait(descriptor, buffers, offset, flags=0):
            turn = next(turns)
            if flags and turn % 3:
                raise BlockingIOError
            # now and then, less than was asked for
            target = buffers[0]
            return preadv(descriptor, (target[: max(1, len(target) // 2)] if turn % 2 else target,), offset)

        preadv = os.preadv
        monkeypatch.setattr(os, "preadv", wait)
    elif request.param == "no preadv":
        monkeypatch.delattr(os, "preadv")


@pytest.mark.usefixtures("way")
def test_all_ways_of_reading_give_the_same(made):
    folder, frames = made
    store = Store.open(folder)
    index = PatchIndex(store.frames_per_clip, np.arange(store.num_clips), patch_frames=96, hop_frames=31)
    numbers = np.random.default_rng(2).integers(0, index.num_patches, 700)
    clips, firsts = index.locate(numbers)
    with FrameReader(store) as reader:
        found = reader.read_patches(clips, firsts, 96)
        for clip, array in enumerate(frames):
            np.testing.assert_array_equal(reader.read_clip(clip), array)
        np.testing.assert_array_equal(reader.read_clip(2, first_frame=7, num_frames=100), frames[2][7:107])
    expected = np.stack([frames[clip][first : first + 96] for clip, first in zip(clips, firsts, strict=True)])
    np.testing.assert_array_equal(found, expected)


def test_reading_into_an_array(made):
    folder, frames = made
    target = np.zeros((2, 96, 64), np.float16)
    with FrameReader(Store.open(folder)) as reader:
        assert reader.read_patches(np.array([0, 2]), np.array([4, 0]), 96, out=target) is target
        np.testing.assert_array_equal(target, np.stack([frames[0][4:100], frames[2][:96]]))
        for bad in (np.zeros((2, 96, 64)), np.zeros((3, 96, 64), np.float16), target.swapaxes(0, 1)):
            with pytest.raises(ValueError, match="out must be"):
                reader.read_patches(np.array([0, 2]), np.array([4, 0]), 96, out=bad)


def test_many_threads_with_few_open_files(tmp_path, monkeypatch):
    lengths = [100 + row for row in range(120)]
    frames = make_store(tmp_path / "store", lengths, [["bark"]] * 120)
    monkeypatch.setattr(reading, "_MAX_OPEN_FILES", 5)  # 30 parts
    store = Store.open(tmp_path / "store")
    problems = []

    def num_open():
        links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
        return sum("part-" in name and name.startswith(str(tmp_path)) for name in map(str, map(Path.readlink, links)))

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(30):
            clips = rng.integers(0, 120, 40)
            found = reader.read_patches(clips, clips % 4, 96)
            if not all(
                np.array_equal(patch, frames[clip][clip % 4 : clip % 4 + 96])
                for patch, clip in zip(found, clips, strict=True)
            ):
                problems.append(seed)

    with FrameReader(store) as reader:
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not problems
        assert 0 < num_open() <= 5
    assert num_open() == 0


def test_ranges_outside_a_clip(made):
    with FrameReader(Store.open(made[0])) as reader:
        with pytest.raises(ValueError, match=r"clip 0 has 100 frames; \[5, 101\) reaches outside"):
            reader.read_patches(np.array([1, 0]), np.array([0, 5]), 96)
        with pytest.raises(ValueError, match=r"\[-1, 95\)"):
            reader.read_patches(np.array([0]), np.array([-1]), 96)
        with pytest.raises(ValueError, match=r"clips must lie in \[0, 8\); came 8 to 8"):
            reader.read_patches(np.array([8]), np.array([0]), 96)
        with pytest.raises(ValueError, match="reaches outside"):
            reader.read_clip(0, first_frame=101)
        with pytest.raises(ValueError, match="must both be"):
            reader.read_patches(np.array([0, 1]), np.array([0]), 96)


def test_a_part_that_is_gone_or_cut_short(copy):
    store = Store.open(copy)
    path = frames_path(copy, 0)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1)
    with (
        FrameReader(store) as reader,
        pytest.raises(StoreError, match=r"part-000000\.npy: it ends too early"),
    ):
        reader.read_clip(2)
    np.save(path, np.zeros((396, 128), np.float16))
    with FrameReader(store) as reader, pytest.raises(StoreError, match=r"damaged .*\(396, 128\)"):
        reader.read_clip(0)
    path.unlink()
    with FrameReader(store) as reader, pytest.raises(StoreError, match="No such file"):
        reader.read_clip(0)
    rows_path(copy, 1).write_bytes(b"nothing")
    with pytest.raises(StoreError, match=r"part-000001\.parquet"):
        _ = store.clips


def test_stores_that_cannot_be_opened(copy, tmp_path):
    with pytest.raises(StoreError, match="there is no such folder"):
        Store.open(tmp_path / "nowhere")
    with pytest.raises(StoreError, match="the folder holds no store"):
        Store.open(tmp_path)
    path = copy / "store.json"
    values = json.loads(path.read_text())

    def refused(match, **changes):
        path.write_text(json.dumps({**values, **changes}))
        with pytest.raises(StoreError, match=match):
            Store.open(copy)

    refused("format version 99, this earwitness reads versions 1 and 2", version=99)
    refused("describes no earwitness store", format="zip")
    refused("damaged", front_end={"num_bands": 64})
    refused("damaged", labels=[])
    refused(r"unfinished \(2 of 2 parts\); run the same command again", totals=None)
    path.write_text("{")
    with pytest.raises(StoreError, match="not JSON"):
        Store.open(copy)
    path.write_text(json.dumps(values))
    np.save(copy / "index" / "frames_per_clip.npy", np.zeros(3, np.int64))
    with pytest.raises(StoreError, match=r"frames_per_clip\.npy: damaged, expected int64 \[5\], came int64 \[3\]"):
        Store.open(copy)
    (copy / "index" / "parts.npy").unlink()
    with pytest.raises(StoreError, match=r"parts\.npy: the store's index cannot be read"):
        Store.open(copy)


def test_a_store_where_everything_failed(tmp_path):
    make_store(tmp_path / "store", [None, None], [["bark"], []])
    store = Store.open(tmp_path / "store")
    assert store.num_clips == 0
    assert store.clips.num_rows == 0
    assert store.failures().num_rows == 2
    assert store.targets(np.array([], np.int64)).shape == (0, 3)
    with pytest.raises(StoreError, match="holds no clip, all 2 failed"):
        store.select(None)


def test_header_differences_name_both_sides(copy):
    header = read_header(copy)
    assert header.differences(header) == ""
    other = StoreHeader(
        front_end=FrontEnd(num_bands=40),
        label_set=LabelSet.of(["bark"]),
        manifest_digest="0" * 16,
        manifest_source="other.csv",
        num_rows=7,
        clips_per_part=9,
    )
    words = header.differences(other)
    for expected in (
        "num_bands: 64 / 40",
        "3 labels",
        "1 labels",
        "4 / 9",
    ):
        assert expected in words


def test_the_digest_does_not_follow_chunks():
    table = pa.table({"clip_id": ["a", "b", "c"], "labels": pa.array([["x"], None, []], pa.list_(pa.string()))})
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    assert digest_table(table) == digest_table(chunked)
    assert digest_table(table) != digest_table(table.slice(1))
    assert digest_table(table) != digest_table(table.rename_columns(["id", "labels"]))


def test_a_condition_reads_only_its_columns(made, monkeypatch):
    store = Store.open(made[0])
    read = []

    def recorded(folder, part, columns=None):
        read.append(tuple(columns))
        return read_stored_rows(folder, part, columns)

    monkeypatch.setattr("earwitness.store.read.read_stored_rows", recorded)
    assert store.select("fold = 1 and Labels is not null").tolist() == [
        n for n, row in enumerate(STORED) if row % 3 == 1
    ]
    assert set(read) == {("labels", "fold")}
    assert len(read) == store.num_parts
    assert store.read_clips(["num_frames", "clip_id"]).column_names == ["num_frames", "clip_id"]
    assert store.clips.column_names == store.clips_schema.names
    read.clear()
    with pytest.raises(SelectionError, match="did you mean 'fold'"):
        store.select("fld = 1")
    assert read == []
