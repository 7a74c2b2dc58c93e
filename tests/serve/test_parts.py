"""The parts of the server: limits, budgets, batches, checks of images."""

import argparse
import asyncio
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from centernet.errors import InputError
from centernet.serve import batcher as batcher_module
from centernet.serve.batcher import Batcher
from centernet.serve.bodies import Upload
from centernet.serve.budget import Budget
from centernet.serve.limits import Limits, format_count, parse_count
from centernet.serve.middleware import _PATHS
from centernet.serve.service import check_image

HALF, LOW = np.array([0.5]), np.array([0.1])


@pytest.mark.parametrize(
    ("text", "number"),
    [("20MB", 20_000_000), ("1.5 kb", 1500), ("7", 7), ("2G", 2_000_000_000), ("0", 0)],
)
def test_counts_with_units(text, number):
    assert parse_count(text) == number
    assert parse_count(format_count(number)) == number


@pytest.mark.parametrize("text", ["", "MB", "-1", "1e3", "20 TB", "1,000", "²"])
def test_wrong_counts(text):
    with pytest.raises(argparse.ArgumentTypeError, match="20MB"):
        parse_count(text)


@pytest.mark.parametrize(
    "wrong", [{"max_bytes": 0}, {"queue": 0}, {"timeout": 0}, {"timeout": float("inf")}]
)
def test_limits_are_positive(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Limits(**wrong)


def test_a_budget_lets_requests_wait_in_turn():
    order = []

    async def use(budget, name, units):
        async with budget.reserved(units):
            order.append(name)
            await asyncio.sleep(0.001)

    async def main():
        budget = Budget(10)
        await asyncio.gather(*(use(budget, n, u) for n, u in [("a", 8), ("b", 9), ("c", 1)]))
        await use(budget, "more than everything", 99)
        assert budget.take(10) and not budget.take(1)

    asyncio.run(main())
    assert order == ["a", "b", "c", "more than everything"]


def test_a_budget_gets_back_what_canceled_tasks_reserved():
    async def main():
        budget = Budget(10)

        async def use(units):
            async with budget.reserved(units):
                await asyncio.sleep(60)

        tasks = [asyncio.ensure_future(use(6)) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()  # waits
        await asyncio.sleep(0)
        tasks[0].cancel()  # its turn goes to the third, which is canceled at the same moment
        await asyncio.sleep(0)
        tasks[2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert budget.take(10)

    asyncio.run(main())


def test_a_lease_grows_as_far_as_the_budget():
    budget = Budget(10)
    with budget.lease() as first, budget.lease() as second:
        assert first.grow(6) and not second.grow(5) and second.grow(4)
    assert budget.take(10)


class Gate:
    """A detector that waits until it is opened; it fails for images of value 13."""

    def __init__(self):
        self.entered, self.open, self.batches = threading.Event(), threading.Event(), []

    def predict_batch(self, images, batch_size, *, threshold, heatmaps):
        self.entered.set()
        assert self.open.wait(20)
        self.batches.append([int(image[0]) for image in images])
        if any(image[0] == 13 for image in images):
            raise ValueError("thirteen")
        return [SimpleNamespace(value=int(image[0]) + threshold[0]) for image in images]


def test_a_batch_takes_all_that_wait():
    gate, sizes = Gate(), []
    batcher = Batcher(gate, 4, on_batch=sizes.append)
    first = batcher.submit(np.array([0]), HALF)
    gate.entered.wait(20)
    values = [1, 2, 3, 13, 5, 6]
    thresholds = [HALF, HALF, LOW, HALF, HALF, HALF]
    jobs = [batcher.submit(np.array([v]), t) for v, t in zip(values, thresholds, strict=True)]
    jobs[4].cancel()
    assert batcher.waiting == 6 and batcher.alive
    gate.open.set()
    batcher.close()
    assert first.result()[0].value == 0.5
    found = [jobs[i].result()[0].value for i in (0, 1, 2, 5)]
    assert found == [1.5, 2.5, 3.1, 6.5]
    with pytest.raises(ValueError, match="thirteen"):
        jobs[3].result()
    # 1, 2 and 13 have one threshold and fail together, so each runs alone; 5 was canceled.
    assert gate.batches == [[0], [1, 2, 13], [1], [2], [13], [3], [6]]
    assert sizes == [1, 1, 1, 1, 1] and not batcher.alive
    with pytest.raises(RuntimeError, match="ended"):
        batcher.submit(np.array([0]), HALF)


def test_a_batch_waits_for_images_that_are_being_decoded():
    gate = Gate()
    gate.open.set()
    batcher = Batcher(gate, 8)
    with batcher.preparing():
        first = batcher.submit(np.array([1]), HALF)
        second = batcher.submit(np.array([2]), HALF)
    first.result(20), second.result(20)
    batcher.close()
    assert gate.batches == [[1, 2]]


def test_freed_memory_is_returned_once_after_a_while_without_images(monkeypatch):
    calls = []
    monkeypatch.setattr(batcher_module, "_IDLE_SECONDS", 0.05)
    monkeypatch.setattr(batcher_module, "return_freed_memory", lambda: calls.append(1))
    gate = Gate()
    gate.open.set()
    batcher = Batcher(gate, 8)
    time.sleep(0.2)
    assert not calls
    for rounds in (1, 2):
        batcher.submit(np.array([1]), HALF).result(20)
        time.sleep(0.3)
        assert len(calls) == rounds
    batcher.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_waiting_images_fail_if_the_thread_ends():
    class Broken(Gate):
        def predict_batch(self, *arguments, **options):
            super().predict_batch(*arguments, **options)
            raise SystemExit

    gate = Broken()
    batcher = Batcher(gate, 1)
    jobs = [batcher.submit(np.array([i]), HALF) for i in range(2)]
    gate.open.set()
    with pytest.raises(RuntimeError, match="ended"):
        jobs[1].result(20)
    batcher.close()
    assert not batcher.alive


def test_images_are_checked_by_their_header():
    golden = Path(__file__).parents[1] / "golden" / "bccd" / "images"
    data = next(iter(sorted(golden.iterdir()))).read_bytes()
    assert check_image(Upload("a.jpg", data), 320 * 240) == 320 * 240
    with pytest.raises(InputError, match=r"'a\.jpg' has 320x240 = 76,800"):
        check_image(Upload("a.jpg", data), 320 * 240 - 1)


def test_every_path_has_a_counter():
    from fakes import spot_detector

    from centernet.serve.app import make_app
    from centernet.serve.page import DetectorPage
    from centernet.serve.service import Service

    detector = spot_detector()
    service = Service(detector, title="", limits=Limits(), threshold=0.3, batch_size=1)
    app = make_app(service, DetectorPage(Path("a.onnx"), detector, ""))
    assert {route.path for route in app.routes} == _PATHS
    service.close()


def test_a_canceled_request_lets_the_next_continue():
    async def main() -> None:
        budget, started = Budget(100), []

        async def use(name: str, units: int) -> None:
            async with budget.reserved(units):
                started.append(name)
                await asyncio.sleep(60)

        tasks = []
        for name, units in (("a", 50), ("b", 80), ("c", 40)):
            tasks.append(asyncio.create_task(use(name, units)))
            await asyncio.sleep(0)
        assert started == ["a"]
        tasks[1].cancel()
        await asyncio.sleep(0.01)
        assert started == ["a", "c"]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert budget.take(100)

    asyncio.run(main())
