"""Checks of lesson 11: two rates, a step's work, hidden waits, averaged gradients.

No check looks at a clock, because machines differ.
"""

import math
import weakref
from numbers import Real

import torch
from torch import nn
from torch.nn.functional import l1_loss

from lessonkit.checks import alike, check, filled, require, require_close
from lessonkit.lesson_11.fast import averaged_gradient as wanted_gradient


@check
def end_to_end(answer):
    """Exercise 1: the rate of the whole from the rates of its two parts."""
    in_turns, ahead = answer(100, 25, False), answer(100, 25, True)
    for got in (in_turns, ahead):
        require(isinstance(filled(got), Real), "return a number, in photos per second.")
    averaged = "a mean of rates is not the rate of the whole: add the seconds per photo."
    require(not any(math.isclose(in_turns, mean) for mean in (62.5, 50, 40)), averaged)
    require(in_turns <= 25, f"in turns you say {in_turns:g}: more than the slower part can do.")
    seconds = "you return seconds per photo; return photos per second, 1 / seconds."
    require(not math.isclose(in_turns, 0.05), seconds)
    same = "in turns the two wait for each other; you return the slower one's rate alone."
    require(in_turns != 25, same)
    require_close(
        in_turns, 20.0, "100 and 25 per second: 1/100 s, then 1/25 s, so 0.05 s per photo."
    )
    require(ahead != 100, "ahead: the faster part has to wait for the slower one.")
    require(not math.isclose(ahead, in_turns), "ahead: both work at the same time.")
    require_close(ahead, 25.0, "ahead: the slower of the two decides.")
    require_close(answer(10, 30, True), 10.0, "ahead: the slower may also be the loading.")
    other = answer(10, 30, False)
    wrong = (
        f"100 and 25 are right, but for 10 and 30 you say {other:g}: 1/10 s and 1/30 s per photo."
    )
    require_close(other, 7.5, wrong)
    return "in turns the seconds add up; ahead, the slower one decides."


@check
def work_of_a_step(answer):
    """Exercise 2: the multiplications of both steps, given those of a forward pass."""
    naive, shared = answer(48.1, 0.63, False), answer(48.1, 0.63, True)
    filled(naive), filled(shared)
    require(naive != shared, "is_shared changes nothing in your count.")
    for_g, for_d = answer(1.0, 0.0, False), answer(0.0, 1.0, False)
    once = "a backward pass costs two forward passes, not one."
    require((for_g, for_d) != (3, 6), once)
    require(for_g != 3, "naive: D's step paints as well; that is one more forward pass of G.")
    require(for_g != 2, "G's backward pass is missing; it costs two forward passes.")
    require_close(for_g, 4.0, f"naive: you count {for_g:g} times g; two forward, one backward.")
    require(for_d != 6, "naive: D judges three times: real, fake, and in G's step.")
    require(for_d != 3, "D's backward passes are missing; each costs two forward passes.")
    require_close(for_d, 9.0, f"naive: you count {for_d:g} times d; three passes, each 1 + 2.")
    for_g, for_d = answer(1.0, 0.0, True), answer(0.0, 1.0, True)
    require(for_g != 4, "shared: G paints once for both steps.")
    require_close(for_g, 3.0, f"shared: you count {for_g:g} times g; one forward, one backward.")
    require(for_d != 9, "shared: D is frozen in G's step, so the gradient only passes through it.")
    asked = "D is frozen, but it still judges, and the gradient goes back through it: 2 more."
    require(for_d != 6, asked)
    require(for_d != 7, "D is frozen, but the gradient still passes back through it: 1 more.")
    require_close(for_d, 8.0, f"shared: you count {for_d:g} times d.")
    require_close(shared, 3 * 48.1 + 8 * 0.63, "both sums are right separately, but not together.")
    return "198 against 149 billion multiplications per photo: a quarter less, for free."


class _Loss(torch.Tensor):
    """A loss that counts how often its value is asked for, as does anything computed from it."""

    asked = 0
    ASKS = "item tolist numpy cpu equal nonzero __float__ __bool__ __int__ __repr__ __format__"

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        kwargs, name = kwargs or {}, function.__name__
        is_taken = name == "to" and "cpu" in map(str, (*args[1:], *kwargs.values()))
        if not is_taken and name not in cls.ASKS.split():
            return super().__torch_function__(function, types, args, kwargs)
        _Loss.asked += 1  # the result is on the CPU, so asking for it again is free
        plain = [each.as_subclass(torch.Tensor) if isinstance(each, cls) else each for each in args]
        return function(*plain, **kwargs)


class _Graph(torch.autograd.Function):
    """A step's graph: it keeps something, as a real one keeps the activations."""

    @staticmethod
    def forward(ctx, value, kept):
        ctx.kept = kept
        return value.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient, None


class _Kept:
    """What a graph keeps; it is gone when the graph is."""


class _Steps:
    """A `step` for exercise 3, and what it saw: the batches, whether it could train, and graphs."""

    def __init__(self):
        self.batches, self.could_train, self._graphs, self.most_graphs = [], True, [], 0

    def __call__(self, batch):
        self.batches.append(batch)
        self.could_train &= torch.is_grad_enabled()
        self.most_graphs = max(self.most_graphs, sum(each() is not None for each in self._graphs))
        kept = _Kept()
        self._graphs.append(weakref.ref(kept))
        loss = _Graph.apply(torch.tensor(float(batch), requires_grad=True), kept)
        return loss.as_subclass(_Loss)


@check
def mean_loss(answer):
    """Exercise 3: read the losses of many steps with one wait, and keep no step's graph."""
    step, _Loss.asked = _Steps(), 0
    got = filled(answer(step, list(range(10))))
    asked, called = _Loss.asked, step.batches
    require(len(called) == 10, f"10 batches, but step was called {len(called)} times.")
    require(called == list(range(10)), "give step the batches in their order.")
    require(not isinstance(got, torch.Tensor), "return a float; a tensor has not been read yet.")
    require(got != 45, "you return the sum; return the mean.")
    require(got != 9, "you return the last loss; return the mean.")
    require_close(got, 4.5, f"the losses 0 to 9 have the mean 4.5; you return {got}.")
    often = f"you wait {asked} times: keep the losses as tensors, and read once, after the loop."
    require(asked <= 1, often)
    off = "gradients are off while step runs, so it can't train: detach its result instead."
    require(step.could_train, off)
    graphs = f"your losses keep the graphs of {step.most_graphs} steps, and with them all their "
    graphs += "activations. Which method of a tensor returns it without its graph?"
    require(step.most_graphs <= 1, graphs)  # 1: a variable may still name the last loss
    return "one wait for ten steps, and no graph kept: a GPU would work on without a gap."


@check
def averaged_gradient(answer):
    """Exercise 4: the gradient of a batch, from those of its parts."""
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(4, 2, 1))
    L, real_ab = torch.rand(8, 1, 8, 8), torch.rand(8, 2, 8, 8) - 0.5
    network.zero_grad()
    l1_loss(network(L), real_ab).backward()
    whole = [parameter.grad.clone() for parameter in network.parameters()]
    network.zero_grad()
    got = [_in_parts(answer, network, L, real_ab, parts, whole) for parts in (4, 2)]
    piled = "4 parts are right, then 2 are not: clear the old gradients first, divide by `parts`."
    first = all(alike(a, b, 1e-6) for a, b in zip(got[0], whole, strict=True))
    second = all(alike(a, b, 1e-6) for a, b in zip(got[1], whole, strict=True))
    require(second or not first, piled)
    for mine, parts in zip(got, (4, 2), strict=True):
        ratio = (mine[0] / whole[0]).median().item()
        summed = f"yours is {parts} times the whole batch's: the gradients are averaged, not added "
        summed += "(and if you collect them, `.clone()` each; otherwise all are the same tensor)."
        require(not math.isclose(ratio, parts, rel_tol=1e-3), summed)
        small = "yours is too small by the number of parts: divide once, not twice."
        require(not math.isclose(ratio, 1 / parts, rel_tol=1e-3), small)
        _refuse_one_part(mine, network, L, real_ab, parts)
    wrong = "it is not the gradient of the whole batch; if you collect the parts' gradients, "
    wrong += "clear the old ones before each part."
    for mine, wanted in zip(got[0] + got[1], whole + whole, strict=True):
        require_close(mine, wanted, wrong, 1e-5)
    return "the mean of the parts' gradients is the whole batch's gradient."


def _in_parts(answer, network, L, real_ab, parts, whole):
    """Return the gradients, if the batch was cut, no weight moved, and they are copies."""
    seen, weights = [], [parameter.detach().clone() for parameter in network.parameters()]
    with network.register_forward_pre_hook(lambda _, given: seen.append(len(given[0]))):
        returned = answer(network, L, real_ab, parts)
    kept, each = _as_list(returned, whole), len(L) // parts
    cut = f"{parts} parts of {len(L)} pictures have {each} each; you give the network {seen}."
    require(seen == parts * [each], f"{cut} (`chunk` takes how many, `split` how large.)")
    moved = "you changed the weights; compute only their gradient."
    require(all(map(torch.equal, weights, network.parameters())), moved)
    network(L).mean().backward()  # adds to each .grad; copies stay as they are
    copies = "return copies, `.grad.clone()`: the next backward pass changes what you return."
    require(all(map(torch.equal, kept, returned)), copies)
    return kept


def _as_list(got, whole):
    require(isinstance(filled(got), list | tuple), "return a list: a gradient for each parameter.")
    missing = f"the network has {len(whole)} parameters; you return {len(got)} gradients."
    require(len(got) == len(whole), missing)
    wrong = "return gradients: each parameter's `.grad`, not the parameter."
    require(not any(isinstance(each, nn.Parameter) for each in got), wrong)
    require(
        all(isinstance(each, torch.Tensor) for each in got), "one of the gradients is not a tensor."
    )
    for mine, wanted in zip(got, whole, strict=True):
        shapes = f"a gradient's shape is {tuple(mine.shape)}; it should be {tuple(wanted.shape)}."
        require(mine.shape == wanted.shape, shapes)
    return [each.clone() for each in got]


def _refuse_one_part(mine, network, L, real_ab, parts):
    for number, name in ((0, "first"), (parts - 1, "last")):
        part = L.chunk(parts)[number], real_ab.chunk(parts)[number]
        alone = wanted_gradient(network, *part, 1)[0]
        message = f"this is the gradient of the {name} part alone; all {parts} must count."
        for share in (1, 1 / parts):
            require(not alike(mine[0], share * alone, 1e-6), message)
