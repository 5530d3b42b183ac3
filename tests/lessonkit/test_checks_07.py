"""The checks of lesson 07 accept the solutions and name the usual mistakes."""

import pytest
import torch
from check_cases import cases, judge
from torch import nn
from torch.nn import functional

from colorlib.color import lab_to_rgb
from lessonkit.lesson_07 import checks
from lessonkit.lesson_07.case_files import LETTERS


def shares_right(logits_real, logits_fake):
    return (logits_real > 0).float().mean().item(), (logits_fake < 0).float().mean().item()


def gradient_norm(network):
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    return sum(gradient.square().sum() for gradient in gradients).sqrt().item()


def norm_of(network, summary):
    return summary([p.grad for p in network.parameters() if p.grad is not None]).item()


def norm_that_clears(network):
    norm = gradient_norm(network)
    network.zero_grad()
    return norm


def all_but(letter, name):
    return LETTERS | {letter: name}


def swapped(one, other):
    return LETTERS | {one: LETTERS[other], other: LETTERS[one]}


def fixed_d_turn(generator, discriminator, optimizer_d, L, real_ab):
    optimizer_d.zero_grad()
    fake_ab = generator(L).detach()
    loss_real = functional.softplus(-discriminator(L, real_ab)).mean()
    loss_fake = functional.softplus(discriminator(L, fake_ab)).mean()
    loss = (loss_real + loss_fake) / 2
    loss.backward()
    optimizer_d.step()
    return loss.item()


def d_turn(
    is_detached=True, is_cleared=True, half=0.5, flip=1, has_sigmoid=False, count=None, graph=False
):
    """D's turn with mistakes."""

    def turn(generator, discriminator, optimizer_d, L, real_ab):
        if is_cleared:
            optimizer_d.zero_grad()
        fake_ab = generator(L)
        if is_detached:
            fake_ab = fake_ab.detach()
        real, fake = discriminator(L, real_ab), discriminator(L, fake_ab)
        if has_sigmoid:
            size = real.shape if count is None else (count, *real.shape[1:])
            loss = functional.binary_cross_entropy(torch.sigmoid(real), torch.ones(size))
            loss = loss + functional.binary_cross_entropy(torch.sigmoid(fake), torch.zeros(size))
        else:
            loss = (
                functional.softplus(-flip * real).mean() + functional.softplus(flip * fake).mean()
            )
        loss = half * loss
        loss.backward()
        optimizer_d.step()
        return loss if graph else loss.item()

    return turn


def d_turn_on_the_sum(generator, discriminator, optimizer_d, L, real_ab):
    optimizer_d.zero_grad()
    loss = functional.softplus(-discriminator(L, real_ab)).mean()
    loss = loss + functional.softplus(discriminator(L, generator(L).detach())).mean()
    loss.backward()
    optimizer_d.step()
    return loss.item() / 2


def d_turn_together(generator, discriminator, optimizer_d, L, real_ab):
    optimizer_d.zero_grad()
    fake_ab = generator(L).detach()
    real, fake = discriminator(torch.cat([L, L]), torch.cat([real_ab, fake_ab])).chunk(2)
    loss = (functional.softplus(-real).mean() + functional.softplus(fake).mean()) / 2
    loss.backward()
    optimizer_d.step()
    return loss.item()


def d_turn_that_freezes_g(generator, *rest):
    generator.requires_grad_(False)
    return fixed_d_turn(generator, *rest)


def d_turn_cleared(order):
    """D's turn with zero_grad in other places: "b" is backward, "s" is step, "z" is zero_grad."""

    def turn(generator, discriminator, optimizer_d, L, real_ab):
        loss_real = functional.softplus(-discriminator(L, real_ab)).mean()
        loss = (loss_real + functional.softplus(discriminator(L, generator(L).detach())).mean()) / 2
        calls = {"b": loss.backward, "s": optimizer_d.step, "z": optimizer_d.zero_grad}
        for letter in order:
            calls[letter]()
        return loss.item()

    return turn


def g_turn_cleared(order):
    """G's turn with zero_grad in other places, likewise."""

    def turn(generator, discriminator, optimizer_g, L):
        loss = functional.softplus(-discriminator(L, generator(L))).mean()
        calls = {"b": loss.backward, "s": optimizer_g.step, "z": optimizer_g.zero_grad}
        for letter in order:
            calls[letter]()
        return loss.item()

    return turn


def in_eval_mode(turn):
    """A turn in which D is in eval mode."""

    def with_d_in_eval_mode(generator, discriminator, *rest):
        discriminator.eval()
        loss = turn(generator, discriminator, *rest)
        discriminator.train()
        return loss

    return with_d_in_eval_mode


def g_turn_with_frozen_d(is_thawed):
    """G's turn that freezes D."""

    def turn(generator, discriminator, optimizer_g, L):
        discriminator.requires_grad_(False)
        loss = fixed_g_turn(generator, discriminator, optimizer_g, L)
        if is_thawed:
            discriminator.requires_grad_(True)
        return loss

    return turn


def fixed_g_turn(generator, discriminator, optimizer_g, L):
    optimizer_g.zero_grad()
    loss = functional.softplus(-discriminator(L, generator(L))).mean()
    loss.backward()
    optimizer_g.step()
    return loss.item()


def g_turn(is_detached=False, is_cleared=True, flip=1, has_sigmoid=False, count=None, graph=False):
    """G's turn with mistakes."""

    def turn(generator, discriminator, optimizer_g, L):
        if is_cleared:
            optimizer_g.zero_grad()
        fake_ab = generator(L)
        if is_detached:
            fake_ab = fake_ab.detach()
        logits = discriminator(L, fake_ab)
        if has_sigmoid:
            labels = torch.ones(logits.shape if count is None else (count, *logits.shape[1:]))
            loss = functional.binary_cross_entropy(torch.sigmoid(logits), labels)
        else:
            loss = functional.softplus(-flip * logits).mean()
        loss.backward()
        optimizer_g.step()
        return loss if graph else loss.item()

    return turn


def g_turn_that_moves_d(generator, discriminator, optimizer_g, L):
    loss = fixed_g_turn(generator, discriminator, optimizer_g, L)
    with torch.no_grad():
        discriminator.last.bias += 0.1
    return loss


def fixed_to_rgb(L, ab):
    return lab_to_rgb(torch.cat([100 * L, 110 * ab], dim=1))


def to_rgb_in_place(L, ab):
    L *= 100
    ab *= 110
    return lab_to_rgb(torch.cat([L, ab], dim=1))


def fixed_color(generator, L):
    generator.eval()
    with torch.no_grad():
        ab = generator(L)
    generator.train()
    return ab


def color_in_training_mode(generator, L):
    with torch.no_grad():
        return generator(L)


def color_with_graph(generator, L):
    generator.eval()
    ab = generator(L)
    generator.train()
    return ab


def color_and_stay(generator, L):
    generator.eval()
    with torch.no_grad():
        return generator(L)


def fixed_checkpoint(generator, discriminator, optimizer_g, optimizer_d, step):
    return {
        "generator": generator.state_dict(),
        "discriminator": discriminator.state_dict(),
        "optimizer_g": optimizer_g.state_dict(),
        "optimizer_d": optimizer_d.state_dict(),
        "step": step,
    }


def checkpoint_with_optimizers_swapped(generator, discriminator, optimizer_g, optimizer_d, step):
    return fixed_checkpoint(generator, discriminator, optimizer_d, optimizer_g, step)


def checkpoint_of_parameters(generator, *parts, step):
    return fixed_checkpoint(generator, *parts, step) | {
        "generator": dict(generator.named_parameters())
    }


def checkpoint_without(*left_out):
    def checkpoint(*parts, step):
        return {k: v for k, v in fixed_checkpoint(*parts, step).items() if k not in left_out}

    return checkpoint


RIGHT = {
    "shares_right": shares_right,
    "gradient_norm": gradient_norm,
    "diagnosis": LETTERS,
    "fixed_d_turn": fixed_d_turn,
    "fixed_g_turn": fixed_g_turn,
    "fixed_to_rgb": fixed_to_rgb,
    "fixed_color": fixed_color,
    "fixed_checkpoint": fixed_checkpoint,
}
WRONG = {
    "shares_right": [
        (lambda real, fake: ((real > 0).float().mean() + (fake < 0).float().mean()) / 2, "two"),
        (lambda real, fake: (real.sigmoid().mean(), fake.sigmoid().mean()), "mean answer"),
        (lambda real, fake: ((real > 0.5).float().mean(), (fake < 0.5).float().mean()), "logits"),
        (lambda real, fake: ((real > 0).float().mean(), (fake > 0).float().mean()), "below 0"),
        (lambda real, fake: ((real > 0).sum(), (fake < 0).sum()), "counts"),
        (lambda real, fake: (1.0, 0.8), "you get 1"),
    ],
    "gradient_norm": [
        (lambda network: sum(p.grad.square().sum() for p in network.parameters()), "grad None"),
        (lambda network: norm_of(network, lambda g: sum(x.square().sum() for x in g)), "root"),
        (lambda network: norm_of(network, lambda g: sum(x.norm() for x in g)), "diagonal"),
        (lambda network: norm_of(network, lambda g: g[-1].norm()), "last gradient alone"),
        (lambda network: norm_of(network, lambda g: sum(x.sum() for x in g)), "cancel"),
        (lambda network: 1.0, "you get 1"),
        (
            lambda network: nn.utils.clip_grad_norm_(network.parameters(), 1.0),
            "you changed the gradients",
        ),
        (norm_that_clears, "you changed the gradients"),
    ],
    "diagnosis": [
        (list(LETTERS.values()), "dictionary"),
        ({"A": "healthy"}, "no diagnosis for B"),
        (all_but("A", "sick"), "no suspect"),
        (all_but("A", "healthy"), "more than once"),
        (swapped("A", "C"), "6 of 8 are right. Look again at A"),
        (swapped("B", "K"), "both losses"),
        (swapped("E", "F"), "once in ten turns"),
        (LETTERS | {"H": ..., "K": None}, "still open: H, K"),
        (swapped("H", "J"), "own turn and in G's turn"),
    ],
    "fixed_d_turn": [
        (d_turn(has_sigmoid=True, count=4), "short last batch"),
        (d_turn(is_detached=False), "detach"),
        (d_turn(half=1), "Halve it"),
        (d_turn(flip=-1), "label 1 for real"),
        (d_turn(graph=True), "loss.item()"),
        (d_turn(has_sigmoid=True), "no sigmoid"),
        (d_turn(is_cleared=False), "zero_grad"),
        (lambda *arguments: 0.7, "weights did not change"),
        (d_turn_on_the_sum, "you return the mean but train on the sum"),
        (d_turn_together, "case H"),
        (in_eval_mode(fixed_d_turn), "eval mode"),
        (d_turn_that_freezes_g, "G is left frozen"),
        (d_turn_cleared("bsz"), "has left behind"),  # G's turn comes in between
        (d_turn_cleared("bzs"), "weights did not change"),
    ],
    "fixed_g_turn": [
        (g_turn(has_sigmoid=True, count=4), "short last batch"),
        (g_turn(is_detached=True, is_cleared=False), "pass through D"),
        (lambda *arguments: 0.7, "pass through D"),
        (g_turn_that_moves_d, "D's weights changed"),
        (g_turn(flip=-1), "label 0"),
        (g_turn(graph=True), "loss.item()"),
        (g_turn(has_sigmoid=True), "loss on logits"),
        (g_turn(is_cleared=False), "zero_grad"),
        (in_eval_mode(fixed_g_turn), "eval mode"),
        (g_turn_with_frozen_d(is_thawed=False), "D is left frozen"),
        (g_turn_cleared("bs"), "has left behind"),
        (g_turn_cleared("bzs"), "weights did not change"),
    ],
    "fixed_to_rgb": [
        (to_rgb_in_place, "changes its input"),
        (lambda L, ab: lab_to_rgb(torch.cat([L, ab], dim=1)), "L times 100"),
        (lambda L, ab: fixed_to_rgb(L, ab)[0], "the shape is"),
    ],
    "fixed_color": [
        (color_in_training_mode, "coloring changed G"),
        (color_with_graph, "no_grad"),
        (color_and_stay, "stays in eval mode"),
        (lambda generator, L: torch.zeros(4, 2, 4, 4), "colors of training mode"),
    ],
    "fixed_checkpoint": [
        (lambda *parts, step: [part.state_dict() for part in parts], "a list"),
        (checkpoint_without("discriminator"), "discriminator is not saved"),
        (checkpoint_without("optimizer_g", "optimizer_d"), "Adam would lose"),
        (checkpoint_without("step"), "the step is not saved"),
        (lambda *a, step: fixed_checkpoint(*a, step) | {"step": step + 1}, "step 7 is saved as 8"),
        (
            lambda generator, *parts, step: (
                fixed_checkpoint(generator, *parts, step) | {"generator": generator}
            ),
            "state_dict()",
        ),
        (checkpoint_with_optimizers_swapped, "each under its own name"),
        (checkpoint_of_parameters, "running statistics"),
    ],
}


@pytest.mark.parametrize("check, answer, words", cases(checks, RIGHT, WRONG))
def test_check(check, answer, words):
    judge(check, answer, words)


@pytest.mark.parametrize("order", ["zbs", "zbsz"])
def test_clearing_in_any_order_that_leaves_nothing_is_right(order):
    judge(checks.fixed_d_turn, d_turn_cleared(order), None)
    judge(checks.fixed_g_turn, g_turn_cleared(order), None)


def test_g_may_clear_at_its_end_since_no_turn_of_d_leaves_gradients_in_it():
    judge(checks.fixed_g_turn, g_turn_cleared("bsz"), None)


def test_g_may_freeze_d_for_its_turn():
    judge(checks.fixed_g_turn, g_turn_with_frozen_d(is_thawed=True), None)


def test_the_praise_says_whether_gradients_are_left_in_d():
    left = checks.fixed_g_turn.judge(fixed_g_turn).message
    none = checks.fixed_g_turn.judge(g_turn_with_frozen_d(is_thawed=True)).message
    assert "leaves gradients in D" in left
    assert "no gradient is left in D" in none


def test_a_norm_that_is_only_measured_is_right():
    def measured(network):
        return nn.utils.clip_grad_norm_(network.parameters(), float("inf"))

    judge(checks.gradient_norm, measured, None)


def test_diagnoses_not_begun_are_the_stub():
    assert checks.diagnosis.judge(dict.fromkeys(LETTERS, ...)).kind == "not done"
