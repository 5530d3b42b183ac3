"""Checks of lesson 02: the best critic, the equilibrium, the critic's loss, the procedure."""

import math

import torch

from colorlib.losses import bce_discriminator
from lessonkit.checks import alike, check, filled, require, require_close
from lessonkit.toy_gan import best_discriminator


@check
def best_critic(answer):
    """Exercise 1: the best critic's answer, p / (p + q)."""
    p = torch.tensor([0.5, 0.2, 0.0, 0.4])
    q = torch.tensor([0.5, 0.6, 0.3, 0.1])
    got = torch.as_tensor(answer(p, q))
    require(
        got.dtype.is_floating_point,
        "that is a yes or no; the critic should say how likely “real” is.",
    )
    require(got.shape == p.shape, f"one answer for each x, please; you return {tuple(got.shape)}.")
    brackets = "p/p + q is 1 + q: which brackets are missing?"
    require(not alike(got.nan_to_num(), (p / p + q).nan_to_num()), brackets)
    swapped = "you return the share of the fakes; which share is real?"
    require(not alike(got, q / (p + q)), swapped)
    require(
        got.max() <= 1,
        "answers above 1: you return how many times likelier “real” is, not a share.",
    )
    require(got.min() >= 0, "answers below 0: a difference, not a share between 0 and 1.")
    nowhere = "where nothing real ever is (p = 0) answer 0: everything seen there is fake."
    require(got[2] == 0, nowhere)
    message = "with p = 0.2 and q = 0.6 one number in four is real: answer 0.25."
    require_close(got, best_discriminator(p, q), message)
    return "p / (p + q), the share of real ones among all that look like this."


@check
def at_equilibrium(answer):
    """Exercise 2: D's probability, D's loss and the value V when the fakes are perfect."""
    names = ("d_says", "d_loss", "value")
    left = [name for name, number in zip(names, answer) if number is None or number is ...]
    message = f"a `...` is left: {' and '.join(left)}."
    require(len(left) in (0, len(names)), message)
    says, loss, value = (float(filled(number)) for number in answer)
    require(says != 1, "D = 1 calls everything real, so every fake too; what if half are fake?")
    require(says != 0, "D = 0 calls everything fake; but half of what it sees is real.")
    require_close(says, 0.5, "with q = p, what is p / (p + q)?", 0.01)
    sure = "a loss of 0 needs a D that is sure and right; this one cannot tell."
    require(loss != 0, sure)
    require(loss > 0, "a loss is -log of a probability: positive here.")
    natural = "that is the logarithm to base 10; take the natural one, math.log."
    is_base_10 = any(abs(abs(got) - math.log10(2)) < 0.01 for got in (loss, value))
    is_base_10 |= any(abs(abs(got) - math.log10(4)) < 0.01 for got in (loss, value))
    require(not is_base_10, natural)
    summed = "that is the sum over real and fake; D's loss here is half of it."
    require(abs(loss - math.log(4)) > 0.01, summed)
    require_close(
        loss,
        math.log(2),
        "D's loss is -log 0.5 for a real one and -log 0.5 for a fake one; average the two.",
        0.01,
    )
    require(value < 0, "V adds logarithms of probabilities, and those are below 0.")
    half = "that is one of V's two terms; add the one for the fakes."
    require(abs(value + math.log(2)) > 0.01, half)
    require_close(value, -math.log(4), "V = log(1/2) for the real + log(1/2) for the fake.", 0.01)
    return "one half, log 2 and -log 4. Code that adds D's two means shows 1.39 here, not 0.69."


@check
def critic_loss(answer):
    """Exercise 3: D's loss on logits."""
    real, fake = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([-3.0, 1.0])
    got, wanted = answer(real, fake), bce_discriminator(real, fake)
    require(isinstance(got, torch.Tensor), f"return a tensor; you return a {type(got).__name__}.")
    require(got.ndim == 0, f"return one number, the mean; you return {got.numel()}.")
    require(not alike(got, 2 * wanted), "twice too much: halve the sum of the two means.")
    flipped = bce_discriminator(-real, -fake)
    signs = "here D pays for being right: use softplus(-logit) for real, softplus(+logit) for fake."
    require(not alike(got, flipped), signs)
    label_0 = "fakes ask for label 0 here: softplus(+logit). Label 1 is what G asks for."
    require(not alike(got, bce_discriminator(real, -fake)), label_0)
    label_1 = "real ones ask for label 1: softplus(-logit)."
    require(not alike(got, bce_discriminator(-real, fake)), label_1)
    require(not got.isnan(), "these are logits, not probabilities: no log of them; use softplus.")
    require(
        torch.sign(got) == 1, "your loss is below 0: mind the minus, because -log D is positive."
    )
    sure = answer(torch.tensor([-200.0]), torch.tensor([200.0]))
    infinite = "infinite when D is sure and wrong: log(sigmoid(t)) breaks; use softplus."
    require(sure.isfinite(), infinite)
    capped = f"a D that is sure and wrong, with logits of -200 and 200, pays {sure:.0f} instead of "
    capped += "200: a sigmoid before the logarithm rounds. Use softplus."
    require_close(sure, 200.0, capped)
    sums = "take the mean of the real and the mean of the fake, then the mean of both."
    require_close(got, wanted, sums)
    return "the same as colorlib.losses.bce_discriminator."


@check
def procedure(answer):
    """Exercise 4: the order of the training procedure, and the three labels."""
    order, labels = (filled(part) for part in answer)
    order = "".join(order).upper().replace(" ", "")
    require(sorted(order) == list("ABCDE"), "use each of the letters A to E once, such as 'ABCDE'.")
    require(order[0] == "B", "before all else there must be two players to train.")
    require(order[-1] == "E", "repeating comes last: it sends you back to the next batch.")
    early = "D learns from a batch: it must be drawn before D's turn."
    require(order.index("C") < order.index("D"), early)
    first = "D's turn comes before G's: a critic who has seen nothing can teach nothing."
    require(order.index("D") < order.index("A"), first)
    left = [label for label in labels if label is None or label is ...]
    require(len(left) in (0, len(labels)), "the order is right; now fill in every label.")
    labels = tuple(filled(label) for label in labels)
    words = "labels are numbers: 1 or 0."
    require(not any(isinstance(label, str) for label in labels), words)
    labels = tuple(float(label) for label in labels)
    require(len(labels) == 3, f"three labels, please; there are {len(labels)}.")
    require(labels[:2] != (0, 1), "in D's turn it is the other way around: real 1, fake 0.")
    require(labels[2] != 0, "in G's turn label 0 would teach G to be caught.")
    require(
        labels == (1, 0, 1), "1 says “real”, 0 says “fake”; each player asks for what it wants."
    )
    return "the same fakes get label 0 in D's turn and label 1 in G's: that is the game."
