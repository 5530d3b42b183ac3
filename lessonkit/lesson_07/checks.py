"""Checks of lesson 07: both halves, gradient norm, the diagnoses, the bug hunt."""

import copy
from collections.abc import Callable, Sized

import torch
from torch import nn

from colorlib.color import L_ab_to_rgb
from colorlib.losses import bce_discriminator, bce_generator
from lessonkit.checks import Mistake, check, filled, require, require_close
from lessonkit.lesson_07.case_files import LETTERS


@check
def shares_right(answer):
    """Exercise 1: D's accuracy on the real and on the fake half."""
    real = torch.tensor([2.0, 0.3, -1.0, 4.0])
    fake = torch.tensor([0.2, -1.0, -2.0, -3.0, -0.1])
    got = answer(real, fake)
    require(
        isinstance(got, Sized) and getattr(got, "ndim", 1) == 1 and len(got) == 2,
        "return two shares, one for real and one for fake: a mean would hide which half is wrong",
    )
    right_real, right_fake = (float(filled(share)) for share in got)
    require(
        abs(right_real - torch.sigmoid(real).mean()) > 1e-3,
        "that is D's mean answer; count instead how often it is on the correct side",
    )
    require(
        right_real != 0.5,
        "you compare with 0.5, as for probabilities. At which value are logits undecided?",
    )
    require(
        (right_real, right_fake) != (3.0, 4.0),
        "you return counts; divide them by the number of scores",
    )
    require(
        abs(right_fake - 0.2) > 1e-6,
        "a fake counts as correct when D calls it fake: its logit is below 0",
    )
    require_close(right_real, 0.75, f"of 2, 0.3, -1 and 4, three are right; you get {right_real:g}")
    require_close(right_fake, 0.8, f"four of the five fakes are right; you get {right_fake:g}")
    return "you need both numbers: a D that always says “real” is right half of the time."


@check
def gradient_norm(answer):
    """Exercise 2: the length of all gradients of a network as one vector."""
    network = nn.Sequential(nn.Linear(1, 2, bias=False), nn.Linear(2, 1))
    for parameter, values in zip(network.parameters(), ([[3.0], [0.0]], [[0.0, -4.0]], [12.0])):
        parameter.grad = torch.tensor(values)
    network.register_parameter("held", nn.Parameter(torch.ones(1)))  # has no gradient
    last = network[1].bias
    try:
        got = float(answer(network))
    except (AttributeError, TypeError) as error:
        if "NoneType" not in str(error):
            raise
        raise Mistake("a parameter without a gradient has grad None: skip it") from error
    require(
        last.grad is not None and last.grad.item() == 12,
        "you changed the gradients, but an instrument must only measure. (clip_grad_norm_ scales "
        "them down to the length that you allow)",
    )
    require(got != 169, "169 is the sum of the squares: take the square root")
    require(got != 19, "3 + 4 + 12 = 19: add the squares, then take the root, as for a diagonal")
    require(got != 12, "12 is the length of the last gradient alone; combine all of them")
    require(got != 11, "with their signs, gradients cancel each other: add their squares")
    require_close(got, 13.0, f"the gradients 3, -4 and 12 have the length 13; you get {got:g}")
    return "√(3² + 4² + 12²) = 13: one number for how strongly a network is pushed."


HINTS = {  # where to look, not what is there
    "healthy": "compare its accuracy, answers, gradients and distance with those of the other "
    "cases: is any of them unusual?",
    "d_too_strong": "look at D's accuracy from the very start, and at G's gradients",
    "no_detach": "are D's answers to fakes above or below 1/2, and which half does it get right? "
    "Which network profits from that?",
    "labels_swapped": "both losses fall to nearly 0. On which half is D right, and how can its "
    "loss be so small then?",
    "no_reconstruction": "losses, accuracy and answers look like those of C. Compare G's "
    "gradients with C's, and the distance",
    "learning_rate": "D ends up right on both halves. A D that learns once in ten turns of G "
    "would be right about few fakes. And look at the column leap: does anything settle?",
    "batch_norm": "compare D's answers to fakes in its own turn and in G's turn",
    "mode_collapse": "on which half is D nearly always wrong? Then compare the pictures in one "
    "row: how many palettes do you see?",
}


@check
def diagnosis(answer):
    """Exercise 3: the fault of each recorded run."""
    require(isinstance(answer, dict), f"give a dictionary, not a {type(answer).__name__}")
    missing = [letter for letter in LETTERS if letter not in answer]
    require(not missing, f"no diagnosis for {', '.join(missing)}")
    still_open = [letter for letter in LETTERS if answer[letter] in (None, ...)]
    if len(still_open) < len(LETTERS):
        require(not still_open, f"still open: {', '.join(still_open)}")
    given = {letter: str(filled(answer[letter])).strip().lower() for letter in LETTERS}
    for letter, name in given.items():
        known = ", ".join(HINTS)
        require(name in HINTS, f"{letter}: no suspect is called {name!r}; choose from {known}")
    names = list(given.values())
    twice = sorted({name for name in names if names.count(name) > 1})
    require(not twice, f"{', '.join(twice)}: more than once, but each of the eight occurs once")
    wrong = [letter for letter in LETTERS if given[letter] != LETTERS[letter]]
    if wrong:
        first = wrong[0]
        count = len(LETTERS) - len(wrong)
        raise Mistake(
            f"{count} of {len(LETTERS)} are right. Look again at {first}: {HINTS[LETTERS[first]]}"
        )
    return "all eight. Now open the answers and compare your reasons."


# --- the bug hunt ---


class TinyGenerator(nn.Module):
    """A generator with a few weights."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(1, 2, kernel_size=1)

    def forward(self, L):
        """From (B, 1, H, W) to (B, 2, H, W)."""
        return torch.tanh(self.layer(L))


class TinyDiscriminator(nn.Module):
    """A discriminator with a few weights, batch norm, and a constant added to its logits."""

    def __init__(self, shift: float = 0.0):
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 4, kernel_size=1, bias=False), nn.BatchNorm2d(4)
        self.last, self.shift = nn.Conv2d(4, 1, kernel_size=1), shift

    def forward(self, L, ab):
        """From (B, 1, H, W) and (B, 2, H, W) to logits, (B, 1, H, W)."""
        return self.last(torch.relu(self.norm(self.first(torch.cat([L, ab], dim=1))))) + self.shift


class Turn:
    """One turn of a learner's function in a tiny game: what it did and what it should have done.

    Args:
        answer: takes both networks, the optimizer of the network whose turn it is, and the batch.
        role: "D" or "G", whose turn it is.
        generator: G, with the gradients that earlier turns have left.
        discriminator: D, likewise.
    """

    def __init__(self, answer: Callable, role: str, generator: nn.Module, discriminator: nn.Module):
        self.L, real_ab = torch.rand(3, 1, 4, 4), torch.rand(3, 2, 4, 4) - 0.5
        self.player, self.held = (
            (discriminator, generator) if role == "D" else (generator, discriminator)
        )
        logits = discriminator(self.L, real_ab), discriminator(self.L, generator(self.L))
        wanted = bce_discriminator(*logits) if role == "D" else bce_generator(logits[1])
        self.wanted, self.as_fake = wanted.item(), bce_generator(-logits[1]).item()
        self.gradients = torch.autograd.grad(wanted, list(self.player.parameters()))
        self.together = loss_together(generator, discriminator, self.L, real_ab)
        self.asleep = loss_asleep(role, generator, discriminator, self.L, real_ab)
        self.before, held_before = weights(self.player), weights(self.held)
        optimizer = torch.optim.SGD(self.player.parameters(), lr=0.1)
        batch = (self.L, real_ab) if role == "D" else (self.L,)
        try:
            self.returned = answer(generator, discriminator, optimizer, *batch)
        except (ValueError, RuntimeError) as error:
            if "size" not in str(error) or "channels" in str(error):
                raise
            raise Mistake(
                "it crashes on a short last batch of 3: make the labels as large as the logits, or "
                "use a loss without labels"
            ) from error
        self.loss = float(torch.as_tensor(self.returned).detach().mean())
        self.after = weights(self.player)
        self.has_moved = not all(map(torch.equal, self.after, self.before))
        self.has_moved_the_other = not all(map(torch.equal, weights(self.held), held_before))
        gradients = [p.grad for p in self.held.parameters() if p.grad is not None]
        self.has_pushed_the_other = any(gradient.any() for gradient in gradients)
        self.is_other_frozen = not all(p.requires_grad for p in self.held.parameters())

    def is_step(self, times: float = 1.0) -> bool:
        """Whether the network took `times` the step that colorlib's loss asks for."""
        wanted = [w - 0.1 * times * g for w, g in zip(self.before, self.gradients)]
        pairs = zip(self.after, wanted)
        return all(torch.allclose(now, then, atol=1e-5) for now, then in pairs)

    def require_no_graph(self) -> None:
        """Require a loss without a graph."""
        require(
            not (isinstance(self.returned, torch.Tensor) and self.returned.requires_grad),
            "the loss that you return still holds its graph. Adding up such losses keeps every "
            "step in memory: return loss.item()",
        )


@torch.no_grad()
def loss_together(generator, discriminator, L, real_ab) -> float:
    """D's loss if real and fake go through it in one batch."""
    logits = discriminator(torch.cat([L, L]), torch.cat([real_ab, generator(L)]))
    return bce_discriminator(*logits.chunk(2)).item()


@torch.no_grad()
def loss_asleep(role, generator, discriminator, L, real_ab) -> float:
    """The loss of D or G if D is in eval mode."""
    discriminator.eval()
    real, fake = discriminator(L, real_ab), discriminator(L, generator(L))
    discriminator.train()
    return (bce_discriminator(real, fake) if role == "D" else bce_generator(fake)).item()


def two_turns(answer: Callable, role: str, shift: float = 0.0) -> tuple[Turn, Turn]:
    """Play two turns of one network. Between D's turns, a turn of G leaves gradients in D.

    Args:
        answer: see `Turn`.
        role: likewise.
        shift: of D's logits.
    """
    torch.manual_seed(1)
    generator, discriminator = TinyGenerator(), TinyDiscriminator(shift)
    first = Turn(answer, role, generator, discriminator)
    if role == "D":
        bce_generator(discriminator(first.L, generator(first.L))).backward()
    return first, Turn(answer, role, generator, discriminator)


def weights(network: nn.Module) -> list[torch.Tensor]:
    """A copy of a network's weights."""
    return [parameter.detach().clone() for parameter in network.parameters()]


STALE = (
    "the second turn adds to gradients that an earlier turn has left behind: clear them first with "
    "zero_grad(), then backward(), then step()"
)
ASLEEP = (
    "D is in eval mode and uses running statistics here, but batch statistics in the other "
    "network's turn. Keep both turns alike, as case H teaches: leave D in training mode"
)
FROZEN = (
    "{} is left frozen and couldn't learn in the turn that follows: undo requires_grad_(False) at "
    "the end"
)


@check
def fixed_d_turn(answer):
    """Exercise 4: D's turn."""
    turn, second = two_turns(answer, "D")
    require(
        not turn.has_pushed_the_other,
        "G got a gradient from D's loss: use detach() or no_grad",
    )
    require(not turn.has_moved_the_other, "G's weights changed in D's turn")
    require(not turn.is_other_frozen, FROZEN.format("G"))
    require(turn.has_moved, "D's weights did not change: loss.backward(), then optimizer_d.step()")
    require(
        abs(turn.loss - 2 * turn.wanted) > 1e-3,
        "you return the sum of two terms, 2 log 2 for a D that can't tell; G's loss has one term. "
        "Halve it",
    )
    require(
        abs(turn.loss - turn.together) > 1e-4,
        "real and fake go through D in one batch, but in G's turn the fakes are alone. With batch "
        "norm that is the fault of case H: call D twice",
    )
    require(abs(turn.loss - turn.asleep) > 1e-4, ASLEEP)
    require_close(
        turn.loss,
        turn.wanted,
        f"with label 1 for real and 0 for fake the loss is {turn.wanted:.4f} here; you return "
        f"{turn.loss:.4f}",
    )
    turn.require_no_graph()
    require(
        not turn.is_step(times=2),
        "you return the mean but train on the sum: halve before backward()",
    )
    require(turn.is_step(), "D's step is not the one that your loss asks for")
    sure, _ = two_turns(answer, "D", shift=200.0)
    require(
        sure.is_step(),
        "with a logit of 200 for a fake, D is sure and wrong but gets no slope: use a loss on "
        "logits, with no sigmoid before the logarithm",
    )
    require(second.is_step(), STALE)
    return "it takes any batch, keeps no graph, leaves G alone, and a D that is wrong can learn."


@check
def fixed_g_turn(answer):
    """Exercise 4: G's turn."""
    turn, second = two_turns(answer, "G")
    require(not turn.has_moved_the_other, "D's weights changed in G's turn")
    require(
        turn.has_moved,
        "G's weights did not change. Do you call backward() and then step(), and can the gradient "
        "pass through D, without detach or no_grad?",
    )
    require(not turn.is_other_frozen, FROZEN.format("D"))
    require(abs(turn.loss - turn.as_fake) > 1e-4, "you use label 0, so G learns to be caught")
    require(abs(turn.loss - turn.asleep) > 1e-4, ASLEEP)
    require_close(
        turn.loss,
        turn.wanted,
        f"with label 1 for the fakes the loss is {turn.wanted:.4f}; you return {turn.loss:.4f}",
    )
    turn.require_no_graph()
    require(turn.is_step(), "G's step is not the one that your loss asks for")
    lost, _ = two_turns(answer, "G", shift=-200.0)
    require(
        lost.is_step(),
        "where D is sure about the fakes, with logits of -200, G gets no slope to learn from: use "
        "a loss on logits",
    )
    require(second.is_step(), STALE)
    if turn.has_pushed_the_other:
        return (
            "label 1, and a gradient through D. D's weights stay, but this turn leaves gradients "
            "in D, so D's turn has to begin with zero_grad()."
        )
    return "label 1, a gradient through D, D's weights stay, and no gradient is left in D."


def generator_with_norm() -> nn.Module:
    """A tiny generator with batch norm, and so with running statistics."""
    return nn.Sequential(nn.Conv2d(1, 2, kernel_size=1), nn.BatchNorm2d(2), nn.Tanh())


@check
def fixed_to_rgb(answer):
    """Exercise 5: the helper that changed its input."""
    L, ab = torch.rand(2, 1, 4, 4), torch.rand(2, 2, 4, 4) / 2
    kept = L.clone(), ab.clone()
    got = answer(L, ab)
    require(
        torch.equal(L, kept[0]) and torch.equal(ab, kept[1]),
        "it changes its input: `x *= 2` writes into x, `2 * x` makes a new tensor",
    )
    require_close(
        got, L_ab_to_rgb(*kept), "the colors differ: L times 100, ab times 110, then lab_to_rgb"
    )
    return "called twice, it returns the same picture twice."


@check
def fixed_color(answer):
    """Exercise 5: coloring test pictures in the middle of training."""
    generator = generator_with_norm()
    L = torch.rand(4, 1, 4, 4)
    with torch.no_grad():
        as_used = copy.deepcopy(generator).eval()(L)
    before = copy.deepcopy(generator.state_dict())
    got = answer(generator, L)
    require(
        all(torch.equal(value, before[name]) for name, value in generator.state_dict().items()),
        "coloring changed G: in training mode batch norm updates its statistics; eval() first",
    )
    require_close(
        got.detach(),
        as_used,
        "these are the colors of training mode, which depend on the rest of the batch: call eval() "
        "first",
    )
    require(
        not got.requires_grad, "the colors keep a graph, but nothing is trained here: use no_grad"
    )
    require(
        generator.training,
        "G stays in eval mode and would train on with frozen statistics: call train() at the end",
    )
    return "eval() before coloring, train() after it."


LOST = {
    "optimizer": ("Adam would lose its running averages and jump", "each under its own name"),
    "network": (
        "a fresh one would start from nothing against a trained opponent",
        "which includes batch norm's running statistics",
    ),
}


@check
def fixed_checkpoint(answer):
    """Exercise 5: everything that training needs to resume."""
    parts, fresh = a_start(), a_start()
    for player, memory in (("generator", "optimizer_g"), ("discriminator", "optimizer_d")):
        for parameter in parts[player].parameters():
            parameter.grad = torch.ones_like(parameter)
        parts[memory].step()
    parts["generator"](torch.rand(2, 1, 4, 4))  # so that batch norm has statistics
    state = answer(*parts.values(), step=7)
    require(isinstance(state, dict), f"return a dictionary, not a {type(state).__name__}")
    for name, part in parts.items():
        lost, hint = LOST["optimizer" if name.startswith("optimizer") else "network"]
        require(name in state, f"{name} is not saved: {lost}")
        require(
            comes_back(part, fresh[name], state[name]),
            f"a fresh {name} that loads what you saved differs: save its state_dict(), {hint}",
        )
    lost = "the step is not saved: the schedule and the history would start over"
    require("step" in state, lost)
    require(state["step"] == 7, f"step 7 is saved as {state['step']}; save it as it is")
    return "both networks, both optimizers, and the step."


def a_start() -> dict[str, nn.Module | torch.optim.Optimizer]:
    """Both networks with their optimizers, by their names in a checkpoint."""
    generator, discriminator = generator_with_norm(), TinyDiscriminator()
    optimizers = [torch.optim.Adam(network.parameters()) for network in (generator, discriminator)]
    return dict(
        zip(
            ("generator", "discriminator", "optimizer_g", "optimizer_d"),
            (generator, discriminator, *optimizers),
        )
    )


def comes_back(part, fresh, saved) -> bool:
    """Whether loading what was saved gives a fresh part the state of the old one."""
    try:
        fresh.load_state_dict(saved)
        torch.testing.assert_close(fresh.state_dict(), part.state_dict())
    except Exception:  # whatever was saved instead of a state_dict
        return False
    return True
