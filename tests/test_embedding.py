"""`embed` of media, in all its forms: against the store, against the network by hand, and with bad files."""

import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch

from conftest import MadeSounds
from earwitness.audio.decode import read_waveform
from earwitness.audio.decode_limits import DecodeLimits
from earwitness.audio.frames import waveform_frames
from earwitness.audio.patches import cut_patches
from earwitness.datasets.audioset_embeddings import EmbeddedClip, read_embedded_clips, write_embedded_clips
from earwitness.errors import MediaError, StoreError
from earwitness.evaluation.metrics import rank_labels
from earwitness.front_end import FrontEnd
from earwitness.inference.any_model import patch_embedder, patch_scorer
from earwitness.inference.embed_settings import EmbedSettings
from earwitness.inference.embedder import SILENT, Embedder
from earwitness.inference.embedding_rows import EmbeddingRows, embedding_rows
from earwitness.inference.whitening import dequantise, load_whitening, quantise
from earwitness.labels import NO_LABELS, LabelSet
from earwitness.manifest import write_manifest
from earwitness.models.description import Architecture
from earwitness.models.model_file import Model, load_model, save_model
from earwitness.scoring import embedding_records, embedding_spool
from earwitness.scoring.embedding_clips import manifest_of_sources
from earwitness.scoring.embedding_media import embed_clips
from earwitness.scoring.score_folder import ScoreFolder
from earwitness.store.embeddings import Embeddings
from earwitness.store.read import Store
from in_process import run
from made_media import encode, sweep, wav
from test_cli import refused

ONE_WORKER = DecodeLimits(workers=1)
FILLED_FRONT_END = FrontEnd(patch_hop_frames=48, fill_last_patch=True)  # YAMNet's


def made_model(front_end: FrontEnd | None = None) -> Model:
    architecture = Architecture(name="fully_connected", arguments={"num_labels": 2, "num_units": 8, "num_layers": 1})
    torch.manual_seed(0)
    return Model(
        network=architecture.build().eval(),
        architecture=architecture,
        label_set=LabelSet.of(["a", "b"]),
        front_end=front_end or FrontEnd(),
    )


@pytest.fixture(scope="module")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_model(made_model(), path)
    return path


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of good and bad media."""
    folder = tmp_path_factory.mktemp("media")
    sound = (sweep(16_000, 3.0, channels=1)[0] * 32_767).astype(np.int16)
    (folder / "good.wav").write_bytes(wav(sound, 16_000))
    (folder / "high.wav").write_bytes(wav(np.repeat(sound, 12), 192_000))
    (folder / "many.wav").write_bytes(wav(np.repeat(sound[:, None], 16, axis=1), 16_000))
    (folder / "one.wav").write_bytes(wav(sound[:1], 16_000))
    (folder / "silent.wav").write_bytes(wav(np.zeros(32_000, np.int16), 16_000))
    (folder / "empty.wav").write_bytes(b"")
    (folder / "nothing.wav").write_bytes(wav(sound[:0], 16_000))
    (folder / "text.mp3").write_text("this is no sound")
    (folder / "wrong.mp4").write_bytes(wav(sound, 16_000))
    (folder / "below").mkdir()
    encode(folder / "below" / "film.mp4", "aac", 16_000, sweep(16_000, 2.0), with_video=True)
    soundless(folder / "below" / "soundless.mp4")
    return folder


def soundless(path: Path) -> None:
    """A video without any sound."""
    import av

    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for _ in range(25):
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((72, 64), np.uint8), format="yuv420p")))
        container.mux(video.encode(None))


def all_rows(embedder: Embedder, source: object, per: str, **span: float) -> EmbeddingRows:
    with embedder.embed(source, **span) as stream:
        pieces = list(embedding_rows(stream, per=per))
    return EmbeddingRows(
        **{name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in vars(pieces[0])}
    )


def test_embeddings_are_the_network_s_of_the_patches(media: Path) -> None:
    """By hand: waveform, frames, patches, `embed` of the network; of a path, of bytes and of an open file."""
    model, path = made_model(), media / "good.wav"
    waveform = read_waveform(path)
    patches = cut_patches(waveform_frames(waveform, front_end=model.front_end), front_end=model.front_end)
    with torch.inference_mode():
        expected = model.network.embed(torch.from_numpy(patches.astype(np.float32))).numpy()
    embedder = Embedder(model, device="cpu")
    with path.open("rb") as file:
        for source in (path, path.read_bytes(), file):
            rows = all_rows(embedder, source, "patch")
            np.testing.assert_allclose(rows.embeddings, expected, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(rows.start_seconds, [0, 0.96, 1.92])
            np.testing.assert_allclose(rows.stop_seconds, [0.96, 1.92, 2.88])


@pytest.mark.parametrize("front_end", [FrontEnd(), FILLED_FRONT_END], ids=["paper", "filled"])
@pytest.mark.parametrize("hop", [None, 7, 96])
@pytest.mark.parametrize("seconds", [0.3, 0.99, 2.5, 22.2, 70.0])
def test_seconds_and_clips_against_a_slow_mean(front_end: FrontEnd, hop: int | None, seconds: float) -> None:
    """Every patch counts in every second by how long it overlaps it, second for second and patch for patch."""
    embedder = Embedder(made_model(front_end), device="cpu", patch_hop_frames=hop)
    sound = wav((sweep(16_000, seconds, channels=1)[0] * 32_767).astype(np.int16), 16_000)
    patches = all_rows(embedder, sound, "patch")
    by_second = all_rows(embedder, sound, "second")
    covered = min(patches.start_seconds[-1] + 0.96, seconds)
    assert len(by_second.start_seconds) == max(1, int(covered + 0.5))
    for row, second in enumerate(by_second.start_seconds):
        assert second == row
        weights = [max(0.0, min(start + 0.96, row + 1) - max(start, row)) for start in patches.start_seconds]
        expected = np.average(patches.embeddings.astype(np.float64), axis=0, weights=weights)
        np.testing.assert_allclose(by_second.embeddings[row], expected, rtol=1e-5, atol=1e-6)
    assert by_second.stop_seconds[-1] <= seconds + 1e-9
    clip = all_rows(embedder, sound, "clip")
    np.testing.assert_allclose(
        clip.embeddings[0], patches.embeddings.mean(axis=0, dtype=np.float64), rtol=1e-5, atol=1e-6
    )
    assert (clip.start_seconds[0], clip.stop_seconds[0]) == (0, pytest.approx(covered))


def test_a_range_keeps_the_time_of_its_media(media: Path) -> None:
    rows = all_rows(Embedder(made_model(), device="cpu"), media / "good.wav", "second", start_seconds=1.0)
    np.testing.assert_allclose(rows.start_seconds, [1, 2])
    np.testing.assert_allclose(rows.stop_seconds, [2, 3])


def test_what_is_said_of_a_clip(media: Path) -> None:
    embedder = Embedder(made_model(), device="cpu")
    with embedder.embed(media / "silent.wav") as silent:
        assert len(list(silent)) == 1
    assert silent.warnings == (SILENT,)
    assert (silent.seconds, silent.num_patches, silent.is_padded) == (2.0, 2, False)
    with embedder.embed(media / "one.wav") as short:
        [patches] = short
    assert short.is_padded
    assert patches.embeddings.shape == (1, 8)
    with pytest.raises(MediaError), embedder.embed(media / "text.mp3") as stream:
        list(stream)


# The command


def test_a_folder_of_good_and_bad_media(model_path: Path, media: Path, tmp_path: Path) -> None:
    """Each bad file is a line with a reason; all others are there, in order, and one bad file harms no other."""
    out = tmp_path / "o.parquet"
    said = run("embed", model_path, media, out, "--workers", 2)
    assert "of 7 of 11 clips" in said.stdout
    table = pyarrow.parquet.read_table(out)
    assert list(table["media"].unique().to_pylist()) == [
        str(media / name)
        for name in ("below/film.mp4", "good.wav", "high.wav", "many.wav", "one.wav", "silent.wav", "wrong.mp4")
    ]
    failures = (tmp_path / "o.parquet.failures.csv").read_text().splitlines()
    kinds = {line.split(",")[0].rpartition("/")[2]: line.split(",")[2] for line in failures[1:]}
    assert kinds == {
        "soundless.mp4": "no_audio",
        "empty.wav": "undecodable",
        "nothing.wav": "no_samples",
        "text.mp3": "undecodable",
    }
    assert "2 clips came with a warning" in said.stderr
    assert "4 of 11 clips gave no sound" in said.stderr
    embedder = Embedder(load_model(model_path), device="cpu")
    for name in ("good.wav", "high.wav", "below/film.mp4"):
        rows = table.filter(pa.compute.equal(table["media"], str(media / name)))
        expected = all_rows(embedder, media / name, "patch")
        came = np.stack(rows["embedding"].to_numpy(zero_copy_only=False))
        np.testing.assert_allclose(came, expected.embeddings, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(rows["start_seconds"].to_numpy(), expected.start_seconds)
    made = json.loads((tmp_path / "o.parquet.made.json").read_text())
    assert (made["num_failed"], made["num_rows"]) == (4, table.num_rows)
    assert not (tmp_path / "o.parquet.unfinished").exists()
    assert "complete already" in run("embed", model_path, media, out).stdout
    refused(
        "embed", model_path, media, out, "--per", "clip", saying="made otherwise (per: patch there, clip now); choose"
    )


def test_nothing_but_bad_media(model_path: Path, media: Path, tmp_path: Path) -> None:
    from test_cli import main  # the same entry point

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "sys.argv", ["earwitness", "embed", str(model_path), str(media / "text.mp3"), str(tmp_path / "o")]
        )
        with pytest.raises(SystemExit) as ending:
            main()
    assert ending.value.code == 1
    assert "is a text file" in (tmp_path / "o" / "failures.csv").read_text()
    assert not (tmp_path / "o" / "embeddings.npy").exists()


def test_media_and_store_give_the_same_folder(
    model_path: Path, made_sounds: MadeSounds, made_store: Store, tmp_path: Path
) -> None:
    """The same embeddings, byte for byte, the same clips and fingerprint: so `train` learns the same."""
    write_manifest(made_sounds.manifest, tmp_path / "m.parquet")
    run("embed", model_path, tmp_path / "m.parquet", tmp_path / "media", "--workers", 2)
    run("embed", model_path, made_store.folder, tmp_path / "store")
    headers = [json.loads((tmp_path / name / "embeddings.json").read_text()) for name in ("media", "store")]
    assert headers[0].pop("store") is None
    assert headers[1].pop("store") == str(made_store.folder)
    assert headers[0] == headers[1]
    ours, theirs = ((tmp_path / name / "embeddings.npy").read_bytes() for name in ("media", "store"))
    assert ours == theirs
    ours, theirs = (pyarrow.parquet.read_table(tmp_path / name / "clips.parquet") for name in ("media", "store"))
    for name in set(ours.column_names) - {"labels"}:
        assert ours[name].to_pylist() == theirs[name].to_pylist(), name
    said = run("train", tmp_path / "media", tmp_path / "run", "--steps", 3, "--batch-size", 8).stdout
    assert "3 steps" in said
    learnt = tmp_path / "run" / "model.safetensors"
    run("score", learnt, tmp_path / "media", tmp_path / "by embeddings")
    run("score", learnt, made_store.folder, tmp_path / "by frames")
    scores = [ScoreFolder.open(tmp_path / f"by {what}").source.clip_block(0, 1) for what in ("embeddings", "frames")]
    np.testing.assert_allclose(*scores, rtol=0, atol=1e-6)
    refused(
        "evaluate", model_path, tmp_path / "media", saying="holds embeddings, and the store is needed that they are"
    )
    assert "complete already" in run("embed", model_path, tmp_path / "m.parquet", tmp_path / "media").stdout
    refused("embed", model_path, made_sounds.folder, tmp_path / "store", saying="are there already; choose another")
    refused(
        "embed", model_path, made_store.folder, tmp_path / "s", "--per", "second", "--quantise",
        saying="--per second, --quantise is for files",
    )  # fmt: skip


def test_files_of_a_store_and_of_media_agree(
    model_path: Path, made_sounds: MadeSounds, made_store: Store, tmp_path: Path
) -> None:
    model, settings = load_model(model_path), EmbedSettings(per="second", patch_hop_frames=24)
    for source, name in ((made_sounds.manifest, "media.npy"), (made_store, "store.npy")):
        embed_clips(model, source, tmp_path / name, settings=settings, limits=ONE_WORKER, device="cpu")
    ours, theirs = (np.load(tmp_path / name) for name in ("media.npy", "store.npy"))
    np.testing.assert_array_equal(ours, theirs)
    tables = [pyarrow.parquet.read_table(tmp_path / f"{name}.npy.rows.parquet") for name in ("media", "store")]
    assert tables[0].equals(tables[1])
    assert tables[0].num_rows == len(ours)


def test_pca_fit_and_8_bits(model_path: Path, made_store: Store, tmp_path: Path) -> None:
    """What `fit` writes makes the same numbers when it is named; records hold the 8 bits of what NumPy holds."""
    raw, white, again, shards = (tmp_path / name for name in ("raw.npy", "w.npy", "a.npy", "r.tfrecord"))
    run("embed", model_path, made_store.folder, raw)
    run("embed", model_path, made_store.folder, white, "--pca", "fit", "--pca-size", 3)
    pca = tmp_path / "w.npy.pca.safetensors"
    run("embed", model_path, made_store.folder, again, "--pca", pca)
    whitened = np.load(white)
    np.testing.assert_array_equal(whitened, np.load(again))
    np.testing.assert_allclose(np.cov(whitened.T), np.eye(3), atol=1e-4)
    np.testing.assert_array_equal(whitened, load_whitening(pca).apply(np.load(raw)).astype(np.float32))
    assert load_whitening(pca).provenance["num_embeddings"] == len(whitened)
    said = run("embed", model_path, made_store.folder, shards, "--pca", pca, "--quantise", "--shards", 2).stdout
    assert "8 bits cut off" in said
    clips = [clip for n in range(2) for clip in read_embedded_clips(tmp_path / f"r-{n:05d}-of-00002.tfrecord")]
    np.testing.assert_array_equal(np.concatenate([clip.embeddings for clip in clips]), quantise(whitened))
    assert [clip.video_id for clip in clips] == made_store.clips["clip_id"].to_pylist()
    labels = np.split(made_store.label_indices, made_store.label_offsets[1:-1])
    assert [list(clip.labels) for clip in clips] == [list(indices) for indices in labels]
    assert (tmp_path / "r.tfrecord.labels.csv").read_text().splitlines()[1] == "0,click,click"


def test_interrupted_work_goes_on(model_path: Path, made_sounds: MadeSounds, tmp_path: Path) -> None:
    """Stopped after some clips, with rows and a line behind the last whole one: the same bytes in the end."""
    model, settings = load_model(model_path), EmbedSettings(per="second")
    clips = made_sounds.manifest.take(np.arange(8))

    def embed(name: str, progress: object = None) -> object:
        return embed_clips(model, clips, tmp_path / name, settings=settings, limits=ONE_WORKER, progress=progress)

    embed("whole.npy")

    def stop(num_done: int, _: int) -> None:
        if num_done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed("o.npy", stop)
    folder = tmp_path / "o.npy.unfinished"
    (folder / "frames/of a process that was killed").mkdir(parents=True)
    (folder / "frames/of a process that was killed/0").write_bytes(bytes(1_000))

    def see(num_done: int, _: int) -> None:
        assert [path for path in folder.rglob("*") if "killed" in path.name] == []

    with (folder / "rows.f32").open("ab") as rows, (folder / "clips.jsonl").open("ab") as lines:
        rows.write(os.urandom(1_001))
        lines.write(b'{"clip": 9, "first_row"')
    with pytest.raises(StoreError, match=r"unfinished work of another kind .*per: second there, clip now"):
        embed_clips(model, clips, tmp_path / "o.npy", settings=EmbedSettings(per="clip"), limits=ONE_WORKER)
    assert embed("o.npy", see).num_resumed == 5
    assert (tmp_path / "o.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert not folder.exists()


def test_a_write_of_a_part_is_gone_on_with() -> None:
    """A file may take fewer bytes than it was given, and a full disk takes none of the rest."""

    class Slow(io.RawIOBase):
        written = b""

        def write(self, content: Any) -> int:
            self.written += bytes(content[:3])
            return min(3, len(content))

    file, numbers = Slow(), np.arange(5, dtype="<f4").reshape(1, 5)
    embedding_spool._write(file, numbers)  # type: ignore[arg-type]
    assert file.written == numbers.tobytes()


def test_bad_words(model_path: Path, media: Path, made_store: Store, tmp_path: Path) -> None:
    good, out = media / "good.wav", tmp_path / "o"
    pca = tmp_path / "pca.npz"
    np.savez(pca, pca_eigen_vectors=np.eye(128), pca_means=np.zeros(128))
    refused("embed", model_path, good, saying="1 name given after the model; name what to embed")
    refused("embed", model_path, good, media / "new.wav", saying="the last name says where embeddings go")
    refused("embed", model_path, good, f"{out}.csv", saying="embeddings are not written so; it is a folder, or ends in")
    refused("embed", model_path, good, f"{out}.tfrecord", saying="has 8 bits a number; give --quantise")
    refused(
        "embed", model_path, good, f"{out}.npy", "--pca", pca, saying="for embeddings of 128 numbers, and the model"
    )
    refused("embed", model_path, good, f"{out}.npy", "--pca", good, saying="not a readable .npz or .safetensors")
    refused("embed", model_path, good, f"{out}.npy", "--pca-size", 3, saying="pca_size=3 is for --pca fit")
    refused("embed", model_path, good, f"{out}.npy", "--shards", 3, saying="shards=3 is for OUT.tfrecord")
    refused("embed", model_path, good, f"{out}.npy", "--patch-hop-frames", 0, saying="patch_hop_frames=0")
    refused("embed", model_path, good, good, f"{out}.npy", saying="it is named twice")
    refused("embed", model_path, good, made_store.folder, f"{out}.npy", saying="a store is embedded by itself")
    refused("embed", model_path, good, tmp_path / "m.csv", f"{out}.npy", saying="a manifest is embedded by itself")
    refused("embed", model_path, tmp_path / "m.csv", f"{out}.npy", saying="m.csv")
    refused("embed", model_path, good, good, saying="the last name says where embeddings go")
    (tmp_path / "none").mkdir()
    refused("embed", model_path, tmp_path / "none", f"{out}.npy", saying="no media file lies in this folder")
    odd = os.fsdecode(b"\xff.wav")
    refused("embed", model_path, odd, f"{out}.npy", saying="\\xff.wav: the name is no UTF-8 text, as names of clips")
    (tmp_path / "taken.npy").write_bytes(b"")
    refused("embed", model_path, good, tmp_path / "taken.npy", saying="or another file, are there already")
    shutil.copytree(media / "below", tmp_path / "full")
    refused("embed", model_path, good, tmp_path / "full", saying="not empty and holds no embeddings")
    refused("embed", model_path, good, tmp_path / "taken.npy" / "o.npy", saying="is a file; choose another name")


def test_refusals_come_first_and_leave_nothing(model_path: Path, media: Path, tmp_path: Path) -> None:
    """What cannot be written is said before anything is embedded; nothing lies about afterwards."""
    good, out = media / "good.wav", tmp_path / "o"
    full, taken = tmp_path / "full", tmp_path / "taken"
    full.mkdir()
    (full / "mine.txt").touch()
    taken.touch()
    (tmp_path / "m.csv").write_text(f"media,is_padded\n{good},1\n")
    there = set(tmp_path.rglob("*"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Embedder, "embed_frames", None)
        for name in ("e.xlsx", "e.parqet"):
            refused("embed", model_path, good, tmp_path / name, saying="it is a folder, or ends in .parquet, .npy")
        refused("embed", model_path, good, full, saying="not empty and holds no embeddings")
        refused("embed", model_path, good, taken, saying="this is a file; choose another name")
        refused("embed", model_path, tmp_path / "m.csv", out, saying="column 'is_padded' is one that embeddings add")
        refused("embed", model_path, good, f"{out}.npy", "--pca", "fit", "--pca-size", 9_999, saying="have 8 numbers")
    refused("records", tmp_path / "nope", out, saying="nope")
    refused("records", tmp_path / "nope", full, saying="not empty and holds no embeddings")
    assert set(tmp_path.rglob("*")) == there
    said = run("embed", model_path, media / "one.wav", tmp_path / "o.npy").stdout
    assert "o.npy: 1 embedding of 8 numbers, of 1 of 1 clip" in said
    (tmp_path / "o.npy").unlink()
    assert "complete already" not in run("embed", model_path, media / "one.wav", tmp_path / "o.npy").stdout


# Published embeddings


def test_learning_from_real_shards(data_dir: Path, tmp_path: Path) -> None:
    """Both shards with Audio Set's labels: what is learnt classifies embeddings, and says that it hears nothing."""
    audioset = data_dir / "audioset"
    labels = ("--label-set", audioset / "class_labels_indices.csv")
    said = run("records", audioset / "embeddings", tmp_path / "e", *labels).stdout
    assert "6,485 embeddings of 650 clips, from 2 files; 235 labels" in said
    clips = pyarrow.parquet.read_table(tmp_path / "e" / "clips.parquet")
    embeddings = np.load(tmp_path / "e" / "embeddings.npy")
    expected = [
        clip for name in ("rm", "xI") for clip in read_embedded_clips(audioset / "embeddings" / f"{name}.tfrecord")
    ]
    assert (embeddings == dequantise(np.concatenate([clip.embeddings for clip in expected]))).all()
    ids = LabelSet.of(
        [row.split(",")[1] for row in (audioset / "class_labels_indices.csv").read_text().splitlines()[1:]]
    )
    assert clips["labels"].to_pylist() == [[ids.ids[label] for label in clip.labels] for clip in expected]
    said = run("train", tmp_path / "e", tmp_path / "run", "--steps", 100, "--num-layers", 1, "--num-units", 64).stdout
    m_ap = float(said.partition("mAP ")[2].split()[0].rstrip(",;"))
    assert m_ap > 0.1  # of 82 labels among the clips watched; chance is 0.02
    refused("tag", tmp_path / "run" / "model.safetensors", __file__, saying="it hears nothing; give that network to")
    refused("embed", tmp_path / "run" / "model.safetensors", __file__, tmp_path / "o", saying="it hears nothing")
    assert f"next: earwitness evaluate {tmp_path}/run/model.safetensors {tmp_path}/e" in said
    told = json.loads(run("evaluate", tmp_path / "run" / "model.safetensors", tmp_path / "e", "--json").stdout)
    assert told["is_same_corpus"]
    with torch.inference_mode():
        by_hand = torch.sigmoid(
            load_model(tmp_path / "run" / "model.safetensors").network(torch.from_numpy(embeddings))
        )
    firsts = clips["first_patch"].to_pylist()
    of_clips = np.stack([part.mean(axis=0) for part in np.split(by_hand.numpy(), firsts[1:])])
    ranking = rank_labels(of_clips, Embeddings.open(tmp_path / "e").targets(np.arange(len(firsts))))
    m_ap = np.nanmean(ranking.average_precision[~np.isnan(ranking.auc)])
    assert told["model"]["mean_average_precision"] == pytest.approx(m_ap, abs=1e-5)
    assert any("evaluated clips were learnt from" in note for note in told["notes"])


def test_learning_from_records_with_the_network_that_made_them(
    media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A narrow VGGish stands for the published one: embedded, written as records, learnt from, and it tags media."""
    arguments = {"num_labels": 1, "patch_frames": 96, "num_bands": 64, "width": 0.05, "whiten": True}
    architecture = Architecture(name="vggish", arguments=arguments)
    torch.manual_seed(0)
    network = architecture.build().eval()
    with torch.no_grad():
        network.whitening.weight.mul_(3)
    vggish = Model(network=network, architecture=architecture, label_set=NO_LABELS, front_end=FrontEnd())
    save_model(vggish, tmp_path / "v.safetensors")
    size = network.embedding_size
    patches = np.random.default_rng(0).normal(-2, 1, (40, 96, 64)).astype(np.float16)
    numbers = patch_embedder(vggish, device="cpu")(patches)
    clips = [
        EmbeddedClip(video_id=f"v{n}", start_seconds=0.0, stop_seconds=10.0, labels=(n % 2,), embeddings=rows)
        for n, rows in enumerate(quantise(numbers).reshape(10, 4, size))
    ]
    write_embedded_clips(tmp_path / "a.tfrecord", clips)
    (tmp_path / "labels.txt").write_text("even\nodd\n")
    labels = ("--label-set", tmp_path / "labels.txt", "--vggish", tmp_path / "v.safetensors")
    refused(
        "records", tmp_path / "a.tfrecord", tmp_path / "e", *labels, saying=f"a vggish that gives {size} numbers does"
    )
    monkeypatch.setattr(embedding_records, "EMBEDDING_SIZE", size)
    run("records", tmp_path / "a.tfrecord", tmp_path / "e", *labels)
    np.testing.assert_allclose(np.load(tmp_path / "e" / "embeddings.npy"), numbers, rtol=0, atol=4 / 512 + 1e-5)
    run("train", tmp_path / "e", tmp_path / "run", "--steps", 3, "--batch-size", 8, "--validation-share", 0)
    learnt = tmp_path / "run" / "model.safetensors"
    whole = patch_scorer(load_model(learnt), device="cpu")(patches).reshape(10, 4, 2).mean(axis=1)
    run("score", learnt, tmp_path / "e", tmp_path / "scores")
    scores = ScoreFolder.open(tmp_path / "scores").source.clip_block(0, 10)
    np.testing.assert_allclose(scores, whole, rtol=0, atol=0.01)  # but for 8 bits
    run("evaluate", learnt, tmp_path / "e", "--report", tmp_path / "report", "--resamples", 0)
    refused("evaluate", tmp_path / "v.safetensors", tmp_path / "e", saying="holds embeddings, and the store is needed")
    refused("score", learnt, tmp_path / "e", tmp_path / "s", "--patch-hop-frames", 48, saying="embeddings every 96")
    refused("score", learnt, tmp_path / "e", tmp_path / "s", "--engine", "ray", saying="is for stores")
    tagged = run("tag", learnt, media / "good.wav", "--json").stdout
    assert {tag["label_name"] for tag in json.loads(tagged)["tags"]} == {"even", "odd"}


def test_sources_become_one_manifest(media: Path) -> None:
    manifest = manifest_of_sources([str(media / "below"), str(media / "good.wav"), "https://example.org/a.mp3"])
    below = [str(media / "below" / name) for name in ("film.mp4", "soundless.mp4")]
    assert manifest.table["clip_id"].to_pylist() == [*below, str(media / "good.wav"), "https://example.org/a.mp3"]
