"""Fetch a data set of photos, check it, and unpack it into a folder of its own.

DUTS (Wang et al., CVPR 2017) may be used for academic work and must not be passed on, so nothing
of it comes with this package: it is fetched from its authors' site, or taken from a zip that you
have. Its authors publish no checksum: the first download's is recorded, and later ones must match.
"""

import hashlib
import os
import shutil
import zipfile
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO
from urllib.request import urlopen

from tqdm.auto import tqdm

from colorlib.runs import atomic_write, hold, move, write_text

DUTS_SITE = "http://saliencydetection.net/duts/download"
TERMS = """\
DUTS may be used for academic work only: do not pass its photos on. If you publish, cite
Wang et al., Learning to detect salient objects with image-level supervision, CVPR 2017."""
OTHER_WAYS = """\
Three other ways:
  fetch the zip in a browser, elsewhere or later:  colorlib download duts --zip FILE
  give the address of a copy:                      colorlib download duts --url ADDRESS
  use other photos: colorlib download caltech101, or colorlib train l1 --data FOLDER"""
TIMEOUT = 30.0  # seconds of silence after which we give up on a site


class DownloadError(OSError):
    """A data set that could not be fetched; the message says why and what to do."""


def download_duts(
    folder: str | os.PathLike,
    part: str = "TE",
    urls: Sequence[str] = (),
    archive: str | os.PathLike | None = None,
) -> Path:
    """Get the photos of one part of DUTS, unless they are there already.

    Args:
        folder: for the zip, its checksum, and the photos in `DUTS-TE/DUTS-TE-Image`, the layout
            that `open_data` recognizes. The masks stay in the zip.
        part: "TE" or "TR".
        urls: addresses of copies of the zip, tried before the authors' site.
        archive: a zip that you have; nothing is downloaded then.

    Returns:
        The folder with the photos.

    Raises:
        DownloadError: no site sent a good zip, or it differs from the first one.
        RunError: another process is doing this, or the folder cannot be written to.
        OSError: `archive` cannot be read.
    """
    folder, name = Path(folder), f"DUTS-{part}"
    images, fetched = folder / name / f"{name}-Image", folder / f"{name}.zip"
    record = fetched.with_suffix(".zip.sha256")
    if images.is_dir():
        return images
    with hold(folder):
        if archive is None and not fetched.exists():
            fetch((*urls, f"{DUTS_SITE}/{name}.zip"), fetched)
        with open(archive or fetched, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
            if record.exists() and not record.read_text("utf-8").startswith(found):
                raise DownloadError(
                    f"{file.name} differs from the first download: its SHA-256 is {found}, and "
                    f"{record} says another. If you trust the new one, delete that record"
                )
            unpack(file, images)
        # only now, since a damaged zip should not become the first one
        write_text(record, f"{found}  {fetched.name}\n")  # `sha256sum -c` reads it
    return images


def download_caltech101(folder: str | os.PathLike) -> Path:
    """Get Caltech-101 through torchvision, which knows its checksum, unless it is there already.

    Returns:
        The folder with the photos, `101_ObjectCategories`; the annotations are not kept.

    Raises:
        DownloadError: the site is down, or it sent a damaged file.
        RunError: another process is doing this, or the folder cannot be written to.
    """
    from torchvision.datasets import Caltech101  # takes seconds

    folder = Path(folder)
    images = folder / "101_ObjectCategories"
    if not images.is_dir():
        # lock and temporary files lie outside: the folder itself holds only photos
        with hold(folder.parent), TemporaryDirectory(dir=folder.parent) as temporary:
            try:
                Caltech101(temporary, download=True)
            except (RuntimeError, OSError) as error:
                raise DownloadError(f"Caltech-101 is not available now ({error})") from error
            folder.mkdir(exist_ok=True)
            move(Path(temporary, "caltech101", images.name), images)
    return images


def fetch(urls: Sequence[str], path: Path) -> None:
    """Fetch a zip from the first address that has it; the file appears only when it is complete.

    Raises:
        DownloadError: none has; the message says what each one answered.
    """
    failures = []
    for url in urls:
        try:
            with urlopen(url, timeout=TIMEOUT) as answer, atomic_write(path) as temporary:
                total = int(answer.headers.get("Content-Length", 0)) or None
                with (
                    tqdm.wrapattr(answer, "read", total=total, desc=path.name) as content,
                    open(temporary, "wb") as file,
                ):
                    shutil.copyfileobj(content, file)
                if not zipfile.is_zipfile(temporary):
                    raise DownloadError("incomplete, or not a zip: open the address in a browser")
            return
        except (HTTPException, OSError, ValueError) as error:
            failures.append(f"{url} cannot be downloaded ({error})")
    raise DownloadError("\n".join([*failures, OTHER_WAYS]))


def unpack(archive: BinaryIO, images: Path) -> None:
    """Unpack a zip and keep one of its folders, which appears only when it is complete.

    Raises:
        DownloadError: not a zip, damaged, or without that folder.
    """
    with TemporaryDirectory(dir=images.parents[1]) as temporary:
        try:
            zipfile.ZipFile(archive).extractall(temporary)  # nothing lands anywhere else
        except Exception as error:  # broken bytes make zipfile and its decoders raise anything
            raise DownloadError(
                f"{archive.name} cannot be unpacked ({error}). If it is damaged, delete it, and "
                "give the same command again"
            ) from error
        found = Path(temporary, images.parent.name, images.name)
        if not found.is_dir():
            raise DownloadError(f"{archive.name} has no folder {images.name}: is it the right zip?")
        images.parent.mkdir(exist_ok=True)
        move(found, images)
