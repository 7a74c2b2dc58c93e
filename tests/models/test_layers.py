import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import deform_conv2d

from centernet.models.layers import DeformConv, _deform_by_sampling, bilinear_kernel, bilinear_up


def trained_layer(dtype=torch.float64):
    torch.manual_seed(0)
    layer = DeformConv(3, 4).to(dtype)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return layer


def test_it_starts_as_half_a_plain_convolution():
    layer, x = DeformConv(3, 4), torch.randn(2, 3, 5, 6)
    assert torch.allclose(layer(x), F.conv2d(x, layer.weight, padding=1) / 2, atol=1e-6)


def test_an_integer_offset_reads_that_pixel():
    layer = DeformConv(1, 1)
    torch.nn.init.zeros_(layer.weight)
    layer.weight.data[0, 0, 1, 1] = 1
    # Tap 4 is the middle one: two rows down, one column to the left, at full weight.
    layer.offset_mask.bias.data[8], layer.offset_mask.bias.data[9] = 2, -1
    layer.offset_mask.bias.data[18 + 4] = 100
    x = torch.arange(25.0).view(1, 1, 5, 5)
    assert layer(x)[0, 0, 1, 2].item() == pytest.approx(x[0, 0, 3, 1].item())
    assert layer(x)[0, 0, 4, 2].item() == 0


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(1, 1), (2, 7), (16, 5)])
def test_sampling_equals_torchvision(size, layout):
    layer, x = trained_layer(), torch.randn(2, 3, *size, dtype=torch.float64)
    x = x.to(memory_format=layout).requires_grad_()
    offset, mask = layer.offset_mask(x).split([18, 9], 1)
    offset = 5 * offset  # far beyond the border too
    values = x, offset.detach().requires_grad_(), mask.sigmoid().detach().requires_grad_()
    ours = _deform_by_sampling(*values, layer.weight, layer.bias)
    theirs = deform_conv2d(
        values[0], values[1], layer.weight, layer.bias, padding=1, mask=values[2]
    )
    assert torch.allclose(ours, theirs, atol=1e-12)
    seed = torch.randn_like(ours)
    wanted = (*values, layer.weight, layer.bias)
    for a, b in zip(
        torch.autograd.grad(ours, wanted, seed),
        torch.autograd.grad(theirs, wanted, seed),
        strict=True,
    ):
        assert torch.allclose(a, b, atol=1e-10)


def test_gradients_match_differences():
    layer, x = trained_layer(), torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    parameters = tuple(layer.parameters())

    def run(x, *values):
        names = [name for name, _ in layer.named_parameters()]
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(run, (x, *parameters), atol=1e-5)


def test_float32_gradients_equal_float64():
    exact, rough = trained_layer(), trained_layer(torch.float32)
    rough.load_state_dict(exact.state_dict())
    x = torch.randn(2, 3, 6, 7, dtype=torch.float64, requires_grad=True)
    y = x.detach().float().requires_grad_()
    exact(x).square().sum().backward()
    rough(y).square().sum().backward()
    assert torch.allclose(y.grad.double(), x.grad, rtol=1e-4, atol=1e-4)
    for a, b in zip(exact.parameters(), rough.parameters(), strict=True):
        assert torch.allclose(b.grad.double(), a.grad, rtol=1e-4, atol=1e-4)


def test_half_precision_input_is_computed_in_float32():
    layer, x = trained_layer(torch.float32), torch.randn(1, 3, 5, 5).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(x), layer(x.float())) and layer(x).dtype == torch.float32


def test_upsampling_is_initially_bilinear_and_per_channel():
    kernel = bilinear_kernel(4)
    assert kernel[0].tolist() == pytest.approx([0.0625, 0.1875, 0.1875, 0.0625])
    x = torch.randn(1, 3, 4, 5)
    for factor in (2, 4):
        up = bilinear_up(3, factor)(x)
        expected = F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
        inner = slice(factor, -factor)
        assert torch.allclose(up[..., inner, inner], expected[..., inner, inner], atol=1e-6)
