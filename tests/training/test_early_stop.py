from centernet.training.early_stop import EarlyStop


def feed(stop, *results, first=0):
    return [stop.is_due(result, epoch) for epoch, result in enumerate(results, first)]


def test_it_stops_after_that_number_of_validations_without_a_better_one():
    stop = EarlyStop(2)
    # An equal result is not better; a better one starts the count again.
    assert feed(stop, 0.1, 0.3, 0.3, 0.4, 0.2) == [False] * 5 and not stop.message
    assert feed(stop, 0.4, first=5) == [True]
    assert "0.400" in stop.message and "epoch 4" in stop.message and "2 valid" in stop.message


def test_by_default_it_never_stops():
    assert not any(feed(EarlyStop(), *[0.5] * 100))


def test_a_resumed_run_goes_on_counting():
    before, after = EarlyStop(3), EarlyStop(3)
    feed(before, 0.5, 0.1, 0.1)
    after.load_state_dict(before.state_dict())
    assert feed(after, 0.2, first=3) == [True] and "epoch 1" in after.message
    # After a stop it gets the patience once more.
    before, after = after, EarlyStop(3)
    after.load_state_dict(before.state_dict())
    assert feed(after, 0.1, 0.1, 0.1, first=4) == [False, False, True]
    EarlyStop().load_state_dict({"best": 0.5})  # a checkpoint of an earlier version
