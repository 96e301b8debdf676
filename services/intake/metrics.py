"""Every metric of intake's own: name, meaning, labels. docs/metrics.md is made from it."""

from __future__ import annotations

from typing import Final, get_args

from prometheus_client import Counter, Gauge, Histogram

from services.intake.decisions.admission import Reason
from shared.telemetry import SECONDS, Labels

LABELS: Final[Labels] = {"reason": get_args(Reason), "state": ("read", "failed")}

ADMITTED = Counter("casegrid_intake_admitted", "Requests let in to be read and stored")
REFUSED = Counter(
    "casegrid_intake_refused",
    "Requests refused unread: waiting, unread and outbox are queues, share is the sender's own",
    ["reason"],
)
RATE = Gauge(
    "casegrid_intake_carried_rate", "Petitions a second that this process believes to carry"
)
SENDERS_NOW = Gauge("casegrid_intake_senders", "Senders of the last second")

ACCEPTED = Counter("casegrid_intake_accepted", "Petitions stored for good")
REPLAYED = Counter("casegrid_intake_replayed", "Petitions that came again under their key")
UNSTORABLE = Counter("casegrid_intake_unstorable", "Petitions that the database did not take")
WAITING = Gauge("casegrid_intake_accept_queue", "Petitions that wait for a commit")
GROUP_SIZE = Histogram(
    "casegrid_intake_group_size", "Petitions in one commit", buckets=(1, 2, 5, 10, 20, 50, 100, 200)
)
GROUP_SECONDS = Histogram("casegrid_intake_group_seconds", "One group commit", buckets=SECONDS)

READ = Counter("casegrid_intake_read", "Petitions read", ["state"])
PAGE_SECONDS = Histogram(
    "casegrid_intake_reading_seconds", "Reading one page of petitions", buckets=SECONDS
)
UNREAD = Gauge("casegrid_intake_unread", "Petitions accepted and not read yet, up to 100,001")
UNREAD_AGE = Gauge("casegrid_intake_unread_age_seconds", "Age of the oldest unread petition")
VERSION = Gauge("casegrid_intake_policy_version", "The policy version that petitions are read by")

ACCEPT_TO_ROUTED = Histogram(
    "casegrid_intake_accept_to_routed_seconds",
    "From taking a petition in to hearing where it was routed, in wall time",
    buckets=(0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1, 2, 5, 10, 30, 60, 600, 3600),
)
UNROUTED_AGE = Gauge(
    "casegrid_intake_unrouted_oldest_seconds",
    "Age of the oldest petition that was accepted and not routed; 0: none, NaN: not known yet",
)
REPLY_SECONDS = Histogram(
    "casegrid_intake_reply_seconds",
    "From the receipt of a petition to the reply that its resident hears of, in promise time",
    buckets=(60, 600, 3600, 14400, 43200, 86400, 172800, 259200, 604800, 1296000, 2592000),
)
UPDATED = Counter("casegrid_intake_receipts_updated", "Receipts brought up to date")
SAID_AGAIN = Counter("casegrid_intake_said_again", "Events that the router asked for again")
