"""All services are restarted one by one under load, and nobody who asks notices."""

import time
from collections import Counter

import pytest

from tests.faults.book import leaves_open
from tests.faults.scene import Scene

MOST_SECONDS = 20.0

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(300)]


def failed(scene: Scene) -> Counter[int]:
    """How many requests had no answer (0) or one of our own failure, by status."""
    statuses = scene.load.book.statuses
    return Counter({status: n for status, n in statuses.items() if leaves_open(status) and n})


def test_a_rolling_restart_under_load_fails_no_request_and_loses_nothing(
    scene_of_pairs: Scene,
) -> None:
    scene = scene_of_pairs
    scene.recover(time.monotonic())
    asked = scene.load.book.sums().requests
    for replica in scene.town.all_replicas():
        began = time.monotonic()
        replica.stop()
        took = time.monotonic() - began
        assert took < MOST_SECONDS, f"{replica.name} needed {took:.1f} s"
        assert '"event": "stopped"' in replica.log.read_text()
        scene.town.launch_all([replica])
        assert not failed(scene), f"{replica.name}: {failed(scene)} {scene.load.silences}"
    scene.recover(time.monotonic())
    assert scene.load.book.sums().requests - asked > 500
    assert not scene.load.book.not_sent
    assert not failed(scene)
    verdict = scene.verdict()
    assert not verdict.findings, "\n".join(one.says for one in verdict.findings[:20])
