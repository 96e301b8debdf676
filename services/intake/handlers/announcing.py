"""The envelopes of what intake says: who says it, in which order, and because of what."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.intake.decisions.additions import Addition, Later, Rating
from services.intake.store.reading import PendingSupplement
from shared.events import (
    Envelope,
    Order,
    PetitionRated,
    PetitionReceived,
    PetitionSupplemented,
    Topic,
    derived_id,
)
from shared.outbox import Saying

SOURCE = "casegrid/intake"


class Voice(NamedTuple):
    """What all that one process says has in common."""

    epoch: int
    clock: str

    def received(
        self, petition_id: UUID, data: PetitionReceived, now: datetime, trace: str | None
    ) -> Saying:
        """Always the first event of a petition."""
        return self._saying(petition_id, petition_id, "received", 1, data, now, trace)

    def supplemented(
        self,
        petition_id: UUID,
        added: Addition | PendingSupplement | Later,
        seq: int,
        now: datetime,
    ) -> Saying:
        """The resident added something, or urged."""
        data = PetitionSupplemented(
            type="casegrid.petition.supplemented.v1",
            received_at=added.received_at,
            urges=added.urges,
        )
        trace = added.traceparent
        return self._saying(petition_id, added.id, "supplemented", seq, data, now, trace)

    def rated(self, petition_id: UUID, rating: Rating | Later, seq: int, now: datetime) -> Saying:
        """The resident said how it was handled."""
        assert rating.solved is not None
        assert rating.satisfied is not None
        data = PetitionRated(
            type="casegrid.petition.rated.v1",
            received_at=rating.received_at,
            solved=rating.solved,
            satisfied=rating.satisfied,
            reason=rating.reason,
        )
        return self._saying(petition_id, rating.id, "rated", seq, data, now, rating.traceparent)

    def later(self, one: Later, seq: int, now: datetime) -> Saying:
        """What was said of a petition after its receipt, once more."""
        say = self.supplemented if one.solved is None else self.rated
        return say(one.petition_id, one, seq, now)

    def _saying(
        self,
        petition_id: UUID,
        cause: UUID,
        what: str,
        seq: int,
        data: PetitionReceived | PetitionSupplemented | PetitionRated,
        now: datetime,
        trace: str | None,
    ) -> Saying:
        envelope = Envelope(
            event_id=derived_id(what, cause),
            type=data.type,
            source=SOURCE,
            subject=str(petition_id),
            order=Order(self.epoch, seq),
            occurred_at=now,
            caused_by=f"http:{cause}",
            clock=self.clock,
            traceparent=trace,
        )
        return Saying(Topic.INTAKE, envelope, data)
