"""The checks of lesson 03 accept their solutions and name the usual mistakes."""

import random

import numpy as np
import pytest
import torch
from check_cases import cases, judge
from PIL import Image, ImageOps
from torch.utils.data import Dataset

from colorlib.photos import fit_photo, read_photo, split_by_photo
from lessonkit.lesson_03 import checks


def to_tensor(image):
    return torch.from_numpy(np.array(image)).movedim(-1, 0)


class Photos(Dataset):
    def __init__(self, files, size):
        self.files, self.size = files, size

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        photo = fit_photo(read_photo(self.files[index]), self.size)
        return torch.from_numpy(np.array(photo)).movedim(-1, 0)


def photos(item):
    """A class whose `__getitem__` is the function `item` of file and size."""

    class Other(Photos):
        def __getitem__(self, index):
            return item(self.files[index], self.size)

    return Other


class AlwaysFirst(Photos):
    def __getitem__(self, index):
        return super().__getitem__(0)


class Longer(Photos):
    def __len__(self):
        return 1 + len(self.files)


def plain(path):
    return Image.open(path).convert("RGB")


def upright(path):
    return ImageOps.exif_transpose(Image.open(path)).convert("RGB")


def at_corner(path, size):
    photo = read_photo(path)
    short = min(photo.size)
    return to_tensor(photo.crop((0, 0, short, short)).resize((size, size)))


def at_full_size(path, size):
    photo = read_photo(path)
    left, top = (photo.width - size) // 2, (photo.height - size) // 2
    return to_tensor(photo.crop((left, top, left + size, top + size)))


def split_crops(crops, share=1 / 6):
    names = sorted({name for name, number in crops})
    train_names, test_names = split_by_photo(names, share=share)
    train = [crop for crop in crops if crop[0] in train_names]
    test = [crop for crop in crops if crop[0] in test_names]
    return train, test


def at_random(crops, share=1 / 6):
    crops = random.Random(0).sample(crops, len(crops))
    count = round(share * len(crops))
    return crops[count:], crops[:count]


def by_order(crops, share=1 / 6):
    names = list(dict.fromkeys(name for name, _ in crops))
    test = names[: round(share * len(names))]
    return [c for c in crops if c[0] not in test], [c for c in crops if c[0] in test]


def by_alphabet(crops, share=1 / 6):
    return by_order(sorted(crops), share)


def always_a_sixth(crops, share=1 / 6):
    return split_crops(crops)


def one_photo(crops, share=1 / 6):
    test = min(crops)[0]
    return [c for c in crops if c[0] != test], [c for c in crops if c[0] == test]


def mirror(L, ab, flips):
    flips = flips[:, None, None, None]
    return torch.where(flips, L.flip(-1), L), torch.where(flips, ab.flip(-1), ab)


def in_place(L, ab, flips):
    L[flips], ab[flips] = L[flips].flip(-1), ab[flips].flip(-1)
    return L, ab


def upside_down(L, ab, flips):
    flips = flips[:, None, None, None]
    return torch.where(flips, L.flip(-2), L), torch.where(flips, ab.flip(-2), ab)


def opposite_colors(L, ab, flips):
    L, ab = mirror(L, ab, flips)
    return L, torch.where(flips[:, None, None, None], -ab, ab)


RIGHT = {
    "to_tensor": to_tensor,
    "photo_dataset": Photos,
    "split_crops": split_crops,
    "mirror": mirror,
}
WRONG = {
    "to_tensor": [
        (lambda image: np.array(image), "return a torch tensor"),
        (lambda image: torch.from_numpy(np.array(image)), "channels come last"),
        (lambda image: torch.from_numpy(np.array(image).T.copy()), "width comes before height"),
        (lambda image: torch.from_numpy(np.array(image)).view(3, 4, 6), "scrambled"),
        (lambda image: torch.from_numpy(np.array(image)).reshape(3, 6, 4), "scrambled"),
        (lambda image: to_tensor(image).transpose(1, 2).flip(0), "two dimensions are swapped"),
        (lambda image: to_tensor(image) / 255, "keep the bytes"),
        (lambda image: to_tensor(image).flip(0), "red should come first"),
        (lambda image: to_tensor(image.convert("L").convert("RGB")), "got[c, y, x]"),
        (lambda image: to_tensor(image)[:1], "should be (3, 4, 6)"),
    ],
    "photo_dataset": [
        (photos(lambda path, size: fit_photo(read_photo(path), size)), "return a torch tensor"),
        (photos(lambda path, size: to_tensor(read_photo(path))), "should be (3, 16, 16)"),
        (photos(lambda path, size: to_tensor(fit_photo(read_photo(path), 16)) / 255), "bytes"),
        (AlwaysFirst, "self.files[index]"),
        (photos(lambda path, size: to_tensor(plain(path).resize((size, size)))), "squeezed"),
        (photos(at_corner), "upper left corner"),
        (photos(at_full_size), "at full size"),
        (photos(lambda path, size: to_tensor(fit_photo(plain(path), size))), "on its side"),
        (photos(lambda path, size: to_tensor(fit_photo(upright(path), size))), "transparent"),
        (Longer, "number of files"),
    ],
    "split_crops": [
        (
            lambda crops, share=1 / 6: split_by_photo([name for name, _ in crops], share=share),
            "'a.jpg' is repeated",
        ),
        (at_random, "have crops on both sides"),
        (lambda crops, share=1 / 6: (crops, []), "nothing to test on"),
        (lambda crops, share=1 / 6: split_by_photo(sorted({c[0] for c in crops})), "is not a crop"),
        (lambda crops, share=1 / 6: (crops, crops[:5]), "come out twice"),
        (lambda crops, share=1 / 6: split_crops(crops[1:]), "are lost"),
        (lambda crops, share=1 / 6: crops, "return two lists"),
        (lambda crops, share=1 / 6: tuple(map(set, split_crops(crops))), "a set has no order"),
        (one_photo, "a sixth of the photos is 2"),
        (by_order, "in another order"),
        (always_a_sixth, "share=0.5"),
        (by_alphabet, "that split_by_photo chooses"),
    ],
    "mirror": [
        (in_place, "changes L or ab in place"),
        (lambda L, ab, flips: mirror(L, ab, flips)[0], "return two tensors"),
        (lambda L, ab, flips: (mirror(L, ab, flips)[0], ab), "L is mirrored but ab is not"),
        (lambda L, ab, flips: (L.flip(-1), ab.flip(-1)), "you mirror every photo"),
        (upside_down, "upside down"),
        (opposite_colors, "the signs of ab changed"),
        (lambda L, ab, flips: (mirror(L, ab, flips)[0], ab.flip(1)), "you swapped a and b"),
        (lambda L, ab, flips: (L, ab.flip(1)), "you swapped a and b"),
        (lambda L, ab, flips: (L, ab), "L: mirror where flips is True"),
        (lambda L, ab, flips: (L[flips].flip(-1), ab[flips].flip(-1)), "should keep theirs"),
    ],
}


@pytest.mark.parametrize("check, answer, words", cases(checks, RIGHT, WRONG))
def test_check(check, answer, words):
    judge(check, answer, words)


def test_an_untouched_getitem_is_not_done():
    assert checks.photo_dataset.judge(photos(lambda path, size: ...)).kind == "not done"
