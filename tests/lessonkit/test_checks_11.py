"""The checks of lesson 11 accept the solutions and name the usual mistakes."""

import numpy as np
import pytest
import torch
from check_cases import cases, judge
from torch.nn.functional import l1_loss

from lessonkit.lesson_11 import checks


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
    losses = [step(batch).detach() for batch in batches]
    return torch.stack(losses).mean().item()


def keeps_graphs(step, batches):
    return torch.stack([step(batch) for batch in batches]).mean().item()


def adds_up(step, batches):
    total = 0.0
    for batch in batches:
        total = total + step(batch)
    return (total / len(batches)).item()


def cannot_train(step, batches):
    with torch.no_grad():
        return keeps_graphs(step, batches)


def named(step, batches):
    """Right: only the last loss still has its graph, because a variable names it."""
    losses = []
    for batch in batches:
        loss = step(batch)
        losses.append(loss.detach())
    return torch.stack(losses).mean().item()


def detached_sum(step, batches):
    total = torch.zeros(())
    for batch in batches:
        total += step(batch).detach()
    return (total / len(batches)).item()


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


def says_each(say, is_moved=False):
    """Collects the losses and does something with each."""

    def answer(step, batches):
        losses = []
        for batch in batches:
            losses.append(step(batch))
            said = say(losses[-1])
            if is_moved:
                losses[-1] = said
        return torch.stack(losses).mean().item()

    return answer


def averaged_gradient(network, L, real_ab, parts):
    network.zero_grad()
    for part_L, part_ab in zip(L.chunk(parts), real_ab.chunk(parts)):
        (l1_loss(network(part_L), part_ab) / parts).backward()
    return [parameter.grad.clone() for parameter in network.parameters()]


def whole_batch(network, L, real_ab, parts):
    return averaged_gradient(network, L, real_ab, 1)


def split(network, L, real_ab, parts):
    return averaged_gradient(network, L, real_ab, len(L) // parts)


def clears_at_the_end(network, L, real_ab, parts):
    for part_L, part_ab in zip(L.chunk(parts), real_ab.chunk(parts)):
        (l1_loss(network(part_L), part_ab) / parts).backward()
    gradients = [parameter.grad.clone() for parameter in network.parameters()]
    network.zero_grad()
    return gradients


def learns(network, L, real_ab, parts):
    gradients = averaged_gradient(network, L, real_ab, parts)
    torch.optim.SGD(network.parameters(), 0.1).step()
    return gradients


def collects(copy, clear):
    """Collects each part's gradients and takes their mean."""

    def answer(network, L, real_ab, parts):
        network.zero_grad()
        found = []
        for part_L, part_ab in zip(L.chunk(parts), real_ab.chunk(parts)):
            if clear:
                network.zero_grad()
            l1_loss(network(part_L), part_ab).backward()
            found.append([copy(weight.grad) for weight in network.parameters()])
        return [sum(each) / parts for each in zip(*found)]

    return answer


def functional_gradient(network, L, real_ab, parts):
    weights = list(network.parameters())
    pieces = zip(L.chunk(parts), real_ab.chunk(parts))
    found = [torch.autograd.grad(l1_loss(network(a), b), weights) for a, b in pieces]
    return [torch.stack(each).mean(0) for each in zip(*found)]


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


RIGHT = {
    "end_to_end": end_to_end,
    "work_of_a_step": work_of_a_step,
    "mean_loss": mean_loss,
    "averaged_gradient": averaged_gradient,
}
WRONG = {
    "end_to_end": [
        (lambda loading, step, is_ahead: loading + step, "more than the slower part"),
        (lambda loading, step, is_ahead: 1 / loading + 1 / step, "seconds per photo"),
        (lambda loading, step, is_ahead: min(loading, step), "alone"),
        (lambda loading, step, is_ahead: end_to_end(loading, step, False), "at the same time"),
        (lambda a, b, ahead: max(a, b) if ahead else end_to_end(a, b, False), "has to wait"),
        (lambda a, b, ahead: b if ahead else end_to_end(a, b, False), "may also be the loading"),
        (lambda a, b, ahead: (a + b) / 2, "a mean of rates"),
        (lambda a, b, ahead: min(a, b) * (1 if ahead else 0.8), "for 10 and 30 you say 8"),
        (lambda a, b, ahead: min(a, b) if ahead else a * b // (a + b), "for 10 and 30 you say 7"),
        (lambda loading, step, is_ahead: str(loading), "return a number"),
    ],
    "work_of_a_step": [
        (lambda g, d, is_shared: 4 * g + 9 * d, "changes nothing"),
        (work(3, 9, 2, 8), "D's step paints as well"),
        (work(2, 9, 1, 8), "G's backward pass is missing"),
        (work(4, 6, 3, 8), "judges three times"),
        (work(4, 3, 3, 8), "D's backward passes"),
        (work(4, 9, 4, 8), "paints once"),
        (work(4, 9, 3, 9), "D is frozen"),
        (work(4, 9, 3, 7), "still passes back"),
        (work(4, 9, 3, 6), "still judges"),
        (work(3, 6, 2, 5), "costs two forward passes, not one"),
        (work(5, 9, 3, 8), "5 times g"),
    ],
    "mean_loss": [
        (reads_each, "you wait 10 times"),
        (moves_each, "you wait 10 times"),
        (says_each(lambda loss: loss.to("cpu"), is_moved=True), "you wait 10 times"),
        (says_each(lambda loss: loss.to(device="cpu"), is_moved=True), "you wait 10 times"),
        (says_each(repr), "you wait 11 times"),  # as print does
        (says_each("{:.3f}".format), "you wait 11 times"),
        (says_each(lambda loss: torch.equal(loss, loss)), "you wait 11 times"),
        (says_each(torch.nonzero), "you wait 11 times"),
        (looks_for_nan, "you wait 11 times"),
        (lambda step, batches: sum(step(b) for b in batches).item(), "the sum"),
        (lambda step, batches: [step(b) for b in batches][-1].item(), "the last loss"),
        (lambda step, batches: torch.stack([step(b) for b in batches]).mean(), "not been read"),
        (lambda step, batches: step(batches[0]).item(), "called 1 times"),
        (lambda step, batches: mean_loss(step, batches[::-1]), "in their order"),
        (keeps_graphs, "the graphs of 9 steps"),
        (adds_up, "the graphs of 9 steps"),
        (cannot_train, "it can't train"),
    ],
    "averaged_gradient": [
        (gradient(share=lambda parts: 1), "averaged, not added"),
        (gradient(share=lambda parts: 1 / parts**2), "divide once"),
        (gradient(clear="each"), "last part alone"),
        (gradient(clear="each", share=lambda parts: 1), "last part alone"),
        (gradient(clear="never"), "clear the old gradients"),
        (gradient(share=lambda parts: 1 / 4), "divide by `parts`"),
        (gradient(give=lambda weight: weight.grad), "return copies"),
        (gradient(give=lambda weight: weight.grad.flatten()), "it should be (4, 1, 3, 3)"),
        (whole_batch, "4 parts of 8 pictures have 2 each; you give the network [8]"),
        (split, "`split` how large"),
        (clears_at_the_end, "clear the old gradients first"),
        (learns, "you changed the weights"),
        (collects(lambda grad: grad, clear=False), "`.clone()` each"),
        (collects(torch.clone, clear=False), "clear the old ones before each part"),
        (gradient(give=lambda weight: weight), "not the parameter"),
        (lambda *given: averaged_gradient(*given)[0], "return a list"),
        (lambda *given: averaged_gradient(*given)[1:], "you return 3 gradients"),
    ],
}


@pytest.mark.parametrize("check, answer, words", cases(checks, RIGHT, WRONG))
def test_check(check, answer, words):
    judge(check, answer, words)


@pytest.mark.parametrize(
    "check, answer",
    [
        ("end_to_end", lambda a, b, ahead: np.float32(end_to_end(a, b, ahead))),
        ("mean_loss", named),
        ("mean_loss", detached_sum),
        ("mean_loss", lambda step, batches: _stack(step, batches).mean().cpu().item()),
        ("mean_loss", lambda step, batches: float(_stack(step, batches).cpu().numpy().mean())),
        ("mean_loss", lambda step, batches: float(f"{_stack(step, batches).mean():.9f}")),
        ("averaged_gradient", collects(torch.clone, clear=True)),
        ("averaged_gradient", functional_gradient),
        ("averaged_gradient", gradient(give=lambda weight: weight.grad * 1)),
    ],
)
def test_another_right_answer(check, answer):
    judge(getattr(checks, check), answer, None)


def _stack(step, batches):
    return torch.stack([step(batch).detach() for batch in batches])
