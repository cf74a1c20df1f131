"""Audio Set: lists in both forms, media in every usual layout, and the published tables."""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from earwitness.datasets.adapted import Adapted
from earwitness.datasets.audioset import manifest_from_audioset
from earwitness.datasets.media import missing_media
from earwitness.errors import ManifestError
from earwitness.labels import LabelSet, read_label_set
from earwitness.manifest import read_manifest
from in_process import run
from test_cli import refused

ORIGINAL = """# Segments csv created Sun Mar  5 10:54:31 2017
# num_ytids=4, num_segs=5, num_unique_labels=4, num_positive_labels=7
# YTID, start_seconds, end_seconds, positive_labels
--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"
_Zhe-Vpy1s_, 50.000, 60.000, "/m/012xff"
YaBcDeFgHiJ, 0.000, 9.500, "/m/09x0r,/m/04rlf"
01234567890, 120.000, 130.000, "/m/04rlf"
01234567890, 130.000, 140.000, "/m/04rlf"
"""
REFORMATTED = """YTID,start_seconds,end_seconds,positive_labels
--4gqARaEJE,0.000,10.000,"/m/068hy,/m/07q6cd_,/m/0bt9lr,/m/0jbk"
--BfvyPmVMo,20.000,30.000,"/m/03l9g"
"""
IDS = ["--PJHxphWEs_30000", "_Zhe-Vpy1s__50000", "YaBcDeFgHiJ_0", "01234567890_120000", "01234567890_130000"]


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.fixture
def segments(tmp_path: Path) -> Path:
    return write(tmp_path, "balanced_train_segments.csv", ORIGINAL)


def media_of(adapted: Adapted, folder: Path) -> dict[str, tuple[str, float | None, float | None]]:
    """Path below the folder, start and stop of each clip that has media."""
    return {
        row["clip_id"]: (row["media"].removeprefix(f"{folder}/"), row["start_seconds"], row["stop_seconds"])
        for row in adapted.manifest.table.to_pylist()
        if row["clip_id"] not in adapted.missing
    }


def test_the_original_form_without_media(segments: Path) -> None:
    adapted = manifest_from_audioset([segments])
    assert adapted.manifest.table.to_pydict() == {
        "clip_id": IDS,
        "media": [f"{clip}.*" for clip in IDS],
        "start_seconds": [30.0, 50.0, 0.0, 120.0, 130.0],
        "stop_seconds": [40.0, 60.0, 9.5, 130.0, 140.0],
        "labels": [["/m/09x0r", "/t/dd00088"], ["/m/012xff"], ["/m/09x0r", "/m/04rlf"], ["/m/04rlf"], ["/m/04rlf"]],
        "split": ["balanced_train"] * 5,
        "group": ["--PJHxphWEs", "_Zhe-Vpy1s_", "YaBcDeFgHiJ", "01234567890", "01234567890"],
    }
    assert (adapted.missing, adapted.wants_media, adapted.remarks) == (IDS, False, ())


@pytest.mark.parametrize(
    "text",
    [
        REFORMATTED,
        REFORMATTED.replace("\n", "\r\n"),
        "\ufeff" + REFORMATTED,
        REFORMATTED.partition("\n")[2],  # no header at all
        REFORMATTED.replace(',"', "\t").replace('"', "").replace(",0.000,", "\t0\t"),  # tabs, nothing quoted
        "\n" + REFORMATTED + "\n\n",
    ],
)
def test_reformatted_forms_give_the_same(tmp_path: Path, text: str) -> None:
    text = text.replace("20.000,30.000\t", "20\t30\t").replace("10.000\t", "10\t")
    table = manifest_from_audioset([write(tmp_path, "eval_segments.csv", text)]).manifest.table
    assert table["clip_id"].to_pylist() == ["--4gqARaEJE_0", "--BfvyPmVMo_20000"]
    assert table["labels"].to_pylist() == [["/m/068hy", "/m/07q6cd_", "/m/0bt9lr", "/m/0jbk"], ["/m/03l9g"]]
    assert table["split"].to_pylist() == ["eval", "eval"]
    assert table["stop_seconds"].to_pylist() == [10.0, 30.0]


def test_utf_16_and_everything_quoted(tmp_path: Path) -> None:
    text = '"YTID","start_seconds","end_seconds","positive_labels"\r\n'
    text += '"--4gqARaEJE","0.000","10.000","/m/068hy, /m/0jbk"\r\n'
    table = manifest_from_audioset([write(tmp_path, "e.csv", text.encode("utf-16"))]).manifest.table
    assert table.to_pylist()[0] | {"media": ""} == {
        "clip_id": "--4gqARaEJE_0",
        "media": "",
        "start_seconds": 0.0,
        "stop_seconds": 10.0,
        "labels": ["/m/068hy", "/m/0jbk"],
        "split": "e",
        "group": "--4gqARaEJE",
    }


# Names of a file, and of which segment's (30 s of --PJHxphWEs) media it is: the cut segment, the whole video, or none.
FORMS = [
    ("--PJHxphWEs.mp4", "whole"),
    ("a/b/--PJHxphWEs.webm", "whole"),
    ("Some title, with [brackets] [--PJHxphWEs].mkv", "whole"),
    ("Y--PJHxphWEs.wav", "cut"),
    ("--PJHxphWEs_30.wav", "cut"),
    ("--PJHxphWEs_30.000.wav", "cut"),
    ("--PJHxphWEs_30000.FLAC", "cut"),
    ("balanced/--PJHxphWEs_30.000_40.000.flac", "cut"),
    ("Speech/--PJHxphWEs_30000_40000.flac", "cut"),
    ("--PJHxphWEs_000030_000040.mp4", "cut"),
    ("--PJHxphWEs_30.0-40.0.wav", "cut"),
    ("Y--PJHxphWEs_30.000_40.000.wav", "cut"),
    ("--PJHxphWEs_31.wav", None),
    ("--PJHxphWEs.wav.part", None),
    ("--PJHxphWEs.f140.m4a", None),
    ("-PJHxphWEs.wav", None),
    (".--PJHxphWEs.wav", None),
    ("--PJHxphWEs.txt", None),
]


@pytest.mark.parametrize(("name", "kind"), FORMS)
def test_names_of_media(segments: Path, tmp_path: Path, name: str, kind: str | None) -> None:
    media = tmp_path / "media"
    write(media, name, "x")
    write(media, "01234567890.mp4", "x")
    adapted = manifest_from_audioset([segments], media=media, media_is="whole")
    found = media_of(adapted, media).get(IDS[0])
    assert found == {"whole": (name, 30.0, 40.0), "cut": (name, None, None), None: None}[kind]
    assert set(adapted.missing) == {*IDS[:3]} - ({IDS[0]} if kind else set())
    paths = adapted.manifest.table["media"].to_pylist()
    assert paths[1] == f"{media}/{IDS[1]}.*"  # what was looked for
    assert paths[3] == paths[4] == f"{media}/01234567890.mp4"
    assert missing_media(adapted.manifest) == adapted.missing


def test_ids_that_look_like_other_forms(segments: Path, tmp_path: Path) -> None:
    """An id may begin with Y, end with an underscore, or be all digits."""
    media = tmp_path / "media"
    for name in ("YaBcDeFgHiJ_0.wav", "Y_Zhe-Vpy1s__50.wav", "01234567890_120.wav", "01234567890_130000_140000.wav"):
        write(media, name, "x")
    adapted = manifest_from_audioset([segments], media=media)
    assert media_of(adapted, media) == {
        IDS[1]: ("Y_Zhe-Vpy1s__50.wav", None, None),
        IDS[2]: ("YaBcDeFgHiJ_0.wav", None, None),
        IDS[3]: ("01234567890_120.wav", None, None),
        IDS[4]: ("01234567890_130000_140000.wav", None, None),
    }
    assert adapted.missing == [IDS[0]]
    assert adapted.remarks == ()


def test_seconds_before_milliseconds(tmp_path: Path) -> None:
    rows = "".join(f"aaaaaaaaaaa, {start}, {start + 10}, /m/1\n" for start in (0.05, 50, 50_000))
    media = tmp_path / "media"
    for name in ("aaaaaaaaaaa_50.wav", "aaaaaaaaaaa_50000.wav", "aaaaaaaaaaa_0.050.wav"):
        write(media, name, "x")
    adapted = manifest_from_audioset([write(tmp_path, "s.csv", rows)], media=media)
    assert {clip: name for clip, (name, _, _) in media_of(adapted, media).items()} == {
        "aaaaaaaaaaa_50": "aaaaaaaaaaa_0.050.wav",
        "aaaaaaaaaaa_50000": "aaaaaaaaaaa_50.wav",
        "aaaaaaaaaaa_50000000": "aaaaaaaaaaa_50000.wav",
    }


def test_no_name_has_two_forms() -> None:
    """The same search, slow and by Python's regular expressions: whatever is cut, an id has one length."""
    from earwitness.datasets import audioset_media as forms

    rng = np.random.default_rng(0)
    alphabet = list("Y_-0a")
    stems = ["".join(rng.choice(alphabet, rng.integers(10, 18))) for _ in range(20_000)]
    assert not any(
        sum(bool(re.match(form, stem)) for form in (forms._CUT, forms._SHARED, forms._BARE)) > 1 for stem in stems
    )
    number = r"[_-]\d{1,9}(\.\d+)?([_-]\d+(\.\d+)?)?"
    for stem in stems:
        ways = [bool(re.fullmatch(number, stem[length:])) for length in (11, 12) if length == 11 or stem[0] == "Y"]
        assert sum(ways) == bool(re.match(forms._CUT, stem)), stem


def test_the_first_of_several_files_counts_and_cut_ones_come_first(segments: Path, tmp_path: Path) -> None:
    media = tmp_path / "media"
    names = (
        "a/--PJHxphWEs.mp4",
        "b/--PJHxphWEs_30.wav",
        "c/--PJHxphWEs_30.wav",
        "b/_Zhe-Vpy1s_.mp4",
        "a/_Zhe-Vpy1s_.m4a",
    )
    for name in names:
        write(media, name, "x")
    write(media, "zzzzzzzzzzz.mp4", "x")
    adapted = manifest_from_audioset([segments], media=media)
    assert media_of(adapted, media) == {
        IDS[0]: ("b/--PJHxphWEs_30.wav", None, None),
        IDS[1]: ("a/_Zhe-Vpy1s_.m4a", 50.0, 60.0),
    }
    said = " ".join(adapted.remarks)
    assert "1 files are named by the YouTube id alone and are taken for whole videos" in said
    assert "2 segments have several files" in said
    assert "1 media files belong to no listed segment: zzzzzzzzzzz.mp4" in said


def test_media_is_forces_names_that_do_not_say(segments: Path, tmp_path: Path) -> None:
    media = tmp_path / "media"
    write(media, "--PJHxphWEs.wav", "x")
    cut = manifest_from_audioset([segments], media=media, media_is="cut")
    assert media_of(cut, media) == {IDS[0]: ("--PJHxphWEs.wav", None, None)}
    assert cut.remarks == manifest_from_audioset([segments], media=media, media_is="whole").remarks == ()
    write(media, "01234567890.wav", "x")
    with pytest.raises(ManifestError, match=r"01234567890\.wav: a cut file named by its id alone, but 2 segments"):
        manifest_from_audioset([segments], media=media, media_is="cut")


def test_linked_folders_are_entered_once(segments: Path, tmp_path: Path) -> None:
    write(tmp_path, "disk/--PJHxphWEs.mp4", "x")
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "there").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "circle").symlink_to(tmp_path / "media")
    adapted = manifest_from_audioset([segments], media=tmp_path / "media", media_is="whole")
    assert media_of(adapted, tmp_path / "media") == {IDS[0]: ("there/--PJHxphWEs.mp4", 30.0, 40.0)}


BAD = [
    ("", "it is empty"),
    ("\n\n", "it lists no segment|it is empty"),
    ("YTID,start_seconds,end_seconds,positive_labels\n", "it lists no segment"),
    (ORIGINAL.replace('"/m/012xff"', "\"['/m/012xff', '/m/1']\""), "row 2 is not a segment"),
    (ORIGINAL[:-20], "row 5 is not a segment: '01234567890, 130.000, '"),
    (ORIGINAL.replace("50.000", "fifty"), "row 2 is not a segment: '_Zhe-Vpy1s_, fifty"),
    (ORIGINAL.replace("60.000", "5.000"), "row 2: the segment stops before it starts"),
    (ORIGINAL.replace('"/m/012xff"', '""'), "row 2 is not a segment"),
    (ORIGINAL.replace("130.000, 140.000", "120.000, 140.000"), "01234567890_120000 is listed 2 times: in s, s"),
    (b"--PJHxphWEs, 30.000, 40.000, \xff\n", "this is no list of segments"),
    (b"RIFF\x00\xff\xfe\x00WAVEfmt ", "this looks like a sound or video file"),
    (
        "index,mid,display_name\n0,/m/09x0r,Speech\n",
        "Audio Set's table of labels, which lists no clips: it is what --label-set",
    ),
    ("segment_id\tstart_time_seconds\tend_time_seconds\tlabel\nb0RFKhbpFJA_30000\t0.0\t1.0\t/m/1\n", "strong labels"),
    ("fname,labels,mids,split\n1,a,b,train\n", "looks like FSD50K's ground truth: `earwitness manifest fsd50k"),
    ("slice_file_name,fsID,start\n1,a,b\n", "looks like UrbanSound8K's table"),
    ("filename,fold,target,category\n1,a,b,c\n", "looks like ESC-50's table: `earwitness manifest esc50"),
    ("file,tags\na.wav,dog\n", r"row 1 is not a segment: 'file,tags'; it should read: YTID, 30.000"),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_bad_lists_are_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = write(tmp_path, "s.csv", text)
    with pytest.raises(ManifestError, match=message) as caught:
        manifest_from_audioset([path])
    assert str(path) in str(caught.value)
    assert "manifest audioset" not in str(caught.value)


def test_other_refusals(segments: Path, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="No such file"):
        manifest_from_audioset([tmp_path / "no.csv"])
    with pytest.raises(ManifestError, match="this is a folder, a list of segments is needed"):
        manifest_from_audioset([tmp_path])
    with pytest.raises(ManifestError, match="no list of segments is given"):
        manifest_from_audioset([])
    copy = write(tmp_path, "eval_segments.csv", ORIGINAL)
    with pytest.raises(ManifestError, match="--PJHxphWEs_30000 is listed 2 times: in balanced_train, eval"):
        manifest_from_audioset([segments, copy])
    with pytest.raises(ManifestError, match="row 1: unknown label '/t/dd00088'"):
        manifest_from_audioset([segments], label_set=LabelSet.of(["/m/09x0r", "/m/012xff"]))
    with pytest.raises(ManifestError, match="there is no such folder"):
        manifest_from_audioset([segments], media=tmp_path / "no")
    write(tmp_path, "media/x.wav", "x")
    with pytest.raises(ManifestError, match="not one of the 5 segments has media here; there are 1 media files"):
        manifest_from_audioset([segments], media=tmp_path / "media")


def test_a_list_that_announces_more_than_it_holds(tmp_path: Path) -> None:
    path = write(tmp_path, "s.csv", "".join(ORIGINAL.splitlines(keepends=True)[:-1]))
    assert manifest_from_audioset([path]).remarks == (
        f"{path} announces 5 segments and holds 4: it is cut off, or a part of the list",
    )


def test_the_command(segments: Path, tmp_path: Path) -> None:
    write(tmp_path, "eval_segments.csv", REFORMATTED)
    write(tmp_path, "media/--PJHxphWEs.mp4", "x")
    write(tmp_path, "media/--4gqARaEJE_0.wav", "x")
    lists = (segments, tmp_path / "eval_segments.csv")
    out, gone = tmp_path / "a.parquet", tmp_path / "gone.txt"
    said = run("manifest", "audioset", *lists, "--media", tmp_path / "media", "--out", out, "--missing-out", gone)
    assert "7 clips, 9 labels" in said.stdout
    assert "5 clips have no media file: _Zhe-Vpy1s__50000" in said.stderr
    assert "taken for whole videos" in said.stderr
    assert gone.read_text().splitlines() == [*IDS[1:], "--BfvyPmVMo_20000"]
    said = run(
        *("manifest", "audioset", *lists, "--media", tmp_path / "media", "--media-is", "cut"),
        *("--drop-missing", "--json", "--out", out),
    )
    report = json.loads(said.stdout)
    assert (report["num_clips"], len(report["missing_media"])) == (2, 5)
    assert read_manifest(out).table.select(["clip_id", "start_seconds", "split"]).to_pydict() == {
        "clip_id": [IDS[0], "--4gqARaEJE_0"],
        "start_seconds": [None, None],
        "split": ["balanced_train", "eval"],
    }
    said = run("manifest", "audioset", *lists, "--out", out)
    assert "No media were looked for" in said.stderr
    refused("manifest", "audioset", *lists, "--drop-missing", "--out", out, saying="none would be left")


def test_the_published_tables(data_dir: Path) -> None:
    folder = data_dir / "audioset"
    label_set = read_label_set(folder / "class_labels_indices.csv")
    lists = [folder / "balanced_train_segments.csv", folder / "eval_segments.csv"]
    adapted = manifest_from_audioset(lists, label_set=label_set)
    table = adapted.manifest.table
    assert [split["counts"] for split in table["split"].value_counts().to_pylist()] == [22_160, 20_371]
    counts = adapted.manifest.label_counts()
    assert set(counts) == set(label_set.ids)
    assert len(counts) == 527
    assert adapted.remarks == ()  # as many as the header announces
    for path, split, num_first in zip(lists, ("balanced_train", "eval"), (3, 1), strict=True):
        lines = path.read_text().splitlines()[num_first:]
        rows = table.filter(pc.equal(table["split"], split)).to_pylist()
        for line, row in zip(lines, rows, strict=True):
            ytid, start, stop, labels = line.split(",", 3)
            assert row["clip_id"] == f"{ytid}_{round(float(start) * 1000)}"
            assert (row["start_seconds"], row["stop_seconds"], row["group"]) == (float(start), float(stop), ytid)
            assert row["labels"] == labels.strip().strip('"').split(",")


def test_a_list_cut_off_within_quotes_and_names_beside_ids(tmp_path: Path) -> None:
    row = '--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"\n'
    path = write(tmp_path, "cut_segments.csv", row + row.replace("Es", "Et")[:-4])
    with pytest.raises(ManifestError, match=r"row 2: a quote \(.\) opens its labels and never closes"):
        manifest_from_audioset([path])
    path = write(tmp_path, "whole_segments.csv", row)
    names = write(tmp_path, "names.csv", 'index,mid,display_name\n0,/m/09x0r,"Speech, etc"\n1,/t/dd00088,Grr\n')
    arguments = ("manifest", "audioset", path, "--label-set", names, "--out", tmp_path / "m.csv")
    assert "/m/09x0r (Speech, etc) 1; /t/dd00088 (Grr) 1" in run(*arguments).stdout
    said = json.loads(run(*arguments, "--json").stdout)
    assert said["missing_media"] is None
    assert "No media were looked for" in said["remarks"][0]
    ontology = write(tmp_path, "ontology.json", '[{"id": "a", "child_ids": []}]')
    refused(*arguments[:4], ontology, *arguments[5:], saying="this is Audio Set's ontology, which `earwitness labels")
