"""A town under load for the tests, that they may break."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.scene import Scene, scene_in
from tests.faults.town import Kind, Town
from tests.servers import fastest_place, session_directory


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """One town for all of them: each test begins with what the last one left, and must end well."""
    with session_directory(fastest_place(), "casegrid-test-faults-") as home:
        # Two versions shall meet here, and the older one knows no census.
        kind = Kind(settings=(("CASEGRID_CENSUS", "false"),))
        town = Town(home / "town", kind, fast=True)
        town.start()
        try:
            book = Path(home / "book.ndjson")
            with scene_in(town, book, rate=20, seconds=5, seed=1, say=print) as one:
                yield one
        finally:
            town.stop()
