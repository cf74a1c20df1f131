"""The entry point: chooses the command, and turns errors meant for users into one sentence and an exit status.

Exit status: 0 done; 1 refused or failed, with a sentence; 2 the command line cannot be read; 130 stopped by Ctrl-C.
"""

import io
import os
import sys
import time
from collections.abc import Sequence
from typing import Annotated, Any

import tyro
from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, OmitSubcommandPrefixes, subcommand

from earwitness.cli.calibrate import Calibrate
from earwitness.cli.compare import Compare
from earwitness.cli.crossvalidate import CrossValidate
from earwitness.cli.demo import Demo
from earwitness.cli.embed import Embed
from earwitness.cli.evaluate import Evaluate
from earwitness.cli.experiment import Experiment
from earwitness.cli.export import Export
from earwitness.cli.grid import Grid
from earwitness.cli.import_model import ImportModel
from earwitness.cli.inspect import Inspect
from earwitness.cli.labels import Labels
from earwitness.cli.manifest import Manifest
from earwitness.cli.models import Models
from earwitness.cli.prepare import Prepare
from earwitness.cli.pull import Pull
from earwitness.cli.recipe_option import recipe_asked_for
from earwitness.cli.records import Records
from earwitness.cli.score import Score
from earwitness.cli.serve import Serve
from earwitness.cli.store import StoreCare
from earwitness.cli.subset import Subset
from earwitness.cli.synth import Synth
from earwitness.cli.tag import Tag
from earwitness.cli.timeline import Timeline
from earwitness.cli.train import Train
from earwitness.errors import EarwitnessError, ToldElsewhereError

_RESUMABLE = frozenset({"synth", "prepare", "train", "crossvalidate", "grid", "experiment", "score", "pull", "embed"})


def command_line(arguments: Sequence[str]) -> Any:
    """The type of all commands. A recipe named among the arguments decides the defaults of those that train."""
    recipe = recipe_asked_for(arguments)
    return (
        Annotated[Demo, subcommand("demo")]
        | Annotated[Synth, subcommand("synth")]
        | Annotated[Manifest, subcommand("manifest")]
        | Annotated[Labels, subcommand("labels")]
        | Annotated[Subset, subcommand("subset")]
        | Annotated[Inspect, subcommand("inspect")]
        | Annotated[Prepare, subcommand("prepare")]
        | Annotated[StoreCare, subcommand("store")]
        | Annotated[Train, subcommand("train", default=Train.defaults(recipe))]
        | Annotated[Evaluate, subcommand("evaluate")]
        | Annotated[Compare, subcommand("compare")]
        | Annotated[Score, subcommand("score")]
        | Annotated[Calibrate, subcommand("calibrate")]
        | Annotated[CrossValidate, subcommand("crossvalidate", default=CrossValidate.defaults(recipe))]
        | Annotated[Grid, subcommand("grid", default=Grid.defaults(recipe))]
        | Annotated[Experiment, subcommand("experiment")]
        | Annotated[Tag, subcommand("tag")]
        | Annotated[Timeline, subcommand("timeline")]
        | Annotated[Serve, subcommand("serve")]
        | Annotated[Embed, subcommand("embed")]
        | Annotated[Records, subcommand("records")]
        | Annotated[Export, subcommand("export")]
        | Annotated[Models, subcommand("models")]
        | Annotated[Pull, subcommand("pull")]
        | Annotated[ImportModel, subcommand("import")]
    )


def main() -> None:
    """Run the command line and exit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files need not be UTF-8
            stream.reconfigure(errors="surrogateescape")
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-V"]):
        from earwitness import __version__

        print(f"earwitness {__version__}")
        return
    try:
        command = tyro.cli(
            command_line(arguments),
            prog="earwitness",
            description="Learn to name the sounds in soundtracks from weak labels, and use what was learnt.",
            args=arguments,
            config=(OmitArgPrefixes, OmitSubcommandPrefixes, FlagCreatePairsOff),
        )
        status = command.run()
        sys.stdout.flush()
    except ToldElsewhereError:
        time.sleep(1)  # torchrun ends all processes once one has ended: let the other speak
        sys.exit(1)
    except EarwitnessError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        is_resumable = arguments[0] in _RESUMABLE or (arguments[0] == "tag" and "--out" in arguments)
        again = "; the same command goes on from there" if is_resumable else ""
        print(f"\nearwitness: stopped{again}", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output, `head` for example, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        _fail(f"{error.filename or 'input or output'}: {error.strerror or error}")
    sys.exit(status)


def _fail(sentence: str) -> None:
    print(f"earwitness: {sentence}", file=sys.stderr)
    sys.exit(1)
