"""`earwitness store`: looking after stores."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg, subcommand

from earwitness.cli.manifest_option import read_given_manifest
from earwitness.cli.output import counted, print_json, progress_bar, remark
from earwitness.cli.prepare import build_bar
from earwitness.errors import SettingsError
from earwitness.report.words import duration
from earwitness.store.settings import DecodeSettings

if TYPE_CHECKING:
    from earwitness.store.complete import BuildSummary

Folder = Annotated[Positional[str], arg(metavar="STORE")]


@dataclass(frozen=True, kw_only=True)
class Info:
    """What a store holds."""

    store: Folder
    """The store."""
    json: bool = False
    """Report as JSON."""

    def run(self) -> int:
        """Show it."""
        from earwitness.store.read import Store

        store = Store.open(self.store)
        kinds = store.failures()["kind"].value_counts().to_pylist()
        failures = {entry["values"]: entry["counts"] for entry in kinds}
        values = {
            **asdict(store.totals),
            "failures": failures,
            "num_parts": store.num_parts,
            "num_labels": len(store.label_set),
            "fingerprint": store.fingerprint,
            "front_end": store.front_end.identity,
            "columns": store.clips_schema.names,
        }
        if self.json:
            print_json({"schema_version": 1, "store": str(self.store), **values})
            return 0
        print(
            f"{self.store}: {counted(store.num_clips, 'clip')}, {duration(store.totals.seconds_of_sound)} of sound, "
            f"{counted(len(store.label_set), 'label')}, in {counted(store.num_parts, 'part')}"
        )
        for kind, number in failures.items():
            print(f"  {counted(number, 'clip')} not stored: {kind}")
        print(f"  columns: {', '.join(store.clips_schema.names)}")
        print(f"  fingerprint {store.fingerprint}, front end {store.front_end.identity}")
        return 0


@dataclass(frozen=True, kw_only=True)
class Append:
    """Add the clips of a manifest that a store does not have yet."""

    store: Folder
    """The store."""
    manifest: Annotated[Positional[str], arg(metavar="MANIFEST")]
    """Table of clips; rows whose clip_id is in the store already are left out."""
    settings: Annotated[DecodeSettings, arg(name="")]
    grow_labels: bool = False
    """Put labels that the store does not know behind those it knows."""
    json: bool = False
    """Report as JSON."""

    def run(self) -> int:
        """Append."""
        from earwitness.store.append import append_clips

        manifest = read_given_manifest(self.manifest)
        with build_bar("append") as progress:
            done = append_clips(
                manifest, self.store, settings=self.settings, grow_labels=self.grow_labels, progress=progress
            )
        if self.json:
            print_json({"schema_version": 1, "store": str(self.store), **asdict(done)})
        else:
            print(f"{self.store}: {counted(done.num_added, 'row')} added, {done.num_there:,} were there before")
            if done.num_new_labels:
                print(f"  {counted(done.num_new_labels, 'new label')}")
            _print_store(done.store)
        if done.changed:
            remark(
                f"{counted(len(done.changed), 'row')} of the manifest differ from what the store has of the same clip, "
                f"which stays (the first: {done.changed[0]!r}); to take them over, drop these clips and compact before"
            )
        return 0


@dataclass(frozen=True, kw_only=True)
class Drop:
    """Take clips out of a store. `prepare --retry-failures dropped` brings them back, until it is compacted."""

    store: Folder
    """The store."""
    where: str | None = None
    """An SQL condition over the manifest's columns: split = 'eval'."""
    clips_file: Path | None = None
    """A text file with a clip id a line."""
    json: bool = False
    """Report as JSON."""

    def run(self) -> int:
        """Drop."""
        from earwitness.store.drop import drop_clips

        if (self.where is None) == (self.clips_file is None):
            raise SettingsError("store drop: say which clips, by --where or by --clips-file")
        clip_ids = _read_lines(self.clips_file) if self.clips_file is not None else []
        done = drop_clips(self.store, where=self.where, clip_ids=clip_ids)
        if self.json:
            print_json({"schema_version": 1, "store": str(self.store), **asdict(done)})
        else:
            before = f", {counted(done.num_before, 'clip')} before" if done.num_before else ""
            print(f"{self.store}: {counted(done.num_dropped, 'clip')} dropped{before}; {done.num_left:,} are left")
            print("  their frames stay on the disk until `earwitness store compact`")
        return 0


@dataclass(frozen=True, kw_only=True)
class Merge:
    """Make one store of several, which stay as they are."""

    out: Annotated[Positional[str], arg(metavar="OUT")]
    """The folder to make. An interrupted one is finished."""
    stores: Annotated[Positional[tuple[str, ...]], arg(metavar="STORE")]
    """Stores of one front end and without common clips, in the order of their clips and labels."""
    json: bool = False
    """Report as JSON."""

    def run(self) -> int:
        """Merge."""
        from earwitness.store.merge import merge_stores

        if len(self.stores) < 2:
            raise SettingsError("store merge: name the new store and two others or more: merge OUT STORE STORE")
        with _row_bar("merge", "row") as progress:
            summary = merge_stores(self.stores, self.out, progress=progress)
        return _report(self.out, summary, as_json=self.json)


@dataclass(frozen=True, kw_only=True)
class Verify:
    """Hold a store against its checksums; status 1 where something is damaged."""

    store: Folder
    """The store."""
    repair: bool = False
    """Mark what is damaged, so that `prepare --retry-failures` makes it again."""
    json: bool = False
    """Report as JSON."""

    def run(self) -> int:
        """Verify."""
        from earwitness.store.verify import verify_store

        with _row_bar("verify", "part") as progress:
            report = verify_store(self.store, repair=self.repair, progress=progress)
        if self.json:
            print_json({"schema_version": 1, "store": str(self.store), "is_whole": report.is_whole, **asdict(report)})
        else:
            damaged = "nothing is damaged" if report.is_whole else "DAMAGED"
            print(f"{self.store}: {counted(report.num_parts, 'part')}, {counted(report.num_clips, 'clip')}: {damaged}")
            for fault in report.parts:
                what = f"{len(fault.clips)} of its {counted(fault.num_rows, 'row')}" if fault.clips else "all of it"
                print(f"  part {fault.part}: {what} ({fault.reason})")
            for sentence in report.others:
                print(f"  {sentence}")
            if report.num_without_checksum:
                print(f"  {counted(report.num_without_checksum, 'clip')} of an earlier version have no checksum")
        if report.is_whole:
            return 0
        if not self.repair:
            remark("--repair marks what is damaged, so that it can be made again")
        elif report.parts:
            remark(
                "marked; `earwitness prepare MANIFEST STORE --retry-failures damaged` makes these clips again, with "
                f"the manifest that the store was built from, or {report.manifest}"
            )
        else:
            remark("repaired")
        return 0 if self.repair else 1


@dataclass(frozen=True, kw_only=True)
class Compact:
    """Write a store again without what was dropped, in parts of even size. Needs room for both at a time."""

    store: Folder
    """The store."""
    clips_per_part: int | None = None
    """Clips of one part. None: as before."""
    json: bool = False
    """Report as JSON."""

    def run(self) -> int:
        """Compact."""
        from earwitness.store.merge import compact_store

        if self.clips_per_part is not None and self.clips_per_part < 1:
            raise SettingsError(f"clips_per_part={self.clips_per_part} must be positive")
        with _row_bar("compact", "row") as progress:
            summary = compact_store(self.store, clips_per_part=self.clips_per_part, progress=progress)
        return _report(self.store, summary, as_json=self.json)


@dataclass(frozen=True, kw_only=True)
class StoreCare:
    """Look into a store, add and drop clips, merge, verify, compact."""

    task: Annotated[
        Annotated[Info, subcommand("info")]
        | Annotated[Append, subcommand("append")]
        | Annotated[Drop, subcommand("drop")]
        | Annotated[Merge, subcommand("merge")]
        | Annotated[Verify, subcommand("verify")]
        | Annotated[Compact, subcommand("compact")],
        arg(name=""),
    ]

    def run(self) -> int:
        """Run the chosen task."""
        return self.task.run()


@contextmanager
def _row_bar(title: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    with progress_bar(total=None, unit=unit, title=title) as bar:

        def show(num_done: int, num_all: int) -> None:
            bar.total = num_all
            bar.update(num_done - bar.n)

        yield show


def _report(store: str, summary: "BuildSummary", *, as_json: bool) -> int:
    if as_json:
        print_json({"schema_version": 1, "store": str(store), **asdict(summary)})
    else:
        print(f"{store}:")
        _print_store(summary)
    return 0


def _print_store(summary: "BuildSummary") -> None:
    print(
        f"  {summary.num_stored:,} of {counted(summary.num_clips, 'clip')}, {duration(summary.seconds_of_sound)} of "
        f"sound, in {counted(summary.num_parts, 'part')}"
    )


def _read_lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise SettingsError(f"{path}: the list of clips cannot be read ({error})") from error
    return [line for line in lines if line]
