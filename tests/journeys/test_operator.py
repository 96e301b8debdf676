"""The operator's hand, on a city that lives: what is shown, what is changed, and who is noted."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from services.intake.handlers.census import first_at
from services.router.decisions.stuck import STUCK_QUEUES
from shared import kafka
from shared.clock import wall
from shared.events import Topic
from shared.kafka.connection import admin
from shared.settings import Settings
from tests.journeys.city import City, eventually, rows
from tests.journeys.test_parked import message, put, received

NAME = "王小明 13800138000"
"""Somebody's name and number, where nobody expects them."""


def waiting(city: City, key: str, service: str = "router") -> list[int]:
    """The ids of what waits under a key."""
    sql = f"select id from parked where key = '{key}' and settled_at is null order by id"
    return [row["id"] for row in asyncio.run(rows(city, service, sql))]


def acts(city: City, service: str, about: str) -> list[tuple[str, str, str]]:
    """Who did what to this, and why."""
    sql = f"select actor, act, reason from operator_acts where about = '{about}' order by id"
    return [tuple(row) for row in asyncio.run(rows(city, service, sql))]


def park_a_gap(city: City, petition: UUID) -> int:
    """A supplement that came before its petition waits; the petition comes after all."""
    said = b'{"type":"casegrid.petition.supplemented.v1","received_at":"2026-01-01T00:00:00Z"}'
    asyncio.run(put(city, petition, message(petition, 2, said)))
    (id_,) = eventually(lambda: waiting(city, str(petition)), lambda found: len(found) == 1)
    return id_


def test_what_is_parked_is_listed_by_all_services_and_shows_nobodys_words(city: City) -> None:
    petition = uuid4()
    bad = message(petition, 1, f'{{"name":"{NAME}"'.encode())
    named = bad._replace(key=NAME.encode(), headers=[*bad.headers, (NAME, NAME.encode())])
    lane = (Topic.INTAKE, 0)
    asyncio.run(put_at(city, lane, named))
    (id_,) = eventually(lambda: waiting(city, NAME), lambda found: len(found) == 1)
    listed = city.operate("parked", "list")
    assert listed.returncode == 0, listed.stderr
    assert f"router/{id_}" in listed.stdout
    shown = city.operate("parked", "show", f"router/{id_}")
    assert shown.returncode == 0, shown.stderr
    assert "casegrid.petition.received.v1" in shown.stdout
    for said in (listed, shown):
        assert not any(word in said.stdout + said.stderr for word in NAME.split())
    assert acts(city, "router", f"parked {id_}") == []

    refused = city.operate("parked", "show", f"router/{id_}", "--content")
    assert refused.returncode == 2
    assert "--reason" in refused.stderr
    whole = city.operate(
        "parked", "show", f"router/{id_}", "--content", "--reason", "ticket 7", "--by", "li"
    )
    assert NAME in whole.stdout
    assert acts(city, "router", f"parked {id_}") == [("li", "show content", "ticket 7")]

    gone = city.operate("parked", "discard", f"router/{id_}", "--reason", "cut off", "--by", "li")
    assert gone.returncode == 0, gone.stderr
    again = city.operate("parked", "discard", f"router/{id_}", "--reason", "cut off")
    assert again.returncode == 1
    assert "was settled" in again.stderr
    assert acts(city, "router", f"parked {id_}")[1:] == [("li", "discard", "cut off")]
    history = city.operate("parked", "acts")
    assert "show content" in history.stdout
    for change in ("update operator_acts set actor = 'wang'", "delete from operator_acts",
                   "truncate operator_acts"):  # fmt: skip
        with pytest.raises(asyncpg.RaiseError, match="only added"):
            asyncio.run(rows(city, "router", change))


async def put_at(city: City, lane: kafka.Lane, *messages: kafka.Message) -> None:
    """Write records straight to a partition."""
    sender = kafka.Sender(settings_of(city))
    await sender.send({lane: list(messages)})
    await sender.drop()


def settings_of(city: City, **more: str) -> Settings:
    """How to reach the city's Kafka."""
    env = city.stack.settings("router")
    return Settings.model_validate(
        {
            "database_url": env["CASEGRID_DATABASE_URL"],
            "kafka_bootstrap": env["CASEGRID_KAFKA_BOOTSTRAP"],
            "topic_prefix": env["CASEGRID_TOPIC_PREFIX"],
            **more,
        }
    )


def test_what_is_replayed_by_two_at_once_is_heard_once(city: City) -> None:
    petition = uuid4()
    id_ = park_a_gap(city, petition)
    asyncio.run(put(city, petition, message(petition, 1, received())))
    eventually(lambda: waiting(city, str(petition)), lambda found: len(found) == 2)
    words = ("parked", "replay", f"router/{id_}", "--reason", "it is whole", "--by", "li")
    with ThreadPoolExecutor(2) as both:
        first, second = both.map(lambda _: city.operate(*words), range(2))
    assert 0 in (first.returncode, second.returncode), first.stderr + second.stderr
    assert [step["event"] for step in city.history(str(petition))] == ["opened", "supplemented"]
    assert waiting(city, str(petition)) == []
    late = city.operate(*words)
    assert late.returncode == 1
    assert [step["event"] for step in city.history(str(petition))] == ["opened", "supplemented"]
    assert ("li", "replay", "it is whole") in acts(city, "router", f"parked {id_}")


def test_what_still_cannot_be_heard_stays_parked_and_says_why(city: City) -> None:
    petition = uuid4()
    id_ = park_a_gap(city, petition)
    tried = city.operate("parked", "replay", f"router/{id_}", "--reason", "hope")
    assert tried.returncode == 1
    assert "gap" in tried.stdout
    assert waiting(city, str(petition)) == [id_]
    asyncio.run(put(city, petition, message(petition, 1, received())))
    eventually(lambda: waiting(city, str(petition)), lambda found: len(found) == 2)
    assert city.operate("parked", "replay", f"router/{id_}", "--reason", "now").returncode == 0


def test_a_snapshot_that_a_listener_could_not_read_is_replayed_by_itself(city: City) -> None:
    case = city.submit(category="E0102", place={"code": "210212001001001"})["id"]
    city.case(case)
    nobody = message(uuid4(), 1, b"{}")
    headers = [(k, b"casegrid.case.opened.v1" if k == "ce_type" else v) for k, v in nobody.headers]
    asyncio.run(put_at(city, (Topic.ROUTER, 3), nobody._replace(headers=headers)))
    key = nobody.key.decode()
    (id_,) = eventually(lambda: waiting(city, key, "analytics"), lambda found: len(found) == 1)
    still = city.operate("parked", "replay", f"analytics/{id_}", "--reason", "hope")
    assert still.returncode == 1
    assert waiting(city, key, "analytics") == [id_]

    # Mended in place, as only a test can: then it is heard, and counted once.
    record = asyncio.run(last_snapshot(city, case))
    mend = "update parked set value = $2, headers = $3, key = $4 where id = $1"
    asyncio.run(rows(city, "analytics", mend, id_, record[0], record[1], case))
    done = city.operate("parked", "replay", f"analytics/{id_}", "--reason", "mended")
    assert done.returncode == 0, done.stdout + done.stderr
    assert waiting(city, case, "analytics") == []
    [settled] = asyncio.run(
        rows(city, "analytics", f"select partition, settled_as from parked where id = {id_}")
    )
    assert tuple(settled) == (3, "replayed")


async def last_snapshot(city: City, case: str) -> tuple[bytes, bytes]:
    """The newest record about a case: its value, and its headers as the table keeps them."""
    from shared.outbox import pack

    found = None
    async for records, _, _ in kafka.read_to_end(settings_of(city), Topic.ROUTER):
        for record in records:
            if record.key == case:
                found = record
    assert found is not None
    assert found.value is not None
    return found.value, pack(found.headers.items())


def test_topics_that_differ_are_told_with_what_to_do(spoiled_city: City) -> None:
    city = spoiled_city
    well = city.operate("topics", "check")
    assert well.returncode == 0, well.stdout + well.stderr
    assert "as the code says" in well.stdout

    name = city.stack.settings("router")["CASEGRID_TOPIC_PREFIX"] + Topic.INTAKE
    asyncio.run(alter(settings_of(city), name, {"retention.ms": "60000"}))
    more = {"CASEGRID_KAFKA_MIN_INSYNC": "2", "CASEGRID_KAFKA_REPLICATION": "3"}
    found = city.operate("topics", "check", **more)
    assert found.returncode == 1
    assert "retention.ms should be 2592000000, is 60000" in found.stdout
    assert f"--entity-name {name} --add-config retention.ms=2592000000" in found.stdout
    assert "min.insync.replicas should be 2, is 1" in found.stdout
    assert "replicas should be 3, is 1" in found.stdout

    missing = city.operate("topics", "check", CASEGRID_TOPIC_PREFIX=f"{uuid4().hex[:8]}.")
    assert missing.returncode == 1
    assert "casegrid topics create" in missing.stdout
    away = city.operate("topics", "check", CASEGRID_KAFKA_BOOTSTRAP="127.0.0.1:1",
                        CASEGRID_KAFKA_REQUEST_TIMEOUT_MS="1000")  # fmt: skip
    assert away.returncode == 1
    assert "no answer" in away.stderr


async def alter(settings: Settings, topic: str, values: dict[str, str]) -> None:
    """Change a topic's settings, as somebody in a hurry would."""
    async with admin(settings) as client:
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, values)])


def test_status_tells_one_that_is_away_by_what_waits_for_it(spoiled_city: City) -> None:
    city = spoiled_city
    case = city.submit(category="E0102", place={"code": "210212001001001"})["id"]
    city.case(case)
    well = eventually(
        lambda: city.operate("status"), lambda said: said.returncode == 0, seconds=60, pause=1
    )
    assert "nothing to look at" in well.stdout
    seen = json.loads(city.operate("status", "--json").stdout)
    assert [one["state"] for one in seen["services"]] == ["ready"] * 4
    assert seen["wants"] == []
    assert seen["due_next"] is not None
    assert {one["name"] for one in seen["queues"]} == {queue.name for queue in STUCK_QUEUES}
    assert next(one for one in seen["queues"] if one["name"] == "open")["n"] >= 1

    city.stack.stop_service("router")
    lost = city.submit(category="E0102", place={"code": "210212001001001"})["id"]
    alone = eventually(
        lambda: json.loads(city.operate("status", "--json").stdout),
        lambda said: next(one for one in said["services"] if one["name"] == "router")["behind"],
        seconds=60,
    )
    router = next(one for one in alone["services"] if one["name"] == "router")
    assert router["state"] == "silent"
    assert router["parked"] == 0
    assert alone["oldest_unrouted_seconds"] > 0
    assert any("router is silent" in line for line in alone["wants"])
    assert next(one for one in alone["queues"] if one["name"] == "blocked")["n"] is None
    shown = city.operate("status")
    assert shown.returncode == 1
    assert "! router is silent" in shown.stdout

    nowhere = city.operate("status", CASEGRID_ROUTER_DATABASE_URL="postgresql://127.0.0.1:1/x")
    assert nowhere.returncode == 1
    assert "the database of router is away" in nowhere.stdout
    unset = city.operate("status", CASEGRID_ROUTER_DATABASE_URL="")
    assert unset.returncode == 2
    assert "operator.env" in unset.stderr

    city.stack.start_service("router")
    city.case(lost)


def test_a_census_names_what_a_listener_lost_and_is_content_when_it_is_mended(
    spoiled_city: City,
) -> None:
    city = spoiled_city
    cases = [
        city.submit(category="E0102", place={"code": "210212001001001"})["id"] for _ in range(5)
    ]
    for case in cases:
        city.case(case)
    same = eventually(
        lambda: city.operate("census"), lambda said: said.returncode == 0, seconds=60, pause=1
    )
    assert "nothing differs" in same.stdout
    city.stack.stop_service("analytics")
    asyncio.run(
        rows(city, "analytics", "delete from contributions where case_id = $1", UUID(cases[0]))
    )
    asyncio.run(rows(city, "escalation", "update armed set seq = 0 where case_id = $1",
                     UUID(cases[1])))  # fmt: skip
    found = city.operate("census", "--patience", "0")
    assert found.returncode == 1, found.stdout + found.stderr
    assert cases[0] in found.stdout
    assert cases[1] in found.stdout
    assert cases[2] not in found.stdout
    city.stack.start_service("analytics")
    mended = eventually(
        lambda: city.operate("census"), lambda said: said.returncode == 0, seconds=100, pause=2
    )
    assert "nothing differs" in mended.stdout


def test_a_petition_older_than_any_census_looks_back_is_said_again_when_asked_for(
    city: City,
) -> None:
    like = city.submit(category="E0102", place={"code": "210212001001001"})["id"]
    city.case(like)
    old = first_at(wall() - timedelta(days=31)).int + 1
    petition = UUID(int=old)
    asyncio.run(never_heard(city, UUID(like), petition))
    lately = eventually(
        lambda: city.operate("census"), lambda said: said.returncode == 0, seconds=60, pause=1
    )
    assert "nothing differs" in lately.stdout
    found = city.operate("census", "--all", "--patience", "0")
    assert found.returncode == 1, found.stdout + found.stderr
    assert str(petition) in found.stdout
    assert "--ask" in found.stdout
    words = ("census", "--all", "--ask", "--patience", "0")
    silent = city.operate(*words)
    assert silent.returncode == 2
    assert "--reason" in silent.stderr
    asked = city.operate(*words, "--reason", "expired unheard", "--by", "li")
    assert asked.returncode == 1, asked.stdout + asked.stderr
    again = city.operate(*words, "--reason", "in a hurry", "--by", "li")
    assert again.returncode in (0, 1), again.stderr
    assert city.case(str(petition))["id"] == str(petition)
    mended = eventually(
        lambda: city.operate("census", "--all", "--ask", "--reason", "is it well"),
        lambda said: said.returncode == 0,
        seconds=60,
        pause=1,
    )
    assert "nothing differs" in mended.stdout
    assert [step["event"] for step in city.history(str(petition))].count("opened") == 1
    receipts = "select stage from receipts where petition_id = $1"
    assert asyncio.run(rows(city, "intake", receipts, petition))[0]["stage"] is not None
    noted = acts(city, "router", "1 petitions of intake")
    assert noted[0] == ("li", "ask again", "expired unheard")
    assert "is it well" not in {reason for _, _, reason in noted}


async def never_heard(city: City, like: UUID, petition: UUID) -> None:
    """A petition like another, accepted and said long ago, whose record nobody heard."""
    for table, id_, other in (
        ("petitions", "id", {"number": "CG-OLD", "idempotency_key": None}),
        ("readings", "petition_id", {}),
        ("receipts", "petition_id",
         {"said_seq": 1, "routed_at": None, "unit": None, "stage": None, "epoch": 0, "seq": 0}),
    ):  # fmt: skip
        changed = json.dumps(other | {id_: str(petition)})
        await rows(
            city,
            "intake",
            f"insert into {table} select (jsonb_populate_record(old, $2::jsonb)).*"
            f" from {table} old where {id_} = $1",
            like,
            changed,
        )


def test_a_backup_that_is_not_as_it_was_written_touches_nothing(city: City, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    done = city.operate(
        "backup", str(folder), "--service", "analytics", "--reason", "drill", "--by", "li"
    )
    assert done.returncode == 0, done.stderr
    assert "is whole" in done.stdout
    assert ("li", "backup", "drill") in acts(city, "analytics", str(folder))
    twice = city.operate("backup", str(folder), "--reason", "drill")
    assert twice.returncode == 1
    assert "is there already" in " ".join(twice.stderr.split())
    dump = folder / "analytics.dump"
    dump.write_bytes(dump.read_bytes()[:-1] + b"?")
    words = ("restore", str(folder), "--reason", "drill", "--yes", "--service")
    spoilt = city.operate(*words, "analytics")
    assert spoilt.returncode == 1
    assert "not as it was written" in spoilt.stderr
    assert "holds nothing of router" in city.operate(*words, "router").stderr
    nowhere = city.operate(
        "backup", str(tmp_path / "other"), "--reason", "drill",
        CASEGRID_POSTGRES_TOOLS=str(tmp_path),
    )  # fmt: skip
    assert nowhere.returncode == 1
    assert "pg_dump is not in" in nowhere.stderr
    assert {file.name for file in tmp_path.iterdir()} == {"backup"}
