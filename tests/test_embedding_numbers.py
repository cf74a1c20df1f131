"""TFRecord files, Audio Set's layout, PCA whitening and 8 bits."""

import struct
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from earwitness.datasets.audioset_embeddings import EmbeddedClip, read_embedded_clips, write_embedded_clips
from earwitness.datasets.tfrecords import read_records, write_records
from earwitness.errors import RecordError, SettingsError
from earwitness.inference.whitening import (
    Whitening,
    WhiteningFit,
    dequantise,
    load_whitening,
    quantise,
    save_whitening,
)
from test_cli import refused

SHARDS = ("rm", "xI")
NUM_CLIPS = {"rm": 328, "xI": 322}

STEP = 4 / 255
"""Of 8 bits between -2 and 2."""


def varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[place] & 127) << shift
        place, shift = place + 1, shift + 7
        if data[place - 1] < 128:
            return value, place


def fields(data: bytes) -> list[tuple[int, object]]:
    """Number and value of each field of a Protocol Buffers message, from its encoding; no library."""
    place, found = 0, []
    while place < len(data):
        key, place = varint(data, place)
        if key & 7 == 0:
            value, place = varint(data, place)
        else:
            size, place = varint(data, place) if key & 7 == 2 else ({1: 8, 5: 4}[key & 7], place)
            value, place = data[place : place + size], place + size
        found.append((key >> 3, value))
    return found


def parsed_by_hand(path: Path) -> list[dict[str, object]]:
    """The records of a shard in Audio Set's layout, without a library."""
    data, place, clips = path.read_bytes(), 0, []
    while place < len(data):
        (size,) = struct.unpack_from("<Q", data, place)
        record, place = data[place + 12 : place + 12 + size], place + 16 + size
        parts = dict(fields(record))
        context = {}
        for _, entry in fields(parts[1]):
            [(_, name), (_, feature)] = fields(entry)
            context[name.decode()] = fields(fields(feature)[0][1])
        [(_, entry)] = fields(parts[2])
        [(_, name), (_, features)] = fields(entry)
        assert name == b"audio_embedding"
        labels, at = [], 0
        for _, packed in context["labels"]:
            while at < len(packed):
                label, at = varint(packed, at)
                labels.append(label)
        clips.append(
            {
                "video_id": context["video_id"][0][1].decode(),
                "start": struct.unpack("<f", context["start_time_seconds"][0][1])[0],
                "stop": struct.unpack("<f", context["end_time_seconds"][0][1])[0],
                "labels": labels,
                "rows": [fields(fields(feature)[0][1])[0][1] for _, feature in fields(features)],
            }
        )
    return clips


def as_dict(clip: EmbeddedClip) -> dict[str, object]:
    return {
        "video_id": clip.video_id,
        "start": clip.start_seconds,
        "stop": clip.stop_seconds,
        "labels": list(clip.labels),
        "rows": [row.tobytes() for row in clip.embeddings],
    }


@pytest.mark.parametrize("shard", SHARDS)
def test_real_shards_are_read_whole_and_survive_a_round_trip(data_dir: Path, tmp_path: Path, shard: str) -> None:
    path = data_dir / "audioset" / "embeddings" / f"{shard}.tfrecord"
    clips = list(read_embedded_clips(path))
    by_hand = parsed_by_hand(path)
    assert len(clips) == NUM_CLIPS[shard]
    assert [as_dict(clip) for clip in clips] == by_hand
    copy = tmp_path / "copy.tfrecord"
    assert write_embedded_clips(copy, clips) == len(clips)
    assert [as_dict(clip) for clip in read_embedded_clips(copy)] == by_hand == parsed_by_hand(copy)


def made_clips(num_clips: int = 3, size: int = 128) -> list[EmbeddedClip]:
    rng = np.random.default_rng(0)
    return [
        EmbeddedClip(
            video_id=f"vidéo-{number}",
            start_seconds=float(10 * number),
            stop_seconds=float(10 * number + 10),
            labels=tuple(range(number)),
            embeddings=rng.integers(0, 256, (number + 1, size), dtype=np.uint8),
        )
        for number in range(num_clips)
    ]


def test_made_clips_survive_a_round_trip(tmp_path: Path) -> None:
    path, clips = tmp_path / "a.tfrecord", made_clips()
    write_embedded_clips(path, clips)
    assert [as_dict(clip) for clip in read_embedded_clips(path)] == [as_dict(clip) for clip in clips]
    assert parsed_by_hand(path)[1:] == [as_dict(clip) for clip in clips[1:]]


def test_a_record_on_disk_is_as_tensorflow_writes_it(tmp_path: Path) -> None:
    """Length, masked checksum, bytes, masked checksum: the mask from TensorFlow's crc32c.h, the sum from a library."""

    def mask(data: bytes) -> int:
        checksum = google_crc32c.value(data)
        return (((checksum >> 15) | (checksum << 17)) + 0xA282EAD8) & 0xFFFFFFFF

    write_records(tmp_path / "a", [b"foo"])
    length = struct.pack("<Q", 3)
    assert (tmp_path / "a").read_bytes() == length + struct.pack("<I", mask(length)) + b"foo" + struct.pack(
        "<I", mask(b"foo")
    )


@given(st.lists(st.binary(max_size=50)))
def test_any_records_survive_a_round_trip(tmp_path_factory: pytest.TempPathFactory, records: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("records") / "a"
    assert write_records(path, records) == len(records)
    assert list(read_records(path)) == records


def test_every_flipped_bit_is_refused_with_its_record(tmp_path: Path) -> None:
    path = tmp_path / "a.tfrecord"
    write_records(path, [b"first record", b"the second"])
    content = path.read_bytes()
    for place in range(len(content)):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            number = 1 if place < 12 + 12 + 4 else 2
            with pytest.raises(RecordError, match=rf"a\.tfrecord: record {number}: .*(damaged|no TFRecord)"):
                list(read_records(path))


def test_every_cut_off_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tfrecord"
    write_records(path, [b"first record", b"the second"])
    content = path.read_bytes()
    for size in set(range(len(content))) - {0, 28}:
        path.write_bytes(content[:size])
        with pytest.raises(RecordError, match=rf"record {1 if size < 28 else 2} is cut off"):
            list(read_records(path))


@pytest.mark.parametrize(
    ("content", "saying"),
    [
        (b"RIFF....WAVEfmt ", "record 1: .* this is no TFRecord file"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\0\0\0\0", "compressed by gzip; unpack"),
        (b"text", "record 1 is cut off"),
    ],
)
def test_foreign_files_are_refused(tmp_path: Path, content: bytes, saying: str) -> None:
    (tmp_path / "a.tfrecord").write_bytes(content)
    with pytest.raises(RecordError, match=saying):
        list(read_records(tmp_path / "a.tfrecord"))


def test_what_is_not_there_or_a_folder_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(RecordError, match="cannot be read"):
            list(read_records(path))


@pytest.mark.parametrize(
    ("record", "saying"),
    [
        (b"no message", "record 1: it is no SequenceExample"),
        (b"", "has no audio_embedding; it has nothing. Audio Set's layout"),
        (bytes.fromhex("0a0c0a0a0a05696d61676512010a"), "no SequenceExample|has no audio_embedding"),
    ],
)
def test_records_of_other_layouts_are_refused(tmp_path: Path, record: bytes, saying: str) -> None:
    write_records(tmp_path / "a.tfrecord", [record])
    with pytest.raises(RecordError, match=saying):
        list(read_embedded_clips(tmp_path / "a.tfrecord"))


# PCA and 8 bits


def test_quantising_by_hand() -> None:
    """floor((x + 2) * 255 / 4): 0 is 127.5, cut to 127; what lies beyond is cut off."""
    numbers = np.array([-3.0, -2.0, -2 + STEP * 0.99, -2 + STEP * 1.01, 0.0, 1.0, 2.0, 7.5])
    assert quantise(numbers).tolist() == [0, 0, 0, 1, 127, 191, 255, 255]
    np.testing.assert_allclose(
        dequantise(np.array([0, 127, 255], np.uint8)), [-2 + 4 / 512, 127 * STEP - 2 + 4 / 512, 2 + 4 / 512], rtol=1e-6
    )


@given(st.integers(0, 255))
def test_8_bits_survive_the_way_back_and_forth(number: int) -> None:
    assert quantise(dequantise(np.array([number], np.uint8))).item() == number


@given(st.floats(-2, 2))
def test_the_way_back_is_off_by_half_a_step_and_a_little(number: float) -> None:
    back = dequantise(quantise(np.array([number]))).item()
    assert abs(back - number) <= 4 / 512 + 1e-6


def test_published_parameters_against_the_released_code(data_dir: Path) -> None:
    """`vggish_postprocess.py`, line by line: np.dot(matrix, (embeddings.T - means)).T, clip, scale, astype."""
    path = data_dir / "reference" / "vggish_pca_params.npz"
    embeddings = np.random.default_rng(0).random((50, 128)).astype(np.float32)
    with np.load(path) as file:
        matrix, means = file["pca_eigen_vectors"], file["pca_means"].reshape(-1, 1)
    expected = np.dot(matrix, (embeddings.T - means)).T
    whitening = load_whitening(path)
    whitened = whitening.apply(embeddings)
    np.testing.assert_allclose(whitened, expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    clipped = np.clip(expected, -2.0, +2.0)
    assert (quantise(whitened) == ((clipped + 2.0) * (255.0 / 4.0)).astype(np.uint8)).all()
    assert (whitening.input_size, whitening.output_size) == (128, 128)


def some_embeddings() -> np.ndarray:
    """With a mean that is large beside what varies, and dependent numbers."""
    rng = np.random.default_rng(1)
    return 1_000 + rng.normal(size=(400, 3)) @ rng.normal(size=(3, 6)) + 0.1 * rng.normal(size=(400, 6))


def test_a_fit_against_scikit_learn() -> None:
    embeddings = some_embeddings()
    fit = WhiteningFit(6)
    for block in np.array_split(embeddings, [1, 7, 7, 200]):
        fit.push(block)
    for size in (None, 2):
        ours = fit.finish(num_kept=size).apply(embeddings)
        theirs = PCA(n_components=size, whiten=True).fit_transform(embeddings)
        np.testing.assert_allclose(np.abs(ours), np.abs(theirs), rtol=0, atol=1e-6)
    np.testing.assert_allclose(np.cov(fit.finish().apply(embeddings).T), np.eye(6), rtol=0, atol=1e-8)


def test_blocks_do_not_show_in_a_fit() -> None:
    embeddings = some_embeddings()
    whole, pieces = WhiteningFit(6), WhiteningFit(6)
    whole.push(embeddings)
    for row in embeddings:
        pieces.push(row[None])
    a, b = whole.finish(), pieces.finish()
    np.testing.assert_allclose(a.means, b.means, rtol=1e-12)
    np.testing.assert_allclose(a.matrix, b.matrix, rtol=0, atol=1e-6)


def test_a_fit_by_hand() -> None:
    """Two numbers of variance 4 and 1 that do not depend on one another: each divided by its deviation."""
    fit = WhiteningFit(2)
    fit.push(np.array([[2.0, 0], [-2, 0], [0, 1], [0, -1]]) * np.sqrt(1.5) + 5)
    whitening = fit.finish()
    np.testing.assert_allclose(whitening.means, [5, 5])
    np.testing.assert_allclose(whitening.matrix, [[1 / 2, 0], [0, 1]], atol=1e-12)
    assert whitening.provenance["num_embeddings"] == 4


def test_directions_without_variance_are_left_out() -> None:
    embeddings = np.repeat(some_embeddings()[:, :2], 2, axis=1)
    fit = WhiteningFit(4)
    fit.push(embeddings)
    assert fit.finish().output_size == 2
    with pytest.raises(SettingsError, match=r"3 numbers cannot be kept .* vary in 2 directions of 4"):
        fit.finish(num_kept=3)
    with pytest.raises(SettingsError, match="fitted to 0 embeddings; at least 2"):
        WhiteningFit(4).finish()
    constant = WhiteningFit(4)
    constant.push(np.ones((5, 4)))
    with pytest.raises(SettingsError, match="vary in 0 directions"):
        constant.finish()


def test_a_whitening_is_kept_with_where_it_comes_from(tmp_path: Path) -> None:
    fit = WhiteningFit(6)
    fit.push(some_embeddings())
    whitening = fit.finish(provenance={"model": "abc"})
    save_whitening(whitening, tmp_path / "p.safetensors")
    loaded = load_whitening(tmp_path / "p.safetensors")
    assert (loaded.matrix == whitening.matrix).all()
    assert (loaded.means == whitening.means).all()
    assert loaded.provenance == whitening.provenance
    assert loaded.digest == whitening.digest


def test_what_are_no_parameters_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"nothing")
    (tmp_path / "a.safetensors").write_bytes(b"nothing of the kind")
    np.savez(tmp_path / "b.npz", mean=np.zeros(3))
    np.savez(tmp_path / "c.npz", pca_eigen_vectors=np.eye(3), pca_means=np.zeros(4))
    np.savez(tmp_path / "d.npz", pca_eigen_vectors=np.full((3, 3), np.nan), pca_means=np.zeros(3))
    for name, saying in {
        "none.npz": "there is no such file",
        "a.npz": "not a readable",
        "a.safetensors": "not a readable",
        "b.npz": "it holds mean; PCA parameters are",
        "c.npz": r"shapes \[3, 3\] and \[4\]",
        "d.npz": "no number; the file is damaged",
    }.items():
        with pytest.raises(SettingsError, match=saying):
            load_whitening(tmp_path / name)
    with pytest.raises(SettingsError, match=r"embeddings of 3 numbers, and the model's have 1,024"):
        Whitening(matrix=np.eye(3), means=np.zeros(3)).require_size(1_024)


def test_the_command_refuses_damaged_and_foreign_records(tmp_path: Path) -> None:
    path = tmp_path / "a.tfrecord"
    write_embedded_clips(path, made_clips())
    refused("records", path, tmp_path / "o", saying="record 2 has labels by number; give what they mean: --label-set")
    (tmp_path / "labels.txt").write_text("one\n")
    refused("records", path, tmp_path / "o", "--label-set", tmp_path / "labels.txt", saying="record 3 has the label 1")
    content = bytearray(path.read_bytes())
    content[-20] ^= 4
    path.write_bytes(content)
    (tmp_path / "labels.txt").write_text("one\ntwo\n")
    labels = ("--label-set", tmp_path / "labels.txt")
    refused("records", path, tmp_path / "o", *labels, saying="a.tfrecord: record 3: its checksum does not fit")
    write_embedded_clips(path, made_clips(1, size=64))
    refused("records", path, tmp_path / "o", saying="embeddings of 64 numbers; 128 are needed")
    refused("records", tmp_path / "o2", tmp_path / "o", saying="cannot be read")
    (tmp_path / "empty").mkdir()
    refused("records", tmp_path / "empty", tmp_path / "o", saying="no file in this folder ends in .tfrecord")
    write_embedded_clips(path, made_clips(1))
    refused("records", path, path, tmp_path / "o", saying="vidéo-0_0 is there twice")
    refused("records", path, saying="1 name given")
    assert not (tmp_path / "o" / "embeddings.json").exists()
