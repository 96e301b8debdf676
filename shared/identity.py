"""Who acts: an `Actor` on every command, from a signed token; and the resident of one petition.

The development issuer of the local stack signs with a shared key (HS256). A full identity
provider takes its place later; the `Actor` stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

import jwt
from pydantic import StringConstraints

from shared.clock import wall
from shared.divisions import CITY, is_within
from shared.settings import Settings

ISSUER = "casegrid-development"
AUDIENCE = "casegrid"
RESIDENTS = "resident"
"""The audience of a resident's token: it opens his own petition to him, and nothing else."""


Subject = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,255}$")]
"""A person as tokens name him: ASCII without blanks, 255 at most. [std] OpenID Connect Core 2."""


@dataclass(frozen=True, slots=True)
class Actor:
    """A person or a service: what they may do, and for which area.

    `division` is the area they act for (a code prefix, or the city); `office` the office, if any.
    """

    subject: str
    roles: frozenset[str]
    division: str
    office: str | None = None

    def acts_for(self, division: str) -> bool:
        """Whether a division lies in this actor's area."""
        return is_within(division, self.division)

    @property
    def is_officer(self) -> bool:
        """Whether a role of theirs is an office: a resident's, a volunteer's or none is not."""
        return bool(self.roles & OFFICER_ROLES)


OFFICER_ROLES = frozenset({
    "hotline_agent", "grid_branch_secretary", "grid_head", "grid_worker", "community_officer",
    "mediator", "street_dispatcher", "street_cadre", "department_officer", "district_dispatcher",
    "city_dispatcher", "political_legal_officer", "assessor", "auditor", "policy_editor",
    "petition_officer", "office_head", "legal_adviser",
})  # fmt: skip
"""The roles of offices. A volunteer sees no more than his task; a resident only his petition."""

SYSTEM = "system"
"""The role of our own services; no token carries it."""


def service_actor(name: str) -> Actor:
    """One of our own services, as the actor of a command that came over Kafka."""
    return Actor(f"service:{name}", frozenset({SYSTEM}), CITY)


class NotIdentified(Exception):
    """No token, or one that does not hold; the message says which."""


class MeantForOthers(NotIdentified):
    """A token that holds, but for another audience."""


def issue(
    secret: str,
    subject: str,
    roles: Sequence[str],
    division: str,
    office: str | None = None,
    lasts: timedelta = timedelta(hours=12),
) -> str:
    """A token of the development issuer. Raises `NotIdentified` without a key."""
    claims = {
        "aud": AUDIENCE,
        "sub": subject,
        "roles": [role for role in roles if role != SYSTEM],
        "division": division,
        "office": office,
    }
    return signed(secret, claims, lasts)


def issue_resident(secret: str, petition_id: UUID, seconds: int) -> str:
    """A token for the resident of a petition, to read its answers; good for so many seconds.

    It names nobody: who holds the receipt holds it. Raises `NotIdentified` without a key.
    """
    claims = {"aud": RESIDENTS, "sub": str(petition_id)}
    return signed(secret, claims, timedelta(seconds=seconds))


def signed(secret: str, claims: dict[str, Any], lasts: timedelta) -> str:
    """A token that says this, until then. Raises `NotIdentified` without a key."""
    if len(secret.encode()) < 32:
        raise NotIdentified("CASEGRID_TOKEN_SECRET is not set (32 bytes or more): no issuer")
    now = wall()
    times = {"iss": ISSUER, "iat": now, "exp": now + lasts}
    return jwt.encode(claims | times, secret, algorithm="HS256")


def claims_of(settings: Settings, authorization: str | None, audience: str) -> dict[str, Any]:
    """What the token of an `Authorization` header says. Raises `NotIdentified`.

    One for another audience raises `MeantForOthers`.
    """
    if settings.token_secret is None:
        raise NotIdentified("this service takes no tokens: CASEGRID_TOKEN_SECRET is not set")
    if authorization is None or not authorization.startswith("Bearer "):
        raise NotIdentified("send `Authorization: Bearer <token>`")
    try:
        claims: dict[str, Any] = jwt.decode(
            authorization.removeprefix("Bearer "),
            settings.token_secret.get_secret_value(),
            algorithms=["HS256"],
            audience=audience,
            issuer=ISSUER,
            options={"require": ["exp", "iat", "sub"]},
        )
    except jwt.InvalidAudienceError as other:
        raise MeantForOthers("the token does not hold: InvalidAudienceError") from other
    except jwt.InvalidTokenError as wrong:
        raise NotIdentified(f"the token does not hold: {type(wrong).__name__}") from wrong
    return claims


def resident_of(settings: Settings, authorization: str | None) -> UUID | None:
    """The petition whose resident asks; None for a token that is no resident's.

    Raises `NotIdentified`.
    """
    try:
        claims = claims_of(settings, authorization, RESIDENTS)
    except MeantForOthers:
        return None
    try:
        return UUID(claims["sub"])
    except ValueError as wrong:
        raise NotIdentified("the token names no petition") from wrong


def actor_of(settings: Settings, authorization: str | None) -> Actor:
    """The actor of an `Authorization` header. Raises `NotIdentified`."""
    claims = claims_of(settings, authorization, AUDIENCE)
    roles = claims.get("roles")
    division = claims.get("division")
    if not isinstance(roles, list) or not isinstance(division, str):
        raise NotIdentified("the token lacks roles or division")
    return Actor(
        claims["sub"],
        frozenset(str(role) for role in roles if role != SYSTEM),
        division,
        claims.get("office"),
    )
