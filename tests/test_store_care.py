"""Looking after stores. Every change is interrupted at every moment, and made again.

A process that is killed leaves the files as they were at some moment, and what it has synced. So a change is made
once, with a copy of the folder at each sync; each copy is what a kill there would have left.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
import pytest

from earwitness.errors import LabelError, ManifestError, SelectionError, SettingsError, StoreError
from earwitness.front_end import FrontEnd
from earwitness.labels import LabelSet
from earwitness.manifest import Manifest, read_manifest
from earwitness.store.append import append_clips
from earwitness.store.build import build_store
from earwitness.store.drop import drop_clips
from earwitness.store.header import read_header
from earwitness.store.merge import compact_store, merge_stores
from earwitness.store.parts import FAILURES_FILE, frames_path
from earwitness.store.read import Store
from earwitness.store.retry import retry_failures
from made_stores import SETTINGS, build, content, damage, files, here, manifest_of, moments, write_sounds


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> Path:
    return write_sounds(tmp_path_factory.mktemp("sounds"))


# Failures tried again.


@pytest.fixture
def halting(sounds, tmp_path) -> tuple[Manifest, Path]:
    """A manifest of eight clips, three of which are not there yet, and the folder of its media."""
    media = tmp_path / "media"
    shutil.copytree(sounds, media)
    for number in (1, 2, 7):
        (media / f"{number}.wav").rename(media / f"{number}.away")
    return manifest_of(media, range(8)), media


def bring_back(media: Path, *numbers: int) -> None:
    for number in numbers:
        (media / f"{number}.away").rename(media / f"{number}.wav")


def test_failures_are_tried_again(halting, tmp_path):
    manifest, media = halting
    folder = build(manifest, tmp_path / "store")
    before, first = files(folder), content(folder)
    nothing = retry_failures(folder, settings=SETTINGS, engine=here)
    assert (nothing.num_tried, nothing.num_stored) == (3, 0)
    assert (files(folder), content(folder)) == (before, first)
    bring_back(media, 1, 7)
    seen = []
    done = retry_failures(folder, settings=SETTINGS, engine=here, progress=seen.append)
    assert (done.num_tried, done.num_stored) == (3, 2)
    assert [(p.num_clips, p.num_done, p.num_resumed, p.num_failed) for p in seen] == [
        (8, 6, 5, 0),
        (8, 7, 5, 1),
        (8, 8, 5, 1),
    ]
    fresh = content(build(manifest, tmp_path / "fresh"))
    assert content(folder) == fresh != first
    unchanged = {"part-000001.npy", "part-000001.parquet"}
    assert {name for name, data in files(folder).items() if data == before[name]} == unchanged
    bring_back(media, 2)
    retry_failures(folder, kinds=["crash", "transient"], settings=SETTINGS, engine=here)
    assert content(folder) == fresh
    retry_failures(folder, kinds=["missing"], settings=SETTINGS)
    assert content(folder) == content(build(manifest, tmp_path / "fresh 2"))
    assert retry_failures(folder, settings=SETTINGS).num_tried == 0
    with pytest.raises(SettingsError, match="no kind of failure 'sorrow'; known: missing, no_audio, "):
        retry_failures(folder, kinds=["sorrow"], settings=SETTINGS)


def test_another_reason_is_written_down(halting, tmp_path):
    manifest, media = halting
    folder = build(manifest, tmp_path / "store")
    before = files(folder), read_header(folder).fingerprint
    (media / "2.wav").write_text("this is no sound")
    retry_failures(folder, settings=SETTINGS, engine=here)
    assert "is a text file" in content(folder)["failures"][1]["reason"]
    assert "is a text file" in (folder / "failures.csv").read_text()
    assert {name for name, data in files(folder).items() if data != before[0][name]} == {"part-000000.parquet"}
    assert read_header(folder).fingerprint == before[1]


def test_trying_again_is_interrupted(halting, tmp_path, monkeypatch):
    manifest, media = halting
    folder = build(manifest, tmp_path / "store")
    bring_back(media, 1, 2, 7)
    change = lambda folder: retry_failures(folder, settings=SETTINGS, engine=here)  # noqa: E731
    copies = moments(folder, lambda: change(folder), tmp_path, monkeypatch)
    assert len(copies) >= 3
    fresh = content(build(manifest, tmp_path / "fresh"))
    assert content(folder) == fresh
    for copy in copies:
        build(manifest, copy)  # `prepare` makes it whole, with what was stored by then
        content(copy)
        change(copy)
        assert content(copy) == fresh


def test_frames_lie_where_rows_say_at_every_moment(halting, tmp_path, monkeypatch):
    """A part's new frames are there before its new rows: with the old rows, they must not be others."""
    manifest, media = halting
    folder = build(manifest, tmp_path / "store")
    bring_back(media, 1, 7)
    copies = moments(folder, lambda: retry_failures(folder, settings=SETTINGS, engine=here), tmp_path, monkeypatch)
    fresh = {clip["clip_id"]: frames for clip, frames in _clips_and_frames(build(manifest, tmp_path / "fresh"))}
    for copy in copies:
        build(manifest, copy)
        assert {clip["clip_id"]: frames for clip, frames in _clips_and_frames(copy)}.items() <= fresh.items()


def _clips_and_frames(folder: Path) -> Iterable[tuple[dict[str, object], bytes]]:
    found = content(folder)
    return zip(found["clips"], found["frames"], strict=True)


# Appending.


def test_appended_clips_are_those_of_the_longer_manifest(sounds, tmp_path):
    folder = build(manifest_of(sounds, range(5)), tmp_path / "store")
    before = files(folder)
    longer = manifest_of(sounds, range(9), source="longer.csv")
    done = append_clips(longer, folder, settings=SETTINGS, engine=here)
    assert (done.num_added, done.num_there, done.changed, done.num_new_labels) == (4, 5, (), 0)
    assert (done.store.num_stored, done.store.num_resumed_parts, done.store.num_parts) == (9, 2, 4)
    assert {name: files(folder)[name] for name in before} == before
    fresh = build(longer, tmp_path / "fresh")
    assert content(folder) == content(fresh)
    assert read_header(folder).manifest_source == "clips.csv and others"
    # both the longer manifest and that of the store go on with it; the shorter one does not
    assert build_store(longer, folder, settings=SETTINGS).was_complete
    assert build_store(read_manifest(folder / "manifest.parquet"), folder, settings=SETTINGS).was_complete
    with pytest.raises(StoreError, match=r"4 rows removed \(the first: 'clip 5'\).*`store drop` takes some away"):
        build_store(manifest_of(sounds, range(5)), folder, settings=SETTINGS)
    again = append_clips(longer, folder, settings=SETTINGS, engine=here)
    assert (again.num_added, again.num_there, again.store.was_complete) == (0, 9, True)
    append_clips(manifest_of(sounds, [10]), folder, settings=SETTINGS)
    assert read_header(folder).appended == (4, 1)
    compact_store(folder)
    fresh = build(manifest_of(sounds, [*range(9), 10]), tmp_path / "fresh 2")
    assert content(folder) == content(fresh)
    assert files(folder, data_folder="compacted-1") == files(fresh)


def test_appending_is_interrupted(sounds, tmp_path, monkeypatch):
    folder = build(manifest_of(sounds, range(4)), tmp_path / "store")
    longer = manifest_of(sounds, range(9), labels=[["noise", f"n{number}"] for number in range(9)])

    def change(folder: Path) -> object:
        return append_clips(longer, folder, settings=SETTINGS, grow_labels=True, engine=here)

    copies = moments(folder, lambda: change(folder), tmp_path, monkeypatch)
    whole = content(folder)
    for copy in copies:
        change(copy)
        assert content(copy) == whole


def test_label_sets_grow_when_asked(sounds, tmp_path):
    folder = build(manifest_of(sounds, range(3)), tmp_path / "store")
    more = manifest_of(sounds, [5, 6], labels=[["n0"], ["wind", "aeroplane"]], source="more.csv")
    before = content(folder)
    with pytest.raises(LabelError, match=r"more\.csv: clip 'clip 6': unknown label 'wind'.*--grow-labels"):
        append_clips(more, folder, settings=SETTINGS, engine=here)
    assert content(folder) == before
    done = append_clips(more, folder, settings=SETTINGS, engine=here, grow_labels=True)
    assert done.num_new_labels == 2
    store = Store.open(folder)
    assert store.label_set.ids == ("n0", "n1", "n2", "noise", "aeroplane", "wind")
    assert store.targets(np.array([3, 4])).astype(int).tolist() == [[1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1]]


def test_columns_of_what_is_appended(sounds, tmp_path):
    folder = build(manifest_of(sounds, range(3)), tmp_path / "store")
    without = Manifest.from_table(manifest_of(sounds, [4]).table.drop_columns(["fold"]))
    append_clips(without, folder, settings=SETTINGS, engine=here)
    append_clips(manifest_of(sounds, [5], fold=[3.0]), folder, settings=SETTINGS, engine=here)
    assert Store.open(folder).clips["fold"].to_pylist() == [0, 1, 2, None, 3]
    with pytest.raises(ManifestError, match=r"column 'site' is not in the store, whose columns are clip_id, media"):
        append_clips(manifest_of(sounds, [6], site=["a"]), folder, settings=SETTINGS, engine=here)
    with pytest.raises(ManifestError, match="column 'fold' holds string and in the store int64"):
        append_clips(manifest_of(sounds, [6], fold=["x"]), folder, settings=SETTINGS, engine=here)
    changed = append_clips(manifest_of(sounds, [0, 1], fold=[0, 7]), folder, settings=SETTINGS, engine=here)
    assert changed.changed == ("clip 1",)
    content(folder)


# Dropping and compacting.


def test_dropped_clips_are_gone_for_readers(sounds, tmp_path):
    folder = build(manifest_of(sounds, range(8)), tmp_path / "store")
    before = files(folder)
    done = drop_clips(folder, where="fold = 1")
    assert (done.num_dropped, done.num_before, done.num_left) == (2, 0, 6)
    again = drop_clips(folder, clip_ids=["clip 5", "clip 6"])
    assert (again.num_dropped, again.num_before, again.num_left) == (1, 1, 5)
    found = content(folder)
    assert [clip["clip_id"] for clip in found["clips"]] == [f"clip {number}" for number in (0, 2, 3, 4, 7)]
    assert [(row["clip_id"], row["kind"], row["reason"]) for row in found["failures"]] == [
        ("clip 1", "dropped", "dropped by --where 'fold = 1'"),
        ("clip 5", "dropped", "dropped by --where 'fold = 1'"),
        ("clip 6", "dropped", "dropped by a list of clips"),
    ]
    assert {name for name, data in files(folder).items() if data != before[name]} == {
        "part-000000.parquet",
        "part-000001.parquet",
        "part-000002.parquet",
    }
    fresh = build(manifest_of(sounds, (0, 2, 3, 4, 7)), tmp_path / "fresh")
    assert found["fingerprint"] == content(fresh)["fingerprint"]
    assert build_store(manifest_of(sounds, range(8)), folder, settings=SETTINGS).num_failed == 3
    with pytest.raises(StoreError, match=r"1 of 2 clips are not in it, nothing was dropped; the first: 'clip 99'"):
        drop_clips(folder, clip_ids=["clip 0", "clip 99"])
    with pytest.raises(SelectionError, match="true for none of the 5 clips"):
        drop_clips(folder, where="fold = 1")
    assert content(folder) == found
    # nobody brings them back unasked
    assert retry_failures(folder, settings=SETTINGS).num_tried == 0
    retry_failures(folder, kinds=["dropped"], settings=SETTINGS, engine=here)
    assert content(folder) == content(build(manifest_of(sounds, range(8)), tmp_path / "whole"))


def test_dropping_is_interrupted(sounds, tmp_path, monkeypatch):
    folder = build(manifest_of(sounds, range(8)), tmp_path / "store")
    ids = ["clip 1", "clip 2", "clip 7"]
    copies = moments(folder, lambda: drop_clips(folder, clip_ids=ids), tmp_path, monkeypatch)
    whole = content(folder)
    for copy in copies:
        drop_clips(copy, clip_ids=ids)
        assert content(copy) == whole


def test_compacting(halting, tmp_path):
    manifest, media = halting
    folder = build(manifest, tmp_path / "store")
    bring_back(media, 2)
    retry_failures(folder, settings=SETTINGS, engine=here)  # its frames lie behind the others
    drop_clips(folder, clip_ids=["clip 0", "clip 1", "clip 4"])
    before = content(folder)
    summary = compact_store(folder, clips_per_part=2)
    assert (summary.num_clips, summary.num_stored, summary.num_failed, summary.num_parts) == (5, 4, 1, 3)
    after = content(folder)
    fresh = build(manifest_of(media, [2, 3, 5, 6, 7]), tmp_path / "fresh", clips_per_part=2)
    assert after == content(fresh)
    assert (after["clips"], after["fingerprint"]) == (before["clips"], before["fingerprint"])
    assert files(folder, data_folder="compacted-1") == files(fresh)
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "compacted-1", "failures.csv", "store.json"]
    compact_store(folder)
    assert content(folder) == after
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "compacted-2", "failures.csv", "store.json"]
    append_clips(manifest_of(media, [8, 9]), folder, settings=SETTINGS, engine=here)
    assert content(folder)["totals"].num_clips == 6
    drop_clips(folder, where="true")
    drop_clips(folder, clip_ids=["clip 7"])
    with pytest.raises(StoreError, match="every clip of it was dropped; remove the folder"):
        compact_store(folder)


def test_compacting_is_interrupted(sounds, tmp_path, monkeypatch):
    folder = build(manifest_of(sounds, range(8)), tmp_path / "store")
    drop_clips(folder, clip_ids=["clip 0", "clip 5"])
    copies = moments(folder, lambda: compact_store(folder, clips_per_part=5), tmp_path, monkeypatch)
    whole = content(folder)
    for copy in copies:
        # the old or the new, at every moment; the list for people is renewed just before
        assert content(copy, but_for=(FAILURES_FILE,))["clips"] == whole["clips"]
        compact_store(copy, clips_per_part=5)
        assert content(copy)["fingerprint"] == whole["fingerprint"]
        assert len(list(copy.glob("**/part-*.npy"))) == 2


# Merging.


def test_a_merged_store_is_that_of_the_joined_manifest(halting, tmp_path):
    manifest, media = halting
    one = build(manifest, tmp_path / "one")
    drop_clips(one, clip_ids=["clip 4"])
    labels = LabelSet.of(["wind", "noise", "n0"])
    second = manifest_of(media, [9, 8], labels=[["wind"], ["n0", "noise"]], fold=[0.5, 1.0], source="second.csv")
    build_store(second, tmp_path / "two", settings=SETTINGS, label_set=labels)
    before = files(one)
    seen = []
    summary = merge_stores([one, tmp_path / "two"], tmp_path / "merged", progress=lambda *p: seen.append(p))
    assert (summary.num_clips, summary.num_stored, summary.num_failed) == (9, 6, 3)
    assert seen == [(3, 9), (6, 9), (9, 9)]
    joined = pa.concat_tables(
        [manifest.table.filter(pc.not_equal(manifest.table["clip_id"], "clip 4")), second.table],
        promote_options="permissive",
    )
    fresh = tmp_path / "fresh"
    label_set = LabelSet.of(["n0", "n1", "n2", "noise", "wind"])
    build_store(Manifest(joined, "joined"), fresh, settings=SETTINGS, label_set=label_set, engine=here)
    assert content(tmp_path / "merged") == content(fresh)
    assert files(tmp_path / "merged") == files(fresh)
    assert files(one) == before
    assert merge_stores([one, tmp_path / "two"], tmp_path / "merged").was_complete
    assert build_store(Manifest(joined, "j"), tmp_path / "merged", settings=SETTINGS, label_set=label_set).was_complete
    drop_clips(one, clip_ids=["clip 5"])
    with pytest.raises(StoreError, match="the merge of these stores as they were before they changed"):
        merge_stores([one, tmp_path / "two"], tmp_path / "merged")


def test_any_other_name_may_be_a_column(sounds, tmp_path):
    names = {"_source": ["a", "b"], "store": [1, 2], "clip_id_count": [3, 4], 'a b\n"c': [None, "x"]}
    for number in (0, 1):
        build(manifest_of(sounds, [2 * number, 2 * number + 1], **names), tmp_path / str(number))
    merge_stores([tmp_path / "0", tmp_path / "1"], tmp_path / "merged")
    compact_store(tmp_path / "merged")
    assert {name: Store.open(tmp_path / "merged").clips[name].to_pylist() for name in names} == {
        name: values * 2 for name, values in names.items()
    }


def test_merging_is_interrupted(sounds, tmp_path, monkeypatch):
    one = build(manifest_of(sounds, range(5)), tmp_path / "one")
    two = build(manifest_of(sounds, range(5, 9)), tmp_path / "two")
    out = tmp_path / "out"
    copies = moments(out, lambda: merge_stores([one, two], out), tmp_path, monkeypatch)
    whole, resumed = content(out), []
    for copy in copies:
        resumed.append(merge_stores([one, two], copy).num_resumed_parts)
        assert content(copy) == whole
    assert resumed == sorted(resumed)


def test_stores_that_cannot_be_merged(sounds, tmp_path):
    one = build(manifest_of(sounds, range(4)), tmp_path / "one")
    two = build(manifest_of(sounds, [3, 4, 5]), tmp_path / "two")
    other = build(manifest_of(sounds, [6]), tmp_path / "other", front_end=FrontEnd(num_bands=40))
    text = build(manifest_of(sounds, [7], fold=["x"]), tmp_path / "text")
    with pytest.raises(StoreError, match=r"1 clips are in more than one store, such as 'clip 3' in .*one and .*two"):
        merge_stores([one, two], tmp_path / "out")
    with pytest.raises(StoreError, match=r"its front end is not that of .*one \(there / here\): num_bands: 64 / 40"):
        merge_stores([one, other], tmp_path / "out")
    with pytest.raises(StoreError, match="the columns of the stores cannot be joined"):
        merge_stores([one, text], tmp_path / "out")
    with pytest.raises(StoreError, match="there is no such folder"):
        merge_stores([one, tmp_path / "none"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    damage(frames_path(one, 0), -1)
    three = build(manifest_of(sounds, [8]), tmp_path / "three")
    with pytest.raises(StoreError, match=r"the frames of clip 'clip 2' are not those that were stored"):
        merge_stores([one, three], tmp_path / "out")
