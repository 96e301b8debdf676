"""How an order and a digest are put into words of the contract. `clock` is `Clock.name`."""

from __future__ import annotations

from services.escalation.decisions import OrderGiven
from services.escalation.store.notices import Posted
from shared.events import DeadlineBreached, Envelope, NoticePosted, Order, Topic
from shared.outbox import Saying

SOURCE = "casegrid/escalation"


def order_saying(given: OrderGiven, order: Order, clock: str) -> Saying:
    """An order to the router: the same event whenever it is said, in another place."""
    data = DeadlineBreached(
        type="casegrid.deadline.breached.v1",
        clock=given.clock,
        generation=given.generation,
        tier=given.tier,
        action=given.action,
        due_at=given.due_at,
        fired_at=given.fired_at,
    )
    envelope = Envelope(
        event_id=given.id,
        type=data.type,
        source=SOURCE,
        subject=str(given.case_id),
        order=order,
        occurred_at=given.fired_at,
        caused_by=f"clock/{given.clock}/{given.generation}",
        clock=clock,
        traceparent=given.traceparent,
    )
    return Saying(Topic.ESCALATION, envelope, data)


def notice_saying(posted: Posted, order: Order, clock: str) -> Saying:
    """A digest in the list of a desk."""
    digest, origin = posted.digest, posted.digest.raised_from
    data = NoticePosted(
        type="casegrid.notice.posted.v1",
        division=digest.desk.division,
        role=digest.desk.role,
        office=digest.desk.office,
        clock=digest.clock,
        reason=digest.reason,
        count=digest.count,
        oldest_due_at=digest.oldest_due_at,
        cases=digest.named,
        raised_from=origin,
        about=digest.about,
    )
    envelope = Envelope(
        event_id=posted.id,
        type=data.type,
        source=SOURCE,
        subject=digest.desk.subject,
        order=order,
        occurred_at=posted.posted_at,
        caused_by=f"clock/{digest.clock}" if origin is None else f"notice/{origin}",
        clock=clock,
    )
    return Saying(Topic.ESCALATION, envelope, data)
