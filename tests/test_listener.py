"""`earwitness.load`: the same sound gives the same scores on every route, and what is no sound is said to be none."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import earwitness
from earwitness.audio.frames import waveform_frames
from earwitness.audio.patches import cut_patches
from earwitness.audio.samples import SamplesStream, samples_of
from earwitness.decisions import Calibration, FittedOn, Thresholds
from earwitness.errors import (
    EarwitnessError,
    LabelError,
    MediaError,
    MissingError,
    ModelError,
    NoAudioError,
    NoSamplesError,
    SettingsError,
    UndecodableError,
)
from earwitness.front_end import FrontEnd
from earwitness.labels import LabelSet
from earwitness.listening.results import Tags
from earwitness.models.description import Architecture
from earwitness.models.model_file import Model, save_model
from in_process import run
from made_media import encode, sweep, wav

LABELS = LabelSet(("/m/1", "/m/2", "/m/3"), ("Dog", "Rain & wind", "Bell"))


def made_model(*, seed: int = 0, is_fitted: bool = False) -> Model:
    """A small network with random weights, loud enough that its scores spread over [0, 1]."""
    arguments = {"num_labels": 3, "width": 0.02, "num_layers": 1}
    architecture = Architecture(name="fully_connected", arguments=arguments)
    torch.manual_seed(seed)
    network = architecture.build()
    with torch.no_grad():
        network.head.weight.normal_(std=0.5)
    fitted_on = FittedOn(store_fingerprint="0" * 16, where=None, num_clips=9)
    calibration = Calibration(slopes=np.array([0.7, 1.0, 1.5]), offsets=np.array([0.1, -0.2, 0.3]), fitted_on=fitted_on)
    thresholds = Thresholds(values=np.array([0.3, 0.5, np.nan]), precision=None, beta=1.0, fitted_on=fitted_on)
    return Model(
        network=network.eval(),
        architecture=architecture,
        label_set=LABELS,
        front_end=FrontEnd(),
        calibration=calibration if is_fitted else None,
        thresholds=thresholds if is_fitted else None,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, the same one with calibration and thresholds, both exported, and sounds."""
    pytest.importorskip("onnxruntime", reason="needs pip install 'earwitness[onnx]'")
    from earwitness.export.exporting import export_model

    folder = tmp_path_factory.mktemp("listener")
    for name, is_fitted in (("plain", False), ("fitted", True)):
        save_model(made_model(is_fitted=is_fitted), folder / f"{name}.safetensors")
    export_model(made_model(is_fitted=True), folder / "fitted.onnx", with_embeddings=True)
    encode(folder / "film.mp4", "aac", 44_100, sweep(44_100, 7.3), with_video=True)
    sound = (sweep(48_000, 5.1, channels=2, seed=3) * 32_767).astype(np.int16).T
    (folder / "sound.wav").write_bytes(wav(sound, 48_000))
    return folder


@pytest.fixture(scope="module")
def listener(folder: Path) -> earwitness.Listener:
    return earwitness.load(folder / "plain.safetensors", device="cpu")


TOLERANCE = 1e-5
"""In probability: what is promised between routes."""


def test_import_loads_no_torch() -> None:
    code = "import sys, earwitness; assert 'torch' not in sys.modules and 'numpy' not in sys.modules; earwitness.load"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert {"load", "Listener"} <= set(dir(earwitness))
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        _ = earwitness.laod


def test_same_sound_same_scores_on_every_route(folder: Path, tmp_path: Path) -> None:
    """A calibrated model: path, bytes, file object, array, many at once in any order, ONNX, and both commands."""
    torch_listener, onnx_listener = (earwitness.load(folder / f"fitted{s}") for s in (".safetensors", ".onnx"))
    path = folder / "sound.wav"
    content = path.read_bytes()
    samples = (sweep(48_000, 5.1, channels=2, seed=3) * 32_767).astype(np.int16)
    reference = torch_listener.tag(path, threshold=0.5)
    timeline = torch_listener.timeline(path, hop_seconds=0.24)
    assert reference.is_calibrated
    pair = (samples, 48_000)
    for listener in (torch_listener, onnx_listener):
        with path.open("rb") as file:
            sounds = [path, str(path), content, bytearray(content), file, io.BytesIO(content), pair]
            sounds += [(samples.T, 48_000), ((samples / 32_768).astype(np.float32), 48_000.0)]
            together = list(listener.tag_many([folder / "film.mp4", *sounds, b"no", *sounds[::-1]], failures="return"))
            alone = [listener.tag(sound) for sound in sounds]
        of_sound = [result for result in together if isinstance(result, Tags) and "film" not in result.media]
        assert len(of_sound) == 2 * len(sounds)
        for result in (*alone, *of_sound):
            np.testing.assert_allclose(result.scores, reference.scores, rtol=0, atol=TOLERANCE)
            assert (result.seconds, result.num_patches) == (reference.seconds, reference.num_patches)
        for sound in (path, content, pair):
            other = listener.timeline(sound, hop_seconds=0.24)
            np.testing.assert_allclose(other.scores, timeline.scores, rtol=0, atol=TOLERANCE)
            np.testing.assert_array_equal(other.start_seconds, timeline.start_seconds)
        np.testing.assert_allclose(listener.embed(pair).vectors, torch_listener.embed(path).vectors, rtol=0, atol=1e-4)
    for suffix in (".safetensors", ".onnx"):
        said = run("tag", folder / f"fitted{suffix}", path, "--json", "--top", 3, "--threshold", 0.0)
        scores = {tag["label_id"]: tag["score"] for tag in json.loads(said.stdout)["tags"]}
        np.testing.assert_allclose([scores[i] for i in LABELS.ids], reference.scores, rtol=0, atol=TOLERANCE)
        out = tmp_path / f"scores{suffix}.npz"
        run("timeline", folder / f"fitted{suffix}", path, "--hop-seconds", 0.24, "--patch-scores", out)
        with np.load(out) as arrays:
            np.testing.assert_allclose(arrays["scores"], timeline.scores, rtol=0, atol=TOLERANCE)
            np.testing.assert_allclose(arrays["start_seconds"], timeline.start_seconds)
            assert arrays["label_ids"].tolist() == list(LABELS.ids)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 192_000])
@pytest.mark.parametrize("kind", ["float32", "float64", "int16", "int32", "uint8"])
def test_an_array_is_what_its_file_is(listener: earwitness.Listener, rate: int, kind: str) -> None:
    sound = sweep(rate, 2.5, channels=2, seed=rate).T.astype(np.float64)
    offset, scale = {"int16": (0, 32_767), "int32": (0, 2**31 - 129), "uint8": (128, 127)}.get(kind, (0, 1))
    samples = (sound * scale + offset).astype(kind)
    content = wav(
        samples,
        rate,
        {"f": "<f", "i": "<i", "u": "u"}[samples.dtype.kind] + str(samples.itemsize),
        3 if samples.dtype.kind == "f" else 1,
    )
    file = listener.timeline(content, hop_seconds=0.1)
    for array in (samples, samples.T, np.asfortranarray(samples), samples.astype(samples.dtype.newbyteorder(">"))):
        result = listener.timeline(array, sample_rate_hz=rate, hop_seconds=0.1)
        np.testing.assert_allclose(result.scores, file.scores, rtol=0, atol=TOLERANCE)
    part = listener.timeline(samples, sample_rate_hz=rate, hop_seconds=0.1, start_seconds=0.7, stop_seconds=2.0)
    same = listener.timeline(content, hop_seconds=0.1, start_seconds=0.7, stop_seconds=2.0)
    np.testing.assert_allclose(part.scores, same.scores, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(part.start_seconds, same.start_seconds)


def test_a_range_lies_on_the_grid_of_the_whole() -> None:
    """Of long arrays only the range is resampled, and it is the same samples."""
    samples = samples_of(sweep(44_100, 30.0, channels=1)[0], sample_rate_hz=44_100)
    whole = np.concatenate(list(SamplesStream(samples, sample_rate_hz=16_000, start_seconds=None, stop_seconds=None)))
    assert len(whole) == 480_000
    part = np.concatenate(list(SamplesStream(samples, sample_rate_hz=16_000, start_seconds=21.3, stop_seconds=24)))
    np.testing.assert_allclose(part, whole[round(21.3 * 16_000) : 24 * 16_000], atol=1e-6)


def test_scores_are_those_of_the_network(listener: earwitness.Listener) -> None:
    """A plain reading: the whole waveform, all patches at once."""
    waveform = sweep(16_000, 9.0, channels=1)[0]
    front_end = FrontEnd(patch_hop_frames=48)
    patches = cut_patches(waveform_frames(waveform, front_end=front_end), front_end=front_end)
    with torch.inference_mode():
        expected = torch.sigmoid(listener.model.network(torch.from_numpy(patches.astype(np.float32)))).numpy()
    result = listener.timeline(waveform, sample_rate_hz=16_000)
    np.testing.assert_allclose(result.scores, expected, rtol=0, atol=1e-6)
    assert result.hop_seconds == 0.48


def test_results_become_tables(folder: Path) -> None:
    pytest.importorskip("pandas", reason="pandas is not installed: pip install 'earwitness[pandas]'")
    listener = earwitness.load(str(folder / "fitted.safetensors"))
    film = folder / "film.mp4"
    tags = listener.tag(film, threshold=0.0, top=2)
    assert tags.to_arrow().column_names == ["media", "label_id", "label_name", "score"]
    assert tags.to_pandas()["score"].tolist() == sorted(tags.scores.tolist(), reverse=True)[:2]
    timeline = listener.timeline(film, hop_seconds=0.48, threshold=0.2, labels=("rain & wind", "/m/3"))
    assert timeline.label_set.ids == ("/m/2", "/m/3")
    frame = timeline.to_pandas()
    assert frame.columns.tolist() == ["start_seconds", "stop_seconds", "/m/2", "/m/3"]
    np.testing.assert_array_equal(frame[["/m/2", "/m/3"]].to_numpy(), timeline.scores)
    assert len(timeline.events_to_pandas()) == len(timeline.events) > 0
    embeddings = listener.embed(film, hop_seconds=0.1)
    np.testing.assert_array_equal(np.stack(embeddings.to_pandas()["embedding"].tolist()), embeddings.vectors)
    with pytest.raises(AttributeError):
        tags.media = "other"  # type: ignore[misc]


def test_own_thresholds_as_tag_does(folder: Path) -> None:
    listener = earwitness.load(folder / "fitted.safetensors")
    said = json.loads(run("tag", folder / "fitted.safetensors", folder / "film.mp4", "--json").stdout)
    tags = listener.tag(folder / "film.mp4")
    assert tags.has_own_thresholds
    assert [(tag.label_id, pytest.approx(tag.score)) for tag in tags.tags] == [
        (tag["label_id"], tag["score"]) for tag in said["tags"]
    ]
    timeline = listener.timeline(
        folder / "film.mp4", hop_seconds=0.96, keep_share=1.0, max_gap_seconds=0, min_seconds=0
    )
    said = json.loads(run("tag", folder / "fitted.safetensors", folder / "film.mp4", "--json", "--timeline").stdout)
    assert [(e.label_id, pytest.approx(e.start_seconds), pytest.approx(e.stop_seconds)) for e in timeline.events] == [
        (e["label_id"], e["start_seconds"], e["stop_seconds"]) for e in said["events"]
    ]


BAD_ARRAYS = {
    "of integers without a scale": (np.arange(32_000), "int64 has no full scale"),
    "of no numbers": (np.array(["a"] * 9), "floats or integers, not str"),
    "complex": (np.ones(9, complex), "not complex128"),
    "of yes and no": (np.ones(9, bool), "not bool"),
    "nan": (np.array([0.0, np.nan]), "some samples are nan"),
    "infinite": (np.array([[0.0, np.inf]]), "some samples are infinite"),
    "undivided": (np.full(16_000, 20_000.0), "full scale is 1; were integers"),
    "of three axes": (np.zeros((2, 3, 4)), r"its shape is \(2, 3, 4\)"),
    "square": (np.zeros((80, 90)), "shorter axis is the channels, and up to 64"),
    "empty": (np.zeros(0), "empty, without a single sample"),
    "a tensor with a gradient": (torch.zeros(16_000, requires_grad=True), r"detach\(\)\.cpu\(\) of it"),
    "a tensor of another kind": (torch.zeros(16_000, dtype=torch.bfloat16), "NumPy cannot see it as an array"),
    "masked": (np.ma.masked_greater(np.linspace(0, 1, 16_000), 0.5), r"masked; .*filled\(0\)"),
    "empty stereo": (np.zeros((0, 2)), "empty, without a single sample"),
}


@pytest.mark.parametrize("what", BAD_ARRAYS)
def test_bad_arrays(listener: earwitness.Listener, what: str) -> None:
    array, sentence = BAD_ARRAYS[what]
    for call in (listener.tag, listener.timeline, listener.embed):
        with pytest.raises(MediaError, match=sentence):
            call(array, sample_rate_hz=16_000)
    [error] = listener.tag_many([array], sample_rate_hz=16_000, failures="return")
    assert isinstance(error, MediaError)


@pytest.mark.parametrize(
    ("rate", "sentence"),
    [
        (0, "must lie in 1,000 to 768,000"),
        (-16_000, "must lie in 1,000 to 768,000"),
        (1e9, "must lie in 1,000 to 768,000"),
        (None, "sample rate is not said"),
        (16_000.5, "whole number"),
        (float("nan"), "whole number"),
        ("16000", "whole number"),
        (True, "whole number"),
    ],
)
def test_bad_rates(listener: earwitness.Listener, rate: object, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        listener.tag(np.zeros(16_000, np.float32), sample_rate_hz=rate)  # type: ignore[arg-type]


def closed_file() -> io.BytesIO:
    file = io.BytesIO(wav(np.zeros(16_000), 16_000))
    file.close()
    return file


@pytest.mark.parametrize(
    ("sound", "sentence"),
    [
        (None, "not NoneType"),
        (7, "not int"),
        ([0.0, 0.1], "not list; numpy.asarray"),
        (closed_file(), "the file object is closed"),
        (io.StringIO("text"), "open as text"),
    ],
)
def test_bad_objects(listener: earwitness.Listener, sound: object, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        listener.tag(sound)  # type: ignore[arg-type]


def bad_files(folder: Path) -> dict[str, tuple[Path, type[EarwitnessError], str]]:
    """Files that give no sound, with the error and a word of the sentence."""
    (folder / "text.mp4").write_text("this is no film\n" * 20)
    (folder / "empty.wav").write_bytes(b"")
    (folder / "none.wav").write_bytes(wav(np.zeros(0), 16_000))
    (folder / "noise.mp3").write_bytes(np.random.default_rng(0).bytes(5_000))
    encode(folder / "both.mp4", "aac", 16_000, sweep(16_000, 1.0), with_video=True)
    import av

    with av.open(str(folder / "both.mp4")) as source, av.open(str(folder / "silent_film.mp4"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    return {
        "missing": (folder / "missing.wav", MissingError, "no such file"),
        "a folder": (folder, UndecodableError, "is a directory"),
        "text": (folder / "text.mp4", UndecodableError, "is a text file"),
        "empty": (folder / "empty.wav", UndecodableError, "is empty"),
        "no samples": (folder / "none.wav", NoSamplesError, "no samples in it"),
        "no media": (folder / "noise.mp3", UndecodableError, "noise.mp3"),
        "no sound": (folder / "silent_film.mp4", NoAudioError, "has no audio stream"),
    }


def test_bad_files_in_every_route(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = bad_files(tmp_path)
    listeners = [earwitness.load(folder / name) for name in ("plain.safetensors", "fitted.onnx")]
    for path, kind, sentence in files.values():
        for listener in listeners:
            for call in (listener.tag, listener.timeline, listener.embed):
                with pytest.raises(kind, match=sentence):
                    call(path)
        if path.is_file():
            for source in (path.read_bytes(), io.BytesIO(path.read_bytes())):
                with pytest.raises(MediaError):
                    listeners[0].tag(source)
    results = list(listeners[0].tag_many([f[0] for f in files.values()], failures="return"))
    assert [type(result) for result in results] == [f[1] for f in files.values()]
    with pytest.raises(MissingError, match="no such file"):
        list(listeners[0].tag_many([f[0] for f in files.values()]))
    files.pop("a folder")  # the command takes those for what is in them
    sounds = tmp_path / "sounds/deep"
    sounds.mkdir(parents=True)
    (sounds / "sound.wav").write_bytes((folder / "sound.wav").read_bytes())
    out = tmp_path / "out"
    named = [*[f[0] for f in files.values()], tmp_path / "sounds"]
    status, said, remarks = command(capsys, "timeline", folder / "fitted.onnx", *named, "--out", out, "--json")
    assert status == 1
    rows = [json.loads(line) for line in said.splitlines()]
    assert [row["media"] for row in rows] == list(map(str, [*named[:-1], sounds / "sound.wav"]))
    assert [row["status"] for row in rows] == ["failed"] * len(files) + ["ok"]
    assert [row["failure_kind"] for row in rows[:-1]] == [f[1].kind for f in files.values()]
    assert [path.name for path in out.iterdir()] == ["sound.json"]
    assert "6 of 7 files gave no sound" in remarks
    long = ("timeline", folder / "plain.safetensors", sounds / "sound.wav", "--cpu-limit-seconds", 1e-6, "--json")
    status, said, _ = command(capsys, *long)
    assert (status, json.loads(said)["failure_kind"]) == (1, "time_limit"), "one file is held to limits, too"


def test_odd_sounds_are_heard(listener: earwitness.Listener, tmp_path: Path) -> None:
    two = listener.timeline(np.array([0.5, 0.5]), sample_rate_hz=16_000, threshold=0.0, min_seconds=0.0)
    assert (two.num_patches, two.is_padded) == (1, True)
    assert two.events[0].stop_seconds == pytest.approx(2 / 16_000, abs=1e-6), "no event is longer than its sound"
    one = listener.timeline(np.array([0.5]), sample_rate_hz=16_000, threshold=0.0, min_seconds=0.0)
    assert "or it is a single sample" in one.warnings[0]
    silent = listener.tag(np.zeros(32_000), sample_rate_hz=16_000)
    assert any("silent" in warning for warning in silent.warnings)
    assert any("silent" in warning for warning in listener.embed(np.zeros(32_000), sample_rate_hz=16_000).warnings)
    many = np.random.default_rng(0).normal(scale=0.1, size=(192_000, 16))
    (tmp_path / "sixteen.txt").write_bytes(wav(many, 192_000, "<f4", 3))  # a wrong suffix
    file, array = listener.tag(tmp_path / "sixteen.txt"), listener.tag(many, sample_rate_hz=192_000)
    np.testing.assert_allclose(file.scores, array.scores, rtol=0, atol=TOLERANCE)
    hours = listener.timeline(np.zeros(16_000 * 1_200, np.int16), sample_rate_hz=16_000, hop_seconds=0.96)
    assert hours.num_patches == 1_249


def test_silence_makes_no_event(
    folder: Path, listener: earwitness.Listener, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the scores are: here every score reaches the threshold."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, round(4.8 * 16_000))
    sound = np.concatenate([noise, np.zeros(9 * 16_000), noise])
    heard = listener.timeline(sound, sample_rate_hz=16_000, threshold=0.0, hop_seconds=0.96)
    assert [(e.label_id, e.start_seconds, e.stop_seconds) for e in heard.events] == [
        *((label, 0.0, pytest.approx(4.8)) for label in LABELS.ids),
        *((label, pytest.approx(13.44), pytest.approx(18.24)) for label in LABELS.ids),
    ]
    assert len(heard.scores) == 19, "the scores are all there"
    files = tmp_path / "half.wav", tmp_path / "silent.wav"
    for file, samples in zip(files, (sound, np.zeros(32_000)), strict=True):
        file.write_bytes(wav(samples, 16_000, "<f4", 3))
    model = folder / "plain.safetensors"
    for arguments in (("tag", model, files[0], "--timeline"), ("timeline", model, files[0], "--hop-seconds", 0.96)):
        _, said, _ = command(capsys, *arguments, "--threshold", 0.0, "--json")
        assert [round(e["start_seconds"], 2) for e in json.loads(said)["events"]] == [0.0] * 3 + [13.44] * 3
    for arguments in (("tag", model, files[1], "--timeline"), ("timeline", model, files[1])):
        _, said, _ = command(capsys, *arguments, "--threshold", 0.0)
        assert said.endswith("nothing sounds, so there are no events\n")


def test_many_are_read_as_they_are_asked_for(listener: earwitness.Listener, folder: Path) -> None:
    taken = []

    def sounds() -> Iterator[Path]:
        for number in range(200):
            taken.append(number)
            yield folder / "sound.wav"

    results = listener.tag_many(sounds())
    assert not taken
    next(results)
    assert len(taken) < 30, "a batch of 64 patches holds 12 clips"


def test_refused(folder: Path, tmp_path: Path) -> None:
    listener = earwitness.load(folder / "fitted.onnx")
    with pytest.raises(SettingsError, match=r"the nearest is 0\.33"):
        listener.timeline(folder / "film.mp4", hop_seconds=0.333)
    for hop in (0.0, -1.0, 5.0, float("nan")):
        with pytest.raises(SettingsError, match=r"multiple of 0.01 s, up to a patch of 0.96 s; the nearest is"):
            listener.timeline(folder / "film.mp4", hop_seconds=hop)
    with pytest.raises(LabelError, match="did you mean 'Bell'"):
        listener.timeline(folder / "film.mp4", labels=("Belll",))
    with pytest.raises(SettingsError, match="for arrays of samples"):
        listener.tag(folder / "film.mp4", sample_rate_hz=16_000)
    with pytest.raises(SettingsError, match="needs 0 <= start_seconds < stop_seconds"):
        listener.tag(np.zeros(9), sample_rate_hz=16_000, start_seconds=3.0, stop_seconds=1.0)
    with pytest.raises(NoSamplesError, match=r"the sound ends at 1\.000 s"):
        listener.tag(np.zeros(16_000), sample_rate_hz=16_000, start_seconds=3.0)
    for sound in (np.ones(16_000), folder / "sound.wav"):
        rate = 16_000 if isinstance(sound, np.ndarray) else None
        with pytest.raises(NoSamplesError, match=r"the range 0.5 to 0.50001 s holds not one sample"):
            listener.tag(sound, sample_rate_hz=rate, start_seconds=0.5, stop_seconds=0.50001)
    for one in (str(folder / "sound.wav"), folder / "sound.wav", b"", np.ones(9), (np.ones(9), 16_000), io.BytesIO()):
        for many in (listener.tag_many, listener.timeline_many, listener.embed_many):
            with pytest.raises(SettingsError, match="one sound came where many are taken"):
                many(one)  # type: ignore[operator]
        with pytest.raises(SettingsError, match="one sound came where many are taken"):
            listener.tag_many(7)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match=r"numpy\.asarray makes an array of it"):
        listener.tag([0.0, 0.1], sample_rate_hz=16_000)  # type: ignore[arg-type]
    for settings, sentence in (
        ({"start_seconds": "a"}, "start_seconds='a' must be a number"),
        ({"stop_seconds": [1]}, r"stop_seconds=\[1\] must be a number"),
        ({"hop_seconds": "x"}, "hop_seconds='x' must be a number"),
        ({"threshold": "high"}, "threshold='high' must be a number"),
        ({"min_seconds": None}, "min_seconds=None must be a number"),
        ({"labels": "Bell"}, r"labels='Bell': .*\('Bell',\)"),
        ({"labels": 3}, "labels=3: "),
    ):
        with pytest.raises(SettingsError, match=sentence):
            listener.timeline(folder / "sound.wav", **settings)  # type: ignore[arg-type]
    for name in ("top", "min_score", "threshold"):
        with pytest.raises(SettingsError, match=f"{name}='a' must be a"):
            listener.tag(folder / "sound.wav", **{name: "a"})  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="hop_seconds='x' must be a number"):
        listener.embed(folder / "sound.wav", hop_seconds="x")  # type: ignore[arg-type]
    for device in (None, 3):
        for name in ("plain.safetensors", "fitted.onnx"):
            with pytest.raises(SettingsError, match=f"device={device} must be text"):
                earwitness.load(folder / name, device=device)  # type: ignore[arg-type]
    for path in (None, "", 3):
        with pytest.raises(ModelError, match="no model is named; give the path"):
            earwitness.load(path)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="exported models run on the CPU"):
        earwitness.load(folder / "fitted.onnx", device="cuda")
    with pytest.raises(SettingsError, match="unknown device 'gpu'"):
        earwitness.load(folder / "plain.safetensors", device="gpu")
    with pytest.raises(SettingsError, match="must be 'raise' or 'return'"):
        listener.tag_many([], failures="ignore")  # type: ignore[arg-type]
    for name in ("missing.safetensors", "missing.onnx", "text.safetensors"):
        (tmp_path / "text.safetensors").write_text("not a model")
        with pytest.raises(ModelError, match=name):
            earwitness.load(tmp_path / name)


def test_a_range_beyond_the_end_is_said(folder: Path, listener: earwitness.Listener, tmp_path: Path) -> None:
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 32_000)
    (tmp_path / "two.wav").write_bytes(wav(sound, 16_000, "<f4", 3))
    for stop, warnings in ((2.05, ()), (5.0, ("ends before stop_seconds",))):
        heard = listener.tag(sound, sample_rate_hz=16_000, start_seconds=0.5, stop_seconds=stop)
        assert heard.warnings == listener.tag(tmp_path / "two.wav", start_seconds=0.5, stop_seconds=stop).warnings
        assert heard.warnings == warnings


def test_floats_far_beyond_full_scale_are_said(listener: earwitness.Listener, tmp_path: Path) -> None:
    for peak, warnings in (
        (0.9, ()),
        (90.0, ()),
        (41_000.0, ("peak 41,000 of full scale 1: were integers made floats without dividing?",)),
    ):
        sound = np.zeros(32_000)
        sound[16_000:] = peak
        (tmp_path / "loud.wav").write_bytes(wav(sound, 16_000, "<f4", 3))
        assert listener.tag(tmp_path / "loud.wav").warnings == warnings


def test_an_exported_model_is_no_model_file(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, said = command(capsys, "export", folder / "fitted.onnx", tmp_path / "again.onnx")
    assert (status, said.count("\n")) == (1, 1)
    assert "fitted.onnx: this is an exported model; give the model file it was made from" in said


def test_who_listens(folder: Path, listener: earwitness.Listener) -> None:
    assert repr(listener) == "Listener(fully_connected, 3 labels, device='cpu')"
    assert repr(earwitness.load(folder / "fitted.onnx")) == "Listener(fully_connected, 3 labels, device='auto')"
    assert [name for name in dir(earwitness) if not name.startswith("_")] == ["Listener", "load"]


def command(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command."""
    from earwitness.cli.main import main

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["earwitness", *map(str, arguments)])
        with pytest.raises(SystemExit) as ending:
            main()
    said = capsys.readouterr()
    return int(ending.value.code or 0), said.out, said.err


def test_timelines_of_a_manifest(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows by their ranges, in the time of the file, under their clip ids; lists of files and manifests."""
    model, film = folder / "plain.safetensors", folder / "film.mp4"
    manifest = tmp_path / "clips.csv"
    manifest.write_text(
        "clip_id,media,labels,start_seconds,stop_seconds,split\n"
        f"a/b.1,{film},/m/1,1.0,3.5,x\nc,{film},/m/1,,,x\nd,{film},/m/1,900,901,x\ne,{film},/m/1,,,y\n"
    )
    asked = ("timeline", model, manifest, "--where", "split = 'x'", "--threshold", 0.3, "--out", tmp_path / "out")
    status, said, remarks = command(capsys, *asked, "--json")
    assert status == 1
    assert "3 clips" in remarks
    rows = [json.loads(line) for line in said.splitlines()]
    assert [(row["clip_id"], row["start_seconds"], row["stop_seconds"], row["status"]) for row in rows] == [
        ("a/b.1", 1.0, 3.5, "ok"),
        ("c", None, None, "ok"),
        ("d", 900.0, 901.0, "failed"),
    ]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a_b.1.json", "c.json"}
    heard = earwitness.load(model).timeline(film, start_seconds=1.0, stop_seconds=3.5, threshold=0.3)
    assert [e["start_seconds"] for e in rows[0]["events"]] == [pytest.approx(e.start_seconds) for e in heard.events]
    (tmp_path / "list.txt").write_text(f"{film}\n{manifest}\n")
    _, said, _ = command(capsys, "timeline", model, "--files-from", tmp_path / "list.txt")
    assert [line.split("  ")[0] for line in said.splitlines() if not line.startswith(" ")] == [
        *(str(film), f"{film} from 0:01.0 to 0:03.5", str(film), f"{film} from 15:00.0 to 15:01.0", str(film)),
    ]


def test_timeline_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Several formats at once, or a folder; scores as CSV; a picture; text."""
    model, film = folder / "plain.safetensors", folder / "film.mp4"
    outs = [tmp_path / f"film.{name}" for name in ("json", "csv", "txt", "vtt", "srt")]
    run(
        *("timeline", model, film, "--hop-seconds", 0.1, "--threshold", 0.3, "--labels", "bell", "/m/1"),
        *("--out", *outs, "--patch-scores", tmp_path / "scores.csv", "--plot", tmp_path / "film.png"),
    )
    events = json.loads(outs[0].read_text())
    assert events["hop_seconds"] == 0.1
    assert {event["label_name"] for event in events["events"]} <= {"Bell", "Dog"}
    with outs[1].open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(events["events"]) == len(outs[2].read_text().splitlines())
    assert outs[3].read_text().startswith("WEBVTT\n")
    with (tmp_path / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["media", "start_seconds", "stop_seconds", "/m/1", "/m/3"]
    assert rows[1]["start_seconds"] == "0.100"
    assert (tmp_path / "film.png").stat().st_size > 10_000
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "film.mp4").write_bytes(film.read_bytes())
    several = (film, folder / "sound.wav", tmp_path / "other" / "film.mp4")
    run(
        "timeline",
        model,
        *several,
        "--out",
        tmp_path / "all",
        "--formats",
        "vtt",
        "srt",
        "--patch-scores",
        tmp_path / "n",
    )
    assert {path.name for path in (tmp_path / "all").iterdir()} == {
        *("film.mp4.vtt", "film.mp4.srt", "film.mp4-2.vtt", "film.mp4-2.srt", "sound.vtt", "sound.srt"),
    }
    assert "Bell" in run("timeline", model, film, "--threshold", 0.0).stdout
    for arguments, sentence in (
        ((*several, "--out", tmp_path / "a.vtt"), "name a folder to take them all"),
        ((film, "--out", tmp_path / "a.doc"), "events are written as .json"),
        ((film, "--out", tmp_path / "b", "--formats", "doc"), "unknown format 'doc'"),
        ((film, "--patch-scores", tmp_path / "a.txt"), ".csv or .npz"),
        ((film, "--out", tmp_path / "a.vtt", tmp_path / "a.vtt"), "would be overwritten"),
        ((film, "--hop-seconds", 0.005), "the nearest is 0.01"),
        ((film, "--keep-share", 0), "above 0 and at most 1"),
        ((film, "--min-seconds", -1), "0 or more"),
        ((), "no file is given"),
    ):
        status, _, said = command(capsys, "timeline", model, *arguments)
        assert (status, said.count("\n")) == (1, 1), said
        assert sentence in said
