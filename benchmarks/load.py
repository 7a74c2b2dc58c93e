"""Load test of `centernet serve`: latency, throughput, batches and memory of a server.

python benchmarks/load.py best.ckpt model.onnx
python benchmarks/load.py best.ckpt --clients 1 8 32 --batch-sizes 1 8 --requests 1000

For each file, batch size and number of clients it starts a server, sends JPEG images of 640x480
over kept connections, each client one after the other, prints a row, and stops the server. Clients
and server share the machine's cores. `lost` counts answers other than 200 and broken connections.
Memory is the resident memory of the server at the start, after 100, 500 and all requests, and
after as many requests again, and after some seconds without requests.
"""

import argparse
import http.client
import io
import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from time import perf_counter

import numpy as np
from PIL import Image

from centernet.cli import run_and_exit
from centernet.errors import InputError, require_at_least

SIZE = (640, 480)
# Requests after which the memory is read.
_MEMORY_AT = (100, 500)
# The server returns freed memory after 5 seconds without images.
_REST_SECONDS = 7
_COLUMNS = (
    "file, engine", "batch size", "clients", "requests", "lost", "requests/s", "p50 ms", "p95 ms",
    "p99 ms", "mean batch", "server CPU ms", "memory MB",
)  # fmt: skip


class Server:
    """A running server.

    Attributes:
        url: its URL.
        about: its metadata.
    """

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self._process, self.url = process, url
        self.about = json.loads(self._get("/metadata"))

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return answer.read().decode()

    def metrics(self) -> dict[str, float]:
        """Its metrics by name with labels."""
        lines = [line for line in self._get("/metrics").splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}

    def megabytes(self) -> float:
        """Its resident memory."""
        return self.metrics()["process_resident_memory_bytes"] / 1e6


@contextmanager
def serving(weights: Path, options: Sequence[str]) -> Iterator[Server]:
    """Start a server at a free port; stop it at the end, and check that it ends well."""
    command = [sys.executable, "-m", "centernet", "serve", "--weights", str(weights), "--port", "0"]
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        if not found:
            raise InputError(f"the server of {weights} does not start, see its message above")
        yield Server(process, found[0])
        process.terminate()
        if process.wait(60):
            raise InputError(f"the server ended with status {process.returncode}")
    finally:
        process.kill()
        process.wait()


@dataclass
class Load:
    """What clients measure.

    Attributes:
        seconds: time of each answered request.
        lost: what happened instead of an answer, for each other request.
        memory: resident memory of the server in MB by number of requests.
    """

    seconds: list[float] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    memory: dict[int, float] = field(default_factory=dict)


def send_all(server: Server, images: Sequence[bytes], clients: int, requests: int) -> Load:
    """Send requests from several threads, each over a connection of its own."""
    load, numbers, lock = Load(), iter(range(requests)), threading.Lock()
    host = server.url.removeprefix("http://")

    def run() -> None:
        connection = http.client.HTTPConnection(host, timeout=120)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            if number in _MEMORY_AT:
                load.memory[number] = server.megabytes()
            start = perf_counter()
            try:
                headers = {"Content-Type": "image/jpeg"}
                connection.request("POST", "/detect", images[number % len(images)], headers)
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    load.seconds.append(perf_counter() - start)
                else:
                    load.lost.append(str(answer.status))
            except (OSError, http.client.HTTPException) as error:
                load.lost.append(type(error).__name__)
                connection.close()

    threads = [threading.Thread(target=run) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return load


def measure(weights: Path, images: Sequence[bytes], clients: int, requests: int, batch: int) -> str:
    """Measure a server; returns the row of the table."""
    with serving(weights, ["--batch-size", str(batch)]) as server:
        memory = [server.megabytes()]
        before, start = server.metrics(), perf_counter()
        load = send_all(server, images, clients, requests)
        seconds, after = perf_counter() - start, server.metrics()
        memory += [load.memory[at] for at in sorted(load.memory)] + [server.megabytes()]
        again = send_all(server, images, clients, requests)
        memory.append(server.megabytes())
        time.sleep(_REST_SECONDS)
        memory.append(server.megabytes())

    def added(name: str) -> float:
        return after[name] - before[name]

    cuts = quantiles(load.seconds, n=100, method="inclusive")
    lost = load.lost + again.lost
    engine = f"{server.about['engine']}, {server.about['device']}"
    cells = [
        f"`{weights.name}`, {engine}",
        batch,
        clients,
        f"2 x {requests}",
        f"{len(lost)} {' '.join(sorted(set(lost)))}".strip(),
        f"{len(load.seconds) / seconds:.1f}",
        *(f"{1000 * cuts[percent - 1]:.0f}" for percent in (50, 95, 99)),
        f"{added('centernet_batch_size_sum') / added('centernet_batch_size_count'):.1f}",
        f"{1000 * added('process_cpu_seconds_total') / requests:.0f}",
        " ".join(f"{megabytes:.0f}" for megabytes in memory),
    ]
    return f"| {' | '.join(map(str, cells))} |"


def read_images(folder: Path | None) -> list[bytes]:
    """JPEG files of 640x480: the images of a folder, scaled, or generated ones.

    Raises:
        InputError: the folder has no images.
    """
    if folder is None:
        noise = np.random.default_rng(0).integers(0, 256, (16, 12, 16, 3), np.uint8)
        pictures = [Image.fromarray(one) for one in noise]
    else:
        files = [
            path for path in sorted(folder.iterdir()) if path.suffix.lower() in (".jpg", ".png")
        ]
        if not files:
            raise InputError(f"no .jpg or .png images in {folder}")
        pictures = [Image.open(path).convert("RGB") for path in files[:100]]
    encoded = []
    for picture in pictures:
        file = io.BytesIO()
        picture.resize(SIZE, Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
        encoded.append(file.getvalue())
    return encoded


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("weights", type=Path, nargs="+", help="checkpoints and exported models")
    add("--requests", type=int, default=1000, help="requests of a row, sent twice (%(default)s)")
    add("--clients", type=int, nargs="+", default=[32], help="clients (%(default)s)")
    add("--batch-sizes", type=int, nargs="+", default=[1, 8], help="of the server (%(default)s)")
    add("--images", type=Path, help="folder of images; by default they are generated")
    options = parser.parse_args()
    require_at_least(2, requests=options.requests)
    require_at_least(1, clients=min(options.clients), batch_sizes=min(options.batch_sizes))
    images = read_images(options.images)
    size = sum(map(len, images)) / len(images) / 1000
    print(f"{len(images)} images of {SIZE[0]}x{SIZE[1]}, {size:.0f} KB; {os.cpu_count()} cores\n")
    print(f"| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}", flush=True)
    for weights in options.weights:
        for clients in options.clients:
            for batch in options.batch_sizes:
                print(measure(weights, images, clients, options.requests, batch), flush=True)


if __name__ == "__main__":
    run_and_exit(main)
