"""`earwitness prepare`: from a manifest to a store of frames."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from earwitness.cli.label_set_option import read_labels_of
from earwitness.cli.manifest_option import read_given_manifest
from earwitness.cli.output import counted, duration, print_json, print_next, progress_bar, remark
from earwitness.store.settings import BuildSettings

if TYPE_CHECKING:
    from earwitness.store.build import BuildSummary


@dataclass(frozen=True, kw_only=True)
class Prepare:
    """Decode the media of a manifest into a store, from which networks are trained."""

    manifest: Annotated[Positional[Path], arg(metavar="MANIFEST")]
    """Table of clips: .parquet, .csv or .jsonl."""
    store: Annotated[Positional[Path], arg(metavar="STORE")]
    """The folder to make. An interrupted one is finished."""
    settings: Annotated[BuildSettings, arg(name="")]
    label_set: Path | None = None
    """The labels in order: a .csv or .txt, a model (.safetensors) or another store. None: the manifest's own,
    sorted."""
    json: bool = False
    """Report as JSON."""

    def run(self) -> int:
        """Build the store; 1 if not one clip could be stored."""
        from earwitness.store.build import BuildProgress, build_store
        from earwitness.store.parts import FAILURES_FILE

        manifest = read_given_manifest(self.manifest)
        label_set = read_labels_of(self.label_set) if self.label_set is not None else None
        started = time.monotonic()
        seconds_before: float | None = None  # sound that an earlier run has stored
        with progress_bar(total=len(manifest), unit="clip", title="prepare") as bar:

            def show(progress: BuildProgress) -> None:
                nonlocal seconds_before
                if seconds_before is None:
                    seconds_before = progress.seconds_of_sound
                    bar.initial = progress.num_resumed
                bar.update(progress.num_done - bar.n)
                speed = (progress.seconds_of_sound - seconds_before) / max(time.monotonic() - started, 1e-9)
                bar.set_postfix_str(f"{speed:,.0f}x real time, {progress.num_failed} failed", refresh=False)

            summary = build_store(manifest, self.store, settings=self.settings, label_set=label_set, progress=show)
        failures_path = self.store / FAILURES_FILE
        if self.json:
            values = {**vars(summary), "was_complete": summary.was_complete, "failures": str(failures_path)}
            print_json({"schema_version": 1, "store": str(self.store), **values})
        else:
            self._print(summary)
        if summary.num_failed:
            again = "; to try them again, prepare into a new folder" if summary.was_complete else ""
            count = f"{summary.num_failed} of {summary.num_clips}"
            remark(f"{count} clips gave no sound; the reasons are in {failures_path}{again}")
        return 0 if summary.num_stored else 1

    def _print(self, summary: "BuildSummary") -> None:
        print(
            f"{self.store}: {summary.num_stored} of {counted(summary.num_clips, 'clip')}, "
            f"{duration(summary.seconds_of_sound)} of sound, in {counted(summary.num_parts, 'part')}"
        )
        if summary.was_complete:
            print("  it was complete already")
        elif summary.num_resumed_parts:
            print(f"  {counted(summary.num_resumed_parts, 'part')} of it from before")
        if summary.num_warned:
            print(
                f"  {counted(summary.num_warned, 'clip')} stored with a warning of the decoder "
                "(column `warnings` in parts/*.parquet)"
            )
        if summary.num_stored:
            print_next("train", self.store, "RUN")
