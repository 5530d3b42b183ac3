"""Checks of lesson 10: series of photos, hours, a frozen encoder, a constant."""

import torch

from colorlib.generator import PretrainedUNet, count_parameters
from lessonkit.checks import check, require, require_close
from lessonkit.lesson_10 import photo_run

BURSTS = [f"{place}_{number}.jpg" for place in "abcdefghijkl" for number in range(1, 5)]


@check
def split_by_series(answer):
    """Exercise 1: a split of photos in which no series is on both sides."""
    parts = answer(list(BURSTS))
    is_pair = isinstance(parts, tuple | list) and len(parts) == 2
    require(is_pair, "return two lists: the names to train on, and those to test on")
    train, test = map(list, parts)
    require(
        all(isinstance(name, str) and "." in name for name in train + test),
        "return names of photos, chelsea_2.jpg, not of series: take all photos whose series is in "
        "the test",
    )
    require(
        sorted(train + test) == sorted(BURSTS),
        f"{len(BURSTS)} photos went in, {len(train)} + {len(test)} came out; each belongs in "
        "exactly one list",
    )
    both = {photo_run.series(name) for name in train} & {photo_run.series(name) for name in test}
    require(
        not both,
        f"series {min(both, default='')} is on both sides, so the test has nearly been trained "
        "on: divide the series, not the photos",
    )
    require(
        len(test) == 8,
        f"2 of the 12 series belong in the test, so 8 photos; you have {len(test)}. split_by_photo "
        "divides any list of names 5:1, also a list of series",
    )
    again = answer(list(reversed(BURSTS)))
    require(
        set(again[1]) == set(test),
        "the same names in another order give another split; on another computer they come in "
        "another order: use split_by_photo, which goes by the names",
    )
    require(
        set(test) == set(photo_run.split_by_series(BURSTS)[1]),
        "the split is good, but not the one of split_by_photo with the seed that is given",
    )
    return "no series is on both sides."


@check
def training_hours(answer):
    """Exercise 2: how many hours a training takes."""
    got = float(answer(3600, 10, 10, 1.0))
    require(got != 3600, "3,600 is the time in seconds; an hour has 3,600 seconds")
    require(got != 60, "60 is the time in minutes; divide by 60 once more")
    require(got != 0.1, "that is one epoch: there are 10 of them")
    require(
        got != 10, "you count a step for each photo; a step takes a whole batch of them, here 10"
    )
    require_close(got, 1.0, f"3,600 photos, 10 epochs, batch 10, 1 s per step: 1 hour, not {got:g}")
    wanted = photo_run.training_hours(5019, 1000, 1000, 3.6)
    got = float(answer(5019, 1000, 1000, 3.6))
    require(
        abs(got - 5.019) > 1e-9 and abs(got - 5) > 1e-9,
        f"5,019 photos in batches of 1,000 make 6 steps per epoch, the last one short; you get "
        f"{got:.4g}. Round up the steps of each epoch: math.ceil",
    )
    require_close(got, wanted, f"5,019 photos, 1,000 epochs, batch 1,000, 3.6 s: {wanted:g} h")
    require_close(
        float(answer(9, 1, 8, 900.0)),
        0.5,
        "9 photos in batches of 8 are two steps, so at 900 s per step half an hour: 0.5. Round the "
        "steps, not the hours",
    )
    return "a minute of arithmetic before hours of training."


@check
def freeze_encoder(answer):
    """Exercise 3: only the decoder of a PretrainedUNet still learns."""
    network = PretrainedUNet(widths=(8, 8, 8, 8))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    count = answer(network)
    inner = [p.requires_grad for p in network.encoder.parameters()]
    outer = [
        p.requires_grad for name, p in network.named_parameters() if not name.startswith("encoder.")
    ]
    require(
        any(outer),
        "now nothing learns at all; freeze `network.encoder`, not `network`",
    )
    modules = [(f"network.{name}" if name else "network", m) for name, m in network.named_modules()]
    marked = [name for name, module in modules if hasattr(module, "requires_grad")]
    require(
        not (marked and any(inner)),
        f"`{min(marked, default='')}.requires_grad = False` freezes nothing: it only adds a new "
        "attribute to a module. PyTorch reads requires_grad from each parameter of the encoder",
    )
    require(
        not all(inner),
        "the encoder still learns: its parameters need requires_grad = False. (eval() doesn't do "
        "that: it only changes how batch norm and dropout behave)",
    )
    require(not any(inner), f"{sum(inner)} of the encoder's {len(inner)} tensors still learn")
    require(all(outer), "part of the decoder is frozen too: it has to learn all of the colors")
    same = all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    require(same, "the weights have changed: freezing leaves them as they are")
    wanted = sum(p.numel() for p in network.parameters() if p.requires_grad)
    total = count_parameters(network)
    require(count != total, "that counts all parameters; count those with requires_grad")
    require(
        count != len([p for p in network.parameters() if p.requires_grad]),
        "that counts tensors; add up their numel()",
    )
    require(
        count != count_parameters(network.decoder),
        "that is the decoder alone; the last layer, `network.last`, is trained too",
    )
    require_close(count, wanted, f"{wanted:,} weights are still trained; you return {count}")
    return "the encoder keeps what it knows, and each step gets cheaper."


@check
def choose_k(answer):
    """Exercise 4: the most colorful constant that still keeps a lead over the lookup."""
    rows = [
        {"k": 1.0, "psnr_ab": 26.0, "colorfulness": 20.0},
        {"k": 1.2, "psnr_ab": 25.8, "colorfulness": 24.0},
        {"k": 1.4, "psnr_ab": 25.3, "colorfulness": 28.0},
        {"k": 1.6, "psnr_ab": 24.6, "colorfulness": 32.0},
    ]
    got = answer([dict(row) for row in rows], 25.0)
    require(not isinstance(got, dict), "that is a whole row; return its k")
    require(
        got != 1.6,
        "k = 1.6 is the largest k and the most colorful, but its PSNR, 24.6, is below 25.0: it "
        "gives up its lead over the lookup. First drop the rows below the least PSNR",
    )
    require(got != 1.0, "k = 1.0 has the highest PSNR; the most colorful one is wanted")
    require(got != 1.2, "k = 1.2 is allowed, but k = 1.4 is more colorful and still above 25.0")
    require(got in [row["k"] for row in rows], f"{got} is not one of the constants that were tried")
    require(got == 1.4, f"for a least PSNR of 25.0 it is 1.4; you return {got}")
    require(
        answer([dict(row) for row in reversed(rows)], 25.0) == 1.4,
        "the answer must not depend on the order of the rows",
    )
    require(answer([dict(row) for row in rows], 25.8) == 1.2, "a PSNR equal to the least is enough")
    rows.insert(3, {"k": 1.5, "psnr_ab": 25.1, "colorfulness": 27.5})  # too much
    got = answer([dict(row) for row in rows], 25.0)
    require(
        got != 1.5,
        "k = 1.5 is the largest k that keeps enough PSNR, but k = 1.4 is more colorful, 28.0 "
        "against 27.5: compare the colorfulness, not k",
    )
    require(got == 1.4, f"with one more row, k = 1.5, the answer is still 1.4; you return {got}")
    return "chosen on validation photos; the test photos have had no say."
