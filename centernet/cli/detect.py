"""``centernet detect``."""

import argparse
from pathlib import Path

from centernet.cli.options import add_engine, add_inference_options, add_threshold, add_weights
from centernet.inference.label_options import DEFAULT_LABELS, LABELS, LABELS_HELP
from centernet.inference.video.keys import format_keys
from centernet.installation import install_command

HELP = "detect objects in images, videos and camera pictures"
DESCRIPTION = """\
Detect objects in images, videos or camera pictures, and draw them.

  centernet detect photo.jpg --weights runs/custom/best.ckpt
  centernet detect 'photos/**/*.jpg' --weights runs/custom/best.ckpt --heatmaps --output out
  centernet detect walk.mp4 --weights runs/custom/best.ckpt --threshold 0.5 --json
  centernet detect walk.mp4 --weights runs/custom/best.ckpt --track
  centernet detect photos/ --weights runs/custom/best.ckpt --csv
  centernet detect cells/ --weights runs/custom/best.ckpt --count
  centernet detect road.mp4 --weights runs/custom/best.ckpt --line gate=100,240,540,240
  centernet detect shop.mp4 --weights runs/custom/best.ckpt --zone zones.json
  centernet detect https://host/photo.jpg --weights runs/custom/best.ckpt
  centernet detect 0 --weights runs/custom/best.ckpt --show
  centernet detect rtsp://host/stream --weights runs/custom/best.ckpt --json
  centernet detect walk.mp4 --weights runs/custom/best.ckpt --audio
"""
EPILOG = f"""\
cameras and streams: the newest frame is processed, frames that arrive meanwhile are dropped, and
NAME.mp4 plays at the speed of the camera; with --show a video is recorded on request (key r)

keys in the window of --show:
{format_keys()}

files in the output folder: NAME.jpg or NAME.mp4 with the detections; with --heatmaps also
NAME.heatmap.jpg (or .mp4), NAME.heatmap-CLASS.jpg for each class with a peak above its threshold,
and NAME.npz; detections.jsonl with --json, detections.csv with --csv, and counts.csv if the weights
have a calibration of counts, which fit and `centernet report RUN` write; NAME.mot.txt with --track;
line_counts.csv, zone_counts.csv and, of videos, events.csv with --line and --zone

exit status: 0; 1 if an image failed, a video is truncated, or the input is wrong; 2 for a wrong
option; 130 after Ctrl-C and 143 after SIGTERM, which keep the results so far
"""
# Options that are names of outputs, see centernet.inference.outputs.OUTPUTS.
_EXTRAS = {
    "heatmaps": "save overlays of the heatmaps, and of images NAME.npz with the numbers",
    "json": "save detections.jsonl, one JSON object per image or frame",
    "csv": "save detections.csv, one row per detection",
    "show": "show each picture in a window, see the keys below; q ends",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    add = parser.add_argument
    add(
        "source",
        nargs="+",
        metavar="SOURCE",
        help="images, folders and globs; or a video, a camera number, or the URL of an "
        "image, video or stream; an existing file or folder has precedence over a camera number "
        "(write 00 for camera 0 then)",
    )
    add_weights(parser)
    add("--output", type=Path, default="runs/detect", help="folder of the results (%(default)s)")
    add_threshold(parser, "minimum score of a detection")
    for name, text in _EXTRAS.items():
        add(f"--{name}", dest="extras", action="append_const", const=name, help=text)
    add(
        "--count",
        action="store_true",
        help="write the number of objects with its 90 %% interval onto the pictures, and print it; "
        "it also counts the likely objects among the detections below the threshold",
    )
    add("--labels", choices=LABELS, default=DEFAULT_LABELS, help=f"{LABELS_HELP} (%(default)s)")
    add(
        "--batch-size",
        type=int,
        help="images or frames per batch (8; 1 for cameras, with --show, and for inputs of the "
        "images' own size)",
    )
    add_engine(parser)
    add_inference_options(parser)
    _add_track_option(parser.add_argument_group("tracking"))
    _add_live_options(parser.add_argument_group("live"))
    _add_zone_options(parser.add_argument_group("lines and zones"))


def _add_track_option(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--track",
        action="store_true",
        help="in a video, camera or stream, give each object an id that it keeps from frame to "
        "frame, draw where it came from, and save NAME.mot.txt; needs the extra: "
        f"{install_command('track')}",
    )


def _add_live_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--live",
        action="store_true",
        help="process a video file as a camera: frames come at the speed of the video, and are "
        "dropped while the network is busy; cameras and streams always are",
    )
    group.add_argument(
        "--audio",
        action="store_true",
        help="copy the audio of a video file into NAME.mp4",
    )


def _add_zone_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--line",
        action="append",
        metavar="[NAME=]X1,Y1,X2,Y2",
        help="in a video, count the objects that cross this line, by class and direction; an arrow "
        "in the pictures shows the direction in, which leads from the right to the left of the way "
        "from x1,y1 to x2,y2; pixels, or fractions of the picture if none is above 1; repeatable",
    )
    group.add_argument(
        "--zone",
        action="append",
        metavar="FILE.json",
        help="count the objects in the zones of this file, and at its lines; the page of "
        "`centernet export WEIGHTS OUT.html` draws and saves such a file; repeatable",
    )


def run(options: argparse.Namespace) -> int:
    """Detect objects; returns the exit status."""
    from centernet.inference.detect import detect

    return detect(
        options.source,
        options.weights,
        output=options.output,
        threshold=options.threshold,
        extras=options.extras or (),
        labels=options.labels,
        count=options.count,
        track=options.track,
        live=options.live,
        audio=options.audio,
        lines=options.line or (),
        zones=options.zone or (),
        batch_size=options.batch_size,
        device=options.device,
        resolution=options.resolution,
        flip=options.flip,
        scales=options.scales,
        top_k=options.top_k,
        nms=options.nms,
        tile=options.tile,
        precision=options.precision,
        engine=options.engine,
    )
