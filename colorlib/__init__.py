"""Color black-and-white photographs with a conditional GAN: small enough to be read whole.

Read the modules in this order, which is also the order of the course:

    color          RGB, YUV, HSV and Lab on tensors; scaling for the networks
    scenes         built-in data: rendered scenes whose colors can be learned in a minute
    files          write beside and move in place; weights; run folders and their lock
    cache          bytes that took long to make, made once
    decode         one picture file of whatever kind: decoded, upright, a square
    split          which photos are for training, and which for the test
    photos         real data: find, check, load; DUTS, torchvision's data sets, any folder
    download       fetch a data set, check it, unpack it
    generator      the U-Net, from lightness to chroma
    discriminator  whole-image and patch discriminators, from colors to logits
    losses         adversarial objectives on logits, reconstruction losses
    evaluate       metrics, baselines, triptychs
    recipes        TrainConfig, and a named one for every objective
    parallel       several processes that train as one, each on a GPU of its own
    steps          the two players; how D learns, and how G learns from it
    batches        photos as batches of L and ab on the device: in what order, from where
    train          the loop around the steps: a run that can be stopped and goes on
    colorize       a gray photo in, a color photo out, at any size
    bench          the naive way of training against ours, one change at a time
    cli            colorlib train | evaluate | colorize | show | download | bench

`lesson` holds what only the notebooks need. Three functions have the name of their module and are
imported from there: `from colorlib.train import train`, and likewise `evaluate` and `colorize`.
"""

from colorlib.color import L_ab_to_rgb, rgb_to_L_ab
from colorlib.discriminator import ImageDiscriminator, PatchDiscriminator
from colorlib.evaluate import compare, evaluate_run, results_table
from colorlib.files import load_generator, save_generator
from colorlib.generator import StridedUNet, UNet
from colorlib.photos import DUTS, LabeledPhotos, PhotoFolder, open_data
from colorlib.recipes import RECIPES, TrainConfig
from colorlib.scenes import SceneDataset, render_scenes

__all__ = [
    "DUTS", "RECIPES", "ImageDiscriminator", "L_ab_to_rgb", "LabeledPhotos",
    "PatchDiscriminator", "PhotoFolder", "SceneDataset", "StridedUNet", "TrainConfig", "UNet",
    "compare", "evaluate_run", "load_generator", "open_data", "render_scenes", "results_table",
    "rgb_to_L_ab", "save_generator",
]  # fmt: skip
