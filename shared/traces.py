"""The trace (W3C) of a request through all services, and spans of it where somebody collects them.

A request brings its `traceparent` or gets a new one. It is kept with what the request asks for,
stands on every event that comes of it, and its id in every line of the log. With
CASEGRID_OTLP_ENDPOINT spans are recorded too, by OpenTelemetry (the extra `traces`): one for each
request, for each event that is sent and for each that is heard, each the child of the one before.
Without it none of that is imported.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal, NamedTuple

from fastapi import Request

from shared.events import Topic
from shared.hearing import Batch, Heard
from shared.kafka import Lane, Message
from shared.outbox import Send, Sent

TRACEPARENT: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""Version 00, the only one there is. https://www.w3.org/TR/trace-context/"""
SCOPE: Final = "casegrid.trace"
"""Where the trace of a request stands in its ASGI scope."""
FLUSH_SECONDS: Final = 3.0

Kind = Literal["SERVER", "PRODUCER", "CONSUMER"]


def trace_of(request: Request) -> str:
    """The trace that a request belongs to."""
    trace: str = request.scope[SCOPE]
    return trace


def brought(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The trace that a request brings, if it is well formed."""
    for name, value in headers:
        if name == b"traceparent":
            given = value.decode("latin-1")
            return given if TRACEPARENT.fullmatch(given) else None
    return None


def begun() -> str:
    """A new trace; not sampled, for nobody here records it."""
    made = secrets.token_hex(24)
    return f"00-{made[:32]}-{made[32:]}-00"


def id_of(trace: str) -> str:
    """The part of a trace that stays the same from service to service."""
    return trace[3:35]


class Span(NamedTuple):
    """A span that was begun; `trace` is what those that follow it belong to."""

    recorded: Any
    trace: str

    def end(self, wrong: str | None = None, name: str | None = None, **found: str | int) -> None:
        """It is over; `wrong` is the type of an error."""
        from opentelemetry.trace import StatusCode

        if name is not None:
            self.recorded.update_name(name)
        self.recorded.set_attributes(found)
        if wrong is not None:
            self.recorded.set_status(StatusCode.ERROR, wrong)
        self.recorded.end()


class Recorder:
    """Records spans and gives them to an exporter in the background."""

    def __init__(self, service: str, exporter: Any) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        resource = Resource.create({"service.name": f"casegrid-{service}"})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("casegrid")
        self._spelling = TraceContextTextMapPropagator()

    def begin(self, name: str, kind: Kind, parent: str | None, **known: str | int) -> Span:
        """A span begins, as the child of `parent`; without one a trace begins."""
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind, set_span_in_context

        context = self._spelling.extract({"traceparent": parent or ""}, Context())
        span = self._tracer.start_span(name, context, SpanKind[kind], known)
        told: dict[str, str] = {}
        self._spelling.inject(told, set_span_in_context(span, Context()))
        return Span(span, told["traceparent"])

    def stop(self) -> None:
        """Give away what is there; whoever collects it may be away, and is not waited for long."""
        last = threading.Thread(target=self._provider.shutdown, daemon=True)
        last.start()
        last.join(FLUSH_SECONDS)


recorder: Recorder | None = None
"""Of this process; None where nobody collects spans."""


def record(service: str, endpoint: str | None) -> None:
    """Record spans from now on, if there is an address to send them to (OTLP over HTTP).

    Raises `ImportError` without the extra `traces`.
    """
    if endpoint is None:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    global recorder
    url = f"{endpoint.rstrip('/')}/v1/traces"
    recorder = Recorder(service, OTLPSpanExporter(url, timeout=FLUSH_SECONDS))


def stop() -> None:
    """Give away what was recorded."""
    if recorder is not None:
        recorder.stop()


class Hearing:
    """The spans of a batch: one for each event of a trace, over the batch's transaction."""

    def __init__(self, batch: Batch) -> None:
        self._spans: list[Span] = []
        self.batch = batch
        if recorder is not None:
            events = [self._begin(recorder, one) for one in batch.events]
            self.batch = replace(batch, events=events)

    def _begin(self, recorder: Recorder, heard: Heard) -> Heard:
        """What comes of this event is a child of its hearing."""
        envelope = heard.envelope
        if envelope.traceparent is None:
            return heard
        destination = {"messaging.destination.name": heard.record.topic.value}
        name = f"hear {envelope.type}"
        span = recorder.begin(name, "CONSUMER", envelope.traceparent, **destination)
        self._spans.append(span)
        return heard._replace(envelope=replace(envelope, traceparent=span.trace))

    def __enter__(self) -> Hearing:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for span in self._spans:
            span.end(None if kind is None else kind.__name__)


def sending(send: Send) -> Send:
    """The same with a span for each event of a trace, from its sending until it is acknowledged."""
    if recorder is None:
        return send
    begin = recorder.begin

    def spans_of(topic: Topic, messages: Sequence[Message]) -> list[Span | None]:
        parents = [dict(message.headers).get("traceparent") for message in messages]
        return [
            None if parent is None else begin(f"send {topic}", "PRODUCER", parent.decode())
            for parent in parents
        ]

    async def traced(lanes: Mapping[Lane, Sequence[Message]]) -> Sent:
        spans = {lane: spans_of(lane[0], messages) for lane, messages in lanes.items()}
        counts, refused = await send(lanes)
        for lane, several in spans.items():
            for span in several[: counts.get(lane, 0)]:
                if span is not None:
                    span.end()
        return counts, refused

    return traced
