import pytest

from centernet.errors import InputError
from centernet.training.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("1h30m", 5400),
        ("1H 30M", 5400),
        ("0.5h", 1800),
        ("1d2s", 86402),
        ("00:30:00", 1800),
        ("01:00:00:30", 86430),
    ],
)
def test_durations_are_read(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["30", "1.5", "", "0s", "-3m", "30 minutes", "m", "1m1h", "00:61:00"]
)
def test_a_wrong_duration_is_named(text):
    with pytest.raises(InputError, match=f"--max-time {text} .*30m"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0 s"),
        (0.84, "0.8 s"),
        (9.96, "10 s"),
        (99.4, "99 s"),
        (99.6, "2 min"),
        (5969, "99 min"),
        (7500, "2 h 05 min"),
        (90000, "25 h 00 min"),
    ],
)
def test_durations_are_rounded_for_people(seconds, text):
    assert format_duration(seconds) == text
