"""The checks of lesson 11 accept the solutions and name the usual mistakes."""

import pytest
import torch
from check_cases import cases, judge
from torch.nn.functional import l1_loss

from colorlib.lesson.checks import lesson_11 as checks


def end_to_end(loading, step, is_ahead):
    if is_ahead:
        return min(loading, step)
    return 1 / (1 / loading + 1 / step)


def work_of_a_step(g, d, is_shared):
    if is_shared:
        return g + 2 * g + 2 * (d + 2 * d) + (d + d)
    return g + 2 * (d + 2 * d) + (g + 2 * g) + (d + 2 * d)


def work(naive_g, naive_d, shared_g, shared_d):
    """Another count, by what it counts."""

    def answer(g, d, is_shared):
        return shared_g * g + shared_d * d if is_shared else naive_g * g + naive_d * d

    return answer


def mean_loss(step, batches):
    losses = [step(batch) for batch in batches]
    return torch.stack(losses).mean().item()


def reads_each(step, batches):
    return sum(step(batch).item() for batch in batches) / len(batches)


def moves_each(step, batches):
    return torch.stack([step(batch).cpu() for batch in batches]).mean().item()


def looks_for_nan(step, batches):
    losses = []
    for batch in batches:
        losses.append(step(batch))
        if losses[-1] != losses[-1]:
            break
    return torch.stack(losses).mean().item()


def averaged_gradient(network, L, real_ab, parts):
    network.zero_grad()
    for part_L, part_ab in zip(L.chunk(parts), real_ab.chunk(parts)):
        (l1_loss(network(part_L), part_ab) / parts).backward()
    return [parameter.grad.clone() for parameter in network.parameters()]


def gradient(
    clear="before", share=lambda parts: 1 / parts, give=lambda weight: weight.grad.clone()
):
    """The gradient with a mistake in it."""

    def answer(network, L, real_ab, parts):
        if clear != "never":
            network.zero_grad()
        for part_L, part_ab in zip(L.chunk(parts), real_ab.chunk(parts)):
            if clear == "each":
                network.zero_grad()
            (share(parts) * l1_loss(network(part_L), part_ab)).backward()
        return [give(weight) for weight in network.parameters()]

    return answer


def ring_bytes(parameters, gpus):
    return 2 * (gpus - 1) / gpus * 4 * parameters


RIGHT = {
    "end_to_end": end_to_end,
    "work_of_a_step": work_of_a_step,
    "mean_loss": mean_loss,
    "averaged_gradient": averaged_gradient,
    "ring_bytes": ring_bytes,
}
WRONG = {
    "end_to_end": [
        (lambda loading, step, is_ahead: loading + step, "more than the slower part"),
        (lambda loading, step, is_ahead: 1 / loading + 1 / step, "seconds a photo"),
        (lambda loading, step, is_ahead: min(loading, step), "alone"),
        (lambda loading, step, is_ahead: end_to_end(loading, step, False), "at the same time"),
        (lambda a, b, ahead: max(a, b) if ahead else end_to_end(a, b, False), "has to wait"),
        (lambda a, b, ahead: b if ahead else end_to_end(a, b, False), "may also be the loading"),
        (lambda loading, step, is_ahead: str(loading), "return a number"),
    ],
    "work_of_a_step": [
        (lambda g, d, is_shared: 4 * g + 9 * d, "changes nothing"),
        (work(3, 9, 2, 8), "D's step paints as well"),
        (work(2, 9, 1, 8), "G's backward pass is missing"),
        (work(4, 6, 3, 8), "asked three times"),
        (work(4, 3, 3, 8), "D's backward passes"),
        (work(4, 9, 4, 8), "paints once"),
        (work(4, 9, 3, 9), "D is held"),
        (work(4, 9, 3, 7), "must still pass back"),
        (work(5, 9, 3, 8), "5 times g"),
    ],
    "mean_loss": [
        (reads_each, "you wait 10 times"),
        (moves_each, "you wait 11 times"),
        (looks_for_nan, "you wait 11 times"),
        (lambda step, batches: sum(step(b) for b in batches).item(), "the sum"),
        (lambda step, batches: [step(b) for b in batches][-1].item(), "the last loss"),
        (lambda step, batches: torch.stack([step(b) for b in batches]).mean(), "not been read"),
        (lambda step, batches: step(batches[0]).item(), "called 1 times"),
        (lambda step, batches: mean_loss(step, batches[::-1]), "in their order"),
    ],
    "averaged_gradient": [
        (gradient(share=lambda parts: 1), "averaged, not added"),
        (gradient(share=lambda parts: 1 / parts**2), "divide once"),
        (gradient(clear="each"), "last part alone"),
        (gradient(clear="each", share=lambda parts: 1), "last part alone"),
        (gradient(clear="never"), "the first call is right"),
        (gradient(give=lambda weight: weight), "not the parameter"),
        (lambda *given: averaged_gradient(*given)[0], "return a list"),
        (lambda *given: averaged_gradient(*given)[1:], "you return 3 gradients"),
    ],
    "ring_bytes": [
        (lambda parameters, gpus: 8 * parameters, "nobody to send to"),
        (lambda parameters, gpus: ring_bytes(parameters, gpus) / 4, "a float32 has 4 bytes"),
        (lambda parameters, gpus: ring_bytes(parameters, gpus) / 2, "twice"),
        (lambda parameters, gpus: ring_bytes(parameters, gpus) * gpus, "one N-th"),
        (lambda parameters, gpus: 8 * ring_bytes(parameters, gpus), "bits"),
        (lambda parameters, gpus: 8.0 * parameters * (gpus > 1), "N − 1 rounds"),
    ],
}


@pytest.mark.parametrize("check, answer, words", cases(checks, RIGHT, WRONG))
def test_check(check, answer, words):
    judge(check, answer, words)
