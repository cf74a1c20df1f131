"""Reports and pictures: what is written, with what numbers, for few and many labels, short and long files."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.image import imread

from earwitness.errors import RunError, ScoreError, SettingsError
from earwitness.evaluation.positives import Positives
from earwitness.evaluation.score_source import ArrayScores
from earwitness.evaluation.summary import Evaluation, evaluate
from earwitness.evaluation.timelines import TimelineEvaluation, evaluate_within_clips
from earwitness.front_end import FrontEnd
from earwitness.labels import LabelSet
from earwitness.report.curves import plot_learning_curves
from earwitness.report.evaluation_facts import EvaluationFacts, Evidence, ModelFacts
from earwitness.report.evaluation_report import write_evaluation_report
from earwitness.report.evaluation_tables import headline_table
from earwitness.report.label_ends import LEAST_POSITIVES
from earwitness.report.pooled_columns import ScoreCurves, SpectrogramPicture
from earwitness.report.timeline_plot import TrueEvent, _choose_rows, _clock, _hz_to_band, plot_timeline
from earwitness.report.timeline_recorder import TimelineRecorder
from earwitness.report.timeline_table import timeline_lines


def assert_drawn(path: Path) -> None:
    """It is a picture, and neither empty nor of one colour."""
    pixels = imread(path)
    assert min(pixels.shape[:2]) > 200
    assert len(np.unique(pixels.reshape(-1, pixels.shape[2])[:, :3], axis=0)) > 20


def scored(clips: int, labels: int, strength: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], LabelSet]:
    rng = np.random.default_rng(labels)
    targets = np.eye(labels, dtype=bool)[np.arange(clips) % labels]
    label_set = LabelSet(tuple(f"/m/{i}" for i in range(labels)), tuple(f"label $_{i}^ | 犬" for i in range(labels)))
    return rng.normal(size=(clips, labels)) + strength * targets, targets, label_set


def evaluated(clips: int, labels: int, strength: float) -> Evaluation:
    scores, targets, label_set = scored(clips, labels, strength)
    return evaluate(scores, targets, label_set=label_set)


def write(
    folder: Path,
    *,
    scores: npt.NDArray[Any] | None = None,
    targets: npt.NDArray[np.bool_] | None = None,
    title: str = "t",
    **facts: Any,
) -> list[Path]:
    """Write a report, with the scores it is of where they are given."""
    evidence = None
    if scores is not None and targets is not None:
        evidence = Evidence(scores=ArrayScores(scores), positives=Positives.from_dense(targets))
    return write_evaluation_report(folder, EvaluationFacts(title=title, **facts), evidence=evidence)


def test_report_of_clips_with_one_label(tmp_path: Path) -> None:
    scores, targets, label_set = scored(80, 10, 2.5)
    evaluation = evaluate(scores, targets, label_set=label_set)
    baseline = evaluated(80, 10, 1.0)
    before = dict(matplotlib.rcParams)
    files = write(
        tmp_path / "new" / "report",
        evaluation=evaluation,
        baseline=baseline,
        title="net $on$ |store|",
        details={"store": tmp_path, "where": None},
        scores=scores,
        targets=targets,
    )
    assert dict(matplotlib.rcParams) == before
    assert sorted(path.name for path in files) == [
        "average_precision.png",
        "confusion.png",
        "dprime_by_prior.png",
        "evaluation.json",
        "per_label.csv",
        "report.html",
        "summary.md",
    ]
    for path in files:
        if path.suffix == ".png":
            assert_drawn(path)
    facts = json.loads((tmp_path / "new" / "report" / "evaluation.json").read_text())
    assert facts["evaluation"] == evaluation.to_dict()
    assert facts["baseline"] == baseline.to_dict()
    assert facts["details"] == {"store": str(tmp_path), "where": None}
    with (tmp_path / "new" / "report" / "per_label.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["auc"]) for row in rows] == [label.auc for label in evaluation.labels]
    assert [row["name"] for row in rows] == list(label_set.names)
    assert files[0].name == "report.html"
    assert files[1].name == "summary.md"
    summary = files[1].read_text(encoding="utf-8")
    assert headline_table(evaluation, baseline) in summary
    assert "label $_3^ \\| 犬" in summary
    assert "## Most confused" in summary
    assert "![confusion](confusion.png)" in summary


def test_hostile_names(tmp_path: Path) -> None:
    """Names are text: no HTML in Markdown, whole rows in CSV; what is no character stops no picture."""
    names = ("<img src=x onerror=alert(1)>", 'a,b\n"q"|c', "caf\udce9")
    scores, targets = np.random.default_rng(0).random((40, 3)), np.eye(3, dtype=bool)[np.arange(40) % 3]
    evaluation = evaluate(scores, targets, label_set=LabelSet(names, names))
    model = ModelFacts(path="m", network="n", num_weights=1, front_end=FrontEnd(), provenance={})
    facts = {"title": "<b>\udce9", "notes": ("<b>",), "model": model}
    write(tmp_path, evaluation=evaluation, scores=scores, targets=targets, **facts)
    for name in ("summary.md", "model_card.md"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert not re.search(r"(?<!\\)<", text)
        assert r"\<img src=x onerror=alert(1)>" in text
    with (tmp_path / "per_label.csv").open(encoding="utf-8", newline="") as file:
        assert [row["name"] for row in csv.DictReader(file)] == [*names[:2], "caf?"]
    assert json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))["title"] == "<b>?"


def test_one_clip_and_one_label(tmp_path: Path) -> None:
    scores, targets = np.full((1, 1), 0.5), np.ones((1, 1), dtype=bool)
    evaluation = evaluate(scores, targets, label_set=LabelSet.of(["a"]), resamples=2)
    write(tmp_path, evaluation=evaluation, scores=scores, targets=targets)
    basis = "1 clip, 1 label; 1 of them left out of the means, having no positive or no negative clip."
    assert basis in headline_table(evaluation, None)


def test_report_of_many_labels_some_undefined(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    targets = rng.random((400, 90)) < rng.uniform(0.001, 0.2, 90)
    targets[:, :2] = False
    label_set = LabelSet.of(f"label {i}" for i in range(90))
    evaluation = evaluate(rng.normal(size=(400, 90)) + targets, targets, label_set=label_set)
    baseline = evaluate(rng.normal(size=(400, 90)), targets, label_set=label_set)
    files = write(tmp_path, evaluation=evaluation, baseline=baseline, title="many")
    assert not (tmp_path / "confusion.png").exists()
    for path in files:
        if path.suffix == ".png":
            assert_drawn(path)
    summary = (tmp_path / "summary.md").read_text(encoding="utf-8")
    frequent = (x for x in evaluation.labels if x.is_defined and x.num_positives >= LEAST_POSITIVES)
    defined = sorted(frequent, key=lambda x: -x.average_precision)
    assert "Labels of fewer than 10 clips are left out of these two tables." in summary
    best, worst = summary.split("## Best labels")[1].split("## Worst labels, worst first")
    assert defined[0].name in best
    assert defined[-1].name in worst
    assert f"{evaluation.num_undefined_labels} of them left out of the means" in summary
    with (tmp_path / "per_label.csv").open(encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file)) == {
            "index": "0",
            "id": "label 0",
            "name": "label 0",
            "num_positives": "0",
            "prior": "0.0",
            "auc": "",
            "dprime": "",
            "average_precision": "",
            **dict.fromkeys(("auc_low", "auc_high", "average_precision_low", "average_precision_high"), ""),
            "threshold": "0.5",
            "precision": "0.0",
            "recall": "",
            "f1": "",
            "calibration_error": "",
        }


def in_time(label_set: LabelSet) -> TimelineEvaluation:
    """Two clips of two patches; the first label sounds in the second half of the first."""
    targets = np.zeros((4, len(label_set)), dtype=bool)
    targets[1, 0] = True
    scores = np.linspace(0.0, 1.0, targets.size).reshape(targets.shape)
    patches_per_clip = np.array([2, 2])
    return TimelineEvaluation(
        num_patches=4,
        num_clips=2,
        within_clips=evaluate_within_clips(scores, targets, patches_per_clip, label_set=label_set),
        loudness_within_clips=evaluate_within_clips(1 - scores, targets, patches_per_clip, label_set=label_set),
        over_patches=evaluate(scores, targets, label_set=label_set),
        over_patches_without_time=evaluate(np.zeros_like(scores), targets, label_set=label_set),
    )


def test_report_with_a_timeline(tmp_path: Path) -> None:
    scores, targets, label_set = scored(20, 4, 1.0)
    evaluation, timeline = evaluate(scores, targets, label_set=label_set), in_time(label_set)
    write(tmp_path, evaluation=evaluation, timeline=timeline)
    assert json.loads((tmp_path / "evaluation.json").read_text())["timeline"] == timeline.to_dict()
    with (tmp_path / "per_label.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["within_clips_auc"] for row in rows] == ["1.0", "", "", ""]
    assert [row["within_clips_num_clips"] for row in rows] == ["1", "0", "0", "0"]
    summary = (tmp_path / "summary.md").read_text(encoding="utf-8")
    lines = summary.split("## When")[1].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert cells[0] == ["timeline", "model", "loudness", "without time", "chance"]
    assert cells[2:5] == [
        ["AUC within clips", "1.0000", "0.0000", "0.5000", "0.5000"],
        ["AP within clips", "1.0000", "0.5000", "–", "0.7500"],
        ["mAP over all patches", "0.3333", "–", "0.2500", "0.2500"],
    ]
    assert "4 patches of 2 clips, in 1 of which a label sounds part of the time; 4 labels; 3 of them" in summary
    assert timeline_lines(timeline).splitlines() == [
        "Timeline, within clips: AUC 1.000 (chance 0.5, loudness 0.000), "
        "average precision 1.000 (chance 0.750, loudness 0.500)",
        "Timeline, over all patches: mAP 0.333 (chance 0.250, clip scores without time 0.250)",
    ]
    with pytest.raises(ScoreError, match="timeline was evaluated on other labels"):
        write(
            tmp_path,
            evaluation=evaluation,
            timeline=in_time(LabelSet.of("abcd")),
        )


def test_report_without_any_defined_label(tmp_path: Path) -> None:
    evaluation = evaluate(np.ones((2, 3)), np.zeros((2, 3), dtype=bool), label_set=LabelSet.of("abc"))
    files = write(tmp_path, evaluation=evaluation, title="nothing")
    assert all(path.exists() for path in files)
    assert "undefined" in headline_table(evaluation, None)


def test_perfect_scores_confuse_nothing(tmp_path: Path) -> None:
    _, targets, label_set = scored(20, 4, 1.0)
    scores = targets.astype(np.float32)
    evaluation = evaluate(scores, targets, label_set=label_set)
    write(tmp_path, evaluation=evaluation, scores=scores, targets=targets)
    assert "No clip was given another label" in (tmp_path / "summary.md").read_text(encoding="utf-8")


def test_comparison_table_shows_all_three() -> None:
    evaluation, baseline = evaluated(80, 10, 2.5), evaluated(80, 10, 1.0)
    lines = headline_table(evaluation, baseline).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:7]]
    assert cells[0] == ["metric", "model", "baseline", "chance"]
    assert cells[5] == [
        "mAP",
        f"{evaluation.mean_average_precision:.4f}",
        f"{baseline.mean_average_precision:.4f}",
        "0.1000",
    ]
    assert cells[6] == ["accuracy", f"{evaluation.accuracy:.4f}", f"{baseline.accuracy:.4f}", "0.1000"]
    assert len({len(line) for line in lines[:7]}) == 1  # aligned
    assert lines[-1] == "80 clips, 10 labels."
    assert "baseline" not in headline_table(evaluation, None)


def test_report_refuses_what_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ScoreError, match="other labels"):
        write(tmp_path, evaluation=evaluated(20, 4, 1), baseline=evaluated(20, 5, 1))
    (tmp_path / "file").write_text("")
    with pytest.raises(ScoreError, match="the report cannot be written"):
        write(tmp_path / "file", evaluation=evaluated(20, 4, 1))


@pytest.mark.parametrize("num_rows", [0, 1, 15, 16, 17, 40, 333, 1000])
@pytest.mark.parametrize("block", [1, 7, 1000])
def test_pooled_columns_equal_pooling_in_one_piece(num_rows: int, block: int) -> None:
    rows = np.random.default_rng(num_rows).normal(size=(num_rows, 3)).astype(np.float16)
    picture, curves = SpectrogramPicture(max_columns=16), ScoreCurves(max_columns=16)
    for start in range(0, num_rows, block):
        picture.push(rows[start : start + block])
        curves.push(rows[start : start + block])
    assert picture.num_rows == curves.num_rows == num_rows
    width = 1
    while width * 16 < num_rows:
        width *= 2
    starts = list(range(0, num_rows, width))
    assert picture.rows_per_column == curves.rows_per_column == width
    assert picture.first_rows.tolist() == starts
    pieces = [rows[start : start + width].astype(np.float64) for start in starts]
    if pieces:
        np.testing.assert_allclose(picture.columns, [p.mean(axis=0) for p in pieces], rtol=0, atol=1e-12)
        np.testing.assert_array_equal(curves.columns, [p.max(axis=0) for p in pieces])
    else:
        assert picture.columns.size == curves.columns.size == 0


def test_pooled_columns_need_an_even_number() -> None:
    with pytest.raises(ValueError, match="max_columns=7"):
        SpectrogramPicture(max_columns=7)


@pytest.mark.parametrize(("num_frames", "hop"), [(50, 96), (498, 48), (60_000, 96)])
def test_timelines_of_short_and_long_files(tmp_path: Path, num_frames: int, hop: int) -> None:
    front_end = FrontEnd(patch_hop_frames=hop)
    rng = np.random.default_rng(num_frames)
    patches = max(1, front_end.frames_to_patches(num_frames))
    plot_timeline(
        tmp_path / "film.png",
        frames=rng.normal(-3, 1, (num_frames, 64)).astype(np.float16),
        front_end=front_end,
        times_seconds=600.0 + np.arange(patches) * front_end.patch_hop_seconds,
        scores=rng.random((patches, 30)) ** 4,
        names=[f"label $_{i}^" for i in range(29)] + ["犬の声"],
        title="film $1.mp4",
        start_seconds=600.0,
    )
    assert_drawn(tmp_path / "film.png")


def test_a_streamed_timeline_is_the_same_picture(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames, scores = rng.normal(size=(3000, 64)).astype(np.float16), rng.random((31, 5)).astype(np.float32)
    picture, curves = SpectrogramPicture(), ScoreCurves()
    for start in range(0, 3000, 700):
        picture.push(frames[start : start + 700])
    for start in range(0, 31, 4):
        curves.push(scores[start : start + 4])
    common = {
        "front_end": FrontEnd(),
        "times_seconds": np.arange(31) * 0.96,
        "names": list("abcde"),
        "title": "film.mp4",
    }
    plot_timeline(tmp_path / "whole.png", frames=frames, scores=scores, **common)
    plot_timeline(tmp_path / "streamed.png", frames=picture, scores=curves, **common)
    np.testing.assert_array_equal(imread(tmp_path / "whole.png"), imread(tmp_path / "streamed.png"))


def test_recorder_draws_a_range_on_the_clock_of_the_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames, scores = rng.normal(size=(300, 64)).astype(np.float16), rng.random((3, 2)).astype(np.float32)
    starts = 60.0 + np.arange(3) * 0.96
    recorder = TimelineRecorder()
    recorder.push_frames(frames)
    recorder.push_scores(starts[:0], scores[:0])
    recorder.push_scores(starts[:2], scores[:2])
    recorder.push_scores(starts[2:], scores[2:])
    common = {"front_end": FrontEnd(), "names": ["a", "b"], "title": "film.mp4"}
    recorder.draw(tmp_path / "recorded.png", **common)
    plot_timeline(
        tmp_path / "given.png",
        frames=frames,
        times_seconds=starts,
        scores=scores,
        start_seconds=60.0,
        **common,
    )
    np.testing.assert_array_equal(imread(tmp_path / "recorded.png"), imread(tmp_path / "given.png"))


def find_colour(pixels: npt.NDArray[np.float32], colour: str) -> npt.NDArray[np.bool_]:
    """Bool [height, width]: where a picture has a colour."""
    wanted = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return np.asarray(np.abs(pixels[..., :3] - wanted).max(axis=2) < 0.02)


@pytest.mark.parametrize(
    ("name", "is_dark"),
    [("bell", False), ("a name as long as to move the left edge", True), ("not a label of the model", False)],
)
def test_the_time_axis_says_when_true_events_are_drawn(tmp_path: Path, name: str, is_dark: bool) -> None:
    front_end = FrontEnd()
    axis = plot_timeline(
        tmp_path / "film.png",
        frames=np.zeros((4800, 64), dtype=np.float16),
        front_end=front_end,
        times_seconds=100.0 + np.arange(50) * 0.96,
        start_seconds=100.0,
        scores=np.full((50, 2), 0.001),
        names=["bell", "a name as long as to move the left edge"],
        title="film.mp4",
        true_events=[TrueEvent(label_name=name, start_seconds=110.0, stop_seconds=130.0)],
        is_dark=is_dark,
    )
    pixels = imread(tmp_path / "film.png")
    height, width = pixels.shape[:2]
    assert (axis.start_seconds, axis.stop_seconds) == (100.0, pytest.approx(148.0))
    assert 0.0 < axis.top < axis.bottom < 1.0
    is_event = find_colour(pixels, "#E69F00" if is_dark else "#D55E00")
    bar = is_event[is_event.sum(axis=1) > width / 10]
    assert len(bar) > 2
    left, right = np.flatnonzero(bar[0])[[0, -1]] + (0, 1)
    shares = (np.array([left, right]) / width - axis.left) / (axis.right - axis.left)
    seconds = axis.start_seconds + shares * (axis.stop_seconds - axis.start_seconds)
    seconds_per_pixel = 48 / (axis.right - axis.left) / width
    np.testing.assert_allclose(seconds, [110.0, 130.0], rtol=0, atol=2 * seconds_per_pixel)
    bottom = np.flatnonzero(is_event.sum(axis=1) > width / 10)[-1] / height
    assert axis.top < bottom <= axis.bottom
    spectrogram_row = pixels[round(height * axis.top) + 8, :, :3]  # all of one colour, unlike the paper beside it
    is_inside = np.abs(spectrogram_row - spectrogram_row[width // 2]).max(axis=1) < 0.01
    assert np.flatnonzero(is_inside)[0] == pytest.approx(axis.left * width, abs=3)


def test_labels_that_truly_sound_have_rows_before_others() -> None:
    heights = np.array([[0.9, 0.8, 0.1, 0.7, 0.2]], dtype=np.float32)
    events = [
        TrueEvent(label_name=n, start_seconds=t, stop_seconds=t + 1.0) for t, n in enumerate(["c", "x", "e", "c"])
    ]

    def chosen(top: int) -> list[tuple[str, int]]:
        return [(row.name, len(row.events)) for row in _choose_rows(heights, list("abcde"), events, top=top)]

    assert chosen(2) == [("e", 1), ("c", 2)]
    assert chosen(3) == [("e", 1), ("c", 2), ("x", 1)]
    assert chosen(5) == [("a", 0), ("b", 0), ("e", 1), ("c", 2), ("x", 1)]
    assert chosen(16) == [("a", 0), ("b", 0), ("d", 0), ("e", 1), ("c", 2), ("x", 1)]


def test_dark_pictures_have_dark_paper_and_leave_no_trace(tmp_path: Path) -> None:
    metrics = write_metrics(tmp_path / "metrics.csv", [f"{i},validation,{i},0.5,0.{i},0.{i}," for i in range(1, 9)])
    before = dict(matplotlib.rcParams)
    for name in ("light", "dark", "again"):
        plot_learning_curves(metrics, tmp_path / f"{name}.png", is_dark=name == "dark")
    assert dict(matplotlib.rcParams) == before
    light, dark, again = (imread(tmp_path / f"{name}.png")[..., :3] for name in ("light", "dark", "again"))
    assert light[0, 0].tolist() == [1.0, 1.0, 1.0]
    np.testing.assert_allclose(dark[0, 0] * 255, [0x1A, 0x1F, 0x25], rtol=0, atol=0.01)
    np.testing.assert_array_equal(light, again)
    assert find_colour(light, "#009E73").any()
    assert find_colour(dark, "#2BC49A").any()
    assert find_colour(dark, "#DDE2E8").any()


def test_timeline_refuses_what_does_not_fit(tmp_path: Path) -> None:
    frames, front_end = np.zeros((100, 64), dtype=np.float16), FrontEnd()
    common = {"frames": frames, "front_end": front_end, "title": "t"}
    for scores, names in ((np.zeros((2, 3)), "abc"), (np.zeros((1, 3)), "ab"), (np.zeros((1, 0)), "")):
        with pytest.raises(ScoreError, match="do not fit 1 times"):
            plot_timeline(tmp_path / "a.png", times_seconds=np.zeros(1), scores=scores, names=list(names), **common)
    fitting = {"times_seconds": np.zeros(1), "scores": np.zeros((1, 2)), "names": ["a", "b"], **common}
    with pytest.raises(SettingsError, match=r"film\.xyz: a picture's suffix must be one of .*png"):
        plot_timeline(tmp_path / "film.xyz", **fitting)
    with pytest.raises(SettingsError, match="cannot be written"):
        plot_timeline(tmp_path / "nowhere" / "film.png", **fitting)


def test_times_as_people_write_them() -> None:
    assert [_clock(t, unit="s") for t in (-1e-9, 4.5, 62.0, 0.30000000000000004)] == ["0", "4.5", "62", "0.3"]
    assert [_clock(t, unit="m:ss") for t in (0, 62.5, 600, 3599)] == ["0:00", "1:02.5", "10:00", "59:59"]
    assert [_clock(t, unit="h:mm:ss") for t in (0, 3661, 36_000)] == ["0:00:00", "1:01:01", "10:00:00"]


def test_bands_lie_where_the_mel_formula_puts_them() -> None:
    front_end = FrontEnd()
    mel = lambda hz: 1127.0 * np.log(1.0 + hz / 700.0)  # noqa: E731
    edges = np.linspace(mel(front_end.min_hz), mel(front_end.max_hz), front_end.num_bands + 2)
    centres_hz = 700.0 * (np.exp(edges[1:-1] / 1127.0) - 1.0)
    np.testing.assert_allclose(_hz_to_band(centres_hz, front_end), np.arange(64), rtol=0, atol=1e-9)


def write_metrics(path: Path, rows: list[str], *, header: str = "") -> Path:
    header = header or "step,kind,seconds,loss,one_best_accuracy,mean_average_precision,patches_per_second"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_learning_curves(tmp_path: Path) -> None:
    rows = [f"{10 * i},train,{9 * i},{0.7 / i},,,128.5" for i in range(1, 101)]
    rows += [f"{100 * i},validation,{90 * i},{0.8 / i},{i / 12},{i / 15}," for i in range(1, 11)]
    plot_learning_curves(write_metrics(tmp_path / "metrics.csv", rows), tmp_path / "curves.png")
    assert_drawn(tmp_path / "curves.png")


@pytest.mark.parametrize("row", ["10,train,9,0.5,,,", "10,train,9,0.0,,,", "10,validation,9,,0.5,,"])
def test_learning_curves_of_one_row(tmp_path: Path, row: str) -> None:
    plot_learning_curves(write_metrics(tmp_path / "metrics.csv", [row]), tmp_path / "curves.svg")
    assert (tmp_path / "curves.svg").read_text(encoding="utf-8").rstrip().endswith("</svg>")


def test_learning_curves_refuse_what_is_no_log(tmp_path: Path) -> None:
    path, out = tmp_path / "metrics.csv", tmp_path / "curves.png"
    with pytest.raises(RunError, match="cannot be read"):
        plot_learning_curves(path, out)
    with pytest.raises(RunError, match="no row yet"):
        plot_learning_curves(write_metrics(path, []), out)
    with pytest.raises(RunError, match="no column seconds, kind"):
        plot_learning_curves(write_metrics(path, [], header="step,loss,one_best_accuracy,mean_average_precision"), out)
    with pytest.raises(RunError, match="no measurement"):
        plot_learning_curves(write_metrics(path, ["10,train,nine,0.5,,,"]), out)
    with pytest.raises(RunError, match="no measurement"):
        plot_learning_curves(write_metrics(path, ["10,train"]), out)
