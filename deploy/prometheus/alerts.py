"""When somebody is told: silent services, work that stands still, what must never happen."""

from __future__ import annotations

from typing import Final

from deploy.prometheus.rule import Alert
from shared.census import PAGE

JOBS: Final = ("intake", "router", "escalation", "analytics")
ANY: Final = f'job=~"{"|".join(JOBS)}"'
GONE: Final = " or ".join(f'absent(up{{job="{job}"}})' for job in JOBS)
DAY: Final = 86_400
TOO_LONG: Final = {"call_back|more_time": 7, "hand_over": 4, "dispatcher|city_desk|arbiter": 3}
"""[ours] Days that a case may wait for a person before those who see to the desks are told.

A desk is promised to act within minutes, an outside body within a working day, and a resident is
called within 48 hours: each a weekend later is too long. A pause has an end of its own.
"""


def grew(gauge: str) -> str:
    """By how much a gauge is more than at its least within a day."""
    return f"max({gauge}) - min_over_time(max({gauge})[1d:5m])"


VERSIONS: Final = "casegrid_router_policy_version > 0 or casegrid_intake_policy_version > 0"
"""Of each process that knows one: 0 is what a process shows that reads none."""
CENSUS_AGE: Final = "casegrid_census_walk_age_seconds"
OPEN_CASES: Final = "max by (job) (sum by (job, instance) (casegrid_router_open_cases))"

SILENT: Final = (
    Alert(
        "CasegridWatchdog",
        "vector(1)",
        "0s",
        "Alerting works",
        "This alert always fires. Whoever stops receiving it has no alerting any more.",
        severity="none",
    ),
    Alert(
        "CasegridServiceDown",
        f"sum by (job) (up{{{ANY}}}) == 0 or {GONE}",
        "2m",
        "{{ $labels.job }}: no process answers",
        "Prometheus reaches no process of this service. Petitions wait; none is lost.",
    ),
    Alert(
        "CasegridInstanceDown",
        f"up{{{ANY}}} == 0 and on (job) sum by (job) (up{{{ANY}}}) > 0",
        "5m",
        "{{ $labels.job }}: {{ $labels.instance }} does not answer",
        "Others of the service carry on; with one less a further loss is an outage.",
        severity="ticket",
        dashboard="casegrid-service",
    ),
    Alert(
        "CasegridNotReady",
        "max by (job) (casegrid_ready) == 0",
        "2m",
        "{{ $labels.job }}: processes run and none is ready",
        "/readyz says why: a database that does not answer, topics that differ.",
        dashboard="casegrid-service",
    ),
    Alert(
        "CasegridDegraded",
        "min by (job) (casegrid_ready) < 1 unless on (job) max by (job) (casegrid_ready) == 0",
        "10m",
        "{{ $labels.job }} works, and not all of it",
        "/readyz names the part, or one process of several is not ready: a broker away, a partition"
        " that stands, a clock that differs.",
        severity="ticket",
        dashboard="casegrid-service",
    ),
    Alert(
        "CasegridNoRelay",
        "max by (job) (casegrid_relay_active) == 0",
        "2m",
        "{{ $labels.job }}: nobody carries its outbox to Kafka",
        "What is committed is not said until one of its processes takes the lead again.",
        dashboard="casegrid-kafka-postgres",
    ),
    Alert(
        "CasegridHeartbeatMissing",
        "min by (stage) (casegrid_heartbeat_age_seconds) > 90",
        "30s",
        "No heartbeat reaches {{ $labels.stage }}",
        "A petition is sent through all stages every 30 s; the last one came"
        " {{ $value | humanizeDuration }} ago. Whatever stops it stops residents' petitions too.",
    ),
    Alert(
        "CasegridNoHeartbeat",
        "absent(casegrid_heartbeat_age_seconds)",
        "5m",
        "No process measures the heartbeat",
        "It is switched off, or nobody is scraped: a standstill would not be seen.",
        severity="ticket",
    ),
)

STANDSTILL: Final = (
    Alert(
        "CasegridOutboxStuck",
        "max by (job) (casegrid_outbox_age_seconds) > 30",
        "1m",
        "{{ $labels.job }}: what it committed is not on Kafka",
        "The oldest event waits {{ $value | humanizeDuration }}. Nothing is lost; what came later"
        " waits too.",
        dashboard="casegrid-kafka-postgres",
    ),
    Alert(
        "CasegridOutboxDeep",
        "max by (job) (casegrid_outbox_depth) > 10000",
        "5m",
        "{{ $labels.job }}: {{ $value | humanize }} events wait for Kafka",
        "It commits faster than it is carried. When the outbox is full intake refuses petitions.",
        severity="ticket",
        dashboard="casegrid-kafka-postgres",
    ),
    Alert(
        "CasegridIntakeRefuses",
        'sum by (reason) (rate(casegrid_intake_refused_total{reason!="share"}[5m])) > 0',
        "5m",
        "Intake turns petitions away: {{ $labels.reason }}",
        "{{ $value | humanize }} a second are told to come again. Waiting, unread and outbox are"
        " queues that are full.",
    ),
    Alert(
        "CasegridLagging",
        # Nobody's case waits for analytics: CasegridProjectionOld tells of it.
        'max by (job, topic) (casegrid_consumer_lag_seconds{job!="analytics"}) > 60',
        "2m",
        "{{ $labels.job }} is {{ $value | humanizeDuration }} behind in {{ $labels.topic }}",
        "It hears less than is said, or not at all.",
    ),
    Alert(
        "CasegridPartitionStopped",
        "sum by (job, topic) (casegrid_stopped_partitions) > 0",
        "1m",
        "{{ $labels.job }} reads partitions of {{ $labels.topic }} no further",
        "A type that this version does not know, or a position that the log no longer has. It"
        " waits for a person.",
    ),
    Alert(
        "CasegridParked",
        "max by (job) (casegrid_parked) > 0",
        "1m",
        "{{ $labels.job }}: {{ $value | humanize }} records could not be read",
        "They wait for a person: a resident may be behind each.",
    ),
    Alert(
        "CasegridPetitionsBlocked",
        "max(casegrid_router_blocked_petitions) > 0",
        "15m",
        "{{ $value | humanize }} petitions wait behind a parked record",
        "What came later of the same petition is kept until the record is settled.",
        severity="ticket",
    ),
    Alert(
        "CasegridUnread",
        "max(casegrid_intake_unread_age_seconds) > 60",
        "1m",
        "A petition was accepted {{ $value | humanizeDuration }} ago and nobody has read it",
        "Reading stands still or is too slow.",
    ),
    Alert(
        "CasegridUnrouted",
        "max(casegrid_intake_unrouted_oldest_seconds) > 300",
        "1m",
        "A petition was accepted {{ $value | humanizeDuration }} ago and has no queue",
        "It is not lost: intake has it. The router has not said where it went.",
    ),
    Alert(
        "CasegridDeadlineNotFired",
        "max(casegrid_escalation_unfired_oldest_seconds) > 30",
        "30s",
        "A promise broke {{ $value | humanizeDuration }} ago and nobody was told",
        "The sweep of escalation stands still or is too slow.",
        dashboard="casegrid-promises",
    ),
    Alert(
        "CasegridOrdersUnanswered",
        # One that was lost is said again after a minute, and after two more.
        "max(casegrid_escalation_orders_oldest_seconds) > 300",
        "1m",
        "An order of escalation has had no answer for {{ $value | humanizeDuration }}",
        "Promotions wait: the router does not hear escalation, or does not answer.",
        dashboard="casegrid-promises",
    ),
    Alert(
        "CasegridQueueStuck",
        " or ".join(
            f'max by (queue, tier) (casegrid_router_waiting_oldest_seconds{{queue=~"{queues}"}})'
            f" > {days * DAY}"
            for queues, days in TOO_LONG.items()
        ),
        "1h",
        "{{ $labels.tier }}: a case waits {{ $value | humanizeDuration }} for {{ $labels.queue }}",
        "Its promises run and are told to its desk; nobody has acted.",
        severity="ticket",
        owner="duty desk",
        dashboard="casegrid-tiers",
    ),
    Alert(
        "CasegridNoticesNotPushed",
        f"{grew('casegrid_escalation_notices_not_pushed')} > 10",
        "10m",
        "{{ $value | humanize }} more notices than a day ago never reached their office",
        "The address refuses them. They stand in the offices' lists, where nobody looked.",
        severity="ticket",
        dashboard="casegrid-tiers",
    ),
    Alert(
        "CasegridNoticesUnheeded",
        f"{grew('casegrid_escalation_notices_unheeded')} > 20",
        "1h",
        "{{ $value | humanize }} more notices than a day ago stand and nobody took note of them",
        "Offices are told, and the level above, and do not answer.",
        severity="ticket",
        owner="duty desk",
        dashboard="casegrid-tiers",
    ),
    Alert(
        "CasegridProjectionOld",
        "max(casegrid_analytics_projection_age_seconds) > 300",
        "5m",
        "The figures are {{ $value | humanizeDuration }} old",
        "Analytics counts slower than cases change. Nobody's case waits for it.",
        severity="ticket",
    ),
)

NEVER: Final = (
    Alert(
        "CasegridRecordsMissed",
        # What was missed while no process ran is counted before anybody can look: it stays told
        # until a person has moved the position.
        "sum by (job, topic) (increase(casegrid_records_missed_total[1h])) > 0"
        " or max by (job, topic) (casegrid_records_expired) > 0",
        "0s",
        "{{ $labels.job }} lost records of {{ $labels.topic }}",
        "They expired before it read them. The census asks for what they were about.",
    ),
    Alert(
        "CasegridLanesRefused",
        "sum by (job, reason) (increase(casegrid_lanes_refused_total[10m])) > 0",
        "0s",
        "{{ $labels.job }}: the broker refuses what it is sent: {{ $labels.reason }}",
        "Trying again will not help: a record too large, a right that is missing.",
        dashboard="casegrid-kafka-postgres",
    ),
    Alert(
        "CasegridUnstorable",
        "sum(increase(casegrid_intake_unstorable_total[10m])) > 0",
        "0s",
        "The database does not take a petition",
        "Its sender was told so. This is a fault of ours.",
    ),
    Alert(
        "CasegridCensusDiffers",
        "sum by (job, topic) (increase(casegrid_census_differences_total[1h])) > 0",
        "0s",
        "{{ $labels.job }} had not what the owner of {{ $labels.topic }} has",
        "It was asked for again, so it is mended. Find out why it was missing.",
        severity="ticket",
    ),
    Alert(
        "CasegridCensusStrangers",
        "sum by (job, topic) (increase(casegrid_census_strangers_total[1h])) > 0",
        "0s",
        "{{ $labels.job }} has what the owner of {{ $labels.topic }} does not",
        "After a restore that is what was lost: see the restore procedure.",
    ),
    Alert(
        "CasegridCensusOld",
        f"min by (job) ({CENSUS_AGE}) > on (job) 10800 + {2 / PAGE:g} * ({OPEN_CASES}"
        f" or 0 * min by (job) ({CENSUS_AGE}))",
        "10m",
        "{{ $labels.job }} has not counted all for {{ $value | humanizeDuration }}",
        "What goes missing meanwhile is found late.",
        severity="ticket",
    ),
    Alert(
        "CasegridOrdersUnknown",
        "sum(increase(casegrid_router_orders_unknown_total[1h])) > 0",
        "0s",
        "Escalation gives orders about cases that the router does not have",
        "One of the two was restored, or lost something.",
    ),
    Alert(
        "CasegridForeignClock",
        "sum by (job, topic) (increase(casegrid_foreign_clock_events_total[10m])) > 0",
        "0s",
        "{{ $labels.job }} hears events of another promise clock",
        "A test system writes to these topics, or the clock file was changed.",
    ),
    Alert(
        "CasegridClockSkew",
        "max by (job) (abs(casegrid_clock_skew_seconds)) > 2",
        "2m",
        "{{ $labels.job }}: its clock and the database's differ by {{ $value | humanizeDuration }}",
        "Promises are reckoned by it: synchronise the machines.",
        owner="platform",
        dashboard="casegrid-service",
    ),
    Alert(
        "CasegridCalendarEnds",
        "min(casegrid_router_calendar_left_seconds) < 45 * 86400",
        "1h",
        "The calendar ends in {{ $value | humanizeDuration }}",
        "Limits in working days cannot be reckoned beyond it: load the next year's.",
        severity="ticket",
        owner="policy",
        dashboard="casegrid-promises",
    ),
    Alert(
        "CasegridPoliciesDiffer",
        f"max({VERSIONS}) != min({VERSIONS})",
        "10m",
        "Processes of intake and router go by different policies",
        "One of them did not take the last version, {{ $value }}: it may be parked.",
        severity="ticket",
        owner="policy",
    ),
)

STRAINED: Final = (
    Alert(
        "CasegridWeather",
        "sum by (job, loop) (rate(casegrid_weather_total[5m])) > 0",
        "15m",
        "{{ $labels.job }}: {{ $labels.loop }} meets a broker or database that is away, again and"
        " again",
        "Work is tried again each time; it costs time, and hides what is wrong.",
        severity="ticket",
        owner="platform",
        dashboard="casegrid-kafka-postgres",
    ),
    Alert(
        "CasegridLoopSlow",
        "histogram_quantile(0.99, sum by (job, instance, le)"
        " (rate(casegrid_loop_lag_seconds_bucket[5m]))) > 0.5",
        "5m",
        "{{ $labels.job }}: {{ $labels.instance }} has no time",
        "Once in a hundred times its event loop wakes {{ $value | humanizeDuration }} late: it"
        " needs more processors, or another one beside it.",
        severity="ticket",
        dashboard="casegrid-service",
    ),
)

BACKUP_AT: Final = "barman_cloud_cloudnative_pg_io_last_available_backup_timestamp"
ARCHIVER: Final = "cnpg_pg_stat_archiver"
OF_CLUSTERS: Final = 'job=~".+/casegrid-db-.+"'
"""As the Prometheus operator calls them: the namespace, and the PodMonitor of the cluster."""


def of_clusters(metric: str) -> str:
    """What the servers of each PostgreSQL cluster say at most, where CloudNativePG runs them."""
    return f"max by (job) ({metric}{{{OF_CLUSTERS}}})"


POSTGRES: Final = (
    Alert(
        "CasegridBackupOld",
        f"time() - {of_clusters(BACKUP_AT)} > 129600",
        "1h",
        "{{ $labels.job }}: the last backup is {{ $value | humanizeDuration }} old",
        "One is made each night. What was written since can be had from the archive alone.",
        severity="ticket",
        owner="platform",
        dashboard="casegrid-kafka-postgres",
    ),
    Alert(
        "CasegridArchiveFails",
        f"{of_clusters(f'{ARCHIVER}_last_failed_time')}"
        f" > {of_clusters(f'{ARCHIVER}_last_archived_time')}",
        "15m",
        "{{ $labels.job }}: its log is not archived",
        "What is written now is in no backup, and its disk fills.",
        owner="platform",
        dashboard="casegrid-kafka-postgres",
    ),
    Alert(
        "CasegridReplicasMissing",
        f"{of_clusters('cnpg_pg_replication_streaming_replicas')} < 2",
        "10m",
        "{{ $labels.job }}: {{ $value }} of 2 replicas follow",
        "A commit waits for one of them: without the last nothing is accepted any more.",
        severity="ticket",
        owner="platform",
        dashboard="casegrid-kafka-postgres",
    ),
)
"""Of CloudNativePG's and its Barman plugin's documented metrics. Not tried on a cluster."""

ALERTS: Final = {
    "casegrid-silent": SILENT,
    "casegrid-standstill": STANDSTILL,
    "casegrid-never": NEVER,
    "casegrid-strained": STRAINED,
    "casegrid-postgres": POSTGRES,
}
