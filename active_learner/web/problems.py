"""What a request is told that cannot be served: RFC 9457, in words for a person. Knows HTTP's codes; not who finds what wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TYPE = "application/problem+json"

TITLES = {
    400: "That cannot be understood",
    401: "Not let in",
    403: "Not allowed",
    404: "There is no such thing",
    405: "Not that way",
    408: "Too slow",
    409: "That does not fit what was decided before",
    410: "The run has ended",
    413: "Too long",
    415: "Not JSON",
    429: "Too fast",
    500: "A fault of this program",
    503: "Not now",
}


class Problem(Exception):
    """Raised by whoever finds it; told by guard.py."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        word: str = "",
        retry_after_s: int = 0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """`word`: the receipt's status, when it was the trainer who refused."""
        super().__init__(detail)
        self.status, self.detail, self.word = status, detail, word
        self.headers = {**(headers or {}), **({"Retry-After": str(retry_after_s)} if retry_after_s else {})}

    def form(self) -> dict[str, Any]:
        told = {"type": "about:blank", "title": TITLES[self.status], "status": self.status, "detail": self.detail}
        return {**told, "status_word": self.word} if self.word else told
