"""One petition, followed by its spans from the request to the order of escalation and its answer;
and what the services write meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.journeys.city import GRID, STREET, City, eventually
from tests.journeys.conftest import running_city
from tests.servers import KafkaServer, PostgresServer

TRACE_ID, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PERSON = {"name": "王芳芳", "address": "幸福里7号楼3单元"}
PHONE = "13898765432"
WORDS = "楼上漏水三天没人管"


class Span(NamedTuple):
    """A span as it was collected."""

    service: str
    name: str
    id: str
    parent: str
    attributes: str


class Collector(ThreadingHTTPServer):
    """Takes spans by OTLP over HTTP, on this machine alone."""

    def __init__(self) -> None:
        self.spans: dict[str, list[Span]] = {}
        super().__init__(("127.0.0.1", 0), Posted)

    def take(self, body: bytes) -> None:
        """Keep what a process sent."""
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = {a.key: a.value.string_value for a in resource.resource.attributes}
            for scope in resource.scope_spans:
                for one in scope.spans:
                    span = Span(
                        service["service.name"].removeprefix("casegrid-"),
                        one.name,
                        one.span_id.hex(),
                        one.parent_span_id.hex(),
                        str(one.attributes),
                    )
                    self.spans.setdefault(one.trace_id.hex(), []).append(span)


class Posted(BaseHTTPRequestHandler):
    """One post of spans."""

    server: Collector

    def do_POST(self) -> None:
        """Take it."""
        self.server.take(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Somebody who collects spans."""
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def traced_city(
    collector: Collector,
    server_directory: Path,
    postgres_server: PostgresServer,
    kafka_server: KafkaServer,
) -> Iterator[City]:
    """A city whose services send their spans, and in which an hour passes in an eighth second."""
    told = {
        "CASEGRID_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "CASEGRID_LOG_LEVEL": "debug",
    }
    with running_city(
        server_directory, postgres_server, kafka_server.bootstrap, speed=28_800, **told
    ) as city:
        yield city


WAY = (
    ("intake", "POST /petitions"),
    ("router", "hear casegrid.petition.received.v1"),
    ("escalation", "hear casegrid.case.opened.v1"),
    ("router", "hear casegrid.deadline.breached.v1"),
    ("analytics", "hear casegrid.case."),
)
"""How the names begin; each is the child of the one before, the first that of whoever asked."""
SENT = {
    ("intake", "send intake.events"),
    ("router", "send router.events"),
    ("escalation", "send escalation.events"),
}


def led_to_the_end(spans: list[Span]) -> bool:
    """Whether some spans lead the whole way, and each sending is there too."""
    parents = {CALLER}
    for service, name in WAY:
        steps = [s for s in spans if s.service == service and s.name.startswith(name)]
        parents = {s.id for s in steps if s.parent in parents}
    return bool(parents) and {(s.service, s.name) for s in spans} >= SENT


def test_a_petition_is_followed_to_the_order_of_escalation_and_its_answer(
    traced_city: City, collector: Collector
) -> None:
    city = traced_city
    accepted = city.http.post(
        city.stack.url("intake") + "/petitions",
        json={"kind": "help", "channel": "phone", "text": WORDS, "category": "H01",
              "place": {"code": GRID}, "person": PERSON, "contact": {"phone": PHONE}},
        headers={"traceparent": f"00-{TRACE_ID}-{CALLER}-01"},
    )  # fmt: skip
    assert accepted.status_code == 202, accepted.text
    petition = accepted.json()
    city.receipt(petition)

    def spans() -> list[Span]:
        return collector.spans.get(TRACE_ID, [])

    found = eventually(spans, led_to_the_end, 60)
    assert len({s.id for s in found}) == len(found)
    told = city.http.post(
        f"{city.stack.url('router')}/cases/{petition['id']}/commands",
        json={"command": "reply", "text": f"{PERSON['name']}您好，两日内处理完毕。"},
        headers=city.token("street_cadre", division=STREET)
        | {"Idempotency-Key": PHONE, "If-Match": "*", "traceparent": f"00-{'a' * 32}-{CALLER}-01"},
    )
    assert told.status_code == 200, told.text
    hears = ("analytics", "hear casegrid.case.replied.v1")
    eventually(
        lambda: collector.spans.get("a" * 32, []),
        lambda all_: hears in {(s.service, s.name) for s in all_},
    )
    written = "".join(log.read_text() for log in (city.stack.data_dir / "logs").glob("*.log"))
    assert TRACE_ID in written
    assert '"route":"/petitions/{number}"' in written
    everything = written + str(collector.spans)
    secrets = (*PERSON.values(), PHONE, WORDS, petition["code"], petition["number"])
    assert not [secret for secret in secrets if secret in everything]
