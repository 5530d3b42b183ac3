"""The checks of lesson 06 accept the solutions and name the usual mistakes."""

import pytest
import torch
from check_cases import cases, judge
from torch.nn import functional
from torch.nn.functional import l1_loss, softplus

from lessonkit.lesson_06 import checks
from lessonkit.lesson_06.training import PARTS


def cost(logits, label):
    return softplus(-logits if label == 1 else logits).mean()


def learn(optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def discriminator_turn(generator, discriminator, optimizer_d, L, real_ab):
    fake_ab = generator(L).detach()
    loss = (cost(discriminator(L, real_ab), 1) + cost(discriminator(L, fake_ab), 0)) / 2
    optimizer_d.zero_grad()
    loss.backward()
    optimizer_d.step()
    return loss


def d_turn(loss_of, cut=torch.Tensor.detach, learn=learn):
    """D's step with another loss of the two maps of logits, another cut or another way to learn."""

    def answer(generator, discriminator, optimizer_d, L, real_ab):
        fake_ab = cut(generator(L))
        loss = loss_of(discriminator(L, real_ab), discriminator(L, fake_ab))
        learn(optimizer_d, loss)
        return loss

    return answer


def half(real, fake):
    return (cost(real, 1) + cost(fake, 0)) / 2


def forward_only(optimizer, loss):
    loss.backward()


def without_clearing(optimizer, loss):
    loss.backward()
    optimizer.step()


def in_one_batch(generator, discriminator, optimizer_d, L, real_ab):
    both = torch.cat([real_ab, generator(L).detach()])
    real, fake = discriminator(torch.cat([L, L]), both).chunk(2)
    learn(optimizer_d, half(real, fake))
    return half(real, fake)


def generator_turn(generator, discriminator, optimizer_g, L, real_ab, lambda_l1):
    fake_ab = generator(L)
    loss = cost(discriminator(L, fake_ab), 1) + lambda_l1 * l1_loss(fake_ab, real_ab)
    optimizer_g.zero_grad()
    loss.backward()
    optimizer_g.step()
    return loss


def g_turn(loss_of, cut=lambda fake_ab: fake_ab, learn=learn):
    """G's step with another loss of logits, distance and lambda, or another way to learn."""

    def answer(generator, discriminator, optimizer_g, L, real_ab, lambda_l1):
        fake_ab = generator(L)
        logits = discriminator(L, cut(fake_ab))
        loss = loss_of(logits, l1_loss(fake_ab, real_ab), lambda_l1)
        learn(optimizer_g, loss)
        return loss

    return answer


def both_wishes(logits, distance, weight):
    return cost(logits, 1) + weight * distance


def moves_d(generator, discriminator, optimizer_g, L, real_ab, lambda_l1):
    loss = generator_turn(generator, discriminator, optimizer_g, L, real_ab, lambda_l1)
    with torch.no_grad():
        for weight in discriminator.parameters():
            weight -= 0.01 * weight.grad
    return loss


def cut_off(generator, discriminator, optimizer_g, L, real_ab, lambda_l1):
    """G's colors are detached from everything, so its loss has no graph to G."""
    fake_ab = generator(L).detach()
    loss = cost(discriminator(L, fake_ab), 1) + lambda_l1 * l1_loss(fake_ab, real_ab)
    learn(optimizer_g, loss)
    return loss


def with_frozen_d(turn):
    """A turn of either network in which D is frozen, and unfrozen afterwards."""

    def answer(generator, discriminator, *rest):
        discriminator.requires_grad_(False)
        loss = turn(generator, discriminator, *rest)
        discriminator.requires_grad_(True)
        return loss

    return answer


def without_gradients(turn):
    """A turn inside no_grad()."""

    def answer(*networks_and_more):
        with torch.no_grad():
            return turn(*networks_and_more)

    return answer


def clears_afterwards(generator, discriminator, optimizer_g, *rest):
    loss = generator_turn(generator, discriminator, optimizer_g, *rest)
    optimizer_g.zero_grad()
    return loss


def keeps_d_frozen(generator, discriminator, *rest):
    discriminator.requires_grad_(False)
    return generator_turn(generator, discriminator, *rest)


def keeps_g_frozen(generator, *rest):
    generator.requires_grad_(False)
    return discriminator_turn(generator, *rest)


def in_eval(turn, index, is_set_back):
    """A turn with one network in eval mode, for good or until the turn is over."""

    def answer(*networks_and_more):
        network = networks_and_more[index].eval()
        loss = turn(*networks_and_more)
        network.train(is_set_back)
        return loss

    return answer


def is_frozen(network, step):
    before = [weight.clone() for weight in network.parameters()]
    step()
    return all(torch.equal(old, new) for old, new in zip(before, network.parameters()))


def compared(look, same):
    def answer(network, step):
        before = look(network)
        step()
        return same(before, look(network))

    return answer


def copies(network):
    return [weight.clone() for weight in network.parameters()]


def all_equal(before, after):
    return all(torch.equal(old, new) for old, new in zip(before, after))


def twice(network, step):
    step()
    return is_frozen(network, step)


FIVE = set(PARTS[:5])
RIGHT = {
    "discriminator_turn": discriminator_turn,
    "generator_turn": generator_turn,
    "is_frozen": is_frozen,
    "needed": FIVE,
}
WRONG = {
    "discriminator_turn": [
        (d_turn(half, cut=lambda fake_ab: fake_ab), "G got a gradient"),
        (d_turn(lambda real, fake: (cost(real, 0) + cost(fake, 1)) / 2), "wrong way around"),
        (d_turn(lambda real, fake: (cost(real, 1) + cost(fake, 1)) / 2), "everything real"),
        (d_turn(lambda real, fake: cost(real, 1) + cost(fake, 0)), "not their sum"),
        (d_turn(lambda real, fake: cost(real, 1) + 0 * fake.mean()), "only the real half"),
        (d_turn(lambda real, fake: cost(fake, 0) + 0 * real.mean()), "only the fake half"),
        (d_turn(half, learn=forward_only), "D hasn't moved"),
        (d_turn(half, learn=without_clearing), "zero_grad()"),
        (in_one_batch, "Judge real and fake separately"),
        (lambda *arguments: discriminator_turn(*arguments).item(), "you return a float"),
        (d_turn(lambda real, fake: softplus(-real) + softplus(fake), learn=lambda *_: 0), "shape"),
        (keeps_g_frozen, "G is still frozen"),
        (with_frozen_d(discriminator_turn), "no weight is left"),
        (without_gradients(discriminator_turn), "no weight is left"),
        (in_eval(discriminator_turn, 0, is_set_back=False), "freezes nothing"),
        (in_eval(discriminator_turn, 0, is_set_back=True), "freezes nothing"),
    ],
    "generator_turn": [
        (g_turn(lambda t, distance, weight: cost(t, 0) + weight * distance), "to be caught"),
        (g_turn(lambda t, distance, weight: cost(t, 1)), "add the weighted L1 distance"),
        (g_turn(lambda t, distance, weight: weight * distance), "D's answer is missing"),
        (g_turn(lambda t, distance, weight: cost(t, 1) + distance), "multiplied by lambda_l1"),
        (g_turn(both_wishes, cut=torch.Tensor.detach), "G moves differently"),
        (g_turn(both_wishes, learn=forward_only), "G hasn't moved"),
        (g_turn(both_wishes, learn=without_clearing), "zero_grad()"),
        (moves_d, "D's weights have moved"),
        (g_turn(lambda t, distance, weight: cost(t, 1) + 2 * weight * distance), "L1 is a mean"),
        (keeps_d_frozen, "D is still frozen"),
        (with_frozen_d(cut_off), "no weight is left"),
        (without_gradients(generator_turn), "no weight is left"),
        (cut_off, "no gradient has reached G"),
        (in_eval(generator_turn, 1, is_set_back=False), "freezes nothing"),
        (in_eval(generator_turn, 1, is_set_back=True), "freezes nothing"),
    ],
    "is_frozen": [
        (compared(lambda network: list(network.parameters()), all_equal), "in place"),
        (compared(copies, lambda *pair: not all_equal(*pair)), "turn the answer around"),
        (lambda network, step: step() is not None, "turn the answer around"),
        (compared(lambda network: copies(network)[:1], all_equal), "look at all weights"),
        (
            compared(copies, lambda old, new: all(torch.allclose(a, b) for a, b in zip(old, new))),
            "count any change",
        ),
        (
            compared(copies, lambda old, new: all(a.sum() == b.sum() for a, b in zip(old, new))),
            "changed places",
        ),
        (
            compared(lambda network: [v.clone() for v in network.state_dict().values()], all_equal),
            "running statistic",
        ),
        (twice, "you called it 2 times"),
        (compared(copies, lambda old, new: "frozen"), "True or False"),
    ],
    "needed": [
        (set(PARTS[:2]), "units apart"),
        (FIVE - {"optimizer of D"}, "units apart"),
        (FIVE - {"step number"}, "units apart"),
        (set(PARTS), "without"),
        ({"weights"}, "PARTS has no"),
        ({"weights of G", ...}, "replace the dots"),
    ],
}


def by_bce(logits, label):
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


def by_formula(logits, label):
    return torch.log1p(torch.exp(-logits if label == 1 else logits)).mean()


def by_logsigmoid(logits, label):
    return -functional.logsigmoid(logits if label == 1 else -logits).mean()


@pytest.mark.parametrize("cost", [by_bce, by_formula, by_logsigmoid])
def test_other_right_ways_to_write_the_losses(cost):
    of_d = d_turn(lambda real, fake: (cost(real, 1) + cost(fake, 0)) / 2)
    judge(checks.discriminator_turn, of_d, None)
    of_g = g_turn(lambda logits, distance, weight: cost(logits, 1) + weight * distance)
    judge(checks.generator_turn, of_g, None)


@pytest.mark.parametrize("turn", [with_frozen_d(generator_turn), clears_afterwards])
def test_other_right_ways_to_write_the_step_of_g(turn):
    judge(checks.generator_turn, turn, None)


@pytest.mark.parametrize("check, answer, words", cases(checks, RIGHT, WRONG))
def test_check(check, answer, words):
    judge(check, answer, words)
