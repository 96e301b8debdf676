"""The envelopes of what intake says: who says it, in which order, and because of what."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

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

    def received(self, petition_id: UUID, data: PetitionReceived, now: datetime) -> Saying:
        """Always the first event of a petition."""
        return self._saying(petition_id, petition_id, "received", 1, data, now)

    def supplemented(
        self, petition_id: UUID, supplement_id: UUID, seq: int, received_at: datetime, now: datetime
    ) -> Saying:
        """The resident added something."""
        data = PetitionSupplemented(
            type="casegrid.petition.supplemented.v1", received_at=received_at
        )
        return self._saying(petition_id, supplement_id, "supplemented", seq, data, now)

    def _saying(
        self,
        petition_id: UUID,
        cause: UUID,
        what: str,
        seq: int,
        data: PetitionReceived | PetitionSupplemented,
        now: datetime,
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
        )
        return Saying(Topic.INTAKE, envelope, data)
