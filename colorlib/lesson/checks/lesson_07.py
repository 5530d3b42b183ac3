"""Checks of lesson 07: both halves, gradient norm, the diagnoses, the mended script."""

import copy
from collections.abc import Callable

import torch
from torch import nn

from colorlib.color import L_ab_to_rgb
from colorlib.lesson.case_files import LETTERS
from colorlib.lesson.checks import Mistake, check, filled, require, require_close
from colorlib.losses import bce_discriminator, bce_generator


@check
def shares_right(answer):
    """Exercise 1: which share of the real and of the fake scores D gets right."""
    real = torch.tensor([2.0, 0.3, -1.0, 4.0])
    fake = torch.tensor([0.2, -1.0, -2.0, -3.0, -0.1])
    got = answer(real, fake)
    require(
        isinstance(got, tuple | list) and len(got) == 2,
        "return two shares, for the real and for the fake: together they hide which half is lost",
    )
    right_real, right_fake = (float(filled(share)) for share in got)
    require(
        abs(right_real - torch.sigmoid(real).mean()) > 1e-3,
        "that is D's mean answer; count instead how often it is on the right side",
    )
    require(
        right_real != 0.5,
        "you compare with 0.5, as for probabilities; these are logits, which are undecided at 0",
    )
    require(
        (right_real, right_fake) != (3.0, 4.0), "you count them; a share is the count by how many"
    )
    require(
        abs(right_fake - 0.2) > 1e-6,
        "a fake is judged rightly when D calls it fake: its logit is below 0",
    )
    require_close(right_real, 0.75, f"of 2, 0.3, -1, 4 three are right; you get {right_real:g}")
    require_close(right_fake, 0.8, f"of the five fakes four are right; you get {right_fake:g}")
    return "two numbers, since a D that says “real” to everything is right half of the time."


@check
def gradient_norm(answer):
    """Exercise 2: the length of all of a network's gradients, as one vector."""
    network = nn.Sequential(nn.Linear(1, 2, bias=False), nn.Linear(2, 1))
    for parameter, values in zip(network.parameters(), ([[3.0], [0.0]], [[0.0, -4.0]], [12.0])):
        parameter.grad = torch.tensor(values)
    network.register_parameter("held", nn.Parameter(torch.ones(1)))  # has no gradient
    try:
        got = float(answer(network))
    except (AttributeError, TypeError) as error:
        if "NoneType" not in str(error):
            raise
        raise Mistake("a parameter that has learned nothing yet has grad None: skip it") from error
    require(got != 169, "169 is the sum of the squares: the root is missing")
    require(got != 19, "3 + 4 + 12 = 19: add the squares, then take the root, as with a diagonal")
    require(got != 12, "12 is the length of the last gradient alone; take all together")
    require(got != 11, "with signs, gradients cancel each other: add their squares")
    require_close(got, 13.0, f"gradients 3, -4 and 12 have the length 13; you get {got:g}")
    return "√(3² + 4² + 12²) = 13: how strongly a network is pushed, in one number."


HINTS = {
    "healthy": "nothing is wrong here: D is right more often than not, on both halves, without "
    "winning; its answers agree, the distance falls, and the pictures get better",
    "d_too_strong": "look at D's shares right, from the first row on, and at G's loss",
    "no_detach": "compare with the healthy run: on which side of 1/2 do D's answers to fakes lie, "
    "and which of the halves does it get right?",
    "labels_swapped": "both losses fall to nearly 0: the players agree. And what does D say to "
    "real pictures?",
    "no_reconstruction": "D is neither beaten nor beating, and its answers agree; but the distance "
    "stays far above that of the healthy run, and the colors are vivid and wrong",
    "learning_rate": "look how the pictures leap from row to row, and what spread and colorfulness "
    "are left in the end",
    "batch_norm": "compare D's answers to the same kind of fakes in its own turn and in G's turn",
    "mode_collapse": "compare the columns of the sheet: how many palettes are there in a row, and "
    "what becomes of them from row to row?",
}


@check
def diagnosis(answer):
    """Exercise 3: which fault each recorded run has."""
    require(isinstance(answer, dict), f"give a dictionary; you give a {type(answer).__name__}")
    missing = [letter for letter in LETTERS if letter not in answer]
    require(not missing, f"no diagnosis for {', '.join(missing)}")
    given = {letter: str(filled(answer[letter])).strip().lower() for letter in LETTERS}
    for letter, name in given.items():
        known = ", ".join(HINTS)
        require(name in HINTS, f"{letter}: no suspect is called {name!r}; there are {known}")
    names = list(given.values())
    twice = sorted({name for name in names if names.count(name) > 1})
    require(not twice, f"{', '.join(twice)}: more than once; each of the eight is there once")
    wrong = [letter for letter in LETTERS if given[letter] != LETTERS[letter]]
    if wrong:
        first = wrong[0]
        count = len(LETTERS) - len(wrong)
        raise Mistake(
            f"{count} of {len(LETTERS)} are right. Look again at {first}: {HINTS[LETTERS[first]]}"
        )
    return "all eight. Now open the answers, and compare your reasons."


# --- the script ---


class TinyPainter(nn.Module):
    """A generator of a few weights."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(1, 2, kernel_size=1)

    def forward(self, L):
        """From (B, 1, H, W) to (B, 2, H, W)."""
        return torch.tanh(self.layer(L))


class TinyCritic(nn.Module):
    """A discriminator of a few weights, whose logits are shifted."""

    def __init__(self, shift: float = 0.0):
        super().__init__()
        self.layer, self.shift = nn.Conv2d(3, 1, kernel_size=1), shift

    def forward(self, L, ab):
        """From (B, 1, H, W) and (B, 2, H, W) to logits, (B, 1, H, W)."""
        return self.layer(torch.cat([L, ab], dim=1)) + self.shift


class Turn:
    """One turn of a learner's function in a tiny game: what it did, and what it should have done.

    Args:
        answer: takes both networks, the optimizer of the player whose turn it is, and the batch.
        role: "D" or "G", whose turn it is.
        shift: of D's logits.
    """

    def __init__(self, answer: Callable, role: str, shift: float = 0.0):
        torch.manual_seed(1)
        generator, critic = TinyPainter(), TinyCritic(shift)
        L, real_ab = torch.rand(3, 1, 4, 4), torch.rand(3, 2, 4, 4) - 0.5
        self.player, self.held = (critic, generator) if role == "D" else (generator, critic)
        logits_real, logits_fake = critic(L, real_ab), critic(L, generator(L))
        loss = bce_generator(logits_fake)
        if role == "D":
            loss = bce_discriminator(logits_real, logits_fake)
        self.wanted, self.as_fake = loss.item(), bce_generator(-logits_fake).item()
        gradients = torch.autograd.grad(loss, list(self.player.parameters()))
        self.player_before, self.held_before = weights(self.player), weights(self.held)
        self.player_wanted = [w - 0.1 * g for w, g in zip(self.player_before, gradients)]
        for parameter in self.player.parameters():  # as another turn may have left them
            parameter.grad = torch.full_like(parameter, 100.0)
        optimizer = torch.optim.SGD(self.player.parameters(), lr=0.1)
        batch = (L, real_ab) if role == "D" else (L,)
        try:
            self.returned = answer(generator, critic, optimizer, *batch)
        except (ValueError, RuntimeError) as error:
            if "size" not in str(error):
                raise
            raise Mistake(
                "it stops on a short last batch of 3: make the labels as large as the logits, or "
                "take a loss that needs none"
            ) from error
        self.loss = float(torch.as_tensor(self.returned).detach().mean())

    def has_moved(self) -> bool:
        """Whether the player has learned anything."""
        return not all(map(torch.equal, weights(self.player), self.player_before))

    def has_moved_the_other(self) -> bool:
        """Whether the one who was to be held has learned."""
        return not all(map(torch.equal, weights(self.held), self.held_before))

    def is_as_wanted(self) -> bool:
        """Whether the player took the very step that colorlib's loss asks for."""
        pairs = zip(weights(self.player), self.player_wanted)
        return all(torch.allclose(now, wanted, atol=1e-5) for now, wanted in pairs)

    def require_no_graph(self) -> None:
        """Refuse a loss that keeps its graph."""
        require(
            not (isinstance(self.returned, torch.Tensor) and self.returned.requires_grad),
            "the loss that you return still holds its graph, and who adds such losses up keeps "
            "every step in memory: return loss.item()",
        )


def weights(network: nn.Module) -> list[torch.Tensor]:
    """A copy of a network's weights."""
    return [parameter.detach().clone() for parameter in network.parameters()]


STALE = (
    "it goes on from gradients that another turn has left behind: clear them first, zero_grad(), "
    "then backward(), then step()"
)


@check
def mended_d_turn(answer):
    """Exercise 4: D's turn of the script."""
    turn = Turn(answer, "D")
    require(
        all(p.grad is None or not p.grad.any() for p in turn.held.parameters()),
        "G got a gradient from D's loss: cut it off with detach() or no_grad",
    )
    require(not turn.has_moved_the_other(), "G moved in D's turn: it is held")
    require(turn.has_moved(), "D did not move: loss.backward(), then optimizer_d.step()")
    require(
        abs(turn.loss - 2 * turn.wanted) > 1e-3,
        "you return the sum of two terms, 2 log 2 for a D that cannot tell; G's loss has one term. "
        "Halve it",
    )
    require_close(
        turn.loss,
        turn.wanted,
        f"real with label 1 and fake with label 0 cost {turn.wanted:.4f} here; you return "
        f"{turn.loss:.4f}",
    )
    turn.require_no_graph()
    sure = Turn(answer, "D", shift=200.0)
    require(
        turn.is_as_wanted() <= sure.is_as_wanted(),
        "a D that is sure and wrong, with a logit of 200 for a fake, gets no slope to learn from: "
        "no sigmoid before the logarithm; take a loss on logits",
    )
    require(turn.is_as_wanted(), STALE)
    return "any batch, no graph left behind, G untouched, and a D that is wrong can still learn."


@check
def mended_g_turn(answer):
    """Exercise 4: G's turn of the script."""
    turn = Turn(answer, "G")
    require(not turn.has_moved_the_other(), "D moved in G's turn: it is held")
    require(
        any(not (p.grad == 100).all() for p in turn.player.parameters() if p.grad is not None),
        "G hears nothing from D: in G's turn the gradient must pass through D, without detach or "
        "no_grad",
    )
    require(turn.has_moved(), "G did not move: loss.backward(), then optimizer_g.step()")
    require(abs(turn.loss - turn.as_fake) > 1e-4, "you ask for label 0: so G learns to be caught")
    require_close(
        turn.loss,
        turn.wanted,
        f"the fakes with label 1 cost {turn.wanted:.4f} here; you return {turn.loss:.4f}",
    )
    turn.require_no_graph()
    lost = Turn(answer, "G", shift=-200.0)
    require(
        turn.is_as_wanted() <= lost.is_as_wanted(),
        "where D is sure of the fakes, with logits of -200, G gets no slope to learn from: take a "
        "loss on logits",
    )
    require(turn.is_as_wanted(), STALE)
    return "label 1, a gradient through D and none left over, D held: that is G's turn."


@check
def mended_to_rgb(answer):
    """Exercise 5: the helper that changed its input."""
    L, ab = torch.rand(2, 1, 4, 4), torch.rand(2, 2, 4, 4) / 2
    kept = L.clone(), ab.clone()
    got = answer(L, ab)
    require(
        torch.equal(L, kept[0]) and torch.equal(ab, kept[1]),
        "it changes what it is given: `x *= 2` writes into x, `2 * x` makes a new tensor",
    )
    require_close(
        got, L_ab_to_rgb(*kept), "the colors are others: L times 100, ab times 110, then lab_to_rgb"
    )
    return "called twice, it gives the same picture twice."


@check
def mended_color(answer):
    """Exercise 5: coloring test pictures in the middle of training."""
    generator = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Tanh()).train()
    L = torch.rand(4, 1, 4, 4)
    with torch.no_grad():
        as_used = copy.deepcopy(generator).eval()(L)
    before = copy.deepcopy(generator.state_dict())
    got = answer(generator, L)
    require(
        all(torch.equal(value, before[name]) for name, value in generator.state_dict().items()),
        "coloring changed G: in training mode batch norm learns from all it sees; eval() first",
    )
    require_close(
        got.detach(),
        as_used,
        "these are the colors of training mode, which depend on the other pictures of the batch: "
        "eval() first",
    )
    require(
        not got.requires_grad, "a graph is kept for the colors, and nobody learns here: no_grad"
    )
    require(
        generator.training,
        "G is left in eval mode, and goes on training with batch norm asleep: train() at the end",
    )
    return "eval() to look, train() to go on; neither is a comment."


@check
def mended_split(answer):
    """Exercise 5: photos to train on, and others to test on."""
    names = [f"{number:03}.jpg" for number in range(60)]
    train, test = (list(filled(part)) for part in answer(list(names)))
    both = sorted(set(train) & set(test))
    require(
        not both, f"{len(both)} photos are in both, {both[:1]} among them: that tests the memory"
    )
    require(sorted(train + test) == names, "every photo belongs to one of the two, once")
    require(len(train) > len(test) > 0, "five parts to train on, one to test on; neither is empty")
    return "no photo is in both, so the test asks for more than memory."


@check
def mended_checkpoint(answer):
    """Exercise 5: what must be saved to go on as if nothing had happened."""
    generator, critic = TinyPainter(), TinyCritic()
    optimizers = [torch.optim.Adam(network.parameters()) for network in (generator, critic)]
    for network, optimizer in zip((generator, critic), optimizers):
        for parameter in network.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    state = answer(generator, critic, *optimizers, step=7)
    require(isinstance(state, dict), f"return a dictionary; you return a {type(state).__name__}")
    parts = {"generator": generator, "critic": critic}
    parts |= {"optimizer_g": optimizers[0], "optimizer_d": optimizers[1]}
    for name, part in parts.items():
        require(
            name in state,
            f"{name} is not saved: "
            + (
                "Adam would forget its directions, and jump"
                if name.startswith("optimizer")
                else "a fresh one would start from nothing against a trained opponent"
            ),
        )
        require(
            isinstance(state[name], dict) and state[name].keys() == part.state_dict().keys(),
            f"{name} is to be saved as its state_dict()",
        )
    require(state.get("step") == 7, "the step is not saved: schedule and history would start over")
    return "both players, both memories, and the place in the schedule."
