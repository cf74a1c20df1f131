"""A whole work: inputs to rows by whichever engine, in order, gone on with where it was stopped, and written out."""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import Protocol

from earwitness.errors import SettingsError
from earwitness.files import replacing
from earwitness.finished import MADE_SUFFIX, MadeFile
from earwitness.inference.any_model import AnyModel
from earwitness.inference.tagger import PatchScores
from earwitness.listening.inputs import Input
from earwitness.listening.journal import Journal, open_journal, said_of_inputs, unfinished
from earwitness.listening.outputs import CsvOutput, JsonLinesOutput, Output, PatchLines, write_parquet
from earwitness.listening.rows import SCHEMA_VERSION, Row
from earwitness.listening.tag_sounds import Numbered, NumberedRow, OnPatches

_FORMAT = "earwitness tags"


class Engine(Protocol):
    """Makes rows of inputs, in any order."""

    def __call__(
        self,
        inputs: Iterable[Numbered],
        *,
        spool_folder: Path | None,
        on_patches: OnPatches | None,
    ) -> Generator[list[NumberedRow], None, None]:
        """Args: what is left to do; where frames may be put aside (None: a temporary folder); who takes patches."""


@dataclass
class Progress:
    """What is done, told after every row."""

    num_inputs: int
    num_resumed: int = 0
    """Rows of a work that was stopped."""
    num_done: int = 0
    """These included."""
    seconds: float = 0.0
    """Of sound, of the rows of this run."""
    failures: Counter[str] = field(default_factory=Counter)
    """By kind, of the rows of this run; of all rows once the work is done."""
    all_seconds: float = 0.0
    """Of sound, of all rows, once the work is done."""
    was_complete: bool = False
    """Whether the files were there already."""

    @property
    def num_failed(self) -> int:
        """Failures of all kinds."""
        return self.failures.total()

    def take(self, rows: Sequence[NumberedRow]) -> None:
        """Count rows of this run."""
        for _, row in rows:
            self.num_done += 1
            self.seconds += row.get("seconds", 0.0)
            if row["status"] == "failed":
                self.failures[row["failure_kind"]] += 1

    def count_all(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Pass all rows on, and count them anew."""
        self.failures, self.all_seconds = Counter(), 0.0
        for row in rows:
            self.all_seconds += row.get("seconds", 0.0)
            if row["status"] == "failed":
                self.failures[row["failure_kind"]] += 1
            yield row


OnProgress = Callable[[Progress], None]


def tag_to_output(inputs: Sequence[Input], engine: Engine, output: Output, *, on_progress: OnProgress) -> Progress:
    """Write rows as they come, in the order of the inputs: one that is early waits for those before it."""
    progress = Progress(len(inputs))
    early: dict[int, Row] = {}
    next_number = 0
    done = engine(enumerate(inputs), spool_folder=None, on_patches=None)
    with closing(done):
        for rows in done:
            early.update(rows)
            while next_number in early:
                output.write(early.pop(next_number))
                next_number += 1
            progress.take(rows)
            on_progress(progress)
    progress.all_seconds = progress.seconds
    return progress


@dataclass(frozen=True, kw_only=True)
class Results:
    """The files to make, one at least."""

    out: Path | None
    """The rows: .jsonl, .csv or .parquet."""
    patch_scores: Path | None
    """The scores of every patch: .csv."""
    has_timeline: bool
    has_all_scores: bool
    overwrite: bool = False
    """Replace what is there, whatever it is."""
    must_be_heard: bool = False
    """Hear the inputs though the files are there: something else is made of them, too."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Those to make; beside the first lies what says of what they were made."""
        return tuple(path for path in (self.out, self.patch_scores) if path is not None)


def tag_to_files(
    inputs: Sequence[Input],
    engine: Engine,
    results: Results,
    *,
    model: AnyModel,
    depends_on: Mapping[str, object],
    on_progress: OnProgress,
    output: Output | None = None,
) -> Progress:
    """Make files of all rows, in the order of the inputs; a work that was stopped goes on where it was.

    Args:
        inputs: one row each.
        engine: makes them.
        results: the files, written at the end, each at once.
        model: names labels and says how long patches are.
        depends_on: what changes rows; see `open_journal`.
        on_progress: told after every row.
        output: takes the rows, too, at the end.

    Raises:
        SettingsError: as `open_journal`, a file cannot be written, or is there and not of this work.
    """
    out, patch_scores = results.out, results.patch_scores
    anchor = results.files[0]
    made_of = {**depends_on, "inputs": said_of_inputs(inputs)}
    made = MadeFile(path=anchor.with_name(anchor.name + MADE_SUFFIX), format=_FORMAT, version=SCHEMA_VERSION)
    if (done_before := _done_before(results, made, made_of)) is not None:
        return done_before
    lines = PatchLines(model)
    with open_journal(anchor, inputs, depends_on=depends_on, overwrite=results.overwrite) as journal:
        progress = Progress(len(inputs), num_resumed=journal.num_done, num_done=journal.num_done)
        on_progress(progress)

        def keep_patches(number: int, media: str, patches: PatchScores) -> None:
            journal.add_patches(number, lines.lines(media, patches))

        left = ((number, given) for number, given in enumerate(inputs) if not journal.is_done(number))
        if journal.num_done < len(inputs):
            done = engine(
                left,
                spool_folder=journal.spool_folder,
                on_patches=keep_patches if patch_scores is not None else None,
            )
            with closing(done):
                for rows in done:
                    journal.add(rows)
                    progress.take(rows)
                    on_progress(progress)
        counted = progress.count_all(journal.rows())
        if out is not None:
            _write(out, counted, model, results)
        elif output is not None:
            for row in counted:
                output.write(row)
        if patch_scores is not None:
            _write_patches(patch_scores, journal, lines)
        came_to = {name: getattr(progress, name) for name in ("num_inputs", "failures", "all_seconds")}
        made.write(made_of, came_to)
        journal.remove()
    return progress


def _done_before(results: Results, made: MadeFile, made_of: Mapping[str, object]) -> Progress | None:
    """What the same work came to, where its files are there; None where there is something to do.

    Raises:
        SettingsError: a file that would be replaced is of other work.
    """
    for path in results.files:
        if path.is_dir():
            raise SettingsError(f"{path}: this is a folder; name a file")
    there = [path for path in results.files if path.exists()]
    if not there or results.overwrite or unfinished(results.files[0]).exists():
        return None
    before = made.read(there[0], made_of, remedy="name another file, or give --overwrite to replace it")
    if before is None:
        raise SettingsError(
            f"{there[0]}: there is a file already, of which nothing says that it was made so; name another one, or "
            "give --overwrite to replace it"
        )
    if results.out is None or results.must_be_heard or len(there) < len(results.files):
        return None
    return Progress(
        before["num_inputs"],
        num_resumed=before["num_inputs"],
        num_done=before["num_inputs"],
        failures=Counter(before["failures"]),
        all_seconds=before["all_seconds"],
        was_complete=True,
    )


def _write(out: Path, rows: Iterable[Row], model: AnyModel, results: Results) -> None:
    try:
        with replacing(out) as file:
            if out.suffix.lower() == ".parquet":
                write_parquet(
                    rows,
                    file,
                    model.label_set,
                    has_timeline=results.has_timeline,
                    has_all_scores=results.has_all_scores,
                )
                return
            # names of files need not be UTF-8; they are written as the bytes they are
            text = TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline="", write_through=False)
            form = CsvOutput(text) if out.suffix.lower() == ".csv" else JsonLinesOutput(text)
            for row in rows:
                form.write(row)
            text.flush()
            text.detach()
    except OSError as error:
        raise SettingsError(f"{out}: the result cannot be written ({error.strerror or error})") from error


def _write_patches(path: Path, journal: Journal, lines: PatchLines) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(lines.header)
            file.writelines(journal.patches())
    except OSError as error:
        raise SettingsError(f"{path}: the scores of patches cannot be written ({error.strerror or error})") from error
