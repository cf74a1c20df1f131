"""Label sets: the ordered labels that a model's outputs stand for.

A label has an index (its output), an id (what tables hold, such as `/m/0bt9lr` or `dog`), and a display name.
Files read: CSV with a header (`index,mid,display_name` as Audio Set publishes it, or `id[,name]`), or plain
text with one label a line. A model file carries a label set, too, which is read without loading the network.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

from earwitness.errors import LabelError
from earwitness.files import replacing

_ID_COLUMNS = ("id", "mid", "label", "label_id")
_NAME_COLUMNS = ("name", "display_name")


@dataclass(frozen=True)
class LabelSet:
    """Ordered labels. Equal sets have the same ids in the same order; names are for people only."""

    ids: tuple[str, ...]
    """Unique ids; position is the index."""
    names: tuple[str, ...]
    """Display names, one for each id."""

    def __post_init__(self) -> None:
        if len(self.ids) != len(self.names):
            raise LabelError(f"label set: {len(self.ids)} ids but {len(self.names)} names")
        if not self.ids:
            raise LabelError("label set: it is empty; at least one label is needed")
        if "" in self.ids:
            raise LabelError(f"label set: the id at index {self.ids.index('')} is empty")
        if len(set(self.ids)) != len(self.ids):
            seen: set[str] = set()
            repeated = next(i for i in self.ids if i in seen or seen.add(i))  # type: ignore[func-returns-value]
            raise LabelError(f"label set: id {repeated!r} occurs twice; ids must be unique")

    @classmethod
    def of(cls, ids: Iterable[str]) -> "LabelSet":
        """A label set whose names are its ids, in the order given."""
        ids = tuple(ids)
        return cls(ids, ids)

    @cached_property
    def index_of(self) -> dict[str, int]:
        """Index by id."""
        return {label_id: index for index, label_id in enumerate(self.ids)}

    def __len__(self) -> int:
        return len(self.ids)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LabelSet) and self.ids == other.ids

    def __hash__(self) -> int:
        return hash(self.ids)

    @property
    def identity(self) -> str:
        """16 hex digits that differ whenever the ids or their order differ."""
        return hashlib.sha256(json.dumps(self.ids).encode()).hexdigest()[:16]

    def indices(self, label_ids: Iterable[str]) -> list[int]:
        """Ascending, unique indices of the given ids.

        Raises:
            LabelError: an id is not in the set; names it and the nearest known ids.
        """
        found = set()
        for label_id in label_ids:
            index = self.index_of.get(label_id)
            if index is None:
                raise LabelError(f"unknown label {label_id!r}; {self.describe(near=label_id)}")
            found.add(index)
        return sorted(found)

    def describe(self, *, near: str | None = None) -> str:
        """A short account for messages: the nearest ids to `near`, else the first few."""
        close = get_close_matches(near, self.ids, n=3) if near else []
        if close:
            meant = " or ".join(map(repr, close))
            return f"the label set of {len(self)} has no such id (did you mean {meant}?)"
        shown = ", ".join(self.ids[:8]) + (", ..." if len(self) > 8 else "")
        return f"known labels ({len(self)}): {shown}"

    def differences(self, others: "LabelSet", *, mine: str, other: str) -> str:
        """What differs, in words.

        Args:
            others: the set to compare with.
            mine: whose labels these are, such as `store`.
            other: whose the others are.
        """
        only_mine = [label for label in self.ids if label not in others.index_of]
        only_other = [label for label in others.ids if label not in self.index_of]
        if not only_mine and not only_other:
            return f"the same {len(self)} labels in another order; prepare with --label-set"
        shown = [
            f"only in the {side}: {', '.join(ids[:5])}{', ...' if len(ids) > 5 else ''}"
            for side, ids in ((mine, only_mine), (other, only_other))
            if ids
        ]
        return f"{mine} {len(self)}, {other} {len(others)}; {'; '.join(shown)}"

    def to_rows(self) -> list[dict[str, str]]:
        """`[{id, name}, ...]` in index order, for JSON."""
        return [{"id": i, "name": n} for i, n in zip(self.ids, self.names, strict=True)]

    @classmethod
    def from_rows(cls, rows: Sequence[dict[str, str]]) -> "LabelSet":
        """The inverse of `to_rows`.

        Raises:
            LabelError: a row lacks id or name, or the ids make no label set.
        """
        try:
            return cls(tuple(r["id"] for r in rows), tuple(r["name"] for r in rows))
        except (KeyError, TypeError) as error:
            raise LabelError("label set: its rows must be objects with id and name") from error


NO_LABELS = LabelSet.of(["(no label)"])
"""Of a model that was published up to its embedding: its one output has learnt nothing."""


def read_label_set(path: str | Path) -> LabelSet:
    """Read a label set from a CSV with a header, or from a text file with one label a line.

    Raises:
        LabelError: the file cannot be read, names no id column, or repeats an id.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise LabelError(f"{path}: the label set cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise LabelError(f"{path}: the label set is not UTF-8 text") from error
    if path.suffix.lower() == ".json":
        what = "Audio Set's ontology, which `earwitness labels --ontology` takes" if '"child_ids"' in text else "JSON"
        raise LabelError(f"{path}: this is {what}; a label set is a .csv with a header, or a text of one label a line")
    try:
        if path.suffix.lower() == ".csv":
            return _from_csv(text)
        return LabelSet.of(line.strip() for line in text.split("\n") if line.strip())
    except LabelError as error:
        raise LabelError(f"{path}: {error}") from error


def write_label_set(label_set: LabelSet, path: str | Path) -> None:
    """Write a label set as CSV with the columns `index, id, name`.

    Raises:
        LabelError: the suffix is another, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".csv":
        raise LabelError(f"{path}: a label set is written as .csv; came {path.suffix or 'no suffix'}")
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["index", "id", "name"])
    rows.writerows(zip(range(len(label_set)), label_set.ids, label_set.names, strict=True))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(text.getvalue().encode())
    except OSError as error:
        raise LabelError(f"{path}: the label set cannot be written ({error.strerror or error})") from error


def read_model_labels(path: str | Path) -> LabelSet:
    """The label set of a model file (`.safetensors`), from the JSON at its beginning; nothing else is read.

    Raises:
        LabelError: the file cannot be read, or is no model of earwitness.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, path.stat().st_size)))
        return LabelSet.from_rows(json.loads(header["__metadata__"]["description"])["labels"])
    except LabelError as error:
        raise LabelError(f"{path}: {error}") from error
    except OSError as error:
        raise LabelError(f"{path}: the model's labels cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise LabelError(f"{path}: not a readable safetensors file ({error})") from error
    except (KeyError, TypeError) as error:
        raise LabelError(f"{path}: a safetensors file, but not a model of earwitness (it names no labels)") from error


def _from_csv(text: str) -> LabelSet:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        header = reader.fieldnames or []
        rows = list(reader)
    except csv.Error as error:
        raise LabelError(f"it is no CSV ({error})") from error
    id_column = next((c for c in _ID_COLUMNS if c in header), None)
    if id_column is None:
        raise LabelError(
            f"no id column; the header is {', '.join(header) or 'empty'}, one of {', '.join(_ID_COLUMNS)} is needed"
        )
    name_column = next((c for c in _NAME_COLUMNS if c in header), id_column)
    for number, row in enumerate(rows):
        if None in row or None in row.values():
            raise LabelError(f"row {number + 1} has more or fewer columns than the header (a comma unquoted?)")
        if "index" in header and row["index"] != str(number):
            raise LabelError(
                f"row {number + 1}: index is {row['index']}, but must count 0, 1, 2 ... by the order of rows"
            )
    return LabelSet(tuple(r[id_column] for r in rows), tuple(r[name_column] for r in rows))
