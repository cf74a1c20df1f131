"""Looking at the processes of a command that runs: who is there, how much memory they hold, which files they read.

Linux only: all of it comes from /proc.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


def descendants(pid: int) -> list[int]:
    """A process and all that came from it and still lives under it, itself first."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):  # it has ended
            for task in Path(f"/proc/{parent}/task").iterdir():
                with contextlib.suppress(OSError):
                    found.extend(map(int, (task / "children").read_text().split()))
    return found


def session_members(session: int) -> list[int]:
    """Living processes of a session (of a command started with `start_new_session`), adopted orphans included."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                state, _, _, its_session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
                if int(its_session) == session and state not in ("Z", "X"):
                    found.append(int(folder.name))
    return found


def resident_bytes(pid: int) -> int:
    """Memory that a process holds now; 0 where it has ended."""
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def open_files(pid: int) -> Iterator[str]:
    """Paths of the files that a process has open."""
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                yield str(link.readlink())
