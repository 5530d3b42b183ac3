"""Checks of lesson 05: receptive field, patch head, slope by the logit, leak of batch norm."""

import torch
from torch import nn
from torch.nn import functional

from colorlib.discriminator import PatchDiscriminator
from lessonkit.checks import Mistake, check, filled, require, require_close
from lessonkit.lesson_05.measures import receptive_field

PATCHGAN = [(4, 2), (4, 2), (4, 2), (4, 1), (4, 1)]  # kernel and stride, layer by layer


@check
def pixels_seen(answer):
    """Exercise 1: the receptive field of one score, from kernels and strides."""
    one, pair = answer([(4, 2)]), answer([(3, 1), (3, 1)])
    seen = f"a single 4×4 convolution of stride 2 sees 4 pixels across; you get {one}"
    require(one != 2, f"{seen}. Start with the one score, not with 0")
    require(one != 6, f"{seen}. From the first to the last of f windows there are f - 1 strides")
    require(one == 4, seen)
    require(
        pair == 5,
        f"two 3×3 convolutions of stride 1 see 5 pixels, since their windows overlap; "
        f"you get {pair}",
    )
    late, early = answer([(4, 1), (4, 2)]), answer([(4, 2), (4, 1)])
    require(
        late != early,
        f"you get {late} for (4, 1), (4, 2) and also for (4, 2), (4, 1), but the order of the "
        "strides matters",
    )
    require(
        (late, early) != (10, 7),
        "you walk from the picture to the score. Start with the score and walk back: the last "
        "layer comes first",
    )
    require((late, early) == (7, 10), f"(4, 2), (4, 1) sees 10 pixels across; you get {early}")
    field = answer(list(PATCHGAN))  # a copy, because a right answer may call `layers.reverse()`
    wanted = receptive_field(PatchDiscriminator(1))
    require(field == wanted, f"your formula is right so far, but five layers give {field}")
    return f"one score of pix2pix's patch discriminator sees {wanted}×{wanted} pixels."


@check
def patch_head(answer):
    """Exercise 2: the last layers of a patch discriminator, from features to a map of scores."""
    head = filled(answer(8))
    require(
        isinstance(head, nn.Module), f"return one nn.Sequential; you return {type(head).__name__}"
    )
    scores = filled(_through(head, 8))
    _require_map(scores)
    require(
        not any(isinstance(layer, nn.Sigmoid) for layer in head.modules())
        and not (scores.min() >= 0 and scores.max() <= 1),
        "all your scores lie between 0 and 1, but a logit can be any number: leave out the sigmoid",
    )
    norms = sum(isinstance(layer, nn.BatchNorm2d) for layer in head.modules())
    require(norms > 0, "there is no batch norm between the two convolutions")
    require(norms == 1, "use batch norm only between the two convolutions, not on the scores")
    reference = nn.Sequential(*PatchDiscriminator(4, 2).layers[-4:])
    _give_weights(reference, head)
    features = torch.randn(2, 8, 8, 8)
    require_close(
        head(features),
        reference(features),
        "with colorlib's weights in your layers the scores differ from colorlib's: look again at "
        "the activation and at the order of the layers",
    )
    _through(filled(answer(4)), 4)
    return "with colorlib's weights, your head gives colorlib's scores."


def _through(head, channels):
    """Run a learner's layers on features of so many channels; explain layers that don't fit."""
    try:
        return head(torch.randn(2, channels, 8, 8))
    except RuntimeError as error:
        if "running_mean" in str(error):  # how torch names a batch norm of the wrong width
            hint = "batch norm needs as many channels as the layer before it puts out"
        elif "channels" in str(error):
            hint = "a layer expects another number of channels than the layer before it puts out"
        else:
            raise
        raise Mistake(f"features of {channels} channels do not get through: {hint}") from error


def _require_map(scores):
    """Require scores of shape (2, 1, 6, 6) for features of shape (2, 8, 8, 8)."""
    shape = tuple(scores.shape)
    require(
        len(shape) == 4 and shape[2:] != (1, 1),
        f"you return {shape}, not a map: no flattening, no pooling; a convolution gives a map",
    )
    require(shape[1] == 1, f"each patch gets one score; you return {shape[1]} channels")
    require(
        shape[2:] != (8, 8),
        "your map is as large as the features, 8×8. A 4×4 kernel with padding 1 makes it one row "
        "and one column smaller",
    )
    require(shape[2] > 3, f"8×8 features become {shape[2]}×{shape[3]}: use stride 1")
    require(
        shape == (2, 1, 6, 6), f"8×8 features should give 6×6 scores, not {shape[2]}×{shape[3]}"
    )


def _give_weights(reference, head):
    """Load the reference's weights into the learner's layers, in order."""
    wanted = list(reference.state_dict().values())
    own = head.state_dict()
    require(
        len(own) == len(wanted),
        f"your layers hold {len(own)} tensors, colorlib's {len(wanted)}: two convolutions with "
        "a bias and one batch norm",
    )
    for name, mine, theirs in zip(own, own.values(), wanted):
        require(
            mine.shape == theirs.shape,
            f"your {name} has the shape {tuple(mine.shape)}; read the card again: how large are "
            "the kernels, and how many channels come out of each layer?",
        )
    head.load_state_dict(dict(zip(own, wanted)))


@check
def logit_slope(answer):
    """Exercise 3: the slope of binary cross-entropy by the logit."""
    for label, wanted in ((1.0, -0.5), (0.0, 0.5)):
        got = torch.as_tensor(answer(torch.tensor(0.0), label)).float()
        require_close(
            got,
            torch.tensor(wanted),
            f"at logit 0 and label {label:g} the slope of the loss is {wanted:+g} (read it off the "
            f"figure); you get {float(got.mean()):+g}",
        )
    logits = torch.linspace(-100, 100, 41)
    for label in (0.0, 1.0):
        got = torch.as_tensor(answer(logits, label))
        require(
            not got.isnan().any(),
            "on paper it is right, but at logit 100 you get nan, because exp(100) overflows a "
            "float32. Which PyTorch function computes that part safely?",
        )
        require_close(
            got,
            _slope(logits, label),
            f"for label {label:g} it is right at logit 0 but not from -100 to 100: plot it",
        )
    return "the slope is D's probability minus the label: at most 1, and 0 only where D is right."


def _slope(logits, label):
    """The same slope by autograd."""
    logits = logits.clone().requires_grad_()
    labels = torch.full_like(logits, label)
    functional.binary_cross_entropy_with_logits(logits, labels, reduction="sum").backward()
    return logits.grad


class _MinusBatchMean(nn.Module):
    """A discriminator with a known leak: in training mode it subtracts a batch mean at two pixels.

    It records whether it was ever switched to eval mode.
    """

    was_in_eval_mode = False

    def train(self, mode=True):
        self.was_in_eval_mode |= not mode
        return super().train(mode)

    def forward(self, L, ab):
        require(
            L.ndim == ab.ndim == 4,
            "a discriminator takes batches, (B, 1, H, W): `L[:1]`, not `L[0]`",
        )
        require(len(L) == len(ab), "L and ab hold different numbers of pictures: `L[:1], ab[:1]`")
        scores = L + ab[:, :1]
        if self.training:
            scores[..., 0, 0] -= L[..., 0, 0].mean()
            scores[..., 1, 1] -= L[..., 0, 0].mean() / 2
        return scores


@check
def leak(answer):
    """Exercise 4: how much a score depends on the other pictures in the batch."""
    for sign, direction in ((1, "falls"), (-1, "rises")):
        network = _MinusBatchMean()
        L, ab = torch.zeros(3, 1, 2, 2), torch.zeros(3, 2, 2, 2)
        L[:, 0, 0, 0] = torch.tensor([0.0, 1.0, 5.0]) * sign  # the mean is 2
        L[:, 0, 0, 1] = ab[:, 0, 1, 0] = torch.tensor([0.0, 4.0, 8.0])  # no two pictures alike
        got = answer(network, L, ab)
        require(
            torch.as_tensor(got).numel() == 1,
            "you return a map of differences; return the largest absolute one: `.abs().max()`",
        )
        _examine_leak(network, float(got), direction)
    return "now you can test whether a network judges a picture or its company."


def _examine_leak(network, got, direction):
    """Explain a result other than 2, the right one."""
    require(
        not network.was_in_eval_mode and network.training,
        "you switched the network to eval mode, where batch norm uses its running averages: "
        "leave the mode as it is",
    )
    require(
        got != 0,
        f"you find no leak where there is one: in the batch the score {direction} by 2. Compare "
        "the same picture's scores in its batch and alone; a rise and a fall both count",
    )
    require(
        got >= 0,
        f"you get {got:g}: in the batch the score {direction} by 2. Rise or fall, the leak is 2: "
        "take the absolute value",
    )
    require(got != 8, "you also compare the other pictures' scores: take only [:1] of them")
    require(got != 4, "alone, you judge the second picture; the first is `L[:1], ab[:1]`")
    require(
        got != 0.75,
        "the mean over the map hides the one score that changed by 2: take the largest change",
    )
    require_close(got, 2.0, f"the scores change by 2, 1, 0 and 0: the largest is 2, not {got:.3g}")
