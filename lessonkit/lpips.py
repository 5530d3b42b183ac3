"""LPIPS, which asks a network how different two pictures look."""

from functools import cache

import torch
from torch import Tensor, nn

from colorlib.color import to_unit


def lpips(predicted: Tensor, real: Tensor) -> Tensor:
    """Learned perceptual distance (AlexNet); lower is closer. Pictures of at least 32×32 pixels.

    Args:
        predicted: rgb (B, 3, H, W), float 0..1 or uint8.
        real: the same.

    Returns:
        One value per picture, (B,).

    Raises:
        ConnectionError: the network's weights can't be downloaded.

    Reference: Zhang et al. 2018.
    """
    with torch.no_grad():
        network = lpips_network().to(real.device)
        return network(to_unit(predicted), to_unit(real), normalize=True).reshape(-1)


@cache
def lpips_network() -> nn.Module:
    """The network with its weights, which are downloaded once."""
    # imported here: it takes longer than all of colorlib
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    try:
        return LearnedPerceptualImagePatchSimilarity("alex").net
    except OSError as error:
        raise ConnectionError(f"LPIPS needs the internet once, for AlexNet ({error})") from error
