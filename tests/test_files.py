"""Writing whole or not at all."""

import os
from pathlib import Path

import pytest

from earwitness.files import replacing


def test_a_file_takes_its_place_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    with replacing(path) as file:
        file.write(b"one")
        assert not path.exists()
    assert path.read_bytes() == b"one"

    def stop_half_way() -> None:
        with replacing(path) as file:
            file.write(b"two")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop_half_way()
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


def test_it_is_on_the_disk_before_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.bin"
    synced = []
    sync = os.fsync

    def note(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append((name, path.exists(), name.read_bytes() if name.is_file() else None))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    with replacing(path) as file:
        file.write(b"one")
    assert synced == [(tmp_path / "a.bin.partial", False, b"one"), (tmp_path, True, None)]


def test_the_first_error_is_the_one_that_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "no" / "a.bin"):
        pytest.fail("there is nothing to write to")
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError), replacing(tmp_path / "folder") as file:
        file.write(b"one")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError), replacing(tmp_path / "file" / "a.bin"):
        pytest.fail("there is nothing to write to")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder"]
