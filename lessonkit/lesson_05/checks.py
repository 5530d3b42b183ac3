"""Checks of lesson 05: receptive field, patch head, slope on a logit, leak of batch norm."""

import torch
from torch import nn
from torch.nn import functional

from colorlib.discriminator import PatchDiscriminator, receptive_field
from lessonkit.checks import check, filled, require, require_close

PATCHGAN = [(4, 2), (4, 2), (4, 2), (4, 1), (4, 1)]  # kernel and stride, layer by layer


@check
def pixels_seen(answer):
    """Exercise 1: how many pixels across one score sees, from kernels and strides."""
    one, pair = answer([(4, 2)]), answer([(3, 1), (3, 1)])
    require(
        one == 4,
        f"a single 4×4 convolution looks at 4 pixels, whatever its stride; you get {one}. "
        "Between the first and the last of f pixels lie f - 1 strides, not f",
    )
    require(
        pair == 5,
        f"two 3×3 convolutions of stride 1 see 5 pixels, since their windows overlap; "
        f"you get {pair}",
    )
    late, early = answer([(4, 1), (4, 2)]), answer([(4, 2), (4, 1)])
    require(
        late != early,
        f"for (4, 1), (4, 2) and for (4, 2), (4, 1) you get the same, {late}: the order of the "
        "strides matters",
    )
    require(
        (late, early) != (10, 7),
        "you walk from the picture to the score; start with one score and go back: the last layer "
        "comes first",
    )
    require((late, early) == (7, 10), f"(4, 2), (4, 1) sees 10 pixels across; you get {early}")
    field = answer(list(PATCHGAN))  # a copy, since `layers.reverse()` is a right way, too
    wanted = receptive_field(PatchDiscriminator(1))
    require(field == wanted, f"the five layers of the patch critic see {wanted}; you get {field}")
    return f"one score of the patch critic sees {wanted}×{wanted} pixels."


@check
def patch_head(answer):
    """Exercise 2: the last layers of the patch critic, from features to a map of scores."""
    head = filled(answer(8))
    require(
        isinstance(head, nn.Module), f"return one nn.Sequential; you return {type(head).__name__}"
    )
    scores = filled(head(torch.randn(2, 8, 8, 8)))
    _require_map(scores)
    require(
        not any(isinstance(layer, nn.Sigmoid) for layer in head.modules())
        and not (scores.min() >= 0 and scores.max() <= 1),
        "all your scores lie between 0 and 1: leave out the sigmoid, a score is any number",
    )
    norms = sum(isinstance(layer, nn.BatchNorm2d) for layer in head.modules())
    require(norms > 0, "there is no batch norm between the two convolutions")
    require(norms == 1, "the scores themselves are not normalized: batch norm only between the two")
    reference = nn.Sequential(*PatchDiscriminator(4, 2).layers[-4:])
    _give_weights(reference, head)
    features = torch.randn(2, 8, 8, 8)
    require_close(
        head(features),
        reference(features),
        "with colorlib's weights in your layers the scores differ from colorlib's: between batch "
        "norm and the last convolution goes LeakyReLU with a slope of 0.2",
    )
    return "with colorlib's weights, your head gives colorlib's scores."


def _require_map(scores):
    """Refuse scores of the wrong shape; right are (2, 1, 6, 6), from features (2, 8, 8, 8)."""
    shape = tuple(scores.shape)
    require(
        len(shape) == 4 and shape[2:] != (1, 1),
        f"one score a picture, {shape}: no flattening, no pooling; a convolution gives a map",
    )
    require(shape[1] == 1, f"one score a patch; you return {shape[1]} channels")
    require(
        shape[2:] != (8, 8),
        "your map is as large as the features, 8×8: a 4×4 kernel with padding 1 takes a row and a "
        "column each time",
    )
    require(shape[2] > 3, f"from 8×8 features you get {shape[2]}×{shape[3]}: stride 1, padding 1")
    require(shape == (2, 1, 6, 6), f"from 8×8 features come 6×6 scores, not {shape[2]}×{shape[3]}")


def _give_weights(reference, head):
    """Load the reference's weights into a learner's layers of the same shapes, in their order."""
    wanted = list(reference.state_dict().values())
    own = head.state_dict()
    require(
        len(own) == len(wanted),
        f"your layers hold {len(own)} tensors, colorlib's {len(wanted)}: two convolutions with "
        "bias and one batch norm",
    )
    for name, mine, theirs in zip(own, own.values(), wanted):
        require(
            mine.shape == theirs.shape,
            f"{name} is {tuple(mine.shape)}, in colorlib {tuple(theirs.shape)}: 4×4 kernels, "
            "first to twice the channels, then to 1",
        )
    head.load_state_dict(dict(zip(own, wanted)))


@check
def logit_slope(answer):
    """Exercise 3: the slope of binary cross-entropy by the logit."""
    require_close(
        answer(torch.tensor(0.0), 1.0),
        torch.tensor(-0.5),
        f"at logit 0 and label 1 the slope is -0.5; you get {float(answer(torch.zeros(()), 1.0)):g}"
        ". What D says minus what it should say",
    )
    require_close(
        answer(torch.tensor(0.0), 0.0),
        torch.tensor(0.5),
        "at logit 0 and label 0 the slope is +0.5: the label must enter",
    )
    logits = torch.linspace(-100, 100, 41)
    for label in (0.0, 1.0):
        got = torch.as_tensor(answer(logits, label))
        require(
            not got.isnan().any(),
            "on paper it is right, but at logit 100 you get nan: exp(100) is more than a float32 "
            "holds; torch.sigmoid computes the same safely",
        )
        require_close(
            got,
            _slope(logits, label),
            f"for label {label:g} it is right at 0 but not from -100 to 100; plot it",
        )
    return (
        "the slope is what D says minus the label: never more than 1, and 0 only when D is right."
    )


def _slope(logits, label):
    """The same by torch's own differentiation."""
    logits = logits.clone().requires_grad_()
    labels = torch.full_like(logits, label)
    functional.binary_cross_entropy_with_logits(logits, labels, reduction="sum").backward()
    return logits.grad


class _MinusBatchMean(nn.Module):
    """A critic whose leak is known by hand: in training it takes the batch's mean off two pixels.

    It remembers whether it was ever switched to eval mode.
    """

    was_in_eval_mode = False

    def train(self, mode=True):
        self.was_in_eval_mode |= not mode
        return super().train(mode)

    def forward(self, L, ab):
        require(L.ndim == ab.ndim == 4, "a critic takes batches, (B, 1, H, W): `L[:1]`, not `L[0]`")
        require(len(L) == len(ab), "L and ab hold different numbers of pictures: `L[:1], ab[:1]`")
        scores = L + ab[:, :1]
        if self.training:
            scores[..., 0, 0] -= L[..., 0, 0].mean()
            scores[..., 1, 1] -= L[..., 0, 0].mean() / 2
        return scores


@check
def leak(answer):
    """Exercise 4: how much a score depends on the other pictures of the batch."""
    for sign, direction in ((1, "falls"), (-1, "rises")):
        network = _MinusBatchMean()
        L, ab = torch.zeros(3, 1, 2, 2), torch.zeros(3, 2, 2, 2)
        L[:, 0, 0, 0] = torch.tensor([0.0, 1.0, 5.0]) * sign  # the mean is 2
        L[:, 0, 0, 1] = ab[:, 0, 1, 0] = torch.tensor([0.0, 4.0, 8.0])  # no two pictures alike
        got = answer(network, L, ab)
        require(
            torch.as_tensor(got).numel() == 1,
            "you return a map of differences; its largest absolute one is wanted: take "
            "`.abs().max()`",
        )
        _examine_leak(network, float(got), direction)
    return "now you can ask of any network whether it judges a picture or its company."


def _examine_leak(network, got, direction):
    """Name the mistake behind a leak that is not 2."""
    require(
        not network.was_in_eval_mode and network.training,
        "you switched the network to eval mode, where batch norm takes remembered averages: "
        "leave it as it is",
    )
    require(
        got != 0,
        f"you find no leak where there is one: the score {direction} by 2 in company. Compare "
        "the same picture's scores in the batch and alone; rise and fall both count",
    )
    require(
        got >= 0,
        f"{got:g}: here the score {direction} by 2 in company. Fall or rise, it is a leak of "
        "2: take the absolute value",
    )
    require(got != 8, "you compare with the other pictures' scores too: take only [:1] of them")
    require(got != 4, "alone, you judge the second picture: the first is `L[:1], ab[:1]`")
    require(
        got != 0.75,
        "the mean over the map hides the one score that changed by 2: take the largest change",
    )
    require_close(got, 2.0, f"the scores change by 2, 1, 0 and 0: the largest is 2, not {got:.3g}")
