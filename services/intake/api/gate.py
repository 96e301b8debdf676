"""Before any route and before the body: is this request let in, and whose is it?"""

from __future__ import annotations

import time
from collections import OrderedDict
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from starlette.types import Scope

from services.intake.decisions.admission import Refusal
from services.intake.handlers.loops import intake_of
from shared.http import Gate, Problem, Refused
from shared.identity import NotIdentified, actor_of
from shared.service import Process
from shared.settings import Settings

TOKENS = 4_096
TOKEN_SECONDS = 60.0
LONGEST_TOKEN = 2_048
"""[ours] So many tokens are remembered, for so long, and none that is longer."""

AGAIN = (
    "Nothing of this request was looked at. Send it again after {seconds} s, with the same"
    " `Idempotency-Key` if it had one. Whoever is in danger calls the emergency number now and"
    " does not wait for us."
)
WORDS = {
    "waiting": "More petitions arrive just now than can be stored.",
    "unread": "More petitions wait to be read than may wait.",
    "outbox": "More petitions wait to be passed on than may wait.",
    "share": "More petitions arrive just now than can be stored, and you sent more than your share"
    " of them: send fewer a second.",
}


def gate(process: Process) -> Gate:
    """What says for each request whether it may pass; None when it may."""
    door = intake_of(process).door
    senders = Senders(process.settings)

    def ask(scope: Scope) -> Refused | None:
        """Only what hands something in is asked."""
        if scope["method"] != "POST" or not hands_in(scope["path"]):
            return None
        now = time.monotonic()
        refusal = door.enter(senders.of(scope, now), now)
        return None if refusal is None else told(refusal)

    return ask


def hands_in(path: str) -> bool:
    """A petition, or what is said of one later."""
    return path == "/petitions" or path.endswith(("/supplements", "/urgings", "/rating"))


@lru_cache(128)
def told(refusal: Refusal) -> Refused:
    """A refusal, in words that say what to do."""
    detail = f"{WORDS[refusal.reason]} {AGAIN.format(seconds=refusal.seconds)}"
    headers = {"Retry-After": str(refusal.seconds)}
    if refusal.reason == "share":
        return Refused(Problem(429, "more-than-your-share", detail, headers=headers))
    return Refused(Problem(503, "try-again", detail, headers=headers))


class Known(NamedTuple):
    """Whose a token is, if it holds, and until when we believe it."""

    subject: str | None
    until: float


class Senders:
    """Who sends: the subject of a token that holds, else the address it comes from."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        header = settings.sender_header
        self._header = header.lower().encode() if header else None
        self._known: OrderedDict[bytes, Known] = OrderedDict()

    def of(self, scope: Scope, now: float) -> str:
        """The sender of a request."""
        token = forwarded = None
        for name, value in scope["headers"]:
            if name == b"authorization":
                token = value
            elif name == self._header:
                forwarded = value
        if token is not None and len(token) <= LONGEST_TOKEN:
            subject = self._subject(token, now)
            if subject is not None:
                return f"subject {subject}"
        if forwarded is not None:
            # The last one is what our own proxy saw; those before it anybody may write.
            return network(forwarded.decode("latin-1").rpartition(",")[2].strip())
        client = scope["client"]
        return network(client[0]) if client else "unknown"

    def _subject(self, token: bytes, now: float) -> str | None:
        known = self._known.get(token)
        if known is not None and known.until > now:
            return known.subject
        try:
            subject = actor_of(self._settings, token.decode("latin-1")).subject
        except NotIdentified:
            subject = None
        self._known[token] = Known(subject, now + TOKEN_SECONDS)
        if len(self._known) > TOKENS:
            self._known.popitem(last=False)
        return subject


@lru_cache(TOKENS)
def network(address: str) -> str:
    """An address; of IPv6 the /64, which is what one household is given."""
    try:
        ip = ip_address(address)
    except ValueError:
        return "unknown"
    return str(ip) if ip.version == 4 else str(ip_network((ip, 64), strict=False))
