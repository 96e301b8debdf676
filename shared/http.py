"""HTTP for every service: problems (RFC 9457), limits, paging, health, metrics, the API page.

Services bring routes; this brings what all of them do alike.
"""

from __future__ import annotations

import base64
import binascii
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared import lines, telemetry, traces
from shared.identity import Actor, NotIdentified, actor_of, resident_of
from shared.postgres import WEATHER

if TYPE_CHECKING:
    from shared.service import Process

logger = logging.getLogger(__name__)

TYPE = "https://casegrid.example/problems/"


class Problem(Exception):
    """An answer that says what is wrong and what to do about it."""

    def __init__(
        self,
        status: int,
        slug: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **members: object,
    ) -> None:
        super().__init__(slug)
        self.status = status
        self.slug = slug
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = members


def problem_response(problem: Problem) -> Response:
    """A problem as RFC 9457 writes it."""
    body = {
        "type": TYPE + problem.slug,
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
    } | problem.members
    return Response(
        orjson.dumps(body),
        problem.status,
        problem.headers,
        media_type="application/problem+json",
    )


def json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps(value), status, headers, media_type="application/json")


def invalid(error: ValidationError | RequestValidationError) -> Problem:
    """What is wrong with a request, field by field; never what was sent."""
    problems = [
        {"field": ".".join(str(part) for part in e["loc"] if part != "body"), "says": e["msg"]}
        for e in error.errors()
    ]
    if any(e["type"] in ("json_invalid", "json_type") for e in error.errors()):
        return Problem(400, "malformed-json", "The body is not readable JSON.", errors=problems)
    return Problem(
        422,
        "invalid-request",
        "Some fields are wrong; each is named under `errors`. Correct them and send again.",
        errors=problems,
    )


def busy(detail: str, seconds: int = 2) -> Problem:
    """Not now: nothing was kept; try again after a while."""
    return Problem(503, "try-again", detail, headers={"Retry-After": str(seconds)})


def require_json(request: Request) -> None:
    """Bodies are JSON. Raises a 415 `Problem`."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise Problem(415, "wrong-media-type", "Send the body as `Content-Type: application/json`.")


def spelt_out(schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON schema with whatever it refers to in its place.

    The API page resolves no reference into a route's own schema.
    """
    parts = schema.get("$defs", {})

    def whole(node: Any) -> Any:
        match node:
            case {"$ref": str(reference), **more}:
                return {**whole(parts[reference.rpartition("/")[2]]), **whole(more)}
            case dict():
                return {name: whole(one) for name, one in node.items() if name != "$defs"}
            case list():
                return [whole(one) for one in node]
            case _:
                return node

    written: dict[str, Any] = whole(schema)
    return written


def cursor_of(parts: list[Any]) -> str:
    """An opaque place in a listing."""
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode().rstrip("=")


def parts_of(cursor: str, length: int) -> list[Any]:
    """The place that a cursor stands for. Raises a 422 `Problem`."""
    try:
        parts = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error):
        parts = None
    if not isinstance(parts, list) or len(parts) != length:
        raise invalid_cursor()
    return parts


def invalid_cursor() -> Problem:
    """The 422 for a cursor that is not ours."""
    return Problem(
        422, "invalid-cursor", "The cursor is not one of ours: leave it out to begin anew."
    )


def process_of(request: Request) -> Process:
    """The process that answers."""
    process: Process = request.app.state.process
    return process


def not_identified(unknown: NotIdentified) -> Problem:
    """No token that holds."""
    return Problem(401, "not-identified", str(unknown), headers={"WWW-Authenticate": "Bearer"})


def actor(request: Request) -> Actor:
    """Who asks. Raises a 401 `Problem`."""
    try:
        return actor_of(process_of(request).settings, request.headers.get("authorization"))
    except NotIdentified as unknown:
        raise not_identified(unknown) from unknown


def resident(request: Request) -> UUID | None:
    """The petition whose resident asks; None if it is somebody else. Raises a 401 `Problem`."""
    try:
        return resident_of(process_of(request).settings, request.headers.get("authorization"))
    except NotIdentified as unknown:
        raise not_identified(unknown) from unknown


def officer(request: Request) -> Actor:
    """Who asks, if that is somebody of an office. Raises a 401 or 403 `Problem`."""
    who = actor(request)
    if not who.is_officer:
        raise Problem(
            403, "not-an-officer", "Only officers may ask this: use a token of an office."
        )
    return who


# ---------------------------------------------------------------- around every route


class Refused:
    """A problem that is made once and told to many: what goes over the wire, and its counter."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.status = problem.status
        made = problem_response(problem)
        self.start = {
            "type": "http.response.start", "status": made.status_code, "headers": made.raw_headers,
        }  # fmt: skip
        self.body = {"type": "http.response.body", "body": made.body}
        lines = (name + b": " + value + b"\r\n" for name, value in made.raw_headers)
        self.rest = b"".join(lines) + b"\r\n" + bytes(made.body)
        self.counter = telemetry.REQUESTS.labels("(gate)", "POST", str(made.status_code))

    async def tell(self, send: Send) -> None:
        """Tell one request."""
        self.counter.inc()
        await send(self.start)
        await send(self.body)


ADMITTED = "casegrid.admitted"
"""In the extensions of a request that was asked at the gate before it came here."""

Gate = Callable[[Scope], Refused | None]
"""Why a request is not let in, decided before its body is read; None lets it in.

In a flood there are more refusals than anything else: they cost as little as they can.
"""


class Around:
    """Counts and times each request; what is not let in or too large reaches no route."""

    def __init__(self, app: ASGIApp, process: Process, gate: Gate | None = None) -> None:
        self.app = app
        self.process = process
        self.max_body = process.settings.max_body_bytes
        self.gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self.process.draining:
            send = last(send)
        if self.gate is not None and ADMITTED not in scope.get("extensions", {}):
            refused = self.gate(scope)
            if refused is not None:
                await refused.tell(send)
                return
        started = time.perf_counter()
        status = 500
        trace, span = self.traced(scope)

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        telemetry.REQUESTS_UNDER_WAY.inc()
        try:
            if declared_length(scope) > self.max_body:
                await problem_response(self.too_large())(scope, receive, counted)
            else:
                await self.app(scope, self.limited(receive), counted)
        finally:
            telemetry.REQUESTS_UNDER_WAY.dec()
            route = getattr(scope.get("route"), "path", "(none)")
            seconds = time.perf_counter() - started
            method = scope["method"] if scope["method"] in telemetry.METHODS else telemetry.OTHER
            id_ = traces.id_of(trace)
            lines.tell_request(method, route, status, seconds, id_)
            self.end(span, method, route, status)
            telemetry.REQUESTS.labels(route, method, str(status)).inc()
            telemetry.REQUEST_SECONDS.labels(route).observe(seconds, {"trace_id": id_})

    def traced(self, scope: Scope) -> tuple[str, traces.Span | None]:
        """The trace of a request, put into its scope; and its span, if spans are recorded."""
        trace, span = traces.brought(scope["headers"]), None
        if traces.recorder is not None:
            span = traces.recorder.begin(scope["method"], "SERVER", trace)
            trace = span.trace
        scope[traces.SCOPE] = trace = trace or traces.begun()
        return trace, span

    def end(self, span: traces.Span | None, method: str, route: str, status: int) -> None:
        """The span of a request that was answered; its path and query are nobody's business."""
        if span is None:
            return
        found = {"http.request.method": method, "http.route": route}
        wrong = str(status) if status >= 500 else None
        span.end(wrong, f"{method} {route}", **found, **{"http.response.status_code": status})

    def too_large(self) -> Problem:
        """The 413 of this service."""
        return Problem(
            413, "body-too-large", f"A body may have {self.max_body} bytes; send a shorter one."
        )

    def limited(self, receive: Receive) -> Receive:
        """Counts a body that came without a length."""
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self.max_body:
                raise self.too_large()
            return message

        return counted


def last(send: Send) -> Send:
    """The answer says that the connection ends with it: the next one goes to somebody else."""

    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        await send(message)

    return told


def declared_length(scope: Scope) -> int:
    """The Content-Length of a request, 0 without one."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0


def on_problem(_: Request, problem: Exception) -> Response:
    """Ours."""
    assert isinstance(problem, Problem)
    return problem_response(problem)


def on_invalid(_: Request, error: Exception) -> Response:
    """FastAPI's own checks of path and query."""
    assert isinstance(error, RequestValidationError)
    return problem_response(invalid(error))


def on_http(_: Request, error: Exception) -> Response:
    """No such path, no such method."""
    assert isinstance(error, HTTPException)
    slug = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    details = {
        404: "There is nothing under this address; /docs lists all that there is.",
        405: "This address takes other methods; see the `Allow` header.",
    }
    detail = details.get(error.status_code, error.detail)
    return problem_response(Problem(error.status_code, slug, detail, headers=error.headers or {}))


SEND_AGAIN = (
    "It is not known whether it was kept; send it again with the same Idempotency-Key, if it"
    " had one."
)


def on_weather(request: Request, error: Exception) -> Response:
    """The database is away, perhaps since the commit."""
    if isinstance(error, ValueError):  # asyncpg's own refusal of a value is an InterfaceError too
        return on_bug(request, error)
    telemetry.WEATHER.labels("http", type(error).__name__).inc()
    return problem_response(busy(f"The database does not answer just now. {SEND_AGAIN}"))


def on_bug(_: Request, error: Exception) -> Response:
    """Ours: logged with its trace, told without it."""
    logger.error("a request met a bug", exc_info=error)
    said = f"This is our fault and was logged. {SEND_AGAIN}"
    # uvicorn closes the connection after a bug: whoever would send on it again must know.
    return problem_response(Problem(500, "internal-error", said, headers={"Connection": "close"}))


# ---------------------------------------------------------------- every service's own routes

operations = APIRouter(tags=["operations"])


@operations.get("/livez", summary="Alive: asks nobody else")
async def livez() -> Response:
    """200 as long as the process answers."""
    return json({"status": "alive"})


@operations.get("/startupz", summary="Started: it once had all that it needs to run")
async def startupz(request: Request) -> Response:
    """503 until the database answered and has this version's tables; 200 for ever after."""
    process = process_of(request)
    if process.started:
        return json({"status": "started", "reasons": {}})
    answer = {"status": "starting", "reasons": dict(process.health.reasons)}
    return json(answer, 503, {"Retry-After": "2"})


READY = {"ready": 1.0, "degraded": 0.5, "not ready": 0.0, "down": 0.0}


async def readiness(process: Process) -> tuple[str, dict[str, str]]:
    """Ready, degraded, not ready or down, and why."""
    try:
        async with process.pool.acquire(timeout=2) as connection:
            await connection.fetchval("select 1", timeout=2)
    except WEATHER as away:
        return "down", {"database": type(away).__name__} | process.health.reasons
    reasons = dict(process.health.reasons)
    if process.draining:
        return "not ready", reasons | {"end": "was told to end"}
    if process.health.blocking:
        return "not ready", reasons
    return ("degraded" if reasons else "ready"), reasons


@operations.get("/readyz", summary="Ready, degraded, not ready or down, and why")
async def readyz(request: Request) -> Response:
    """503 when no requests should be sent here; degraded is 200 with its reasons."""
    status, reasons = await readiness(process_of(request))
    answer = {"status": status, "reasons": reasons}
    return json(answer) if READY[status] else json(answer, 503, {"Retry-After": "2"})


@operations.get("/metrics", summary="Prometheus metrics", include_in_schema=True)
async def metrics(request: Request) -> Response:
    """The text format of Prometheus; as OpenMetrics, if that is asked for, with exemplars.

    An exemplar is the trace id of one request of each duration, to be looked up in the log.
    """
    process = process_of(request)
    telemetry.POOL_IN_USE.set(process.pool.get_size() - process.pool.get_idle_size())
    telemetry.POOL_SIZE.set(process.pool.get_size())
    telemetry.POOL_LIMIT.set(process.pool.get_max_size())
    status, _ = await readiness(process)
    telemetry.READY.set(READY[status])
    write, media_type = choose_encoder(request.headers.get("accept", ""))
    return Response(write(REGISTRY), media_type=media_type)


def create_app(process: Process, routes: APIRouter | None) -> Around:
    """The application of a service; without its routes, only what operations ask."""
    name = f"Casegrid {process.service.name}"
    app: FastAPI
    if routes is None:
        app = FastAPI(title=name, docs_url=None, redoc_url=None, openapi_url=None)
    else:
        app = FastAPIOffline(
            title=name,
            description=process.service.about,
            version="0.1.0",
            redirect_slashes=False,
        )
        app.include_router(routes)
    app.state.process = process
    app.include_router(operations)
    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    for weather in WEATHER:
        app.add_exception_handler(weather, on_weather)
    app.add_exception_handler(Exception, on_bug)
    gate = process.service.gate if routes is not None else None
    return Around(app, process, gate and gate(process))


Endpoint = Callable[[Request], Awaitable[Response]]
