"""Timelines against true events: what counts as sounding, by hand and by a slow reading of the definition."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from earwitness.datasets.events import TrueEvent, read_events
from earwitness.errors import ManifestError, ScoreError
from earwitness.experiments.timelines import evaluate_timelines, sounding
from earwitness.front_end import FrontEnd
from earwitness.labels import LabelSet
from earwitness.models.model_file import Architecture, Model
from earwitness.store.read import Store
from earwitness.store.reading import FrameReader

LABELS = LabelSet.of(["a", "b"])
FRONT_END = FrontEnd()  # patches of 0.96 s


def test_half_a_patch_is_enough_and_less_is_not() -> None:
    starts = np.array([0.0, 0.96, 1.92])
    events = [TrueEvent("a", 0.48, 1.43), TrueEvent("unknown", 0.0, 9.0)]
    # 0.48 s of the first patch, 0.47 s of the second
    assert sounding(events, starts, FRONT_END, LABELS)[:, 0].tolist() == [True, False, False]
    assert not sounding(events, starts, FRONT_END, LABELS)[:, 1].any()


def test_overlapping_events_count_once() -> None:
    events = [TrueEvent("a", 0.0, 0.3), TrueEvent("a", 0.1, 0.2), TrueEvent("a", 0.0, 0.3)]
    assert not sounding(events, np.array([0.0]), FRONT_END, LABELS).any()
    apart = [TrueEvent("a", 0.0, 0.3), TrueEvent("a", 0.7, 0.9)]
    assert sounding(apart, np.array([0.0]), FRONT_END, LABELS)[0, 0]


times = st.integers(0, 40).map(lambda tenths: tenths / 10)


@given(st.lists(st.tuples(st.sampled_from("ab"), times, times), max_size=8))
def test_against_a_grid_of_hundredths(drawn: list[tuple[str, float, float]]) -> None:
    events = [TrueEvent(label, min(a, b), max(a, b)) for label, a, b in drawn]
    front_end = FrontEnd(patch_frames=100, patch_hop_frames=100)
    grid = np.zeros((500, 2), dtype=bool)
    for event in events:
        grid[round(event.start_seconds * 100) : round(event.stop_seconds * 100), "ab".index(event.label)] = True
    expected = grid[:400].reshape(4, 100, 2).sum(axis=1) >= 50
    np.testing.assert_array_equal(sounding(events, np.arange(4.0), front_end, LABELS), expected)


def test_tables_of_events(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("clip_id,label,start_seconds,stop_seconds,who\n7,a,0,1.5,x\n7,b,1,2,y\n08,,,,\n")
    assert read_events(path) == {"7": [TrueEvent("a", 0.0, 1.5), TrueEvent("b", 1.0, 2.0)]}
    table = pa.table({"clip_id": ["x"], "label": ["a"], "start_seconds": [0.5], "stop_seconds": [0.75]})
    pyarrow.parquet.write_table(table, tmp_path / "events.parquet")
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


@pytest.fixture(scope="module")
def events_csv(made_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each label of a clip of the made store sounds in its first 1.5 s, in all clips but two."""
    path = tmp_path_factory.mktemp("events") / "events.csv"
    rows = ["clip_id,label,start_seconds,stop_seconds"]
    for clip in made_store.clips.to_pylist()[:-2]:
        rows += [f"{clip['clip_id']},{label},0,1.5" for label in clip["labels"]]
    path.write_text("\n".join([*rows, "clip-00,horse,0,1"]) + "\n")
    return path


def test_evaluation_against_a_slow_reading(made_store: Store, events_csv: Path) -> None:
    """Patch by patch, clip by clip, with scikit-learn's measure; the first patch of 0.96 s sounds, the second half."""
    architecture = Architecture(name="fully_connected", arguments={"num_labels": 3, "width": 0.02})
    torch.manual_seed(0)
    network = architecture.build()
    model = Model(
        network=network,
        architecture=architecture,
        label_set=made_store.label_set,
        front_end=made_store.front_end,
    )
    outcome = evaluate_timelines(model, made_store, events_path=events_csv, where="fold != 2", device="cpu")
    scores, targets = [], []
    with FrameReader(made_store) as reader, torch.inference_mode():
        for clip, row in enumerate(made_store.clips.to_pylist()):
            if row["fold"] == 2:
                continue
            frames = torch.from_numpy(reader.read_clip(clip).astype(np.float32))
            for patch in range(len(frames) // 96):
                scores.append(torch.sigmoid(network(frames[None, patch * 96 : patch * 96 + 96]))[0].numpy())
                # 1.5 s end 0.54 s into the second patch: more than half of 0.96 s
                has_sound = patch < 2 and clip < made_store.num_clips - 2
                targets.append([has_sound and label in row["labels"] for label in made_store.label_set.ids])
    expected = [average_precision_score(np.array(targets)[:, i], np.array(scores)[:, i]) for i in range(3)]
    assert [label.average_precision for label in outcome.patches.labels] == pytest.approx(expected, abs=1e-6)
    assert outcome.patches.num_clips == len(scores)
    assert outcome.num_clips == 24
    assert outcome.unknown_labels == ("horse",)
    priors = [label.prior for label in outcome.patches.labels]
    assert outcome.patches.chance.mean_average_precision == pytest.approx(np.mean(priors))
    assert priors == pytest.approx(np.mean(targets, axis=0))


def test_events_of_other_clips_are_refused(made_store: Store, tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("clip_id,label,start_seconds,stop_seconds\nother,tone,0,1\n")
    architecture = Architecture(name="fully_connected", arguments={"num_labels": 3, "width": 0.02})
    model = Model(
        network=architecture.build(),
        architecture=architecture,
        label_set=made_store.label_set,
        front_end=made_store.front_end,
    )
    with pytest.raises(ScoreError, match="has no event in any of the 32 clips; are its clip_ids the store's"):
        evaluate_timelines(model, made_store, events_path=tmp_path / "events.csv", device="cpu")
