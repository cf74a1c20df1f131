"""How `earwitness tag` speaks to people: rows as text, a bar, and what it all came to."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from earwitness.cli.output import clock, counted, media_and_range, progress_bar, remark
from earwitness.inference.tagger import SILENT
from earwitness.listening.rows import Row, remarks
from earwitness.listening.work import Progress
from earwitness.report.words import duration


class TextOutput:
    """For reading in a terminal."""

    def write(self, row: Row) -> None:
        """A heading, the tags, and the events under them; or one line with the reason."""
        name = media_and_range(row["media"], row.get("start_seconds"), row.get("stop_seconds"))
        if row["status"] == "failed":
            print(f"{name}  failed: {row['failure_reason'].removeprefix(row['media'] + ': ')}", flush=True)
            return
        scale = ["calibrated scores"] if row["is_calibrated"] else []
        said = [duration(row["seconds"]), *scale, *remarks(row)]
        print(f"{name}  ({'; '.join(said)})")
        for tag in row["tags"]:
            print(f"  {tag['score']:6.3f}  {tag['label_name']}")
        if row["has_own_thresholds"] and not row["tags"]:
            over = " over the whole file, only for a time" if row.get("events") else ""
            print(f"  no label reaches its own threshold{over}; --threshold 0.5 shows the best ones all the same")
        for event in row.get("events", ()):
            span = f"{clock(event['start_seconds'])} - {clock(event['stop_seconds'])}"
            print(f"  {span:>19}  {event['label_name']} (up to {event['peak_score']:.3f})")
        if row.get("events") == []:
            is_silent = SILENT in row["warnings"]
            print(
                "  nothing sounds, so there are no events"
                if is_silent
                else "  no label reaches the threshold at any time; --threshold sets it"
            )
        sys.stdout.flush()


@contextmanager
def tag_bar(total: int) -> Iterator[Callable[[Progress], None]]:
    """A bar: inputs done and time left, how many times faster than the sound lasts, failures so far."""
    started = time.monotonic()
    with progress_bar(total=total, unit="file", title="tag") as bar:

        def show(progress: Progress) -> None:
            bar.initial = progress.num_resumed
            bar.update(progress.num_done - bar.n)
            speed = progress.seconds / max(time.monotonic() - started, 1e-9)
            bar.set_postfix_str(f"{speed:,.0f} x real time, {progress.num_failed} failed", refresh=False)

        yield show


def print_summary(progress: Progress, *, elapsed_seconds: float, out: Path | None) -> None:
    """What it came to and where it is, in one or two sentences, to standard error."""
    num_tagged = progress.num_inputs - progress.num_failed
    place = f"{out}: " if out is not None else ""
    sound = f"{duration(progress.all_seconds)} of sound"
    if progress.was_complete:
        remark(f"{place}complete already, {counted(num_tagged, 'file')} tagged: {sound}")
        return
    before = f", {progress.num_resumed:,} of them before" if progress.num_resumed else ""
    speed = f"{progress.seconds / max(elapsed_seconds, 1e-9):,.0f} x real time"
    remark(f"{place}{counted(num_tagged, 'file')} tagged{before}: {sound}, in {duration(elapsed_seconds)} ({speed})")


def print_failures(progress: Progress) -> None:
    """How many inputs failed, by kind."""
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in progress.failures.most_common())
    remark(f"{progress.num_failed:,} of {counted(progress.num_inputs, 'file')} gave no sound ({kinds})")
