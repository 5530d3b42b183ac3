"""Recipes: what a run learns, how, and for how long.

A recipe fixes the objective, the schedule, the optimizer and the kind of discriminator. Generator,
size, batch and budget are yours to choose: `replace(RECIPES["warm"], size=128, seconds=600)`.

What this package calls *the tutorial* is the recipe that some online tutorials on coloring photos
with a GAN publish: a U-Net of 64 to 1024 channels against a discriminator of the whole picture,
binary cross-entropy and nothing else. It is here as `tutorial`, with its usual sizes, to be
measured beside the others.
"""

from dataclasses import dataclass, fields, replace
from inspect import formatannotation
from typing import Literal, get_args, get_origin

LARGEST = 1e12  # of any number in a configuration; it keeps NaN and infinity out as well
ONE_OR_MORE = "zoom batch d_every g_every discriminator_width discriminator_layers".split()


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides what a run learns. The defaults are the recipe `warm`.

    One of `epochs`, `steps` and `seconds` is the budget; with none it is the tutorial's 10 epochs.
    """

    data: str = "scenes"  # "scenes", or a folder of photos; for the record, as is `fit`
    size: int = 64  # pixels; height and width of the training pictures
    fit: Literal["crop", "stretch"] = "crop"  # how a photo is made square
    is_flipped: bool = True  # each picture is mirrored with probability 1/2
    zoom: float = 1.0  # each is enlarged by up to this factor, and cut to size at a random place

    generator: Literal["UNet", "StridedUNet"] = "StridedUNet"
    generator_width: int = 32  # channels
    discriminator: Literal["image", "patch"] = "patch"  # one score a picture, or one a patch
    discriminator_width: int = 16  # channels of the patch discriminator's first layer
    discriminator_layers: int = 2  # strided layers of the patch discriminator: it sees 34 pixels
    discriminator_norm: Literal["batch", "none"] = "none"  # see `PatchDiscriminator`

    adversarial: Literal["bce", "lsgan", "hinge", "wgan_gp", "none"] = "bce"
    reconstruction: Literal["l1", "l2", "none"] = "l1"
    lambda_reconstruction: float = 60.0  # weight of the reconstruction beside the adversarial loss
    lambda_colorfulness: float = 0.0  # weight of the colorfulness loss while they play
    lambda_penalty: float = 10.0  # weight of WGAN-GP's penalty, as in the paper

    warm_up: float = 0.72  # share of the budget in which G learns the reconstruction alone
    warm_up_learning_rate: float = 4e-3  # Adam's step while it does
    d_head_start: float = 0.25  # share of the warm-up, its end, in which D already learns
    learning_rate: float = 1e-3  # Adam's step of G while they play
    d_learning_rate: float = 2e-3  # and that of D
    betas: tuple[float, float] = (0.5, 0.999)  # Adam's memories while they play; 0.5 forgets faster
    weight_decay: float = 0.0  # AdamW's, for G alone: holds its weights small
    is_annealed: bool = True  # the learning rates fall to 0 in each stage, see `Players.anneal`
    d_every: int = 1  # D learns on every d_every-th step
    g_every: int = 1  # G learns on every g_every-th step; k of Goodfellow et al. is their ratio
    share_forward: bool = True  # D's and G's step use one forward pass of G

    batch: int = 16  # pictures a step
    epochs: int | None = None  # budget: passes over the photos
    steps: int | None = None  # budget: batches
    seconds: float | None = None  # budget: time; such a run does not repeat to the bit
    equilibrium: float = 0.0  # stop after an epoch in which D's mean answers were this near 1/2
    seed: int = 0
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    compile: Literal["none", "default", "reduce-overhead"] = "none"  # torch.compile's mode

    def __post_init__(self) -> None:
        object.__setattr__(self, "betas", tuple(self.betas))  # JSON has lists only
        for field in fields(self):
            if not is_a(value := getattr(self, field.name), field.type):
                wanted = formatannotation(field.type).replace("Literal", "one of ")
                raise ValueError(f"{field.name} must be {wanted}; got {value!r}")
        budgets = [b for b in (self.epochs, self.steps, self.seconds) if b is not None]
        if len(budgets) > 1 or any(budget <= 0 for budget in budgets):
            raise ValueError(f"give one budget above 0: epochs, steps or seconds; got {budgets}")
        if self.adversarial == self.reconstruction == "none":
            raise ValueError("nothing to learn: adversarial and reconstruction are both none")
        if not 0 <= self.warm_up <= 1 or (self.warm_up and self.reconstruction == "none"):
            raise ValueError("warm_up must be a share from 0 to 1, and needs a reconstruction")
        if not 0 <= self.d_head_start <= 1:
            raise ValueError(f"d_head_start must be from 0 to 1, got {self.d_head_start}")
        if self.size % 16 or self.size < 32:
            raise ValueError(f"size must be a multiple of 16, from 32 on; got {self.size}")
        has_norm = self.discriminator == "image" or self.discriminator_norm == "batch"
        if self.adversarial == "wgan_gp" and has_norm:
            raise ValueError("wgan_gp needs discriminator patch with discriminator_norm none")
        if self.adversarial == "wgan_gp" and self.compile != "none":
            raise ValueError("wgan_gp differentiates twice, which needs compile none")
        for name in ONE_OR_MORE:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}")
        if self.generator_width < 2:  # the lean U-Net begins with half of it
            raise ValueError(f"generator_width must be 2 or more, got {self.generator_width}")


def is_a(value: object, kind: object) -> bool:
    """Whether a value is what a field's annotation says; an int will do for a float."""
    parts = get_args(kind)
    if get_origin(kind) is Literal:
        return value in parts
    if get_origin(kind) is tuple:
        has_length = isinstance(value, tuple) and len(value) == len(parts)
        return has_length and all(map(is_a, value, parts))
    if parts:  # int | None
        return any(is_a(value, part) for part in parts)
    if kind in (int, float) and isinstance(value, kind | int):
        return not isinstance(value, bool) and abs(value) < LARGEST
    return isinstance(value, kind)


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
        is_flipped=False,
        discriminator="image",
        reconstruction="none",
        warm_up=0.0,
        learning_rate=1e-4,
        d_learning_rate=1e-4,
        is_annealed=False,
        g_every=2,
        share_forward=False,
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
