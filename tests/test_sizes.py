import re
from pathlib import Path

import pytest
import yaml

import centernet
from centernet.errors import InputError
from centernet.sizes import format_size, parse_size

PACKAGE = Path(centernet.__file__).parent
ROOT = PACKAGE.parent
# Two values with an x between them: a size that is written without format_size. Sizes of boxes in
# cells have decimals.
SIZE_TEMPLATES = re.compile(r"%dx%d|\}\s?[x\u00d7]\s?\$?\{(?![^{}]*:\.1f\})")


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (512, (512, 512)),
        ("512", (512, 512)),
        ("320x256", (256, 320)),
        ("320X256", (256, 320)),
        ("32x32", (32, 32)),
        ([256, 320], (256, 320)),  # as in earlier configurations
        ((256, 320), (256, 320)),
    ],
)
def test_a_size_is_a_number_or_width_x_height(value, size):
    assert parse_size(value, multiple=32) == size
    assert parse_size(format_size(size)) == size


def test_a_size_is_printed_as_width_x_height():
    assert format_size((256, 320)) == "320x256" and format_size((512, 512)) == "512x512"
    assert format_size((480.0, 2_000_000.4)) == "2000000x480"


NO_SIZES = ["big", "512x", "x64", "288,384", "1x2x3", "[256,320]", "1.5", "0", "-32", "0x64", ""]
NO_SIZES += [1.5, 0, -32, None, True, [1, 2, 3], [1.5, 2], {}, "100000", "٣٢", "320x256\n320"]


@pytest.mark.parametrize("value", NO_SIZES)
def test_a_value_that_is_no_size_is_named_with_the_option(value):
    with pytest.raises(InputError) as error:
        parse_size(value, name="--image-size", words=("auto",))
    message = str(error.value)
    assert message.startswith("--image-size ") and message.endswith(f"got {value!r}")
    assert "auto" in message and "320x256" in message and "\n" not in message


@pytest.mark.parametrize(
    ("value", "nearest"),
    [("330x250", "320x256"), (100, "96x96"), ([1, 47], "32x32"), ("64x80", "64x64")],
)
def test_a_size_between_multiples_is_refused_with_the_nearest(value, nearest):
    with pytest.raises(InputError, match=f"multiples of 32, got .*: use {nearest}$"):
        parse_size(value, multiple=32)


def test_one_function_writes_sizes():
    files = [f for kind in ("py", "js", "html") for f in PACKAGE.rglob(f"*.{kind}")]
    assert len(files) > 200
    found = {
        f"{path.relative_to(PACKAGE)}:{number}"
        for path in files
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if SIZE_TEMPLATES.search(line)
    }
    # JavaScript has no format_size: two places write width, then height.
    in_pages = {"analysis/inspector/matches.js", "export/web/state.js"}
    assert {place.partition(":")[0] for place in found} == {"sizes.py", *in_pages}


@pytest.mark.parametrize("path", sorted(ROOT.glob("configs/*.yaml")), ids=lambda path: path.stem)
def test_configs_write_sizes_as_text(path):
    size = yaml.safe_load(path.read_text())["data"]["image_size"]
    assert size == "auto" or (isinstance(size, int | str) and parse_size(size, multiple=32))
