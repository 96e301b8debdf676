"""`import`: files of many kinds become petitions over HTTP, once each, whatever goes wrong."""

import asyncio
import csv
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from typer.testing import CliRunner, Result

from services.intake.__main__ import SERVICE, app
from services.intake.importing import sending
from services.intake.importing.lines import Columns, Lines, Ready, Rejected
from shared.http import create_app
from shared.identity import issue
from shared.postgres import Transaction
from shared.service import Process
from tests.intake.samples import GRID, TEXT
from tests.servers import free_port


@asynccontextmanager
async def served(application: ASGIApp, port: int) -> AsyncIterator[str]:
    """An application on a port of the loopback."""
    config = uvicorn.Config(application, port=port, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.ensure_future(server.serve())
    async with asyncio.timeout(10):
        while not server.started:  # noqa: ASYNC110 (uvicorn has no event for it)
            await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await serving


@pytest.fixture
async def url(with_policy: Process) -> AsyncIterator[str]:
    """Where intake answers."""
    async with served(create_app(with_policy, SERVICE.routes), free_port()) as url:
        yield url


async def run_import(file: Path, *options: str) -> Result:
    """What a user calls, in a thread: it has an event loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, app, ["import", str(file), *options])


def ndjson(path: Path, *lines: Mapping[str, object] | bytes) -> Path:
    """A file of these lines."""
    path.write_bytes(
        b"\n".join(line if isinstance(line, bytes) else orjson.dumps(line) for line in lines)
    )
    return path


def names(directory: Path) -> list[str]:
    """The files that are there."""
    return [path.name for path in directory.iterdir()]


def letters(path: Path, n: int) -> Path:
    """A plain file of n petitions."""
    return ndjson(path, *({"id": str(i), "subject": f"第{i}封", "text": TEXT} for i in range(n)))


async def test_a_file_is_imported_once_however_often_it_is_sent(
    url: str, tmp_path: Path, database: Transaction
) -> None:
    file = letters(tmp_path / "letters.ndjson", 300)
    first = await run_import(file, "--url", url)
    assert first.exit_code == 0, first.output
    assert "300 new, 0 already there, 0 rejected" in first.output
    assert "300 lines had no kind: taken as kind=complain" in first.output
    second = await run_import(file, "--url", url)
    assert second.exit_code == 0
    assert "0 new, 300 already there, 0 rejected" in second.output
    assert await database.fetchval("select count(*) from petitions") == 300
    keys = await database.fetchval("select min(idempotency_key) from petitions")
    assert keys == "import:letters.ndjson:0"


async def test_bad_lines_are_reported_without_their_words_and_the_others_go_on(
    url: str, tmp_path: Path, database: Transaction
) -> None:
    file = ndjson(
        tmp_path / "mixed.ndjson",
        {"id": 1, "text": TEXT},
        b'{"id": 2, "text": "secret',
        {"id": 3, "text": "", "subject": "secret"},
        b"",
        {"text": "secret"},
        {"id": 5, "text": "secret\0"},
        {"id": 6, "text": "secret", "category": "E9999", "place": {"code": "1"}},
        b"[1]",
        {"id": 8, "text": TEXT},
    )
    ran = await run_import(file, "--url", url)
    assert ran.exit_code == 1
    assert "2 new, 0 already there, 6 rejected" in ran.output
    written = (tmp_path / "mixed.ndjson.rejected.ndjson").read_bytes()
    rejected = {line["line"]: line for line in map(orjson.loads, written.splitlines())}
    assert sorted(rejected) == [2, 3, 5, 6, 7, 8]
    assert rejected[3]["id"] == "3"
    assert rejected[3]["reasons"] == ["text: Field required"]
    assert [reason.partition(":")[0] for reason in rejected[7]["reasons"]] == ["place.code"]
    assert "NUL" in rejected[6]["reasons"][0]
    assert all(f"line {n}: " in ran.output for n in rejected)
    assert "secret" not in ran.output + written.decode()
    assert await database.fetchval("select count(*) from petitions") == 2


async def test_a_corrected_file_leaves_no_report_behind(url: str, tmp_path: Path) -> None:
    file = ndjson(tmp_path / "one.ndjson", {"id": 1})
    assert (await run_import(file, "--url", url)).exit_code == 1
    ndjson(file, {"id": 1, "text": TEXT})
    assert (await run_import(file, "--url", url)).exit_code == 0
    assert names(tmp_path) == ["one.ndjson"]


async def test_another_text_under_an_imported_id_is_refused(url: str, tmp_path: Path) -> None:
    file = ndjson(tmp_path / "one.ndjson", {"id": 1, "text": TEXT})
    await run_import(file, "--url", url)
    ndjson(file, {"id": 1, "text": "another"})
    ran = await run_import(file, "--url", url)
    assert ran.exit_code == 1
    assert "under this id before" in ran.output
    again = await run_import(file, "--url", url, "--source", "elsewhere")
    assert again.exit_code == 0


async def test_columns_of_a_csv_are_mapped(url: str, tmp_path: Path, database: Transaction) -> None:
    file = tmp_path / "letters.csv"
    with file.open("w", newline="", encoding="gb18030") as out:
        writer = csv.writer(out)
        writer.writerow(["no", "title", "body", "from", "tel", "when", "y", "x", "place.words"])
        row = ["A/1", "臭味", "垃圾\n没人收", "张三", "13800000000", "2019-02-28 11:25:05"]
        writer.writerow([*row, "30.5", "114.3", ""])
        writer.writerow(["A/2", "", "垃圾", "", "", "", "", "", "清泉花园", "one too many"])
        writer.writerow(["A/3", "", "垃圾", "", "", "soon", "", "", "清泉花园"])
    mapping = {
        "subject": "title",
        "text": "body",
        "person.name": "from",
        "contact.phone": "tel",
        "occurred_at": "when",
        "place.lat": "y",
        "place.lon": "x",
    }
    options = [part for pair in mapping.items() for part in ("--map", "=".join(pair))]
    options += ["--id", "no", "--set", "kind=help", "--set", "channel=letter"]
    options += ["--map", "on_behalf.came_at=when", "--map", "on_behalf.reference=no"]
    clerk = issue("s" * 32, "clerk-1", ["petition_officer"], GRID)
    by_nobody = await run_import(file, "--url", url, "--encoding", "gb18030", *options)
    assert by_nobody.exit_code == 1
    assert "Authorization: Bearer" in by_nobody.output
    options += ["--token", clerk]
    ran = await run_import(file, "--url", url, "--encoding", "gb18030", *options)
    assert ran.exit_code == 1
    assert "line 4: more cells than the header has" in ran.output
    assert "line 5: on_behalf.came_at:" in ran.output
    assert "taken as" not in ran.output
    registered = await database.fetchrow("select * from registrations")
    assert registered is not None
    assert (registered["subject"], registered["reference"]) == ("clerk-1", "A/1")
    assert registered["came_at"].isoformat() == "2019-02-28T03:25:05+00:00"
    row_ = await database.fetchrow("select * from petitions")
    assert row_ is not None
    assert (row_["subject"], row_["text"]) == ("臭味", "垃圾\n没人收")
    assert (row_["kind"], row_["channel"]) == ("help", "letter")
    assert (row_["lat"], row_["lon"], row_["place_words"]) == (30.5, 114.3, None)
    assert row_["happened_at"].isoformat() == "2019-02-28T03:25:05+00:00"
    assert row_["idempotency_key"] == "import:letters.csv:A/1"
    assert "张三" in await database.fetchval("select person::text from vault")


async def test_a_letter_without_its_registration_says_what_it_lacks(
    url: str, tmp_path: Path
) -> None:
    file = ndjson(tmp_path / "letters.ndjson", {"id": 1, "text": TEXT, "channel": "letter"})
    ran = await run_import(file, "--url", url)
    assert ran.exit_code == 1
    assert "line 1: on_behalf: a letter is registered by an officer" in ran.output


class Flaky:
    """A server that is busy for the first requests, as any server may be."""

    def __init__(self, application: ASGIApp, busy: int) -> None:
        self.application, self.busy = application, busy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Come again in a second, or the answer."""
        if self.busy > 0:
            self.busy -= 1
            headers = [(b"retry-after", b"1"), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 503, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
        else:
            await self.application(scope, receive, send)


async def test_a_server_that_is_away_or_busy_is_waited_for(
    with_policy: Process, tmp_path: Path, database: Transaction
) -> None:
    port = free_port()
    file = letters(tmp_path / "letters.ndjson", 20)
    importing = asyncio.ensure_future(
        run_import(file, "--url", f"http://127.0.0.1:{port}", "--concurrency", "4")
    )
    await asyncio.sleep(0.5)
    flaky = Flaky(create_app(with_policy, SERVICE.routes), busy=3)
    async with served(flaky, port):
        ran = await importing
    assert ran.exit_code == 0, ran.output
    assert "20 new, 0 already there, 0 rejected" in ran.output
    assert flaky.busy == 0
    assert await database.fetchval("select count(*) from petitions") == 20


async def test_it_gives_up_in_plain_words_when_nobody_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "PATIENCE_SECONDS", 0.5)
    file = letters(tmp_path / "letters.ndjson", 3)
    ran = await run_import(file, "--url", f"http://127.0.0.1:{free_port()}")
    assert ran.exit_code == 2
    assert "Run it again" in ran.output
    assert "0 new" in ran.output


@pytest.mark.parametrize(
    "options",
    [
        ["--map", "txt=body"],
        ["--set", "kind"],
        ["--encoding", "utf-9"],
        ["--url", "localhost:8101"],
    ],
)
async def test_a_slip_in_the_options_is_told_before_anything_is_sent(
    tmp_path: Path, options: list[str]
) -> None:
    ran = await run_import(letters(tmp_path / "letters.ndjson", 1), *options)
    assert ran.exit_code == 2
    assert options[0] in ran.output


# ---------------------------------------------------------------- lines


def lines(tmp_path: Path, content: bytes) -> list[Ready | Rejected]:
    """What the lines of a file become."""
    file = tmp_path / "file"
    file.write_bytes(content)
    return list(Lines(file, "utf-8-sig").petitions(Columns("s")))


@pytest.mark.parametrize(
    ("row", "body"),
    [
        pytest.param({"text": "a"}, {"kind": "complain", "channel": "web"}, id="defaults"),
        pytest.param({"kind": " ", "channel": None}, {"kind": "complain"}, id="blank is nothing"),
        pytest.param({"subject": 5}, {"subject": "5"}, id="a number as text"),
        pytest.param({"sent_at": "2026-01-01T08:00:00Z"}, {"occurred_at": "2026-01-01T08:00:00Z"}),
        pytest.param(
            {"occurred_at": "2026-01-01 08:00"}, {"occurred_at": "2026-01-01T08:00:00+08:00"}
        ),
        pytest.param({"place": {"code": GRID}}, {"place": {"code": GRID}}, id="nested"),
        pytest.param({"place.lat": "30", "place.lon": "x"}, {"place": {"lat": 30.0, "lon": "x"}}),
        pytest.param({"accused.unknown": "true"}, {"accused": {"unknown": True}}, id="a flag"),
        pytest.param({"accused.office": "sanitation"}, {"accused": {"office": "sanitation"}}),
        pytest.param({"votes": 5, "author": "A"}, {"kind": "complain"}, id="other columns"),
    ],
)
def test_a_row_becomes_a_body(
    tmp_path: Path, row: dict[str, object], body: dict[str, object]
) -> None:
    [one] = lines(tmp_path, orjson.dumps({"id": 7} | row))
    assert isinstance(one, Ready)
    assert (one.id, one.key) == ("7", "import:s:7")
    made = orjson.loads(one.body)
    assert body.items() <= made.items()
    assert "votes" not in made


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(b'{"id": 1, "text": "\xb0\xa1"}', "--encoding", id="NDJSON in GBK"),
        pytest.param(b"id,text\n1,\xb0\xa1\n", "--encoding", id="CSV in GBK"),
        pytest.param(b'{"no": 1}', "--id", id="no id"),
        pytest.param(b'{"id": ""}', "--id", id="an empty id"),
        pytest.param(b'{"id": "%s"}' % (b"x" * 200), "too long", id="a long id"),
        pytest.param(b"id,text\n1,2,3\n", "more cells", id="too many cells"),
        pytest.param(b'id,text\n1,"%s"\n' % (b"x" * 200_000), "CSV", id="a cell without end"),
    ],
)
def test_a_line_that_is_none_says_why(tmp_path: Path, content: bytes, why: str) -> None:
    [one] = lines(tmp_path, content)
    assert isinstance(one, Rejected)
    assert why in one.reasons[0]


def test_a_byte_order_mark_and_windows_line_ends_are_no_text(tmp_path: Path) -> None:
    for content in (b'\xef\xbb\xbf{"id": 1, "text": "a"}\r\n', b"\xef\xbb\xbfid,text\r\n1,a\r\n"):
        [one] = lines(tmp_path, content)
        assert isinstance(one, Ready)
        assert orjson.loads(one.body)["text"] == "a"


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    assert lines(tmp_path, b"") == []


def test_an_id_of_any_letters_makes_a_key_that_can_be_printed(tmp_path: Path) -> None:
    [one] = lines(tmp_path, orjson.dumps({"id": "信 1:a"}))
    assert isinstance(one, Ready)
    assert one.key.isascii()
    assert " " not in one.key
