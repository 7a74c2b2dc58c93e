"""``centernet check``: print the page of text, write the page with pictures."""

import argparse
import json
import sys
from pathlib import Path

from centernet.analysis.check import text
from centernet.analysis.check.page import html
from centernet.analysis.check.report import as_dict, check
from centernet.cli.options import input_size, print_text
from centernet.errors import require_at_least
from centernet.files import atomic_write
from centernet.models.base import DetectionModel


def run(options: argparse.Namespace) -> int:
    """Check and report; 1 when something would break training.

    Raises:
        InputError: there is no dataset, or an option is wrong.
    """
    require_at_least(1, top_k=options.top_k)
    require_at_least(0, sample=options.sample)
    size = options.image_size
    report = check(
        options.dataset,
        input_size=input_size(size, DetectionModel.size_multiple) if size else None,
        top_k=options.top_k,
        sample=options.sample,
        read_images=not options.no_images,
        progress=sys.stderr.isatty(),
    )
    dataset = report.dataset.resolve()
    name = dataset.name if dataset.is_dir() else dataset.stem
    path = options.output or Path("runs/check") / f"{name}.html"
    with atomic_write(path) as unfinished:
        unfinished.write_text(html(report), encoding="utf-8", errors="backslashreplace")
    numbers = path.with_suffix(".json")
    if options.json:
        content = json.dumps(as_dict(report), indent=1, allow_nan=False)
        with atomic_write(numbers) as unfinished:
            unfinished.write_text(content + "\n")
    print_text(text.page(report))
    print_text(f"pictures: {path}" + (f"\nnumbers: {numbers}" if options.json else ""))
    return 0 if report.works else 1
