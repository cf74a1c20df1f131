"""`earwitness synth`: a made corpus."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Annotated

from tyro.conf import Positional, arg

from earwitness.cli.output import counted, print_json, progress_bar, remark
from earwitness.errors import SettingsError
from earwitness.parallel import usable_cpus
from earwitness.report.words import duration
from earwitness.synth.settings import SynthSettings


@dataclass(frozen=True, kw_only=True)
class Synth:
    """Make a corpus of soundtracks that behave like those of the web: overlapping sounds, labels only partly true."""

    corpus: Annotated[Positional[Path], arg(metavar="CORPUS")]
    """The folder to make. An interrupted one is finished; one asked for more clips grows."""
    settings: Annotated[SynthSettings, arg(name="")]
    from_clips: str | None = None
    """A manifest of your own labelled clips, to compose soundtracks of: with --clips, --seed and --mean-seconds. Clips
    of one fold, and of one group, stay together; where it has no folds, groups are dealt to five."""
    workers: int = field(default_factory=usable_cpus)
    """Processes at work; by default one for each processor."""
    json: bool = False
    """Report as JSON."""

    def run(self) -> int:
        """Make it."""
        if self.from_clips is not None:
            return self._compose(self.from_clips)
        from earwitness.synth.corpus import SynthProgress, make_corpus

        started = time.monotonic()
        with progress_bar(total=self.settings.clips, unit="clip", title="synth") as bar:

            def show(progress: SynthProgress) -> None:
                bar.initial = progress.num_resumed
                bar.update(progress.num_done - bar.n)
                speed = progress.seconds_made / max(time.monotonic() - started, 1e-9)
                bar.set_postfix_str(f"{speed:,.0f}x real time", refresh=False)

            corpus = make_corpus(self.corpus, settings=self.settings, workers=self.workers, progress=show)
        if self.json:
            print_json({"schema_version": 1, **vars(corpus), "manifest_path": str(corpus.manifest_path)})
            return 0
        made_before = f" ({corpus.num_resumed:,} from before)" if corpus.num_resumed else ""
        print(
            f"{self.corpus}: {counted(corpus.num_clips, 'clip')}{made_before}, "
            f"{duration(corpus.seconds_of_sound)} of sound, "
            f"{corpus.num_labels_given / corpus.num_clips:.1f} labels a clip, "
            f"{corpus.num_flaws:,} of them missing, wrong, coarse or inaudible"
        )
        manifest, labels = quote(str(corpus.manifest_path)), quote(str(self.corpus / "labels.csv"))
        events = quote(str(self.corpus / "events.parquet"))
        print(f"  earwitness prepare {manifest} STORE --label-set {labels}")
        print("  earwitness train STORE RUN --width 0.25 --steps 1000 --where \"split = 'train'\"")
        print(f"  earwitness evaluate RUN/model.safetensors STORE --where \"split = 'test'\" --events {events}")
        if corpus.labels_not_tested:
            remark(
                f"{len(corpus.labels_not_tested)} of {counted(corpus.num_labels, 'label')} are in no clip of the test "
                "split; more --clips, fewer --kinds or fewer --prior-decades give them some"
            )
        return 0

    def _compose(self, clips: str) -> int:
        """Compose it of clips."""
        for name in ("kinds", "prior_decades", "flaws"):
            if getattr(self.settings, name) != getattr(SynthSettings, name):
                raise SettingsError(
                    f"--{name.replace('_', '-')}: with --from-clips, what sounds and its labels are those of the "
                    "clips; leave it away"
                )
        from earwitness.manifest import read_manifest
        from earwitness.synth.composed import compose_corpus

        manifest = read_manifest(clips)
        with progress_bar(total=None, unit="clip", title="synth") as bar:

            def show(what: str, done: int, of: int) -> None:
                if bar.desc != f"{what}: ":
                    bar.reset(total=of)
                    bar.set_description(what, refresh=False)
                bar.update(done - bar.n)

            made = compose_corpus(
                self.corpus,
                manifest,
                clips=self.settings.clips,
                seed=self.settings.seed,
                mean_seconds=self.settings.mean_seconds,
                workers=self.workers,
                on_clips=show,
            )
        if self.json:
            print_json({"schema_version": 1, **vars(made), "manifest_path": str(made.manifest_path)})
            return 0
        made_before = f" ({made.num_resumed:,} from before)" if made.num_resumed else ""
        print(
            f"{self.corpus}: {counted(made.num_clips, 'soundtrack')}{made_before}, {duration(made.seconds_of_sound)} "
            f"of sound, {made.num_events:,} events of {counted(made.num_labels, 'label')}, composed of "
            f"{counted(made.num_sources, 'clip')}"
        )
        names = (str(made.manifest_path), str(self.corpus / "labels.csv"), str(self.corpus / "events.parquet"))
        manifest_path, labels, events = map(quote, names)
        print(f"  earwitness prepare {manifest_path} STORE --label-set {labels}")
        print("  earwitness experiment architectures STORE")
        print(f"  earwitness experiment event-detection STORE --events {events}")
        if made.left_out:
            clip_id, why = made.left_out[0]
            remark(f"{counted(len(made.left_out), 'clip')} could not be used; {clip_id!r}: {why}")
        return 0
