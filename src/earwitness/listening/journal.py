"""What is done so far, kept so that a work that was killed goes on where it was.

Beside the result `OUT` lies, while it is made, the folder `OUT.unfinished`:

- `work.json`: what the rows depend on, model and settings; a work with others is refused;
- `inputs.jsonl`: the inputs, a line each;
- `rows.jsonl`: rows in the order in which they were done, in a line those that belong together; a line that is torn or
  damaged is forgotten, and what lies behind it;
- `patches.csv`: lines of patches, if they are asked for; a row says where its own lie;
- `spool/`: frames on their way from the decoding processes to the network.

One process holds it. When all rows are there the results are written in the order of the inputs, each at once, and the
folder is removed; a work that is killed in between does that again.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np

from earwitness.errors import SettingsError
from earwitness.files import locked, read_description, replacing
from earwitness.listening.inputs import Input
from earwitness.listening.rows import Row

SUFFIX = ".unfinished"
"""Of the folder's name, behind that of the result."""

_FORMAT = "earwitness work"
_WORK, _INPUTS, _ROWS, _PATCHES, _SPOOL = "work.json", "inputs.jsonl", "rows.jsonl", "patches.csv", "spool"


class Journal:
    """Rows that are done, in a folder; made by `open_journal`."""

    def __init__(self, folder: Path, num_inputs: int) -> None:
        self._folder = folder
        self._places = np.full(num_inputs, -1, np.int64)  # of the rows' lines
        self._rows: BinaryIO = (folder / _ROWS).open("a+b")
        self._patches: BinaryIO = (folder / _PATCHES).open("a+b")
        self._rows_end = self._patches_end = 0
        self._spans: dict[int, tuple[int, int]] = {}  # of the patches of inputs without a row
        self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.close()
        self._patches.close()

    @property
    def spool_folder(self) -> Path:
        """For frames of decoding processes."""
        return self._folder / _SPOOL

    def is_done(self, number: int) -> bool:
        """Whether the row of this input is there."""
        return bool(self._places[number] >= 0)

    @property
    def num_done(self) -> int:
        """How many rows are there."""
        return int((self._places >= 0).sum())

    def add_patches(self, number: int, lines: bytes) -> None:
        """Lines of patches of an input, all before its row, and not among those of another."""
        begin, end = self._spans.get(number, (self._patches_end, self._patches_end))
        self._patches.write(lines)
        self._patches_end += len(lines)
        self._spans[number] = (begin, end + len(lines))

    def add(self, rows: Sequence[tuple[int, Row]]) -> None:
        """Keep the rows of inputs: all or, if this is interrupted, none."""
        self._patches.flush()
        nothing = (0, 0)
        entries = [{"input": number, "patches": self._spans.pop(number, nothing), "row": row} for number, row in rows]
        self._places[[number for number, _ in rows]] = self._rows_end
        line = json.dumps(entries).encode() + b"\n"
        self._rows.write(line)
        self._rows.flush()
        self._rows_end += len(line)

    def rows(self) -> Iterator[Row]:
        """All rows in the order of the inputs."""
        for entry in self._entries():
            yield entry["row"]

    def patches(self) -> Iterator[bytes]:
        """All lines of patches in the order of the inputs, in pieces."""
        for entry in self._entries():
            begin, end = entry["patches"]
            self._patches.seek(begin)
            while begin < end:
                piece = self._patches.read(min(end - begin, 2**20))
                begin += len(piece)
                yield piece

    def remove(self) -> None:
        """Remove the folder: the results are written."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _entries(self) -> Iterator[dict[str, Any]]:
        read_place, entries = -1, dict[int, dict[str, Any]]()
        for number, place in enumerate(self._places.tolist()):
            if place != read_place:  # rows kept together mostly are neighbours
                self._rows.seek(place)
                read_place, entries = place, {entry["input"]: entry for entry in json.loads(self._rows.readline())}
            yield entries[number]

    def _read(self) -> None:
        self._rows.seek(0)
        for line in self._rows:
            try:
                entries = json.loads(line) if line.endswith(b"\n") else None
            except ValueError:  # a power cut leaves what it likes
                entries = None
            if entries is None:
                break
            for entry in entries:
                self._places[entry["input"]] = self._rows_end
                self._patches_end = max(self._patches_end, entry["patches"][1])
            self._rows_end += len(line)
        self._rows.truncate(self._rows_end)
        self._patches.truncate(self._patches_end)


def unfinished(out: Path) -> Path:
    """The folder beside a result while it is made."""
    return out.with_name(out.name + SUFFIX)


def said_of_inputs(inputs: Sequence[Input]) -> str:
    """Their number and digest, to tell these inputs from others."""
    digest = hashlib.sha256()
    for given in inputs:
        digest.update(given.to_json().encode() + b"\n")
    return f"{len(inputs):,} ({digest.hexdigest()[:12]})"


@contextlib.contextmanager
def open_journal(
    out: Path, inputs: Sequence[Input], *, depends_on: Mapping[str, object], overwrite: bool = False
) -> Iterator[Journal]:
    """The journal of the work whose result is `out`: a new one, or that of a work that was stopped.

    Args:
        out: the result.
        inputs: all of them, in order.
        depends_on: values for JSON, by names for people, that change rows.
        overwrite: begin anew where the work that was stopped was another one.

    Raises:
        SettingsError: the work that was stopped had other inputs or settings, another process does it, or nothing can
            be written there.
    """
    folder = unfinished(out)
    remedy = "give the same ones to go on; --overwrite begins anew"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        busy = SettingsError(f"{out}: another process is making it; wait for it to end")
        with locked(folder, busy=busy):
            is_new = not (folder / _WORK).exists()
            if not is_new:
                try:
                    _require_same(folder, inputs, depends_on, remedy)
                except SettingsError:
                    if not overwrite:
                        raise
                    is_new = True
            if is_new:
                _begin(folder, inputs, depends_on)
            shutil.rmtree(folder / _SPOOL, ignore_errors=True)
            with Journal(folder, len(inputs)) as journal:
                yield journal
    except BrokenPipeError:  # of our own output
        raise
    except OSError as error:
        raise SettingsError(f"{out}: the result cannot be written ({error.strerror or error})") from error


def _begin(folder: Path, inputs: Sequence[Input], depends_on: Mapping[str, object]) -> None:
    for name in (_WORK, _ROWS, _PATCHES):
        (folder / name).unlink(missing_ok=True)
    with replacing(folder / _INPUTS) as file:
        file.writelines(given.to_json().encode() + b"\n" for given in inputs)
    with replacing(folder / _WORK) as file:
        file.write(json.dumps({"format": _FORMAT, **depends_on}, indent=2).encode())


def _require_same(folder: Path, inputs: Sequence[Input], depends_on: Mapping[str, object], remedy: str) -> None:
    before = read_description(folder / _WORK, of=_FORMAT, error_type=SettingsError)
    now = json.loads(json.dumps(depends_on))
    differences = [
        f"{name}: {before.get(name)} before, {now.get(name)} now"
        for name in {**before, **now}
        if before.get(name) != now.get(name)
    ]
    if differences:
        raise SettingsError(
            f"{folder}: a work that was stopped had other settings ({'; '.join(differences)}); {remedy}"
        )
    with (folder / _INPUTS).open("rb") as lines:
        pairs = zip_longest(lines, inputs)
        for number, (line, given) in enumerate(pairs, start=1):
            if line is None or given is None or line != given.to_json().encode() + b"\n":
                there = "nothing" if line is None else _said(json.loads(line))
                here = "nothing" if given is None else _said(json.loads(given.to_json()))
                said = f"number {number}: {there} before, {here} now"
                raise SettingsError(f"{folder}: a work that was stopped had other inputs ({said}); {remedy}")


def _said(values: Sequence[Any]) -> str:
    media, clip_id, start, stop, *_ = values
    name = os.fsencode(clip_id or media).decode(errors="backslashreplace")
    return name if start is None and stop is None else f"{name} from {start} to {stop} s"
