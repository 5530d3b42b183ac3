"""Recipes: what a run learns, how, and for how long.

A recipe fixes the objective, the schedule, the optimizer and the kind of discriminator. You choose
the rest, such as the size and the budget: `replace(RECIPES["warm"], size=128, seconds=600)`.

*The tutorial* is the recipe that several online tutorials on coloring photos with a GAN publish: a
U-Net with 64 to 1024 channels against a discriminator that sees the whole photo, trained on binary
cross-entropy alone. It is included as `tutorial`, at its usual sizes, for comparison.
"""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

Fraction = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, config={"extra": "forbid", "allow_inf_nan": False})
class TrainConfig:
    """Everything that decides what a run learns. The defaults are the recipe `warm`.

    Give one budget: `epochs`, `steps` or `seconds`. Without one it is the tutorial's 10 epochs.
    """

    # data
    data: str = ""  # where the photos come from; `train` fills it in from the data set
    # height and width of the training photos in pixels
    size: Annotated[int, Field(ge=32, multiple_of=16)] = 64
    fit: Literal["crop", "stretch"] = "crop"  # how a photo is made square; for the record
    flip: bool = True  # mirror each photo with probability 1/2
    # enlarge each photo by a random factor up to this, and crop it at random
    zoom: Annotated[float, Field(ge=1)] = 1.0

    # networks
    generator: Literal["UNet", "StridedUNet"] = "StridedUNet"
    generator_width: Annotated[int, Field(ge=2)] = 32  # channels
    # start from a trained generator: photos, scenes, or the generator.safetensors of a run
    init: str | None = None
    discriminator: Literal["image", "patch"] = "patch"  # one score per photo, or one per patch
    discriminator_width: PositiveInt = 16  # channels of the patch discriminator's first layer
    # strided layers of the patch discriminator: it sees 34 pixels
    discriminator_layers: PositiveInt = 2
    discriminator_norm: Literal["batch", "none"] = "none"  # see `PatchDiscriminator`

    # losses
    adversarial: Literal["bce", "lsgan", "hinge", "wgan_gp", "none"] = "bce"
    reconstruction: Literal["l1", "l2", "none"] = "l1"
    lambda_reconstruction: float = 60.0  # weight of the reconstruction loss in the GAN stage
    lambda_colorfulness: float = 0.0  # weight of the colorfulness loss in the GAN stage
    lambda_penalty: float = 10.0  # weight of WGAN-GP's gradient penalty, as in the paper

    # optimizer and schedule
    warm_up: Fraction = 0.72  # fraction of the budget in which G trains on the reconstruction alone
    warm_up_learning_rate: float = 4e-3  # of G in the warm-up
    d_head_start: Fraction = 0.25  # D already trains in this last fraction of the warm-up
    learning_rate: float = 1e-3  # of G in the GAN stage
    d_learning_rate: float = 2e-3
    learning_rate_decay: bool = True  # to 0 in each stage, see `Networks.decay_learning_rates`
    betas: tuple[float, float] = (0.5, 0.999)  # Adam's (β1, β2) in the GAN stage
    weight_decay: NonNegativeFloat = 0.0  # AdamW's, for G only
    d_every: PositiveInt = 1  # D trains on every d_every-th step
    # G trains on every g_every-th step; the paper's k is g_every / d_every
    g_every: PositiveInt = 1
    reuse_forward: bool = True  # D's step and G's step use the same forward pass of G
    batch: PositiveInt = 16  # photos per step, over all processes
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    seed: int = 0

    # budget
    epochs: PositiveInt | None = None  # passes over the photos
    steps: PositiveInt | None = None  # batches
    seconds: PositiveFloat | None = None  # training time; such a run does not repeat to the bit
    # the tutorial stops early when D says 1/2 to real and fake alike: stop after an epoch in which
    # D's mean answers to both were closer to 1/2 than this; 0 never stops
    stop_at_half: float = 0.0

    def __post_init__(self) -> None:
        if len([b for b in (self.epochs, self.steps, self.seconds) if b is not None]) > 1:
            raise ValueError("give one budget: epochs, steps or seconds")
        if self.reconstruction == "none" and (self.adversarial == "none" or self.warm_up):
            raise ValueError("without a reconstruction, warm_up must be 0 and adversarial not none")
        has_norm = self.discriminator == "image" or self.discriminator_norm == "batch"
        if self.adversarial == "wgan_gp" and has_norm:
            raise ValueError("wgan_gp needs discriminator patch and discriminator_norm none")


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
