"""What the doctor says of a corpus as a whole: labels, sides, samples, sources; and of ESC-10, which is real."""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binom

from conftest import MadeSounds
from earwitness.datasets.esc50 import manifest_from_esc50
from earwitness.doctor.findings import KINDS, CorpusReport
from earwitness.doctor.inspect import inspect_manifest, inspect_store
from earwitness.doctor.label_statistics import label_report
from earwitness.doctor.settings import InspectSettings
from earwitness.doctor.sides import leaks_by_name
from earwitness.doctor.tallies import distribution, interval
from earwitness.errors import ManifestError, SettingsError
from earwitness.labels import LabelSet
from earwitness.manifest import read_manifest, write_manifest
from earwitness.report.doctor_summary import summary
from earwitness.report.doctor_words import num_clips_found
from earwitness.store.read import Store
from made_manifests import manifest_of


def test_labels_by_hand() -> None:
    clips = [["dog", "bark"], ["dog", "dog"], [], ["cat"], ["dog"]]
    sides = ["train", "train", "train", "test", None]
    labels = pa.chunked_array([clips[:2], clips[2:]], pa.list_(pa.string()))
    label_set = LabelSet(("dog", "bark", "bird"), ("Dog", "Bark", "Bird"))
    report = label_report(labels, sides, label_set=label_set, min_clips=2)
    assert [(count.label_id, count.name, count.num_clips) for count in report.counts] == [
        ("dog", "Dog", 3),
        ("bark", "Bark", 1),
        ("cat", "cat", 1),
        ("bird", "Bird", 0),
    ]
    assert report.counts[0].prior == pytest.approx(3 / 5)
    assert report.counts[0].num_by_side == {"test": 0, "train": 2}
    assert report.unused == ("bird",)
    assert report.unknown == ("cat",)
    assert report.too_few == ("bark", "cat")
    assert report.missing_on_a_side == {"test": ("dog", "bark"), "train": ("cat",)}
    assert report.num_unlabelled == 1
    assert report.labels_per_clip == pytest.approx(5 / 5)


def test_a_subset_has_holes_where_its_corpus_had_labels(tmp_path: Path) -> None:
    """Labels of clips that were left out are in the dictionary still, in memory and in Parquet."""
    subset = manifest_of([["dog"], ["cat"], ["bird"]]).take(np.array([0, 1]))
    write_manifest(subset, tmp_path / "subset.parquet")
    for manifest in (subset, read_manifest(tmp_path / "subset.parquet")):
        labels = manifest.table["labels"]
        report = label_report(labels, [None] * 2, label_set=LabelSet.of(["dog", "cat", "bird"]), min_clips=1)
        assert report.unused == ("bird",)
        assert [count.num_clips for count in report.counts] == [1, 1, 0]
        assert len(label_report(labels, [None] * 2, label_set=None, min_clips=1).counts) == 2


def test_no_label_at_all() -> None:
    report = label_report(pa.chunked_array([[[], []]], pa.list_(pa.string())), [None] * 2, label_set=None, min_clips=2)
    assert report.counts == report.unused == report.unknown == ()
    assert (report.num_unlabelled, report.labels_per_clip) == (2, 0)


def test_leaks_of_groups_and_media() -> None:
    table = pa.table(
        {
            "media": ["a.wav", "b.wav", "b.wav", "c.wav", "d.wav", "e.wav"],
            "group": ["x", "y", "z", "x", None, ""],
        }
    )
    leaks = leaks_by_name(table, ["1", "1", "2", "2", "1", None])
    assert leaks == {
        0: ("its group 'x' is on '1' here and on '2' elsewhere", (3,)),
        1: ("its medium 'b.wav' is on '1' here and on '2' elsewhere", (2,)),
        2: ("its medium 'b.wav' is on '2' here and on '1' elsewhere", (1,)),
        3: ("its group 'x' is on '2' here and on '1' elsewhere", (0,)),
    }


def test_leaks_of_groups_of_any_kind() -> None:
    media = [f"{number}.wav" for number in range(4)]
    for groups in ([1, 2, 1, 2], [1.5, None, 1.5, 2.0], [["x"], ["y"], ["x"], None]):
        table = pa.table({"media": media, "group": groups})
        assert leaks_by_name(table, ["a", "a", "b", "a"]).keys() == {0, 2}


@pytest.mark.parametrize(("count", "total"), [(0, 50), (1, 50), (25, 50), (49, 50), (50, 50), (3, 1_000)])
def test_interval_by_its_definition(count: int, total: int) -> None:
    """At each end, what was seen or more of it has a chance of 2.5 %."""
    low, high = interval(count, total)
    assert 0 <= low <= count / total <= high <= 1
    if count:
        assert binom.sf(count - 1, total, low) == pytest.approx(0.025)
    if count < total:
        assert binom.cdf(count, total, high) == pytest.approx(0.025)


def test_a_distribution_loses_no_clip() -> None:
    made = distribution("level", np.array([-300.0, -90.0, -12.5, -10.0, 7.0, np.nan]))
    assert sum(made.counts) == 5
    assert made.counts[0] == 2
    assert made.counts[-1] == 1
    assert made.median == -12.5
    assert distribution("length", np.array([np.nan])).median is None


def test_made_corpus(made_sounds: MadeSounds, made_store: Store) -> None:
    """From media and from the store; short tones, clicks and noise are no copies of one another."""
    by_media = inspect_manifest(made_sounds.manifest, settings=InspectSettings(workers=1))
    by_store = inspect_store(made_store)
    for report in (by_media, by_store):
        assert report.duplicates == ()
        assert report.count("split_leak").num_clips == 0
        assert report.split_column == "fold"
        assert {source.source for source in report.sources} == {"1", "2", "3", "4"}
        assert [source.num_clips for source in report.sources] == [8, 8, 8, 8]
        assert report.labels == by_media.labels
        values = json.loads(json.dumps(report.to_json()))
        assert values["schema_version"] == 1
        assert [count["kind"] for count in values["counts"]] == list(KINDS)
    assert by_store.whole.mean == pytest.approx(by_media.whole.mean, abs=1e-5)
    sources = {source.source: source for source in by_media.sources}
    total = sum(source.num_frames * np.array(source.mean) for source in sources.values())
    assert by_media.whole.mean == pytest.approx(total / by_media.whole.num_frames)


def test_columns_that_are_asked_for(made_store: Store) -> None:
    report = inspect_store(made_store, settings=InspectSettings(split_column="group", source_column="clip_id"))
    assert (report.split_column, report.source_column) == ("group", "clip_id")
    assert len(report.sources) == 32
    with pytest.raises(ManifestError, match=r"no column 'side'; the columns are clip_id, "):
        inspect_store(made_store, settings=InspectSettings(split_column="side"))


def test_samples(made_store: Store) -> None:
    whole = inspect_store(made_store)
    halves = [inspect_store(made_store, settings=InspectSettings(sample=16, seed=seed)) for seed in (0, 0, 1)]
    assert [report.num_scanned for report in halves] == [16] * 3
    assert halves[0].is_sample
    assert (halves[0].seed, whole.seed) == (0, None)
    assert halves[0].whole == halves[1].whole != halves[2].whole
    assert halves[0].labels == whole.labels
    count = halves[0].count("very_short")
    assert (count.low, count.high) == interval(count.num_clips, 16)
    assert halves[0].count("duplicate").high is None
    assert halves[0].count("unlabelled").high == 0
    assert not inspect_store(made_store, settings=InspectSettings(sample=99)).is_sample
    with pytest.raises(SettingsError, match=r"seed=-1 must be 0 or more"):
        InspectSettings(sample=5, seed=-1)


def test_what_a_sample_did_not_scan_is_no_share_of_it(made_sounds: MadeSounds) -> None:
    clips = manifest_of([[]] * 40, media=made_sounds.manifest.table["media"].to_pylist()[:1] * 40)
    report = inspect_manifest(clips, settings=InspectSettings(sample=2, workers=1))
    assert report.count("unlabelled").num_clips == 40
    assert num_clips_found(report) <= 2
    words = summary(report)
    assert "Unlabelled: 40 clips, 100 %\n" in words
    assert not re.search(r"\d{4} %", words)


def test_workers_of_a_store_change_nothing(made_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = inspect_store(made_store)
    monkeypatch.setattr("earwitness.doctor.inspect.ALONE_UP_TO_CLIPS", 0)
    monkeypatch.setattr("earwitness.doctor.inspect.CLIPS_PER_TASK", 5)
    spread = inspect_store(made_store, settings=InspectSettings(workers=2))
    assert spread.findings == alone.findings
    assert spread.distributions == alone.distributions
    assert spread.whole.mean == pytest.approx(alone.whole.mean, rel=1e-12)


@pytest.fixture(scope="module")
def esc10(data_dir: Path) -> CorpusReport:
    return inspect_manifest(manifest_from_esc50(data_dir / "esc10"))


def test_esc10_holds_a_leak(esc10: CorpusReport) -> None:
    """The only copies. Of the fires, waveforms correlate by 0.97; of the crying baby, which is on two folds, by 0.54 at
    one lag of 0.649 s. Their names say that they are other recordings.
    """
    ids = [[clip.clip_id.removesuffix(".flac") for clip in group.clips] for group in esc10.duplicates]
    assert ids == [["2-28314-A-12", "2-30322-A-12"], ["3-151080-A-20", "5-151085-A-20"]]
    assert [group.leaks for group in esc10.duplicates] == [False, True]
    assert esc10.duplicates[1].pairs[0].shift_seconds == pytest.approx(0.649, abs=0.03)


def test_esc10_is_otherwise_mostly_whole(esc10: CorpusReport) -> None:
    """Zero-padded clips abound. Of the clips said to be clipped or band-limited, most are."""
    counts = {count.kind: count.num_clips for count in esc10.counts}
    assert counts.pop("mostly_silent") == pytest.approx(49, abs=2)
    assert counts.pop("clipped") <= 10
    assert counts.pop("band_limited") <= 6
    assert {kind: number for kind, number in counts.items() if number} == {"duplicate": 4, "split_leak": 2}
