"""Which errors of disks and networks may be gone when one tries again, and trying again.

Errors of the media itself, and answers such as "there is no such file" or "you may not", are none of them. Every file
system of fsspec has errors of its own, many of them without an error number; those of HTTP clients are known by
their status, others by the names of their classes, so that none of these packages has to be there.
"""

import errno
import socket
import time
from collections.abc import Callable
from typing import TypeVar

from earwitness.errors import TransientError

Result = TypeVar("Result")

_WAITS_SECONDS = (0.5, 2.0, 8.0)
"""Between one try and the next."""

_ERROR_NUMBERS = frozenset(
    {
        *(errno.EIO, errno.ESTALE, errno.EBUSY, errno.EAGAIN, errno.ENFILE),
        *(errno.ENODEV, errno.ENXIO, errno.ENOTCONN, errno.ESHUTDOWN, errno.EPIPE),  # a disk that is gone
        *(errno.ETIMEDOUT, errno.ECONNRESET, errno.ECONNREFUSED, errno.ECONNABORTED),
        *(errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET, errno.EHOSTDOWN, errno.EHOSTUNREACH),
    }
)
_HTTP_STATUSES = frozenset({408, 425, 429, *range(500, 600)})
_CLASS_NAMES = frozenset(
    {
        *("ClientConnectionError", "ClientPayloadError"),  # aiohttp
        *("HTTPClientError", "IncompleteReadError", "EndpointConnectionError", "ConnectTimeoutError"),  # botocore
        *("IncompleteRead", "ProtocolError"),  # http.client, urllib3
    }
)


def trying_again(work: Callable[[], Result]) -> Result:
    """Do some work that reads media; where disk or network fail, give them some time and do it again.

    Raises:
        TransientError: they failed every time.
    """
    for wait_seconds in _WAITS_SECONDS:
        try:
            return work()
        except TransientError:
            time.sleep(wait_seconds)
    try:
        return work()
    except TransientError as error:
        raise TransientError(f"{error}; tried {len(_WAITS_SECONDS) + 1} times") from error


def is_transient(error: BaseException | None) -> bool:
    """Whether an error, or the one behind it, is of the kind that may pass: timeouts, broken connections, answers
    5xx, disks that do not answer.
    """
    while error is not None:
        if isinstance(error, (TimeoutError, ConnectionError, socket.gaierror)):
            return True
        if isinstance(error, OSError) and error.errno in _ERROR_NUMBERS:
            return True
        if _http_status(error) in _HTTP_STATUSES:
            return True
        if any(kind.__name__ in _CLASS_NAMES for kind in type(error).__mro__):
            return True
        error = error.__cause__ or error.__context__
    return False


def _http_status(error: BaseException) -> object:
    """Under the first name that is there: an error of aiohttp has two, and warns when it is asked by the other."""
    for name in ("status", "status_code", "code"):
        status = getattr(error, name, None)
        if status is not None:
            return status
    return None
