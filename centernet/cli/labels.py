"""``centernet labels``: find and correct label errors."""

import argparse
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from centernet.cli.paths import Existing
from centernet.errors import InputError, require_at_least

if TYPE_CHECKING:
    from centernet.analysis.labels.find_label_errors import LabelErrors

HELP = "find label errors of a dataset, and correct them in an HTML page"
DESCRIPTION = """\
Find label errors: missing objects, spurious and badly placed boxes, wrong classes, duplicates,
merged and split objects, ranked by probability. Each image is judged by a model that has not been
trained on it. The HTML page shows them to accept, reject or edit, and exports corrections.json,
which is then applied to a copy of the dataset.

  centernet labels data/mine --folds 5
  centernet labels data/mine --weights runs/custom/best.ckpt
  centernet labels apply corrections.json data/mine data/corrected
  centernet labels --unlabeled photos/ --weights runs/custom/best.ckpt --format labelstudio

The last command ranks unlabeled images by what the model would learn from their labels, and writes
its detections in the first ones as annotations to correct in a labeling tool.
"""
EPILOG = """\
With --folds, five models are trained by configs/custom.yaml, each without a fifth of the images; an
interrupted command continues where it stopped. With own options, train the folds with
centernet fit --data.folds 5, and give the folder of the runs as --weights.

A single checkpoint judges the images that it was trained on too kindly: it repeats some of their
errors.

DATASET is a folder or annotation file in any format that check and convert read.
"""
EXTRA = "train"

_APPLY = "apply"
_PROBABLE = 0.5
_FEW_IMAGES = 50
_DEFAULT_OUTPUT = Path("runs/labels")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    from centernet.data.formats.detect import WRITERS

    parser.usage = (
        "%(prog)s [options] DATASET\n       %(prog)s [options] apply corrections.json DATASET OUT\n"
        "       %(prog)s [options] --unlabeled FOLDER"
    )
    add = parser.add_argument
    add("words", metavar="DATASET", nargs="*", help=argparse.SUPPRESS)
    add(
        "--weights",
        action=Existing,
        type=Path,
        help="a checkpoint, or the folder of a cross-validation",
    )
    add("--folds", type=int, metavar="K", help="train K models for it, as 5")
    add("--config", default="configs/custom.yaml", help="recipe of --folds (%(default)s)")
    add("--split", action="append", default=[], help="only this split; may be repeated")
    add(
        "--output",
        type=Path,
        help=f"folder for labels.html, labels.json and labels.csv ({_DEFAULT_OUTPUT}/DATASET)",
    )
    add(
        "--limit",
        type=int,
        default=200,
        help="maximum number of images in the page, those with the most probable errors "
        "(%(default)s); the lists have all",
    )
    add(
        "--accept",
        type=float,
        metavar="SCORE",
        help="also write corrections.json with all suspicions of at least this score, unseen",
    )
    add(
        "--unlabeled",
        action=Existing,
        metavar="FOLDER",
        help="rank the images of a folder or glob",
    )
    add(
        "--format",
        choices=WRITERS,
        default="labelstudio",
        help="format of the annotations of --unlabeled; labelImg opens voc (%(default)s)",
    )
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (%(default)s)")
    add("--resolution", default="auto", help="as for detect (%(default)s)")
    add("--follow-links", action="store_true", help="for apply: also take linked images")
    add("--images", default="copy", help="of new datasets: copy, link or none, as for convert")


def run(options: argparse.Namespace) -> int:
    """Write page and lists, or apply corrections.

    Returns:
        The exit status: 0, or 1 if an image could not be read.
    """
    if options.words[:1] == [_APPLY]:
        return _apply(options)
    if len(options.words) + (options.unlabeled is not None) != 1:
        given = " ".join(options.words) or "none"
        raise InputError(f"give one DATASET, or --unlabeled FOLDER; the datasets given: {given}")
    return _rank(options) if options.unlabeled else _find(options)


def _apply(options: argparse.Namespace) -> int:
    from centernet.analysis.labels.apply import apply_corrections
    from centernet.analysis.labels.corrections_file import read_corrections
    from centernet.cli.options import print_text

    if len(options.words) != 4:
        raise InputError(
            "apply needs three arguments: centernet labels apply corrections.json DATASET OUT"
        )
    file, dataset, output = options.words[1:]
    done = apply_corrections(
        read_corrections(file),
        dataset,
        output,
        images=options.images,
        follow_links=options.follow_links,
    )
    print_text(
        f"{done.output} ({done.format}): {done.added} boxes added, {done.removed} removed, "
        f"{done.changed} changed in {done.images} images; each is listed in changes.csv"
    )
    for message in done.messages:
        print_text(f"  {message}")
    return 0


def _find(options: argparse.Namespace) -> int:
    import sys

    from centernet.files import require_existing, require_writable

    require_at_least(1, limit=options.limit)
    if (options.weights is None) == (options.folds is None):
        raise InputError("give either --folds 5, or --weights")
    dataset = options.words[0]
    require_existing(dataset, "dataset")
    from centernet.analysis.labels.corrections import require_score
    from centernet.analysis.labels.find_label_errors import find_label_errors

    if options.accept is not None:
        require_score(options.accept)
    folder = options.output or _DEFAULT_OUTPUT / Path(dataset).resolve().name
    require_writable(folder / "labels.html")
    weights = options.weights or _train_folds(dataset, options.folds, options.config, folder)
    model = {"device": options.device, "resolution": options.resolution}
    errors = find_label_errors(
        dataset, weights, splits=options.split, progress=sys.stderr.isatty(), **model
    )
    _write(errors, folder, dataset, weights, options, model)
    return int(errors.failed > 0)


def _write(
    errors: "LabelErrors",
    folder: Path,
    dataset: str,
    weights: Path,
    options: argparse.Namespace,
    model: dict[str, Any],
) -> None:
    """Write page, lists and corrections, and print what to do next."""
    from centernet.analysis.labels.corrections import corrections_of
    from centernet.analysis.labels.corrections_file import write_corrections
    from centernet.analysis.labels.find_label_errors import maps_of
    from centernet.analysis.labels.labels_page import write_labels_page
    from centernet.analysis.labels.listing import count_kinds, write_csv, write_json
    from centernet.cli.options import print_text

    name = Path(dataset).resolve().name
    shown = errors.images[: options.limit]
    page = folder / "labels.html"
    write_labels_page(
        page, errors.class_names, maps_of(shown, weights, **model), dataset=name, total=errors.total
    )
    write_json(folder / "labels.json", errors, dataset=name)
    write_csv(folder / "labels.csv", errors)
    kinds = count_kinds(errors, _PROBABLE)
    listed = ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "none"
    print_text(f"errors with a probability of at least {_PROBABLE:g}: {listed}")
    if errors.seen < _FEW_IMAGES:
        print_text(
            f"the probabilities are estimated from the images themselves, and {errors.seen} are "
            "few: look at each suspicion"
        )
    if errors.biased:
        print_text(
            f"the model was trained on split {', '.join(errors.biased)}, so it repeats some of its "
            "errors: --folds 5 finds more"
        )
    if options.accept is not None:
        file = folder / "corrections.json"
        accepted = corrections_of(
            errors.images, errors.class_names, min_score=options.accept, dataset=name
        )
        write_corrections(file, accepted)
        print_text(f"next: centernet labels apply {file} {dataset} OUT")
    print_text(f"{page}: {errors.total} suspicions; open it in a browser, also as .json and .csv")


def _rank(options: argparse.Namespace) -> int:
    """Rank unlabeled images, and write pre-labels of the first ones."""
    import sys

    from centernet.analysis.labels.unlabeled import rank_unlabeled, write_prelabels
    from centernet.analysis.labels.unlabeled_page import write_ranking, write_unlabeled_page
    from centernet.cli.options import print_text
    from centernet.inference.detector import Detector
    from centernet.inference.inputs import find_images
    from centernet.inference.thresholds import BEST, DEFAULT_SCORE_THRESHOLD

    require_at_least(1, limit=options.limit)
    if options.weights is None or options.weights.is_dir():
        given = "none" if options.weights is None else f"the folder {options.weights}"
        raise InputError(f"--unlabeled needs --weights, a checkpoint, not {given}")
    for name in ("folds", "accept"):
        if (value := getattr(options, name)) is not None:
            raise InputError(f"--{name} {value:g} is for labeled datasets, not for --unlabeled")
    paths = find_images(options.unlabeled)
    if paths is None:
        raise InputError(f"{options.unlabeled} is not a folder of images")
    folder = options.output or _DEFAULT_OUTPUT / _name_of(options.unlabeled)
    labeled = folder / "prelabels"
    if labeled.exists():
        raise InputError(f"{labeled} exists: remove it, or give another --output")
    detector = Detector.load(options.weights, device=options.device, resolution=options.resolution)
    ranking = rank_unlabeled(detector, paths, progress=sys.stderr.isatty())
    first = ranking[: options.limit]
    threshold = BEST if detector.engine.info.thresholds else DEFAULT_SCORE_THRESHOLD
    conversion = write_prelabels(
        first, detector, labeled, format=options.format, threshold=threshold, copy=options.images
    )
    write_unlabeled_page(folder / "next.html", first, detector.class_names, total=len(ranking))
    write_ranking(folder / "next.csv", ranking)
    print_text(str(conversion))
    print_text(f"{folder / 'next.html'}: the images to label next; all {len(ranking)} in next.csv")
    return int(len(ranking) < len(paths))


def _name_of(source: str) -> str:
    """Name of an image without its suffix, or of a folder; of a glob, the folder without wildcards.

    ``photos/*.jpg`` and ``photos`` are both ``photos``.
    """
    path = Path(source)
    if path.is_file():
        return path.stem
    if not path.exists():
        path = Path(*itertools.takewhile(lambda part: not set("*?[") & set(part), path.parts))
    return path.resolve().name


def _train_folds(dataset: str, folds: int, config: str, folder: Path) -> Path:
    """Train a model for each fold, or continue; the folder of the runs."""
    from centernet.training.folds import SUMMARY
    from centernet.training.train_cli import main

    require_at_least(2, folds=folds)
    arguments = ["--config", config, f"--data.root={dataset}", f"--data.folds={folds}"]
    arguments += [f"--trainer.default_root_dir={folder}", "--report=false"]
    if any(folder.glob(f"*/{SUMMARY}")):
        arguments.append("--ckpt_path=last")
    main(["fit", *arguments])
    return max(folder.glob(f"*/{SUMMARY}"), key=lambda path: path.stat().st_mtime).parent
