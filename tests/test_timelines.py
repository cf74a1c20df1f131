"""Timelines against true events: what counts as sounding, and whether it is time that is measured.

By hand, by slow readings of the definitions, and with scikit-learn.
"""

from itertools import permutations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import wavfile
from sklearn.metrics import average_precision_score, roc_auc_score

from earwitness.datasets.events import TrueEvent, read_events
from earwitness.errors import ManifestError, ScoreError
from earwitness.evaluation.timelines import evaluate_within_clips, random_average_precision
from earwitness.experiments.evaluating import evaluate_model
from earwitness.experiments.timelines import TrueTimelines, sounding
from earwitness.inference.probabilities import PatchScorer
from earwitness.labels import LabelSet
from earwitness.manifest import Manifest
from earwitness.models.description import Architecture
from earwitness.models.model_file import Model
from earwitness.store.build import build_store
from earwitness.store.read import Store
from earwitness.store.reading import FrameReader
from earwitness.store.settings import BuildSettings

LABELS = LabelSet.of(["a", "b"])
PATCH_SECONDS = 0.96


def test_half_a_patch_is_enough_and_less_is_not() -> None:
    starts = np.array([0.0, 0.96, 1.92])
    events = [TrueEvent("a", 0.48, 1.43), TrueEvent("unknown", 0.0, 9.0)]
    # 0.48 s of the first patch, 0.47 s of the second
    assert sounding(events, starts, starts + PATCH_SECONDS, LABELS)[:, 0].tolist() == [True, False, False]
    assert not sounding(events, starts, starts + PATCH_SECONDS, LABELS)[:, 1].any()


def test_overlapping_events_count_once() -> None:
    events = [TrueEvent("a", 0.0, 0.3), TrueEvent("a", 0.1, 0.2), TrueEvent("a", 0.0, 0.3)]
    patch = np.array([0.0]), np.array([PATCH_SECONDS])
    assert not sounding(events, *patch, LABELS).any()
    apart = [TrueEvent("a", 0.0, 0.3), TrueEvent("a", 0.7, 0.9)]
    assert sounding(apart, *patch, LABELS)[0, 0]


def test_half_of_what_there_is_of_a_patch_is_enough() -> None:
    """A clip of 0.3 s is one patch, but nothing can sound in it for longer."""
    events = [TrueEvent("a", 0.0, 0.15), TrueEvent("b", 0.16, 0.9)]
    assert sounding(events, np.array([0.0]), np.array([0.3]), LABELS).tolist() == [[True, False]]


times = st.integers(0, 40).map(lambda tenths: tenths / 10)


@given(st.lists(st.tuples(st.sampled_from("ab"), times, times), max_size=8))
def test_against_a_grid_of_hundredths(drawn: list[tuple[str, float, float]]) -> None:
    events = [TrueEvent(label, min(a, b), max(a, b)) for label, a, b in drawn]
    grid = np.zeros((500, 2), dtype=bool)
    for event in events:
        grid[round(event.start_seconds * 100) : round(event.stop_seconds * 100), "ab".index(event.label)] = True
    expected = grid[:400].reshape(4, 100, 2).sum(axis=1) >= 50
    np.testing.assert_array_equal(sounding(events, np.arange(4.0), np.arange(1.0, 5.0), LABELS), expected)


def test_tables_of_events(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("clip_id,label,start_seconds,stop_seconds,who\n7,a,0,1.5,x\n7,b,1,2,y\n08,,,,\n")
    assert read_events(path) == {"7": [TrueEvent("a", 0.0, 1.5), TrueEvent("b", 1.0, 2.0)]}
    table = pa.table({"clip_id": ["x"], "label": ["a"], "start_seconds": [0.5], "stop_seconds": [0.75]})
    pyarrow.parquet.write_table(table, tmp_path / "events.parquet")
    assert [event.row for event in read_events(path)["7"]] == [1, 2]
    assert read_events(tmp_path / "events.parquet") == {"x": [TrueEvent("a", 0.5, 0.75)]}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("clip_id,label,start_seconds\nx,a,1\n", "column 'stop_seconds' is missing"),
        (
            "clip_id,label,start_seconds,stop_seconds\nx,a,0,1\nx,a,2,1\n",
            "row 2: .*start_seconds=2.0, stop_seconds=1.0",
        ),
        ("clip_id,label,start_seconds,stop_seconds\nx,a,-1,1\n", "row 1"),
        ("clip_id,label,start_seconds,stop_seconds\nx,a,,1\n", "row 1: .*start_seconds=None"),
        ("clip_id,label,start_seconds,stop_seconds\nx,a,soon,1\n", "times numbers"),
    ],
)
def test_bad_tables_of_events(tmp_path: Path, rows: str, message: str) -> None:
    path = tmp_path / "events.csv"
    path.write_text(rows)
    with pytest.raises(ManifestError, match=message):
        read_events(path)


def test_within_clips_by_hand() -> None:
    """Clips of 4, 2, 1 and 3 patches."""
    a, b = True, False
    targets = np.array([[a, b], [b, b], [b, b], [a, b], [b, b], [a, b], [a, b], [a, a], [a, a], [a, a]])
    scores = np.array([9, 5, 5, 5, 3, 3, 0, 1, 2, 3], dtype=float)
    found = evaluate_within_clips(np.column_stack([scores, scores]), targets, np.array([4, 2, 1, 3]), label_set=LABELS)
    first, second = found.labels
    # first clip: one positive wins both pairs, the other ties both: (2 + 2 / 2) / 4; second clip: a tie
    assert first.auc == pytest.approx((0.75 + 0.5) / 2)
    # first clip: precision 1 at 9, 2 of 4 at 5; second clip: 1 of 2
    assert first.average_precision == pytest.approx(((1 + 2 / 4) / 2 + 1 / 2) / 2)
    # one of two in random order: precision 1 or 1/2; two of four: the six places they can have
    in_four = np.mean([(1 + 1) / 2, (1 + 2 / 3) / 2, (1 + 2 / 4) / 2, (1 / 2 + 2 / 3) / 2, 0.5, (1 / 3 + 2 / 4) / 2])
    assert first.chance_average_precision == pytest.approx((in_four + 0.75) / 2)
    assert first.num_clips == found.num_clips == 2
    assert not second.is_defined
    assert second.num_clips == 0
    assert np.isnan([second.auc, second.average_precision, second.chance_average_precision]).all()
    assert found.num_undefined_labels == 1
    assert (found.mean_auc, found.mean_average_precision) == (first.auc, first.average_precision)
    assert found.to_dict()["labels"][1]["auc"] is None


def made_patches(seed: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], npt.NDArray[np.int64], LabelSet]:
    """Scores with many ties, truth, and the patches of each of 30 clips; the last label never sounds."""
    rng = np.random.default_rng(seed)
    patches_per_clip = rng.integers(1, 9, size=30)
    scores = rng.integers(0, 6, size=(patches_per_clip.sum(), 5)).astype(float)
    targets = rng.random(scores.shape) < (0.5, 0.3, 0.1, 0.9, 0.0)
    return scores, targets, patches_per_clip, LabelSet.of("abcde")


@pytest.mark.parametrize("seed", range(5))
def test_within_clips_as_scikit_learn_has_it(seed: int) -> None:
    scores, targets, patches_per_clip, label_set = made_patches(seed)
    found = evaluate_within_clips(scores, targets, patches_per_clip, label_set=label_set)
    borders = np.cumsum(patches_per_clip)[:-1]
    for label, result in enumerate(found.labels):
        clips = [
            (target, score)
            for target, score in zip(
                np.split(targets[:, label], borders), np.split(scores[:, label], borders), strict=True
            )
            if len(set(target)) == 2
        ]
        assert result.num_clips == len(clips)
        if clips:
            assert result.auc == pytest.approx(np.mean([roc_auc_score(*clip) for clip in clips]))
            assert result.average_precision == pytest.approx(
                np.mean([average_precision_score(*clip) for clip in clips])
            )
    assert found.num_undefined_labels == 1
    assert found.mean_auc == pytest.approx(np.mean([label.auc for label in found.labels[:4]]))


def test_only_time_counts_within_clips() -> None:
    """What tells clips apart, be it as good as the truth, is worth nothing; the truth in time is worth everything."""
    scores, targets, patches_per_clip, label_set = made_patches(0)
    clips = np.repeat(np.arange(30), patches_per_clip)

    def mean_auc(scores: npt.NDArray[np.float64]) -> float:
        return evaluate_within_clips(scores, targets, patches_per_clip, label_set=label_set).mean_auc

    truth_of_clips = np.array([targets[clips == clip].any(axis=0) for clip in range(30)], dtype=float)
    assert mean_auc(truth_of_clips[clips]) == 0.5
    assert mean_auc(np.random.default_rng(0).random((30, 5))[clips]) == 0.5
    perfect = evaluate_within_clips(targets.astype(float), targets, patches_per_clip, label_set=label_set)
    assert (perfect.mean_auc, perfect.mean_average_precision) == (1.0, 1.0)
    assert mean_auc(scores + 100 * clips[:, None]) == mean_auc(scores), "clips are not compared with one another"


@pytest.mark.parametrize(("num_positives", "num_patches"), [(1, 2), (1, 6), (2, 5), (4, 6), (5, 6)])
def test_chance_is_the_mean_of_all_orders(num_positives: int, num_patches: int) -> None:
    targets = np.arange(num_patches) < num_positives
    orders = [average_precision_score(targets, order) for order in permutations(range(num_patches))]
    assert random_average_precision(np.array([num_positives]), num_patches) == pytest.approx([np.mean(orders)])


def test_within_clips_refuses_what_does_not_fit() -> None:
    scores, targets, patches_per_clip, label_set = made_patches(0)
    for tables in ((scores[1:], targets), (scores[:, 1:], targets[:, 1:]), (scores[1:], targets[1:])):
        with pytest.raises(ScoreError, match=r"must be \[.* patches of these clips, 5 labels\]"):
            evaluate_within_clips(*tables, patches_per_clip, label_set=label_set)


@pytest.fixture(scope="module")
def events_csv(made_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each label of a clip of the made store sounds in its first 1.5 s, in all clips but two."""
    path = tmp_path_factory.mktemp("events") / "events.csv"
    rows = ["clip_id,label,start_seconds,stop_seconds"]
    for clip in made_store.clips.to_pylist()[:-2]:
        rows += [f"{clip['clip_id']},{label},0,1.5" for label in clip["labels"]]
    path.write_text("\n".join([*rows, "clip-00,horse,0,1"]) + "\n")
    return path


def untrained(store: Store) -> Model:
    architecture = Architecture(name="fully_connected", arguments={"num_labels": 3, "width": 0.02})
    torch.manual_seed(0)
    return Model(
        network=architecture.build(),
        architecture=architecture,
        label_set=store.label_set,
        front_end=store.front_end,
    )


def test_evaluation_against_a_slow_reading(made_store: Store, events_csv: Path) -> None:
    """Patch by patch, clip by clip, with scikit-learn's measure; the first patch of 0.96 s sounds, the second half."""
    model = untrained(made_store)
    done: list[int] = []
    outcome = evaluate_model(
        model,
        made_store,
        events_path=events_csv,
        where="fold != 2",
        device="cpu",
        on_patches=lambda number, _: done.append(number),
    )
    found = outcome.timeline
    assert found is not None
    scores, targets, loudness, clips = [], [], [], []
    with FrameReader(made_store) as reader, torch.inference_mode():
        for clip, row in enumerate(made_store.clips.to_pylist()):
            if row["fold"] == 2:
                continue
            frames = torch.from_numpy(reader.read_clip(clip).astype(np.float32))
            for patch in range(len(frames) // 96):
                patch_frames = frames[patch * 96 : patch * 96 + 96]
                scores.append(torch.sigmoid(model.network(patch_frames[None]))[0].numpy())
                loudness.append([patch_frames.mean()] * 3)
                # 1.5 s end 0.54 s into the second patch: more than half of 0.96 s
                has_sound = patch < 2 and clip < made_store.num_clips - 2
                targets.append([has_sound and label in row["labels"] for label in made_store.label_set.ids])
                clips.append(clip)
    true, of_clip = np.array(targets), np.array(clips)
    timeless = [np.array(scores)[of_clip == clip].mean(axis=0) for clip in clips]
    for evaluation, table in ((found.over_patches, scores), (found.over_patches_without_time, timeless)):
        expected = [average_precision_score(true[:, i], np.array(table)[:, i]) for i in range(3)]
        assert [label.average_precision for label in evaluation.labels] == pytest.approx(expected, abs=1e-6)
        assert evaluation.num_clips == found.num_patches == len(scores)
    assert done[-1] == len(scores), "every patch is scored once"
    patches_per_clip = np.unique(clips, return_counts=True)[1]
    for within, table in ((found.within_clips, scores), (found.loudness_within_clips, loudness)):
        slow = evaluate_within_clips(np.array(table), true, patches_per_clip, label_set=made_store.label_set)
        assert within.mean_auc == pytest.approx(slow.mean_auc)
        assert 0 < within.num_clips == slow.num_clips
    assert found.num_clips == 24
    assert found.unknown_labels == ("horse",)
    assert found.num_overrunning_events == 0
    assert f"{events_csv}: events of labels that the model does not know were left out: horse." in outcome.notes
    priors = [label.prior for label in found.over_patches.labels]
    assert found.over_patches.chance.mean_average_precision == pytest.approx(np.mean(priors))
    assert priors == pytest.approx(np.mean(targets, axis=0))
    values = found.to_dict()
    assert values["num_patches"] == values["over_patches"]["num_patches"] == len(scores)
    assert values["num_clips"] == 24
    assert "num_clips" not in values["over_patches"]


HEADER = "clip_id,label,start_seconds,stop_seconds\n"


def test_events_that_do_not_fit_are_refused_before_any_scoring(
    made_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def score(*_: object) -> None:
        pytest.fail("a patch was scored")

    monkeypatch.setattr(PatchScorer, "__call__", score)
    path = tmp_path / "events.csv"
    for rows, error, message in (
        ("other,tone,0,1\n", ScoreError, "has no event in any of the 32 clips; are its clip_ids the store's"),
        (
            "clip-00,tone,0,1\nclip-01,click,7.5,8\n",
            ManifestError,
            r"row 2: 'click' begins 7\.5 s into clip 'clip-01', which is \d\.\d\d s long; .*media's\?",
        ),
        ("clip-00,tone,1,0\n", ManifestError, "row 1: an event needs"),
    ):
        path.write_text(HEADER + rows)
        with pytest.raises(error, match=message):
            evaluate_model(untrained(made_store), made_store, events_path=path, device="cpu")


def test_events_beyond_the_end_and_clips_shorter_than_a_patch(tmp_path: Path) -> None:
    rows = []
    for name, num_samples in (("short", 4_800), ("long", 32_000)):  # 0.3 s, 2 s
        wavfile.write(tmp_path / f"{name}.wav", 16_000, np.full(num_samples, 99, dtype=np.int16))
        rows.append({"clip_id": name, "media": str(tmp_path / f"{name}.wav"), "labels": ["a", "b"]})
    manifest = Manifest.from_table(pa.Table.from_pylist(rows))
    build_store(manifest, tmp_path / "store", settings=BuildSettings(workers=1))
    store = Store.open(tmp_path / "store")
    path = tmp_path / "events.csv"
    path.write_text(HEADER + "short,a,0,0.16\nshort,b,0.2,0.39\nlong,a,1.2,7\nlong,b,2.05,2.1\n")
    truth = TrueTimelines.read(path, store, store.select(None), store.front_end)
    assert truth.num_overrunning_events == 1, "a tenth of a second is let pass"
    assert truth.notes == (f"{path}: events that go on after the end of their clip were cut there: 1.",)
    scores = np.array([[0.1, 0.1], [0.1, 0.1], [0.7, 0.1]], dtype=np.float32)
    truth.push(np.zeros((2, 96, 64), dtype=np.float16), scores[:2])
    truth.push(np.ones((1, 96, 64), dtype=np.float16), scores[2:])
    found = truth.judge(np.array([[0.1, 0.1], [0.4, 0.1]], dtype=np.float32))
    assert [label.num_positives for label in found.over_patches.labels] == [2, 0]
    # a sounds in the short clip's patch, and in the second of the long one
    assert [label.num_clips for label in found.within_clips.labels] == [1, 0]
    assert found.within_clips.mean_auc == found.loudness_within_clips.mean_auc == 1.0
    assert found.over_patches.mean_auc == 0.75
    assert found.over_patches_without_time.mean_auc == 0.25
