"""Checks of lesson 10: series of photos, hours, what must survive, a constant, a rival's curve."""

import math

import numpy as np

from lessonkit.checks import check, filled, require, require_close
from lessonkit.lesson_10 import photo_run

BURSTS = [f"{place}_{number}.jpg" for place in "abcdefghijkl" for number in range(1, 5)]
CURVE = [(20.0, 12.0), (30.0, 12.4), (50.0, 14.4)]
KEPT = {
    "checkpoint.pt": "both networks, both optimizers, the step and the random numbers",
    "history.csv": "the curves: for your eyes",
    "generator.safetensors": "G alone: enough to color photos, not to go on",
    "samples": "pictures: for your eyes",
    "config.json": "the settings: the same call writes them again",
    "split.txt": "which photos are for the test: the hash of the same names finds them again",
    "decoded photos": "the cache: made anew from the photos",
    "the photos": "they come from where they came from the first time",
}


@check
def split_by_series(answer):
    """Exercise 1: a split of photos in which no series stands on both sides."""
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
        f"series {min(both, default='')} stands on both sides, so the test has nearly been trained "
        "on: divide the series, not the photos",
    )
    require(
        len(test) == 8,
        f"of 12 series 2 are for the test, 8 photos; you have {len(test)}. split_by_photo divides "
        "any list of names 5:1, also one of series",
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
    return "no shot of a series that is tested was trained on."


@check
def training_hours(answer):
    """Exercise 2: how many hours a training takes."""
    got = float(answer(3600, 10, 10, 1.0))
    require(got != 3600, "3,600 are the seconds; there are 3,600 of them in an hour")
    require(got != 60, "60 are the minutes; divide once more by 60")
    require(got != 0.1, "that is one epoch: there are 10 of them")
    require(
        got != 10, "you count a step for each photo; a step takes a whole batch of them, here 10"
    )
    require_close(got, 1.0, f"3,600 photos, 10 epochs, batch 10, 1 s a step: 1 hour, not {got:g}")
    wanted = photo_run.training_hours(5019, 1000, 1000, 3.6)
    got = float(answer(5019, 1000, 1000, 3.6))
    require(
        abs(got - 5.019) > 1e-9 and abs(got - 5) > 1e-9,
        f"5,019 photos in batches of 1,000 make 6 steps an epoch, the last one short; you count "
        f"{got:.4g}. Round up: math.ceil",
    )
    require_close(got, wanted, f"5,019 photos, 1,000 epochs, batch 1,000, 3.6 s: {wanted:g} h")
    require_close(
        float(answer(9, 1, 8, 1800.0)), 1.0, "9 photos in batches of 8 are two steps, not one"
    )
    return "a minute of arithmetic before hours of training."


@check
def needed(answer):
    """Exercise 3: what must survive a disconnect so that the run goes on as if nothing happened."""
    require(
        isinstance(answer, set | frozenset | list | tuple),
        'give a set of names from the list: {"history.csv", ...}',
    )
    for item in answer:
        filled(item)
    chosen = set(answer)
    strange = sorted(chosen - set(KEPT))
    require(not strange, f"{strange[:1]} is not in the list: {', '.join(KEPT)}")
    require(
        "checkpoint.pt" in chosen,
        "the run begins at step 0: nothing of what you keep holds both networks *and* what their "
        "optimizers remember",
    )
    useless = sorted(chosen - {"checkpoint.pt"})
    if useless:
        require(False, f"{useless[0]} need not survive: {KEPT[useless[0]]}")
    return "one file. Put the run's folder where it survives, and it is always there."


@check
def choose_factor(answer):
    """Exercise 4: the constant by which a rival becomes as colorful as the run beside it."""
    painted = {1.0: 18.0, 1.5: 26.0, 2.0: 33.0, 2.5: 41.0, 3.0: 50.0}
    got = answer(painted, 34.0)
    require(
        got not in painted.values(),
        f"{got} is a colorfulness; return the constant that it belongs to: a key of `painted`",
    )
    require(got in painted, f"{got} is none of the constants that were tried: {list(painted)}")
    require(
        got != 2.5,
        "2.5 is the first that is as colorful or more; 33 lies nearer to 34 than 41 does",
    )
    require(got != 3.0, "3.0 is the loudest of all; the nearest to the target is wanted")
    require(got == 2.0, f"for a target of 34 the nearest is 33, at 2.0; you return {got}")
    require(
        answer(painted, 38.0) == 2.5,
        f"for a target of 38 it is 2.5, since 41 is nearer than 33; you return "
        f"{answer(painted, 38.0)}",
    )
    shuffled = dict(sorted(painted.items(), reverse=True))
    require(answer(shuffled, 19.0) == 1.0, "it must not depend on the order of the dictionary")
    return "chosen on validation photos; the test photos have had no say."


@check
def ahead_of_rival(answer):
    """Exercise 5: how far a run is ahead of the rival's curve, at its own colorfulness."""
    on_point = float(answer(30.0, 12.0, CURVE))
    require(
        abs(on_point + 0.4) > 1e-6,
        "that is the run's error minus the rival's: ahead is a *smaller* error, so it is the other "
        "way round",
    )
    require_close(
        on_point, 0.4, "at colorfulness 30 the rival's error is 12.4; a run of 12.0 is 0.4 ahead"
    )
    between = float(answer(40.0, 13.0, CURVE))
    nearest = {12.4 - 13.0, 14.4 - 13.0}
    require(
        not any(abs(between - value) < 1e-6 for value in nearest),
        "you take the nearest point of the curve; between two points go along the line: at 40 the "
        "rival's error is 13.4 (np.interp does it)",
    )
    require_close(between, 0.4, f"at 40 the rival's error is 13.4, so 0.4; you return {between:g}")
    outside = float(answer(70.0, 15.0, CURVE))
    require(
        math.isnan(outside),
        f"the curve ends at 50; for a run at 70 you return {outside:g}, and nobody has measured "
        "that: return float('nan')",
    )
    require(math.isnan(float(answer(10.0, 11.0, CURVE))), "below 20 nobody has measured either")
    points = np.array(CURVE)
    for value in (20.0, 25.0, 50.0):
        wanted = np.interp(value, points[:, 0], points[:, 1]) - 12.0
        require_close(answer(value, 12.0, CURVE), wanted, f"at {value:g} it is {wanted:.2f}")
    return "above 0 the game was worth its hours; below, a multiplication does as well."
