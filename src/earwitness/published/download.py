"""Fetching a file by http or https: resumed where it was cut, checked, and kept.

The cache is `earwitness` in $XDG_CACHE_HOME, or in ~/.cache. Each URL has a folder there; in it the file, or as much of
it as has come (`NAME.partial`) with what the server said of it (`NAME.partial.json`), so that a later call goes on from
there, unless the file has changed at the server. A file that is there is used without the network, whoever put it
there. Proxies are those of the environment (http_proxy, https_proxy, no_proxy). A server may send us on to another
address, but not from https to http, nor to anything else.

Checked are the length that the server announced, and the SHA-256 that the user, or the file's name, says.
"""

import contextlib
import hashlib
import http.client
import json
import os
import re
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from ssl import SSLError
from typing import Any

from earwitness.errors import DownloadError
from earwitness.files import LOCK_FILE, PARTIAL_SUFFIX, locked, sync_folder

_TRIES = 5
"""Connections in a row that bring nothing new before it is given up."""
_WAIT_SECONDS = 0.5
"""Before the second of these; twice as long before each further one."""
_TIMEOUT_SECONDS = 30.0
_BLOCK_BYTES = 1 << 18
_DIGEST_IN_NAME = re.compile(r"-(?!(?:19|20)\d{6}\.)([0-9a-f]{8,64})\.(?:pth|pt)$")
"""`name-10086976.pth`: as PyTorch's hub names files, after the beginning of their SHA-256; but not a date."""

_MAX_NAME_BYTES = 200
"""Of a file's name; file systems take 255, and ours have suffixes."""
_SAFE_IN_URL = "%/:=&?~#+!$,;'@()*[]"
"""What stays as it is in a request; the rest (spaces, letters beyond ASCII) is written with %."""

OnBytes = Callable[[int, int | None], None]
"""Told how many bytes are there, and of how many, where the server says."""


@dataclass(frozen=True, kw_only=True)
class Download:
    """A file that is there."""

    path: Path
    sha256: str
    num_bytes: int
    was_there: bool
    """Whether nothing had to be fetched."""
    is_checked: bool
    """Whether its SHA-256 was compared with one that somebody says."""


def cache_folder() -> Path:
    """Where fetched files are kept."""
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "earwitness"
    except RuntimeError as error:
        raise DownloadError("there is no home folder to keep files in; name a folder: XDG_CACHE_HOME=...") from error


def cached_path(url: str) -> Path:
    """Where the file of a URL lies once it is fetched.

    Raises:
        DownloadError: no URL of http or https that names a file.
    """
    wrong = DownloadError(f"{url}: not the URL of a file; it begins with https:// or http:// and ends in a file's name")
    try:
        parts = urllib.parse.urlsplit(url)
        is_host = bool(parts.hostname) and " " not in parts.netloc and parts.port != 0
    except ValueError as error:  # brackets that do not close, a port that is no number
        raise wrong from error
    if parts.username is not None:
        host = parts.netloc.rpartition("@")[2]
        raise DownloadError(f"a URL at {host} with a name or password in it: these are not sent; leave them away")
    name = Path(urllib.parse.unquote(parts.path)).name
    is_name = name.isprintable() and name not in ("", "..", LOCK_FILE) and len(name.encode()) <= _MAX_NAME_BYTES
    if parts.scheme not in ("http", "https") or not is_host or not is_name or not url.isprintable():
        raise wrong
    return cache_folder() / hashlib.sha256(url.encode()).hexdigest()[:16] / name


def download(url: str, *, sha256: str | None = None, on_bytes: OnBytes | None = None) -> Download:
    """Fetch a file, unless it is there.

    Args:
        url: http or https.
        sha256: hexadecimal, of the whole file; None: that in the file's name, if one is there, else none is compared.
        on_bytes: told of the progress.

    Raises:
        DownloadError: no connection, the server refuses, the file is not the one expected, or it cannot be written.
    """
    path = cached_path(url)
    expected = _expected_digest(url, sha256)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        busy = DownloadError(f"{path.parent}: another process is fetching this file; wait for it to end")
        with locked(path.parent, busy=busy):
            was_there = path.exists()
            if not was_there:
                _Transfer(url, path, on_bytes).run()
            digest = _require_digest(path, expected, url=url, was_there=was_there)
    except OSError as error:
        raise DownloadError(
            f"{error.filename or path}: the file cannot be written ({error.strerror or error})"
        ) from error
    return Download(
        path=path,
        sha256=digest,
        num_bytes=path.stat().st_size,
        was_there=was_there,
        is_checked=expected is not None,
    )


class _Transfer:
    """One file on its way."""

    def __init__(self, url: str, path: Path, on_bytes: OnBytes | None) -> None:
        self._url, self._path, self._on_bytes = url, path, on_bytes
        self._partial = path.with_name(path.name + PARTIAL_SUFFIX)
        self._record = path.with_name(path.name + PARTIAL_SUFFIX + ".json")

    def run(self) -> None:
        """Fetch until all is there."""
        failures = 0
        while True:
            before = self._num_there()
            try:
                if self._fetch():
                    break
                why = "the connection was cut"
            except urllib.error.HTTPError as error:
                with error:
                    if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and before:
                        self._begin_anew()  # the file has changed, or all of it is there and was not known to be
                    elif error.code < 500 and error.code != http.client.TOO_MANY_REQUESTS:
                        raise DownloadError(
                            f"{self._url}: the server refuses ({error.code} {error.reason}); {self._by_hand()}"
                        ) from error
                why = f"{error.code} {error.reason}"
            except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, SSLError) as error:
                why = str(getattr(error, "reason", error)) or type(error).__name__
            failures = 0 if self._num_there() > before else failures + 1
            if failures >= _TRIES:
                there = self._num_there()
                kept = f"; {there:,} bytes are kept, and the same command goes on from there" if there else ""
                raise DownloadError(f"{self._url}: no connection ({why}){kept}. {self._by_hand()}")
            time.sleep(_WAIT_SECONDS * 2 ** (failures - 1) if failures else 0)
        self._partial.replace(self._path)
        self._record.unlink(missing_ok=True)
        sync_folder(self._path.parent)

    def _fetch(self) -> bool:
        """Fetch what is missing; False where the connection ended before it."""
        there = self._num_there()
        known = self._known()
        url = urllib.parse.quote(self._url, safe=_SAFE_IN_URL)
        request = urllib.request.Request(url, headers={"User-Agent": "earwitness", "Accept-Encoding": "identity"})
        mark = known.get("etag") or known.get("modified")
        if there and mark:
            request.add_header("Range", f"bytes={there}-")
            request.add_header("If-Range", mark)
        # an opener of its own: the common one keeps to the proxies that were set when it was first used
        with urllib.request.build_opener(_Redirects).open(request, timeout=_TIMEOUT_SECONDS) as answer:
            if answer.status not in (http.client.OK, http.client.PARTIAL_CONTENT):
                raise DownloadError(
                    f"{self._url}: the server answers without the file ({answer.status} {answer.reason}); "
                    f"{self._by_hand()}"
                )
            is_rest = answer.status == http.client.PARTIAL_CONTENT
            first = there if is_rest else 0
            total = _total_bytes(answer.headers, first=first, is_rest=is_rest)
            marks = _marks(answer.headers)
            # not every server minds If-Range: the rest of another file would be put behind the beginning of this one
            is_same = all(not marks[key] or not known.get(key) or marks[key] == known[key] for key in marks)
            if is_rest and (total is None or (there and not (is_same and total == known.get("total", total)))):
                self._begin_anew()
                return False
            self._require_room(total, first=first)
            if not there or not is_rest:
                self._record.write_text(json.dumps({**marks, "total": total}))
            with self._partial.open("ab" if is_rest else "wb") as file:
                for num_bytes in _copy(answer, file):
                    if self._on_bytes is not None:
                        self._on_bytes(first + num_bytes, total)
                file.flush()
                os.fsync(file.fileno())
        return total is None or self._num_there() == total

    def _require_room(self, total: int | None, *, first: int) -> None:
        free = shutil.disk_usage(self._path.parent).free
        if total is not None and total - first > free:
            raise DownloadError(
                f"{self._url}: it has {total:,} bytes, by what the server says, and {free:,} are free at "
                f"{self._path.parent}; XDG_CACHE_HOME names another place"
            )

    def _num_there(self) -> int:
        return self._partial.stat().st_size if self._partial.exists() else 0

    def _known(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            values = json.loads(self._record.read_text())
            if isinstance(values, dict):
                return values
        return {}  # nothing to go on from: all is fetched again

    def _begin_anew(self) -> None:
        self._partial.unlink(missing_ok=True)
        self._record.unlink(missing_ok=True)

    def _by_hand(self) -> str:
        return f"Without a network here: fetch {self._url} elsewhere and put it at {self._path}"


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Goes on to where a server sends us, if that is as safe; all schemes but ftp are refused before."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """The request to go on with."""
        before, after = urllib.parse.urlsplit(req.full_url).scheme, urllib.parse.urlsplit(newurl).scheme
        if after not in ("http", "https") or (before, after) == ("https", "http"):
            raise DownloadError(
                f"{req.full_url}: the server sends us on to {newurl}, from {before} to {after}, which is not followed"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _total_bytes(headers: Message, *, first: int, is_rest: bool) -> int | None:
    """Bytes of the whole file; None where the server does not say, or sends another part than was asked for."""
    if is_rest:
        said = re.match(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18})$", headers.get("Content-Range") or "", re.ASCII)
        return int(said[2]) if said and int(said[1]) == first else None
    length = headers.get("Content-Length") or ""
    return int(length) if re.fullmatch(r"\d{1,18}", length, re.ASCII) else None


def _marks(headers: Message) -> dict[str, str]:
    """What tells one version of the file from another."""
    etag = headers.get("ETag") or ""
    # a weak mark says that two files mean the same, not that their bytes are the same
    return {"etag": "" if etag.startswith("W/") else etag, "modified": headers.get("Last-Modified") or ""}


def _copy(answer: Any, file: Any) -> Iterator[int]:
    """Copy blocks; how many bytes so far."""
    num_bytes = 0
    while block := answer.read(_BLOCK_BYTES):
        file.write(block)
        num_bytes += len(block)
        yield num_bytes


def _expected_digest(url: str, sha256: str | None) -> str | None:
    """What the digest begins with."""
    if sha256 is not None:
        if not re.fullmatch(r"[0-9a-f]{64}", sha256 := sha256.strip().lower()):
            raise DownloadError(f"sha256={sha256}: a SHA-256 has 64 hexadecimal digits; came {len(sha256)}")
        return sha256
    in_name = _DIGEST_IN_NAME.search(urllib.parse.urlsplit(url).path)
    return in_name[1] if in_name else None


def _require_digest(path: Path, expected: str | None, *, url: str, was_there: bool) -> str:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if expected is not None and not digest.startswith(expected):
        wrong = path.with_name(path.name + ".wrong")
        path.replace(wrong)
        whence = f"{path}, which was there," if was_there else f"the file fetched from {url}"
        raise DownloadError(
            f"{whence} is not the one expected: its SHA-256 is {digest}, and not {expected}"
            f"{'...' if len(expected) < 64 else ''}; it was put aside as {wrong.name}"
        )
    return digest
