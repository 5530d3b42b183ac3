"""Fetch a data set of photos, check it, and unpack it into a folder of its own.

DUTS (Wang et al., CVPR 2017) may be used for academic work and must not be passed on, so nothing
of it comes with this package: it is fetched from its authors' site, or taken from a zip that you
have. Its authors publish no checksum: the first download's is recorded, and later ones must match.
"""

import errno
import hashlib
import os
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

from tqdm.auto import tqdm

from colorlib.runs import atomic_write, explain_full_disk, hold, move, write_text

DUTS_SITE = "http://saliencydetection.net/duts/download"
TERMS = """\
DUTS may be used for academic work only: do not pass its photos on. If you publish, cite
Wang et al., Learning to detect salient objects with image-level supervision, CVPR 2017."""
OTHER_WAYS = """\
Three other ways:
  fetch the zip in a browser, elsewhere or later:  colorlib download duts --zip FILE
  give the address of a copy:                      colorlib download duts --url ADDRESS
  use other photos: colorlib download caltech101, or colorlib train --data FOLDER"""
TIMEOUT = 30.0  # seconds without an answer after which a site counts as down
LARGEST = 8 * 2**30  # bytes that a zip may unpack to


class DownloadError(RuntimeError):
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
        OSError: the disk is full, or `archive` cannot be read.
    """
    folder, name = Path(folder), f"DUTS-{part}"
    images, fetched = folder / name / f"{name}-Image", folder / f"{name}.zip"
    if not images.is_dir():
        with hold(folder):
            if archive is None and not fetched.exists():
                fetch_first((*urls, f"{DUTS_SITE}/{name}.zip"), fetched)
            content, record = Path(archive or fetched), fetched.with_suffix(".zip.sha256")
            found = check_same(content, record)
            unpack(content, images)
            if not record.exists():  # only now, since a damaged zip should not become the first one
                write_text(record, f"{found}  {record.stem}\n")  # `sha256sum -c` reads it
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

    images = Path(folder) / "101_ObjectCategories"
    if not images.is_dir():
        # the lock lies outside: the folder itself holds only photos
        with hold(images.parents[1]), fresh_folder(images.with_name(".part")) as temporary:
            try:
                Caltech101(temporary, download=True)
            except (RuntimeError, OSError) as error:
                raise DownloadError(f"Caltech-101 is not available now ({error})") from error
            move(temporary / "caltech101" / images.name, images)
    return images


def fetch_first(urls: Sequence[str], path: Path) -> None:
    """Fetch a zip from the first address that has it.

    Raises:
        DownloadError: none has; the message says what each one answered.
        OSError: the disk is full.
    """
    failures = []
    for url in urls:
        try:
            return fetch(url, path)
        except DownloadError as error:
            failures.append(str(error))
    raise DownloadError("\n".join([*failures, OTHER_WAYS]))


def fetch(url: str, path: Path) -> None:
    """Fetch a zip; the file appears only when it is complete.

    Raises:
        DownloadError: no answer, an error, or not a whole zip.
        OSError: the disk is full.
    """
    try:
        with atomic_write(path) as temporary:
            with urlopen(url, timeout=TIMEOUT) as answer, open(temporary, "wb") as file:
                total = int(answer.headers.get("Content-Length", 0)) or None
                with tqdm.wrapattr(answer, "read", total=total, desc=path.name) as content:
                    shutil.copyfileobj(content, file)
            if not zipfile.is_zipfile(temporary):
                advice = "give the same command again, or open the address in a browser"
                raise DownloadError(f"{url} broke off, or sent something else: {advice}")
    except (HTTPException, OSError) as error:
        if getattr(error, "errno", None) == errno.ENOSPC:
            raise
        raise DownloadError(f"{url} cannot be downloaded ({error})") from error


def check_same(archive: Path, record: Path) -> str:
    """Compare a file with the first download by its SHA-256, and return that.

    Raises:
        DownloadError: it differs.
    """
    with open(archive, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if record.exists() and not record.read_text("utf-8").startswith(found):
        raise DownloadError(
            f"{archive} differs from the first download: its SHA-256 is {found}, and {record} "
            "says another. If you trust the new one, delete that record"
        )
    return found


def unpack(archive: Path, images: Path) -> None:
    """Unpack one folder of a zip; the new folder appears only when it is complete.

    Each file keeps only the last part of its path, so nothing lands anywhere else; a link in the
    zip becomes an ordinary file.

    Raises:
        DownloadError: not a zip, damaged, too large, or without a folder of that name.
        OSError: the disk is full, or the zip cannot be read.
    """
    with fresh_folder(images.with_name(".part")) as temporary:
        try:
            with zipfile.ZipFile(archive) as content:
                files = [member for member in content.infolist() if not member.is_dir()]
                photos = [m for m in files if Path(m.filename).parent.name == images.name]
                if not photos:
                    raise DownloadError(f"{archive} has no folder {images.name}: another zip?")
                if sum(photo.file_size for photo in photos) > LARGEST:
                    raise DownloadError(f"{archive} is not DUTS: it unpacks to more than 8 GB")
                for photo in tqdm(photos, "unpacking", unit="file"):
                    (temporary / Path(photo.filename).name).write_bytes(content.read(photo))
        except DownloadError:
            raise
        except Exception as error:  # broken bytes make zipfile and its decoders raise anything
            if isinstance(error, OSError) and error.errno:
                raise explain_full_disk(error, images) from error
            advice = "delete it, and give the same command again"
            raise DownloadError(f"{archive} is damaged ({error}): {advice}") from error
        move(temporary, images)


@contextmanager
def fresh_folder(path: Path) -> Iterator[Path]:
    """Make an empty folder for this block, whatever a killed process has left there."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
