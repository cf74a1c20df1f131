"""Errors as answers: a JSON object with a sentence, `application/problem+json` (RFC 9457)."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):  # noqa: N818 - the name that RFC 9457 gives it
    """A request that gets no result, and why."""

    def __init__(
        self, status: int, sentence: str, *, kind: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """`kind`: one word for programs; None: the status says enough. `headers` go with the answer."""
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.kind = kind
        self.headers = dict(headers or {})

    @property
    def title(self) -> str:
        """HTTP's words for the status."""
        return HTTPStatus(self.status).phrase

    def body(self) -> bytes:
        """What is sent."""
        members: dict[str, Any] = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.sentence,
        }
        if self.kind is not None:
            members["failure_kind"] = self.kind
        return json.dumps(members, ensure_ascii=False).encode("utf-8", "replace")

    def all_headers(self) -> dict[str, str]:
        """What is sent before it."""
        return {"Content-Type": MEDIA_TYPE, "Cache-Control": "no-store", **self.headers}


def unforeseen_problem() -> Problem:
    """Something is wrong with the service itself."""
    return Problem(500, "the service met an error that nobody foresaw; its log has more")


def busy(seconds: int) -> Problem:
    """The house is full; try again after so many seconds."""
    return Problem(
        503,
        f"busy: as many uploads as the service takes at a time are being worked on; try again in {seconds} s",
        kind="busy",
        headers={"Retry-After": str(seconds)},
    )


def too_late(seconds: float) -> Problem:
    """It was let in, and is given up."""
    return Problem(
        503,
        f"there was no answer within {seconds:g} s: the file is long, or the service has much to do",
        kind="too_late",
        headers={"Retry-After": "60"},
    )


def stopping() -> Problem:
    """The service ends."""
    return Problem(503, "the service is being stopped; try again later", kind="stopping", headers={"Retry-After": "30"})
