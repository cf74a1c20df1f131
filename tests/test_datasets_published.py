"""FSD50K, UrbanSound8K and Hugging Face audio folders, as published; and whatever is given to the wrong adapter."""

import gzip
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from earwitness.datasets.audioset import manifest_from_audioset
from earwitness.datasets.esc50 import manifest_from_esc50
from earwitness.datasets.folders import manifest_from_folders
from earwitness.datasets.fsd50k import manifest_from_fsd50k
from earwitness.datasets.huggingface import manifest_from_audio_folder
from earwitness.datasets.recognise import recognised
from earwitness.datasets.urbansound8k import manifest_from_urbansound8k
from earwitness.datasets.webdataset import SampleSettings, manifest_from_webdataset
from earwitness.errors import ManifestError
from in_process import run
from test_cli import refused

GUITAR = "Electric_guitar,Guitar,Plucked_string_instrument,Musical_instrument,Music"
GUITAR_IDS = "/m/02sgy,/m/0342h,/m/0fx80y,/m/04szw,/m/04rlf"
DEV = f"""fname,labels,mids,split
64760,"{GUITAR}","{GUITAR_IDS}",train
345111,"{GUITAR}","{GUITAR_IDS}",val
"""
EVAL = f"""fname,labels,mids
37199,"{GUITAR}","{GUITAR_IDS}"
"""
VOCABULARY = "".join(
    f"{number},{label},{mid}\n"
    for number, (label, mid) in enumerate(zip(GUITAR.split(","), GUITAR_IDS.split(","), strict=True))
)
URBAN = """slice_file_name,fsID,start,end,salience,fold,classID,class
100032-3-0-0.wav,100032,0.0,0.317551,1,5,3,dog_bark
100263-2-0-117.wav,100263,58.5,62.5,1,5,2,children_playing
100648-1-0-0.wav,100648,4.823402,5.471927,2,10,1,car_horn
"""


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8", errors="surrogateescape")
    return folder


@pytest.fixture
def fsd50k(tmp_path: Path) -> Path:
    return write(
        tmp_path / "FSD50K",
        {
            "FSD50K.ground_truth/dev.csv": DEV,
            "FSD50K.ground_truth/eval.csv": EVAL,
            "FSD50K.ground_truth/vocabulary.csv": VOCABULARY,
            "FSD50K.metadata/dev_clips_info_FSD50K.json": json.dumps(
                {"64760": {"title": "x", "uploader": "ann"}, "345111": {"uploader": "bob, the 2nd"}}
            ),
            "FSD50K.metadata/eval_clips_info_FSD50K.json": json.dumps({"37199": {"uploader": "eve"}}),
            "FSD50K.dev_audio/64760.wav": "x",
            "FSD50K.dev_audio/345111.wav": "x",
            "FSD50K.eval_audio/37199.wav": "x",
        },
    )


def test_fsd50k(fsd50k: Path) -> None:
    adapted = manifest_from_fsd50k(fsd50k)
    assert adapted.manifest.table.to_pydict() == {
        "clip_id": ["64760", "345111", "37199"],
        "media": [
            f"{fsd50k}/FSD50K.{part}.wav" for part in ("dev_audio/64760", "dev_audio/345111", "eval_audio/37199")
        ],
        "start_seconds": [None] * 3,
        "stop_seconds": [None] * 3,
        "labels": [GUITAR.split(",")] * 3,
        "split": ["train", "val", "eval"],
        "mids": [GUITAR_IDS] * 3,
        "group": ["ann", "bob, the 2nd", "eve"],
    }
    assert (adapted.missing, adapted.remarks) == ([], ())
    by_id = manifest_from_fsd50k(fsd50k, label_column="mids").manifest.table.to_pylist()[0]
    assert (by_id["labels"], by_id["labels_in_table"]) == (GUITAR_IDS.split(","), GUITAR)


def test_half_of_fsd50k(fsd50k: Path) -> None:
    shutil.rmtree(fsd50k / "FSD50K.eval_audio")
    write(fsd50k, {"FSD50K.eval_audio.zip": "", "FSD50K.eval_audio.z01": ""})
    shutil.rmtree(fsd50k / "FSD50K.metadata")
    adapted = manifest_from_fsd50k(fsd50k)
    assert adapted.missing == ["37199"]
    assert adapted.remarks[0].startswith("FSD50K.metadata/ is not there, so uploaders are unknown")
    assert adapted.remarks[1] == (
        "FSD50K.eval_audio/ is not there; FSD50K.eval_audio.z01, FSD50K.eval_audio.zip are there, but not unpacked"
    )
    assert "group" not in adapted.manifest.table.column_names
    (fsd50k / "FSD50K.ground_truth" / "eval.csv").unlink()
    adapted = manifest_from_fsd50k(fsd50k)
    assert adapted.manifest.table["split"].to_pylist() == ["train", "val"]
    assert adapted.remarks[0] == "FSD50K.ground_truth/eval.csv is not there, so only dev is listed"
    shutil.rmtree(fsd50k / "FSD50K.dev_audio")
    with pytest.raises(ManifestError, match=r"not one of the 2 media files is there; .*dev_audio/64760.wav"):
        manifest_from_fsd50k(fsd50k)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("FSD50K.ground_truth/dev.csv", DEV[:-60], "dev.csv: row 2"),
        (
            "FSD50K.ground_truth/dev.csv",
            DEV.replace("fname", "name"),
            "no column 'fname'; the columns are name, labels",
        ),
        (
            "FSD50K.ground_truth/dev.csv",
            DEV.replace("Guitar", "Gitar", 1),
            "row 1: the label 'Gitar' is not one of the 5",
        ),
        ("FSD50K.ground_truth/vocabulary.csv", VOCABULARY[:-14], r"line 5 is not: number, label, id"),
        ("FSD50K.ground_truth/vocabulary.csv", '0,a,/m\n1,"' + "b" * 200_000, "vocabulary.csv: damaged .field larger"),
        ("FSD50K.ground_truth/vocabulary.csv", "0,\udce4,/m\n", "vocabulary.csv: damaged .'utf-8' codec"),
        ("FSD50K.metadata/dev_clips_info_FSD50K.json", '{"64760"', "damaged, not a JSON object of clips"),
        ("FSD50K.metadata/dev_clips_info_FSD50K.json", '{"64760": {}}', "damaged, not a JSON object of clips"),
    ],
)
def test_damaged_fsd50k_is_refused(fsd50k: Path, name: str, text: str, message: str) -> None:
    write(fsd50k, {name: text})
    with pytest.raises(ManifestError, match=message):
        manifest_from_fsd50k(fsd50k)


@pytest.mark.parametrize(("table", "audio"), [("metadata/UrbanSound8K.csv", "audio/"), ("UrbanSound8K.csv", "")])
def test_urbansound8k(tmp_path: Path, table: str, audio: str) -> None:
    write(tmp_path, {table: URBAN, f"{audio}fold5/100032-3-0-0.wav": "x", f"{audio}fold10/100648-1-0-0.wav": "x"})
    adapted = manifest_from_urbansound8k(tmp_path)
    assert adapted.manifest.table.to_pylist()[0] == {
        "clip_id": "100032-3-0-0.wav",
        "media": f"{tmp_path}/{audio}fold5/100032-3-0-0.wav",
        "start_seconds": None,
        "stop_seconds": None,
        "labels": ["dog_bark"],
        "group": "100032",
        "start": 0.0,
        "end": 0.317551,
        "salience": 1,
        "fold": 5,
        "classID": 3,
        "class": "dog_bark",
    }
    assert adapted.missing == ["100263-2-0-117.wav"]
    assert adapted.remarks == ("UrbanSound8K.csv lists 3 clips; UrbanSound8K has 8,732",)


def test_damaged_urbansound8k_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"metadata/UrbanSound8K.csv": URBAN[:-20]})
    with pytest.raises(ManifestError, match=r"UrbanSound8K.csv: row 3 has 4 columns, the header has 8"):
        manifest_from_urbansound8k(tmp_path)
    write(tmp_path, {"metadata/UrbanSound8K.csv": URBAN.replace("fold", "part")})
    with pytest.raises(ManifestError, match="no column 'fold'"):
        manifest_from_urbansound8k(tmp_path)
    write(tmp_path, {"metadata/UrbanSound8K.csv": URBAN})
    with pytest.raises(ManifestError, match="not one of the 3 media files is there"):
        manifest_from_urbansound8k(tmp_path)


def test_a_hugging_face_folder_with_metadata_in_every_format(tmp_path: Path) -> None:
    write(
        tmp_path, dict.fromkeys(("data/train/a.wav", "data/train/sub/b.mp3", "data/test/a.wav", "data/dev/x.ogg"), "x")
    )
    write(
        tmp_path,
        {
            "data/train/metadata.csv": "file_name,label,speaker,take\n"
            'a.wav,"dog, small",ann,1\n./sub/b.mp3,"say ""hi""",,2\n',
            "data/test/metadata.jsonl": '{"file_name": "a.wav", "label": "dog, small", "speaker": "-x"}\n',
            "data/dev/y.flac": "x",
        },
    )
    rows = [{"audio_file_name": "x.ogg", "labels": ["a", "b"], "take": 3}]
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "data" / "dev" / "metadata.parquet")
    adapted = manifest_from_audio_folder(tmp_path)
    table = adapted.manifest.table
    assert table.select(["clip_id", "labels", "speaker", "take", "split"]).to_pydict() == {
        "clip_id": ["data/dev/x.ogg", "data/test/a.wav", "data/train/a.wav", "data/train/sub/b.mp3"],
        "labels": [["a", "b"], ["dog, small"], ["dog, small"], ['say "hi"']],
        "speaker": [None, "-x", "ann", ""],
        "take": [3, None, 1, 2],
        "split": ["validation", "test", "train", "train"],
    }
    assert table["media"].to_pylist()[0] == f"{tmp_path}/data/dev/x.ogg"
    assert adapted.remarks == ("1 media files are listed in no metadata and left out: data/dev/y.flac",)
    assert adapted.missing == []


def test_a_hugging_face_folder_per_label(tmp_path: Path) -> None:
    write(tmp_path, dict.fromkeys(("Train/dog/1.wav", "Train/train/2.wav", "Test/dog/3.wav", "README.md"), "x"))
    adapted = manifest_from_audio_folder(tmp_path)
    assert adapted.manifest.table.select(["clip_id", "labels", "split"]).to_pydict() == {
        "clip_id": ["Test/dog/3.wav", "Train/dog/1.wav", "Train/train/2.wav"],
        "labels": [["dog"], ["dog"], ["train"]],
        "split": ["test", "train", "train"],
    }
    write(tmp_path, {"Test/4.wav": "x"})
    adapted = manifest_from_audio_folder(tmp_path)
    assert adapted.manifest.table["labels"].to_pylist()[0] == []
    assert adapted.remarks == ("1 files lie in no label's folder and have no label: Test/4.wav",)


def test_labels_named_as_splits_are(tmp_path: Path) -> None:
    """Where not every first folder is a split, none is: here `train` runs on rails."""
    write(tmp_path, dict.fromkeys(("dog/1.wav", "train/2.wav"), "x"))
    table = manifest_from_audio_folder(tmp_path).manifest.table
    assert table["labels"].to_pylist() == [["dog"], ["train"]]
    assert "split" not in table.column_names


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.txt": ""}, "neither metadata.csv, .jsonl or .parquet nor media files lie in it"),
        ({"data/train-00000-of-00001.parquet": ""}, "seems to hold the sound itself, which is not read"),
        ({"a.wav": "x"}, "it has neither metadata.csv, .jsonl or .parquet nor a folder per label"),
        ({"a.wav": "x", "metadata.csv": "file,label\na.wav,x\n"}, "no column 'file_name'; the columns are file, label"),
        ({"a.wav": "x", "metadata.csv": "file_name,text\na.wav,x\n"}, "no column 'label' or 'labels'; name the one"),
        (
            {"metadata.jsonl": '{"file_name": ["a.wav"], "label": "x"}'},
            "column file_name is list<item: string>; paths or URLs",
        ),
        ({"metadata.csv": "file_name,label\na.wav,x\n"}, "not one of the 1 media files is there"),
        ({"a.wav": "x", "metadata.csv": "file_name,label\na.wav,x\nb.wav\n"}, "row 2 has 1 columns, the header has 2"),
        (
            {
                "a/metadata.jsonl": '{"file_name": "a", "label": "x", "n": 1}',
                "b/metadata.jsonl": '{"file_name": "b", "label": "x", "n": "y"}',
            },
            "a column of the metadata is of one type here and of another there",
        ),
    ],
)
def test_bad_audio_folders_are_refused(tmp_path: Path, files: dict[str, str], message: str) -> None:
    write(tmp_path, files)
    with pytest.raises(ManifestError, match=message):
        manifest_from_audio_folder(tmp_path)


ADAPTERS: dict[str, Callable[[Path], object]] = {
    "audioset": lambda path: manifest_from_audioset([path]),
    "fsd50k": manifest_from_fsd50k,
    "urbansound8k": manifest_from_urbansound8k,
    "esc50": manifest_from_esc50,
    "huggingface": manifest_from_audio_folder,
    "folder": manifest_from_folders,
    "webdataset": lambda path: manifest_from_webdataset([str(path)], settings=SampleSettings()),
}


@pytest.fixture
def everything(tmp_path: Path, fsd50k: Path) -> dict[str, Path]:
    """What each adapter takes."""
    write(tmp_path, {"esc/meta/esc50.csv": "filename,fold,target,category,esc10,src_file,take\n", "esc/audio/x": ""})
    write(tmp_path, {"urban/metadata/UrbanSound8K.csv": URBAN, "hf/metadata.csv": "file_name,label\na.wav,x\n"})
    write(tmp_path, {"eval_segments.csv": 'YTID,start_seconds,end_seconds,positive_labels\n--4gqARaEJE,0,10,"/m/1"\n'})
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        tar.add(fsd50k / "FSD50K.dev_audio" / "64760.wav", "64760.wav")
    return {
        "audioset": tmp_path / "eval_segments.csv",
        "fsd50k": fsd50k,
        "urbansound8k": tmp_path / "urban",
        "esc50": tmp_path / "esc",
        "huggingface": tmp_path / "hf",
        "webdataset": tmp_path / "s.tar",
    }


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("given", sorted({*ADAPTERS} - {"folder"}))
def test_every_adapter_given_what_another_takes(everything: dict[str, Path], adapter: str, given: str) -> None:
    assert recognised(everything[given], but=given) is None or given == "audioset"
    if adapter == given:
        assert f"`earwitness manifest {adapter} " in str(recognised(everything[given]))
        return
    with pytest.raises(ManifestError) as caught:
        ADAPTERS[adapter](everything[given])
    message = str(caught.value)
    known = str(recognised(everything[given]))
    assert f"looks like {known}" in message or f"this is {known}" in message, message
    assert f"earwitness manifest {given} " in message
    assert "\n" not in message


def test_parts_of_a_corpus_and_packed_files_are_recognised(everything: dict[str, Path], tmp_path: Path) -> None:
    fsd50k = everything["fsd50k"]
    assert (
        recognised(fsd50k / "FSD50K.ground_truth")
        == f"a part of FSD50K: `earwitness manifest fsd50k {fsd50k}` takes the whole"
    )
    assert "fsd50k " + str(fsd50k) in str(recognised(fsd50k / "FSD50K.ground_truth" / "dev.csv"))
    assert "ESC-50" in str(recognised(everything["esc50"] / "audio"))
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(b"a,b\n"))
    assert "unpack it first" in str(recognised(tmp_path / "x.csv.gz"))
    (tmp_path / "ontology.json").write_text('[{"id": "/m/1", "child_ids": []}]')
    assert "Audio Set's ontology" in str(recognised(tmp_path / "ontology.json"))
    assert recognised(tmp_path / "no") is None
    write(tmp_path, {"m.csv": "clip_id,media,labels\n"})
    assert "a manifest already" in str(recognised(tmp_path / "m.csv"))


def test_the_commands(everything: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "m.parquet"
    assert "3 clips, 5 labels" in run("manifest", "fsd50k", everything["fsd50k"], "--out", out).stdout
    said = run("manifest", "fsd50k", everything["fsd50k"], "--label-column", "mids", "--json", "--out", out)
    assert json.loads(said.stdout)["label_counts"]["/m/02sgy"] == 3
    write(everything["urbansound8k"], {"audio/fold5/100032-3-0-0.wav": "x"})
    said = run("manifest", "urbansound8k", everything["urbansound8k"], "--drop-missing", "--out", out)
    assert "1 clip, 1 label" in said.stdout
    assert "2 clips have no media file: 100263-2-0-117.wav, 100648-1-0-0.wav. They were left out." in said.stderr
    write(everything["huggingface"], {"a.wav": "x", "b.wav": "x"})
    said = run("manifest", "huggingface", everything["huggingface"], "--out", out)
    assert "listed in no metadata and left out: b.wav" in said.stderr
    segments = everything["audioset"]
    refused(
        *("manifest", "table", segments, "--media-column", "YTID", "--out", out),
        saying=["not one of the 1 media files is there", f"`earwitness manifest audioset {segments}` takes it"],
    )
    refused("manifest", "esc50", segments, "--out", out, saying="this looks like Audio Set's list of segments")
    write(tmp_path, {"esc/audio/1.wav": "x", "hf/dog/1.wav": "x"})
    refused(
        "manifest", "folder", everything["esc50"], "--out", out, saying="this is ESC-50: `earwitness manifest esc50"
    )
    said = run("manifest", "folder", everything["huggingface"], "--out", out)
    assert "looks like a Hugging Face audio folder: `earwitness manifest huggingface" in said.stderr
