"""The doctor's page and words from a report that is made here: safe, bounded, true to it; sounds and plots on it."""

import io
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from scipy.io import wavfile

from earwitness.audio.source import ByteRange
from earwitness.doctor.cleaning import clips_to_drop
from earwitness.doctor.findings import (
    KINDS,
    CorpusReport,
    Distribution,
    DuplicateClip,
    DuplicateGroup,
    DuplicatePair,
    Finding,
    KindCount,
    LabelCount,
    LabelReport,
    NotChecked,
    SourceStatistics,
)
from earwitness.errors import SettingsError
from earwitness.front_end import FrontEnd
from earwitness.report import doctor_page
from earwitness.report.doctor_files import keep_condition, write_doctor_files
from earwitness.report.doctor_page import write_doctor_page
from earwitness.report.doctor_summary import summary
from earwitness.report.doctor_words import percent
from earwitness.report.snippets import SNIPPET_SECONDS, Excerpt, make_snippets
from earwitness.report.svg_plots import histogram
from test_page import ADDRESSES, HOSTILE, Reader

RATE_HZ = 16_000


def assert_offline(page: Reader, path: Path) -> None:
    addresses = [value for _, attributes in page.tags for name, value in attributes.items() if name in ADDRESSES]
    assert all(address.startswith(("data:", "#")) for address in addresses)
    source = path.read_text(encoding="utf-8")
    assert not any(word in source for word in ("http:", "https:", "url(", "@import", "file://"))
    policy = next(tag["content"] for tag in page.of("meta") if tag.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    targets = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert {address[1:] for address in addresses if address.startswith("#")} <= targets


def statistics(source: str, mean: float) -> SourceStatistics:
    return SourceStatistics(
        source=source,
        num_clips=4,
        num_frames=400,
        mean=tuple(np.linspace(mean, mean - 3, 64)),
        standard_deviation=(1.0,) * 64,
        total_mean=mean - 1.5,
        total_standard_deviation=1.3,
    )


def finding(kind: str, clip_id: str, media: str = "nowhere.wav") -> Finding:
    return Finding(
        kind=kind, clip_id=clip_id, media=media, start_seconds=None, stop_seconds=None, detail=f"{clip_id} is {kind}"
    )


def made_report(*findings: Finding, groups: tuple[DuplicateGroup, ...] = (), name: str = "dog") -> CorpusReport:
    num_by_kind = {kind: len({f.clip_id for f in findings if f.kind == kind}) for kind in KINDS}
    return CorpusReport(
        source=f"/data/{name}.csv",
        scanned="manifest",
        manifest_digest="0123456789abcdef",
        fingerprint=None,
        num_clips=1_000,
        num_scanned=1_000,
        seed=None,
        seconds_of_sound=5_000.0,
        seconds_taken=12.0,
        split_column="fold",
        source_column="site",
        counts=tuple(
            KindCount(
                kind=kind,
                num_clips=count,
                num_examined=0 if kind == "dead_channel" else 1_000,
                share=None if kind == "dead_channel" else count / 1_000,
                low=count / 2_000,
                high=count / 500,
            )
            for kind, count in num_by_kind.items()
        ),
        not_checked=(NotChecked(kind="dead_channel", reason="frames do not show it"),),
        findings=findings,
        duplicates=groups,
        labels=LabelReport(
            counts=(
                LabelCount(label_id="d", name=name, num_clips=600, prior=0.6, num_by_side={"1": 600, "2": 0}),
                LabelCount(label_id="u", name="unicorn", num_clips=0, prior=0.0, num_by_side={"1": 0, "2": 0}),
            ),
            unused=("u",),
            unknown=(),
            too_few=(),
            missing_on_a_side={"2": ("d",)},
            num_unlabelled=400,
            labels_per_clip=0.6,
        ),
        whole=statistics("all", -1.0),
        sources=(statistics("north", -1.0), statistics(name, 0.5)),
        distributions=(
            Distribution(
                name="length", title="Length", unit="s", edges=(0.0, 1.0, 5.0, 10.0), counts=(0, 10, 990), median=7.5
            ),
        ),
    )


def copies(*clip_ids: str, leaks: bool, media: str = "nowhere.wav") -> DuplicateGroup:
    return DuplicateGroup(
        clips=tuple(
            DuplicateClip(
                clip_id=clip_id, media=media, start_seconds=None, stop_seconds=None, side=str(number), labels=("d",)
            )
            for number, clip_id in enumerate(clip_ids)
        ),
        pairs=tuple(
            DuplicatePair(first=clip_ids[0], second=other, bit_error_rate=0.01, shift_seconds=0.5, shared_seconds=3.0)
            for other in clip_ids[1:]
        ),
        has_other_labels=False,
        leaks=leaks,
    )


def test_page_is_safe_and_bounded(tmp_path: Path) -> None:
    findings = [finding("clipped", f"clip-{number}") for number in range(500)]
    findings += [finding("silent", HOSTILE, media=HOSTILE), finding("silent", "\udcff")]
    report = made_report(*findings, groups=(copies(HOSTILE, "b", leaks=True, media=HOSTILE),), name=HOSTILE)
    write_doctor_page(tmp_path / "page.html", report, front_end=FrontEnd())
    page = Reader(tmp_path / "page.html")
    assert_offline(page, tmp_path / "page.html")
    assert len(page.of("script")) == 1
    assert page.text.count(HOSTILE) >= 4
    assert page.of("audio") == []  # none of the media is there
    assert "No sound here" in page.text
    shown = doctor_page.SUSPECTS_PER_KIND + doctor_page.LISTED_PER_KIND
    assert f"clip-{shown - 1}" in page.text.split()
    assert f"clip-{shown}" not in page.text.split()
    assert f"({500 - shown} further ones are in findings.csv)" in page.text
    assert "Dead channel (frames do not show it)" in page.text


def test_page_of_labels_sources_and_plots(tmp_path: Path) -> None:
    write_doctor_page(tmp_path / "page.html", made_report(finding("silent", "a")), front_end=FrontEnd())
    page = Reader(tmp_path / "page.html")
    assert "dog d 600 0.6000 600 0 none with fold 2" in page.text
    assert "unicorn u 0 0.0000 0 0 no clip" in page.text
    assert "site north" in page.text
    assert "up to 1.5 standard deviations from all clips" in page.text
    assert (tmp_path / "page.html").read_text().count("<polyline") == 4
    assert "median 7.5 s" in page.text
    assert "It has something to say about 1 clip." in page.text
    write_doctor_page(tmp_path / "page.html", made_report(), front_end=FrontEnd())
    assert "It found nothing wrong." in Reader(tmp_path / "page.html").text


def test_a_sample_says_so(tmp_path: Path) -> None:
    report = replace(made_report(*(finding("silent", f"{n}") for n in range(20))), num_clips=50_000, seed=5)
    write_doctor_page(tmp_path / "page.html", report, front_end=FrontEnd())
    for text in (Reader(tmp_path / "page.html").text, summary(report)):
        assert "1,000 of 50,000 clips, drawn at random (seed 5)" in " ".join(text.split())
        assert "1.0 % to 4.0 %" in text
    assert max(map(len, summary(report).splitlines())) <= 110


def test_summary_of_nothing_wrong() -> None:
    text = summary(made_report())
    assert "nothing found" in text
    assert "Looked for and not found: undecodable," in text
    assert "Not looked for: dead channel (frames do not show it)." in text
    assert "No clip with fold 2 carries d." in text


def test_shares_of_a_store_say_what_they_are_of(tmp_path: Path) -> None:
    """Clips without sound are none of the store's: they are not left out of it, and shares are of those stored."""
    report = made_report(finding("undecodable", "a"), finding("silent", "b"))
    counts = tuple(replace(count, num_examined=999) if count.kind == "silent" else count for count in report.counts)
    report = replace(report, scanned="store", counts=counts, split_column=None)
    text = summary(report)
    assert "999 stored of 1,000 clips (1 gave no sound)" in text
    assert "Undecodable: 1 clip, 0.10 % of 1,000 rows" in text
    assert "Silent: 1 clip, 0.10 % of 999 stored" in text
    assert clips_to_drop(report) == ("b",)
    write_doctor_page(tmp_path / "page.html", report, front_end=FrontEnd())
    page = Reader(tmp_path / "page.html").text
    assert "of 999 stored" in page
    assert "leak over the split" not in page  # no split was looked at
    assert "clips leak over the split" in leak_tile_of(made_report(), tmp_path)


def leak_tile_of(report: CorpusReport, folder: Path) -> str:
    write_doctor_page(folder / "page.html", report, front_end=FrontEnd())
    return Reader(folder / "page.html").text


def test_how_to_go_on_without_the_worst_clips(tmp_path: Path) -> None:
    report = made_report(replace(finding("silent", "a"), labels=("d", "x")), name="Dog, Doggy")
    (tmp_path / "a b").mkdir()
    write_doctor_files(tmp_path / "a b", report, dropped=["a"], front_end=FrontEnd())
    page = Reader(tmp_path / "a b" / "report.html").text
    command = f"earwitness train STORE RUN --where \"$(cat '{tmp_path}/a b/keep.sql')\""
    assert f"keep.sql leaves out 1 clip: {command}" in page
    assert "Dog, Doggy x nowhere.wav" in page  # the labels stand on its card, by their names
    many = [f"clip-{number:09d}" for number in range(10_000)]
    write_doctor_files(tmp_path / "a b", report, dropped=many, front_end=FrontEnd())
    assert not (tmp_path / "a b" / "keep.sql").exists()
    assert "10,000 clips to leave out are too many for a command line" in Reader(tmp_path / "a b" / "report.html").text


def test_last_labels_of_an_axis_do_not_meet() -> None:
    edges = tuple(500.0 * step for step in range(49))
    plot = histogram(replace(made_report().distributions[0], edges=edges, counts=(1,) * 48))
    assert [tick.text for tick in plot.ticks] == ["0", "5,000", "10,000", "15,000", "24,000"]
    assert plot.bars[0].words == "0 to 500 s: 1 clip"


def test_which_clips_to_drop() -> None:
    groups = (copies("a", "b", "c", leaks=True), copies("x", "y", leaks=False))
    report = made_report(
        *(finding("duplicate", clip_id) for clip_id in "abcxy"),
        finding("silent", "a"),
        finding("clipped", "q"),
        groups=groups,
    )
    assert set(clips_to_drop(report)) == {"a", "c", "y"}
    assert set(clips_to_drop(report, kinds=("duplicate",))) == {"b", "c", "y"}
    assert clips_to_drop(report, kinds=("clipped",)) == ("q",)
    assert clips_to_drop(report, kinds=()) == ()
    with pytest.raises(SettingsError, match="unknown kind of finding 'clip'"):
        clips_to_drop(report, kinds=("clip",))
    assert keep_condition(()) == "true"
    assert keep_condition(("it's", "b")) == "clip_id not in ('it''s', 'b')"


def test_snippets_are_the_sound_asked_for(tmp_path: Path) -> None:
    time_seconds = np.arange(10 * RATE_HZ) / RATE_HZ
    samples = 0.5 * np.sin(2 * np.pi * 1_000 * time_seconds) * (time_seconds >= 2)
    wavfile.write(tmp_path / "tone.wav", RATE_HZ, (32_767 * samples).astype(np.int16))
    content = (tmp_path / "tone.wav").read_bytes()
    (tmp_path / "shard.tar").write_bytes(bytes(512) + content + bytes(512))
    quiet, loud, end = (Excerpt(media=str(tmp_path / "tone.wav"), start_seconds=s) for s in (0.0, 3.0, 9.0))
    part = replace(quiet, stop_seconds=1.0)
    packed = replace(quiet, media=ByteRange(str(tmp_path / "shard.tar"), 512, len(content)))
    missing = Excerpt(media=str(tmp_path / "nothing.wav"))
    made = make_snippets([quiet, loud, end, part, packed, missing, quiet], workers=1, most_bytes=10**6)
    assert {excerpt: snippet.seconds for excerpt, snippet in made.items()} == {
        quiet: SNIPPET_SECONDS,
        loud: SNIPPET_SECONDS,
        end: 1.0,
        part: 1.0,
        packed: SNIPPET_SECONDS,
    }
    assert made[packed].audio == made[quiet].audio
    for excerpt, has_tone in ((part, False), (loud, True)):
        with av.open(io.BytesIO(made[excerpt].audio.content)) as container:
            sound = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
        assert (np.abs(sound).max() > 0.3) == has_tone
    size = len(made[quiet].audio.content)
    assert list(make_snippets([quiet, loud, part], workers=1, most_bytes=size + 10)) == [quiet]


def test_histogram_places_bars_and_median() -> None:
    plot = histogram(made_report().distributions[0])
    assert [bar.height for bar in plot.bars] == [0.0, pytest.approx(1.5), pytest.approx(plot.baseline - plot.top)]
    assert plot.median_x == pytest.approx(plot.left + (plot.right - plot.left) * 2.5 / 3, abs=0.01)
    assert [tick.text for tick in plot.ticks] == ["0", "1", "5", "10"]
    assert plot.bars[2].words == "5 to 10 s: 990 clips"
    shares = Distribution(name="x", title="X", unit="share", edges=(0.0, 1e-4, 1.0), counts=(0, 3), median=0.25)
    assert histogram(shares).bars[1].words == "0.01 to 100 %: 3 clips"
    assert histogram(shares).median == "25 %"


def test_percent() -> None:
    shares = (0.0, 1e-6, 0.00032, 0.005, 0.0999, 0.5, 0.9996, 1.0, None, float("nan"))
    assert [percent(share) for share in shares] == [
        *("0 %", "0.00010 %", "0.032 %", "0.50 %", "10.0 %", "50.0 %", "100 %", "100 %", "–", "–")
    ]
