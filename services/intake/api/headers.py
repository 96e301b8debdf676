"""What a request says in its headers: its idempotency key, and the trace it belongs to."""

from __future__ import annotations

import hashlib

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
