"""Names that clients give to what they send: shown in answers, never used to open anything."""

import unicodedata

MAX_CHARACTERS = 120
NO_NAME = "upload"


def tame(name: str) -> str:
    """What remains of a name: its last part, without control characters and lone surrogates, not too long.

    The suffix stays: FFmpeg looks at it, as it does with files on a disk.
    """
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    shown = "".join("_" if _is_odd(character) else character for character in last).strip()
    if len(shown) > MAX_CHARACTERS:
        stem, dot, suffix = shown.rpartition(".")
        suffix = dot + suffix if stem and len(suffix) <= 10 else ""
        shown = shown[: MAX_CHARACTERS - len(suffix) - 1] + "…" + suffix
    return shown if shown not in ("", ".", "..") else NO_NAME


def _is_odd(character: str) -> bool:
    """Control and formatting characters (which can turn a line around), lone surrogates, line separators."""
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
