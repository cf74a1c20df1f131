"""earwitness learns to name the sounds in soundtracks from weak labels, and uses what was learnt.

The rooms, from the ground up (imports go down only; the build checks it):

    errors, files, labels, front_end, table_files,
    manifest, selection                              the shared vocabulary
    audio, datasets, models, evaluation, parallel    independent of one another
    store, inference                                 frames on disk; media to scores
    scoring, synth, listening                        clip scores and the baseline; made corpora; what a model hears
    training                                         the loop and the run folder
    experiments, report                              questions asked of models; pictures and pages
    demo, cli                                        what people run

In Python, `earwitness.load("model.safetensors")` gives a model that listens: see `earwitness.listening.listener`.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from earwitness.listening.listener import Listener as Listener
    from earwitness.listening.listener import load as load

__version__ = version("earwitness")

_LISTENING = ("Listener", "load")
"""What this module offers itself, read when it is first asked for: `import earwitness` alone loads no torch."""


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _LISTENING:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module("earwitness.listening.listener"), name)

    def __dir__() -> list[str]:
        return sorted({*_LISTENING, *(name for name in globals() if name.startswith("__"))})
