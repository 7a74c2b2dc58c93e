"""Lines and zones from options and files, and their errors."""

import json
from pathlib import Path

import pytest

from centernet.errors import InputError
from centernet.inference.video.zone_file import parse_line, read_shapes, read_zone_file
from centernet.inference.video.zone_shapes import Line, Zone

TRIANGLE = [[0, 0], [9, 0], [0, 9]]


@pytest.fixture
def save(tmp_path):
    def save(content, name="zones.json") -> Path:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return save


@pytest.mark.parametrize(
    ("text", "name", "points"),
    [
        ("1,2,3,4.5", "", ((1, 2), (3, 4.5))),
        ("gate = 100,20,300,20", "gate", ((100, 20), (300, 20))),
        ("a=b=0,0.5,1,0.5", "a=b", ((0, 0.5), (1, 0.5))),
    ],
)
def test_lines_of_the_command_line(text, name, points):
    line = parse_line(text)
    assert (line.name, line.points) == (name, points)


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5", "1,2,3,x", "1,2,3,nan", "1,2,1,2"])
def test_wrong_lines(text):
    with pytest.raises(InputError, match=r"--line") as error:
        parse_line(text)
    assert text == "1,2,1,2" or repr(text) in str(error.value)


def test_fractions_and_other_sizes():
    assert parse_line("0,0.5,1,0.5").fit(640, 480).points == ((0, 240), (640, 240))
    assert parse_line("0,1,20,1").fit(640, 480).points == ((0, 1), (20, 1))
    drawn = Zone("a", ((0, 0), (64, 0), (64, 48)), drawn_on=(64, 48), origin="z.json")
    assert drawn.fit(640, 480).points == ((0, 0), (640, 0), (640, 480))
    with pytest.raises(InputError, match=r"z\.json.*'a'.*64x48.*640x640"):
        drawn.fit(640, 640)


def test_a_point_outside_of_the_picture():
    with pytest.raises(InputError, match=r"'gate'.*700,20.*640x480"):
        Line("gate", ((0, 20), (700, 20))).fit(640, 480)


def test_a_file(save):
    lines, zones = read_zone_file(
        save(
            {
                "lines": [{"name": "gate", "points": [[0, 5], [9, 5]], "anchor": "bottom_center"}],
                "zones": [{"name": " my\n yard", "points": [*TRIANGLE, TRIANGLE[0]]}],
                "width": 10,
                "height": 20,
            }
        )
    )
    (line,), (zone,) = lines, zones
    assert (line.name, line.anchor, line.drawn_on) == ("gate", "bottom_center", (10, 20))
    assert (zone.name, zone.anchor, len(zone.points)) == ("my yard", "center", 3)


def test_a_list_of_polygons_and_names_by_number(save):
    path = save([TRIANGLE, [[20, 0], [30, 0], [20, 9]]])
    lines, zones = read_shapes(["1,2,3,4", "b=1,2,3,4"], [path])
    assert [line.name for line in lines] == ["line 1", "b"]
    assert [zone.name for zone in zones] == ["zone 1", "zone 2"]
    with pytest.raises(InputError, match="'b'"):
        read_shapes(["b=1,2,3,4", "b=1,2,3,5"])


ZONE = {"name": "a", "points": TRIANGLE}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "JSON"),
        ("[" * 100_000, "JSON"),
        ("3", "3"),
        ({}, "neither"),
        ({"zone": []}, "'zone'"),
        ({"zones": 3}, "zones"),
        ({"zones": ["x"]}, "zone 1"),
        ({"zones": [ZONE | {"color": 1}]}, "'color'"),
        ({"zones": [ZONE | {"name": 3}]}, "3"),
        ({"zones": [ZONE | {"anchor": "top"}]}, "'top'"),
        ({"zones": [{"name": "a"}]}, "points"),
        ({"zones": [ZONE | {"points": TRIANGLE[:2]}]}, "'a'.*2 points"),
        ({"zones": [ZONE | {"points": TRIANGLE * 200}]}, "600 points"),
        ({"zones": [ZONE | {"points": [[0, 0], [1, "2"], [3, 3]]}]}, r"\[1, '2'\]"),
        ({"zones": [ZONE | {"points": [[0, 0], [1, 1e999], [3, 3]]}]}, "inf"),
        ({"zones": [ZONE | {"points": [[0, 0], [9, 9], [9, 0], [0, 9]]}]}, "'a'.*itself"),
        ({"zones": [ZONE | {"points": [[0, 0], [9, 0], [5, 0]]}]}, "'a'.*itself"),
        ({"zones": [ZONE | {"points": [[0, 0], [0, 0], [5, 9]]}]}, "'a'.*itself"),
        ({"zones": [ZONE | {"points": [[0, 0], [9, 0], [9, 9], [5, 0], [0, 9]]}]}, "itself"),
        ({"lines": [ZONE]}, "'a'.*3 points"),
        ({"zones": [ZONE], "width": 3}, "width"),
        ({"zones": [ZONE], "width": 0, "height": 3}, "width"),
        ({"zones": [ZONE, ZONE]}, "'a'.*2 times"),
    ],
)
def test_wrong_files(save, content, words):
    path = save(content)
    with pytest.raises(InputError, match=words) as error:
        read_shapes((), [path])
    assert str(path) in str(error.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"--zone .*nowhere"):
        read_zone_file(tmp_path / "nowhere")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InputError, match=r"--zone .*binary"):
        read_zone_file(tmp_path / "binary")
