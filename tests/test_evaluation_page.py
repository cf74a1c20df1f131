"""The page, card and quick look of an evaluation: true to the figures, safe with hostile names, bounded, offline."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.io import wavfile

from earwitness.decisions import Calibration, FittedOn, Thresholds
from earwitness.errors import ScoreError
from earwitness.evaluation.closer_look import CloserLook, look_closer
from earwitness.evaluation.positives import Positives
from earwitness.evaluation.score_source import ArrayScores
from earwitness.evaluation.summary import Evaluation, evaluate
from earwitness.front_end import FrontEnd
from earwitness.labels import LabelSet
from earwitness.report.confusion_plot import confusion_plot
from earwitness.report.evaluation_facts import EvaluationFacts, Evidence, ModelFacts, PatchScores
from earwitness.report.evaluation_listening import CLIPS_PER_SIDE, Listening, telling_labels
from earwitness.report.evaluation_page import labels_with_curves, write_evaluation_page
from earwitness.report.evaluation_report import write_evaluation_report
from earwitness.report.evaluation_summary import quick_look
from earwitness.report.evaluation_tables import ANSWERS, RANKING, headline_rows
from earwitness.report.label_columns import label_columns_shown, share_text, threshold_text
from earwitness.report.label_data import UNITS, confused_columns, embedded_json, label_columns, rounded
from earwitness.report.label_ends import label_ends
from earwitness.report.model_card import model_card
from earwitness.report.scatter import COLOURS, label_scatter
from earwitness.report.words import fixed
from made_evaluations import made_evaluation
from test_doctor_page import assert_offline
from test_page import HOSTILE, Reader

NAMES = (HOSTILE, "</script><script>alert(2)</script>", "犬の声", "صوت", "<!--", "\udcff lone", "a | b", "plain")


def measured(
    *, names: tuple[str, ...] = NAMES, clips: int = 60, single: bool = False, resamples: int = 0
) -> tuple[Evaluation, Evidence, CloserLook]:
    """Probabilities of clips that carry a few labels, or one each."""
    rng = np.random.default_rng(3)
    num_labels = len(names)
    if single:
        targets = np.eye(num_labels, dtype=bool)[np.arange(clips) % num_labels]
    else:
        targets = rng.random((clips, num_labels)) < 0.3
        targets[:, 3] = False
    scores = np.clip(0.3 * rng.random(targets.shape) + 0.4 * targets * rng.random(targets.shape), 0, 1)
    scores[:, 1] += 0.3 * targets[:, 2]  # the second label is scored high where the third is true
    label_set = LabelSet(tuple(f"/m/{i}" for i in range(num_labels)), names)
    source, positives = ArrayScores(scores.astype(np.float32)), Positives.from_dense(targets)
    evaluation = evaluate(source, positives, label_set=label_set, resamples=resamples)
    clip_table = pa.table({"clip_id": [f"clip-{i}" for i in range(clips)], "media": ["nowhere.wav"] * clips})
    evidence = Evidence(scores=source, positives=positives, clips=clip_table)
    look = look_closer(
        source, positives, curves_of=labels_with_curves(evaluation), is_single_label=evaluation.is_single_label
    )
    return evaluation, evidence, look


def facts_of(evaluation: Evaluation, **others: Any) -> EvaluationFacts:
    return EvaluationFacts(title=HOSTILE, evaluation=evaluation, details={"store": HOSTILE, "where": None}, **others)


def page_data(path: Path) -> dict[str, Any]:
    """What the page's script reads."""
    content = path.read_text(encoding="utf-8")
    (text,) = re.findall(r'<script type="application/json" id="label-data">(.*?)</script>', content, re.DOTALL)
    data: dict[str, Any] = json.loads(text)
    return data


def test_page_is_safe_and_true(tmp_path: Path) -> None:
    evaluation, evidence, look = measured(resamples=50)
    facts = facts_of(evaluation, notes=(f"Mind {HOSTILE}.",), baseline=evaluation)
    write_evaluation_page(tmp_path / "page.html", facts, evidence=evidence, look=look)
    page = Reader(tmp_path / "page.html")
    assert_offline(page, tmp_path / "page.html")
    assert len(page.of("script")) == 2
    assert page.text.count(HOSTILE) >= 4
    assert "alert(2)</script>" in page.text  # as text
    for label in evaluation.labels:
        if label.is_defined:
            assert f"{label.average_precision:.3f}" in page.text
    interval = evaluation.intervals["mean_average_precision"] if evaluation.intervals else None
    assert interval is not None
    assert f"(95 %: {interval.low:.3f} to {interval.high:.3f})" in page.text
    assert "labels without a figure, as no clip carries them or every clip does 1" in page.text
    data = page_data(tmp_path / "page.html")
    assert data["columns"]["name"] == [name.encode("utf-8", "replace").decode() for name in NAMES]
    for column, unit in UNITS.items():
        for value, label in zip(data["columns"][column], evaluation.labels, strict=True):
            if column == "baseline" or value is None:
                continue
            wanted = (
                getattr(label.average_precision_interval, column)
                if column in ("low", "high")
                else getattr(label, column)
            )
            assert value * unit == pytest.approx(wanted, abs=unit)
    curve = data["curves"]["0"]
    assert curve[::2] == sorted(curve[::2])
    assert curve[-2] == 1000
    assert len(curve) <= 80


def test_page_of_nothing_defined(tmp_path: Path) -> None:
    evaluation = evaluate(np.ones((2, 3)), np.zeros((2, 3), dtype=bool), label_set=LabelSet.of("abc"))
    write_evaluation_page(tmp_path / "page.html", facts_of(evaluation))
    assert "nothing can be measured" in Reader(tmp_path / "page.html").text
    assert label_scatter(evaluation.labels) is None


def test_first_labels_need_no_script(tmp_path: Path) -> None:
    evaluation = made_evaluation(300)
    write_evaluation_page(tmp_path / "page.html", facts_of(evaluation))
    page = Reader(tmp_path / "page.html")
    assert page.of("noscript")
    assert "These are the first 50 of 300 labels" in page.text
    first = label_ends(evaluation.labels, most=1_000).best[:50]
    rows = [f"{x.name} {x.num_positives:,} {x.average_precision:.3f}" for x in first]
    places = [page.text.index(row) for row in rows]
    assert places == sorted(places)


def test_size_is_bounded(tmp_path: Path) -> None:
    evaluation = made_evaluation(30_871)
    write_evaluation_page(tmp_path / "page.html", facts_of(evaluation, baseline=evaluation))
    assert (tmp_path / "page.html").stat().st_size < 5_000_000
    content = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert content.count("<tr>") < 100
    assert "30,871 labels" in content


def test_confusion_matrix_of_clips_with_one_label(tmp_path: Path) -> None:
    evaluation, evidence, look = measured(single=True)
    assert look.matrix is not None
    assert look.matrix.sum() == 60
    write_evaluation_page(tmp_path / "page.html", facts_of(evaluation), evidence=evidence, look=look)
    page = Reader(tmp_path / "page.html")
    answered = int(look.matrix[7, 7])
    assert f"plain: {answered} of {evaluation.labels[7].num_positives} answered plain" in page.text


@pytest.mark.parametrize(("num_labels", "is_wide"), [(3, False), (10, False), (12, True), (60, True)])
def test_a_matrix_that_slides_on_a_phone_says_so(num_labels: int, is_wide: bool) -> None:
    plot = confusion_plot(np.eye(num_labels), [f"crackling {i:04}" for i in range(num_labels)])
    assert plot.is_wide == is_wide
    assert plot.least_width == round(0.93 * (12 + 5.6 * 14 + 22 * num_labels + 2))


def test_heads_of_the_table_are_explained(tmp_path: Path) -> None:
    evaluation, evidence, look = measured()
    write_evaluation_page(tmp_path / "page.html", facts_of(evaluation), evidence=evidence, look=look)
    text = Reader(tmp_path / "page.html").text
    for words in (
        "thr. threshold:",
        "P precision at",
        "R recall at",
        "calib. calibration error:",
    ):
        assert words in text


def test_confused_labels_are_told(tmp_path: Path) -> None:
    evaluation, evidence, look = measured(clips=400)
    first = look.confusions[0]
    assert (first.said, first.true) == (1, 2)
    write_evaluation_page(tmp_path / "page.html", facts_of(evaluation), evidence=evidence, look=look)
    assert f"犬の声 {first.num_clips} of 50" in Reader(tmp_path / "page.html").text
    own = confused_columns(look.confusions, num_labels=len(NAMES))[1]
    assert own[:4] == [2, first.num_clips, 50, round(10 * first.lift)]
    assert page_data(tmp_path / "page.html")["confused"][1] == own


def test_clips_to_listen_to(tmp_path: Path) -> None:
    rate_hz = 16_000
    sound = 0.3 * np.sin(2 * np.pi * 440 * np.arange(20 * rate_hz) / rate_hz)
    wavfile.write(tmp_path / "tone.wav", rate_hz, (32_767 * sound).astype(np.int16))
    evaluation, evidence, look = measured()
    media = [str(tmp_path / "tone.wav")] * 59 + [str(tmp_path / "gone.wav")]
    peak = 12

    def patches(clip: int) -> PatchScores:
        scores = np.full((20, len(NAMES)), 0.25, dtype=np.float32)
        scores[peak] = 0.75
        return PatchScores(start_seconds=0.0, hop_seconds=0.96, patch_seconds=0.96, scores=scores)

    evidence = replace(evidence, clips=evidence.clips.set_column(1, "media", pa.array(media)), patch_scores_of=patches)
    listening = Listening(evaluation, evidence, look)
    clips = [
        clip
        for index in telling_labels(evaluation, look)
        for side in listening.label(index).sides
        for clip in side.clips
    ]
    assert len(clips) <= len(NAMES) * 2 * CLIPS_PER_SIDE
    heard = next(clip for clip in clips if clip.excerpt is not None)
    assert heard.curve is not None
    assert heard.excerpt is not None
    assert heard.excerpt.start_seconds == pytest.approx(peak * 0.96 - 1.0)
    assert heard.curve.start_seconds == pytest.approx(-heard.excerpt.start_seconds)
    assert heard.curve.stop_seconds == pytest.approx(20 * 0.96 - heard.excerpt.start_seconds)
    assert heard.curve.words == "highest, 0.75, at 11.5 s"
    assert heard.curve.is_heard_in_part
    for clip in clips:
        if clip.clip_id == "clip-59":
            assert "there is no file" in clip.no_sound
    write_evaluation_page(tmp_path / "page.html", facts_of(evaluation), evidence=evidence, look=look)
    page = Reader(tmp_path / "page.html")
    players = {tag["id"] for tag in page.of("audio")}
    assert players == {clip.player_id for clip in clips if clip.excerpt is not None}
    timelines = {tag["data-player"] for tag in page.of("div") if "data-player" in tag}
    assert timelines == players  # the script finds a player for each
    assert "the bright part is what the player plays" in page.text
    assert (tmp_path / "page.html").read_text(encoding="utf-8").count('<rect class="heard"') == len(players)
    # of clips that the player plays whole, no part is brighter
    short = replace(
        evidence, patch_scores_of=lambda clip: replace(patches(clip), scores=patches(clip).scores[:5] / 100)
    )
    write_evaluation_page(tmp_path / "page.html", facts_of(evaluation), evidence=short, look=look)
    page = Reader(tmp_path / "page.html")
    assert "the bright part" not in page.text
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert '<rect class="heard"' not in text
    assert '<span class="scale is-low" aria-hidden="true">0.005</span>' in text
    assert '<span class="scale" ' not in text
    assert "to the left" not in page.text.lower(), "on a phone, nothing is beside another"
    # without the media, and without a model
    write_evaluation_page(tmp_path / "page.html", facts_of(evaluation), evidence=measured()[1], look=look)
    assert Reader(tmp_path / "page.html").of("audio") == []
    assert "there is no file nowhere.wav on this machine" in Reader(tmp_path / "page.html").text
    write_evaluation_page(
        tmp_path / "page.html", facts_of(evaluation), evidence=replace(evidence, clips=None), look=look
    )
    assert "do not say where the media are" in Reader(tmp_path / "page.html").text


def test_scores_that_are_no_probabilities_have_no_reliability() -> None:
    scores = ArrayScores(np.random.default_rng(0).normal(size=(20, 3)))
    positives = Positives.from_dense(np.eye(3, dtype=bool)[np.arange(20) % 3])
    look = look_closer(scores, positives, curves_of=[0], is_single_label=True)
    assert look.reliability is None
    assert set(look.curves) == {0}


def test_scatter_puts_every_label_at_its_place() -> None:
    evaluation = made_evaluation(500)
    plot = label_scatter(evaluation.labels)
    assert plot is not None
    points = [
        (float(x), float(y), name) for name, path in plot.paths for x, y in re.findall(r"M([\d.]+) ([\d.]+)h0", path)
    ]
    defined = [label for label in evaluation.labels if label.is_defined]
    wanted = [
        (
            round(float(plot.frame.x(np.log10(label.prior))), 1),
            round(float(plot.frame.y(label.dprime)), 1),
            f"ap{min(int(label.average_precision * COLOURS), COLOURS - 1)}",
        )
        for label in defined
    ]
    assert len(points) == len(defined)
    for one, other in zip(sorted(points), sorted(wanted), strict=True):
        assert one == pytest.approx(other, abs=0.11) if one[2] != other[2] else one[2] == other[2]
    frame = plot.frame
    assert all(frame.left <= x <= frame.right and frame.top <= y <= frame.bottom for x, y, _ in points)
    assert plot.median


def test_quick_look_fits_a_terminal() -> None:
    evaluation, baseline = made_evaluation(300), made_evaluation(300, shift=-0.5)
    text = quick_look(evaluation, baseline)
    assert max(map(len, text.splitlines())) <= 80
    ends = label_ends(evaluation.labels, most=3)
    assert [label.name for label in ends.best if label.name in text] == [label.name for label in ends.best]
    assert ends.worst[0].name in text
    assert "over 100 draws of the clips" in text
    assert "AP over 297 labels: 0 |" in text
    few = made_evaluation(3, resamples=0)
    assert "worst" not in quick_look(few, None)


def test_label_ends() -> None:
    evaluation = made_evaluation(200)
    ends = label_ends(evaluation.labels, most=5)
    ranked = sorted((x for x in evaluation.labels if x.num_positives >= 10), key=lambda x: x.average_precision)
    assert list(ends.worst) == ranked[:5]
    assert list(ends.best) == ranked[:-6:-1]
    assert ends.is_limited
    few = label_ends(evaluation.labels[:8], most=5)
    assert len(few.best) == 8
    assert few.worst == ()


def test_model_card_says_what_is_known_and_what_is_not() -> None:
    evaluation = made_evaluation(40)
    model = ModelFacts(
        path="runs/it's mine/model.safetensors",
        network="resnet50",
        num_weights=1_484_538,
        front_end=FrontEnd(),
        provenance={
            "settings": {"where": "fold != 1", "batch_size": 64, "seed": 3},
            "clips": {"num_train": 320, "num_validation": 0},
            "store": "store",
            "store_fingerprint": "f00d",
            "step": 2000,
            "environments": [{"versions": {"torch": "2.9"}}],
        },
    )
    facts = facts_of(evaluation, notes=("A note.",), model=model)
    facts = replace(facts, details={"store_path": "a store", "where": "fold = 1"})
    card = model_card(facts, model)
    assert "resnet50, 1,484,538 weights" in card
    assert "320 learnt from, 0 watched" in card
    assert "Licence of the data: unknown" in card
    assert "**A note.**" in card
    command = "earwitness evaluate 'runs/it'\"'\"'s mine/model.safetensors' 'a store' --where 'fold = 1' --report DIR"
    assert command in card
    assert f"{evaluation.mean_average_precision:.4f}" in card
    assert "what it learnt from is unknown" in model_card(facts, replace(model, provenance={}))
    assert "Scores calibrated: no" in card
    assert "Thresholds: none of its own" in card
    on = FittedOn(store_fingerprint="beef", where="fold = 4", num_clips=80)
    calibration = Calibration(slopes=np.ones(40), offsets=np.zeros(40), fitted_on=on)
    for aim, words in (
        ({"precision": None, "beta": 1.0}, "F1"),
        ({"precision": 0.9, "beta": None}, "precision of 0.9"),
    ):
        thresholds = Thresholds(values=np.full(40, 0.3), fitted_on=on, **aim)
        card = model_card(facts, replace(model, calibration=calibration, thresholds=thresholds))
        assert card.count("fitted on 80 clips where fold = 4 of the store with fingerprint beef") == 2
        assert words in card


def test_a_threshold_that_no_score_reaches() -> None:
    evaluation = made_evaluation(5)
    label = replace(evaluation.labels[0], threshold=math.inf)
    evaluation = replace(evaluation, labels=(label, *evaluation.labels[1:]))
    assert evaluation.to_dict()["labels"][0]["threshold"] == "never"
    (column,) = [column for column in label_columns_shown(["threshold"]) if column.name == "threshold"]
    assert column.text(label) == "never"
    never, *others = label_columns(evaluation, None)["threshold"]
    assert never == 1e300 > max(others), "sorted above all others"


@pytest.mark.parametrize(("unit", "digits"), [(1e-4, 3), (1e-3, 2)])
def test_numbers_are_rounded_once(unit: float, digits: int) -> None:
    """What the script shows of a number with one decimal more is the number itself, rounded by Python."""
    rng = np.random.default_rng(0)
    values = [*rng.normal(size=3_000), *(k / 2_000 for k in range(-40, 40)), 0.44449, 0.44451, 0.3125, -0.0004, 0.0]
    for value, number in zip(values, rounded(values, unit), strict=True):
        assert number is not None
        shown = (number + 5) // 10  # as `fixed` in explorer.js
        assert f"{shown / 10**digits:.{digits}f}".replace("-", "−") == fixed(value, digits)
        assert abs(number * unit - value) <= 1.0001 * unit
    assert rounded([math.nan, math.inf], unit) == [None, None]
    assert [fixed(x, 3) for x in (-0.0004, -0.0006, 0.0004)] == ["0.000", "−0.001", "0.000"]


def test_rows_say_over_how_many_labels_a_mean_is() -> None:
    rng = np.random.default_rng(0)
    targets = np.eye(4, dtype=bool)[np.arange(40) % 4]
    scores = rng.random((40, 4)) * 0.5 + 0.4 * targets
    scores[:, 3] = np.minimum(scores[:, 3], 0.49)  # no clip is answered with the last label
    evaluation = evaluate(scores, targets, label_set=LabelSet.of("abcd"), resamples=20)
    answering = evaluate(scores + 0.01, targets, label_set=LabelSet.of("abcd"))
    everything = (*RANKING, *ANSWERS)
    rows = {row[0]: row[1:] for row in headline_rows(evaluation, None, measures=everything)}
    assert rows["precision, mean of 3 labels"][0] == f"{evaluation.mean_precision:.4f}"
    assert "recall, mean of labels" in rows
    names = [row[0] for row in headline_rows(evaluation, answering, measures=ANSWERS)]
    assert names[1] == "precision, mean of 3 labels (baseline 4)"
    assert len(headline_rows(evaluation, None, measures=ANSWERS)[0]) == 3, "the model, and its intervals"
    without = replace(evaluation, intervals={})
    assert "95 %" not in headline_rows(without, None, measures=ANSWERS)[0]
    logits = evaluate(scores * 9, targets, label_set=LabelSet.of("abcd"), thresholds=None)
    names = [row[0] for row in headline_rows(logits, None, measures=everything)[1:]]
    assert names == [row[0] for row in headline_rows(logits, None, measures=RANKING)[1:]]


def test_thresholds_are_shown_as_they_are_embedded() -> None:
    shown = [threshold_text(x) for x in (0.5, 0.12345, 0.0999, 0.00084, 1.26e-5, 1e-7, 0.0, 1.0, math.inf, math.nan)]
    assert shown == ["0.5", "0.12", "0.1", "0.00084", "1.3e-5", "1e-7", "0", "1", "never", "–"]


def test_nothing_confused_is_said(tmp_path: Path) -> None:
    targets = np.array([[1, 0], [1, 1], [0, 1], [0, 0]] * 10, dtype=bool)
    scores = targets * 0.5 + np.linspace(0, 0.4, 80).reshape(40, 2)
    evaluation = evaluate(scores, targets, label_set=LabelSet.of("ab"))
    facts = EvaluationFacts(title="t", evaluation=evaluation)
    evidence = Evidence(scores=ArrayScores(scores), positives=Positives.from_dense(targets))
    write_evaluation_report(tmp_path, facts, evidence=evidence)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'id="confused"' in page
    assert "none carry another label evidently more often than by chance" in page


def test_numbers_in_the_table_are_short() -> None:
    shares = (0.0, 1e-6, 0.00032, 0.123456, 1.0)
    assert [share_text(share) for share in shares] == ["0", "0.000100", "0.0320", "12.3", "100"]
    assert embedded_json({"a": "</script>"}) == '{"a":"\\u003c/script>"}'
    columns = label_columns(made_evaluation(5, resamples=0), None)
    assert "low" not in columns
    assert "baseline" not in columns


def test_a_baseline_of_other_labels_is_refused() -> None:
    with pytest.raises(ScoreError, match="other labels"):
        facts_of(made_evaluation(5), baseline=made_evaluation(6))
