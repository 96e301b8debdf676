"""The contract: golden examples still parse, asyncapi.json is current, records decode or say why.

Golden files are added, never edited: each is something that may still lie on a topic.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from shared import contract
from shared.events import ANY_EVENT, MODELS, OWNERS, Data, Envelope, Order, Topic, dump
from shared.hearing import Heard, UnknownType, Unreadable, decode, decoded
from shared.kafka import Record
from shared.outbox import headers_of

GOLDEN = sorted(Path(__file__).with_name("golden").glob("*.json"))
TOPIC_OF = {name: topic for topic, types in MODELS.items() for name in types}
SECRET = "Li-Lei-13812345678"
every_golden = pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)


def examples() -> list[dict[str, Any]]:
    return [json.loads(path.read_bytes()) for path in GOLDEN]


@every_golden
def test_a_golden_example_parses_into_its_model_and_is_said_again_the_same(path: Path) -> None:
    value = path.read_bytes()
    name = json.loads(value)["type"]
    model = MODELS[TOPIC_OF[name]][name]
    said = ANY_EVENT.validate_json(value)
    assert type(said) is model
    assert model.model_validate_json(value) == said
    assert json.loads(dump(said)) == json.loads(value)


@every_golden
def test_fields_of_a_later_version_are_ignored(path: Path) -> None:
    value = path.read_bytes()
    later = json.dumps(with_more(json.loads(value)))
    if "policy.part" in path.name:  # its rows are any JSON, so more of them is more
        later = json.dumps(json.loads(value) | {"added_later": [1]})
    assert ANY_EVENT.validate_json(later) == ANY_EVENT.validate_json(value)


FREE_KEYS = {"en", "le", "pr", "ok"}
"""Objects of a snapshot whose keys are data: another key is another datum."""


def with_more(value: Any) -> Any:
    """The same JSON with a field nobody knows in every object."""
    if isinstance(value, list):
        return [with_more(one) for one in value]
    if not isinstance(value, dict):
        return value
    more = {
        key: one if key in FREE_KEYS and isinstance(one, dict) else with_more(one)
        for key, one in value.items()
    }
    return more | {"added_later": {"x": 1}}


def test_every_type_has_a_golden_example() -> None:
    assert {one["type"] for one in examples()} == set(TOPIC_OF)


def test_every_field_is_said_in_some_golden_example() -> None:
    """A new field comes with a new golden file."""
    said: set[tuple[str, str]] = set()
    for path in GOLDEN:
        said.update(fields_said(ANY_EVENT.validate_json(path.read_bytes())))
    models = {name for name, _ in said}
    missing = {
        f"{model.__name__}.{field}"
        for model in every_model(Data)
        if model.__name__ in models
        for field in model.model_fields
        if (model.__name__, field) not in said
    }
    assert not missing


def fields_said(value: object) -> Iterator[tuple[str, str]]:
    """(model, field) of whatever an event really carries."""
    if isinstance(value, BaseModel):
        for field in value.model_fields_set:
            yield type(value).__name__, field
            yield from fields_said(getattr(value, field))
    elif isinstance(value, tuple):
        for one in value:
            yield from fields_said(one)


def every_model(model: type[Data]) -> Iterator[type[Data]]:
    for below in model.__subclasses__():
        yield below
        yield from every_model(below)


# ---------------------------------------------------------------- asyncapi.json


def test_asyncapi_is_current() -> None:
    assert contract.FILE.read_text() == contract.render(), "say: python -m shared.contract"


def test_asyncapi_names_every_type_and_who_says_and_hears_it() -> None:
    document = contract.document()
    assert set(document["components"]["messages"]) == set(TOPIC_OF)
    assert set(document["channels"]) == {topic.value for topic in Topic}
    operations = document["operations"]
    for topic, (owner, _) in OWNERS.items():
        assert operations[f"{owner}.send.{topic.value}"]["action"] == "send"
    hears = {name for name, one in operations.items() if one["action"] == "receive"}
    assert "analytics.receive.router.events" in hears
    assert "router.receive.escalation.events" in hears
    assert len(hears) == 7


def test_every_reference_of_asyncapi_leads_somewhere() -> None:
    document = contract.document()
    found = list(references(document))
    assert len(found) > 50
    for reference in found:
        place: Any = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
        assert isinstance(place, dict)


def references(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from references(one)
    elif isinstance(value, dict):
        for key, one in value.items():
            if key == "$ref":
                yield one
            else:
                yield from references(one)


def test_the_header_schema_is_what_the_outbox_writes() -> None:
    schema = contract.HEADERS
    full = {name for name, _ in headers_of(replace(ENVELOPE, traceparent="00-1-2-01"))}
    assert full == set(schema["properties"])
    assert {name for name, _ in headers_of(ENVELOPE)} == set(schema["required"])


# ---------------------------------------------------------------- decode

ENVELOPE = Envelope(
    event_id=UUID(int=7),
    type="casegrid.petition.supplemented.v1",
    source="casegrid/intake",
    subject="0197f1c2-6c00-7a10-8000-000000000001",
    order=Order(1, 2),
    occurred_at=datetime(2019, 5, 20, 0, 30, tzinfo=UTC),
    caused_by="http:1",
    clock="real",
)
VALUE = b'{"type":"casegrid.petition.supplemented.v1","received_at":"2019-05-20T00:30:00Z"}'


def record(
    value: bytes | None = VALUE,
    headers: dict[str, bytes] | None = None,
    without: str | None = None,
    partition: int = 0,
) -> Record:
    """A record of intake.events, with these headers changed or one left out."""
    made = dict(headers_of(ENVELOPE)) | (headers or {})
    kept = {name: one for name, one in made.items() if name != without}
    return Record(Topic.INTAKE, partition, 5, ENVELOPE.subject, value, kept, ENVELOPE.occurred_at)


def typed(name: str, partition: int = 0) -> Record:
    """A record of this type."""
    return record(headers={"ce_type": name.encode()}, partition=partition)


def test_a_record_says_its_envelope_and_its_data() -> None:
    heard = decode(record())
    assert isinstance(heard, Heard)
    assert heard.envelope == ENVELOPE
    assert json.loads(dump(heard.data)) == json.loads(VALUE)


@pytest.mark.parametrize("name", [n for n in contract.HEADERS["required"] if n.startswith("ce_")])
def test_a_missing_header_is_named(name: str) -> None:
    if name == "ce_specversion":  # nothing is read from it
        assert isinstance(decode(record(without=name)), Heard)
        return
    bad = decode(record(without=name))
    assert isinstance(bad, Unreadable)
    assert name in bad.reason


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("ce_time", b"2019-05-20T08:30:00"),
        ("ce_time", SECRET.encode()),
        ("ce_id", SECRET.encode()),
        ("ce_epoch", SECRET.encode()),
        ("ce_seq", b""),
        ("ce_source", b"\xff\xfe"),
    ],
)
def test_a_header_that_says_nothing_is_unreadable_and_not_quoted(header: str, value: bytes) -> None:
    bad = decode(record(headers={header: value}))
    assert isinstance(bad, Unreadable)
    assert SECRET not in bad.reason


def test_a_time_without_a_zone_is_told_as_such() -> None:
    bad = decode(record(headers={"ce_time": b"2019-05-20T08:30:00"}))
    assert isinstance(bad, Unreadable)
    assert bad.reason == "header ce_time has no time zone"


@pytest.mark.parametrize(
    "name",
    [
        "casegrid.petition.received.v2",
        "casegrid.petition.received.v0",
        "casegrid.case.opened.v1",
        "nonsense",
    ],
)
def test_a_type_this_topic_does_not_carry_is_unknown_and_not_poison(name: str) -> None:
    assert decode(typed(name)) == UnknownType(typed(name), name)


ANY = st.one_of(st.none(), st.binary(max_size=300), st.sampled_from([VALUE, VALUE * 2]))
HEADER = st.sampled_from([*(name for name, _ in headers_of(ENVELOPE)), "traceparent", "x"])
KNOWN = [name.encode() for models in MODELS.values() for name in models]
HEADER_VALUE = st.one_of(
    st.binary(max_size=60), st.text(max_size=60).map(str.encode), st.sampled_from(KNOWN)
)


@st.composite
def cut_and_spliced(draw: st.DrawFn) -> bytes:
    """What some version of ours once said, with a piece of it replaced by anything."""
    whole = draw(st.sampled_from(GOLDEN)).read_bytes()
    begin, end = sorted(draw(st.tuples(*[st.integers(0, len(whole))] * 2)))
    return whole[:begin] + draw(st.binary(max_size=20)) + whole[end:]


@settings(max_examples=2_000, deadline=None)
@given(
    topic=st.sampled_from(Topic),
    value=st.one_of(ANY, cut_and_spliced()),
    headers=st.dictionaries(HEADER, HEADER_VALUE, max_size=3),
    key=st.text(max_size=40),
)
def test_whatever_lies_on_a_topic_is_heard_parked_or_stops_it_and_raises_nothing(
    topic: Topic, value: bytes | None, headers: dict[str, bytes], key: str
) -> None:
    one = record(value, headers)._replace(topic=topic, key=key)
    match decode(one):
        case Heard(_, envelope, data):
            assert isinstance(data, MODELS[topic][envelope.type])
            # It can be kept by every table: what PostgreSQL refuses is not heard.
            assert "\x00" not in key + envelope.source + envelope.caused_by
        case Unreadable(_, reason):
            assert reason
            assert not any(text in reason for text in strange(headers, key))
        case UnknownType(_, name):
            assert name not in MODELS[topic]


def strange(headers: dict[str, bytes], key: str) -> Iterator[str]:
    """What a stranger wrote, if it is long enough to be known again."""
    for text in (key, *(value.decode(errors="replace") for value in headers.values())):
        if len(text) > 6:
            yield text


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{",
        f'"{SECRET}"'.encode(),
        f'{{"type":"{SECRET}","received_at":"{SECRET}"}}'.encode(),
        f'{{"received_at":"2019-05-20T00:30:00Z","{SECRET}":1}}'.encode(),
        b'{"type":"casegrid.petition.supplemented.v1","received_at":"2019-05-20T08:30:00"}',
    ],
)
def test_an_invalid_value_is_unreadable_and_its_content_is_never_quoted(
    value: bytes | None,
) -> None:
    bad = decode(record(value))
    assert isinstance(bad, Unreadable)
    assert bad.reason
    assert SECRET not in bad.reason


def test_what_a_stranger_names_a_key_is_not_quoted_either() -> None:
    opened = json.loads(next(p for p in GOLDEN if p.stem == "case.opened").read_bytes())
    opened["s"]["en"] = {SECRET: 1}
    opened["s"]["ok"] = {SECRET: "perhaps"}
    strange = replace(ENVELOPE, type="casegrid.case.opened.v1")
    bad = decode(
        record(json.dumps(opened).encode())._replace(
            topic=Topic.ROUTER, headers=dict(headers_of(strange))
        )
    )
    assert isinstance(bad, Unreadable)
    assert SECRET not in bad.reason


def test_a_batch_ends_at_the_first_unknown_type_of_each_partition() -> None:
    unknown = typed("casegrid.petition.erased.v1", partition=1)
    batch, stopped = decoded([record(), record(partition=1), unknown, record(partition=1)])
    assert batch is not None
    assert [event.record.partition for event in batch.events] == [0, 1]
    assert stopped == {1: "casegrid.petition.erased.v1"}
    assert decoded([unknown]) == (None, {1: "casegrid.petition.erased.v1"})
