"""What residents are told, and what an id says."""

from datetime import UTC, datetime, timedelta

from uuid_utils.compat import uuid7

from services.intake.decisions.petitions import accepted_at
from services.intake.decisions.wording import STAGES, Receipt, status
from shared.clock import wall
from shared.events import Stage

NOON = datetime(2026, 4, 12, 4, 0, tzinfo=UTC)


def receipt(stage: Stage | None, read: bool = True, deadline: datetime | None = None) -> Receipt:
    """A petition that got so far."""
    return Receipt(
        number="CG-20260412-0000001",
        stored_at=NOON,
        read_at=NOON if read else None,
        published_at=None,
        routed_at=None,
        unit="东山区" if stage else None,
        stage=stage,
        next_deadline=deadline,
    )


def test_each_state_has_its_own_sentence_in_both_languages() -> None:
    told = [status(receipt(None, read=False)), status(receipt(None))]
    told += [status(receipt(stage)) for stage in STAGES]
    assert len({one["zh"] for one in told}) == len(told)
    assert len({one["en"] for one in told}) == len(told)


def test_a_deadline_is_told_in_beijing_time() -> None:
    told = status(receipt("signed", deadline=NOON))
    assert told["zh"].endswith("下一个办理时限：2026-04-12 12:00。")
    assert told["en"].endswith("2026-04-12 12:00 (Beijing time).")


def test_an_id_says_when_a_petition_was_taken_in() -> None:
    assert abs(accepted_at(uuid7()) - wall()) < timedelta(seconds=1)
