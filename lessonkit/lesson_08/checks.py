"""Checks of lesson 08: the best constant, gray from vivid colors, the hinge loss, a λ."""

import torch

from colorlib.losses import hinge_discriminator, negative_mean_generator
from lessonkit.checks import alike, check, filled, require, require_close
from lessonkit.lesson_08.brown import mean_rows, read_sweep

ENOUGH = 0.3  # the share of balloon pixels that must be decidedly red or blue
TIE = 0.1  # dB; two seeds can't tell smaller differences in PSNR from chance


@check
def best_constant(answer):
    """Exercise 1: the guess with the smallest mean loss, for L2 and for L1."""
    values = torch.tensor([-0.5, 1.0, -0.5, 0.2, 5.0])
    l1, l2 = (torch.as_tensor(answer(values.clone(), loss)) for loss in ("l1", "l2"))
    require(l1.numel() == l2.numel() == 1, "return one number, the guess.")
    l1, l2 = l1.item(), l2.item()
    middle = values.mean().item()
    both = f"for L1 you return the mean, {l1:.2g}. Try values 0, 0, 1: which guess costs least?"
    require(abs(l1 - middle) > 1e-3, both)
    require(
        abs(l1 - 2.25) > 1e-3,
        "for L1 you return the middle of the range.",
    )
    costs = (values - values.median()).abs().mean().item(), values.var(correction=0).item()
    loss = "that is the smallest *loss*; return the guess that has it."
    require(abs(l1 - costs[0]) > 1e-3 and abs(l2 - costs[1]) > 1e-3, loss)
    require(
        abs(l1 + 0.5) > 1e-3, "for L1 that is the most frequent value. Is it also in the middle?"
    )
    wanted = "for L1, as many values must be above the guess as below it: sort them."
    require_close(l1, 0.2, wanted)
    require(abs(l2 - 0.2) > 1e-3, "for L2 you return the median. There, far values pull harder.")
    require_close(l2, middle, "for L2, set the sum of (c - x) to zero and solve for c.")
    return "L2 asks for the mean, L1 for the median, whatever the network is."


@check
def gray_from_vivid(answer):
    """Exercise 2: vivid colors that L1 paints gray, and L2 does not."""
    pairs = [tuple(float(filled(value)) for value in filled(pair)) for pair in filled(answer)]
    require(all(len(pair) == 2 for pair in pairs), "each color is a pair (a*, b*).")
    require(len(pairs) >= 3, f"{len(pairs)} colors are too few: give at least three.")
    colors = torch.tensor(pairs)
    require(colors.abs().max() <= 100, "no value may be beyond ±100.")
    dull = int(colors.norm(dim=1).argmin())
    message = f"{pairs[dull]} is less than 30 from gray, but every color must be vivid."
    require(colors[dull].norm() >= 30, message)
    ordered = colors.sort(dim=0).values
    low, high = ordered[(len(pairs) - 1) // 2], ordered[len(pairs) // 2]
    for channel, below, above in zip("ab", low.tolist(), high.tolist()):
        free = f"for {channel}*, L1 doesn't care between {below:g} and {above:g}; add one color."
        require(abs(below - above) < 1e-6, free)
        off = f"the median of the {channel}* values is {below:g}; for gray it must be 0."
        require(abs(below) < 1e-6, off)
    balance = colors.mean(dim=0)
    shown = f"({balance[0]:.0f}, {balance[1]:.0f})"
    both_gray = f"L1 predicts gray, but L2 nearly does too: the mean is {shown}, within 5 of gray."
    require(balance.norm() >= 5, both_gray)
    return f"L1 predicts gray, which isn't among the colors; L2 predicts {shown}."


@check
def hinge(answer):
    """Exercise 3: both sides of the hinge loss."""
    of_d, of_g = (filled(side) for side in answer)
    real, fake = torch.tensor([3.0, 0.5, -2.0], requires_grad=True), torch.tensor([-4.0, 0.2])
    got, wanted = _loss_of_d(of_d, real, fake), hinge_discriminator(real, fake)
    require(isinstance(got, torch.Tensor), f"return a tensor; you return a {type(got).__name__}.")
    require(got.ndim == 0, f"return one number, the mean; you return {got.numel()}.")
    require(got.requires_grad, "D could not learn from it: use neither .item() nor .detach().")
    require(not alike(got, 2 * wanted), "twice too much: each half has the weight ½.")
    swapped = "real and fake are swapped: this D wants fakes above 1."
    require(not alike(got, hinge_discriminator(-real, -fake)), swapped)
    open_end = ((1 - real).mean() + (1 + fake).mean()) / 2
    rewarded = "logits beyond ±1 are still rewarded; there the loss should be 0: max(0, ...)."
    require(not alike(got, open_end), rewarded)
    late = (real.neg().clamp(min=0).mean() + fake.clamp(min=0).mean()) / 2
    require(not alike(got, late), "the margin is missing: your loss stops at 0, not at ±1.")
    require_close(got, wanted, "compare with max(0, 1 - D(x)) for real, max(0, 1 + D(G)) for fake.")
    _require_loss_of_g(of_g, fake)
    return "the same as colorlib's; fakes that D is sure of cost it nothing."


def _loss_of_d(of_d, real, fake):
    """D's loss as the learner computes it; errors of PyTorch that need other words get them."""
    try:
        return filled(of_d(real, fake))
    except RuntimeError as error:
        pythons = "Python's `max` compares two numbers, not tensors; take `t.clamp(min=0)`."
        require("ambiguous" not in str(error), pythons)
        halves = "you add the two halves number by number, but there may be more real logits than "
        halves += "fake ones: take the mean of each half first."
        require("must match the size" not in str(error), halves)
        raise


def _require_loss_of_g(of_g, fake):
    score, asked = filled(of_g(fake)), negative_mean_generator(fake)
    require(isinstance(score, torch.Tensor), "G's loss must be a tensor too.")
    require(score.ndim == 0, f"G's loss is one number, the mean; you return {score.numel()}.")
    caught = "G's sign is wrong: it wants high logits, so its loss falls as they rise."
    require(not alike(score, -asked), caught)
    half = "G's loss has no ½, and it is a mean, not a sum."
    require(not any(alike(score, factor * asked) for factor in (0.5, len(fake))), half)
    no_hinge = "G's loss has no hinge: it is -mean D(G), however high the logits are already."
    require_close(score, asked, no_hinge)


@check
def taste(answer):
    """Exercise 4: the λ with the best PSNR among those that commit, and its price."""
    weight, price = (float(filled(value)) for value in answer)
    means = sweep_means()
    listed = ", ".join(f"{each:g}" for each in means)
    require(weight in means, f"λ = {weight:g} was not recorded; choose one of {listed}.")
    psnr, committed = means[weight]
    few = f"with λ = {weight:g}, the mean share of decided balloon pixels is only {committed:.0%}."
    require(committed >= ENOUGH, few)
    decided = {each: psnr for each, (psnr, committed) in means.items() if committed >= ENOUGH}
    truer = f"λ = {weight:g} meets the condition, but another λ does too, with a better PSNR."
    require(psnr > max(decided.values()) - TIE, truer)
    wanted = max(psnr for psnr, _ in means.values()) - psnr
    require(price > -0.05, "a price is positive: the best PSNR minus the one that you deliver.")
    require_close(price, wanted, "subtract its mean PSNR from the largest mean PSNR.", 0.06)
    tied = [each for each in decided if each != weight and abs(decided[each] - psnr) < TIE]
    also = "".join(
        f" (λ = {each:g} ties: {abs(decided[each] - psnr):.2f} dB apart, and two seeds can't tell.)"
        for each in tied
    )
    return f"λ = {weight:g}, for {wanted:.1f} dB: that is the price of a decision.{also}"


def sweep_means() -> dict[float, tuple[float, float]]:
    """Average PSNR and `committed` of each recorded λ over its seeds."""
    rows = mean_rows(read_sweep(), "lambda")
    return {row["lambda"]: (row["psnr_ab"], row["committed"]) for row in rows}
