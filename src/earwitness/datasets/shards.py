"""Tar shards, looked into without unpacking: where each member's bytes lie.

A shard is an uncompressed tar. Of one that is cut off, the members that are whole are given, and the cut is said.
"""

import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import BinaryIO

from earwitness.errors import ManifestError
from earwitness.table_files import first_line

_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")

MAX_SHARDS = 1_000_000
"""More than a brace pattern is meant to give."""


@dataclass(frozen=True)
class Member:
    """A file within a tar."""

    name: str
    offset_bytes: int
    """Where its content begins in the tar."""
    num_bytes: int


@dataclass(frozen=True, kw_only=True)
class Shard:
    """What a tar holds."""

    path: Path
    members: Sequence[Member]
    """Whole files, in the order of the tar."""
    fault: str | None
    """Why there may have been more of them; None for a tar that ends as it should."""
    num_skipped: int
    """Members that are no files: links, devices, sparse files, names that are no UTF-8 text."""


def expand(pattern: str) -> list[Path]:
    """The paths that a brace pattern stands for, as a shell would expand it, in order: `s-{000..003}.tar`, `{a,b}.tar`.
    A folder stands for the tars in it, and `*` and `?` for what they meet.

    Raises:
        ManifestError: the folder holds no tar, a pattern meets nothing, or the pattern gives too many paths.
    """
    choices = []
    for braces in _BRACES.findall(pattern):
        if span := _RANGE.fullmatch(braces):
            first, last = int(span[1]), int(span[2])
            if abs(last - first) >= MAX_SHARDS:
                raise ManifestError(f"{pattern}: {braces} stands for more than {MAX_SHARDS:,} shards")
            width = len(span[1]) if span[1].startswith("0") or len(span[1]) == len(span[2]) else 0
            numbers = range(first, last + 1) if first <= last else range(first, last - 1, -1)
            choices.append([f"{number:0{width}d}" for number in numbers])
        else:
            choices.append(braces.split(",") if "," in braces else [f"{{{braces}}}"])
    pieces = _BRACES.split(pattern)[::2]
    paths = [
        Path(pieces[0] + "".join(chosen + piece for chosen, piece in zip(combination, pieces[1:], strict=True)))
        for combination in product(*choices)
    ]
    paths = [path for given in paths for path in _met(given)]
    if len(paths) == 1 and paths[0].is_dir():
        folder = paths[0]
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".tar" and not path.name.startswith("."))
        if not paths:
            packed = next(iter(sorted(folder.glob("*.t*z*"))), None)
            how = f"; {packed.name} must be decompressed first" if packed else ""
            raise ManifestError(f"{folder}: no tar lies in this folder{how}")
    return paths


def _met(path: Path) -> list[Path]:
    """The paths that a path with `*` or `?` in it stands for."""
    if path.exists() or not any(sign in str(path) for sign in "*?"):
        return [path]
    found = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
    if not found:
        raise ManifestError(f"{path}: no file meets this pattern")
    return found


def read_shard(path: Path) -> Shard:
    """Look into a shard.

    Raises:
        ManifestError: it is missing, compressed, or no tar.
    """
    try:
        with path.open("rb") as file:
            return _read(path, file)
    except tarfile.TarError as error:
        raise ManifestError(f"{path}: this is no tar ({first_line(error)})") from error
    except FileNotFoundError as error:
        raise ManifestError(f"{path}: there is no such file") from error
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read ({error.strerror or error})") from error


def _read(path: Path, file: BinaryIO) -> Shard:
    head = file.read(6)
    for magic, name in _COMPRESSED.items():
        if head.startswith(magic):
            raise ManifestError(
                f"{path}: it is compressed ({name}); sound is read where it lies in the tar, so decompress it first, "
                "to a .tar"
            )
    size = file.seek(0, 2)
    file.seek(0)
    members, num_skipped, fault = [], 0, None
    tar = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115 - it owns nothing
    try:
        for member in tar:
            if member.isdir():
                continue
            if not member.isreg() or member.issparse() or not _is_text(member.name):
                num_skipped += 1
            elif member.offset_data + member.size > size:
                fault = f"it is cut off within {member.name}"
            else:
                members.append(Member(member.name, member.offset_data, member.size))
        fault = fault or _fault_at(file, tar.offset, size)
    except tarfile.ReadError:
        fault = fault or f"it is cut off or damaged after byte {tar.offset:,}"
    return Shard(path=path, members=members, fault=fault, num_skipped=num_skipped)


def _fault_at(file: BinaryIO, offset: int, size: int) -> str | None:
    """What is wrong where reading stopped; None at the block of zeros that ends a tar."""
    file.seek(offset)
    block = file.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE:
        return f"it is cut off at byte {size:,}, before the mark of a tar's end"
    return f"it is damaged at byte {offset:,} of {size:,}" if any(block) else None


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_member(file: BinaryIO, member: Member) -> bytes:
    """The content of a member of an open shard."""
    file.seek(member.offset_bytes)
    return file.read(member.num_bytes)


def samples(members: Sequence[Member]) -> Iterator[tuple[str, dict[str, Member]]]:
    """Members of one name up to the first dot of its last part belong together: key, and member by extension.

    `dir/0001.left.wav` has the key `dir/0001` and the extension `left.wav`. Names without key or extension, and those
    that begin with two underscores, are none of a sample.
    """
    found: dict[str, dict[str, Member]] = {}
    for member in members:
        folder, slash, name = member.name.removeprefix("./").rpartition("/")
        key, dot, extension = name.partition(".")
        if key and dot and extension and not name.startswith("__"):
            found.setdefault(folder + slash + key, {})[extension.lower()] = member
    yield from found.items()
