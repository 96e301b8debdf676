"""What one case adds to the figures, and what the figures say. Pure.

contribution(case, at)   what a snapshot adds: a number per measure, under one key a dimension
newest(said)             the newest snapshot of each case
differences(changes)     what new contributions change in the counters, the old ones taken off
picture(figures)         counts and shares of a group of cases, each share with both numbers
checksum(figures)        two sets of figures are the same when their checksums are
"""

from services.analytics.decisions.contributions import (
    DIMENSIONS,
    MEASURES,
    NO_TIER,
    Contribution,
    CounterKey,
    Dimension,
    Said,
    contribution,
    differences,
    newest,
    unpack,
)
from services.analytics.decisions.figures import (
    Figures,
    Picture,
    Share,
    checksum,
    picture,
    together,
    width_below,
)

__all__ = [
    "DIMENSIONS",
    "MEASURES",
    "NO_TIER",
    "Contribution",
    "CounterKey",
    "Dimension",
    "Figures",
    "Picture",
    "Said",
    "Share",
    "checksum",
    "contribution",
    "differences",
    "newest",
    "picture",
    "together",
    "unpack",
    "width_below",
]
