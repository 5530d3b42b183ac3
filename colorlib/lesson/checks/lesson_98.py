"""demo"""

import torch
from colorlib.lesson.checks import check, require


@check
def best_constant(answer):
    got = answer(torch.tensor([0.0, 0.0, 1.0]), "l1")
    require(got == 0, f"for L1 you return {got:g}; try values 0, 0, 1: which guess costs least?")
    return "L1 asks for the median."
