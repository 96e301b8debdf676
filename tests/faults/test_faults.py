"""Real processes are killed, frozen and mixed with older ones under load: a short selection.

`make chaos` does all of it, for longer.
"""

import time

import pytest

from deploy.local.environment import SERVICES
from tests.faults.faults import dies, relaying
from tests.faults.looking import ask
from tests.faults.scene import Scene
from tests.faults.versions import later_code

TAKEOVER_SECONDS = 25.0
"""Promised are 15, and `make chaos` holds them to it; here the machine may have other work."""
WORST_MOMENTS = {
    "escalation": "after_sweep_commit",
    "router": "after_batch_commit",
    "intake": "after_send",
}
"""In this order: the source dies last, else the others have nothing to pass their moment with."""

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(300)]


def is_well(scene: Scene) -> None:
    """Nothing lost, nothing doubled, nothing out of step."""
    verdict = scene.verdict()
    assert not verdict.findings, "\n".join(one.says for one in verdict.findings[:20])
    assert scene.load.book.sums().accepted > 50
    scene.load.resume()


def test_services_killed_at_their_worst_moments_and_a_killed_database_lose_nothing(
    scene: Scene,
) -> None:
    dead = [dies(scene, service, point) for service, point in WORST_MOMENTS.items()]
    scene.town.postgres.kill()
    scene.town.postgres.start()
    scene.restart(*dead)
    is_well(scene)


def test_of_two_escalations_one_takes_over_when_the_other_stands_still(scene: Scene) -> None:
    second = scene.town.add("escalation")
    scene.recover(time.monotonic())
    frozen = relaying(scene.town, "escalation")
    since = time.monotonic()
    frozen.freeze()
    try:
        assert scene.recover(since) < TAKEOVER_SECONDS
    finally:
        frozen.thaw()
    # The zombie returns: it finds its share gone and does nothing a second time.
    scene.recover(time.monotonic())
    assert frozen.running
    scene.town.remove(second)
    is_well(scene)


def test_three_routers_share_the_work_and_hand_it_over_without_doing_anything_twice(
    scene: Scene,
) -> None:
    first, second = scene.town.add("router"), scene.town.add("router")
    scene.recover(time.monotonic())
    time.sleep(scene.seconds)
    heard = {one.name: one.metric("casegrid_events_heard_total")
             for one in scene.town.replicas["router"]}  # fmt: skip
    assert len(heard) == 3
    assert all(heard.values()), heard
    # As a cluster takes them away: one is told to end, one is gone with its node.
    scene.town.remove(first)
    scene.recover(time.monotonic())
    time.sleep(scene.seconds)
    scene.town.remove(second, at_once=True)
    scene.recover(time.monotonic())
    is_well(scene)


def test_the_last_version_and_this_one_work_side_by_side(scene_of_two: Scene) -> None:
    scene = scene_of_two
    assert scene.town.older is not None
    code, name = scene.town.older
    olds = [scene.town.new_replica(service, code) for service in SERVICES]
    scene.town.join(olds)
    scene.recover(time.monotonic())
    time.sleep(scene.seconds)
    heard = {old.service: old.metric("casegrid_events_heard_total") for old in olds}
    assert all(heard.values()), f"{name} heard {heard}"
    for old in olds:
        scene.town.remove(old)
    scene.load.whole_life = True
    scene.recover(time.monotonic())
    is_well(scene)


def test_a_router_beside_a_later_version_loses_nothing_that_it_does_not_know(
    scene: Scene,
) -> None:
    with later_code(scene.town.home) as code:
        later = scene.town.add("router", code)
        scene.recover(time.monotonic())
        time.sleep(scene.seconds)
        both = {one.name: one.metric("casegrid_events_heard_total")
                for one in scene.town.replicas["router"]}  # fmt: skip
        assert all(both.values()), both
        # The load goes on over the end of the later one: this version has all cases then.
        scene.town.remove(later)
    scene.recover(time.monotonic())
    scene.load.pause()
    counted = ask(
        scene.town,
        "router",
        """
        select (c.doc ->> 'steps_counted')::int as kept,
               array_agg((h.changed ->> 'steps_counted')::int order by h.epoch, h.seq)
                   filter (where h.changed ->> 'steps_counted' is not null) as said,
               bool_or(h.changed ->> 'steps_counted' is null) as by_both
        from cases c join history h using (case_id)
        where c.doc ->> 'steps_counted' is not null or h.changed ->> 'steps_counted' is not null
        group by c.case_id, kept
        """,
    )
    assert len(counted) > 50
    assert sum(by_both for _, _, by_both in counted) > 5
    for kept, said, _ in counted:
        assert said == list(range(1, kept + 1))
    scene.load.resume()
    is_well(scene)
