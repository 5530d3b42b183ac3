"""Real data: folders of photos, DUTS, and the data sets of torchvision.

A folder holds what people put there: photos, but also masks, gray scans, cut-off downloads and
Thumbs.db. `PhotoFolder` looks at every file; it either uses it rightly or names it in `left_out`
with the reason, and none stops a run.

The way of a photo: its name and header are looked at (`find_photos`), it is decoded to RGB and made
a square (`colorlib.decode`), to be a uint8 tensor. `PhotoFolder.load` goes that way once for all
photos, leaves out copies, and keeps thousands of them in a file; `open_data`, which most callers
need alone, splits them by photo (`colorlib.split`), so that nothing of a test photo is trained on.
"""

import hashlib
import io
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import PIL
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from colorlib import decode
from colorlib.cache import cached
from colorlib.decode import PhotoError, fit_photo, read_photo
from colorlib.runs import write_text
from colorlib.scenes import SceneDataset
from colorlib.split import read_split, split_by_photo, write_split

EXTENSIONS = frozenset(".jpg .jpeg .jpe .jfif .png .webp .bmp .tif .tiff .gif .ppm .pgm".split())
AT_ONCE = 64  # so many decoded ones may wait to be kept
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
    """Open training and test data by one word.

    Args:
        data: "scenes" for the built-in scenes (3,000 and 300); a folder of photos, of which a
            folder with `DUTS-TE`, `DUTS-TR` or both is read as DUTS, both parts as one set; or a
            torchvision data set, see `LabeledPhotos`.
        size: side of the square photos, in pixels.
        seed: of the scenes, or of the split.
        fit: "crop" or "stretch", see `fit_photo`.
        split: a split file to go by; if it is not there, it is written.
        cache: the folder for decoded photos, see `PhotoFolder.load`; None: none.

    Returns:
        (train, test), data sets with `rgb` (N, 3, size, size) uint8; of photos also with `names`,
        and `left_out` of the whole folder.

    Raises:
        NotADirectoryError: there is no such folder.
        PhotoError: fewer than 2 usable photos, or none to train on or to test in the split.
    """
    if isinstance(data, str) and data == "scenes":
        train = SceneDataset(3000, size=size, seed=seed)
        return train, SceneDataset(300, size=size, seed=seed + TEST_SCENES_SEED)
    if not isinstance(data, str | os.PathLike):
        folder = LabeledPhotos(data, size, fit)
    elif duts_folders(data):
        folder = DUTS(data, None, size, fit)
    else:
        folder = PhotoFolder(data, size, fit)
    train_names, test_names = split_by_photo(folder.names, seed)
    # in the order of rank, so that each part lies in one piece, whichever photos turn out bad
    photos = folder.load([*test_names, *train_names], cache)
    if split is not None and Path(split).exists():
        train_names, test_names = _apply_split(photos, split)
    else:
        train_names, test_names = split_by_photo(photos.names, seed)
        if split is not None:
            write_split(split, train_names, test_names)
    return photos.pick(train_names), photos.pick(test_names)


def _apply_split(photos: "DecodedPhotos", split: str | os.PathLike) -> list[list[str]]:
    """The names of a split file that can be used; what it and the folder differ in is left out."""
    parts = read_split(split)
    usable, listed = set(photos.names), {name for part in parts for name in part}
    strange = (usable ^ listed) - {name for name, _ in photos.left_out}
    photos.left_out += [(name, f"not in both: the folder and {split}") for name in sorted(strange)]
    parts = [[name for name in part if name in usable] for part in parts]
    if not all(parts):
        raise PhotoError("no usable photo to train on, or none to test: take another", str(split))
    return parts


class PhotoFolder(Dataset):
    """A folder of color photos, decoded as they are asked for.

    Opening reads headers alone: thousands of photos in a second. What turns out damaged or gray
    only when it is decoded raises `PhotoError` here, and is left out by `load`, as copies are.

    Args:
        root: the folder; its subfolders are searched as well.
        size: side of the square photos, in pixels.
        fit: "crop" or "stretch", see `fit_photo`.
        files: paths to take instead of all that lie in the folder.

    Attributes:
        files: paths of the photos.
        names: their names: relative to `root`, with forward slashes.
        left_out: (name, reason) of all other files.

    Raises:
        NotADirectoryError: there is no such folder.
        PhotoError: fewer than 2 usable photos.
    """

    max_threads = 8  # so many photos are in memory at once

    def __init__(
        self,
        root: str | os.PathLike,
        size: int = 256,
        fit: str = "crop",
        files: Iterable[str | os.PathLike] | None = None,
    ):
        self.root, self.size, self.fit = Path(root), size, fit
        if files is None:
            survey = _survey(self.root, size)
        else:
            survey = [(path, _header_fault(path, size)) for path in map(Path, files)]
        self.files = [path for path, fault in survey if fault is None]
        self.names = [self._name(path) for path in self.files]
        self.left_out = [(self._name(path), fault) for path, fault in survey if fault]
        _check_enough(self.root, self.names, self.left_out)

    def _name(self, path: Path) -> str:
        is_inside = path.is_relative_to(self.root)
        return (path.relative_to(self.root) if is_inside else path).as_posix()

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Tensor:
        """One photo, uint8 (3, size, size).

        Raises:
            PhotoError: it is damaged or gray, which its header did not tell.
        """
        return torch.from_numpy(self._decode(index))

    def _open(self, index: int) -> Image.Image:
        """The photo as it came, in RGB; what `LabeledPhotos` does in its own way."""
        # a JPEG of twice the size is small enough to be quick and large enough to shrink well
        return read_photo(self.files[index], 2 * self.size)

    def _decode(self, index: int) -> np.ndarray:
        """The photo as uint8 (3, size, size)."""
        photo = fit_photo(self._open(index), self.size, self.fit)
        rgb = np.ascontiguousarray(np.asarray(photo).transpose(2, 0, 1))
        if decode.is_gray(rgb):
            raise PhotoError("gray: it would teach gray", self.names[index])
        return rgb

    def load(
        self, names: Sequence[str] | None = None, cache: str | os.PathLike | None = None
    ) -> "DecodedPhotos":
        """Decode all photos once, on all cores, and keep them.

        Of photos that are equal pixel by pixel the first stays: one in the training and its copy
        in the test would be a leak.

        Args:
            names: which photos, and in which order; by default all, as in `names`.
            cache: a folder for decoded photos. There 1,000 photos or more are kept in a file,
                memory-mapped, for the next time that the same files are loaded at the same size
                in the same order. None, or where nothing can be written: in memory.

        Raises:
            PhotoError: fewer than 2 usable photos.
        """
        names = self.names if names is None else list(names)
        # without files, nobody knows whether the photos in a cache are still the same
        if cache is not None and self.files and len(names) >= WORTH_CACHING:
            try:
                return self._load_cached(names, Path(cache))
            except OSError as error:
                message = f"no cache, so the photos are decoded into memory: {error}"
                warnings.warn(message, stacklevel=2)
        content = io.BytesIO()
        facts = self._decode_into(content, names)
        return self._to_photos(content.getbuffer(), facts)

    def _load_cached(self, names: list[str], cache: Path) -> "DecodedPhotos":
        """Load from a file in the cache folder: one for each folder, size and fit."""
        place = {"folder": str(self.root.resolve()), "size": self.size, "fit": self.fit}
        files, states = dict(zip(self.names, self.files)), hashlib.sha256()
        for name in names:
            status = os.stat(files[name])
            states.update(repr((name, status.st_size, status.st_mtime_ns)).encode())
        version = [1, PIL.__version__]  # another one may decode in another way
        key = {**place, "files": states.hexdigest(), "version": version}
        path = cache / hashlib.sha256(repr(place).encode()).hexdigest()[:16]
        return self._to_photos(*cached(path, key, lambda file: self._decode_into(file, names)))

    def _decode_into(self, file: BinaryIO, names: Sequence[str]) -> dict:
        """Write all usable photos to a file, one after the other; return which, and what is bad."""
        places = {name: place for place, name in enumerate(self.names)}
        used, bad, name_of = [], [], {}

        # numpy here and in `_decode`: torch would start a team of threads in each of ours
        def pixels(name: str) -> np.ndarray | str:  # or what is wrong with the photo
            try:
                return self._decode(places[name])
            except PhotoError as error:
                return error.reason

        pool = ThreadPoolExecutor(min(self.max_threads, os.cpu_count() or 1))  # PIL frees the GIL
        bar = tqdm(desc="decoding", total=len(names), leave=False, unit="photo", delay=2)
        try:
            for start in range(0, len(names), AT_ONCE):
                some = names[start : start + AT_ONCE]
                for name, rgb in zip(some, pool.map(pixels, some)):
                    bar.update()
                    if isinstance(rgb, str):
                        bad.append((name, rgb))
                    elif (digest := hashlib.sha256(rgb).digest()) in name_of:
                        bad.append((name, f"duplicate: the same picture as {name_of[digest]}"))
                    else:
                        file.write(rgb)
                        used.append(name)
                        name_of[digest] = name
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C waits only for photos already begun
            bar.close()
        _check_enough(self.root, used, self.left_out + bad)
        return {"names": used, "bad": bad}

    def _to_photos(self, content: memoryview | np.ndarray, facts: dict) -> "DecodedPhotos":
        """See the bytes and facts of `_decode_into` as photos, without a copy."""
        rgb = torch.frombuffer(content, dtype=torch.uint8).view(-1, 3, self.size, self.size)
        left_out = sorted(self.left_out + [(name, reason) for name, reason in facts["bad"]])
        return DecodedPhotos(rgb, facts["names"], left_out)


class DUTS(PhotoFolder):
    """DUTS as its authors pack it; the masks are not looked at.

    Args:
        root: the folder that holds `DUTS-TE/DUTS-TE-Image`, `DUTS-TR/DUTS-TR-Image`, or both.
        part: "TE" (5,019 photos), "TR" (10,553), or None for what is there.
        size: side of the square photos, in pixels.
        fit: "crop" or "stretch", see `fit_photo`.

    Raises:
        NotADirectoryError: there is no such part.
        PhotoError: fewer than 2 usable photos.

    Reference: Wang et al. 2017, Learning to detect salient objects with image-level supervision.
    """

    def __init__(
        self, root: str | os.PathLike, part: str | None = None, size: int = 256, fit: str = "crop"
    ):
        folders = duts_folders(root, part)
        if not folders:
            missing = f"DUTS-{part or 'TE'}"
            raise NotADirectoryError(
                f"no {missing}/{missing}-Image in {root}: see `colorlib download duts --help`"
            )
        files = [path for folder in folders for path in sorted(folder.iterdir())]
        super().__init__(root, size, fit, files)


def duts_folders(root: str | os.PathLike, part: str | None = None) -> list[Path]:
    """The folders of photos that a folder holds in DUTS's own layout; none if it is not DUTS."""
    names = [f"DUTS-{part}"] if part else ["DUTS-TE", "DUTS-TR"]
    folders = [Path(root, name, f"{name}-Image") for name in names]
    return [folder for folder in folders if folder.is_dir()]


class LabeledPhotos(PhotoFolder):
    """The photos of a torchvision data set, or of any other whose items are (PIL image, label).

    Caltech-101, say: `LabeledPhotos(torchvision.datasets.Caltech101("data", download=True))`. The
    labels are not used; names are the numbers of the photos. A photo whose item is another thing
    raises `TypeError` when it is asked for.

    Args:
        dataset: without a `transform`.
        size: side of the square photos, in pixels.
        fit: "crop" or "stretch", see `fit_photo`.
    """

    max_threads = 1  # no data set promises that two threads may ask it at once

    def __init__(self, dataset: Dataset, size: int = 256, fit: str = "crop"):
        self.root, self.size, self.fit = Path(type(dataset).__name__), size, fit
        self.dataset, self.files, self.left_out = dataset, [], []
        self.names = [f"{number:06d}" for number in range(len(dataset))]

    def _open(self, index: int) -> Image.Image:
        try:
            image = self.dataset[index][0]
            if isinstance(image, Image.Image):
                if fault := _unfit(image, self.size):
                    raise PhotoError(fault)
                return decode.image_to_rgb(image)
        except Exception as error:  # a data set raises whatever its files make it raise
            raise PhotoError(decode.explain(error), self.names[index]) from error
        # not a fault of this photo, to be left out, but of all
        raise TypeError("items must be (PIL image, label): open the data set without a transform")


@dataclass(eq=False)
class DecodedPhotos(Dataset):
    """Photos in memory, or in a file that looks like memory.

    Attributes:
        rgb: (N, 3, size, size) uint8.
        names: of the N photos, relative to their folder.
        left_out: (name, reason) of the other files of the folder.
    """

    rgb: Tensor
    names: list[str]
    left_out: list[tuple[str, str]]

    def __len__(self) -> int:
        return len(self.rgb)

    def __getitem__(self, index: int) -> Tensor:
        return self.rgb[index]

    def pick(self, names: Sequence[str]) -> "DecodedPhotos":
        """Take the photos of these names, in this order.

        Those that lie one after the other, as the parts of `open_data` do, are not copied.
        """
        places = {name: place for place, name in enumerate(self.names)}
        rows = [places[name] for name in names]
        first = rows[0] if rows else 0
        is_block = rows == list(range(first, first + len(rows)))
        rgb = self.rgb[first : first + len(rows)] if is_block else self.rgb[rows]
        return DecodedPhotos(rgb, list(names), self.left_out)


def find_photos(root: str | os.PathLike) -> list[Path]:
    """List all picture files under a folder, sorted; gray ones too.

    Their names and headers are good. What is hidden is not looked at; links are followed, and
    each folder is entered once.

    Raises:
        NotADirectoryError: there is no such folder.
    """
    return [path for path, fault in _survey(Path(root)) if fault is None]


def _survey(root: Path, size: int | None = None) -> list[tuple[Path, str | None]]:
    """All files under `root`, sorted, with what is wrong with their name or header."""
    if not root.is_dir():
        raise NotADirectoryError(f"no folder of photos at {root}: check the path")
    files = sorted(_walk(root), key=lambda file: file[0].as_posix())
    return [(path, fault or _header_fault(path, size)) for path, fault in files]


def _walk(root: Path) -> Iterator[tuple[Path, str | None]]:
    """Yield all files under `root` with what is wrong with their name."""
    folders, entered = [root], set()
    while folders:
        folder = folders.pop()
        if os.path.realpath(folder) in entered:  # links may lead in circles
            yield folder, "a link to a folder that is read already"
            continue
        entered.add(os.path.realpath(folder))
        try:
            paths = list(folder.iterdir())
        except OSError as error:
            yield folder, decode.explain(error)
            continue
        for path in paths:
            if path.name.startswith("."):
                yield path, "hidden"
            elif os.path.isdir(path):  # links come last, so that photos keep their own names
                folders.insert(0 if os.path.islink(path) else len(folders), path)
            else:
                yield path, _name_fault(path)


def _name_fault(path: Path) -> str | None:
    if path.suffix.lower() not in EXTENSIONS:
        return "not a photo by its name"
    if "\n" in path.as_posix() or "\r" in path.as_posix():
        return "a line break in its name: rename it"  # a split file has one name a line
    return None


def _header_fault(path: Path, size: int | None = None) -> str | None:
    """Say why a file is no picture, without decoding it; None: it is one.

    With a size, why it is no photo to learn color from at that size.
    """
    try:
        with decode.opened(path) as image:
            return None if size is None else _unfit(image, size)
    except PhotoError as error:
        return error.reason


def _unfit(image: Image.Image, size: int) -> str | None:
    if image.mode in decode.GRAY_MODES:
        return "gray: it would teach gray"
    if min(image.size) * MAX_ENLARGEMENT < size:
        return f"too small: {image.width}×{image.height} pixels for a size of {size}"
    return None


def _check_enough(root: Path, names: list[str], left_out: list[tuple[str, str]]) -> None:
    if len(names) >= 2:
        return
    reasons = "".join(f"\n  {name}: {reason}" for name, reason in left_out[:5])
    raise PhotoError(
        f"{len(names)} usable photo(s); at least 2 in color are needed, one to train on and one "
        f"to test. {len(left_out)} file(s) left out{':' if left_out else ''}{reasons}",
        str(root),
    )


def count_reasons(left_out: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Count why files were left out, most frequent first: {"gray": 3, "duplicate": 1}."""
    # of "gray: it would teach gray" and "damaged or cut off (…): …" the words in front
    return dict(Counter(re.split(r" ?[:(]", reason)[0] for _, reason in left_out).most_common())


def write_left_out(path: str | os.PathLike, left_out: Iterable[tuple[str, str]]) -> None:
    """Write down all files that were left out, and why, one a line."""
    lines = [" ".join(f"{name}: {reason}".splitlines()) for name, reason in left_out]
    write_text(path, "\n".join([f"# {len(lines)} left out, and why", *lines, ""]))
