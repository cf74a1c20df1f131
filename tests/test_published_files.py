"""Readers of published files: against files that their own programs wrote, by hand, and altered."""

import base64
import os
import pickle
import struct
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from earwitness.checksums import crc32c, masked
from earwitness.errors import ModelError
from earwitness.published.keras_file import read_keras_tensors
from earwitness.published.tensorflow_checkpoint import read_checkpoint_tensors
from earwitness.published.tflite import read_tflite_layers
from earwitness.published.torch_file import read_torch_tensors
from made_published import CONVOLUTION, FULLY_CONNECTED, MEAN, Operator, TFLiteTensor, write_keras, write_tflite

# Written by TensorFlow 2.21: benchmarks/tensorflow_files.py --tiny
TINY = {
    "tiny_v1.ckpt": (
        "AAA2CjQKHQoJYS93ZWlnaHRzEggSAggCEgIIAxgBIgQKAAoACg8KAWISBBICCAEYASICCgASAggBABIvAGEvd2VpZ2h0cwABAQKA"
        "f4B/Ei0KCWEvd2VpZ2h0cxIECgAKABoaKhgAAAAAAACAPgAAAD8AAEA/AACAPwAAoD8BBxFiAAEBAYB/Eg8KAWISAgoAGgYqBAAA"
        "wL8AAAAAAQAAAAANsnzqAAAAAAEAAAAAwPKhsAABAwEAoAEAAAAAAQAAAAAVd+0ypQEIsgEPAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAFf7gIskdUfb"
    ),
    "tiny_v2.ckpt.index": (
        "AAAGCAEaAggBAAkTYS93ZWlnaHRzCAESCBICCAISAggDKBg1TcnANwABEWIIARIEEgIIASAYKAQ1QiwyFgALDWdsb2JhbF9zdGVw"
        "CAkSACAcKAg1u9efEQAAAAABAAAAAK2/NBwAAAAAAQAAAADA8qGwAAECaABgAAAAAAEAAAAAHTZkj2UIcg4AAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAABX+4CLJHVH2w=="
    ),
    "tiny_v2.ckpt.data-00000-of-00001": "AAAAAAAAgD4AAAA/AABAPwAAgD8AAKA/AADAvwcAAAAAAAAA",
}


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    for name, text in TINY.items():
        (tmp_path / name).write_bytes(base64.b64decode(text))
    return tmp_path


# CRC-32C


def slow_crc32c(data: bytes) -> int:
    """Bit by bit, from the definition."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("data", "checksum"), [(b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (b"", 0)]
)
def test_crc32c_of_known_texts(data: bytes, checksum: int) -> None:
    """The first from the catalogue of CRCs, the others from RFC 3720, B.4."""
    assert crc32c(data) == slow_crc32c(data) == checksum


def test_crc32c_in_pieces() -> None:
    data = np.random.default_rng(0).bytes(4_096 * 256 + 1_000)
    assert crc32c(data) == slow_crc32c(data)
    assert crc32c(memoryview(data)[7:]) == slow_crc32c(data[7:])


def test_masked_checksum() -> None:
    """LevelDB's own test: another one, which is not its own mask."""
    checksum = crc32c(b"foo")
    assert masked(checksum) == (((checksum >> 15 | checksum << 17) & 0xFFFFFFFF) + 0xA282EAD8) % 2**32
    assert masked(checksum) != checksum != masked(masked(checksum))


# TensorFlow checkpoints


@pytest.mark.parametrize("name", ["tiny_v1.ckpt", "tiny_v2.ckpt", "tiny_v2.ckpt.index"])
def test_checkpoints_of_tensorflow(checkpoints: Path, name: str) -> None:
    found = read_checkpoint_tensors(checkpoints / name)
    np.testing.assert_array_equal(found["a/weights"], np.arange(6).reshape(2, 3) / 4)
    np.testing.assert_array_equal(found["b"], [-1.5])
    if "v2" in name:
        assert found["global_step"] == 7
    assert set(found) == {"a/weights", "b"} | ({"global_step"} if "v2" in name else set())


def test_every_altered_byte_of_a_checkpoint_is_noticed(checkpoints: Path) -> None:
    """One bit anywhere but in the footer's padding, which says nothing."""
    for name, opened in (
        ("tiny_v1.ckpt",) * 2,
        ("tiny_v2.ckpt.index", "tiny_v2.ckpt"),
        (sorted(TINY)[1], "tiny_v2.ckpt"),
    ):
        path = checkpoints / name
        whole = path.read_bytes()
        padding = range(len(whole) - 44, len(whole) - 8) if "data" not in name else range(0)
        for place in set(range(len(whole))) - set(padding):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
            with pytest.raises(ModelError):
                read_checkpoint_tensors(checkpoints / opened)
        path.write_bytes(whole)


def test_altered_and_truncated_checkpoints_name_the_tensor(checkpoints: Path) -> None:
    path = checkpoints / "tiny_v2.ckpt.data-00000-of-00001"
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + b"!" + whole[5:])
    with pytest.raises(ModelError, match="tensor 'a/weights' was altered: its checksum is another one"):
        read_checkpoint_tensors(checkpoints / "tiny_v2.ckpt")
    path.write_bytes(whole[:26])
    with pytest.raises(ModelError, match="tensor 'b' is truncated: 2 bytes of 4 are there"):
        read_checkpoint_tensors(checkpoints / "tiny_v2.ckpt")
    path = checkpoints / "tiny_v1.ckpt"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(struct.pack("<f", -1.5), struct.pack("<f", -1.75)))
    with pytest.raises(ModelError, match=r"was altered: its checksum is another one"):
        read_checkpoint_tensors(path)
    path.write_bytes(whole[:-20])
    with pytest.raises(ModelError, match="not a TensorFlow checkpoint, or a truncated one"):
        read_checkpoint_tensors(path)
    with pytest.raises(ModelError, match=r"nothing\.ckpt: there is no such file"):
        read_checkpoint_tensors(checkpoints / "nothing.ckpt")


# TFLite


def tiny_operators() -> list[Operator]:
    kernel = np.arange(8, dtype=np.int8).reshape(2, 2, 2, 1) - 4
    by_channel = TFLiteTensor("kernel", kernel, scales=[0.5, 2.0], zeros=[0, 1])
    whole = TFLiteTensor("matrix", np.array([[0, 255]], np.uint8), scales=[0.25], zeros=[128])
    halves = TFLiteTensor("halves", np.array([[0.5, -2]], np.float16))
    bias = TFLiteTensor("bias", np.array([1, 2], np.float32))
    return [
        (CONVOLUTION, [by_channel, bias], 2),
        (MEAN, [], 1),
        (FULLY_CONNECTED, [whole], 1),
        (FULLY_CONNECTED, [halves], 1),
    ]


def test_tflite_by_hand(tmp_path: Path) -> None:
    layers = read_tflite_layers(write_tflite(tmp_path / "a.tflite", tiny_operators()))
    convolution, whole, halves = layers
    assert (convolution.kind, convolution.name, convolution.strides) == ("convolution", "kernel", (2, 2))
    np.testing.assert_array_equal(convolution.weight.ravel(), [-2, -1.5, -1, -0.5, -2, 0, 2, 4])
    assert convolution.bias is not None
    np.testing.assert_array_equal(convolution.bias, [1, 2])
    np.testing.assert_array_equal(whole.weight, [[-32, 31.75]])
    assert (whole.bias, whole.is_quantised, whole.strides) == (None, True, (1, 1))
    np.testing.assert_array_equal(halves.weight, [[0.5, -2]])
    assert not halves.is_quantised


def test_truncated_tflite_at_every_length(tmp_path: Path) -> None:
    whole = write_tflite(tmp_path / "a.tflite", tiny_operators()).read_bytes()
    for length in range(len(whole)):
        (tmp_path / "a.tflite").write_bytes(whole[:length])
        with pytest.raises(ModelError, match=r"a\.tflite: "):
            read_tflite_layers(tmp_path / "a.tflite")


def test_altered_tflite_never_ends_otherwise_than_by_a_sentence(tmp_path: Path) -> None:
    """Bytes set at random: what comes is layers, or one sentence."""
    whole = write_tflite(tmp_path / "a.tflite", tiny_operators()).read_bytes()
    rng = np.random.default_rng(0)
    num_refused = 0
    for _ in range(400):
        altered = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            altered[place] = rng.integers(0, 256)
        (tmp_path / "a.tflite").write_bytes(altered)
        try:
            read_tflite_layers(tmp_path / "a.tflite")
        except ModelError:
            num_refused += 1
    assert num_refused > 100


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (
            TFLiteTensor("w", np.ones((2, 3), np.int8), scales=[1, 1, 1]),
            r"'w' of shape \[2, 3\] has 3 scales and 0 zero",
        ),
        (TFLiteTensor("w", np.ones((2, 3), np.int8), scales=[-1]), "'w' has scales or zero points that cannot be"),
        (TFLiteTensor("w", np.ones((2, 3), np.int8), scales=[np.nan]), "'w' has scales or zero points that cannot be"),
        (TFLiteTensor("w", np.ones((2, 3), np.int8), scales=[1], zeros=[300]), "'w' has scales or zero points"),
        (TFLiteTensor("w", np.ones((1,) * 9, np.int8), scales=[1]), "'w' has 9 axes; the file is damaged"),
        (TFLiteTensor("w" * 200, np.ones((2, 3), np.int32)), r"tensor '\.\.\.w{77}' is of TFLite type 2"),
        (TFLiteTensor("w", np.ones((2, 3), np.int8)), "'w' of shape .* has 0 scales"),
        (TFLiteTensor("w", np.ones((2, 3), np.int32)), "'w' is of TFLite type 2; float32, float16 and 8 bits are read"),
    ],
)
def test_tflite_tensors_that_cannot_be_read(tmp_path: Path, tensor: TFLiteTensor, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read_tflite_layers(write_tflite(tmp_path / "a.tflite", [(FULLY_CONNECTED, [tensor], 1)]))


def test_no_tflite(tmp_path: Path) -> None:
    (tmp_path / "a.tflite").write_text("<html>moved</html>")
    with pytest.raises(ModelError, match="not a TFLite file"):
        read_tflite_layers(tmp_path / "a.tflite")
    with pytest.raises(ModelError, match="the file cannot be read"):
        read_tflite_layers(tmp_path / "b.tflite")


@pytest.mark.parametrize("copy", ["a", "b"])
def test_real_yamnet_has_its_layers(data_dir: Path, copy: str) -> None:
    layers = read_tflite_layers(data_dir / "weights" / f"yamnet_waveform_{copy}.tflite")
    assert [layer.weight.shape for layer in layers[:3]] == [(64, 257), (32, 3, 3, 1), (1, 3, 3, 32)]
    assert layers[-1].weight.shape == (521, 1024)
    assert len(layers) == 29
    mel = layers[0]
    assert mel.bias is not None
    assert np.unique(mel.bias) == np.float32(0.001), "the log offset of the front end"


def test_the_real_front_end_is_ours(data_dir: Path) -> None:
    """Its 8-bit mel matrix is ours, but for half a scale."""
    from earwitness.audio.logmel import mel_weights
    from earwitness.published.yamnet import FRONT_END

    mel = read_tflite_layers(data_dir / "weights" / "yamnet_waveform_b.tflite")[0]
    assert np.abs(mel.weight - mel_weights(FRONT_END).T).max() < 0.5 / 127 + 1e-4


def test_a_real_file_cut_short_names_a_tensor(data_dir: Path, tmp_path: Path) -> None:
    whole = (data_dir / "weights" / "yamnet_waveform_a.tflite").read_bytes()
    (tmp_path / "a.tflite").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="truncated"):
        read_tflite_layers(tmp_path / "a.tflite")


# Keras


def test_keras_names(tmp_path: Path) -> None:
    tensors = {"layer1/conv/layer1/conv/kernel": np.ones((3, 3, 1, 2), np.float32), "dense/dense/bias": np.zeros(4)}
    found = read_keras_tensors(write_keras(tmp_path / "a.h5", tensors))
    assert {name: tensor.tolist() for name, tensor in found.items()} == {k: v.tolist() for k, v in tensors.items()}
    whole = {f"model_weights/{name}": tensor for name, tensor in tensors.items()}
    whole["optimizer_weights/Adam/iter"] = np.int64(3)
    assert read_keras_tensors(write_keras(tmp_path / "b.h5", whole)).keys() == tensors.keys()


def test_keras_files_that_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write_keras(path, {"a": np.arange(3), "b": np.ones(3)})
    with pytest.raises(ModelError, match="tensor 'a:0' is of type int64; only floats are read"):
        read_keras_tensors(path)
    (tmp_path / "secret").write_bytes(bytes(24))
    with h5py.File(path, "w") as file:
        file.create_dataset("w", (6,), "f4", external=[(str(tmp_path / "secret"), 0, 24)])
    with pytest.raises(ModelError, match="tensor 'w' lies in another file, which is not followed"):
        read_keras_tensors(path)
    with h5py.File(path, "w") as file:
        file["w"] = h5py.Empty("f4")
    with pytest.raises(ModelError, match="tensor 'w' is empty; the file is damaged"):
        read_keras_tensors(path)
    write_keras(path, {"w": np.ones(2), "model_weights/w": np.ones(2)})
    with pytest.raises(ModelError, match="tensor 'w:0' is there twice, by two paths"):
        read_keras_tensors(path)
    with h5py.File(path, "w") as file:  # what is not followed is not there
        file["elsewhere"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "w")
        file["nowhere"] = h5py.SoftLink("/nothing")
        file.attrs["keras_version"] = np.void(b"\xff" * 100)
    assert read_keras_tensors(path) == {}
    with h5py.File(path, "w") as file:
        file.create_dataset("w", (2**20, 2**20), "f4", chunks=(1024, 1024), compression="gzip")
    assert path.stat().st_size < 2**20
    with pytest.raises(ModelError, match=r"tensor 'w' of shape .* is too large to be true"):
        read_keras_tensors(path)


def test_truncated_keras_file(tmp_path: Path) -> None:
    path = write_keras(tmp_path / "a.h5", {"layer1/kernel": np.ones((100, 100))})
    os.truncate(path, path.stat().st_size - 1_000)
    with pytest.raises(ModelError, match=r"not a readable HDF5 file.*truncated"):
        read_keras_tensors(path)


# PyTorch


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch executed",)


def test_nothing_in_a_pickle_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"w": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(ModelError, match="holds code, which is never run"):
        read_torch_tensors(tmp_path / "evil.pth")
    (tmp_path / "old.pth").write_bytes(pickle.dumps({"w": Evil()}))
    with pytest.raises(ModelError, match=r"holds code, which is never run$"):
        read_torch_tensors(tmp_path / "old.pth")
    (tmp_path / "noise.pth").write_bytes(np.random.default_rng(0).bytes(5_000))
    with pytest.raises(ModelError, match=r"noise\.pth: not a readable file") as error:
        read_torch_tensors(tmp_path / "noise.pth")
    assert "weights_only" not in str(error.value)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("has_zip", [True, False])
def test_altered_torch_files_end_by_a_sentence(tmp_path: Path, has_zip: bool) -> None:
    """Both formats, bytes set at random; among what torch raises are errors of `struct`, and of memory."""
    path = tmp_path / "a.pth"
    torch.save({"w": torch.ones(3)}, path, _use_new_zipfile_serialization=has_zip)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    num_refused = 0
    for _ in range(200):
        altered = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            altered[place] = rng.integers(0, 256)
        path.write_bytes(altered[: rng.integers(1, 2 * len(whole))])
        try:
            read_torch_tensors(path)
        except ModelError:
            num_refused += 1
    assert num_refused > 50


def test_torch_files(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    for saved in ({"w": torch.ones(2)}, {"state_dict": {"w": torch.ones(2, dtype=torch.float64)}, "epoch": 3}):
        torch.save(saved, path)
        found = read_torch_tensors(path)
        assert list(found) == ["w"]
        assert found["w"].dtype == np.float32
    os.truncate(path, 300)
    with pytest.raises(ModelError, match="not a readable file of tensors"):
        read_torch_tensors(path)
    strange = {
        "steps of 0": torch.ones(1).expand(2**40),
        "sparse": torch.eye(2).to_sparse(),
        "complex": torch.ones(2, dtype=torch.complex64),
    }
    for name, tensor in strange.items():
        torch.save({name: tensor}, path)
        with pytest.raises(ModelError, match=f"tensor '{name}' of shape .*plain tensors of up to"):
            read_torch_tensors(path)
    torch.save([1, 2], path)
    with pytest.raises(ModelError, match="it holds list, where tensors by name are needed"):
        read_torch_tensors(path)
    torch.save({"w": 3}, path)
    with pytest.raises(ModelError, match="'w' is int, no tensor"):
        read_torch_tensors(path)
