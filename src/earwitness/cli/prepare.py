"""`earwitness prepare`: from a manifest to a store of frames."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from earwitness.cli.label_set_option import read_labels_of
from earwitness.cli.manifest_option import read_given_manifest
from earwitness.cli.output import counted, print_json, print_next, progress_bar, remark
from earwitness.errors import SettingsError
from earwitness.front_end import FrontEnd
from earwitness.models.model_header import read_front_end
from earwitness.places import place
from earwitness.report.words import duration
from earwitness.store.settings import BuildSettings

if TYPE_CHECKING:
    from earwitness.store.complete import BuildProgress, BuildSummary
    from earwitness.store.part_jobs import Engine


@dataclass(frozen=True, kw_only=True)
class Prepare:
    """Decode the media of a manifest into a store, from which networks are trained."""

    manifest: Annotated[Positional[str], arg(metavar="MANIFEST")]
    """Table of clips: .parquet, .csv or .jsonl, as a file or a URL."""
    store: Annotated[Positional[str], arg(metavar="STORE")]
    """The folder to make, or its URL, such as s3://bucket/store. An interrupted one is finished."""
    settings: Annotated[BuildSettings, arg(name="")]
    engine: Literal["local", "ray"] = "local"
    """Who decodes: the processes of this machine, or a Ray cluster, part by part."""
    ray_address: str = "local"
    """The cluster of --engine ray: HOST:PORT of its head, auto for the one that this machine belongs to, or local for
    one of this machine alone."""
    label_set: str | None = None
    """The labels in order: a .csv or .txt, a model (.safetensors) or another store. None: those of the store, where
    it is there already, or else the manifest's own, sorted."""
    for_model: Annotated[Path | None, arg(name="for")] = None
    """A model (.safetensors) that is to hear the store: its front end is used. None: the front end that the options
    say, by default the paper's."""
    retry_failures: tuple[str, ...] | None = None
    """Try clips again that failed: all but those that were dropped, or those of the kinds named here, such as
    transient crash."""
    json: bool = False
    """Report as JSON."""

    def run(self) -> int:
        """Build the store; 1 if not one clip could be stored."""
        from earwitness.store.build import build_store
        from earwitness.store.parts import FAILURES_FILE
        from earwitness.store.retry import RETRIED_KINDS, check_kinds, retry_failures

        kinds = () if self.retry_failures is None else self.retry_failures or RETRIED_KINDS
        check_kinds(kinds)
        engine = self._engine()
        settings = self._settings()
        manifest = read_given_manifest(self.manifest)
        label_set = read_labels_of(self.label_set) if self.label_set is not None else None
        with build_bar("prepare", total=len(manifest)) as progress:
            summary = build_store(
                manifest,
                self.store,
                settings=settings,
                label_set=label_set,
                engine=engine,
                progress=progress,
                forgiven=kinds,
            )
        retried = None
        if kinds:
            with build_bar("retry") as progress:
                retried = retry_failures(self.store, kinds=kinds, settings=settings, engine=engine, progress=progress)
            was_complete = summary.was_complete and not retried.num_tried
            summary = build_store(manifest, self.store, settings=settings, label_set=label_set)
        else:
            was_complete = summary.was_complete
        failures_path = place(self.store) / FAILURES_FILE
        if self.json:
            values = {**vars(summary), "was_complete": was_complete, "failures": str(failures_path)}
            tried = {"retried": asdict(retried)} if retried else {}
            print_json({"schema_version": 1, "store": str(self.store), **values, **tried})
        else:
            self._print(summary, was_complete=was_complete)
            if retried:
                print(f"  {counted(retried.num_tried, 'clip')} tried again, {retried.num_stored:,} now stored")
        if summary.num_failed:
            again = "; --retry-failures tries them again" if was_complete and not retried else ""
            count = f"{summary.num_failed} of {summary.num_clips}"
            remark(f"{count} clips are not stored; the reasons are in {failures_path}{again}")
        return 0 if summary.num_stored else 1

    def _settings(self) -> BuildSettings:
        if self.for_model is None:
            return self.settings
        if self.settings.front_end != FrontEnd():
            raise SettingsError(
                f"--for {self.for_model} brings the model's front end; leave the options of the front end away "
                f"({self.settings.front_end.differences(FrontEnd())})"
            )
        return replace(self.settings, front_end=read_front_end(self.for_model))

    def _engine(self) -> "Engine":
        from earwitness.ray_tasks import LOCAL
        from earwitness.store.cluster import cluster_engine
        from earwitness.store.local import make_parts

        if self.engine == "ray":
            return cluster_engine(self.ray_address)
        if self.ray_address != LOCAL:
            raise SettingsError(f"--ray-address {self.ray_address} is for --engine ray")
        return make_parts

    def _print(self, summary: "BuildSummary", *, was_complete: bool) -> None:
        print(
            f"{self.store}: {summary.num_stored} of {counted(summary.num_clips, 'clip')}, "
            f"{duration(summary.seconds_of_sound)} of sound, in {counted(summary.num_parts, 'part')}"
        )
        if was_complete:
            print("  it was complete already")
        elif 0 < summary.num_resumed_parts < summary.num_parts:
            print(f"  {counted(summary.num_resumed_parts, 'part')} of it from before")
        if summary.num_warned:
            print(
                f"  {counted(summary.num_warned, 'clip')} stored with a warning of the decoder "
                "(column `warnings` in parts/*.parquet)"
            )
        if summary.num_stored:
            begin = ("--from", self.for_model, "--freeze") if self.for_model is not None else ()
            print_next("train", self.store, "RUN", *begin)


@contextmanager
def build_bar(title: str, *, total: int | None = None) -> Iterator[Callable[["BuildProgress"], None]]:
    """A bar for a build: clips done and time left, hours of media a minute, failures so far."""
    started = time.monotonic()
    with progress_bar(total=total, unit="clip", title=title) as bar:

        def show(progress: "BuildProgress") -> None:
            bar.total, bar.initial = progress.num_clips, progress.num_resumed
            bar.update(progress.num_done - bar.n)
            hours = (progress.seconds_of_sound - progress.seconds_before) / 3_600
            rate = hours / (max(time.monotonic() - started, 1e-9) / 60)
            bar.set_postfix_str(f"{rate:,.2f} h of media a minute, {progress.num_failed} failed", refresh=False)

        yield show
