"""Real data: folders of photos, DUTS, and the data sets of torchvision.

A folder holds whatever people put there: photos, but also masks, gray scans, broken downloads and
Thumbs.db. `PhotoFolder` decodes all it can use and lists everything else in `left_out` with the
reason, so no file stops a run. Copies are left out too: one in training and its twin in the test
would be a leak.

`open_data`, the one function most callers need, splits the photos into training and test. It
splits whole photos: two crops of one photo on both sides would also be a leak.
"""

import hashlib
import io
import json
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import BinaryIO

import numpy as np
import PIL
import torch
from filelock import FileLock
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from colorlib.decode import PhotoError, explain, fit_photo, image_to_rgb, is_gray, read_photo
from colorlib.runs import atomic_write, write_text
from colorlib.scenes import SceneDataset

EXTENSIONS = frozenset(
    ".jpg .jpeg .jpe .jfif .mpo .png .webp .bmp .tif .tiff .gif .ppm .pgm "
    ".jp2 .j2k .jpx .avif .heic .heif".split()
)
THREADS = 8  # that decode: so many photos are in memory at once
AT_ONCE = 64  # decoded photos that may wait to be stored
WORTH_CACHING = 1000  # photos; fewer are decoded in seconds
CACHE = Path("data", "cache")
MAX_ENLARGEMENT = 4  # a photo that must grow more than this is a blur
TEST_SCENES_SEED = 1_000_000  # added to the seed of the training scenes


def open_data(
    data: str | os.PathLike | Dataset,
    size: int,
    seed: int,
    fit: str = "crop",
    split: str | os.PathLike | None = None,
    cache: str | os.PathLike | None = CACHE,
) -> tuple[Dataset, Dataset]:
    """Open training and test data.

    Args:
        data: "scenes" for the built-in scenes (3,000 and 300); a folder of photos (one that holds
            `DUTS-TE`, `DUTS-TR` or both is read as DUTS); or a torchvision data set, or any other
            whose items are (PIL image, label), without a transform.
        size: side of the square photos, in pixels.
        seed: of the scenes, or of the split.
        fit: "crop" or "stretch", see `fit_photo`.
        split: a split file to follow; if it does not exist, it is written.
        cache: the folder for decoded photos, see `PhotoFolder`; None: none.

    Returns:
        (train, test), data sets with `rgb` (N, 3, size, size) uint8 and `source`; photos also have
        `names`, and `left_out` of the whole folder.

    Raises:
        NotADirectoryError: there is no such folder.
        PhotoError: fewer than 2 usable photos, or the split leaves none for one of the two parts.
    """
    if isinstance(data, str) and data == "scenes":
        train = SceneDataset(3000, size=size, seed=seed)
        return train, SceneDataset(300, size=size, seed=seed + TEST_SCENES_SEED)
    if not isinstance(data, str | os.PathLike):
        photos = labeled_photos(data, size, fit)
    else:
        photos = PhotoFolder(data, size, fit, cache=cache)
    if split is not None and Path(split).exists():
        train_names, test_names = _usable(photos, split)
    else:
        train_names, test_names = split_by_photo(photos.names, seed)
        if split is not None:
            write_split(split, train_names, test_names)
    return photos.pick(train_names), photos.pick(test_names)


def _usable(photos: "DecodedPhotos", split: str | os.PathLike) -> list[list[str]]:
    """The photos of a split file that exist; files in only one of the two places are left out."""
    listed = [[nfc(name) for name in part] for part in read_split(split)]
    found = {nfc(name): name for name in photos.names}
    strange = {*found} ^ {name for part in listed for name in part}
    strange -= {nfc(name) for name, _ in photos.left_out}
    photos.left_out += [(name, f"new or missing: compare {split}") for name in sorted(strange)]
    parts = [[found[name] for name in part if name in found] for part in listed]
    if not all(parts):
        raise PhotoError("no usable photo left for training or for the test", str(split))
    return parts


@dataclass(eq=False)
class DecodedPhotos(Dataset):
    """Photos in memory, or in a memory-mapped file.

    Attributes:
        rgb: (N, 3, size, size) uint8.
        names: of the N photos, relative to their folder.
        left_out: (name, reason) of the other files of the folder.
        source: the folder, as it was given.
    """

    rgb: Tensor
    names: list[str]
    left_out: list[tuple[str, str]]
    source: str = ""

    def __len__(self) -> int:
        return len(self.rgb)

    def __getitem__(self, index: int) -> Tensor:
        return self.rgb[index]

    def pick(self, names: Sequence[str]) -> "DecodedPhotos":
        """Take the photos of these names, in this order; a block of neighbors isn't copied."""
        places = {name: place for place, name in enumerate(self.names)}
        rows = [places[name] for name in names]
        first = rows[0] if rows else 0
        is_block = rows == list(range(first, first + len(rows)))
        rgb = self.rgb[first : first + len(rows)] if is_block else self.rgb[rows]
        return DecodedPhotos(rgb, list(names), self.left_out, self.source)


class PhotoFolder(DecodedPhotos):
    """A folder of color photos, decoded on all cores.

    The masks of DUTS, as its authors pack it (folders `DUTS-TE`, `DUTS-TR` or both), are ignored.
    The photos are in the order of `split_by_photo` with seed 0, so that both parts of that split
    are slices. Of identical photos, only the first is kept.

    Args:
        root: the folder; its subfolders are searched as well.
        size: side of the square photos, in pixels.
        fit: "crop" or "stretch", see `fit_photo`.
        cache: a folder for decoded photos. Sets of at least `WORTH_CACHING` photos are kept there
            in a memory-mapped file, one for each root, size and fit, until the photos change.

    Raises:
        NotADirectoryError: there is no such folder.
        PhotoError: fewer than 2 usable photos.
    """

    def __init__(
        self,
        root: str | os.PathLike,
        size: int = 256,
        fit: str = "crop",
        cache: str | os.PathLike | None = None,
    ):
        found, left_out = find_photos(root)
        paths = {path.relative_to(root).as_posix(): path for path in found}

        def read(name: str) -> Image.Image:
            # a JPEG of twice the size is small enough to be quick and large enough to shrink well
            return read_photo(paths[name], 2 * size)

        decode = partial(decode_all, paths, read, size, fit)
        if cache is None or len(paths) < WORTH_CACHING:
            pixels, facts = decode_in_memory(decode)
        else:
            place = f"{Path(root).absolute()} {size} {fit}"
            pixels, facts = decode_once(Path(cache), place, paths.values(), decode)
        super().__init__(*_checked(root, size, pixels, facts, left_out), os.path.normpath(root))


def labeled_photos(dataset: Dataset, size: int, fit: str) -> DecodedPhotos:
    """Decode a torchvision data set, or any other whose items are (PIL image, label).

    The labels are ignored; the names are the photos' numbers.
    """

    def read(name: str) -> Image.Image:
        image = dataset[int(name)][0]
        if not isinstance(image, Image.Image):
            raise PhotoError("not a PIL image; open the data set without a transform")
        return image_to_rgb(image)

    numbers = [f"{number:06d}" for number in range(len(dataset))]
    # no data set promises that two threads may ask it at once
    decode = partial(decode_all, numbers, read, size, fit, threads=1)
    return DecodedPhotos(*_checked(type(dataset).__name__, size, *decode_in_memory(decode)))


def decode_all(
    names: Iterable[str],
    read: Callable[[str], Image.Image],
    size: int,
    fit: str,
    file: BinaryIO,
    threads: int = THREADS,
) -> dict:
    """Write the pixels of all usable photos to a file; return their names, and what is left out."""

    def decode(name: str) -> np.ndarray | str:
        """One photo, uint8 (3, size, size), or why it can't be used."""
        try:
            photo = read(name)
        except Exception as error:  # a data set raises whatever its files make it raise
            return explain(error)
        if min(photo.size) * MAX_ENLARGEMENT < size:
            return f"too small: {photo.width}×{photo.height} pixels for a size of {size}"
        rgb = np.asarray(fit_photo(photo, size, fit)).transpose(2, 0, 1)
        return "gray: it would teach gray" if is_gray(rgb) else np.ascontiguousarray(rgb)

    names, used, left_out, name_of = sorted(names, key=split_key), [], [], {}
    bar = tqdm(desc="decoding", total=len(names), leave=False, unit="photo", delay=2)
    # PIL frees the GIL; after Ctrl-C, leaving the pool waits only for photos already begun
    with bar, ThreadPool(min(threads, os.cpu_count() or 1)) as pool:
        for start in range(0, len(names), AT_ONCE):
            some = names[start : start + AT_ONCE]
            for name, rgb in zip(some, pool.imap(decode, some)):
                bar.update()
                if isinstance(rgb, str):
                    left_out.append((name, rgb))
                    continue
                twin = name_of.setdefault(hashlib.sha256(rgb).digest(), name)
                if twin != name:
                    left_out.append((name, f"duplicate: the same picture as {twin}"))
                else:
                    file.write(rgb)
                    used.append(name)
    return {"names": used, "left_out": left_out}


def decode_in_memory(decode: Callable[[BinaryIO], dict]) -> tuple[memoryview, dict]:
    """The pixels that `decode` writes, and the facts that it returns."""
    content = io.BytesIO()
    facts = decode(content)
    return content.getbuffer(), facts


def decode_once(
    cache: Path, place: str, photos: Iterable[Path], decode: Callable[[BinaryIO], dict]
) -> tuple[np.memmap | bytes, dict]:
    """Decode into a cache file, unless it exists. If several processes ask, one does it.

    There is one such file for each place. Its name also depends on the photos' paths, sizes, times
    and permissions, and on the formats that can be read. If these change, the old file is deleted.
    """
    states = [(str(path.absolute()), path.stat()) for path in photos if path.exists()]
    states = sorted((path, s.st_size, s.st_mtime_ns, s.st_mode) for path, s in states)
    name = _hash(place)
    readable = sorted(Image.registered_extensions())  # more, once pillow-heif is installed
    content = cache / f"{name}_{_hash((PIL.__version__, readable, states))}.bytes"
    record = content.with_suffix(".json")
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / f"{name}.lock"):
        if not (content.exists() and record.exists()):
            for old in cache.glob(f"{name}_*"):
                old.unlink()
            with atomic_write(content) as temporary, open(temporary, "wb") as file:
                facts = decode(file)
            write_text(record, json.dumps(facts))
        facts = json.loads(record.read_text("utf-8"))
        # "c": changes stay in memory; an empty file can't be mapped
        return np.memmap(content, np.uint8, "c") if facts["names"] else b"", facts


def _hash(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def _checked(
    where: str | os.PathLike, size: int, pixels: memoryview, facts: dict, left_out: Iterable = ()
) -> tuple[Tensor, list[str], list[tuple[str, str]]]:
    """The arguments of `DecodedPhotos`, if there are enough photos."""
    names, left_out = facts["names"], sorted([*left_out, *map(tuple, facts["left_out"])])
    if len(names) < 2:
        raise PhotoError(
            f"{len(names)} usable photo(s), but at least 2 in color are needed, one for training "
            f"and one for the test; left out: {count_reasons(left_out) or 'nothing'}",
            str(where),
        )
    return torch.frombuffer(pixels, dtype=torch.uint8).view(-1, 3, size, size), names, left_out


def find_photos(root: str | os.PathLike) -> tuple[list[Path], list[tuple[str, str]]]:
    """List all files under a folder whose names say that they're photos, except DUTS's masks.

    Returns:
        (paths, left_out): the paths, sorted, and (name, reason) of all other files and of folders
        that were not searched: hidden, linked or unreadable ones.

    Raises:
        NotADirectoryError: there is no such folder.
    """
    if not Path(root).is_dir():
        raise NotADirectoryError(f"no folder of photos at {root}: check the path")
    paths, reasons = [], {}
    images = [path for path in Path(root).glob("DUTS-T[ER]/DUTS-T[ER]-Image") if path.is_dir()]

    def unreadable(error: OSError) -> None:
        reasons[error.filename] = explain(error)

    walks = [os.walk(top, onerror=unreadable) for top in images or [root]]
    for folder, folders, files in chain.from_iterable(walks):
        for path in (Path(folder, name) for name in files + folders):
            if path.name.startswith("."):
                reasons[path] = "hidden"
            elif path.name in folders:
                if path.is_symlink():
                    reasons[path] = "a link to a folder: give the folder itself"
            elif path.suffix.lower() not in EXTENSIONS:
                reasons[path] = "not a photo by its name"
            elif len(path.as_posix().splitlines()) > 1:  # a split file has one name per line
                reasons[path] = "a line break in its name: rename it"
            else:
                paths.append(path)
        folders[:] = [name for name in folders if not name.startswith(".")]
    left_out = {Path(path).relative_to(root).as_posix(): why for path, why in reasons.items()}
    return sorted(paths), [*left_out.items()]


def count_reasons(left_out: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Count why files were left out, most frequent first: {"gray": 3, "duplicate": 1}."""
    # the words before the colon or parenthesis in "gray: it would teach gray"
    return dict(Counter(re.split(r" ?[:(]", reason)[0] for _, reason in left_out).most_common())


def nfc(name: str) -> str:
    """Spell accents as one character; macOS may store é as two."""
    return unicodedata.normalize("NFC", name)


def split_key(name: str, seed: int = 0) -> tuple[bytes, str]:
    """The sort key of a photo in the order that `split_by_photo` cuts in two."""
    key = nfc(f"{seed}:{name}").encode("utf-8", "surrogateescape")
    return hashlib.sha256(key).digest(), name


def split_by_photo(
    names: Sequence[str], seed: int = 0, share: float = 1 / 6
) -> tuple[list[str], list[str]]:
    """Divide photos into training and test, 5:1.

    Photos are ranked by the SHA-256 of seed and name. The same names and seed therefore give the
    same split on every machine, in whatever order they come. Adding a photo moves at most one
    other photo to the other part.

    Args:
        names: at least 2, each once.
        seed: another seed gives another split.
        share: of test photos, between 0 and 1; each part gets at least one.

    Returns:
        (train_names, test_names), each in that order.
    """
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated or len(names) < 2:
        cause = f"{repeated[0]!r} is repeated" if repeated else f"got {list(names)}"
        raise ValueError(f"a split needs at least 2 names, each once; {cause}")
    count = min(max(round(share * len(names)), 1), len(names) - 1)
    ranked = sorted(names, key=lambda name: split_key(name, seed))
    return ranked[count:], ranked[:count]


def write_split(
    path: str | os.PathLike, train_names: Sequence[str], test_names: Sequence[str]
) -> None:
    """Save a split as a text file that people can read and change: one photo per line."""
    lines = [f"train {name}" for name in train_names] + [f"test {name}" for name in test_names]
    if any("\n" in line or "\r" in line for line in lines):
        raise ValueError("a split can't hold a name with a line break: rename the photo")
    title = f"# {len(train_names)} photos to train on, {len(test_names)} to test: part and name"
    write_text(path, "\n".join([title, *lines, ""]))


def read_split(path: str | os.PathLike) -> tuple[list[str], list[str]]:
    """Read what `write_split` wrote: (train_names, test_names).

    Raises:
        ValueError: a line is not "train NAME" or "test NAME", or a name is listed twice.
    """
    parts: dict[str, str] = {}
    # Notepad begins a file with a byte order mark; -sig removes it
    with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
        for number, line in enumerate(file, start=1):
            part, _, name = line.rstrip("\n").partition(" ")
            if line.startswith("#") or not line.strip():
                continue
            if part not in ("train", "test") or not name:
                raise ValueError(f"{path}, line {number}: expected 'train NAME' or 'test NAME'")
            if name in parts:
                raise ValueError(f"{path}, line {number}: {name!r} is listed a second time")
            parts[name] = part
    train_names = [name for name, part in parts.items() if part == "train"]
    return train_names, [name for name, part in parts.items() if part == "test"]
