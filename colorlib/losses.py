"""What each player wants: adversarial objectives on logits, and reconstruction losses.

Every objective is a pair of functions. The discriminator's takes its logits on real and on fake
pictures, the generator's the logits on its fakes; both return one number to be made small. They
take logits, not probabilities: a sigmoid in front of the logarithm loses its gradient where it
is most needed, when the discriminator is sure.

Written D for the logit of the discriminator, x for real and G for fake pictures, softplus(t) for
log(1 + exp(t)) and E for the mean over pictures and patches.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from colorlib.color import L_ab_to_rgb, colorfulness


def bce_discriminator(logits_real: Tensor, logits_fake: Tensor) -> Tensor:
    """Binary cross-entropy of D: E softplus(-D(x)) + E softplus(D(G)), halved; log 2 at logits 0.

    Reference: Goodfellow et al. 2014, equation 1, with D's probability written as a logit.
    """
    return (functional.softplus(-logits_real).mean() + functional.softplus(logits_fake).mean()) / 2


def bce_generator(logits_fake: Tensor) -> Tensor:
    """Binary cross-entropy of G against the label "real": E softplus(-D(G)); log 2 at logit 0.

    Reference: Goodfellow et al. 2014, section 3: maximize log D(G) rather than minimize
    log(1 - D(G)), which is flat just when D rejects the fakes.
    """
    return functional.softplus(-logits_fake).mean()


def lsgan_discriminator(logits_real: Tensor, logits_fake: Tensor) -> Tensor:
    """Least squares, D: (E (D(x) - 1)² + E D(G)²) / 2. Reference: Mao et al. 2017, equation 9."""
    return ((logits_real - 1).square().mean() + logits_fake.square().mean()) / 2


def lsgan_generator(logits_fake: Tensor) -> Tensor:
    """Least squares, G: E (D(G) - 1)² / 2. Reference: Mao et al. 2017, equation 9."""
    return (logits_fake - 1).square().mean() / 2


def hinge_discriminator(logits_real: Tensor, logits_fake: Tensor) -> Tensor:
    """Hinge, D: (E max(0, 1 - D(x)) + E max(0, 1 + D(G))) / 2.

    Reference: Lim and Ye 2017. Differs: halved, so that D learns as fast as with the others.
    """
    return (functional.relu(1 - logits_real).mean() + functional.relu(1 + logits_fake).mean()) / 2


def wasserstein_discriminator(logits_real: Tensor, logits_fake: Tensor) -> Tensor:
    """Wasserstein critic: E D(G) - E D(x); needs `gradient_penalty` beside it.

    Reference: Arjovsky et al. 2017; Gulrajani et al. 2017, equation 3.
    """
    return logits_fake.mean() - logits_real.mean()


def negative_mean_generator(logits_fake: Tensor) -> Tensor:
    """Hinge and Wasserstein, G: -E D(G)."""
    return -logits_fake.mean()


class Objective(NamedTuple):
    """The two sides of an adversarial game, and whether D's gradient is to be penalized."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    has_gradient_penalty: bool = False


OBJECTIVES = {
    "bce": Objective(bce_discriminator, bce_generator),
    "lsgan": Objective(lsgan_discriminator, lsgan_generator),
    "hinge": Objective(hinge_discriminator, negative_mean_generator),
    "wgan_gp": Objective(wasserstein_discriminator, negative_mean_generator, True),
}

RECONSTRUCTIONS = {"l1": functional.l1_loss, "l2": functional.mse_loss}


def colorfulness_loss(L: Tensor, ab: Tensor) -> Tensor:
    """How gray pictures look: E(1 - colorfulness / 100), 1 for plain gray.

    A reconstruction loss pulls whatever it is unsure of toward gray; this pulls all of it away,
    and leaves it to the other losses where color costs least.

    Args:
        L: (B, 1, H, W).
        ab: (B, 2, H, W).

    Reference: Kang et al. 2023 (DDColor), with the measure of Hasler and Süsstrunk 2003.
    """
    return 1 - colorfulness(L_ab_to_rgb(L, ab)).mean() / 100


def gradient_penalty(
    discriminator: nn.Module, L: Tensor, real_ab: Tensor, fake_ab: Tensor
) -> Tensor:
    """How far D's slope is from 1 between real and fake: E (‖∇ D(mixed)‖ - 1)².

    A critic for the Wasserstein distance may not rise by more than 1 over a distance of 1. The
    slope is measured, picture by picture, at a random point between the real and the fake one.

    Args:
        discriminator: takes (L, ab), returns logits; without batch norm, since the slope is to be
            each picture's own.
        L: (B, 1, H, W).
        real_ab: (B, 2, H, W).
        fake_ab: (B, 2, H, W); no gradient flows back into it.

    Returns:
        the penalty, a number; Gulrajani et al. multiply it by 10.

    Reference: Gulrajani et al. 2017, equation 3. Differs: for a map of scores, D(mixed) is the
    mean score of the picture.
    """
    with torch.autocast(L.device.type, enabled=False):  # slopes of slopes need float32
        mix = torch.rand(len(L), 1, 1, 1, device=L.device)
        mixed_ab = torch.lerp(real_ab, fake_ab.detach().to(real_ab), mix).requires_grad_()
        scores = discriminator(L, mixed_ab).flatten(1).mean(dim=1)
        (slope,) = torch.autograd.grad(scores.sum(), mixed_ab, create_graph=True)
        return (slope.flatten(1).norm(dim=1) - 1).square().mean()
