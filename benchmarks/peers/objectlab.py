"""Label errors by ObjectLab of cleanlab: objectlab.py CROSS_VALIDATION OUTPUT.json.

Runs in an environment that has cleanlab. Reads annotations.json and detections.json of a
cross-validation, and writes one ranking for each kind of error and threshold, the worst first.
"""

import json
import sys
from pathlib import Path

import numpy as np
from cleanlab.object_detection import rank

LOW = (0.05, 0.1, 0.2, 0.3, 0.5)
HIGH = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.95)


def corners(box):
    x, y, w, h = box
    return [x, y, x + w, y + h]


def read(folder):
    truth = json.loads((folder / "annotations.json").read_text())
    found = json.loads((folder / "detections.json").read_text())
    label = {c: n for n, c in enumerate(sorted(c["id"] for c in truth["categories"]))}
    index = {image["id"]: n for n, image in enumerate(truth["images"])}
    labels = [{"bboxes": [], "labels": []} for _ in index]
    predictions = [[[] for _ in label] for _ in index]
    for entry in truth["annotations"]:
        own = labels[index[entry["image_id"]]]
        own["bboxes"].append(corners(entry["bbox"]))
        own["labels"].append(label[entry["category_id"]])
    for entry in found:
        own = predictions[index[entry["image_id"]]][label[entry["category_id"]]]
        own.append([*corners(entry["bbox"]), entry["score"]])
    labels = [
        {
            "bboxes": np.array(own["bboxes"], float).reshape(-1, 4),
            "labels": np.array(own["labels"], int),
        }
        for own in labels
    ]
    arrays = []
    for own in predictions:
        array = np.empty(len(own), object)
        for n, boxes in enumerate(own):
            array[n] = np.array(boxes, float).reshape(-1, 5)
        arrays.append(array)
    return [image["file_name"] for image in truth["images"]], labels, arrays


def entries(names, scores, boxes):
    rows = [
        (float(value), name, box.tolist())
        for name, own, places in zip(names, scores, boxes, strict=True)
        for value, box in zip(np.asarray(own, float), places, strict=True)
        if not np.isnan(value)
    ]
    return sorted(rows, key=lambda row: row[0])


def main():
    names, labels, predictions = read(Path(sys.argv[1]))
    # What its three functions compute in common.
    alpha = rank._get_valid_subtype_score_params(None, None, None, None)[0]
    shared = rank._get_valid_inputs_for_compute_scores(alpha, labels, predictions)
    found, annotated = ([one[key] for one in shared] for key in ("pred_bboxes", "lab_bboxes"))
    rankings = []
    for high in HIGH:
        options = {"auxiliary_inputs": shared, "high_probability_threshold": high}
        for kind, function, boxes in (
            ("drop", rank.compute_overlooked_box_scores, found),
            ("relabel", rank.compute_swap_box_scores, annotated),
        ):
            ranking = entries(names, function(**options), boxes)
            rankings.append({"kind": kind, "name": f"high {high}", "entries": ranking})
    for low in LOW:
        scores = rank.compute_badloc_box_scores(
            auxiliary_inputs=shared, low_probability_threshold=low
        )
        ranking = entries(names, scores, annotated)
        rankings.append({"kind": "shift", "name": f"low {low}", "entries": ranking})
    Path(sys.argv[2]).write_text(json.dumps(rankings))


main()
