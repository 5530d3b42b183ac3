"""Color black-and-white photographs with a conditional GAN.

Read this part in one sitting, in the order of the course; it is a third of the code:

    color          RGB and Lab on tensors; scaling for the networks
    generator      the U-Nets, from lightness to chroma
    discriminator  whole-image and patch discriminators, from colors to logits
    losses         adversarial objectives on logits, reconstruction losses
    config         TrainConfig, and a named recipe for each objective
    steps          one step of each network
    batches        photos as batches of L and ab on the device
    training       the loop around the steps: stop, resume, several processes

What it learns from:

    scenes         built-in data: rendered scenes whose colors can be learned in a minute
    decode         one picture file of any kind: decoded, upright, in sRGB, square
    photos         real data: find, decode, cache, split; DUTS, torchvision data sets, any folder
    download       fetch a data set, check it, unpack it

What it serves:

    metrics        metrics, baselines, triptychs
    coloring       a gray photo in, a color photo out, at any size
    hints          colors that a user knows, and where they go
    runs           atomic writes, weight files, and the folder of a run
    parallel       several processes that train as one, one per GPU
    cli            colorlib train | evaluate | show | colorize | threshold | download

`lessonkit` holds what only the notebooks import, and `tools` what only maintainers run. Both may
import colorlib; colorlib never imports them.
"""

from colorlib.color import L_ab_to_rgb, rgb_to_L_ab
from colorlib.coloring import colorize
from colorlib.config import RECIPES, TrainConfig
from colorlib.discriminator import ImageDiscriminator, PatchDiscriminator
from colorlib.generator import StridedUNet, UNet
from colorlib.metrics import compare, evaluate, evaluate_run, results_table
from colorlib.photos import PhotoFolder, open_data
from colorlib.runs import load_generator, save_generator
from colorlib.scenes import SceneDataset, render_scenes
from colorlib.training import train

__all__ = [
    "RECIPES", "ImageDiscriminator", "L_ab_to_rgb", "PatchDiscriminator",
    "PhotoFolder", "SceneDataset", "StridedUNet", "TrainConfig", "UNet",
    "colorize", "compare", "evaluate", "evaluate_run", "load_generator", "open_data",
    "render_scenes", "results_table", "rgb_to_L_ab", "save_generator", "train",
]  # fmt: skip
