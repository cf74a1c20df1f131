"""What can be chosen about the service."""

import math
import os
from dataclasses import dataclass
from pathlib import Path

from earwitness.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """Where the service listens, whom it answers, and what an upload may cost."""

    host: str = "127.0.0.1"
    """Address to listen at. 0.0.0.0 is every address of this machine: others can then reach it."""
    port: int = 8000
    """0: any that is free."""
    allow_host: tuple[str, ...] = ()
    """Names by which the service may be called, beside localhost and IP addresses: sound.example.org"""
    api_key_file: Path | None = None
    """A file with a key on its first line; requests must then carry it: `Authorization: Bearer KEY`."""
    max_megabytes: float = 1_000.0
    """Larger uploads are refused."""
    max_minutes: float = 180.0
    """Longer sound is refused."""
    upload_seconds: float = 600.0
    """An upload that takes longer is ended; so is one slower than 16 kB/s after its first ten seconds."""
    decode_seconds: float = 120.0
    """Processor time in which a file must be decoded."""
    decode_memory_mib: int = 1_024
    """Memory that decoding a file may take."""
    answer_seconds: float = 900.0
    """An upload that has arrived is given up when it has no answer by then."""
    max_requests: int = 32
    """Uploads in the house at a time, on their way or in work; further ones are told that the service is busy."""
    decoders: int = 2
    """Files decoded at a time, each in a process of its own."""
    shutdown_seconds: float = 30.0
    """When the service is stopped, uploads that have arrived may take so long to be finished."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise SettingsError(f"port={self.port} must lie in 0 to 65535")
        for name in ("max_requests", "decoders", "decode_memory_mib"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name}={getattr(self, name)} must be at least 1")
        for name in (
            "max_megabytes",
            "max_minutes",
            "upload_seconds",
            "decode_seconds",
            "answer_seconds",
            "shutdown_seconds",
        ):
            if not 0 < getattr(self, name) < math.inf:
                raise SettingsError(f"{name}={getattr(self, name):g} must be positive and finite")

    @property
    def max_bytes(self) -> int:
        """Of an upload."""
        return int(self.max_megabytes * 1e6)

    def read_api_key(self) -> str | None:
        """The key, or None where none is asked for.

        Raises:
            SettingsError: the file cannot be read, or holds no key that a header could carry.
        """
        if self.api_key_file is None:
            return None
        try:
            key = self.api_key_file.read_text(encoding="utf-8").partition("\n")[0].strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{os.fspath(self.api_key_file)}: the key cannot be read ({error})") from error
        if len(key) < MIN_KEY_CHARACTERS or not key.isascii() or not key.isprintable() or " " in key:
            raise SettingsError(
                f"{os.fspath(self.api_key_file)}: its first line must be a key of at least {MIN_KEY_CHARACTERS} ASCII "
                "characters without spaces; `openssl rand -hex 16` makes one"
            )
        return key


MIN_KEY_CHARACTERS = 16
"""Shorter keys can be guessed."""
