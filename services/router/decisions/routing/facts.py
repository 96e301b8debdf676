"""What a routing decision is made of, and the three decisions there are."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from services.router.decisions.policy import Role
from services.router.decisions.routing.reasons import Reason
from shared.divisions import DivisionCode, Tier
from shared.events import Candidate, CategoryCode, PetitionReceived, Sign, Track, Urgency, Word


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a petition when it is routed. `confirmed`: a person set the category.

    Of a case that is routed again: `cleared`, a person said that nobody is accused;
    `shut_out`, the division that may not see it so far; `begun`, it was verified, or the street
    or the district had it, so it does not start at the bottom again; `street_decides`, those who
    say what it is about have it only to start with, as what they may not lead.
    """

    division: str
    category: CategoryCode | None = None
    basis: Literal["given", "suggested", "none"] = "none"
    confidence: float = 0.0
    confirmed: bool = False
    failed: bool = False
    candidates: tuple[Candidate, ...] = ()
    words: tuple[Word, ...] = ()
    signs: tuple[Sign, ...] = ()
    placed_by: Literal["code", "coordinates", "name", "none"] = "none"
    place: str | None = None
    accused: str | None = None
    accused_office: str | None = None
    accusation: bool = False
    cleared: bool = False
    shut_out: str | None = None
    begun: bool = False
    street_decides: bool = False

    @classmethod
    def of(cls, petition: PetitionReceived) -> "Facts":
        """The facts of a petition as intake read it."""
        reading = petition.reading
        return cls(
            division=reading.division,
            category=reading.category,
            basis=reading.basis,
            confidence=reading.confidence,
            failed=reading.state == "failed",
            candidates=reading.candidates,
            words=reading.words,
            signs=reading.signs,
            placed_by=reading.placed_by,
            place=reading.place,
            accused=petition.accused,
            accused_office=petition.accused_office,
            accusation=petition.accusation,
        )


@dataclass(frozen=True, slots=True)
class Assigned:
    """The case has a holder, and its tier clock may run."""

    division: DivisionCode
    role: Role
    tier: Tier
    track: Track
    urgency: Urgency
    category: CategoryCode
    sensitivity: int
    restricted: bool
    accused_division: str | None
    accused_unknown: bool
    reason: Reason


@dataclass(frozen=True, slots=True)
class WaitsForDispatcher:
    """A person decides first; `category` only where it is sure."""

    division: DivisionCode
    role: Role
    track: Track
    urgency: Urgency
    category: CategoryCode | None
    sensitivity: int
    restricted: bool
    accused_division: str | None
    accused_unknown: bool
    reason: Reason


@dataclass(frozen=True, slots=True)
class HandOff:
    """An outside body handles it; the dispatcher passes it on, or tells the `legal_route`.

    `follow_up`: the named carers look after the person besides.
    """

    division: DivisionCode
    role: Role
    track: Literal["handoff"]
    urgency: Urgency
    category: CategoryCode
    sensitivity: int
    restricted: bool
    accused_division: str | None
    accused_unknown: bool
    legal_route: bool
    follow_up: bool
    reason: Reason


Routed: TypeAlias = Assigned | WaitsForDispatcher | HandOff
"""`accused_division` is shut out: the accused, or while that is unknown the division named."""
