"""Counts of a line against the truth: ``LineCounter``, and supervision's ``LineZone``.

    python benchmarks/zones.py

Each scene has 40 tracks of 40-pixel boxes. Detected centers have Gaussian noise of one pixel.
"""

import numpy as np
import supervision as sv

from centernet.inference.video.line_counter import LineCounter
from centernet.inference.video.zone_counts import Moment, Sighting
from centernet.inference.video.zone_shapes import Line

FPS = 25
LINE = Line("gate", ((100, 200), (300, 200)))
TRACKS, FRAMES, SIZE = 40, 60, 40.0


def straight(start, end, frames=FRAMES):
    """Positions (frames, 2) on the way from a point to another one."""
    return np.linspace(start, end, frames)


def scenes(rng):
    """Name, paths (tracks, frames, 2), fraction of frames without id, and the true in and out."""
    x = rng.uniform(120, 280, TRACKS)
    up = np.stack([straight((a, 320), (a, 80)) for a in x])
    both = np.where(np.arange(TRACKS)[:, None, None] % 2 == 0, up, up[:, ::-1])
    half = TRACKS // 2
    yield "cross, half in each direction", both, 0, 1, (half, half)
    back = np.concatenate([up[:, ::2], up[:, ::-2]], 1)
    yield "cross and return", back, 0, 1, (TRACKS, TRACKS)
    touch = np.stack([np.r_[straight((a, 320), (a, 200), 30), straight((a, 200), (a, 320), 30)]
                      for a in x])  # fmt: skip
    yield "touch the line and turn around", touch, 0, 1, (0, 0)
    stand = np.stack([np.tile((a, 200.0), (FRAMES, 1)) for a in x])
    yield "stand on the line", stand, 0, 1, (0, 0)
    yield "pass beside an end", up + np.array([220, 0]), 0, 1, (0, 0)
    bend = np.r_[straight((250, 300), (340, 200), 30), straight((340, 200), (250, 100), 30)]
    around = np.stack([bend] * TRACKS)
    yield "pass around an end", around, 0, 1, (0, 0)
    angle = np.stack([straight((320, 260), (240, 110)) for _ in x])
    yield "cross at an angle near an end", angle, 0, 1, (TRACKS, 0)
    yield "cross, 30 % of ids are -1", both, 0.3, 1, (half, half)
    yield "cross, no id for 6 frames at the line", both, "line", 1, (half, half)
    yield "cross, every 12th frame is read", both, 0, 12, (half, half)


def ids_of(frame, y, flicker, rng):
    ids = np.arange(1, TRACKS + 1)
    if flicker == "line":
        ids[np.abs(y - 200) < 12] = -1
    else:
        ids[rng.random(TRACKS) < flicker] = -1
    return ids


def count(paths, flicker, step, rng):
    """In and out by LineCounter, and by LineZone with its default anchors and with centers."""
    ours = LineCounter(LINE)
    start, end = (sv.Point(*point) for point in LINE.points)
    peers = [sv.LineZone(start, end), sv.LineZone(start, end, [sv.Position.CENTER])]
    for frame in range(0, paths.shape[1], step):
        points = paths[:, frame] + rng.normal(0, 1, (TRACKS, 2))
        ids = ids_of(frame, paths[:, frame, 1], flicker, rng)
        rows = zip(ids.tolist(), points.tolist(), strict=True)
        seen = [Sighting(i, tuple(p), SIZE, "car") for i, p in rows]
        ours.update(seen, Moment(frame, frame / FPS))
        boxes = np.hstack([points - SIZE / 2, points + SIZE / 2])
        labels = np.zeros(TRACKS, int)
        for peer in peers:
            peer.trigger(sv.Detections(boxes, class_id=labels, tracker_id=ids))
    crossings = ours.count.crossings
    return [
        (crossings["in"]["car"], crossings["out"]["car"]),
        *((peer.in_count, peer.out_count) for peer in peers),
    ]


def main() -> None:
    """Print a table: in / out of each counter."""
    rng = np.random.default_rng(0)
    print("| 40 objects that | truth | here | LineZone | LineZone, center |\n|---|---|---|---|---|")
    for name, paths, flicker, step, truth in scenes(rng):
        found = count(paths, flicker, step, rng)
        cells = [f"{a} / {b}" for a, b in (truth, *found)]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
