"""Between backbone and heads: from stride-32 features back up to the stride of the maps."""

from collections.abc import Sequence

from torch import Tensor, nn


class DeconvNeck(nn.Sequential):
    """Transposed convolutions, each doubling the resolution (Xiao et al., 2018).

    The original's widths are (256, 256, 256); the project's default (256, 128, 64) halves the cost
    of the whole detector.
    """

    def __init__(self, in_channels: int, channels: Sequence[int] = (256, 128, 64)) -> None:
        """One doubling per entry of ``channels``, each entry its width."""
        layers: list[nn.Module] = []
        for width in channels:
            up = nn.ConvTranspose2d(in_channels, width, 4, stride=2, padding=1, bias=False)
            layers += [up, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            in_channels = width
        super().__init__(*layers)
        self.out_channels = in_channels

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """From the backbone's feature maps, the last of which is used, to one map."""
        return super().forward(features[-1])
