"""Checks of lesson 07: both halves, gradient norm, the diagnoses, the mended script."""

import copy
from collections.abc import Callable

import torch
from torch import nn

from colorlib.color import L_ab_to_rgb
from colorlib.losses import bce_discriminator, bce_generator
from lessonkit.checks import Mistake, check, filled, require, require_close
from lessonkit.lesson_07.case_files import LETTERS


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
    last = network[1].bias
    try:
        got = float(answer(network))
    except (AttributeError, TypeError) as error:
        if "NoneType" not in str(error):
            raise
        raise Mistake("a parameter that has learned nothing yet has grad None: skip it") from error
    require(
        last.grad is not None and last.grad.item() == 12,
        "you changed the gradients, and this is an instrument: it only looks. (clip_grad_norm_ "
        "shortens them to the length that you allow)",
    )
    require(got != 169, "169 is the sum of the squares: the root is missing")
    require(got != 19, "3 + 4 + 12 = 19: add the squares, then take the root, as with a diagonal")
    require(got != 12, "12 is the length of the last gradient alone; take all together")
    require(got != 11, "with signs, gradients cancel each other: add their squares")
    require_close(got, 13.0, f"gradients 3, -4 and 12 have the length 13; you get {got:g}")
    return "√(3² + 4² + 12²) = 13: how strongly a network is pushed, in one number."


HINTS = {  # where to look, not what is there
    "healthy": "compare its shares, answers, gradients and distance with those of the other files: "
    "which of them is out of order?",
    "d_too_strong": "look at D's shares right, from the first row on, and at G's gradients",
    "no_detach": "on which side of 1/2 do D's answers to fakes lie, and which half does it get "
    "right? Which player profits from that?",
    "labels_swapped": "both losses fall to nearly 0. On which half is D right, and how can its "
    "loss be so small then?",
    "no_reconstruction": "losses, shares and answers are like those of C. Compare G's gradients "
    "with those of C, and the distance",
    "learning_rate": "D ends right on both halves; a D that learns once in ten turns of G is late, "
    "and right about few fakes. And look at the column leap: does anything settle?",
    "batch_norm": "compare D's answers to the same kind of fakes in its own turn and in G's turn",
    "mode_collapse": "which half is D seldom right about, nearly all the time? Then compare the "
    "pictures of one row: how many palettes are there?",
}


@check
def diagnosis(answer):
    """Exercise 3: which fault each recorded run has."""
    require(isinstance(answer, dict), f"give a dictionary; you give a {type(answer).__name__}")
    missing = [letter for letter in LETTERS if letter not in answer]
    require(not missing, f"no diagnosis for {', '.join(missing)}")
    still_open = [letter for letter in LETTERS if answer[letter] in (None, ...)]
    if len(still_open) < len(LETTERS):
        require(not still_open, f"still open: {', '.join(still_open)}")
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
    """A discriminator of a few weights, with a batch norm, whose logits are shifted."""

    def __init__(self, shift: float = 0.0):
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 4, kernel_size=1, bias=False), nn.BatchNorm2d(4)
        self.last, self.shift = nn.Conv2d(4, 1, kernel_size=1), shift

    def forward(self, L, ab):
        """From (B, 1, H, W) and (B, 2, H, W) to logits, (B, 1, H, W)."""
        return self.last(torch.relu(self.norm(self.first(torch.cat([L, ab], dim=1))))) + self.shift


class Turn:
    """One turn of a learner's function in a tiny game: what it did, and what it should have done.

    Args:
        answer: takes both networks, the optimizer of the player whose turn it is, and the batch.
        role: "D" or "G", whose turn it is.
        generator: G, with such gradients as earlier turns have left.
        critic: D, likewise.
    """

    def __init__(self, answer: Callable, role: str, generator: nn.Module, critic: nn.Module):
        self.L, real_ab = torch.rand(3, 1, 4, 4), torch.rand(3, 2, 4, 4) - 0.5
        self.player, self.held = (critic, generator) if role == "D" else (generator, critic)
        logits = critic(self.L, real_ab), critic(self.L, generator(self.L))
        wanted = bce_discriminator(*logits) if role == "D" else bce_generator(logits[1])
        self.wanted, self.as_fake = wanted.item(), bce_generator(-logits[1]).item()
        self.gradients = torch.autograd.grad(wanted, list(self.player.parameters()))
        self.together = loss_together(generator, critic, self.L, real_ab)
        self.asleep = loss_asleep(role, generator, critic, self.L, real_ab)
        self.before, held_before = weights(self.player), weights(self.held)
        optimizer = torch.optim.SGD(self.player.parameters(), lr=0.1)
        batch = (self.L, real_ab) if role == "D" else (self.L,)
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
        self.after = weights(self.player)
        self.has_moved = not all(map(torch.equal, self.after, self.before))
        self.has_moved_the_other = not all(map(torch.equal, weights(self.held), held_before))
        gradients = [p.grad for p in self.held.parameters() if p.grad is not None]
        self.has_pushed_the_other = any(gradient.any() for gradient in gradients)
        self.is_other_frozen = not all(p.requires_grad for p in self.held.parameters())

    def is_step(self, times: float = 1.0) -> bool:
        """Whether the player took `times` the very step that colorlib's loss asks for."""
        wanted = [w - 0.1 * times * g for w, g in zip(self.before, self.gradients)]
        pairs = zip(self.after, wanted)
        return all(torch.allclose(now, then, atol=1e-5) for now, then in pairs)

    def require_no_graph(self) -> None:
        """Refuse a loss that keeps its graph."""
        require(
            not (isinstance(self.returned, torch.Tensor) and self.returned.requires_grad),
            "the loss that you return still holds its graph, and who adds such losses up keeps "
            "every step in memory: return loss.item()",
        )


@torch.no_grad()
def loss_together(generator, critic, L, real_ab) -> float:
    """D's loss where it judges real and fake in one batch."""
    logits = critic(torch.cat([L, L]), torch.cat([real_ab, generator(L)]))
    return bce_discriminator(*logits.chunk(2)).item()


@torch.no_grad()
def loss_asleep(role, generator, critic, L, real_ab) -> float:
    """The loss of D or G, where D is in eval mode."""
    critic.eval()
    real, fake = critic(L, real_ab), critic(L, generator(L))
    critic.train()
    return (bce_discriminator(real, fake) if role == "D" else bce_generator(fake)).item()


def two_turns(answer: Callable, role: str, shift: float = 0.0) -> tuple[Turn, Turn]:
    """Two turns of one player. Between those of D, one of G leaves its gradients in D.

    Args:
        answer: see `Turn`.
        role: likewise.
        shift: of D's logits.
    """
    torch.manual_seed(1)
    generator, critic = TinyPainter(), TinyCritic(shift)
    first = Turn(answer, role, generator, critic)
    if role == "D":
        bce_generator(critic(first.L, generator(first.L))).backward()
    return first, Turn(answer, role, generator, critic)


def weights(network: nn.Module) -> list[torch.Tensor]:
    """A copy of a network's weights."""
    return [parameter.detach().clone() for parameter in network.parameters()]


STALE = (
    "in its second turn it goes on from gradients that an earlier turn has left behind: clear them "
    "first, zero_grad(), then backward(), then step()"
)
ASLEEP = (
    "D is in eval mode and judges by running statistics, but in the other player's turn by those "
    "of the batch. Keep the company the same, as case H teaches: leave D in training mode"
)
FROZEN = (
    "{} is left frozen and could not learn in the turn that follows: undo requires_grad_(False) at "
    "the end"
)


@check
def mended_d_turn(answer):
    """Exercise 4: D's turn of the script."""
    turn, second = two_turns(answer, "D")
    require(
        not turn.has_pushed_the_other,
        "G got a gradient from D's loss: cut it off with detach() or no_grad",
    )
    require(not turn.has_moved_the_other, "G moved in D's turn: it is held")
    require(not turn.is_other_frozen, FROZEN.format("G"))
    require(turn.has_moved, "D did not move: loss.backward(), then optimizer_d.step()")
    require(
        abs(turn.loss - 2 * turn.wanted) > 1e-3,
        "you return the sum of two terms, 2 log 2 for a D that cannot tell; G's loss has one term. "
        "Halve it",
    )
    require(
        abs(turn.loss - turn.together) > 1e-4,
        "D judges real and fake in one batch, and in G's turn the fakes alone: with batch norm "
        "that is the fault of case H. Call it twice",
    )
    require(abs(turn.loss - turn.asleep) > 1e-4, ASLEEP)
    require_close(
        turn.loss,
        turn.wanted,
        f"real with label 1 and fake with label 0 cost {turn.wanted:.4f} here; you return "
        f"{turn.loss:.4f}",
    )
    turn.require_no_graph()
    require(
        not turn.is_step(times=2),
        "you return the mean but train on the sum: halve before backward()",
    )
    require(turn.is_step(), "D takes another step than the loss that you return asks for")
    sure, _ = two_turns(answer, "D", shift=200.0)
    require(
        sure.is_step(),
        "a D that is sure and wrong, with a logit of 200 for a fake, gets no slope to learn from: "
        "no sigmoid before the logarithm; take a loss on logits",
    )
    require(second.is_step(), STALE)
    return "any batch, no graph left behind, G untouched, and a D that is wrong can still learn."


@check
def mended_g_turn(answer):
    """Exercise 4: G's turn of the script."""
    turn, second = two_turns(answer, "G")
    require(not turn.has_moved_the_other, "D moved in G's turn: it is held")
    require(
        turn.has_moved,
        "G did not move. Are backward() and then step() called, and does the gradient pass through "
        "D, without detach or no_grad?",
    )
    require(not turn.is_other_frozen, FROZEN.format("D"))
    require(abs(turn.loss - turn.as_fake) > 1e-4, "you ask for label 0: so G learns to be caught")
    require(abs(turn.loss - turn.asleep) > 1e-4, ASLEEP)
    require_close(
        turn.loss,
        turn.wanted,
        f"the fakes with label 1 cost {turn.wanted:.4f} here; you return {turn.loss:.4f}",
    )
    turn.require_no_graph()
    require(turn.is_step(), "G takes another step than the loss that you return asks for")
    lost, _ = two_turns(answer, "G", shift=-200.0)
    require(
        lost.is_step(),
        "where D is sure of the fakes, with logits of -200, G gets no slope to learn from: take a "
        "loss on logits",
    )
    require(second.is_step(), STALE)
    return "label 1, a gradient through D and none left over, D held: that is G's turn."


def painter_with_norm() -> nn.Module:
    """A tiny generator that has running statistics."""
    return nn.Sequential(nn.Conv2d(1, 2, kernel_size=1), nn.BatchNorm2d(2), nn.Tanh())


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
    generator = painter_with_norm()
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
    names = [f"{number:03}.jpg" for number in reversed(range(60))]
    given = list(names)
    first, again = ([list(filled(part)) for part in answer(given)] for _ in range(2))
    train, test = first
    both = set(train) & set(test)
    require(
        not both,
        f"{len(both)} photos are in both, such as {sorted(both)[:1]}: that tests the memory",
    )
    require(sorted(train + test) == sorted(names), "every photo belongs to one of the two, once")
    require(
        (len(train), len(test)) == (50, 10),
        "five parts to train on, one to test on: of 60 photos 50 and 10; yours are "
        f"{len(train)} and {len(test)}",
    )
    require(given == names, "it changes the list that it is given: shuffle a copy")
    require(
        first == again,
        "called twice, it splits in two ways: after a restart photos to test on would be trained "
        "on. Do not shuffle, or with a seed of its own",
    )
    return "no photo is in both, so the test asks for more than memory."


LOST = {
    "optimizer": ("Adam would forget its directions, and jump", "each under its own name"),
    "player": (
        "a fresh one would start from nothing against a trained opponent",
        "which has batch norm's running statistics, too",
    ),
}


@check
def mended_checkpoint(answer):
    """Exercise 5: what must be saved to go on as if nothing had happened."""
    parts, fresh = a_start(), a_start()
    for player, memory in (("generator", "optimizer_g"), ("critic", "optimizer_d")):
        for parameter in parts[player].parameters():
            parameter.grad = torch.ones_like(parameter)
        parts[memory].step()
    parts["generator"](torch.rand(2, 1, 4, 4))  # so that batch norm has seen something
    state = answer(*parts.values(), step=7)
    require(isinstance(state, dict), f"return a dictionary; you return a {type(state).__name__}")
    for name, part in parts.items():
        lost, hint = LOST["optimizer" if name.startswith("optimizer") else "player"]
        require(name in state, f"{name} is not saved: {lost}")
        require(
            comes_back(part, fresh[name], state[name]),
            f"a fresh {name} that loads what you saved is another: save its state_dict(), {hint}",
        )
    require(state.get("step") == 7, "the step is not saved: schedule and history would start over")
    return "both players, both memories, and the place in the schedule."


def a_start() -> dict[str, nn.Module | torch.optim.Optimizer]:
    """Both players with their optimizers, as a checkpoint names them."""
    generator, critic = painter_with_norm(), TinyCritic()
    optimizers = [torch.optim.Adam(network.parameters()) for network in (generator, critic)]
    return dict(
        zip(("generator", "critic", "optimizer_g", "optimizer_d"), (generator, critic, *optimizers))
    )


def comes_back(part, fresh, saved) -> bool:
    """Whether a fresh one that loads what was saved has the state of the old one."""
    try:
        fresh.load_state_dict(saved)
        torch.testing.assert_close(fresh.state_dict(), part.state_dict())
    except Exception:  # whatever was saved instead of a state_dict
        return False
    return True
