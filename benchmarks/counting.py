"""Compare ways to count objects, and their intervals: tables in Markdown.

python benchmarks/counting.py runs/custom --data.root data/mine \\
    --test annotations/instances_test.json

The first table calibrates on the validation images of the run and counts in the images of `--test`.
The second one divides all of these images at random into halves, `--divisions` times: means and
standard deviations. "covered" is the share of images whose number of objects is in the interval,
"width" the mean of high - low; the errors are mean absolute errors of the count of an image: of the
calibrated count, and of the number of boxes that reach the best threshold of their class. "sums" is
the share of sums over 10 images that are in their interval. `--variants` adds a table of other maps
of scores and other widths of intervals; a plain factor makes the sum over the calibration images
right, without lower weights for outlying images.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from centernet import Detector
from centernet.analysis.inspector import analyze_image, dataset_examples
from centernet.analysis.report.best_thresholds import best_threshold
from centernet.analysis.report.counts import count_samples
from centernet.cli import run_and_exit
from centernet.evaluation.count_calibration import (
    CountSample,
    Moments,
    conformal_quantile,
    fit_count_calibration,
    fit_moments,
    out_of_fold,
    with_total,
)
from centernet.inference.counting import (
    MIN_COUNTED_SCORE,
    CountInterval,
    standard_deviation,
    sum_counts,
)
from centernet.training.config_data import data_of_config

_SUMMED = 10  # images
Samples = Sequence[CountSample]


def read_samples(run: Path, options: argparse.Namespace) -> list[list[CountSample]]:
    """The samples of the validation and the test images."""
    detector = Detector.load(run / "best.ckpt", device="cpu")
    names = list(detector.class_names)
    known = {"root": options.root, "class_names": names, "image_size": 320}
    other = {"val_annotations": options.test, "val_images": options.test_images}
    parts = []
    for changes in ({}, other):
        images = data_of_config(run / "config.yaml", **known, **changes).val_set
        examples = tqdm(
            dataset_examples(images), total=len(images), unit="image", leave=False, disable=None
        )
        analyses = [analyze_image(detector, example)[0] for example in examples]
        parts.append(list(count_samples(analyses, len(names))))
    return parts


def measure(train: Samples, test: Samples, names: Sequence[str]) -> dict[str, NDArray]:
    """Numbers (C + 1,) by name; NaN without intervals."""
    calibration, _ = fit_count_calibration(train)
    counts = [calibration.count(sample.scores, sample.labels, names) for sample in test]
    found = [[*count.classes.values(), count.total] for count in counts]
    truth = with_total(np.array([sample.objects for sample in test]))
    boxes = with_total(np.array([moments[0] for moments in map(at_thresholds(train), test)]))
    numbers = np.array([[one.number for one in row] for row in found])
    columns = [list(column) for column in zip(*found, strict=True)]
    return {
        "covered": _each(columns, truth, _covered),
        "width": _each(columns, truth, _width),
        "error": np.abs(numbers - truth).mean(0),
        "error of boxes": np.abs(boxes - truth).mean(0),
        "bias": (numbers - truth).mean(0),
        "bias of boxes": (boxes - truth).mean(0),
        "sums": _each(columns, truth, lambda *each: _covered_sums(*each, calibration.images)),
    }


def _each(
    columns: Sequence[Sequence[CountInterval]],
    truth: NDArray,
    measure_column: Callable[[Sequence[CountInterval], NDArray], float],
) -> NDArray:
    """A number for each column whose intervals are known, else NaN."""
    return np.array(
        [
            measure_column(column, true) if column[0].half_width is not None else np.nan
            for column, true in zip(columns, truth.T, strict=True)
        ]
    )


def _covered(counts: Sequence[CountInterval], truth: NDArray) -> float:
    pairs = zip(counts, truth, strict=True)
    return float(np.mean([count.low <= true <= count.high for count, true in pairs]))


def _width(counts: Sequence[CountInterval], truth: NDArray) -> float:
    return float(np.mean([count.high - count.low for count in counts]))


def _covered_sums(counts: Sequence[CountInterval], truth: NDArray, images: int) -> float:
    rng = np.random.default_rng(0)
    chosen = [rng.choice(len(counts), min(_SUMMED, len(counts)), replace=False) for _ in range(50)]
    sums = [sum_counts([counts[i] for i in some], images) for some in chosen]
    return _covered(sums, np.array([truth[some].sum() for some in chosen]))


def at_thresholds(train: Samples) -> Moments:
    """Count the boxes that reach the threshold with the best F1 score of their class."""
    classes = len(train[0].objects)
    thresholds = np.full(classes, 0.3)
    objects = sum(sample.objects for sample in train)
    for label in range(classes):
        own = [sample.labels == label for sample in train]
        parts = [(s.scores[o], s.is_correct[o]) for s, o in zip(train, own, strict=True)]
        scores, correct = map(np.concatenate, zip(*parts, strict=True))
        best = best_threshold(scores, correct, int(objects[label]))
        thresholds[label] = best.threshold if best else 0.3

    def moments(sample: CountSample) -> tuple[NDArray, NDArray]:
        kept = sample.scores >= thresholds[sample.labels]
        count = np.bincount(sample.labels[kept], minlength=classes).astype(float)
        return count, count

    return moments


def scaled(fit: Callable[[Samples], Moments]) -> Callable[[Samples], Moments]:
    """The counts of another map, times a factor that makes their sum right."""

    def fit_scaled(train: Samples) -> Moments:
        moments_of = fit(train)
        sums = np.sum([moments_of(sample)[0] for sample in train], 0)
        factors = np.sum([sample.objects for sample in train], 0) / np.maximum(1e-9, sums)

        def moments(sample: CountSample) -> tuple[NDArray, NDArray]:
            mean, variance = moments_of(sample)
            return factors * mean, variance + np.maximum(0, factors - 1) * mean

        return moments

    return fit_scaled


def isotonic(train: Samples) -> Moments:
    """Isotonic regression by pool-adjacent-violators, linear between the middles of its steps."""
    maps = []
    for label in range(len(train[0].objects)):
        scores = np.concatenate([s.scores[s.labels == label] for s in train])
        correct = np.concatenate([s.is_correct[s.labels == label] for s in train])
        maps.append(_pool(scores, correct.astype(float)))
    return lambda sample: _isotonic_moments(maps, sample)


def _isotonic_moments(maps: Sequence[NDArray], sample: CountSample) -> tuple[NDArray, NDArray]:
    counted = sample.scores >= MIN_COUNTED_SCORE
    scores, labels = sample.scores[counted], sample.labels[counted]
    found = [np.interp(scores[labels == i], *steps) for i, steps in enumerate(maps)]
    return np.array([p.sum() for p in found]), np.array([(p * (1 - p)).sum() for p in found])


def _pool(x: NDArray, y: NDArray) -> NDArray:
    """(2, steps) middles and values of the isotonic regression of y on x."""
    steps: list[list[float]] = [[0.0, 0.0, 0.0, 1e-9]]  # first and last x, sum of y, number
    for at, value in sorted(zip(x.tolist(), y.tolist(), strict=True)):
        steps.append([at, at, value, 1.0])
        while len(steps) > 1 and steps[-2][2] * steps[-1][3] >= steps[-1][2] * steps[-2][3]:
            _, last, total, number = steps.pop()
            steps[-1] = [steps[-1][0], last, steps[-1][2] + total, steps[-1][3] + number]
    return np.array([[(s[0] + s[1]) / 2, s[2] / s[3]] for s in steps]).T


MAPS = {
    "logistic": fit_moments,
    "logistic, plain factor": scaled(fit_moments),
    "isotonic, plain factor": scaled(isotonic),
    "boxes at best threshold": at_thresholds,
    "boxes, plain factor": scaled(at_thresholds),
}
# Standard deviation of a count, from its mean and variance.
SCALES: dict[str, Callable[[NDArray, NDArray], NDArray]] = {
    "Poisson binomial": lambda mean, variance: standard_deviation(variance),
    "sqrt(count + 1)": lambda mean, variance: np.sqrt(mean + 1),
    "count + 1": lambda mean, variance: mean + 1,
}


def compare_variants(divisions: Sequence[tuple[Samples, Samples]]) -> None:
    """Print a row for each map of scores and each scale: total count only."""
    print("| map of scores | width by | error | covered | width |\n|---|---|---|---|---|")
    for name, fit in MAPS.items():
        rows: dict[str, list[list[float]]] = {scale: [] for scale in SCALES}
        for train, test in divisions:
            errors, counted = out_of_fold(train, fit), fit(train)
            means, variances = map(np.array, zip(*map(counted, test), strict=True))
            mean, variance = means.sum(1), variances.sum(1)
            truth = np.array([sample.objects.sum() for sample in test])
            for scale, deviation_of in SCALES.items():
                deviation = deviation_of(errors.means[:, -1], errors.variances[:, -1])
                relative = np.abs(errors.means - errors.objects)[:, -1] / deviation
                quantile = conformal_quantile(relative)
                widths = quantile * deviation_of(mean, variance)
                counts = list(map(CountInterval, mean.tolist(), widths.tolist()))
                error = np.abs([count.number for count in counts] - truth).mean()
                rows[scale].append([error, _covered(counts, truth), _width(counts, truth)])
        for scale, values in rows.items():
            error, covered, width = np.mean(values, 0)
            print(f"| {name} | {scale} | {error:.2f} | {covered:.1%} | {width:.1f} |")


def print_table(names: Sequence[str], results: Sequence[dict[str, NDArray]]) -> None:
    """Print the means, and with several results the standard deviations."""
    print("| | " + " | ".join(results[0]) + " |\n|---|" + "---|" * len(results[0]))
    for column, name in enumerate([*names, "total"]):
        cells = []
        for what in results[0]:
            values = np.array([result[what][column] for result in results])
            if np.isnan(values).any():
                cells.append("-")
                continue
            percent = what in ("covered", "sums")
            factor, digits, unit = (100, 0, " %") if percent else (1, 2, "")
            spread = f" ± {factor * values.std():.{digits}f}" if len(values) > 1 else ""
            cells.append(f"{factor * values.mean():.{digits}f}{spread}{unit}")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("run", type=Path, help="folder of a training run")
    add("--data.root", dest="root", help="folder of the data, if it moved since training")
    add("--test", required=True, help="annotations of the test images, relative to the root")
    add("--test-images", help="their folder, if it is not that of the validation images")
    add("--divisions", type=int, default=20, help="number of random divisions (%(default)s)")
    add("--variants", action="store_true", help="compare other maps and widths, too")
    options = parser.parse_args()
    validation, test = read_samples(options.run, options)
    names = Detector.load(options.run / "best.ckpt", device="cpu").class_names
    print(f"calibrated on {len(validation)} validation images, {len(test)} test images\n")
    print_table(names, [measure(validation, test, names)])
    samples, rng = np.array([*validation, *test], dtype=object), np.random.default_rng(0)
    orders = [rng.permutation(len(samples)) for _ in range(options.divisions)]
    half = len(samples) // 2
    divisions = [(list(samples[o[:half]]), list(samples[o[half:]])) for o in orders]
    print(f"\n{options.divisions} random divisions of these images into halves\n")
    print_table(names, [measure(*division, names) for division in divisions])
    if options.variants:
        print()
        compare_variants(divisions)


if __name__ == "__main__":
    run_and_exit(main)
