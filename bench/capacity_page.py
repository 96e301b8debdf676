"""docs/capacity.md: what a district, a city and a nation need, from what one petition costs. Pure.

Every number of the page is either in `docs/capacity.json`, which `python -m bench capacity`
measures, or one of the loads and reserves below, which are told with their source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Final

from pydantic import BaseModel

from shared.events import Topic
from shared.kafka import PARTITIONS

BUSY_HOUR: Final = 0.12
"""The share of a day's contacts in its busiest hour."""
EVENTS: Final = 7.32
"""Events of one contact: 12 of a demand, 4 of a consultation, 41.5 to 58.5."""
OPEN_DAYS: Final = 5
FULL: Final = 0.6
"""[ours] How busy a core may be in the busiest hour: the rest is for catching up after a fault."""
COPIES: Final = 3
KEPT_DAYS: Final = 30
PEAK: Final = 10
SERVICES: Final = ("intake", "router", "escalation", "analytics")
CORES_OF_A_SERVER: Final = 32
"""[ours] What one PostgreSQL server may have before more cores are no longer the cheaper way."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What `deploy/k8s/base` asks for of one kind: pods, cores and memory (GiB) of each."""

    pods: int
    cores: float
    gib: float


ASKED: Final = {
    "services": Asked(12, 0.5, 0.25),
    "postgres": Asked(12, 1.0, 3.0),
    "kafka": Asked(3, 1.0, 4.0),
}
"""A test holds them against the manifests: three processes of each service, three servers of each
database, three brokers."""
ASKED_CORES: Final = sum(one.pods * one.cores for one in ASKED.values())
ASKED_GB: Final = sum(one.pods * one.gib for one in ASKED.values()) * 2**30 / 1e9


class PerEvent(BaseModel):
    """What one petition costs from acceptance to counting, or one later event of its case."""

    n: int
    cpu_us: dict[str, float]
    wal_bytes: float
    database_bytes: float
    said_bytes: dict[Topic, float]
    """On the broker's disk, as it lies there: compressed for petitions, as said for events."""


class Machine(BaseModel):
    """Where it was measured."""

    cpu: str
    cores: int
    memory_gb: float
    system: str
    python: str
    postgres: str
    others_share: float
    """The share of the CPU that went to others than Casegrid while it was measured."""


class Figures(BaseModel):
    """Everything that a run measured."""

    measured_at: datetime
    commit: str
    machine: Machine
    rate: float
    kept_up: bool
    petition: PerEvent
    event: PerEvent
    memory_mb: dict[str, float]


@dataclass(frozen=True, slots=True)
class Load:
    """A place, how many contacts it has on a day, and who says so."""

    name: str
    per_day: int
    source: str
    peak: int = 1

    @property
    def contacts(self) -> float:
        """Contacts a second in the busiest hour."""
        return self.per_day * self.peak * BUSY_HOUR / 3600

    @property
    def events(self) -> float:
        """Events a second in the busiest hour."""
        return self.contacts * EVENTS

    @property
    def open_cases(self) -> float:
        """Open cases at five days each: of the demands, as the events count them."""
        return self.per_day * OPEN_DAYS * DEMANDS


DEMANDS: Final = 0.415
LOADS: Final = (
    Load("one district (Shahekou)", 158 + 2 * 910,
         "158 matters a day, and 910 grid workers who report twice"),
    Load("one city (Dalian)", 23_000, "its share of the nation's calls, by people"),
    Load("a great city (Beijing 2022)", 206_500, "75 million in its worst year"),
    Load("the nation", 4_370_000, "4.37 million calls to 12345 a day in 2025: a press figure"),
    Load("the nation, ten times", 4_370_000, "every city in a heating peak at once", PEAK),
)  # fmt: skip


BASE_IS_FOR: Final = "one city (Dalian)"


@dataclass(frozen=True, slots=True)
class Needs:
    """What a load needs. Cores are busy ones in the busiest hour, before any reserve."""

    load: Load
    cores: Mapping[str, float]
    processes: Mapping[str, int]
    memory_gb: float
    hot_gb: float
    database_gb_year: float
    wal_gb_day: float
    kafka_gb: float
    kafka_gb_year: float

    @property
    def machine_cores(self) -> int:
        """Cores to buy for all of it, with the reserve; never fewer than two."""
        return max(2, ceil(sum(self.cores.values()) / FULL))

    @property
    def cores_with_copies(self) -> int:
        """The same where each part is there three times; no fewer than the manifests ask for."""
        return max(ceil(ASKED_CORES), ceil(COPIES * sum(self.cores.values()) / FULL))

    @property
    def gb_with_copies(self) -> int:
        """Memory where each part is there three times; no less than the manifests ask for."""
        return max(ceil(ASKED_GB), ceil(COPIES * self.memory_gb))


def part_of(name: str) -> str:
    """Which part of the whole a measured process belongs to; the generator belongs to none."""
    if name.startswith("postgres"):
        return "postgres"
    first = name.split("-")[0]
    return first if first in (*SERVICES, "kafka") else ""


def by_part(cpu_us: Mapping[str, float]) -> dict[str, float]:
    """Microseconds of one petition or event by part."""
    parts = dict.fromkeys((*SERVICES, "postgres", "kafka"), 0.0)
    for name, us in cpu_us.items():
        if part := part_of(name):
            parts[part] += us
    return parts


def with_others(petition: PerEvent) -> float:
    """How much of what a petition costs PostgreSQL falls to others than the router: a share."""
    whole = by_part(petition.cpu_us)["postgres"]
    return 1 - petition.cpu_us["postgres: router"] / whole


def later_event(figures: Figures) -> PerEvent:
    """What one later event costs all services, by part.

    The router's step, its database, WAL, rows and records are measured by themselves. The others
    hear it as they hear the opening: for their CPU, and for that of their databases and its WAL,
    what a petition costs there is taken, so all of intake's HTTP too, and for Kafka what a petition
    costs. They insert no row of it, and update one: a dead version of what they have of a case is
    counted, once. What escalation says of it is shorter than a petition's record.
    """
    petition, event = figures.petition, figures.event
    first, later = by_part(petition.cpu_us), by_part(event.cpu_us)
    others = with_others(petition)
    cpu = first | {
        "router": later["router"],
        "postgres": later["postgres"] + others * first["postgres"],
    }
    return PerEvent(
        n=event.n,
        cpu_us=cpu,
        wal_bytes=event.wal_bytes + others * petition.wal_bytes,
        database_bytes=event.database_bytes + others * petition.database_bytes / (EVENTS - 2),
        said_bytes=event.said_bytes | {Topic.ESCALATION: petition.said_bytes[Topic.INTAKE]},
    )


def needs(load: Load, figures: Figures) -> Needs:
    """What a load needs, by the measured costs."""
    petition, event = figures.petition, later_event(figures)
    first, later = by_part(petition.cpu_us), event.cpu_us
    more = load.events - 2 * load.contacts  # a petition is two events: received, and opened
    cores = {part: (load.contacts * first[part] + more * later[part]) / 1e6 for part in first}
    processes = {name: max(1, ceil(cores[name] / FULL)) for name in SERVICES}
    contacts_year = load.per_day * 365
    events_day = load.per_day * (EVENTS - 2)
    hot = load.open_cases * (petition.database_bytes + event.database_bytes * (EVENTS - 2)) / 1e9
    others = sum(figures.memory_mb.get(name, 0.0) for name in ("postgres", "kafka")) / 1e3
    services = sum(figures.memory_mb.get(name, 0.0) * n for name, n in processes.items()) / 1e3
    said_day = load.per_day * sum(petition.said_bytes.values())
    said_day += events_day * sum(event.said_bytes.values())
    snapshot = petition.said_bytes[Topic.ROUTER]
    return Needs(
        load=load,
        cores=cores,
        processes=processes,
        memory_gb=services + others + hot,
        hot_gb=hot,
        database_gb_year=(
            contacts_year * petition.database_bytes + events_day * 365 * event.database_bytes
        ) / 1e9,
        wal_gb_day=(
            load.per_day * petition.wal_bytes + events_day * event.wal_bytes
        ) / 1e9,
        kafka_gb=said_day * KEPT_DAYS * COPIES / 1e9,
        kafka_gb_year=contacts_year * snapshot * COPIES / 1e9,
    )  # fmt: skip


# ---------------------------------------------------------------- as a page


def page(figures: Figures) -> str:
    """The whole page."""
    all_needs = [needs(load, figures) for load in LOADS]
    return "\n".join(
        (
            *head(figures),
            *loads(),
            *cpu(all_needs),
            *memory(all_needs),
            *disk(all_needs),
            *partitions(all_needs),
            *beyond(figures, all_needs),
            "",
        )
    )


def head(figures: Figures) -> list[str]:
    """What was measured, where and when."""
    machine, petition, event = figures.machine, by_part(figures.petition.cpu_us), figures.event
    all_of_it = later_event(figures)
    later = all_of_it.cpu_us
    rows = [
        (f"CPU, {part}", f"{petition[part]:,.0f} µs", f"{later[part]:,.0f} µs") for part in petition
    ]
    rows += [
        ("CPU, together", f"{sum(petition.values()):,.0f} µs", f"{sum(later.values()):,.0f} µs"),
        ("WAL", f"{figures.petition.wal_bytes:,.0f} B", f"{all_of_it.wal_bytes:,.0f} B"),
        ("kept in the databases", f"{figures.petition.database_bytes:,.0f} B",
         f"{all_of_it.database_bytes:,.0f} B"),
        *((f"on Kafka, `{topic}`", f"{figures.petition.said_bytes.get(topic, 0.0):,.0f} B",
           f"{all_of_it.said_bytes.get(topic, 0.0):,.0f} B")
          for topic in (Topic.INTAKE, Topic.ROUTER, Topic.ESCALATION)),
    ]  # fmt: skip
    kept = "kept up" if figures.kept_up else "**not kept up**"
    return [
        "# What it needs",
        "",
        "Made by `python -m bench capacity --page` from `docs/capacity.json`; measured, not typed."
        " `python -m bench capacity` measures",
        "again on the machine that it runs on, and writes both.",
        "",
        f"Measured on {figures.measured_at:%Y-%m-%d} at commit `{figures.commit}`: {machine.cpu},"
        f" {machine.cores} cores, {machine.memory_gb:.0f} GB, {machine.system},",
        f"Python {machine.python}, PostgreSQL {machine.postgres}."
        f" {figures.petition.n:,} petitions at {figures.rate:,.0f} a second ({kept}), and"
        f" {event.n:,} events of whole lives.",
        f"{machine.others_share:.0%} of the CPU went to other programs meanwhile, which makes each"
        " figure greater, not smaller.",
        "",
        *table(("cost", "a petition, accepted to counted", "each later event of its case"), rows),
        "",
        "Measured of a later event are the router's step, its own database, WAL and rows, and its"
        f" record: {by_part(event.cpu_us)['postgres']:,.0f} µs of PostgreSQL,",
        f"{event.wal_bytes:,.0f} B of WAL, {event.database_bytes:,.0f} B kept (`bench lives`)."
        " **Reckoned, not measured,** is what the others have of it: intake's receipt,",
        "escalation's clocks and the count of analytics are updated as they are made at the"
        " opening, so what a petition costs them is taken: of PostgreSQL's",
        f"CPU and WAL {with_others(figures.petition):.0%} of a petition's, as its CPU is shared."
        " They insert no row: one dead version of what they have of a case is counted.",
        "On `escalation.events` a record as long as a petition's is taken for each. Batches grow"
        " with the load, and a petition costs less then.",
    ]


def loads() -> list[str]:
    """Who asks how much."""
    rows = [
        (
            load.name,
            f"{load.per_day:,}",
            few(load.contacts),
            few(load.events),
            f"{load.open_cases:,.0f}",
            load.source,
        )
        for load in LOADS
    ]
    return [
        "",
        "## The loads",
        "",
        *table(
            ("", "contacts a day", "a second in the busiest hour", "events a second",
             f"open at {OPEN_DAYS} days", "whence"), rows
        ),
        "",
        f"The busiest hour has {BUSY_HOUR:.0%} of a day; a contact has {EVENTS} events (12 of a"
        f" demand, 4 of a consultation; {DEMANDS:.1%} are demands, and",
        "they alone stay open). The tenfold peak is of hours: what is kept is counted once.",
    ]  # fmt: skip


def cpu(all_needs: Sequence[Needs]) -> list[str]:
    """Cores."""
    parts = (*SERVICES, "postgres", "kafka")
    rows = [
        (
            one.load.name,
            *(few(one.cores[part]) for part in parts),
            f"**{one.machine_cores:,}**",
            f"**{one.cores_with_copies:,}**",
        )
        for one in all_needs
    ]
    return [
        "",
        "## CPU",
        "",
        "Busy cores in the busiest hour = contacts/s × cost of a petition + (events/s − 2 ×"
        " contacts/s) × cost of a later event.",
        f"Cores to have = their sum ÷ {FULL}, two at least: one process and one server of each, on"
        " one machine, where a fault is an outage. As `deploy/k8s` has",
        f"it each part is there {COPIES} times, a standby as busy as what it stands for; the"
        f" manifests ask for {ASKED_CORES:.0f} cores at least.",
        "",
        *table(("", *parts, "cores to have", "with copies, as `deploy/k8s` asks"), rows),
    ]


def memory(all_needs: Sequence[Needs]) -> list[str]:
    """Memory."""
    rows = [
        (
            one.load.name,
            ", ".join(f"{name} {n:,}" for name, n in one.processes.items()),
            f"{one.hot_gb:,.1f} GB",
            f"**{max(2, ceil(one.memory_gb)):,} GB**",
            f"**{one.gb_with_copies:,} GB**",
        )
        for one in all_needs
    ]
    return [
        "",
        "## Memory",
        "",
        f"Processes of a service = its busy cores ÷ {FULL}. Hot = open cases × what their rows"
        " take: what PostgreSQL should find in memory.",
        f"With copies each part is there {COPIES} times; the manifests ask for {ASKED_GB:.0f} GB at"
        f" least. What `deploy/k8s/base` asks for is meant for {BASE_IS_FOR}; beyond it",
        "an overlay asks for more, of the databases first.",
        "",
        *table(("", "processes", "hot rows", "memory to have", "with copies"), rows),
    ]


def disk(all_needs: Sequence[Needs]) -> list[str]:
    """Disk."""
    rows = [
        (
            one.load.name,
            size(one.database_gb_year),
            size(one.wal_gb_day),
            size(one.kafka_gb),
            size(one.kafka_gb_year),
        )
        for one in all_needs
    ]
    return [
        "",
        "## Disk",
        "",
        *table(
            ("", "databases, each year", "WAL to archive, each day",
             f"Kafka: {KEPT_DAYS} days, {COPIES} copies",
             "and the last word of each case, each year"), rows
        ),
        "",
        "Rows with their indexes, of all four databases, before any copy. `router.events` is"
        " compacted and keeps the last snapshot of every case.",
    ]  # fmt: skip


def partitions(all_needs: Sequence[Needs]) -> list[str]:
    """Partitions."""
    n = PARTITIONS[Topic.ROUTER]
    rows = []
    for one in all_needs:
        most = max(one.processes.values())
        enough = "enough" if most <= n else f"**too few: {most:,} wanted**"
        rows.append((one.load.name, few(one.load.events / n), f"{most:,} of {n}", enough))
    return [
        "",
        "## Partitions",
        "",
        f"Each topic of cases has {n}, and that number never changes in place: so many processes"
        " of a service can hear at once.",
        "",
        *table(("", "events a second in each", "processes of the busiest service", ""), rows),
        "",
        "Where they are too few, a nation is cut by province: topics of another prefix and"
        " databases of their own, for no case crosses it.",
    ]


def beyond(figures: Figures, all_needs: Sequence[Needs]) -> list[str]:
    """Where one PostgreSQL ends."""
    petition, later = by_part(figures.petition.cpu_us), later_event(figures)
    contact = (petition["postgres"] + (EVENTS - 2) * later.cpu_us["postgres"]) / 1e6
    carried = CORES_OF_A_SERVER * FULL / contact
    most = [one for one in all_needs if one.load.contacts > carried]
    says = (
        f"the first load beyond it is {most[0].load.name}"
        if most
        else "no load of this page is beyond it in CPU"
    )
    rows = [(one.load.name, size(one.database_gb_year * 5)) for one in all_needs]
    return [
        "",
        "## Where one PostgreSQL ends, and how to go on",
        "",
        f"A contact costs PostgreSQL {contact * 1e3:,.2f} ms of CPU. One server of"
        f" {CORES_OF_A_SERVER} cores at {FULL:.0%} carries {carried:,.0f} contacts a second for all"
        f" four databases:",
        f"{says}. Size ends it earlier: after five years",
        "",
        *table(("", "in the databases"), rows),
        "",
        "A table of some terabytes is vacuumed, copied and restored too slowly long before it"
        " cannot be written. In this order:",
        "",
        "1. **A server for each database.** They share nothing; each service has its own URL.",
        "2. **Months as partitions**, of the router's cases and history. Ids begin with their"
        " moment (UUIDv7), so a range of ids is a month: the key stays the",
        "   key, and whoever asks by case asks one partition."
        " [`deploy/postgres/partition.sql`](../deploy/postgres/partition.sql) makes them of the"
        " tables as they are; nothing is copied",
        "   at first, and the long part of it stops nobody. Then it splits the past off month by"
        " month, with the router stopped. The months to come are made by",
        "   `call months_ahead(…)`, every night or month, by a CronJob of yours or a person; where"
        " that is forgotten nothing is refused. Old months move to slower disks.",
        "   Not tried on other tables: intake's petitions have a second unique key and are referred"
        " to, and cannot be cut so.",
        "3. **Cases over servers**, by case id: every key begins with it."
        " [`deploy/postgres/shard.sql`](../deploy/postgres/shard.sql) does it with what PostgreSQL"
        " has of its own,",
        "   and says the calls of a distributed one (Citus), which we have not tried. Queues and"
        " the census then ask every server.",
        "",
        "`tests/deploy/test_partitions.py` runs both files on the router's tables: the rows are"
        " looked through while others read and write, then moved, and whole lives",
        "of cases run on the partitions through the router's own handlers. Each of four hot"
        " statements is explained on both, and its plan touches one partition, or one server;",
        "over two servers nothing was run but the copying.",
        "A queue asks every month by its own small index of open cases, merged in order.",
    ]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table of Markdown."""
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    return [lines[0], "|" + "---|" * len(head), *lines[1:]]


def few(n: float) -> str:
    """A number with as many digits as it is worth."""
    if 0 < n < 0.01:
        return "< 0.01"
    return f"{n:,.0f}" if n >= 100 else f"{n:.2g}"


def size(gb: float) -> str:
    """Gigabytes for people."""
    if gb >= 1_000:
        return f"{gb / 1_000:,.1f} TB"
    return f"{gb:,.1f} GB" if gb >= 0.1 else f"{gb * 1_000:,.0f} MB"
