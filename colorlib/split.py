"""A split by photo: which ones are for training and which for the test, the same everywhere.

By photo, since two pieces of one photo in both parts would be a leak: what is tested would have
been seen.
"""

import hashlib
import os
import unicodedata
from collections.abc import Sequence

from colorlib.runs import write_text


def split_by_photo(
    names: Sequence[str], seed: int = 0, share: float = 1 / 6
) -> tuple[list[str], list[str]]:
    """Divide photos into training and test, 5:1.

    Photos are ranked by the SHA-256 of seed and name: the same names and seed give the same split
    on every machine, in whatever order they come, and a photo more moves at most one other.

    Args:
        names: at least 2, each once.
        seed: another seed, another split.
        share: of test photos, between 0 and 1; each part gets at least one.

    Returns:
        (train_names, test_names), each in the order of rank.
    """
    if len(set(names)) != len(names) or len(names) < 2:
        raise ValueError(f"a split needs at least 2 names, each once; got {list(names)[:5]}, ...")

    def rank(name: str) -> tuple[bytes, str]:
        key = unicodedata.normalize("NFC", f"{seed}:{name}")  # macOS may write é as two characters
        return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest(), name

    count = min(max(round(share * len(names)), 1), len(names) - 1)
    ranked = sorted(names, key=rank)
    return ranked[count:], ranked[:count]


def write_split(
    path: str | os.PathLike, train_names: Sequence[str], test_names: Sequence[str]
) -> None:
    """Save a split as a text file that people can read and change: one photo a line."""
    lines = [f"train {name}" for name in train_names] + [f"test {name}" for name in test_names]
    if any("\n" in line or "\r" in line for line in lines):
        raise ValueError("a name with a line break cannot stand in a split: rename the photo")
    title = f"# {len(train_names)} photos to train on, {len(test_names)} to test: part and name"
    write_text(path, "\n".join([title, *lines, ""]))


def read_split(path: str | os.PathLike) -> tuple[list[str], list[str]]:
    """Read what `write_split` wrote: (train_names, test_names).

    Raises:
        ValueError: a line is no "train NAME" or "test NAME", or a name stands there twice.
    """
    parts: dict[str, str] = {}
    # Notepad begins a file with a byte order mark: -sig takes it away
    with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
        for number, line in enumerate(file, start=1):
            part, _, name = line.rstrip("\n").partition(" ")
            if line.startswith("#") or not line.strip():
                continue
            if part not in ("train", "test") or not name:
                raise ValueError(f"{path}, line {number}: expected 'train NAME' or 'test NAME'")
            if name in parts:
                raise ValueError(f"{path}, line {number}: {name!r} stands there a second time")
            parts[name] = part
    train_names = [name for name, part in parts.items() if part == "train"]
    return train_names, [name for name, part in parts.items() if part == "test"]
