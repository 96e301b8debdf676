"""From records to what was said: decoding, positions as rows, and the parked table.

A record is `Heard`, or `Unreadable` (theirs: parked, with the reason). A type that the contract
does not know is neither: readers are deployed before writers, so its partition stops.
"""

from shared.hearing.decoding import (
    Batch,
    Decoded,
    Done,
    Handle,
    Heard,
    UnknownType,
    Unreadable,
    decode,
    decoded,
    next_offsets,
)
from shared.hearing.parked import (
    TOO_MANY_IN_A_ROW,
    Parked,
    StillParked,
    count_in_a_row,
    discard,
    in_a_row,
    park,
    parked_all,
    parked_count,
    parked_of,
    parked_one,
    parked_under,
    replay,
    replayed,
    resume,
)
from shared.hearing.positions import (
    Fenced,
    Position,
    Progress,
    advance,
    all_positions,
    move,
    positions,
)

__all__ = [
    "TOO_MANY_IN_A_ROW",
    "Batch",
    "Decoded",
    "Done",
    "Fenced",
    "Handle",
    "Heard",
    "Parked",
    "Position",
    "Progress",
    "StillParked",
    "UnknownType",
    "Unreadable",
    "advance",
    "all_positions",
    "count_in_a_row",
    "decode",
    "decoded",
    "discard",
    "in_a_row",
    "move",
    "next_offsets",
    "park",
    "parked_all",
    "parked_count",
    "parked_of",
    "parked_one",
    "parked_under",
    "positions",
    "replay",
    "replayed",
    "resume",
]
