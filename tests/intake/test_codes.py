"""Query codes are not found by trying."""

import httpx
import pytest

from services.intake.handlers.codes import LONGEST, MOST, NUMBERS, SECONDS, WrongCodes
from tests.intake.steps import hand_in, problem


@pytest.mark.parametrize("known", [True, False], ids=["a number there is", "one there is not"])
async def test_after_ten_wrong_codes_none_is_looked_at_for_an_hour(
    client: httpx.AsyncClient, known: bool
) -> None:
    told, other = await hand_in(client), await hand_in(client)
    number = told["number"] if known else "CG-20260412-9999999"
    at = f"/petitions/{number}"
    for n in range(MOST):
        # NUL is in no number: with or without it the number is the same.
        assert (await client.get(at + "%00" * (n % 2), params={"code": "WRONG"})).status_code == 404
    refused = await client.get(at, params={"code": told["code"]})
    assert refused.status_code == 429
    assert 3_590 < int(refused.headers["retry-after"]) <= 3_600
    problem(refused)
    rating = {"solved": True, "satisfied": True}
    later = {"supplements": {"text": "more"}, "urgings": {}, "rating": rating}
    for what, body in later.items():
        at_once = await client.post(f"{at}/{what}", params={"code": told["code"]}, json=body)
        assert problem(at_once)["type"].endswith("too-many-wrong-codes")
    assert (await client.get(other["links"]["receipt"])).status_code == 200


def test_wrong_codes_are_forgotten_after_an_hour_and_the_right_one_is_none() -> None:
    codes = WrongCodes()
    for second in range(MOST):
        assert codes.seconds_left("n", second) == 0
        codes.wrong("n", second)
    assert codes.seconds_left("n", MOST) == SECONDS - MOST
    assert codes.seconds_left("m", MOST) == 0
    assert codes.seconds_left("n", SECONDS) == 0
    codes.wrong("n", SECONDS)
    assert codes.seconds_left("n", SECONDS) == 0


def test_the_numbers_remembered_are_bounded() -> None:
    codes = WrongCodes()
    for _ in range(MOST):
        codes.wrong("first", 0)
        codes.wrong("x" * (LONGEST + 1), 0)
    assert codes.seconds_left("first", 1) > 0
    assert codes.seconds_left("x" * (LONGEST + 1), 1) == 0
    for n in range(NUMBERS):
        codes.wrong(str(n), 1)
    assert codes.seconds_left("first", 1) == 0
