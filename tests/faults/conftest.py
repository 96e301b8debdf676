"""Towns under load for the tests, that they may break."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.local.environment import SERVICES
from tests.faults.scene import Scene, scene_in
from tests.faults.town import NEW_TYPES_OFF, Kind, Town
from tests.faults.versions import NoHistory
from tests.servers import fastest_place, session_directory


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """One town for all of them: each test begins with what the last one left, and must end well."""
    with scene_of(Kind(), "one") as one:
        yield one


@pytest.fixture
def scene_of_two() -> Iterator[Scene]:
    """A town in which an older version may live too: the one that landed last may know neither
    census nor heartbeat, or others."""
    with scene_of(Kind(settings=NEW_TYPES_OFF, older=True), "two") as one:
        yield one


@pytest.fixture
def scene_of_pairs() -> Iterator[Scene]:
    """A town with two replicas of each service on one port, where nobody asks a second time."""
    with scene_of(Kind(shared_ports=True), "pairs") as one:
        one.town.join([one.town.new_replica(service) for service in SERVICES])
        yield one


@contextmanager
def scene_of(kind: Kind, name: str) -> Iterator[Scene]:
    """A town of this kind and name, under load."""
    with session_directory(fastest_place(), f"casegrid-test-faults-{name}-") as home:
        town = Town(home / "town", kind, fast=True)
        try:
            town.start()
        except NoHistory as why:
            pytest.skip(str(why))
        try:
            book = Path(home / "book.ndjson")
            with scene_in(town, book, rate=20, seconds=5, seed=1, say=print) as one:
                yield one
        finally:
            town.stop()
