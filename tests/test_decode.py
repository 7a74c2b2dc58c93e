from pathlib import Path

import numpy as np
import pytest
import torch

from centernet import decode as module
from centernet.decode import decode

GOLDEN = np.load(Path(__file__).parent / "golden" / "decode.npz")


def maps(heatmap):
    batch, _, rows, columns = heatmap.shape
    zeros = torch.zeros(batch, 2, rows, columns)
    return {"heatmap": heatmap, "size": zeros, "offset": zeros.clone()}


def test_equals_the_release():
    outputs = {k: torch.tensor(GOLDEN[f"case0_{n}"]) for k, n in
               (("heatmap", "logits"), ("size", "size"), ("offset", "offset"))}  # fmt: skip
    expected = GOLDEN["case0_detections"]
    for image, found in enumerate(decode(outputs, top_k=int(GOLDEN["case0_k"]))):
        assert np.allclose(found["boxes"] / 4, expected[image, :, :4], atol=1e-5)
        assert np.allclose(found["scores"], expected[image, :, 4], atol=1e-7)
        assert np.array_equal(found["labels"], expected[image, :, 5])


def test_one_peak_by_hand():
    outputs = maps(torch.full((1, 2, 4, 6), -10.0))
    outputs["heatmap"][0, 1, 2, 3] = 0.0
    outputs["size"][0, :, 2, 3] = torch.tensor([2.0, 1.0])
    outputs["offset"][0, :, 2, 3] = torch.tensor([0.5, 0.25])
    (found,) = decode(outputs, top_k=5)
    # center (3.5, 2.25) cells, size 2x1, times 4
    assert found["boxes"][0].tolist() == [10, 7, 18, 11]
    assert found["scores"][0] == 0.5 and found["labels"][0] == 1


def test_without_offset_the_center_is_the_middle_of_the_cell():
    outputs = maps(torch.zeros(1, 1, 1, 1))
    del outputs["offset"]
    assert decode(outputs)[0]["boxes"].tolist() == [[2, 2, 2, 2]]


def test_sides_are_counted_from_the_middle_of_the_cell():
    outputs = maps(torch.full((1, 2, 4, 6), -10.0))
    outputs["heatmap"][0, 0, 2, 3] = 0.0
    outputs = {"heatmap": outputs["heatmap"], "sides": torch.zeros(1, 4, 4, 6)}
    outputs["sides"][0, :, 2, 3] = torch.tensor([1.0, 2.0, 3.0, 0.5])
    (found,) = decode(outputs, top_k=1)
    # from (3.5, 2.5) cells: x 2.5 to 6.5, y 0.5 to 3, times 4
    assert found["boxes"].tolist() == [[10, 2, 26, 12]]


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 1, 1, 9), (2, 3, 7, 5), (3, 5, 16, 12)])
@pytest.mark.parametrize("top_k", [1, 7, 100])
def test_both_ways_to_find_peaks_agree(shape, top_k):
    heatmap = torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape) + top_k))
    count = min(top_k, heatmap[0].numel())
    by_row = module._peaks_by_row(heatmap, count)
    everywhere = module._peaks_by_pooling(heatmap, count)
    assert torch.equal(by_row[0], everywhere[0])
    real = by_row[0] > -torch.inf
    assert torch.equal(by_row[1][real], everywhere[1][real])


def test_ties_are_all_peaks():
    (found,) = decode(maps(torch.zeros(1, 2, 3, 4)), top_k=100)
    assert len(found["scores"]) == 24 and (found["scores"] == 0.5).all()


def test_fewer_peaks_than_asked_for_are_filled_with_score_zero():
    outputs = maps(torch.arange(12.0).reshape(1, 1, 3, 4))
    (found,) = decode(outputs, top_k=5)
    assert found["scores"].shape == (5,)
    assert found["scores"][0] == torch.tensor(11.0).sigmoid() and not found["scores"][1:].any()


def test_best_first_and_float32_from_half_precision():
    (found,) = decode(maps(torch.randn(1, 3, 9, 9).bfloat16()), top_k=20)
    assert found["scores"].dtype == torch.float32 and found["boxes"].dtype == torch.float32
    assert (found["scores"].diff() <= 0).all()


def test_not_a_number_does_not_crash():
    assert len(decode(maps(torch.full((1, 1, 4, 4), torch.nan)), top_k=3)[0]["scores"]) == 3


def test_input_is_left_as_it_was():
    outputs = maps(torch.randn(1, 1, 5, 5))
    before = outputs["heatmap"].clone()
    decode(outputs)
    assert torch.equal(outputs["heatmap"], before)
