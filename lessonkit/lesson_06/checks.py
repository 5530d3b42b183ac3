"""Checks of lesson 06: both training steps, what "frozen" means, what must be saved."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from colorlib.color import rgb_to_L_ab
from colorlib.config import RECIPES
from colorlib.losses import bce_discriminator, bce_generator
from colorlib.scenes import render_scenes
from colorlib.steps import Networks, discriminator_step, generator_step
from lessonkit.checks import alike, check, filled, require, require_close
from lessonkit.lesson_06.training import PARTS, gradient_of, resume_error

LAMBDA = 7.0
CONFIG = replace(
    RECIPES["pix2pix"],
    lambda_reconstruction=LAMBDA,
    learning_rate=1e-2,
    d_learning_rate=1e-2,
    generator_width=4,
    discriminator_width=4,
    discriminator_layers=1,
)
PILED = "the first step is right, the second is not: clear the old gradients with zero_grad()."


def _start():
    """Two pairs of networks with the same weights, and two batches."""
    torch.manual_seed(0)
    yours = Networks(CONFIG)
    ours = Networks(CONFIG, deepcopy(yours.generator), deepcopy(yours.discriminator))
    for networks in (yours, ours):
        # A bias before batch norm has a gradient of 0 plus rounding. With Adam's usual eps of 1e-8
        # this rounding would decide where the bias goes, and a right answer could look wrong.
        for optimizer in (networks.optimizer_g, networks.optimizer_d):
            optimizer.param_groups[0]["eps"] = 1e-3
    batches = [rgb_to_L_ab(part) for part in render_scenes(8, size=32, seed=0).rgb.split(4)]
    return yours, ours, batches


def _watch(networks):
    """Note for each later pass of either network whether it was in training mode."""
    modes = []
    for network in (networks.generator, networks.discriminator):
        network.register_forward_pre_hook(lambda module, inputs: modes.append(module.training))
    return modes


def _require_training(modes):
    switched = "eval() freezes nothing: leave both networks in training mode."
    require(all(modes), switched)


def _require_thawed(network, name):
    frozen = f"{name} is still frozen. After backward(), unfreeze it with requires_grad_(True)."
    require(all(weight.requires_grad for weight in network.parameters()), frozen)


def _require_number(loss):
    require(isinstance(loss, torch.Tensor), f"return the loss; you return a {type(loss).__name__}.")
    shape = f"the loss must be a single number, a mean; yours has shape {tuple(loss.shape)}."
    require(loss.ndim == 0, shape)


@contextmanager
def _no_gradient_means(message: str) -> Iterator[None]:
    """Replace PyTorch's words for a loss that depends on no trainable weight by a message."""
    try:
        yield
    except RuntimeError as error:
        require("does not require grad" not in str(error), message)
        raise


def _have_moved(network, before):
    return any(not torch.equal(a, b) for a, b in zip(network.parameters(), before.parameters()))


def _require_same(yours, ours, message):
    for own, wanted in zip(yours.parameters(), ours.parameters()):
        require_close(own, wanted, message, 1e-5)


@check
def discriminator_turn(answer):
    """Exercise 1: D's step."""
    yours, ours, batches = _start()
    before = deepcopy(yours.discriminator)
    G, D, optimizer = yours.generator, yours.discriminator, yours.optimizer_d
    L, real_ab = batches[0]
    with torch.no_grad():  # on copies: batch norm remembers
        logits_real = deepcopy(D)(L, real_ab)
        logits_fake = deepcopy(D)(L, deepcopy(G)(L))
    modes = _watch(yours)
    nobody = "no weight is left that your loss could train: is D frozen, or inside no_grad()?"
    with _no_gradient_means(nobody):
        loss = filled(answer(G, D, optimizer, L, real_ab))
    _require_number(loss)
    _require_training(modes)
    leaked = "G got a gradient, but D's loss must not reach G. Which call cuts its colors off?"
    require(not gradient_of(G).any(), leaked)
    _require_d_loss(loss.detach(), logits_real, logits_fake)
    stuck = "D hasn't moved: after backward(), its optimizer must take a step."
    require(_have_moved(D, before), stuck)
    discriminator_step(ours, L, real_ab)
    _require_same(D, ours.discriminator, "after one step D's weights differ from colorlib's.")
    _require_thawed(G, "G")
    answer(G, D, optimizer, *batches[1])
    _require_training(modes)
    discriminator_step(ours, *batches[1])
    _require_same(D, ours.discriminator, PILED)
    return "D moves exactly as colorlib's D does, and no gradient reaches G."


def _require_d_loss(loss, logits_real, logits_fake):
    wanted = bce_discriminator(logits_real, logits_fake)
    swapped = "the labels are the wrong way around: real colors have label 1, G's colors 0."
    require(not alike(loss, bce_discriminator(-logits_real, -logits_fake)), swapped)
    praised = "both halves have label 1, so D would learn to call everything real."
    require(not alike(loss, bce_discriminator(logits_real, -logits_fake)), praised)
    summed = "your loss is twice colorlib's: take the mean of the two halves, not their sum."
    require(not alike(loss, 2 * wanted), summed)
    for half, name in ((-logits_real, "real"), (logits_fake, "fake")):
        alone = functional.softplus(half).mean()
        one_sided = f"your loss has only the {name} half; D must see both kinds."
        require(not any(alike(loss, share * alone) for share in (0.5, 1.0)), one_sided)
    message = f"D's loss is {loss:.4f}; colorlib's is {wanted:.4f}. Judge real and fake separately."
    require_close(loss, wanted, message, 1e-5)


@check
def generator_turn(answer):
    """Exercise 2: G's step with L1."""
    yours, ours, batches = _start()
    G, D, optimizer = yours.generator, yours.discriminator, yours.optimizer_g
    before_g, before_d = deepcopy(G), deepcopy(D)
    L, real_ab = batches[0]
    with torch.no_grad():
        fake_ab = deepcopy(G)(L)
        parts = deepcopy(D)(L, fake_ab), functional.l1_loss(fake_ab, real_ab)
    modes = _watch(yours)
    nobody = "no weight is left that your loss could train: does detach() or no_grad() cut off G?"
    with _no_gradient_means(nobody):
        loss = filled(answer(G, D, optimizer, L, real_ab, LAMBDA))
    _require_number(loss)
    _require_training(modes)
    moved = "D's weights have moved. In G's turn only optimizer_g takes a step."
    require(not _have_moved(D, before_d), moved)
    _require_g_loss(loss.detach(), *parts)
    deaf = "no gradient has reached G: did you call backward(), and are its colors cut off?"
    has_moved = _have_moved(G, before_g)
    require(has_moved or gradient_of(G).any(), deaf)
    require(has_moved, "G hasn't moved: after backward(), its optimizer must take a step.")
    generator_step(ours, L, real_ab)
    cut = "the loss is right, but G moves differently. Does the gradient of D's answer reach it?"
    _require_same(G, ours.generator, cut)
    _require_thawed(D, "D")
    answer(G, D, optimizer, *batches[1], LAMBDA)
    _require_training(modes)
    generator_step(ours, *batches[1])
    _require_same(G, ours.generator, PILED)
    return "G moves exactly as colorlib's G does, and D stays where it was."


def _require_g_loss(loss, logits_fake, distance):
    adversarial = bce_generator(logits_fake)
    wanted = adversarial + LAMBDA * distance
    caught = "you ask for label 0, so G would learn to be caught. Which answer of D does it want?"
    require(not alike(loss, bce_generator(-logits_fake) + LAMBDA * distance), caught)
    no_l1 = "so far only D's answer counts: add the weighted L1 distance to real_ab."
    require(not alike(loss, adversarial), no_l1)
    no_d = "so far only the distance counts: D's answer is missing."
    require(not alike(loss, LAMBDA * distance), no_d)
    unweighted = "the distance must be multiplied by lambda_l1."
    require(not alike(loss, adversarial + distance), unweighted)
    require_close(
        loss, wanted, f"G's loss is {loss:.4f}; colorlib's is {wanted:.4f}. L1 is a mean.", 1e-5
    )


class _Small(nn.Module):
    """A network of two weights and a running statistic."""

    def __init__(self):
        super().__init__()
        self.first = nn.Parameter(torch.tensor([1.0, 2.0]))
        self.last = nn.Parameter(torch.tensor([3.0]))
        self.register_buffer("mean", torch.zeros(1))


@check
def is_frozen(answer):
    """Exercise 3: whether a step leaves a network's weights alone."""
    for change, verdict, message in CHANGES:
        network, calls = _Small(), []

        def step(network=network, change=change, calls=calls):
            calls.append(1)
            with torch.no_grad():
                change(network)

        said = filled(answer(network, step))
        once = f"call step() once, between the two looks; you called it {len(calls)} times."
        require(len(calls) == 1, once)
        require(
            isinstance(said, bool | np.bool_ | torch.Tensor), f"answer True or False, not {said!r}."
        )
        require(bool(said) == verdict, message)
    return "keep this test, and run it once on every training step that you write."


def _shift(network):
    network.first += 1
    network.last += 1


CHANGES = [
    (lambda network: None, True, "nothing moved, and you say False: turn the answer around."),
    (
        _shift,
        False,
        "all weights moved, and you say True. What does your first look hold on to: numbers, or "
        "the tensors that step() changes in place?",
    ),
    (
        lambda network: network.last.add_(1e-6),
        False,
        "the last weight moved by 0.000001, and you say True: look at all weights, and count any "
        "change at all.",
    ),
    (
        lambda network: network.first.copy_(network.first.flip(0)),
        False,
        "two weights changed places, and you say True: compare each weight, not their sum.",
    ),
    (
        lambda network: network.mean.add_(1),
        True,
        "only a running statistic moved, not a weight: compare parameters(), not state_dict().",
    ),
]


@check
def needed(answer):
    """Exercise 4: which parts a run needs to continue as if it had never stopped."""
    names = {answer} if isinstance(answer, str) else set(filled(answer))
    require(Ellipsis not in names, "replace the dots with more names from PARTS.")
    unknown = names - set(PARTS)
    require(not unknown, f"PARTS has no {sorted(map(str, unknown))}; use its names.")
    error = resume_error(names)
    missing = f"with these {len(names)}, the colors end up {error:.2g} units apart. What is lost?"
    require(error == 0, missing)
    idle = sorted(names & {"losses so far", "sample pictures"})
    require(not idle, f"the run ends the same, but also without {idle}: find the smallest set.")
    return "with these five, the run ends with the same colors, to the bit."
