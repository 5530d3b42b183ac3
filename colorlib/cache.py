"""Bytes that took long to make, kept in a file: made once, then only looked into.

The file is memory-mapped: what is read of it is in memory as long as there is room, so a data set
may be larger than the memory. It is tied to a key, and made anew where the key is another one or
the file was cut off. It may be deleted at any time.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from filelock import FileLock, Timeout
from tqdm.auto import tqdm

from colorlib.runs import atomic_write, write_text


def cached(path: Path, key: dict, make: Callable[[BinaryIO], dict]) -> tuple[np.ndarray, dict]:
    """Open the bytes at a path, after making them if need be.

    Of several processes that need the same bytes one makes them, and the others wait for it.

    Args:
        path: without a suffix; `.bytes` holds what was made, `.json` the key and the facts.
        key: all that the bytes depend on, values that JSON knows.
        make: writes the bytes to a file, and returns facts about them that JSON knows.

    Returns:
        The bytes, uint8 (N,), as a memory map whose changes stay in memory; and the facts.

    Raises:
        OSError: nothing can be written there, or the disk is full.
    """
    content, record = path.with_suffix(".bytes"), path.with_suffix(".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    with _held(path):
        facts = _read_facts(content, record, key)
        if facts is None:
            record.unlink(missing_ok=True)  # first: it must never stand beside other bytes
            for left_behind in path.parent.glob(f".{path.name}.*.part"):  # of a killed process
                left_behind.unlink()
            with atomic_write(content) as temporary, open(temporary, "wb") as file:
                facts = make(file)
            described = {"key": key, "size": content.stat().st_size, "facts": facts}
            write_text(record, json.dumps(described))
        return np.memmap(content, np.uint8, "c"), facts  # "c": copied where it is changed


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Keep other processes out in this block; wait for one that is in."""
    lock = FileLock(path.with_suffix(".lock"))
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        tqdm.write("another process is making what is needed here: waiting for it")
        held = lock.acquire()
    with held:
        yield


def _read_facts(content: Path, record: Path, key: dict) -> dict | None:
    """The facts about the bytes that are there; None if they are others, cut off, or missing."""
    try:
        described = json.loads(record.read_text("ascii"))
        is_whole = described["key"] == key and described["size"] == content.stat().st_size
        return {**described["facts"]} if is_whole else None  # {**…}: refuses what is no dictionary
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
