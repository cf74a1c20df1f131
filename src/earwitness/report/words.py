"""Numbers and names as people read them, the same in pictures, tables and pages."""

import math
import textwrap

TERMINAL_WIDTH = 80


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """`1 clip`, `2 clips`; `2 patches` where the plural is given."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {plural or noun + 's'}"


def shorten(text: str, *, length: int) -> str:
    """The text in one line, cut with an ellipsis if longer than `length` characters.

    What is no character (names of files may hold bytes that are none) becomes a question mark.
    """
    text = " ".join(text.encode(errors="replace").decode().split())
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def measure(value: float) -> str:
    """A measure to four decimals; `undefined` where there is none."""
    return "undefined" if math.isnan(value) else f"{value:.4f}"


def fixed(value: float, digits: int) -> str:
    """A number to so many decimals, with a true minus sign, and none before a zero."""
    text = f"{value:.{digits}f}"
    return text.replace("-", "" if float(text) == 0 else "−")


def duration(seconds: float) -> str:
    """A length of time: `7.5 s`, `48 s`, `4 min 05 s`, `2 h 03 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {whole % 60:02} s" if minutes else f"{whole} s"


def wrapped(text: str) -> str:
    """The text with its lines broken at 80 columns; rows of tables are left whole."""
    lines = []
    for line in text.split("\n"):
        if line.startswith("|"):
            lines.append(line)
        else:
            lines += textwrap.wrap(line, TERMINAL_WIDTH, break_long_words=False, break_on_hyphens=False) or [""]
    return "\n".join(lines)
