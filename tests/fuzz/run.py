"""Damage files of every kind and read them: what is not read is refused in one line, and quickly.

Each case is read in a process with limits of time and memory. Failing files are saved.

  make fuzz
  python tests/fuzz/run.py --files 10000 --seed 0 --kinds png checkpoint
"""

import argparse
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import torch

sys.path.insert(0, str(Path(__file__).parent))
import targets

from centernet.errors import InputError

OUTCOMES = ("ok", "refused", "traceback", "crash", "hang", "executed")
FAILURES = frozenset(OUTCOMES[2:])
_MEMORY = 4 << 30  # bytes that a process may take beside what it starts with
_MOST_SECONDS = 1.0  # of CPU time beside five times that of the valid file
_MOST_WAIT = 60.0  # seconds without an answer
_LONGEST_LINE = 1000


def main() -> int:
    """Fuzz, print a table; 1 if anything failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--files", type=int, default=10_000, help="number of files (%(default)s)")
    add("--seed", type=int, default=0, help="of the damage (%(default)s)")
    add("--kinds", nargs="+", choices=targets.KINDS, default=targets.KINDS, metavar="KIND")
    add("--failures", type=Path, default=Path("runs/fuzz"), help="folder (%(default)s)")
    options = parser.parse_args()
    counts, slowest = fuzz(options.files, options.seed, options.kinds, options.failures)
    print(f"{'kind':<12}" + "".join(f"{name:>11}" for name in OUTCOMES) + f"{'slowest s':>11}")
    for kind, found in counts.items():
        row = "".join(f"{found[name]:>11,}" for name in OUTCOMES)
        print(f"{kind:<12}{row}{slowest[kind]:>11.2f}")
    total = sum(counts.values(), Counter())
    print(f"{'all':<12}" + "".join(f"{total[name]:>11,}" for name in OUTCOMES))
    if failed := sum(total[name] for name in FAILURES):
        print(f"{failed} failed: see {options.failures}")
    return 1 if failed else 0


def fuzz(
    files: int, seed: int, kinds: tuple[str, ...], failures: Path
) -> tuple[dict[str, Counter], dict[str, float]]:
    """Read about so many damaged files; returns outcomes and the most CPU seconds, by kind."""
    shares = {kind: targets.SHARES.get(kind, 1) for kind in kinds}
    counts: dict[str, Counter] = {}
    slowest: dict[str, float] = defaultdict(float)
    for kind, share in shares.items():
        counts[kind] = Counter()
        number, most = 0, max(1, round(files * share / sum(shares.values())))
        while number < most:
            number = _fuzz_in_process(kind, seed, number, most, failures, counts[kind], slowest)
    return counts, slowest


def _fuzz_in_process(
    kind: str, seed: int, start: int, stop: int, failures: Path, counts: Counter, slowest: dict
) -> int:
    """Read cases in one process until all are done or it ends; returns the next case."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        arguments = (theirs, kind, seed, range(start, stop), Path(folder))
        process = context.Process(target=_read_cases, args=arguments, daemon=True)
        process.start()
        theirs.close()
        number = start
        while number < stop:
            try:
                outcome, seconds, detail = ours.recv() if ours.poll(_MOST_WAIT) else ("hang", 0, "")
            except EOFError:
                process.join()
                outcome, seconds, detail = "crash", 0, f"exit status {process.exitcode}"
            if outcome == "baseline":
                continue
            counts[outcome] += 1
            slowest[kind] = max(slowest[kind], seconds)
            if outcome in FAILURES:
                _save(kind, seed, number, failures, f"{outcome} after {seconds:.2f} s\n{detail}")
            number += 1
            if (not detail and outcome == "hang") or outcome == "crash":
                break
        process.kill()
        process.join()
    return number


def _read_cases(answers: Connection, kind: str, seed: int, numbers: range, folder: Path) -> None:
    """Read cases and send (outcome, CPU seconds, detail) of each."""
    # Threads of the parent do not survive the fork, and work handed to them would wait for ever.
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + _MEMORY, used + _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    limit = float("inf")
    for number in (-1, -1, *numbers):
        place = folder / str(number)
        place.mkdir(exist_ok=True)
        path = targets.write_case(kind, seed, number, place)
        start = time.process_time()
        outcome, detail = _outcome(kind, path)
        seconds = time.process_time() - start
        if number < 0:
            assert outcome == "ok", detail
            limit = _MOST_SECONDS + 5 * seconds
            outcome = "baseline"
        elif (place / targets.CRATER).exists():
            outcome = "executed"
        elif seconds > limit and outcome not in FAILURES:
            outcome, detail = "hang", f"limit {limit:.2f} s"
        answers.send((outcome, seconds, detail))
        shutil.rmtree(place)


def _outcome(kind: str, path: Path) -> tuple[str, str]:
    try:
        targets.read_case(kind, path)
    except InputError as error:
        message = str(error)
        if "\n" in message or len(message) > _LONGEST_LINE:
            return "traceback", f"not one short line: {message[:5000]}"
        return "refused", message
    except BaseException:
        return "traceback", traceback.format_exc()
    return "ok", ""


def _save(kind: str, seed: int, number: int, failures: Path, detail: str) -> None:
    folder = failures / f"{kind}-{seed}-{number}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    targets.write_case(kind, seed, number, folder)
    (folder / "error.txt").write_text(detail, errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
