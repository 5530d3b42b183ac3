"""Recipes: what a run learns, how, and for how long.

A recipe fixes the objective, the schedule, the optimizer and the kind of discriminator. You choose
the rest, such as the size and the budget: `replace(RECIPES["warm"], size=128, seconds=600)`.

*The tutorial* is the recipe that several online tutorials on coloring photos with a GAN publish: a
U-Net with 64 to 1024 channels against a discriminator that sees the whole photo, trained on binary
cross-entropy alone. It is included as `tutorial`, at its usual sizes, for comparison.
"""

from dataclasses import replace
from functools import wraps
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, ValidationError
from pydantic.dataclasses import dataclass

from colorlib.discriminator import smallest_picture

Fraction = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, config={"extra": "forbid", "allow_inf_nan": False})
class TrainConfig:
    """Everything that decides what a run learns. The defaults are the recipe `warm`.

    Give one budget: `epochs`, `steps` or `seconds`. Without one it is the tutorial's 10 epochs.

    Raises:
        ValueError: a field or a combination of fields isn't allowed; the message says which.
    """

    data: str = ""
    """A folder of photos. By default, the built-in scenes."""
    size: Annotated[int, Field(ge=32, multiple_of=16)] = 64
    """Height and width of the training photos, in pixels."""
    fit: Literal["crop", "stretch"] = "crop"
    """How photos become square: crop keeps the center, stretch keeps everything but distorts it."""
    flip: bool = True
    """Mirror each photo with probability 1/2."""
    zoom: Annotated[float, Field(ge=1)] = 1.0
    """Enlarge each photo by a random factor from 1 to this, and crop it at random."""

    generator: Literal["UNet", "StridedUNet"] = "StridedUNet"
    """The network G that colors."""
    generator_width: Annotated[int, Field(ge=2)] = 32
    """Channels of G's first level; each level below has twice as many."""
    init: str | None = None
    """Start from a trained generator: photos, scenes, or the generator.safetensors of a run."""
    discriminator: Literal["image", "patch"] = "patch"
    """The network D that judges: one score per photo, or one per patch."""
    discriminator_width: PositiveInt = 16
    """Channels of the patch discriminator's first layer."""
    discriminator_layers: PositiveInt = 2
    """Strided layers of the patch discriminator: with 2, each score sees 34×34 pixels."""
    discriminator_norm: Literal["batch", "none"] = "none"
    """Batch norm in the patch discriminator, as published, or none."""

    adversarial: Literal["bce", "lsgan", "hinge", "wgan_gp", "none"] = "bce"
    """The GAN loss; none trains without a discriminator."""
    reconstruction: Literal["l1", "l2", "none"] = "l1"
    """The loss that compares each color with the photo's own."""
    lambda_reconstruction: NonNegativeFloat = 60.0
    """Weight of the reconstruction loss in the GAN stage."""
    lambda_penalty: NonNegativeFloat = 10.0
    """Weight of WGAN-GP's gradient penalty. The paper uses 10."""

    warm_up: Fraction = 0.72
    """Fraction of the budget in which G trains on the reconstruction loss alone."""
    warm_up_learning_rate: NonNegativeFloat = 4e-3
    """Learning rate of G in the warm-up."""
    d_head_start: Fraction = 0.25
    """Fraction of the warm-up, at its end, in which D already trains."""
    learning_rate: NonNegativeFloat = 1e-3
    """Learning rate of G in the GAN stage."""
    d_learning_rate: NonNegativeFloat = 2e-3
    """Learning rate of D."""
    learning_rate_decay: bool = True
    """Decay the learning rates to 0 in each stage."""
    betas: tuple[float, float] = (0.5, 0.999)
    """Adam's β1 and β2 in the GAN stage."""
    weight_decay: NonNegativeFloat = 0.0
    """AdamW's weight decay, for G only."""
    d_every: PositiveInt = 1
    """Train D at every step (1), at every second step (2), and so on."""
    g_every: PositiveInt = 1
    """Train G at every step (1), at every second step (2), and so on."""
    reuse_forward: bool = True
    """Use one forward pass of G for both D's step and G's step, which is faster."""
    batch: PositiveInt = 16
    """Photos per step, over all processes."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Number format of the networks. auto takes a 16-bit one on GPUs that have it."""
    seed: int = 0
    """Seed of the random numbers."""

    epochs: PositiveInt | None = None
    """Budget: passes over the photos."""
    steps: PositiveInt | None = None
    """Budget: batches."""
    seconds: PositiveFloat | None = None
    """Budget: training time. Such a run doesn't repeat exactly."""
    stop_at_half: NonNegativeFloat = 0.0
    """Stop when D's mean answers to real and fake in an epoch are this close to 1/2. 0: never."""

    def __post_init__(self) -> None:
        budgets = {"epochs": self.epochs, "steps": self.steps, "seconds": self.seconds}
        given = [f"{name}={value}" for name, value in budgets.items() if value is not None]
        if len(given) > 1:
            raise ValueError(f"give one budget (epochs, steps or seconds), not {', '.join(given)}")
        if self.reconstruction == "none" and (self.adversarial == "none" or self.warm_up):
            raise ValueError("reconstruction=none needs warm_up=0 and an adversarial loss")
        has_norm = self.discriminator == "image" or self.discriminator_norm == "batch"
        if self.adversarial == "wgan_gp" and has_norm:
            raise ValueError(
                "adversarial=wgan_gp needs discriminator=patch and discriminator_norm=none"
            )
        smallest = smallest_picture(self.discriminator_layers)
        if self.adversarial != "none" and self.discriminator == "patch" and self.size < smallest:
            raise ValueError(
                f"discriminator_layers={self.discriminator_layers} needs a size of at least "
                f"{smallest}, not {self.size}: use fewer layers or larger photos"
            )


def _explain(error: ValidationError) -> str:
    """Say in words which fields are wrong, and what they must be."""
    first = error.errors()[0]
    if not first["loc"]:
        return str(first["ctx"]["error"])  # from `__post_init__`
    named = [(".".join(map(str, each["loc"])), each) for each in error.errors()]
    lines = [f"{name} is {each['input']!r}: {each['msg']}" for name, each in named]
    return "; ".join(lines).replace("Input should", "it must")


_build = TrainConfig.__init__


@wraps(_build)
def _build_or_explain(config: TrainConfig, *values: object, **fields: object) -> None:
    try:
        _build(config, *values, **fields)
    except ValidationError as error:
        raise ValueError(_explain(error)) from None


TrainConfig.__init__ = _build_or_explain

WARM = TrainConfig()
RECONSTRUCTION_ONLY = replace(WARM, adversarial="none", warm_up=1.0)
PIX2PIX = replace(
    WARM,
    lambda_reconstruction=100.0,
    warm_up=0.0,
    learning_rate=2e-4,
    d_learning_rate=2e-4,
    discriminator_layers=3,
    discriminator_norm="batch",
)
RECIPES: dict[str, TrainConfig] = {
    "tutorial": replace(
        WARM,
        generator="UNet",
        generator_width=64,
        size=256,
        batch=4,
        fit="stretch",
        flip=False,
        discriminator="image",
        reconstruction="none",
        warm_up=0.0,
        learning_rate=1e-4,
        d_learning_rate=1e-4,
        learning_rate_decay=False,
        g_every=2,
        reuse_forward=False,
    ),
    "l1": RECONSTRUCTION_ONLY,
    "l2": replace(RECONSTRUCTION_ONLY, reconstruction="l2"),
    "gan": replace(PIX2PIX, reconstruction="none"),
    "pix2pix": PIX2PIX,
    "warm": WARM,
    "lsgan": replace(WARM, adversarial="lsgan"),
    "hinge": replace(WARM, adversarial="hinge"),
    "wgan_gp": replace(
        WARM,
        adversarial="wgan_gp",
        learning_rate=1e-4,
        d_learning_rate=1e-4,
        betas=(0.0, 0.9),
        precision="float32",
    ),
}
ABOUT = {
    "tutorial": "The tutorial's GAN: whole-image discriminator, adversarial loss only.",
    "l1": "No GAN: L1 alone.",
    "l2": "No GAN: L2 alone.",
    "gan": "pix2pix without its L1 loss.",
    "pix2pix": "Patch discriminator, adversarial loss and L1, as in the paper.",
    "warm": "L1 first, then a GAN with L1. Start here.",
    "lsgan": "Like warm, with the least-squares GAN loss.",
    "hinge": "Like warm, with the hinge loss.",
    "wgan_gp": "Like warm, with the Wasserstein loss and a gradient penalty.",
}
