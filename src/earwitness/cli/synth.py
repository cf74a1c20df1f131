"""`earwitness synth`: a made corpus."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Annotated

from tyro.conf import Positional, arg

from earwitness.cli.output import counted, print_json, progress_bar, remark
from earwitness.parallel import usable_cpus
from earwitness.report.words import duration
from earwitness.synth.settings import SynthSettings


@dataclass(frozen=True, kw_only=True)
class Synth:
    """Make a corpus of soundtracks that behave like those of the web: overlapping sounds, labels only partly true."""

    corpus: Annotated[Positional[Path], arg(metavar="CORPUS")]
    """The folder to make. An interrupted one is finished; one asked for more clips grows."""
    settings: Annotated[SynthSettings, arg(name="")]
    workers: int = field(default_factory=usable_cpus)
    """Processes at work; by default one for each processor."""
    json: bool = False
    """Report as JSON."""

    def run(self) -> int:
        """Make it."""
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
