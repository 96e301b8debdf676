"""A database is put back while nobody works on it, of the same city and no newer version."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from pydantic import SecretStr

from deploy.local.postgres import tools
from services.analytics.__main__ import SERVICE
from services.operations import backups, restoring
from services.operations.copies import migrate
from services.operations.places import Place
from services.operations.postgres_tools import TOOLS, ToolFailed
from shared import outbox, postgres
from shared.kafka import create_topics
from shared.settings import Settings
from tests.servers import FreshDatabase, KafkaServer

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


@dataclass
class Taken:
    """A service, and a backup of it."""

    place: Place
    folder: Path
    backup: backups.Backup

    async def epoch(self) -> int:
        connection = await asyncpg.connect(self.place.dsn)
        try:
            epoch: int = await connection.fetchval("select epoch from epochs")
            return epoch
        finally:
            await connection.close()

    async def restore(self) -> restoring.Restored:
        dump = self.backup.dumps["analytics"]
        return await restoring.put_back(self.place, self.folder, dump, "li", "drill")


@pytest.fixture
async def taken(
    fresh_database: FreshDatabase,
    kafka_server: KafkaServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Taken:
    """Analytics, whose backup lies there."""
    monkeypatch.setenv(TOOLS, str(tools()))

    async def tables(dsn: str) -> None:
        await postgres.migrate(dsn, "analytics", SERVICE.migrations)

    settings = Settings(
        database_url=SecretStr(await fresh_database("analytics", tables)),
        kafka_bootstrap=kafka_server.bootstrap,
        topic_prefix=f"restore-{uuid4().hex[:8]}.",
    )
    await create_topics(settings)
    place = Place("analytics", SERVICE, settings, None)
    folder = tmp_path / "backup"
    backup = await backups.take([place], folder, lambda _name, _size: None)
    return Taken(place, folder, backup)


async def test_a_process_that_starts_while_the_topic_is_read_is_not_left_with_an_old_epoch(
    taken: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the first look and the lock lies a reading of Kafka: minutes, of a large topic."""
    read = outbox.epoch_said
    started: list[asyncpg.Connection[asyncpg.Record]] = []

    async def and_meanwhile(
        settings: Settings, service: str, since: Mapping[int, int] | None = None
    ) -> int:
        started.append(await postgres.connect(taken.place.dsn, "analytics"))
        return await read(settings, service, since)

    before = await taken.epoch()
    with monkeypatch.context() as patched:
        patched.setattr(outbox, "epoch_said", and_meanwhile)
        with pytest.raises(ToolFailed, match="came into use by analytics"):
            await taken.restore()
    assert await started[0].fetchval("select epoch from epochs") == before, "all as it was"
    with pytest.raises(restoring.InUse):
        await taken.restore()
    await started[0].close()
    assert (await taken.restore()).epoch == before + 1


async def test_a_backup_of_other_topics_or_of_a_newer_version_is_refused(taken: Taken) -> None:
    other = taken.place.settings.model_copy(update={"topic_prefix": "elsewhere."})
    backups.verify(taken.folder, taken.backup, taken.place)
    with pytest.raises(backups.BadBackup, match=r"begin with 'elsewhere\.'"):
        backups.verify(taken.folder, taken.backup, replace(taken.place, settings=other))
    dump = taken.backup.dumps["analytics"]
    newer = dump.model_copy(update={"migrations": (*dump.migrations, "analytics/9999_later.sql")})
    with pytest.raises(backups.BadBackup, match=r"does not know analytics/9999_later\.sql"):
        backups.verify(taken.folder, of(newer, taken.backup), taken.place)


async def test_what_an_older_backup_lacks_is_named_before_all_else(taken: Taken) -> None:
    assert migrate([taken.place], taken.backup) == ""
    dump = taken.backup.dumps["analytics"]
    older = dump.model_copy(update={"migrations": dump.migrations[:-1]})
    said = migrate([taken.place], of(older, taken.backup))
    assert said.strip().startswith("0. casegrid analytics migrate: ")
    assert said.count(".sql") == 1


def of(dump: backups.Dump, backup: backups.Backup) -> backups.Backup:
    return backup.model_copy(update={"dumps": {"analytics": dump}})
