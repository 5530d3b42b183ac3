"""Adversarial objectives on logits, and reconstruction losses.

Each objective is a pair of losses: one for the discriminator, which takes the logits of real and
fake pictures, and one for the generator, which takes the logits of its fakes. They take logits
rather than probabilities because a sigmoid followed by a logarithm loses its gradient just when
the discriminator is confident.

Notation: D is the discriminator's logit, x a real picture, G a fake one, softplus(t) =
log(1 + exp(t)), and E the mean over pictures and patches.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional


def bce_discriminator(logits_real: Tensor, logits_fake: Tensor) -> Tensor:
    """Binary cross-entropy, D: (E softplus(-D(x)) + E softplus(D(G))) / 2; log 2 at logit 0.

    Reference: Goodfellow et al. 2014, equation 1, written with logits.
    """
    return (functional.softplus(-logits_real).mean() + functional.softplus(logits_fake).mean()) / 2


def bce_generator(logits_fake: Tensor) -> Tensor:
    """Binary cross-entropy, G, with target label 1: E softplus(-D(G)); log 2 at logit 0.

    Reference: Goodfellow et al. 2014, section 3: maximize log D(G) instead of minimizing
    log(1 - D(G)), which is flat when D rejects the fakes.
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

    Reference: Lim and Ye 2017. Differs: halved, so that D learns at the same pace as with BCE.
    """
    return (functional.relu(1 - logits_real).mean() + functional.relu(1 + logits_fake).mean()) / 2


def wasserstein_discriminator(logits_real: Tensor, logits_fake: Tensor) -> Tensor:
    """Wasserstein, D: E D(G) - E D(x); used with `gradient_penalty`.

    Reference: Arjovsky et al. 2017; Gulrajani et al. 2017, equation 3.
    """
    return logits_fake.mean() - logits_real.mean()


def negative_mean_generator(logits_fake: Tensor) -> Tensor:
    """Hinge and Wasserstein, G: -E D(G)."""
    return -logits_fake.mean()


class Objective(NamedTuple):
    """The losses of D and G, and whether D also gets a gradient penalty."""

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


def gradient_penalty(
    discriminator: nn.Module, L: Tensor, real_ab: Tensor, fake_ab: Tensor
) -> Tensor:
    """WGAN-GP's penalty on D's gradient between real and fake: E (‖∇ D(mixed)‖ - 1)².

    The Wasserstein distance needs a D whose slope is at most 1 everywhere. The gradient is taken
    per picture, at a random point on the line from the real ab to the fake ab.

    Args:
        discriminator: takes (L, ab) and returns logits; without batch norm, which would mix the
            gradients of different pictures.
        L: (B, 1, H, W).
        real_ab: (B, 2, H, W).
        fake_ab: (B, 2, H, W); no gradient flows into it.

    Returns:
        The penalty, a scalar; Gulrajani et al. weight it with 10.

    Reference: Gulrajani et al. 2017, equation 3. Differs: where D returns a map of scores,
    D(mixed) is their mean.
    """
    with torch.autocast(L.device.type, enabled=False):  # second derivatives need float32
        weight = torch.rand(len(L), 1, 1, 1, device=L.device)
        mixed_ab = torch.lerp(real_ab, fake_ab.detach().to(real_ab), weight).requires_grad_()
        scores = discriminator(L, mixed_ab).flatten(1).mean(dim=1)
        (gradient,) = torch.autograd.grad(scores.sum(), mixed_ab, create_graph=True)
        return (gradient.flatten(1).norm(dim=1) - 1).square().mean()
