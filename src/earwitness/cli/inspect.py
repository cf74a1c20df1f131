"""`earwitness inspect`: what is wrong with a corpus, before anyone trains on it."""

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from earwitness.cli.label_set_option import read_labels_of
from earwitness.cli.manifest_option import read_given_manifest
from earwitness.cli.output import counted, print_json, progress_bar, remark, require_separate_files
from earwitness.doctor.cleaning import DROPPED_BY_DEFAULT, clips_to_drop, require_droppable, require_kinds
from earwitness.doctor.settings import InspectSettings
from earwitness.errors import SettingsError, StoreError

if TYPE_CHECKING:
    import pyarrow as pa

    from earwitness.audio.source import ByteRange
    from earwitness.doctor.findings import CorpusReport
    from earwitness.doctor.inspect import Progress
    from earwitness.front_end import FrontEnd

_CLEAN_SUFFIXES = (".parquet", ".csv", ".jsonl")


@dataclass(frozen=True, kw_only=True)
class Inspect:
    """Look for what is wrong with a corpus: broken, silent, clipped, copied and leaking clips, label holes."""

    source: Annotated[Positional[Path], arg(metavar="MANIFEST|STORE")]
    """A table of clips, whose media are decoded; or a store, whose frames are read, which is faster and shows less."""
    settings: Annotated[InspectSettings, arg(name="")]
    label_set: Path | None = None
    """The labels there should be: a .csv or .txt, a model (.safetensors) or a store. None: those that clips carry. A
    store that is inspected has its own."""
    out: Path | None = None
    """Folder for report.html (plots, and suspects to play), report.json, findings.csv and keep.sql (a condition for
    --where)."""
    clean_out: Path | None = None
    """A manifest to write (.parquet, .csv or .jsonl): the one inspected, without the clips that --drop names."""
    drop: tuple[str, ...] = DROPPED_BY_DEFAULT
    """Kinds of findings whose clips keep.sql and --clean-out leave out; of copies (duplicate), one stays."""
    fail_on: tuple[str, ...] = ()
    """Kinds of findings for which to exit with status 1, for example split_leak undecodable; any: all of them."""
    json: bool = False
    """Print the report as JSON."""

    def __post_init__(self) -> None:
        require_droppable(self.drop)
        require_kinds([kind for kind in self.fail_on if kind != "any"])
        require_separate_files({"--clean-out": self.clean_out}, inputs=[self.source, self.label_set])
        if self.clean_out is not None and self.clean_out.suffix.lower() not in _CLEAN_SUFFIXES:
            raise SettingsError(f"--clean-out {self.clean_out}: its suffix must be one of {', '.join(_CLEAN_SUFFIXES)}")

    def run(self) -> int:
        """Inspect and report; 1 where something was found that `fail_on` names."""
        from earwitness.report.doctor_files import make_report_folder
        from earwitness.report.doctor_summary import summary
        from earwitness.report.doctor_words import worst_first

        if self.source.is_dir():
            self._require_options_of_stores()
        if self.out is not None:
            make_report_folder(self.out)
        if self.source.is_dir():
            report, front_end, clips = self._inspect_store()
        else:
            report, front_end, clips = self._inspect_manifest()
        dropped = clips_to_drop(report, kinds=self.drop)
        if self.json:
            print_json(report.to_json())
        else:
            print(summary(report))
        if self.out is not None:
            self._write(self.out, report, dropped, front_end, clips)
        if self.clean_out is not None:
            self._write_clean(self.clean_out, clips, dropped, is_sample=report.is_sample)
        failed = [count.kind for count in worst_first(report) if {count.kind, "any"} & set(self.fail_on)]
        if failed:
            remark(f"found {', '.join(failed)}: status 1 (--fail-on)")
        return int(bool(failed))

    def _require_options_of_stores(self) -> None:
        if self.clean_out is not None:
            raise SettingsError(
                f"--clean-out makes a manifest from a manifest, and {self.source} is a folder. Clips of a store are "
                "left out by --where, with the condition that --out writes into keep.sql"
            )
        if self.label_set is not None:
            raise SettingsError(
                f"--label-set goes with a manifest, and {self.source} is a folder: a store has its labels from prepare"
            )

    def _inspect_store(self) -> "tuple[CorpusReport, FrontEnd, pa.Table]":
        from earwitness.datasets.recognise import hint
        from earwitness.doctor.inspect import inspect_store
        from earwitness.store.header import FILE_NAME
        from earwitness.store.read import Store

        if not (self.source / FILE_NAME).exists():
            known = hint(self.source) or "; `earwitness manifest folder` makes a manifest of a folder per label"
            raise StoreError(f"{self.source}: the folder holds no store{known}, which `earwitness inspect` takes")
        store = Store.open(self.source)
        with _progress(store.num_clips, self.settings.sample) as progress:
            return inspect_store(store, settings=self.settings, progress=progress), store.front_end, store.clips

    def _inspect_manifest(self) -> "tuple[CorpusReport, FrontEnd, pa.Table]":
        from earwitness.doctor.inspect import inspect_manifest

        manifest = read_given_manifest(self.source)
        label_set = read_labels_of(self.label_set) if self.label_set is not None else None
        with _progress(len(manifest), self.settings.sample) as progress:
            report = inspect_manifest(manifest, settings=self.settings, label_set=label_set, progress=progress)
        return report, self.settings.front_end, manifest.table

    def _write(
        self, folder: Path, report: "CorpusReport", dropped: Collection[str], front_end: "FrontEnd", clips: "pa.Table"
    ) -> None:
        from earwitness.report.doctor_files import PAGE_FILE, keep_words, write_doctor_files

        is_short = write_doctor_files(
            folder,
            report,
            dropped=dropped,
            front_end=front_end,
            byte_ranges=_byte_ranges(clips, report),
            workers=self.settings.workers,
        )
        remark(f"report: {folder / PAGE_FILE}")
        if dropped:
            remark(keep_words(folder, report, len(dropped), is_short=is_short).replace("`", ""))

    def _write_clean(self, path: Path, clips: "pa.Table", dropped: Collection[str], *, is_sample: bool) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        from earwitness.manifest import Manifest, write_manifest

        kept = clips.filter(pc.invert(pc.is_in(clips["clip_id"], pa.array(list(dropped), pa.string()))))
        if not kept.num_rows:
            raise SettingsError(f"{path}: not written, because no clip would be left; --drop names what is left out")
        write_manifest(Manifest(kept, str(self.source)), path)
        unscanned = "; clips that were not scanned are kept" if is_sample else ""
        remark(f"{path}: {counted(kept.num_rows, 'clip')}, {len(dropped):,} left out{unscanned}")


def _byte_ranges(clips: "pa.Table", report: "CorpusReport") -> "dict[str, ByteRange]":
    """Where the media of suspects lie, of those that are parts of files."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from earwitness.audio.source import ByteRange
    from earwitness.manifest import RANGE_COLUMNS

    if not RANGE_COLUMNS.keys() <= set(clips.column_names):
        return {}
    suspects = {finding.clip_id for finding in report.findings}
    rows = clips.select(["clip_id", "media", *RANGE_COLUMNS])
    rows = rows.filter(pc.is_in(rows["clip_id"], pa.array(list(suspects), pa.string())))
    return {
        clip_id: ByteRange(media, offset_bytes, num_bytes)
        for clip_id, media, offset_bytes, num_bytes in zip(
            *(column.to_pylist() for column in rows.columns), strict=True
        )
        if offset_bytes is not None
    }


@contextmanager
def _progress(num_clips: int, sample: int | None) -> "Iterator[Progress]":
    from earwitness.doctor.inspect import InspectProgress

    started = time.monotonic()
    with progress_bar(total=min(num_clips, sample or num_clips), unit="clip", title="inspect") as bar:

        def show(progress: InspectProgress) -> None:
            bar.update(progress.num_done - bar.n)
            speed = progress.seconds_of_sound / max(time.monotonic() - started, 1e-9)
            bar.set_postfix_str(f"{speed:,.0f}x real time, {progress.num_with_findings} suspect", refresh=False)

        yield show
