"""`earwitness inspect` as people use it: what it says of a corpus with planted flaws, its files, and bad input."""

import base64
import contextlib
import csv
import io
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pytest
from scipy.io import wavfile

from earwitness.cli.main import main
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
from earwitness.manifest import Manifest, read_manifest, write_manifest
from earwitness.report import doctor_page
from earwitness.report.doctor_files import keep_condition
from earwitness.report.doctor_page import write_doctor_page
from earwitness.report.doctor_summary import summary
from earwitness.report.doctor_words import percent
from earwitness.report.snippets import SNIPPET_SECONDS, Excerpt, make_snippets
from earwitness.report.svg_plots import histogram
from earwitness.selection import select_rows
from earwitness.store.read import Store
from test_page import ADDRESSES, HOSTILE, Reader

RATE_HZ = 16_000


@dataclass(frozen=True)
class Ran:
    """What a command has said."""

    status: int
    output: str
    errors: str


def earwitness(*arguments: object) -> Ran:
    """Run the command in this process, through its entry point."""
    output, errors = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        patch.setattr(sys, "argv", ["earwitness", *map(str, arguments)])
        with pytest.raises(SystemExit) as ending:
            main()
    return Ran(int(ending.value.code or 0), output.getvalue(), errors.getvalue())


def refused(*arguments: object, saying: str | Sequence[str]) -> None:
    """A command that must fail with one sentence that holds the given words."""
    ran = earwitness(*arguments)
    assert ran.status == 1, ran
    (sentence,) = (line for line in ran.errors.splitlines() if line.startswith("earwitness: "))
    for words in [saying] if isinstance(saying, str) else saying:
        assert words in sentence


def noise(seed: int, seconds: float = 3.0) -> np.ndarray:
    """Bursts of noise over hiss, other with each seed."""
    rng = np.random.default_rng(seed)
    samples = 0.01 * rng.standard_normal(int(seconds * RATE_HZ))
    for start in rng.integers(0, len(samples) - 2_000, size=8):
        samples[start : start + 2_000] += rng.uniform(0.05, 0.2) * rng.standard_normal(2_000)
    return samples


def write_wav(path: Path, samples: np.ndarray) -> None:
    wavfile.write(path, RATE_HZ, np.rint(32_767 * samples.clip(-1, 1)).astype(np.int16))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of 12 good clips and five that are not: a copy in the other split, garbage, silence, clipping, and
    one that is no longer than a moment.
    """
    folder = tmp_path_factory.mktemp("planted")
    for number in range(12):
        write_wav(folder / f"good-{number:02d}.wav", noise(number))
    (folder / "copy.wav").write_bytes((folder / "good-03.wav").read_bytes())
    (folder / "garbage.wav").write_bytes(bytes(range(256)) * 40)
    write_wav(folder / "silent.wav", np.zeros(3 * RATE_HZ))
    write_wav(folder / "clipped.wav", 8 * np.sin(2 * np.pi * 440 * np.arange(3 * RATE_HZ) / RATE_HZ))
    write_wav(folder / "moment.wav", noise(50)[: RATE_HZ // 5])
    with (folder / "corpus.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["clip_id", "media", "labels", "split"])
        for number in range(12):
            labels = "hiss|burst" if number < 10 else ""
            rows.writerow([f"good-{number:02d}", f"good-{number:02d}.wav", labels, "train" if number % 2 else "test"])
        for name in ("copy", "garbage", "silent", "clipped", "moment"):
            rows.writerow([name, f"{name}.wav", "rare" if name == "clipped" else "hiss", "test"])
    return folder / "corpus.csv"


@pytest.fixture(scope="module")
def inspected(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Ran, Path]:
    """The corpus inspected as JSON, and the folder of its report."""
    out = tmp_path_factory.mktemp("inspected") / "deep" / "report"
    return earwitness("inspect", corpus, "--out", out, "--workers", 2, "--json"), out


def found(report: dict, kind: str) -> set[str]:
    return {finding["clip_id"] for finding in report["findings"] if finding["kind"] == kind}


def test_what_was_planted_is_found(inspected: tuple[Ran, Path]) -> None:
    ran, _ = inspected
    assert ran.status == 0, ran.errors
    report = json.loads(ran.output)
    assert report["schema_version"] == 1
    assert (report["num_clips"], report["num_scanned"]) == (17, 17)
    assert found(report, "undecodable") == {"garbage"}
    assert found(report, "silent") == {"silent"}
    assert found(report, "clipped") == {"clipped"}
    assert found(report, "very_short") == {"moment"}
    assert found(report, "duplicate") == {"good-03", "copy"}
    assert found(report, "split_leak") == {"good-03", "copy"}
    assert found(report, "unlabelled") == {"good-10", "good-11"}
    assert "rare" in report["labels"]["too_few"]


def test_files_of_a_report(inspected: tuple[Ran, Path]) -> None:
    ran, out = inspected
    assert {path.name for path in out.iterdir()} == {"report.html", "report.json", "findings.csv", "keep.sql"}
    assert json.loads((out / "report.json").read_text()) == json.loads(ran.output)
    with (out / "findings.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(json.loads(ran.output)["findings"])
    (copy,) = (row for row in rows if row["clip_id"] == "copy" and row["kind"] == "duplicate")
    assert copy["related"] == "good-03"
    assert "keep.sql" in ran.errors


def test_page_of_a_corpus(inspected: tuple[Ran, Path]) -> None:
    _, out = inspected
    page = Reader(out / "report.html")
    assert_offline(page, out / "report.html")
    for words in ("What is wrong with corpus.csv", "all 17 clips", "Leaks over the split", "Undecodable", "garbage"):
        assert words in page.text
    playable = [tag["aria-label"] for tag in page.of("audio")]
    assert {"good-03", "copy", "silent", "clipped", "moment"} <= set(playable)
    assert "garbage" not in playable
    for tag in page.of("audio"):
        assert base64.b64decode(tag["src"].removeprefix("data:audio/mpeg;base64,"))


def assert_offline(page: Reader, path: Path) -> None:
    addresses = [value for _, attributes in page.tags for name, value in attributes.items() if name in ADDRESSES]
    assert all(address.startswith(("data:", "#")) for address in addresses)
    source = path.read_text(encoding="utf-8")
    assert not any(word in source for word in ("http:", "https:", "url(", "@import", "file://"))
    policy = next(tag["content"] for tag in page.of("meta") if tag.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    targets = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert {address[1:] for address in addresses if address.startswith("#")} <= targets


def test_summary_status_and_what_is_left_out(corpus: Path, inspected: tuple[Ran, Path], tmp_path: Path) -> None:
    clean = tmp_path / "clean.parquet"
    ran = earwitness("inspect", corpus, "--workers", 2, "--clean-out", clean, "--fail-on", "clipped", "split_leak")
    assert ran.status == 1
    assert "found split_leak, clipped" in ran.errors
    assert "all 17 clips" in ran.output
    titles = ("Leaks over the split: 2 clips", "Copies: 2", "Undecodable: 1", "Silent: 1", "On too few clips")
    order = [ran.output.index(title) for title in titles]
    assert order == sorted(order)
    assert "garbage: " in ran.output
    assert "14 clips, 3 left out" in ran.errors
    left = set(read_manifest(clean).table["clip_id"].to_pylist())
    everything = read_manifest(corpus).table
    assert set(everything["clip_id"].to_pylist()) - left == {"copy", "garbage", "silent"}
    rows = select_rows(everything, (inspected[1] / "keep.sql").read_text())
    assert set(everything["clip_id"].take(rows).to_pylist()) == left


def test_other_clips_are_left_out(corpus: Path, tmp_path: Path) -> None:
    clean = tmp_path / "clean.jsonl"
    arguments = ("--clean-out", clean, "--drop", "very_short", "--fail-on", "cancelling_channels")
    assert earwitness("inspect", corpus, "--workers", 1, *arguments).status == 0
    assert set(read_manifest(corpus).table["clip_id"].to_pylist()) - set(
        read_manifest(clean).table["clip_id"].to_pylist()
    ) == {"moment"}


def test_store(made_store: Store, tmp_path: Path) -> None:
    ran = earwitness("inspect", made_store.folder, "--workers", 1, "--out", tmp_path, "--json")
    report = json.loads(ran.output)
    assert report["scanned"] == "store"
    assert report["fingerprint"] == made_store.fingerprint
    assert report["num_scanned"] == made_store.num_clips
    assert_offline(Reader(tmp_path / "report.html"), tmp_path / "report.html")
    refused("inspect", made_store.folder, "--clean-out", tmp_path / "x.parquet", saying=["--clean-out", "keep.sql"])
    refused("inspect", made_store.folder, "--label-set", tmp_path / "x.txt", saying="has its labels from prepare")


def test_sample(corpus: Path) -> None:
    output = earwitness("inspect", corpus, "--workers", 1, "--sample", 6, "--seed", 3).output
    assert "6 of 17 clips, drawn at random (seed 3)" in output
    assert "95 %" in output


def test_bad_input(corpus: Path, made_store: Store, tmp_path: Path) -> None:
    refused("inspect", tmp_path / "nothing.csv", saying="there is no such file")
    refused("inspect", tmp_path, saying="holds no store")
    refused("inspect", corpus, "--sample", 0, saying="sample=0 must be at least 1")
    refused("inspect", corpus, "--workers", 0, saying="workers=0")
    refused("inspect", corpus, "--split-column", "nothing", "--workers", 1, saying="nothing")
    refused("inspect", corpus, "--drop", "split_leak", saying=["split_leak", "both sides"])
    refused("inspect", corpus, "--drop", "silnt", saying=["'silnt'", "did you mean 'silent'?"])
    refused("inspect", corpus, "--fail-on", "all", saying=["'all'", "known:"])
    (tmp_path / "file").write_text("")
    refused("inspect", corpus, "--out", tmp_path / "file", saying="the report needs a folder")
    refused("inspect", corpus, "--clean-out", tmp_path / "x.txt", saying=["x.txt", ".parquet, .csv, .jsonl"])
    (tmp_path / "table.txt").write_text("x")
    refused("inspect", tmp_path / "table.txt", saying="a table ends in one of")


def test_unfinished_store(made_store: Store, tmp_path: Path) -> None:
    header = json.loads((made_store.folder / "store.json").read_text())
    (tmp_path / "store.json").write_text(json.dumps({**header, "totals": None, "state": "unfinished"}))
    refused("inspect", tmp_path, saying="the store is unfinished")


def test_ctrl_c(tmp_path: Path) -> None:
    for number in range(2):
        write_wav(tmp_path / f"{number}.wav", noise(number, seconds=60))
    rows = [{"clip_id": str(number), "media": f"{number % 2}.wav"} for number in range(400)]
    write_manifest(Manifest.from_table(pa.Table.from_pylist(rows)), tmp_path / "long.jsonl")
    command = [sys.executable, "-m", "earwitness", "inspect", str(tmp_path / "long.jsonl"), "--workers", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    seen = process.stderr.read(len("\ninspect:"))  # the bar appears: it has begun
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "inspect" in seen
    assert "Traceback" not in rest
    assert "stopped" in rest


# The page and the summary, from a report that is made here.


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
    write_wav(tmp_path / "tone.wav", 0.5 * np.sin(2 * np.pi * 1_000 * time_seconds) * (time_seconds >= 2))
    quiet, loud, end = (Excerpt(media=str(tmp_path / "tone.wav"), start_seconds=s) for s in (0.0, 3.0, 9.0))
    part = replace(quiet, stop_seconds=1.0)
    missing = Excerpt(media=str(tmp_path / "nothing.wav"))
    made = make_snippets([quiet, loud, end, part, missing, quiet], workers=1, most_bytes=10**6)
    assert {excerpt: snippet.seconds for excerpt, snippet in made.items()} == {
        quiet: SNIPPET_SECONDS,
        loud: SNIPPET_SECONDS,
        end: 1.0,
        part: 1.0,
    }
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
