"""What a request says in its headers: its idempotency key, and the trace it belongs to."""

from __future__ import annotations

import hashlib
import re
import secrets

from fastapi import Request

from shared.http import Problem

KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "1 to 200 printable ASCII characters. The same key with the same body gets the"
    " same answer again; with another body it is refused.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
}
REPLAYED = {"Idempotency-Replayed": "true"}
"""Beside the answer that an earlier request with the same key was given."""

TRACE = {
    "name": "traceparent",
    "in": "header",
    "required": False,
    "description": "W3C trace context. It stands on all events of the petition; without one, or"
    " with one that is not well formed, a new trace begins here.",
    "schema": {"type": "string"},
}

TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""Version 00, the only one there is. https://www.w3.org/TR/trace-context/"""


def key_of(request: Request) -> str | None:
    """The idempotency key of a request. Raises a 422 `Problem`."""
    key = request.headers.get("idempotency-key")
    if key is None or (1 <= len(key) <= 200 and key.isascii() and key.isprintable()):
        return key
    raise Problem(
        422,
        "invalid-request",
        "The header `Idempotency-Key` is wrong; correct it and send again.",
        errors=[{"field": "Idempotency-Key", "says": "1 to 200 printable ASCII characters"}],
    )


def hash_under(key: str | None, raw: bytes) -> bytes | None:
    """By what a request under a key is known again."""
    return hashlib.sha256(raw).digest() if key else None


def key_reused() -> Problem:
    """The 422 of a key that came before with another body."""
    return Problem(
        422,
        "idempotency-key-reused",
        "This `Idempotency-Key` came before with another body. Use a new key for a new request.",
    )


def trace_of(request: Request) -> str:
    """The trace of a request as it came, for we record no spans of our own; or a new one."""
    given = request.headers.get("traceparent")
    if given is not None and TRACEPARENT.fullmatch(given):
        return given
    made = secrets.token_hex(24)
    # Not sampled: nobody here records it.
    return f"00-{made[:32]}-{made[32:]}-00"
