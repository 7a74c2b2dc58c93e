import json

import pytest

from centernet.data.entries import entry_error, image_sides, is_ignore_region, short
from centernet.errors import InputError

INF = float("inf")
DEEP = json.loads("[" * 80 + "]" * 80)
ENTRIES = {
    "images": {"id": 1, "file_name": "a.png"},
    "categories": {"id": 1, "name": "cat"},
    "annotations": {"image_id": 1, "category_id": 1},
}


@pytest.mark.parametrize(
    ("part", "change"),
    [
        *(("images", {"id": value}) for value in (True, 1.0, None, [1], {}, 10**400, "\ud800")),
        *(
            ("images", {"file_name": name})
            for name in ("", ".", "a/..x\0", "\ud800.png", "x" * 300, "x/" * 1500 + "a", 7, None)
        ),
        *(("images", {"width": value}) for value in (INF, 10**400, 2e9)),
        *(("categories", {"id": value}) for value in (True, 1.0, "1", None, [1], 2**63)),
        *(("categories", {"name": name}) for name in (None, True, 1.5, ["a"], "\ud800", DEEP)),
        *(("annotations", {"id": value}) for value in ([1], {}, True, INF, 10**400)),
        *(("annotations", {"image_id": value}) for value in (True, 1.0, None, [1])),
        *(("annotations", {"category_id": value}) for value in (True, 1.0, "1", [1], {"a": 1})),
        *(("annotations", {"iscrowd": value}) for value in (2, -1, "2", "", "yes", [0], 0.5)),
        *(("annotations", {"ignore": value}) for value in (2, "no", {}, float("nan"), 10**400)),
    ],
)
def test_a_malformed_field_is_named_in_one_line(part, change):
    ((key, value),) = change.items()
    fault = entry_error(part, ENTRIES[part] | change)
    assert f"has {key} {short(value)}" in fault
    assert "\n" not in fault and len(fault) < 250 and fault.isprintable()
    fault.encode()


@pytest.mark.parametrize(
    ("part", "change"),
    [
        *(("images", {"id": value}) for value in (0, -1, "1", "ä", 2**63 - 1)),
        *(("images", {"file_name": name}) for name in ("a", "b/../a", "x/ä.png", "x" * 255)),
        *(("images", {"width": value}) for value in (0, None, "60", True, -1, 60.5)),
        *(("categories", {"name": name}) for name in (7, "7", "", "ä")),
        *(("annotations", {"id": value}) for value in (None, 1.0, "a", 0)),
    ],
)
def test_odd_fields_that_do_no_harm_are_valid(part, change):
    assert entry_error(part, ENTRIES[part] | change) is None


@pytest.mark.parametrize("entry", [None, 7, [], "text", {}])
def test_an_entry_without_fields_lacks_the_first(entry):
    assert entry_error("images", entry) == "has no 'id'"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((value, False) for value in (None, False, 0, 0.0, "0", "false", "FALSE")),
        *((value, True) for value in (True, 1, 1.0, "1", "true", "True")),
    ],
)
@pytest.mark.parametrize("key", ["iscrowd", "ignore"])
def test_flags_may_be_booleans_numbers_or_text(key, value, expected):
    assert is_ignore_region({key: value}) is expected
    assert is_ignore_region({"iscrowd": 0, "ignore": 0} | {key: value}) is expected


@pytest.mark.parametrize("value", [2, "2", "", []])
def test_any_other_flag_is_refused(value):
    with pytest.raises(InputError, match="annotation 5 has iscrowd"):
        is_ignore_region(ENTRIES["annotations"] | {"id": 5, "iscrowd": value, "ignore": 1})


@pytest.mark.parametrize("side", [0, -3, None, "60", True, INF, float("nan"), 10**400, 2e9, 0.5])
def test_a_side_that_says_nothing_is_infinite(side):
    assert image_sides({"width": side, "height": 40}) == (INF, 40)


@pytest.mark.parametrize(
    "value", [DEEP, {"a": DEEP}, "x" * 10**6, 10**400, [7] * 10**5, [16**9999]]
)
def test_short_is_short(value):
    assert len(short(value)) < 150
