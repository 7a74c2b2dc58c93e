"""``centernet serve``."""

import argparse
import os
from pathlib import Path

from centernet.cli.options import add_engine, add_inference_options, add_threshold, add_weights
from centernet.errors import InputError
from centernet.serve.limits import DEFAULT_BATCH_SIZE, Limits, format_count, parse_count

HELP = "answer requests for detections over HTTP"
DESCRIPTION = """\
Serve detections over HTTP, for programs and browsers.

  centernet serve --weights runs/custom/best.ckpt
  centernet serve --weights model.onnx --port 9000 --max-bytes 50MB
  CENTERNET_TOKEN=secret centernet serve --weights model.onnx --host 0.0.0.0

  curl -F image=@photo.jpg 'http://127.0.0.1:8000/detect?threshold=0.4'

Paths: POST /detect; GET /health, /metadata, /metrics (Prometheus), /docs and /openapi.json; and at
/ a page that detects in the browser. Images of different requests share a pass of the network.
"""
EPILOG = """\
Ctrl-C and SIGTERM finish the requests in work, for at most --timeout seconds; a second one stops at
once. The server speaks HTTP: for HTTPS, run it behind nginx or Caddy, see docs/serving.md.

exit status: 0 after Ctrl-C or SIGTERM; 1 if the weights cannot be loaded or the port is in use; 2
for a wrong option; 130 if a second Ctrl-C left requests without an answer
"""
EXTRA = "serve"
_TOKEN = "CENTERNET_TOKEN"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    add = parser.add_argument
    add_weights(parser)
    add(
        "--host",
        default="127.0.0.1",
        help="address to listen at; 0.0.0.0 for all of this machine (%(default)s)",
    )
    add("--port", type=int, default=8000, help="port; 0 takes a free one (%(default)s)")
    add_threshold(parser, "minimum score of a detection in requests that give none")
    add(
        "--batch-size",
        type=int,
        default=DEFAULT_BATCH_SIZE,
        help="maximum number of images per pass of the network, of one or several requests "
        "(%(default)s)",
    )
    add_engine(parser)
    _add_access(parser)
    _add_limits(parser)
    add_inference_options(parser)


def _add_access(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("access").add_argument
    add(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="requests must send the token in this file as Authorization: Bearer TOKEN; by default "
        f"that of the environment variable {_TOKEN}, if it is set",
    )
    add(
        "--cors",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="allow web pages of this origin, as https://example.com, to use the server; may be "
        "repeated; by default none",
    )
    add("--access-log", action="store_true", help="print a line for each request")


def _add_limits(parser: argparse.ArgumentParser) -> None:
    limits = Limits()
    add = parser.add_argument_group("limits").add_argument
    add(
        "--max-bytes",
        type=parse_count,
        default=limits.max_bytes,
        metavar="SIZE",
        help=f"largest body of a request ({format_count(limits.max_bytes)}B)",
    )
    add(
        "--max-pixels",
        type=parse_count,
        default=limits.max_pixels,
        metavar="NUMBER",
        help=f"largest image in pixels ({format_count(limits.max_pixels)})",
    )
    add(
        "--max-images",
        type=int,
        default=limits.max_images,
        metavar="NUMBER",
        help="images per request (%(default)s)",
    )
    add(
        "--timeout",
        type=float,
        default=limits.timeout,
        metavar="SECONDS",
        help="seconds to receive a body, and then to answer (%(default)g)",
    )
    add(
        "--queue",
        type=int,
        default=limits.queue,
        metavar="NUMBER",
        help="requests in work or waiting; further ones are refused with status 503 (%(default)s)",
    )


def run(options: argparse.Namespace) -> int:
    """Serve; returns the exit status."""
    values = vars(options)
    token = _token(values.pop("token_file"))
    names = ("max_bytes", "max_pixels", "max_images", "timeout", "queue")
    limits = Limits(**{name: values.pop(name) for name in names})
    from centernet.serve.server import serve

    return serve(limits=limits, token=token, origins=values.pop("cors"), **values)


def _token(file: Path | None) -> str | None:
    """The token of a file or of the environment; None for no token.

    Raises:
        InputError: the file cannot be read, or the token is empty.
    """
    where, text = _TOKEN, os.environ.get(_TOKEN)
    if file is not None:
        from centernet.files import read_text

        where, text = str(file), read_text(file, most=10_000)
    if text is None:
        return None
    token = text.strip()
    if not token or not token.isprintable() or " " in token:
        raise InputError(f"{where} must hold a token: one word without spaces")
    return token
