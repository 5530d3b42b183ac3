"""Fetch a data set of photos: go on where it broke off, check it, unpack it in its own folder.

DUTS (Wang et al., CVPR 2017) may be used for academic work and must not be passed on, so nothing
of it comes with this package: it is fetched from its authors' site, or taken from a zip that you
have. Its authors publish no checksum: the one of the first download is written down beside it, and
a later download must have the same.
"""

import hashlib
import os
import shutil
import stat
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path, PureWindowsPath
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tqdm.auto import tqdm

from colorlib.runs import explain_full_disk, hold, move, write_text

DUTS_SITE = "http://saliencydetection.net/duts/download"
TERMS = """\
DUTS may be used for academic work only: do not pass its photos on. If you publish, cite
Wang et al., Learning to detect salient objects with image-level supervision, CVPR 2017."""
OTHER_WAYS = """\
Three other ways:
  the zip, fetched in a browser, elsewhere, later:        colorlib download duts --zip FILE
  the address of a copy of it:                           colorlib download duts --url ADDRESS
  other photos: colorlib download caltech101, or colorlib train --data A_FOLDER_OF_PHOTOS"""
CHUNK = 2**20  # bytes read at a time
TIMEOUT = 30.0  # seconds without an answer until a site counts as down
LARGEST = 8 * 2**30  # bytes that a zip may unpack to


class DownloadError(RuntimeError):
    """A data set that could not be had; the message says why and what to do."""


def download_duts(
    folder: str | os.PathLike,
    part: str = "TE",
    urls: Sequence[str] = (),
    archive: str | os.PathLike | None = None,
) -> Path:
    """Get the photos of one part of DUTS, unless they are there already.

    Args:
        folder: for the zip, its checksum, and the photos in `DUTS-TE/DUTS-TE-Image`, which is
            how `colorlib.photos.DUTS` wants them. The masks stay in the zip.
        part: "TE" or "TR".
        urls: addresses of copies of the zip, tried before the authors' site.
        archive: a zip that you have; nothing is fetched then.

    Returns:
        The folder with the photos.

    Raises:
        DownloadError: no site gave a good zip, or it is not the one of the first time.
        RunError: another process is at it, or nothing can be written to the folder.
        OSError: the disk is full; what was fetched is kept.
    """
    folder, name = Path(folder), f"DUTS-{part}"
    images = folder / name / f"{name}-Image"
    if images.is_dir():
        return images
    fetched = folder / f"{name}.zip"
    with hold(folder):
        if archive is None and not fetched.exists():
            fetch_first((*urls, f"{DUTS_SITE}/{name}.zip"), fetched)
        content = Path(archive or fetched)
        members = check_zip(content, images.name)
        check_same(content, folder / f"{name}.zip.sha256")
        unpack(content, members, images)
    return images


def download_caltech101(folder: str | os.PathLike) -> Path:
    """Get Caltech-101 through torchvision, which knows its checksum, unless it is there already.

    Returns:
        The folder with the photos, `101_ObjectCategories`; the annotations are not kept.

    Raises:
        DownloadError: the site is down, or what came is damaged.
        RunError: another process is at it, or nothing can be written there.
    """
    from torchvision.datasets import Caltech101  # takes seconds

    images = Path(folder) / "101_ObjectCategories"
    if not images.is_dir():
        # the lock lies outside: in the folder itself are only photos
        with hold(images.parents[1]), fresh_folder(images.with_name(".part")) as temporary:
            try:
                Caltech101(temporary, download=True)
            except (RuntimeError, URLError) as error:
                raise DownloadError(f"Caltech-101 cannot be had now ({error})") from error
            move(temporary / "caltech101" / images.name, images)
    return images


def fetch_first(urls: Sequence[str], path: Path) -> None:
    """Fetch a file from the first address that has it.

    Raises:
        DownloadError: none has; it says what each one answered.
    """
    failures = []
    for url in urls:
        try:
            return fetch(url, path)
        except DownloadError as error:
            failures.append(str(error))
    raise DownloadError("\n".join([*failures, OTHER_WAYS]))


def fetch(url: str, path: Path) -> None:
    """Fetch a zip; what came of it until it broke off is kept, and the next call goes on there.

    Raises:
        DownloadError: no answer, an error, fewer bytes than announced, or no whole zip.
        OSError: the disk is full.
    """
    part = path.with_name(path.name + ".part")
    done = part.stat().st_size if part.exists() else 0
    request = Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        with urlopen(request, timeout=TIMEOUT) as answer:
            # 206: it goes on where we stopped; with any other answer it begins anew
            total = append(answer, part, done if answer.status == 206 else 0)
    except HTTPError as error:
        if error.code != 416:  # 416: there is no more than we have
            raise DownloadError(f"{url} answers {error.code} {error.reason}") from error
        total = done
    except (URLError, TimeoutError, ConnectionError, HTTPException) as error:
        raise DownloadError(f"{url} cannot be reached, or broke off ({error})") from error
    except OSError as error:
        raise explain_full_disk(error, part) from error
    if (size := part.stat().st_size) < total:
        came = f"{size:,} of {total:,} bytes"
        raise DownloadError(f"{url} broke off after {came}: the same command goes on from there")
    if not zipfile.is_zipfile(part):
        part.unlink()
        raise DownloadError(f"{url} sent no zip: open it in a browser, it may say why")
    move(part, path)


def append(answer: HTTPResponse, part: Path, done: int) -> int:
    """Write an answer to a file, behind the `done` bytes that it has; return the size to expect."""
    total = done + int(answer.headers.get("Content-Length", 0))
    bar = tqdm(desc=part.stem, unit="B", unit_scale=True, total=total or None, initial=done)
    with bar, open(part, "ab" if done else "wb") as file:
        while chunk := answer.read(CHUNK):
            file.write(chunk)
            bar.update(len(chunk))
    return total


def check_zip(archive: Path, images: str) -> list[zipfile.ZipInfo]:
    """Find the photos in a zip; see that it is whole, and that nothing in it points elsewhere.

    Args:
        archive: the zip.
        images: name of the folder in it that holds the photos.

    Raises:
        DownloadError: it is no zip, damaged, another one, or not to be trusted.
        OSError: it cannot be read.
    """
    with explained(archive), zipfile.ZipFile(archive) as content:
        members = content.infolist()
        for member in members:
            path = PureWindowsPath(member.filename)  # Windows knows the most ways to elsewhere
            is_link = stat.S_ISLNK(member.external_attr >> 16)
            if path.anchor or ".." in path.parts or is_link:
                raise DownloadError(f"{archive} is not to be trusted: {member.filename!r} in it")
        if sum(member.file_size for member in members) > LARGEST:
            raise DownloadError(f"{archive} is not to be trusted: it unpacks to more than 8 GB")
        if broken := content.testzip():
            raise zipfile.BadZipFile(f"{broken} in it is damaged")
        photos = [m for m in members if PureWindowsPath(m.filename).parent.name == images]
        photos = [photo for photo in photos if not photo.is_dir()]
        if not photos:
            raise DownloadError(f"{archive} holds no photos in a folder {images}: is it another?")
    return photos


@contextmanager
def explained(archive: Path) -> Iterator[None]:
    """Say in plain words what is wrong with a zip that is read in this block."""
    try:
        yield
    except DownloadError:
        raise
    except Exception as error:  # of broken bytes zipfile and its decoders make almost anything
        if isinstance(error, OSError):
            told = explain_full_disk(error, archive)
            if told is not error or error.filename:  # a full disk, or a file that does not open
                raise told from error
        advice = "delete it, and give the same command again"
        raise DownloadError(f"{archive} is no whole zip ({error}): {advice}") from error


def check_same(archive: Path, record: Path) -> None:
    """Compare a file with the one of the first time, by its SHA-256.

    Raises:
        DownloadError: it is another one.
    """
    with open(archive, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not record.exists():
        write_text(record, f"{found}  {record.stem}\n")  # `sha256sum -c` reads it
    elif not record.read_text("utf-8").startswith(found):
        raise DownloadError(
            f"{archive} is not the file of the first time: its SHA-256 is {found}, and {record} "
            "has another. If you trust the new one, delete that record"
        )


def unpack(archive: Path, members: Sequence[zipfile.ZipInfo], target: Path) -> None:
    """Unpack files of a zip into one new folder, which is there only when it is complete."""
    with fresh_folder(target.with_name(".part")) as temporary:
        with explained(archive), zipfile.ZipFile(archive) as content:
            for member in tqdm(members, "unpacking", unit="file"):
                path = temporary / PureWindowsPath(member.filename).name
                with content.open(member) as source, open(path, "wb") as file:
                    shutil.copyfileobj(source, file)
        move(temporary, target)


@contextmanager
def fresh_folder(path: Path) -> Iterator[Path]:
    """Make an empty folder for this block, whatever a killed process has left there."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
