"""Compare trackers, thresholds and frame rates on videos with known ids: tables in Markdown.

python benchmarks/tracking.py --write-shapes data/moving
centernet fit --config configs/custom.yaml --data.root data/moving --data.image_size 320x256 \\
    --model.backbone resnet10t --model.pretrained false --trainer.max_epochs 7
python benchmarks/tracking.py --weights runs/custom/best.ckpt
python benchmarks/tracking.py --mot MOT15/TUD-Campus MOT15/TUD-Stadtmitte

The videos of the third command are drawn: 12 shapes that cross and pass behind pillars, in pairs of
the same class and color. The first command writes images of other scenes, for the training of the
detector. The last command reads sequences of the MOT Challenge with their public detections
(gt/gt.txt, det/det.txt); the score threshold of each has the best F1 score on the others.

MOTA, IDF1, HOTA (in percent), identity switches (IDSW) and fragments (Frag) are those of the
package trackers, over all videos together; "tracks" is the number of ids. The rows:

- defaults: a tracker as the package configures it, with the detections that reach the threshold.
- derived: on the scores of `detect --track`, with high and activation threshold 0.5.
- at threshold: the same without the detections below the threshold.
- detect --track: all options of the command.
- per class: one such tracker for each class.
- every third frame: with the times of the frames; "counted" without them.
"""

import argparse
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import supervision as sv
from numpy.typing import NDArray
from trackers import BoTSORTTracker, ByteTrackTracker, CBIoUTracker, OCSORTTracker, SORTTracker
from trackers.eval import evaluate_mot_sequences
from tracking_clips import Clip, mot_clips, shape_clips, write_shapes

from centernet import Detector
from centernet.cli import run_and_exit
from centernet.geometry import box_iou
from centernet.inference.video.score_scale import AT_THRESHOLD
from centernet.inference.video.tracking import TrackUpdater, make_tracker

_SKIPPED = 3  # one of so many frames is used
TRACKERS: Mapping[str, Callable[..., Any]] = {
    "SORT": SORTTracker,
    "ByteTrack": ByteTrackTracker,
    "OC-SORT": OCSORTTracker,
    "BoT-SORT": partial(BoTSORTTracker, enable_cmc=False),
    "C-BIoU": CBIoUTracker,
}
_ACTIVATION = {"track_activation_threshold": AT_THRESHOLD}
_HIGH = {"high_conf_det_threshold": AT_THRESHOLD}
_DERIVED = {name: _ACTIVATION | _HIGH for name in TRACKERS} | {
    "SORT": _ACTIVATION,
    "OC-SORT": _HIGH,
}
_Track = Callable[["Clip"], list[sv.Detections]]


def track_with_defaults(clip: Clip, tracker: Callable[..., Any]) -> list[sv.Detections]:
    """Give a tracker the detections above the threshold, as its documentation shows it."""
    tracker = tracker(frame_rate=clip.fps)
    tracked = []
    for found in clip.found:
        assert found.confidence is not None and found.class_id is not None
        kept = found[found.confidence >= clip.thresholds[found.class_id]]
        tracked.append(tracker.update(replace(kept, tracker_id=None)))
    return tracked


def track(
    clip: Clip,
    tracker: Callable[..., Any] | None = None,
    *,
    step: int = 1,
    high_only: bool = False,
    counted: bool = False,
    **options: Any,
) -> list[sv.Detections]:
    """Track as ``detect --track`` does.

    Args:
        clip: the video.
        tracker: another tracker than that of :func:`make_tracker`.
        step: one of so many frames was kept.
        high_only: ignore detections below their threshold.
        counted: as if the clip had its frame rate, without the times of the frames.
        options: of the tracker.
    """
    fps = clip.fps / step if counted else clip.fps
    made = make_tracker(fps) if tracker is None else tracker(frame_rate=fps, **options)
    update = TrackUpdater(clip.thresholds, _names(clip), fps, made)
    tracked = []
    for number, found in enumerate(clip.found):
        if high_only:
            assert found.confidence is not None and found.class_id is not None
            found = found[found.confidence >= clip.thresholds[found.class_id]]
        tracked.append(update(found, number / fps if counted else number * step / fps))
    return tracked


def _names(clip: Clip) -> tuple[str, ...]:
    return tuple(map(str, range(len(clip.thresholds))))


def evaluate(clips: Sequence[Clip], results: Sequence[list[sv.Detections]]) -> dict[str, float]:
    """The metrics over all clips together."""
    with tempfile.TemporaryDirectory() as scratch:
        for part in ("gt", "results"):
            (Path(scratch) / part).mkdir()
        for clip, tracked in zip(clips, results, strict=True):
            _write(Path(scratch) / "gt" / f"{clip.name}.txt", clip.truth, first=1)
            _write(Path(scratch) / "results" / f"{clip.name}.txt", tracked, first=0)
        found = evaluate_mot_sequences(
            Path(scratch) / "gt", Path(scratch) / "results", metrics=["CLEAR", "HOTA", "Identity"]
        ).aggregate
    assert found.CLEAR and found.HOTA and found.Identity
    return {
        "MOTA": 100 * found.CLEAR.MOTA,
        "IDF1": 100 * found.Identity.IDF1,
        "HOTA": 100 * found.HOTA.HOTA,
        "IDSW": found.CLEAR.IDSW,
        "Frag": found.CLEAR.Frag,
        "tracks": sum(
            len({id for frame in tracked for id in _ids(frame) if id >= 0}) for tracked in results
        ),
    }


def _write(path: Path, frames: Sequence[sv.Detections], first: int) -> None:
    """Write the objects with an id of at least ``first``."""
    lines = []
    for number, frame in enumerate(frames, 1):
        for box, id in zip(frame.xyxy, _ids(frame), strict=True):
            if id >= first:
                x, y, right, bottom = box
                lines.append(f"{number},{id},{x},{y},{right - x},{bottom - y},1,1,1\n")
    path.write_text("".join(lines))


def _count_ids(frames: Sequence[sv.Detections]) -> int:
    return len({id for frame in frames for id in _ids(frame).tolist() if id >= 0})


def _ids(frame: sv.Detections) -> NDArray:
    return np.full(len(frame), -1) if frame.tracker_id is None else frame.tracker_id


def track_by_class(clip: Clip) -> list[sv.Detections]:
    """Track the detections of each class on their own."""
    found = []
    for label in range(len(clip.thresholds)):
        own = [frame[frame.class_id == label] for frame in clip.found]
        tracked = track(replace(clip, found=own))
        for frame in tracked:
            assert frame.tracker_id is not None
            known = frame.tracker_id > 0
            frame.tracker_id = np.where(known, frame.tracker_id * len(clip.thresholds) + label, -1)
        found.append(tracked)
    return [sv.Detections.merge(list(frames)) for frames in zip(*found, strict=True)]


def rows(clips: Sequence[Clip]) -> list[tuple[str, Sequence[Clip], _Track]]:
    """The rows of the table: text, clips, and how they are tracked."""
    table: list[tuple[str, Sequence[Clip], _Track]] = []
    for name, tracker in TRACKERS.items():
        table.append((f"{name}, defaults", clips, partial(track_with_defaults, tracker=tracker)))
    for name, tracker in TRACKERS.items():
        made = partial(tracker, **_DERIVED[name])
        if name not in ("SORT", "OC-SORT"):  # which use no weak detections
            table.append((f"{name}, derived", clips, partial(track, tracker=made)))
        high = partial(track, tracker=made, high_only=True)
        table.append((f"{name}, derived, at threshold", clips, high))
    table.append(("detect --track", clips, track))
    if len(clips[0].thresholds) > 1:
        table.append(("detect --track, per class", clips, track_by_class))
    thirds = [clip.every(_SKIPPED) for clip in clips]
    third = "every third frame"
    for name in ("ByteTrack", "BoT-SORT"):
        made = partial(TRACKERS[name], **_DERIVED[name])
        text = f"{name}, derived, {third}"
        table.append((text, thirds, partial(track, tracker=made, step=_SKIPPED)))
    table.append((f"detect --track, {third}", thirds, partial(track, step=_SKIPPED)))
    counted = partial(track, step=_SKIPPED, counted=True)
    table.append((f"detect --track, {third}, counted", thirds, counted))
    return table


def class_accuracy(clips: Sequence[Clip], *, voted: bool) -> float:
    """The share of the tracked objects, at an IoU of at least 0.5, that have the true class.

    Args:
        clips: the videos.
        voted: take the class of the track instead of that of the detection.
    """
    correct = []
    for clip in clips:
        marked = [
            replace(frame, data=frame.data | {"label": frame.class_id}) for frame in clip.found
        ]
        tracked = track(replace(clip, found=marked))
        for frame, truth in zip(tracked, clip.truth, strict=True):
            iou = box_iou(frame.xyxy[:, None], truth.xyxy[None])
            labels = frame.class_id if voted else frame.data["label"]
            assert labels is not None and truth.class_id is not None
            hit = (_ids(frame) > 0) & (iou.max(1, initial=0) >= 0.5)
            correct += (labels[hit] == truth.class_id[iou[hit].argmax(1)]).tolist()
    return float(np.mean(correct))


def print_table(clips: Sequence[Clip]) -> None:
    """Track and print."""
    objects = sum(_count_ids(clip.truth) for clip in clips)
    frames = sum(len(clip.truth) for clip in clips)
    print(f"{len(clips)} videos, {frames} frames, {objects} true ids\n")
    print("| tracker | MOTA | IDF1 | HOTA | IDSW | Frag | tracks |\n|---|---|---|---|---|---|---|")
    for text, used, tracking in rows(clips):
        results = [tracking(clip) for clip in used]
        numbers = evaluate(used, results)
        cells = [
            f"{value:.1f}" if key.isupper() and key != "IDSW" else f"{value:.0f}"
            for key, value in numbers.items()
        ]
        print(f"| {' | '.join([text, *cells])} |", flush=True)
    if len(clips[0].thresholds) > 1:
        shares = [f"{100 * class_accuracy(clips, voted=voted):.1f} %" for voted in (False, True)]
        print(f"\ntrue class: {shares[0]} of the tracked detections, {shares[1]} with votes")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--weights", type=Path, help="a detector of the drawn shapes")
    what.add_argument("--mot", type=Path, nargs="+", metavar="FOLDER", help="sequences")
    what.add_argument("--write-shapes", type=Path, metavar="FOLDER", help="write training images")
    options = parser.parse_args(argv)
    if options.write_shapes:
        write_shapes(options.write_shapes)
    elif options.mot:
        print_table(mot_clips(options.mot))
    else:
        print_table(shape_clips(Detector.load(options.weights, device="cpu")))
    return 0


if __name__ == "__main__":
    run_and_exit(main)
