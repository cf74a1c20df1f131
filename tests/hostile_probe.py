"""Decodes every file of a folder but the bait by every route, and says what came of it and what Python saw itself do.

Run by `test_hostile_media.py` in a process of its own, because an audit hook cannot be taken off again.

    python hostile_probe.py FOLDER
"""

import io
import json
import os
import sys
from pathlib import Path

from earwitness.audio.decode import decode
from earwitness.errors import MediaError
from hostile_files import BAIT_FILE, BEGIN, FALSE_SUFFIXES
from made_media import wav

WATCHED = ("open", "os.", "socket.", "subprocess.", "urllib.", "shutil.", "glob.", "ctypes.dlopen", "import")


def outcome(source):
    """What decoding gives: samples, or the error's name."""
    try:
        with decode(source) as blocks:
            return sum(map(len, blocks))
    except MediaError as error:
        return f"{type(error).__name__}: {error}"


def routes(path):
    """The same file as whoever has it may hand it over."""
    data = path.read_bytes()
    yield "path", path
    yield "name", path.name
    yield "bytes", data
    yield "object", io.BytesIO(data)
    with path.open("rb") as file:
        yield "file", file
    for suffix in FALSE_SUFFIXES:
        other = path.with_name(f"{path.name}.{suffix}")
        other.symlink_to(path.name)
        yield suffix, other


def main(folder):
    """Decode, watch, print JSON."""
    os.chdir(folder)
    paths = sorted(path for path in Path.cwd().iterdir() if path.name != BAIT_FILE)
    outcome(wav([0] * 1_600, 16_000))  # imports done
    outcome(wav([0] * 1_600, 44_100))
    outcome(b"not media")
    Path(BEGIN).exists()
    events = []
    watching = True

    def watch(event, arguments):
        if watching and event.startswith(WATCHED):
            events.append([event, str(arguments[0]) if arguments else ""])

    sys.addaudithook(watch)
    outcomes = {path.name: {name: outcome(source) for name, source in routes(path)} for path in paths}
    watching = False
    print(json.dumps({"outcomes": outcomes, "events": events}))


if __name__ == "__main__":
    main(sys.argv[1])
