"""The HTML pages: well-formed, whole in one file, safe with hostile names, and true to the figures given."""

import base64
import math
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import jinja2
import numpy as np
import pytest

from earwitness.errors import ScoreError, SettingsError
from earwitness.evaluation.summary import Evaluation, evaluate
from earwitness.evaluation.timelines import TimelineEvaluation, evaluate_within_clips
from earwitness.labels import LabelSet
from earwitness.report.demo_page import (
    Clip,
    Command,
    DemoPage,
    Fact,
    HeldOutFile,
    ScoredLabel,
    Stage,
    write_demo_page,
)
from earwitness.report.evaluation_tables import DEFINITIONS, headline_rows
from earwitness.report.html import Embedded, Picture, write_page
from earwitness.report.timeline_plot import TimeAxis
from earwitness.report.timeline_table import TIMELINE_DEFINITIONS, timeline_rows
from earwitness.report.words import duration, measure, shorten

VOID = {"br", "img", "link", "meta", "source"}
ADDRESSES = {"action", "data", "href", "poster", "src", "srcset"}
HOSTILE = "a\"'><script>alert(1)</script>&amp;{{ 7 * 7 }}.mp4"


class Reader(HTMLParser):
    """Reads a page as a browser does; complains where a tag is not closed or closes another."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute twice in {tag}"
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert "svg" in self.open, f"<{tag}/> is not HTML"

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, text: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.texts.append(" ".join(text.split()))

    def of(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(text for text in self.texts if text)


def evaluated(strength: float, *, names: tuple[str, ...] = ("Bell", "Rain", "Owl", "Siren")) -> Evaluation:
    rng = np.random.default_rng(1)
    targets = rng.random((40, len(names))) < 0.3
    targets[:, 2] = False
    scores = rng.normal(size=targets.shape) + strength * targets
    return evaluate(scores, targets, label_set=LabelSet(tuple(f"/m/{i}" for i in range(len(names))), names))


def in_time(names: tuple[str, ...] = ("Bell", "Rain", "Owl", "Siren")) -> TimelineEvaluation:
    """Of 10 clips of 4 patches; the last two labels never sound in part of a clip."""
    label_set = LabelSet(tuple(f"/m/{i}" for i in range(len(names))), names)
    rng = np.random.default_rng(2)
    targets = rng.random((40, len(names))) < 0.5
    targets[:, 2] = False
    targets[:, 3] = np.repeat(np.arange(10) % 2 == 0, 4)
    scores = rng.normal(size=targets.shape) + targets
    patches_per_clip = np.full(10, 4)
    return TimelineEvaluation(
        num_patches=40,
        num_clips=10,
        within_clips=evaluate_within_clips(scores, targets, patches_per_clip, label_set=label_set),
        loudness_within_clips=evaluate_within_clips(-scores, targets, patches_per_clip, label_set=label_set),
        over_patches=evaluate(scores, targets, label_set=label_set),
        over_patches_without_time=evaluate(np.zeros_like(scores), targets, label_set=label_set),
    )


def clip(file_name: str = "clip-7.mp4") -> Clip:
    return Clip(
        file_name=file_name,
        audio=Embedded(content=b"sound of " + file_name.encode(errors="replace"), media_type="audio/mp4"),
        seconds=75.2,
        labels=("Bell", "Rain"),
        sounding=("Rain", "Owl"),
        scored=(ScoredLabel(name="Rain", score=0.625), ScoredLabel(name="Siren", score=0.0625)),
    )


def demo_page(*, baseline: Evaluation | None = None) -> DemoPage:
    light, dark = (Embedded(content=name.encode(), media_type="image/png") for name in ("light", "dark"))
    return DemoPage(
        facts=(Fact(value="300", name="soundtracks"), Fact(value="2.1 h", name="of sound")),
        stages=(Stage(name="Training", seconds=148.0), Stage(name="Evaluating", seconds=6.3)),
        clips=(clip(), clip("clip-8.ogg")),
        held_out=HeldOutFile(
            clip=clip("held-out.webm"),
            timeline=Picture(light=light, dark=dark, description="what sounds when"),
            axis=TimeAxis(left=0.125, right=0.875, top=0.1, bottom=0.9, start_seconds=0.0, stop_seconds=75.2),
        ),
        learning_curves=Picture(light=light, description="loss and mAP"),
        evaluation=evaluated(2.0),
        baseline=baseline,
        timeline=in_time(),
        notes=("The sounds are made by formulas.",),
        commands=(Command(purpose="Learn.", text="earwitness train STORE RUN \\\n    --steps 2000"),),
    )


def written(tmp_path: Path, page: DemoPage) -> Reader:
    write_demo_page(tmp_path / "page.html", page)
    return Reader(tmp_path / "page.html")


def test_page_holds_everything_in_itself(tmp_path: Path) -> None:
    page = written(tmp_path, demo_page(baseline=evaluated(0.5)))
    addresses = [value for _, attributes in page.tags for name, value in attributes.items() if name in ADDRESSES]
    assert len(addresses) > 10
    assert all(address.startswith(("data:", "#")) for address in addresses)
    source = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not any(word in source for word in ("http:", "https:", "url(", "@import", "file://"))
    policy = next(tag["content"] for tag in page.of("meta") if tag.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    targets = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert {address[1:] for address in addresses if address.startswith("#")} <= targets


def test_sounds_and_pictures_are_those_given(tmp_path: Path) -> None:
    page = written(tmp_path, demo_page())
    sounds = [base64.b64decode(tag["src"].removeprefix("data:audio/mp4;base64,")) for tag in page.of("audio")]
    assert sounds == [b"sound of clip-7.mp4", b"sound of clip-8.ogg", b"sound of held-out.webm"]
    assert all("controls" in tag for tag in page.of("audio"))
    assert [(tag["src"], tag["alt"]) for tag in page.of("img")] == [
        ("data:image/png;base64,bGlnaHQ=", "what sounds when"),
        ("data:image/png;base64,bGlnaHQ=", "loss and mAP"),
    ]
    assert [tag["srcset"] for tag in page.of("source")] == ["data:image/png;base64,ZGFyaw=="]
    (timeline,) = (tag for tag in page.of("div") if tag.get("class") == "timeline")
    assert {name: timeline[f"data-{name}"] for name in ("player", "left", "right", "start", "stop")} == {
        "player": "held-out",
        "left": "0.125",
        "right": "0.875",
        "start": "0.0",
        "stop": "75.2",
    }
    assert page.of("audio")[2]["id"] == "held-out"


def test_figures_are_those_given(tmp_path: Path) -> None:
    model, baseline = evaluated(2.0), evaluated(0.5)
    page = written(tmp_path, demo_page(baseline=baseline))
    for row in headline_rows(model, baseline):
        assert " ".join(row) in page.text
    assert " ".join(DEFINITIONS.split()) in page.text
    frame_map = f"{in_time().over_patches.mean_average_precision:.3f}"
    rival = f"{in_time().over_patches_without_time.mean_average_precision:.3f}"
    assert f"And when: frame mAP {frame_map} model {frame_map} without time {rival} chance" in page.text
    for row in timeline_rows(in_time()):
        assert " ".join(row) in page.text
    assert "4 labels; 2 of them left out within clips" in page.text
    assert " ".join(TIMELINE_DEFINITIONS.split()) in page.text
    assert "40 clips, 4 labels; 1 of them left out" in page.text
    assert "Training 2 min 28 s" in page.text
    assert "From nothing to this page: 2 min 34 s" in page.text
    assert "of sound 2.1 h" in page.text
    assert "The sounds are made by formulas." in page.text
    assert "earwitness train STORE RUN \\\n    --steps 2000" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Rain (truly sounds) 0.62 Siren 0.06" in page.text


def test_labels_stand_best_first_and_undefined_last(tmp_path: Path) -> None:
    given = demo_page(baseline=evaluated(0.5))
    page = written(tmp_path, given)
    bell, rain, owl, siren = given.evaluation.labels
    best_first = sorted((bell, rain, siren), key=lambda label: -label.average_precision)
    when = {
        label.name: [f"{label.average_precision:.3f}", f"{label.prior:.3f}"] for label in in_time().over_patches.labels
    }
    cells = [
        [x.name, f"{x.average_precision:.3f}", f"{x.auc:.3f}", f"{x.prior:.3f}", f"{x.num_positives}", *when[x.name]]
        for x in best_first
    ]
    undefined = [owl.name, "–", "undefined", "–", "0.000", "0", "–", "0.000"]
    expected = [*(cell for row in cells for cell in row), *undefined]
    text = page.text.split("AP in time as a bar chance in time ")[1].split(" To be fair")[0]
    assert text.split() == expected


def test_page_without_baseline_and_without_anything_defined(tmp_path: Path) -> None:
    nothing = evaluate(np.ones((2, 3)), np.zeros((2, 3), dtype=bool), label_set=LabelSet.of("abc"))
    never = np.ones((2, 3)), np.zeros((2, 3), dtype=bool), np.array([2])
    timeline = replace(
        in_time(),
        within_clips=evaluate_within_clips(*never, label_set=LabelSet.of("abc")),
        loudness_within_clips=evaluate_within_clips(*never, label_set=LabelSet.of("abc")),
        over_patches=nothing,
        over_patches_without_time=nothing,
    )
    given = replace(demo_page(), evaluation=nothing, timeline=timeline, stages=(), notes=(), clips=())
    page = written(tmp_path, given)
    assert "baseline" not in page.text.split("How good it is")[2].replace("The baseline", "")
    assert "nan" not in page.text.split()
    assert "And when" not in page.text
    assert "AUC within clips undefined" in page.text
    assert "undefined" in page.text


def test_hostile_names_are_text(tmp_path: Path) -> None:
    given = demo_page()
    evil = replace(clip(HOSTILE), labels=(HOSTILE,), sounding=(HOSTILE, "Owl"), scored=())
    page = written(
        tmp_path,
        replace(
            given,
            clips=(evil, clip("\udcff.mp4")),
            facts=(Fact(value=HOSTILE, name=HOSTILE),),
            stages=(Stage(name=HOSTILE, seconds=1.0),),
            held_out=replace(
                given.held_out,
                clip=evil,
                timeline=replace(given.held_out.timeline, description=HOSTILE),
            ),
            evaluation=evaluated(2.0, names=(HOSTILE, "Rain", "Owl", "Siren")),
            timeline=in_time((HOSTILE, "Rain", "Owl", "Siren")),
            notes=(HOSTILE,),
            commands=(Command(purpose=HOSTILE, text=HOSTILE),),
        ),
    )
    assert len(page.of("script")) == 1
    assert page.text.count(HOSTILE) >= 12
    assert page.of("img")[0]["alt"] == HOSTILE
    assert page.of("audio")[0]["aria-label"] == HOSTILE
    assert "?.mp4" in page.text


def test_page_refuses_what_does_not_fit(tmp_path: Path) -> None:
    other = evaluate(np.eye(3), np.eye(3, dtype=bool), label_set=LabelSet.of("abc"))
    with pytest.raises(ScoreError, match="other labels"):
        write_demo_page(tmp_path / "page.html", demo_page(baseline=other))
    with pytest.raises(ScoreError, match="timeline was evaluated on other labels"):
        write_demo_page(tmp_path / "page.html", replace(demo_page(), evaluation=other))
    with pytest.raises(SettingsError, match=r"page\.html: the page cannot be written"):
        write_demo_page(tmp_path / "nowhere" / "page.html", demo_page())
    assert list(tmp_path.iterdir()) == []


def test_a_template_gets_all_that_it_speaks_of(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("an earlier page")
    with pytest.raises(jinja2.UndefinedError, match="page"):
        write_page(tmp_path / "page.html", "demo.html", values={})
    assert (tmp_path / "page.html").read_text() == "an earlier page"


def test_embedded_files(tmp_path: Path) -> None:
    path = tmp_path / "Film.MP4"
    path.write_bytes(bytes(range(256)))
    embedded = Embedded.read(path)
    head, _, body = embedded.uri.partition(",")
    assert head == "data:audio/mp4;base64"
    assert base64.b64decode(body) == path.read_bytes()
    with pytest.raises(SettingsError, match=r"a\.avi: a page can hold .*\.mp4"):
        Embedded.read(tmp_path / "a.avi")
    with pytest.raises(SettingsError, match=r"a\.png: cannot be read for the page"):
        Embedded.read(tmp_path / "a.png")


def test_numbers_and_names_as_people_read_them() -> None:
    seconds = (0.0, 0.04, 7.0, 7.46, 9.94, 9.96, 59.4, 59.6, 125.0, 3599.4, 3599.6, 7384.0)
    assert [duration(s) for s in seconds] == [
        "0 s",
        "0 s",
        "7 s",
        "7.5 s",
        "9.9 s",
        "10 s",
        "59 s",
        "1 min 00 s",
        "2 min 05 s",
        "59 min 59 s",
        "1 h 00 min",
        "2 h 03 min",
    ]
    assert [measure(value) for value in (0.25, math.nan, math.inf)] == ["0.2500", "undefined", "inf"]
    assert [shorten(text, length=6) for text in ("a\nb", "sirens", "sirens!", "siren  s")] == [
        "a b",
        "sirens",
        "siren…",
        "siren…",
    ]
