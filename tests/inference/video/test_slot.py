import threading

import pytest

from centernet.inference.video.slot import Gate, Slot


def test_an_empty_slot_gives_nothing():
    slot = Slot()
    assert slot.take(0) is None and not slot.finished and slot.dropped == 0
    slot.close()
    assert slot.take() is None and slot.finished


def test_only_the_newest_item_is_kept():
    slot = Slot()
    for item in (1, 2, 3):
        slot.put(item)
    assert slot.take() == 3 and slot.take(0) is None and slot.dropped == 2
    slot.put(4)
    slot.clear()
    assert slot.take(0) is None and slot.dropped == 3


def test_the_last_item_can_be_taken_after_the_end():
    slot = Slot()
    slot.put(1)
    slot.close()
    slot.put(2)
    assert not slot.finished and slot.take() == 1 and slot.finished and slot.dropped == 1


@pytest.mark.parametrize("end", ["put", "close"])
def test_take_waits_in_another_thread(end):
    slot, taken = Slot(), []
    thread = threading.Thread(target=lambda: taken.append(slot.take()))
    thread.start()
    slot.put("item") if end == "put" else slot.close()
    thread.join(5)
    assert taken == ["item" if end == "put" else None]


def test_a_closed_gate_lets_pass_once_per_permit():
    gate, passed = Gate(), threading.Semaphore(0)
    gate.wait()  # it is open
    gate.set_open(False)

    def pass_thrice():
        for _ in range(3):
            gate.wait()
            passed.release()

    thread = threading.Thread(target=pass_thrice, daemon=True)
    thread.start()
    gate.permit()
    assert passed.acquire(timeout=5) and not passed.acquire(timeout=0.05)
    gate.set_open(True)
    thread.join(5)
    assert not thread.is_alive()
