"""Checks of lesson 03: photos to tensors."""

import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from colorlib.photos import fit_photo, read_photo, split_by_photo
from lessonkit.checks import Mistake, check, filled, require, require_close

SIZE = 16  # of the photos in the check of the data set


@check
def to_tensor(answer):
    """Exercise 1: from a PIL image to a uint8 tensor, channels first."""
    array = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    got = answer(Image.fromarray(array))
    _require_layout(got, (3, 4, 6), array)
    wanted = torch.from_numpy(array).movedim(-1, 0)
    require(
        not torch.equal(got, wanted.flip(0)),
        "the channels are blue, green, red; red should come first.",
    )
    require_close(got, wanted, "got[c, y, x] should equal the array at [y, x, c].", 0)
    return "channels first, and the bytes unchanged."


@check
def photo_dataset(answer):
    """Exercise 2: `__getitem__` of a data set of photos."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # Windows
        files = _write_photos(Path(folder))
        dataset = answer(files, SIZE)
        wide, tall, sideways, cutout = wanted = [fit_photo(read_photo(f), SIZE) for f in files]
        got = filled(dataset[0])
        whole = read_photo(files[0])
        _require_layout(got, (3, SIZE, SIZE), np.asarray(wide))
        message = "photo 1 comes out like photo 0: open self.files[index]."
        require(not _alike(dataset[1], wide), message)
        message = "the whole photo is squeezed into the square: cut out the center (fit_photo)."
        require(not _alike(got, whole.resize((SIZE, SIZE))), message)
        corner = whole.crop((0, 0, whole.height, whole.height)).resize((SIZE, SIZE))
        require(not _alike(got, corner), "you cut at the upper left corner: cut out the center.")
        center = _center(whole, SIZE)
        message = "you cut out a piece at full size: scale the shorter side to `size` first."
        require(not _alike(got, center), message)
        require(_alike(got, wide), "the first photo is not what fit_photo makes of it.")
        require(_alike(dataset[1], tall), "a photo that is taller than wide comes out wrong.")
        message = "a phone photo lies on its side: EXIF says how to turn it (read_photo does so)."
        require(_alike(dataset[2], sideways), message)
        message = "transparent parts should be white; yours show the hidden color (see read_photo)."
        require(_alike(dataset[3], cutout), message)
        require(len(wanted) == len(dataset), "len(dataset) should be the number of files.")
    return "every file becomes an upright square of bytes, which is all a DataLoader needs."


@check
def split_crops(answer):
    """Exercise 3: crops are split by photo."""
    counts = {f"{letter}.jpg": 3 + place % 4 for place, letter in enumerate("abcdefghijkl")}
    crops = [(name, number) for number in range(6) for name in counts if number < counts[name]]
    train, test = _two_lists(answer(list(crops)), crops)
    message = "nothing to test on" if not test else "nothing to train on"
    require(train and test, f"{message}: one of the two lists is empty.")
    both = sorted({name for name, _ in train} & {name for name, _ in test})
    message = f"{len(both)} of 12 photos have crops on both sides, such as {both[:1]}: this leaks."
    require(not both, message)
    held = len({name for name, _ in test})
    require(held == 2, f"of 12 photos you test on {held}; a sixth of the photos is 2.")
    again = _two_lists(answer(crops[::-1]), crops)[1]
    message = "the same crops in another order are split differently: let split_by_photo choose."
    require(set(again) == set(test), message)
    half = _two_lists(answer(list(crops), share=0.5), crops)[1]
    require(len({name for name, _ in half}) == 6, "share=0.5 should hold out 6 of 12 photos.")
    wanted = split_by_photo(list(counts))[1]
    message = f"the test photos should be those that split_by_photo chooses, {wanted}."
    require({name for name, _ in test} == set(wanted), message)
    return "each photo is on one side only, so the test photos are truly unseen."


@check
def mirror(answer):
    """Exercise 4: mirror some photos of a batch, L and ab together."""
    L, ab = torch.rand(4, 1, 3, 5), torch.rand(4, 2, 3, 5) * 2 - 1
    flips = torch.tensor([True, False, True, False])
    before = L.clone(), ab.clone()
    got = answer(L, ab, flips)
    require(isinstance(got, tuple | list) and len(got) == 2, "return two tensors: L and ab.")
    message = "your function changes L or ab in place: a cached photo would stay mirrored."
    require(torch.equal(L, before[0]) and torch.equal(ab, before[1]), message)
    shapes = tuple(got[0].shape), tuple(got[1].shape)
    message = f"the shapes are {shapes}; L and ab should keep theirs."
    require(shapes == (L.shape, ab.shape), message)
    wanted = [torch.where(flips[:, None, None, None], x.flip(-1), x) for x in (L, ab)]
    is_mirrored = torch.equal(got[0], wanted[0])
    message = "L is mirrored but ab is not: the colors no longer match the objects."
    require(not (is_mirrored and torch.equal(got[1], ab)), message)
    require(
        not torch.equal(got[0], L.flip(-1)),
        "you mirror every photo: flips says which ones to mirror.",
    )
    upside_down = torch.where(flips[:, None, None, None], L.flip(-2), L)
    message = "you turn photos upside down: the width is the last dimension, -1."
    require(not torch.equal(got[0], upside_down), message)
    opposite = torch.where(flips[:, None, None, None], -wanted[1], ab)
    message = "the signs of ab changed: mirroring moves colors but doesn't change them."
    require(not torch.equal(got[1], opposite), message)
    message = "you swapped a and b: mirroring moves pixels along the width, the last dimension, -1."
    swapped = torch.where(flips[:, None, None, None], ab.flip(1), ab)
    swaps = (wanted[1].flip(1), ab.flip(1), swapped)
    require(not any(torch.equal(got[1], swap) for swap in swaps), message)
    require_close(got[0], wanted[0], "L: mirror where flips is True, keep the others.", 0)
    require_close(got[1], wanted[1], "ab: mirror where flips is True, keep the others.", 0)
    return "twice as many photos for free, and every color stays on its object."


def _require_layout(got, shape, array):
    """Name the usual mistakes in shape, type and order of a picture; `array` is (H, W, 3)."""
    message = f"return a torch tensor; your function returns this type: {type(got).__name__}."
    require(isinstance(got, torch.Tensor), message)
    is_last = got.ndim == 3 and got.shape[-1] == 3 and got.shape[0] != 3
    message = f"the shape is {tuple(got.shape)}: the channels come last; torch wants them first."
    require(not is_last, message)
    _require_order(got, shape, array)
    require(got.shape == shape, f"the shape is {tuple(got.shape)}; it should be {shape}.")
    message = (
        f"the dtype is {got.dtype}: keep the bytes (uint8), which take a quarter of the memory."
    )
    require(got.dtype == torch.uint8, message)


def _require_order(got, shape, array):
    """Name the ways in which height, width and channels get mixed up."""
    _, height, width = shape
    for size in (shape, (3, width, height)):
        scrambled = torch.from_numpy(array.reshape(size).copy())
        message = (
            "the picture is scrambled: reshape and view cut the numbers into new rows in the old "
            "order. They don't move the channels; movedim does."
        )
        require(got.shape != size or not torch.equal(got.float(), scrambled.float()), message)
    if height != width and got.shape == (3, width, height):
        turned = torch.from_numpy(array.T.copy())
        is_turned = torch.equal(got.float(), turned.float())
        cause = ".T reverses all three dimensions" if is_turned else "two dimensions are swapped"
        raise Mistake(f"width comes before height: {cause}; movedim moves just one.")


def _write_photos(folder: Path) -> list[Path]:
    """A wide photo, a tall one, one stored sideways, one with a hidden color; all smooth."""
    wide, tall = _smooth(48, 32), _smooth(32, 48).transpose(Image.Transpose.ROTATE_180)
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn right by 90 degrees
    cutout = Image.merge("RGB", [Image.new("L", (32, 32), level) for level in (0, 255, 0)])
    cutout.putalpha(Image.linear_gradient("L").resize((32, 32)).point(lambda v: 255 * (v > 127)))
    files = [folder / f"{number}.png" for number in range(4)]
    wide.save(files[0])
    tall.save(files[1])
    _smooth(48, 32).save(files[2], exif=exif)
    cutout.save(files[3])
    return files


def _smooth(width: int, height: int) -> Image.Image:
    """Red grows to the right, green downward: any way to resize it gives nearly the same."""
    y, x = np.mgrid[0 : height - 1 : height * 1j, 0 : width - 1 : width * 1j]
    channels = [255 * x / (width - 1), 255 * y / (height - 1), np.full_like(x, 90)]
    return Image.fromarray(np.stack(channels, -1).astype(np.uint8))


def _center(image: Image.Image, size: int) -> Image.Image:
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return image.crop((left, top, left + size, top + size))


def _alike(got: torch.Tensor, picture: Image.Image) -> bool:
    """Whether a tensor shows a picture; how it was resized makes a few levels of difference."""
    wanted = np.asarray(picture.convert("RGB")).transpose(2, 0, 1).astype(int)
    same = isinstance(got, torch.Tensor) and got.shape == wanted.shape
    return same and np.abs(got.numpy().astype(int) - wanted).mean() < 6


def _two_lists(got, crops: list) -> tuple[list, list]:
    """A split as two lists that hold every crop once."""
    message = "return two lists of crops: to train on, to test."
    require(isinstance(got, tuple | list) and len(got) == 2, message)
    kinds = " and ".join(type(part).__name__ for part in got)
    is_list = all(isinstance(part, list) for part in got)
    require(is_list, f"return two lists; these are {kinds}, and a set has no order.")
    train, test = got
    strange = set(train + test) - set(crops)
    message = (
        f"{next(iter(strange), None)!r} is not a crop: return pairs (name, number), unchanged."
    )
    require(not strange, message)
    counts = Counter(train + test)
    require(max(counts.values(), default=1) == 1, "some crops come out twice.")
    lost = len(crops) - len(counts)
    require(not lost, f"{lost} of {len(crops)} crops are lost: each belongs in one of the lists.")
    return train, test
