"""Checks of lesson 08: the best constant, gray from vivid colors, the hinge loss, a λ."""

import torch

from colorlib.losses import hinge_discriminator, negative_mean_generator
from lessonkit.checks import check, filled, require, require_close
from lessonkit.lesson_08.brown import mean_rows, read_sweep

ENOUGH = 0.3  # of the balloon pixels are to be decidedly red or blue


@check
def best_constant(answer):
    """Exercise 1: the guess with the smallest mean loss, for L2 and for L1."""
    values = torch.tensor([-0.5, 1.0, -0.5, 0.2, 5.0])
    l1, l2 = (torch.as_tensor(answer(values.clone(), loss)) for loss in ("l1", "l2"))
    require(l1.numel() == l2.numel() == 1, "return one number, the guess.")
    l1, l2 = l1.item(), l2.item()
    middle = values.mean().item()
    both = f"for L1 you return the mean, {l1:.2g}; try values 0, 0, 1: which guess costs least?"
    require(abs(l1 - middle) > 1e-3, both)
    require(abs(l1 - 2.25) > 1e-3, "the middle of the range: 5 is rare, and counts too much.")
    costs = (values - values.median()).abs().mean().item(), values.var(correction=0).item()
    loss = "that is the smallest *loss*; return the guess at which it is reached."
    require(abs(l1 - costs[0]) > 1e-3 and abs(l2 - costs[1]) > 1e-3, loss)
    require(
        abs(l1 + 0.5) > 1e-3, "for L1 that is the most frequent value; is it also in the middle?"
    )
    wanted = "for L1 as many values must lie above the guess as below it: sort them."
    require_close(l1, 0.2, wanted)
    require(abs(l2 - 0.2) > 1e-3, "for L2 you return the median; far values pull harder there.")
    require_close(l2, middle, "for L2 set the sum of (c - x) to zero and solve for c.")
    return "L2 asks for the mean, L1 for the median: a network can do no other."


@check
def gray_from_vivid(answer):
    """Exercise 2: vivid colors that L1 paints gray, and L2 does not."""
    pairs = [tuple(float(filled(value)) for value in filled(pair)) for pair in filled(answer)]
    require(all(len(pair) == 2 for pair in pairs), "each color is a pair (a*, b*).")
    require(len(pairs) >= 3, f"{len(pairs)} colors are too few: with three or more it can be done.")
    colors = torch.tensor(pairs)
    require(colors.abs().max() <= 100, "no value beyond ±100: such colors do not exist.")
    dull = int(colors.norm(dim=1).argmin())
    message = f"{pairs[dull]} is less than 30 from gray; every color is to be vivid."
    require(colors[dull].norm() >= 30, message)
    ordered = colors.sort(dim=0).values
    low, high = ordered[(len(pairs) - 1) // 2], ordered[len(pairs) // 2]
    for channel, below, above in zip("ab", low.tolist(), high.tolist()):
        free = f"for {channel}* L1 does not care between {below:g} and {above:g}; add one color."
        require(abs(below - above) < 1e-6, free)
        off = f"the median of the {channel}* values is {below:g}; for gray it has to be 0."
        require(abs(below) < 1e-6, off)
    balance = colors.mean(dim=0)
    shown = f"({balance[0]:.0f}, {balance[1]:.0f})"
    lopsided = f"L1 paints gray, but so nearly does L2: the mean is {shown}, less than 5 from gray."
    require(balance.norm() >= 5, lopsided)
    return f"L1 paints gray, a color that is not among them; L2 paints {shown}."


@check
def hinge(answer):
    """Exercise 3: both sides of the hinge loss."""
    critic, painter = (filled(side) for side in answer)
    real, fake = torch.tensor([3.0, 0.5, -2.0], requires_grad=True), torch.tensor([-4.0, 0.2])
    try:
        got, wanted = filled(critic(real, fake)), hinge_discriminator(real, fake)
    except RuntimeError as error:
        pythons = "Python's `max` compares two numbers, not tensors; take `t.clamp(min=0)`."
        require("ambiguous" not in str(error), pythons)
        raise
    require(isinstance(got, torch.Tensor), f"return a tensor; you return a {type(got).__name__}.")
    require(got.ndim == 0, f"return one number, the mean; you return {got.numel()}.")
    require(got.requires_grad, "D could not learn from it: no `.item()` and no `.detach()`.")
    require(not torch.isclose(got, 2 * wanted), "twice too much: each half is weighted with ½.")
    swapped = "real and fake are swapped: this critic wants fakes above 1."
    require(not torch.isclose(got, hinge_discriminator(-real, -fake)), swapped)
    open_end = ((1 - real).mean() + (1 + fake).mean()) / 2
    rewarded = "logits beyond ±1 are still rewarded; there the loss is to be 0: max(0, ...)."
    require(not torch.isclose(got, open_end), rewarded)
    late = (real.neg().clamp(min=0).mean() + fake.clamp(min=0).mean()) / 2
    require(not torch.isclose(got, late), "the margin is missing: it stops at 0, not at ±1.")
    require_close(got, wanted, "max(0, 1 - D(x)) for real, max(0, 1 + D(G)) for fakes; then means.")
    score, asked = filled(painter(fake)), negative_mean_generator(fake)
    require(isinstance(score, torch.Tensor), "the painter's loss is a tensor, too.")
    caught = "the painter's sign: she wants high logits, so the loss falls as they rise."
    require(not torch.isclose(torch.as_tensor(score).mean(), -asked), caught)
    half = "the painter's loss has no ½, and it is a mean, not a sum."
    factors = (torch.isclose(torch.as_tensor(score), factor * asked) for factor in (0.5, 1.0, 2.0))
    require([bool(factor) for factor in factors] != [True, False, False], half)
    no_hinge = "the painter has no hinge: -mean D(G), however high the logits are already."
    require_close(score, asked, no_hinge)
    return "the same as colorlib's; what is safely caught costs this critic nothing."


@check
def taste(answer):
    """Exercise 4: the λ with the best PSNR among those that commit, and its price."""
    weight, price = (float(filled(value)) for value in answer)
    means = sweep_means()
    listed = ", ".join(f"{each:g}" for each in means)
    require(weight in means, f"λ = {weight:g} was not recorded; choose among {listed}.")
    psnr, committed = means[weight]
    few = f"with λ = {weight:g} the mean share of decided balloon pixels is {committed:.0%}."
    require(committed >= ENOUGH, few)
    best = max(psnr for psnr, committed in means.values() if committed >= ENOUGH)
    # two seeds do not tell smaller differences from chance
    truer = f"λ = {weight:g} keeps the order, but another one does too, with a better PSNR."
    require(psnr > best - 0.1, truer)
    wanted = max(psnr for psnr, _ in means.values()) - psnr
    require(price > -0.05, "a price is positive: the best PSNR minus the one you deliver.")
    require_close(price, wanted, "subtract its mean PSNR from the largest mean PSNR.", 0.06)
    return f"λ = {weight:g}, for {wanted:.1f} dB: now you can say what a decision costs."


def sweep_means() -> dict[float, tuple[float, float]]:
    """Mean PSNR and `committed` of each recorded λ, over its seeds."""
    rows = mean_rows(read_sweep(), "lambda")
    return {row["lambda"]: (row["psnr_ab"], row["committed"]) for row in rows}
