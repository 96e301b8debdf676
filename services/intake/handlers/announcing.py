"""The envelopes of what intake says: who says it, in which order, and because of what."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.intake.decisions.petitions import Addition
from services.intake.store.reading import PendingSupplement
from shared.events import (
    Envelope,
    Order,
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
        self, petition_id: UUID, added: Addition | PendingSupplement, seq: int, now: datetime
    ) -> Saying:
        """The resident added something."""
        data = PetitionSupplemented(
            type="casegrid.petition.supplemented.v1", received_at=added.received_at
        )
        trace = added.traceparent
        return self._saying(petition_id, added.id, "supplemented", seq, data, now, trace)

    def _saying(
        self,
        petition_id: UUID,
        cause: UUID,
        what: str,
        seq: int,
        data: PetitionReceived | PetitionSupplemented,
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
