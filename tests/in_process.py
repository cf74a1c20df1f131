"""The command line, called in this process: starting Python for every command would take minutes."""

import contextlib
import io
from dataclasses import dataclass

import pytest

from earwitness.cli.main import main


@dataclass(frozen=True)
class Said:
    """What a command that went well has said."""

    stdout: str
    stderr: str


def run(*arguments: object) -> Said:
    """Run `earwitness` with these arguments, through the same entry point; it must exit with 0."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr("sys.argv", ["earwitness", *map(str, arguments)])
        with pytest.raises(SystemExit) as ending:
            main()
    assert ending.value.code == 0, err.getvalue()
    return Said(out.getvalue(), err.getvalue())
