"""Reading petitions: examples of places, categories and signs, and what must never happen."""

import csv
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.decisions.reading import HEAD, TAIL, Reader, ToRead, compile_vocabulary
from shared.events import CategoryRow, DivisionRow, PlaceRow, Reading, WordRow

DATA = Path(__file__).parents[2] / "services/router/data"

DIVISIONS = (
    "990101", "990101001", "990101001001", "990101001001001", "990101001001002",
    "990101001002", "990101001002001", "990101002", "990101002001", "990101002001001",
    "990102", "990102001", "990102001001", "990102001001001",
)  # fmt: skip

PLACES = (
    PlaceRow(name="甲区", division="990101"),
    PlaceRow(name="乙区", division="990102"),
    PlaceRow(name="东风街道", division="990101001"),
    PlaceRow(name="东风", division="990101001"),
    PlaceRow(name="西岭街道", division="990101002"),
    PlaceRow(name="南岸街道", division="990102001"),
    PlaceRow(name="翠竹园", division="990101001001001", lat=38.9000, lon=121.6000),
    PlaceRow(name="翠竹园二期", division="990101001001002", lat=38.9020, lon=121.6000),
    PlaceRow(name="青松苑", division="990101001002001"),
    PlaceRow(name="红叶里", division="990101002001001"),
    PlaceRow(name="松间市场", division="990101001001"),
    PlaceRow(name="同名小区", division="990101001001001"),
    PlaceRow(name="同名小区", division="990102001001001"),
    PlaceRow(name="旧城小区", division="990102001001009"),
)


def rows(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return [{k: v for k, v in row.items() if v} for row in csv.DictReader(file)]


@cache
def categories() -> tuple[CategoryRow, ...]:
    return tuple(CategoryRow.model_validate(row) for row in rows("categories.csv"))


@cache
def vocabulary() -> tuple[WordRow, ...]:
    return tuple(WordRow.model_validate(row) for row in rows("vocabulary.csv"))


def compiled(words: Iterable[WordRow], places: Iterable[PlaceRow] = PLACES) -> Reader:
    return compile_vocabulary(
        words, places, categories(), [DivisionRow(code=code, name=code) for code in DIVISIONS]
    )


@cache
def default() -> Reader:
    return compiled(vocabulary())


def read(text: str, subject: str = "", **said: object) -> Reading:
    return default().read(ToRead(**{"text": text, "kind": "help", "subject": subject, **said}))  # type: ignore[arg-type]


# ---------------------------------------------------------------- places


@pytest.mark.parametrize(
    ("text", "division", "place"),
    [
        pytest.param("甲区翠竹园3号楼停水了", "990101001001001", "翠竹园", id="estate"),
        pytest.param("翠竹园二期停水", "990101001001002", "翠竹园二期", id="longest name wins"),
        pytest.param("甲区停水", "990101", "甲区", id="district only"),
        pytest.param("东风街道停水", "990101001", "东风街道", id="street"),
        pytest.param("松间市场停水", "990101001001", "松间市场", id="community"),
        pytest.param("停水了", "city", None, id="no place"),
        pytest.param("甲区和乙区都停水", "city", None, id="two districts name neither"),
        pytest.param(
            "甲区和乙区，翠竹园停水", "990101001001001", "翠竹园", id="estate in one of two"
        ),
        pytest.param("乙区翠竹园停水", "990102", "乙区", id="estate of another district"),
        pytest.param("西岭街道翠竹园停水", "990101002", "西岭街道", id="estate of another street"),
        pytest.param("乙区东风街道停水", "990102", "乙区", id="street of another district"),
        pytest.param("翠竹园和青松苑停水", "990101001", "翠竹园", id="two estates: their street"),
        pytest.param("青松苑和红叶里停水", "990101", "青松苑", id="two estates: their district"),
        pytest.param("同名小区停水", "city", None, id="one name in two districts"),
        pytest.param("乙区同名小区停水", "990102001001001", "同名小区", id="the district decides"),
        pytest.param("东风路停水", "city", None, id="a road is not the street of its name"),
        pytest.param("东风那边停水", "990101001", "东风", id="a bare name is the street"),
        pytest.param("东风路口停水", "990101001", "东风", id="a crossing is there"),
        pytest.param("东风一带红叶里停水", "990101002001001", "红叶里", id="neighbourhood"),
        pytest.param("旧城小区停水", "990102001001", "旧城小区", id="smallest division known"),
    ],
)
def test_where_the_names_of_a_text_place_it(text: str, division: str, place: str | None) -> None:
    reading = read(text)
    assert (reading.division, reading.place) == (division, place)
    assert reading.placed_by == ("none" if division == "city" else "name")


def test_the_words_for_the_place_stand_and_the_text_may_only_make_them_finer() -> None:
    assert read("翠竹园停水", place_words="乙区").division == "990102"
    assert read("翠竹园停水", place_words="甲区").division == "990101001001001"
    assert read("乙区红叶里停水", "乙区停水", place_words="东风街道").division == "990101001"


def test_an_estate_in_the_subject_outweighs_a_street_only_in_the_text() -> None:
    assert read("请东风街道处理", "甲区红叶里停水").division == "990101002001001"
    assert read("请南岸街道处理", "红叶里停水").division == "990101002001001"
    assert read("我是乙区居民", "红叶里停水").division == "990102"


@pytest.mark.parametrize(
    ("code", "division", "placed_by"),
    [
        ("990101001001", "990101001001", "code"),
        ("990101001001007", "990101001001", "code"),
        ("990101009009009", "990101", "code"),
        ("990909", "990101001001001", "name"),
    ],
)
def test_a_code_comes_first_as_far_as_it_is_known(code: str, division: str, placed_by: str) -> None:
    reading = read("翠竹园停水", division=code)
    assert (reading.division, reading.placed_by) == (division, placed_by)


def test_coordinates_find_the_nearest_place_within_half_a_kilometre() -> None:
    near = read("乙区停水", lat=38.9013, lon=121.6001)
    assert (near.division, near.placed_by, near.place) == (
        "990101001001002", "coordinates", "翠竹园二期",
    )  # fmt: skip
    assert read("乙区停水", lat=38.8957, lon=121.6).place == "翠竹园"
    assert read("乙区停水", lat=38.8953, lon=121.6).placed_by == "name"
    assert read("乙区停水", lat=38.9, lon=121.6057).place == "翠竹园"
    assert read("乙区停水", lat=38.9, lon=121.6060).placed_by == "name"


# ---------------------------------------------------------------- categories


@pytest.mark.parametrize(
    ("subject", "text", "category"),
    [
        ("路灯不亮", "小路上漆黑一片", "P0202"),
        ("", "楼下的下水道堵塞，污水外溢", "E0404"),
        ("", "工地夜间施工，打桩到凌晨", "E0301"),
        ("", "餐馆油烟直排，开不了窗", "E0116"),
        ("", "楼顶私搭乱建了一个阳光房", "E0101"),
        ("", "物业公司乱收物业费，业委会也不管", "L01"),
        ("", "包工头拖欠农民工工资", "D10"),
        ("", "养老保险怎么补缴", "L06"),
        ("", "幼儿园招生名额不够", "L07"),
        ("", "公交车班次太少，等车半小时", "L09"),
        ("", "消防通道堆满杂物，有人飞线充电", "S02"),
        ("", "邻居半夜打麻将，生活噪音很大", "L10"),
        ("公厕垃圾桶没人倒", "", "P0301"),
        ("", "想加装电梯，老旧小区改造什么时候轮到我们", "L03"),
        ("", "请问户口迁移如何办理，需要什么材料", "C02"),
        ("", "特此表扬网格员，送上锦旗", "G04"),
    ],
)
def test_everyday_matters_are_suggested_with_confidence(
    subject: str, text: str, category: str
) -> None:
    reading = read(text, subject)
    assert (reading.category, reading.basis) == (category, "suggested")
    assert reading.confidence >= 0.5


def test_a_given_category_stands_and_a_foreign_one_does_not() -> None:
    reading = read("路灯不亮", category="E0404")
    assert (reading.category, reading.basis, reading.confidence) == ("E0404", "given", 1.0)
    assert reading.candidates[0].code == "P0202"
    assert read("路灯不亮", category="Z99").basis == "suggested"


def test_a_text_without_any_word_suggests_nothing() -> None:
    reading = read("天地玄黄")
    assert (reading.category, reading.basis, reading.confidence) == (None, "none", 0.0)
    assert not reading.candidates
    assert not reading.words


@pytest.mark.parametrize(
    "text",
    [
        "邻居天天半夜唱歌，打了110也没用，扰民",
        "消防通道被占，一旦着火消防车进不来",
        "医院附近的路灯不亮，救护车也难走",
        "楼上吵得我快疯了，我要去上访",
        "去年发生过火灾，今年灭火器还是过期的",
        "大家一起联名到街道反映物业不作为",
    ],
)
def test_a_word_in_passing_makes_no_emergency_and_no_mass_incident(text: str) -> None:
    reading = read(text)
    assert reading.category is not None
    assert reading.category[0] not in "XHR"
    assert not {"danger", "mass_incident_suspected"} & set(reading.signs)


def test_one_word_of_an_emergency_is_suspected_and_several_are_believed() -> None:
    one = read("老人走失")
    assert one.category == "H05"
    assert one.confidence < 0.5 < one.candidates[0].score
    several = read("着火了，窗户冒浓烟，火势越来越大")
    assert several.category == "X119"
    assert several.confidence > 0.5
    assert "danger" in several.signs


def reader_of(*words: tuple[str, str, float]) -> Reader:
    return compiled([WordRow(word=w, means=m, weight=x) for w, m, x in words])


def ask(reader: Reader, text: str, subject: str = "", kind: str = "help") -> Reading:
    return reader.read(ToRead(text=text, kind=kind, subject=subject))  # type: ignore[arg-type]


def test_the_formula_is_the_one_that_is_written_down() -> None:
    reader = reader_of(("路灯", "P0202", 2.0), ("漆黑一片", "P0202", 1.0), ("公交", "L09", 1.0))
    reading = ask(reader, "路灯路灯，漆黑一片，公交", "路灯")
    lamp, bus = 2.0 * (2.5 + 1.5) + 1.0 * 1.2, 1.0
    assert [c.score for c in reading.candidates] == [
        round(lamp / (lamp + bus), 3),
        round(bus / (lamp + bus), 3),
    ]
    assert [(w.word, w.weight) for w in reading.words] == [
        ("路灯", 8.0), ("漆黑一片", 1.2), ("公交", 1.0),
    ]  # fmt: skip
    evidence = 1 - 2.718281828459045 ** (-lamp / 3)
    assert reading.confidence == round(evidence * (0.35 + 0.65 * (lamp - bus) / lamp), 3)


def test_the_kind_is_a_weak_prior() -> None:
    reader = reader_of(("路灯", "P0202", 1.0), ("咨询", "C02", 1.0))
    assert ask(reader, "咨询路灯", kind="consult").category == "C02"
    assert ask(reader, "咨询路灯", kind="report").category == "P0202"
    assert ask(reader, "路灯", kind="consult").category == "P0202"


def test_a_word_inside_a_longer_one_or_inside_a_place_is_not_heard() -> None:
    reader = reader_of(("水道", "L09", 3.0), ("下水道", "E0404", 1.0), ("市场", "L12", 1.0))
    assert [w.word for w in ask(reader, "下水道").words] == ["下水道"]
    assert ask(reader, "松间市场").words == ()
    assert [w.word for w in ask(reader, "水道，下水道").words] == ["水道", "下水道"]


def test_a_word_of_no_weight_only_shields_what_is_inside_it() -> None:
    reader = reader_of(("感谢", "G04", 1.0), ("感谢您", "G04", 0.0), ("翠竹园旁", "G04", 0.0))
    assert ask(reader, "感谢您").category is None
    assert ask(reader, "感谢").category == "G04"
    assert ask(reader, "翠竹园旁").division == "city"


def test_letters_of_both_cases_are_one_word() -> None:
    assert ask(reader_of(("KTV", "E0508", 2.0)), "ktv和KTV").words[0].weight == 3.3


@pytest.mark.parametrize(
    ("word", "means", "weight"),
    [("路灯", "Z99", 1.0), ("路灯", "sign:fun", 1.0), ("", "P0202", 1.0), ("路灯", "P0202", -1.0)],
)
def test_a_word_that_means_nothing_we_know_is_refused(word: str, means: str, weight: float) -> None:
    with pytest.raises(ValueError, match="vocabulary"):
        reader_of((word, means, weight))


# ---------------------------------------------------------------- signs


@pytest.mark.parametrize(
    ("text", "signs"),
    [
        ("一家店无证经营", ("enforcement",)),
        ("这是违法的", ()),
        ("违法经营，请查处", ("enforcement",)),
        ("闻到煤气，怕泄漏", ("danger",)),
        ("有安全隐患", ()),
        ("全楼几十户联名反映", ("many_people",)),
        ("扬言要堵路闹事，聚众围堵", ("mass_incident_suspected",)),
        ("我们要集体去信访", ()),
    ],
)
def test_signs_need_words_that_weigh_enough(text: str, signs: tuple[str, ...]) -> None:
    assert read(text).signs == signs


def test_saying_it_again_and_again_makes_no_sign() -> None:
    reader = reader_of(("违法", "sign:enforcement", 0.5), ("查处", "sign:enforcement", 0.5))
    assert ask(reader, "违法违法违法", "违法").signs == ()
    assert ask(reader, "违法，查处").signs == ("enforcement",)


# ---------------------------------------------------------------- bounds


def test_every_category_has_at_least_three_words_and_every_sign_some() -> None:
    words: dict[str, set[str]] = {category.code: set() for category in categories()}
    signs: dict[str, float] = {}
    for row in vocabulary():
        if row.means.startswith("sign:"):
            signs[row.means] = signs.get(row.means, 0) + row.weight
        elif row.weight > 0:
            words[row.means].add(row.word)
    assert min(len(found) for found in words.values()) >= 3
    assert len(signs) == 4
    assert all(weight >= 1 for weight in signs.values())


def test_a_long_text_is_read_at_its_beginning_and_its_end() -> None:
    filler = "天地" * HEAD
    assert read("路灯不亮" + filler).category == "P0202"
    assert read(filler + "路灯不亮").category == "P0202"
    assert read("天" * HEAD + "路灯不亮" + "天" * TAIL).category is None


@given(subject=st.text(max_size=60), text=st.text(max_size=400), spice=st.data())
def test_whatever_is_said_the_reading_keeps_its_bounds(
    subject: str, text: str, spice: st.DataObject
) -> None:
    words = [row.word for row in vocabulary()[::17]] + [place.name for place in PLACES]
    text += "".join(spice.draw(st.lists(st.sampled_from(words), max_size=30)))
    reading = read(text, subject)
    assert Reading.model_validate_json(reading.model_dump_json()) == reading
    assert reading == read(text, subject)
    assert 0 <= reading.confidence < 1
    assert len(reading.candidates) <= 5
    assert len(reading.words) <= 8
    assert sum(candidate.score for candidate in reading.candidates) <= 1.003
    assert reading.division in {*DIVISIONS, "city"}
    assert reading.category == (reading.candidates[0].code if reading.candidates else None)
    known = {row.word.lower() for row in vocabulary()}
    assert all(word.word in known for word in reading.words)
    assert reading.place in {None, *(place.name for place in PLACES)}


def test_half_a_letter_from_a_broken_client_is_no_reason_to_stop() -> None:
    assert read("路灯不亮\ud800").category == "P0202"


# ---------------------------------------------------------------- the project's own gazetteer


def test_every_place_of_the_demo_gazetteer_lies_where_it_says() -> None:
    places = [PlaceRow.model_validate(row) for row in rows("places.csv")]
    divisions = [DivisionRow.model_validate(row) for row in rows("divisions.csv")]
    assert {place.division for place in places} <= {division.code for division in divisions}
    reader = compile_vocabulary(vocabulary(), places, categories(), divisions)
    for place in places:
        reading = ask(reader, f"我住{place.name}。")
        assert (reading.division, reading.place) == (place.division, place.name)
    streets = {division.name for division in divisions if len(division.code) == 9}
    assert streets <= {place.name for place in places}
