"""All databases are put back to a backup that was taken under load: nothing is done twice, and
lost is what was said after it, no more."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from bench.ledger import NO_ANSWER
from deploy.local.environment import SERVICES, inherited, operator_environment
from deploy.local.postgres import SUPERUSER, tools
from services.operations.postgres_tools import environment_of
from tests.faults.book import DONE, Book
from tests.faults.conftest import scene_of
from tests.faults.invariants import Finding, judge, supplements_once
from tests.faults.looking import Holdings, holdings, running
from tests.faults.scene import Scene
from tests.faults.town import Kind
from tests.servers import ROOT

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(600)]
CALM_SECONDS = 240.0


@pytest.fixture
def scene() -> Iterator[Scene]:
    """A town of its own: it will not remember all that it promised."""
    with scene_of(Kind(), "restored") as one:
        yield one


def operate(scene: Scene, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """`casegrid` as an operator runs it."""
    town = scene.town
    told = operator_environment(
        {name: town.settings(name) for name in SERVICES},
        {name: town.url(name) for name in SERVICES},
        tools(),
    )
    return subprocess.run(
        [sys.executable, "-m", "services", *words],
        cwd=ROOT,
        env=inherited() | told | {"NO_COLOR": "1", "CASEGRID_OPERATOR": "test"} | more,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=200,
    )


def well(done: subprocess.CompletedProcess[str]) -> str:
    """What a command said that must succeed."""
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def stop_all(scene: Scene) -> None:
    """Every service ends, in good order."""
    for replica in scene.town.all_replicas():
        replica.stop()


def census_is_calm(scene: Scene) -> None:
    """Until nothing differs but for strangers: cases whose petitions intake lost."""
    deadline = time.monotonic() + CALM_SECONDS
    while True:
        said = operate(scene, "census", "--all", "--patience", "0").stdout
        differ = [line.split("│")[4].strip() for line in said.splitlines() if "│" in line]
        if differ and set(differ) == {"0"}:
            return
        assert time.monotonic() < deadline, said
        time.sleep(2)


def leave_open(book: Book, kept: set[str]) -> set[UUID]:
    """What was promised after the backup may be there or not; these are the petitions of it."""
    lost = set()
    for asked in book.asked.values():
        if asked.is_done and asked.key not in kept:
            if asked.what == "petition":
                lost |= set(map(UUID, asked.told))
            del asked.statuses[DONE[asked.what]]
            asked.statuses[NO_ANSWER] += 1
            asked.told.clear()
    return lost


def without(found: Holdings, strangers: set[UUID]) -> Holdings:
    """The town without the cases whose petitions intake lost."""
    for known in (found.cases, found.armed, found.counted, found.receipts, found.said):
        for id_ in strangers:
            known.pop(id_, None)
    found.history = {k: v for k, v in found.history.items() if k[0] not in strangers}
    return found


def promised(scene: Scene) -> set[str]:
    """The keys of all that somebody was told is done."""
    return {key for key, asked in list(scene.load.book.asked.items()) if asked.is_done}


def goes_on(scene: Scene, kept: set[str], lost_before: set[UUID] | None = None) -> set[UUID]:
    """Start all again: what was promised by the backup is kept, and nothing happens twice.

    Returns the petitions that were promised after the backup, with those of a restore before it.
    """
    scene.load.resume()
    scene.town.launch_all(scene.town.all_replicas())
    scene.recover(time.monotonic())
    scene.load.pause()
    census_is_calm(scene)

    lost = leave_open(scene.load.book, kept) | (lost_before or set())
    with scene.no_sweep():
        waits = scene._come_to_rest()
        found = running(holdings(scene.town))
    found.waits = waits
    strangers = found.cases.keys() - found.petitions.keys()
    assert strangers, "something was accepted after the backup, or nothing is shown here"
    assert strangers <= lost, "whoever had a yes before the backup is kept"
    verdict = judge(scene.load.book, without(found, set(strangers)))
    findings = [one for one in verdict.findings if not forgotten(one)]
    assert not findings, "\n".join(one.says for one in findings[:20])
    return lost


@pytest.mark.timeout(1200)
def test_all_databases_put_back_under_load_do_nothing_twice(scene: Scene, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    scene.recover(time.monotonic())
    time.sleep(scene.seconds)
    kept = promised(scene)
    assert len(kept) > 50
    assert "is whole" in well(operate(scene, "backup", str(folder), "--reason", "a copy"))
    assert {file.name for file in folder.iterdir()} == {
        "backup.json", *(f"{name}.dump" for name in SERVICES)
    }  # fmt: skip
    assert all(file.stat().st_mode & 0o077 == 0 for file in folder.iterdir()), "nobody else's"
    assert folder.stat().st_mode & 0o077 == 0

    # The time that will be lost: cases are opened, promoted and answered in it.
    time.sleep(scene.seconds * 2)
    words = ("restore", str(folder), "--reason", "drill", "--yes")
    refused = operate(scene, *words)
    assert refused.returncode == 1
    assert "stop all processes" in refused.stderr
    scene.load.pause()
    stop_all(scene)
    said = well(operate(scene, *words))
    assert said.count("epoch 2") == len(SERVICES)
    lost = goes_on(scene, kept)

    # Once more, the router alone, from the same backup: its epoch is that of the first, the topics
    # know better, and all others remember more than it does.
    stop_all(scene)
    again = well(operate(scene, *words, "--service", "router"))
    assert "router: epoch 3" in again
    whole = operate(scene, "parked", "acts").stdout
    assert (whole.count("a copy"), whole.count("drill")) == (len(SERVICES), len(SERVICES) + 1)
    goes_on(scene, kept, lost)


def test_all_databases_put_back_to_a_moment_by_their_log_do_nothing_twice(scene: Scene) -> None:
    archive = archiving(scene)
    scene.recover(time.monotonic())
    base = scene.town.home / "base"
    server = scene.town.postgres.dsn("postgres", SUPERUSER)
    words = ("--checkpoint=fast", "--wal-method=none", "-D", str(base))
    subprocess.run([f"{tools()}/pg_basebackup", *words], env=environment_of(server), check=True)
    time.sleep(scene.seconds)
    kept = promised(scene)
    moment = as_superuser(scene, "select clock_timestamp()::text")
    time.sleep(scene.seconds * 2)
    scene.load.pause()
    stop_all(scene)
    last = as_superuser(scene, "select pg_walfile_name(pg_switch_wal())")
    wait_until((archive / str(last)).exists)

    scene.town.postgres.stop()
    to_the_moment(scene.town.postgres.data_dir / "pgdata", base, archive, str(moment))
    scene.town.postgres.start()
    wait_until(lambda: as_superuser(scene, "select pg_is_in_recovery()") is False)
    for name in SERVICES:
        done = subprocess.run(
            [sys.executable, "-m", "services", name, "restored", "--reason", "drill"],
            cwd=ROOT, env=inherited() | scene.town.settings(name), capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        assert f"{name}: epoch 2" in well(done)
    goes_on(scene, kept)


def as_superuser(scene: Scene, sql: str) -> object:
    """A value, or None, from the server itself."""

    async def asked() -> object:
        connection = await asyncpg.connect(scene.town.postgres.dsn("postgres", SUPERUSER))
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return running(asked())


def archiving(scene: Scene) -> Path:
    """Every segment of the log is copied to a folder, from now on."""
    archive = scene.town.home / "archive"
    archive.mkdir()
    archive.chmod(0o777)
    as_superuser(scene, "alter system set archive_mode = 'on'")
    as_superuser(scene, f"alter system set archive_command = 'cp %p {archive}/%f'")
    scene.town.postgres.stop()
    scene.town.postgres.start()
    return archive


def wait_until(true: Callable[[], bool]) -> None:
    """Until it is so."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, true
        time.sleep(0.1)


def to_the_moment(pgdata: Path, base: Path, archive: Path, moment: str) -> None:
    """Put a base backup in place of the data, to be brought to a moment at the next start."""
    owner = pgdata.stat()
    shutil.rmtree(pgdata)
    shutil.move(base, pgdata)
    with (pgdata / "postgresql.auto.conf").open("a") as settings:
        settings.write(
            f"restore_command = 'cp {archive}/%f %p'\nrecovery_target_time = '{moment}'\n"
            "recovery_target_action = 'promote'\n"
        )
    (pgdata / "recovery.signal").touch()
    for file in (pgdata, *pgdata.rglob("*")):
        os.chown(file, owner.st_uid, owner.st_gid)
    pgdata.chmod(0o700)


def forgotten(one: Finding) -> bool:
    """What the router heard of a supplement that intake no longer has is no effect of its own; what
    intake has and the router never heard is lost all the same."""
    return one.sort == "wrong" and "intake said" in one.says and "the router heard" in one.says


@pytest.mark.parametrize(("said", "heard", "excused"), [(1, 2, True), (2, 1, False)])
def test_only_what_the_router_heard_beyond_intake_is_excused(
    tmp_path: Path, said: int, heard: int, excused: bool
) -> None:
    id_ = uuid4()
    town = Holdings(said={id_: said}, heard={id_: heard})
    book = Book(tmp_path / "book")
    book.close()
    (found,) = supplements_once(book, town)
    assert forgotten(found) is excused
