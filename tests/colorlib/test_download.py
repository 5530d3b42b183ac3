"""Downloads: every failure is said in words that help, harms nothing, and the next call goes on."""

import errno
import hashlib
import io
import shutil
import socket
import stat
import subprocess
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision.datasets
from PIL import Image
from test_photos import color_picture, encode

from colorlib import download
from colorlib.cli import main
from colorlib.download import DownloadError, download_caltech101, download_duts
from colorlib.photos import PhotoFolder, open_data
from colorlib.runs import RunError, hold


def make_duts_zip(part: str, photos: int = 7) -> bytes:
    """DUTS as its authors pack it, with the faults it has, and one broken photo."""
    mask = Image.fromarray(np.where(np.eye(40, 48) > 0, 255, 0).astype(np.uint8))
    images, masks = f"DUTS-{part}/DUTS-{part}-Image", f"DUTS-{part}/DUTS-{part}-Mask"
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as made:
        for folder in (f"DUTS-{part}", images, masks):
            made.writestr(f"{folder}/", b"")
        for seed in range(photos):
            name = f"{part}_{seed:08d}"
            photo = color_picture(40, 48, seed + 100 * (part == "TR"))
            made.writestr(f"{images}/{name}.jpg", encode(photo, "JPEG"))
            made.writestr(f"{masks}/{name}.png", encode(mask, "PNG"))
        broken = encode(color_picture(40, 48, 99), "JPEG")[:-500]
        made.writestr(f"{images}/{part}_broken.jpg", broken)
        for number in range(3 * (part == "TR")):  # TR's three stray masks
            stray = encode(mask.convert("RGB"), "JPEG")
            made.writestr(f"{masks}/{part}_{number:08d}.jpg", stray)
    return content.getvalue()


class Site:
    """A server on this machine, how it behaves, and what it was asked for."""

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.cut_at: int | None = None  # it hangs up after so many bytes of an answer
        self.asked: list[str] = []  # the paths of the requests
        self.status = 200


@pytest.fixture
def site(monkeypatch):
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def do_GET(self):
            content = site.files.get(self.path)
            site.asked.append(self.path)
            if content is None or site.status != 200:
                return self.send_error(404 if content is None else site.status)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: site.cut_at])

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    site.address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(download, "DUTS_SITE", site.address)
    site.files["/DUTS-TE.zip"] = make_duts_zip("TE")
    yield site
    server.shutdown()
    server.server_close()


def in_folder(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".lock"}


# it works


def test_photos_come_checked_and_unpacked_without_masks(site, tmp_path):
    images = download_duts(tmp_path / "duts")
    assert images == tmp_path / "duts" / "DUTS-TE" / "DUTS-TE-Image"
    with zipfile.ZipFile(io.BytesIO(site.files["/DUTS-TE.zip"])) as made:
        for path in images.iterdir():
            assert path.read_bytes() == made.read(f"DUTS-TE/DUTS-TE-Image/{path.name}")
    assert len(in_folder(images)) == 8
    assert in_folder(images.parent) == {"DUTS-TE-Image"}
    assert in_folder(tmp_path / "duts") == {"DUTS-TE", "DUTS-TE.zip", "DUTS-TE.zip.sha256"}
    written = (tmp_path / "duts" / "DUTS-TE.zip.sha256").read_text().split()
    assert written == [hashlib.sha256(site.files["/DUTS-TE.zip"]).hexdigest(), "DUTS-TE.zip"]
    if shutil.which("sha256sum"):
        command = ["sha256sum", "-c", "DUTS-TE.zip.sha256"]
        subprocess.run(command, cwd=tmp_path / "duts", check=True, capture_output=True)


def test_the_second_call_downloads_nothing(site, tmp_path):
    images = download_duts(tmp_path)
    assert download_duts(tmp_path) == images
    shutil.rmtree(images.parent)
    assert len(in_folder(download_duts(tmp_path))) == 8  # from the zip that is there
    assert len(site.asked) == 1


def test_a_zip_that_is_there_needs_no_site(site, tmp_path):
    mine = tmp_path / "from a friend.zip"
    mine.write_bytes(make_duts_zip("TR"))
    images = download_duts(tmp_path / "duts", "TR", archive=mine)
    assert len(in_folder(images)) == 8 and mine.exists() and not site.asked


def test_mirrors_are_tried_first_and_in_order(site, tmp_path):
    site.files["/copy.zip"] = site.files.pop("/DUTS-TE.zip")
    mirrors = [f"{site.address}/{name}.zip" for name in ("gone", "copy", "never")]
    mirrors.insert(0, "example.com/no-scheme.zip")
    download_duts(tmp_path, urls=mirrors)
    assert len(site.asked) == 2


# DUTS


def test_duts_is_read_without_masks_strays_and_broken_photos(site, tmp_path):
    site.files["/DUTS-TR.zip"] = make_duts_zip("TR", 9)
    for part in ("TE", "TR"):
        download_duts(tmp_path, part)
    loaded = PhotoFolder(tmp_path, size=32)
    names = [f"DUTS-TR/DUTS-TR-Image/TR_{seed:08d}.jpg" for seed in range(9)]
    assert sorted(loaded.names)[-9:] == names and len(loaded) == 16
    assert [name[-13:] for name, _ in loaded.left_out] == ["TE_broken.jpg", "TR_broken.jpg"]
    assert all(reason.startswith("damaged") for _, reason in loaded.left_out)
    train, test = open_data(tmp_path, 32, seed=0)
    assert (len(train), len(test)) == (13, 3)  # both parts


@pytest.mark.parametrize("part", ["TE", "TR"])
def test_duts_unpacked_by_hand_is_read_in_the_same_way(part, site, tmp_path):
    content = make_duts_zip(part)
    zipfile.ZipFile(io.BytesIO(content)).extractall(tmp_path / "by hand")
    strays = [*(tmp_path / "by hand").rglob("*-Mask/*.jpg")]
    assert len(strays) == (3 if part == "TR" else 0)
    (tmp_path / "by hand" / f"DUTS-{part}" / f"DUTS-{part}-Image" / "Thumbs.db").touch()
    (tmp_path / "mine.zip").write_bytes(content)
    download_duts(tmp_path / "ours", part, archive=tmp_path / "mine.zip")
    by_hand, ours = (PhotoFolder(tmp_path / name, 32) for name in ("by hand", "ours"))
    assert by_hand.names == ours.names and len(ours) == 7
    assert torch.equal(by_hand.rgb, ours.rgb)
    assert len(by_hand.left_out) == 2 and "Thumbs.db" in by_hand.left_out[1][0]


# it fails


def test_where_the_site_is_down_three_other_ways_are_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(download, "DUTS_SITE", "http://127.0.0.1:9")  # nobody answers there
    with pytest.raises(SystemExit) as exit:
        main(["download", "duts", "--folder", str(tmp_path), "--url", "http://127.0.0.1:9/copy"])
    assert exit.value.code == 1
    message = capsys.readouterr().err
    assert message.count("cannot be downloaded") == 2
    assert all(way in message for way in ("--zip FILE", "--url ADDRESS", "caltech101", "--data"))
    assert "Traceback" not in message and in_folder(tmp_path) == set()


def test_a_site_that_is_silent_counts_as_down(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/x.zip"
        with pytest.raises(DownloadError, match="cannot be downloaded"):
            download.fetch([address], tmp_path / "x.zip")


@pytest.mark.parametrize("status", [404, 403, 500, 503])
def test_an_error_of_the_site_is_named(status, site, tmp_path):
    site.status = status
    if status == 404:
        site.files.clear()
    with pytest.raises(
        DownloadError, match=rf"DUTS-TE\.zip cannot be downloaded .*{status}.*\n(?s:.*)--zip"
    ):
        download_duts(tmp_path)
    assert in_folder(tmp_path) == set()


def test_what_was_cut_off_is_told_and_leaves_nothing(site, tmp_path):
    site.cut_at = 3000
    with pytest.raises(DownloadError, match="incomplete"):
        download_duts(tmp_path)
    assert in_folder(tmp_path) == set()
    site.cut_at = None
    download_duts(tmp_path)
    assert (tmp_path / "DUTS-TE.zip").read_bytes() == site.files["/DUTS-TE.zip"]


@pytest.mark.parametrize("content", [b"", b"<html>Please log in</html>"])
def test_a_page_in_place_of_the_zip_is_refused_and_not_kept(content, site, tmp_path):
    site.files["/DUTS-TE.zip"] = content
    with pytest.raises(DownloadError, match="not a zip.*in a browser"):
        download_duts(tmp_path)
    assert in_folder(tmp_path) == set()


def test_a_zip_of_another_size_than_announced_is_refused(site, tmp_path):
    whole = site.files["/DUTS-TE.zip"]
    site.files["/DUTS-TE.zip"] = whole[:-30]  # announced as this, and all of it comes
    with pytest.raises(DownloadError, match="not a zip"):
        download_duts(tmp_path)
    site.files["/DUTS-TE.zip"] = whole[:300] + whole[330:]
    with pytest.raises(DownloadError, match=r"DUTS-TE\.zip cannot be unpacked .*delete it"):
        download_duts(tmp_path)
    (tmp_path / "DUTS-TE.zip").unlink()
    site.files["/DUTS-TE.zip"] = whole
    download_duts(tmp_path)


def test_a_changed_checksum_is_told_and_the_record_decides(site, tmp_path):
    shutil.rmtree(download_duts(tmp_path).parent)
    (tmp_path / "DUTS-TE.zip").unlink()
    site.files["/DUTS-TE.zip"] = make_duts_zip("TE", 5)
    for _ in range(2):
        with pytest.raises(DownloadError, match="differs from the first download.*delete that rec"):
            download_duts(tmp_path)
    assert len(site.asked) == 2 and "DUTS-TE" not in in_folder(tmp_path)
    (tmp_path / "DUTS-TE.zip.sha256").unlink()
    assert len(in_folder(download_duts(tmp_path))) == 6


def zip_with(name: str, mode: int = stat.S_IFREG) -> bytes:
    content = io.BytesIO(make_duts_zip("TE", 2))
    with zipfile.ZipFile(content, "a") as made:
        member = zipfile.ZipInfo("x")
        member.filename, member.external_attr = name, mode << 16
        made.writestr(member, b"../../../evil.jpg")
    return content.getvalue()


@pytest.mark.parametrize(
    "name",
    [
        "../evil.jpg",
        "DUTS-TE/DUTS-TE-Image/../../../evil.jpg",
        "/tmp/DUTS-TE-Image/evil.jpg",
        "DUTS-TE\\DUTS-TE-Image\\..\\..\\..\\evil.jpg",
        "C:\\DUTS-TE-Image\\evil.jpg",
        "C:evil.jpg",
        "\\\\server\\share\\DUTS-TE-Image\\evil.jpg",
    ],
)
def test_a_zip_that_points_elsewhere_writes_nothing_there(name, tmp_path):
    (tmp_path / "evil.zip").write_bytes(zip_with(name))
    images = download_duts(tmp_path / "deep" / "duts", archive=tmp_path / "evil.zip")
    assert {path.parent for path in tmp_path.rglob("*.jpg")} == {images}
    assert not Path("/tmp/DUTS-TE-Image/evil.jpg").exists()


def test_a_link_in_a_zip_becomes_an_ordinary_file(tmp_path):
    link = zip_with("DUTS-TE/DUTS-TE-Image/link.jpg", stat.S_IFLNK)
    (tmp_path / "evil.zip").write_bytes(link)
    images = download_duts(tmp_path / "duts", archive=tmp_path / "evil.zip")
    assert not (images / "link.jpg").is_symlink() and (images / "link.jpg").is_file()


def test_the_zip_of_another_part_is_told(tmp_path):
    (tmp_path / "mine.zip").write_bytes(make_duts_zip("TR"))
    with pytest.raises(DownloadError, match="no folder DUTS-TE-Image: is it the right zip"):
        download_duts(tmp_path, "TE", archive=tmp_path / "mine.zip")
    with pytest.raises(FileNotFoundError):
        download_duts(tmp_path, "TE", archive=tmp_path / "none.zip")


@pytest.mark.parametrize("when", ["fetching", "unpacking"])
def test_a_full_disk_is_told_and_with_space_the_same_call_works(when, site, tmp_path):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        if when == "fetching":
            patch.setattr(shutil, "copyfileobj", full)
        else:
            patch.setattr(zipfile.ZipFile, "extractall", full)
        with pytest.raises(DownloadError, match="the disk is full|No space left"):
            download_duts(tmp_path)
    assert in_folder(tmp_path) == ({"DUTS-TE.zip"} if when == "unpacking" else set())
    assert len(in_folder(download_duts(tmp_path))) == 8


def test_an_interrupted_unpacking_is_done_again(site, tmp_path, monkeypatch):
    def interrupt(archive, folder):
        (Path(folder) / "half.jpg").write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "extractall", interrupt)
        with pytest.raises(KeyboardInterrupt):
            download_duts(tmp_path)
    assert in_folder(tmp_path) == {"DUTS-TE.zip"}
    assert len(in_folder(download_duts(tmp_path))) == 8


def test_two_processes_do_not_write_into_one_another(site, tmp_path):
    with hold(tmp_path), pytest.raises(RunError, match="another process"):
        download_duts(tmp_path)
    assert not site.asked


def test_where_nothing_can_be_written_it_is_said_at_once(site, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot write to"):
        download_duts(tmp_path / "file" / "duts")
    assert not site.asked


# Caltech-101


class Caltech:
    """What torchvision's class does when it downloads: the archive's layout under `root`."""

    def __init__(self, root, download):
        assert download
        for name in ("101_ObjectCategories/cat", "Annotations/cat"):
            (Path(root) / "caltech101" / name).mkdir(parents=True)
        for seed in range(4):
            name = f"caltech101/101_ObjectCategories/cat/image_{seed:04d}.jpg"
            color_picture(40, 48, seed).save(Path(root) / name)


def test_caltech101_comes_through_torchvision_once_and_whole(tmp_path, monkeypatch, capsys):
    def fail(root, download):
        Caltech(root, download)
        raise URLError("the network is gone")

    monkeypatch.setattr(torchvision.datasets, "Caltech101", fail)
    with pytest.raises(DownloadError, match="Caltech-101 is not available now"):
        download_caltech101(tmp_path / "caltech101")
    assert in_folder(tmp_path) == set()
    monkeypatch.setattr(torchvision.datasets, "Caltech101", Caltech)
    main(["download", "caltech101", "--folder", str(tmp_path / "caltech101")])
    assert f"colorlib train warm --data {tmp_path / 'caltech101'}" in capsys.readouterr().out
    monkeypatch.setattr(torchvision.datasets, "Caltech101", fail)
    images = download_caltech101(tmp_path / "caltech101")
    assert [path.name for path in images.iterdir()] == ["cat"]
    train, test = open_data(tmp_path / "caltech101", 32, seed=0)
    assert len(train) + len(test) == 4 and not train.left_out


# what a learner types


def test_download_says_the_terms_and_how_to_go_on(site, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main(["download", "duts"])
    printed = capsys.readouterr().out
    assert "academic work only" in printed and "CVPR 2017" in printed
    assert f"colorlib train warm --data {Path('data', 'duts')}" in printed
    tiny = "--size 32 --generator-width 8 --batch 4 --steps 2 --out run".split()
    main(["train", "l1", "--data", "data/duts", *tiny])
    assert "1 left out in all (1 damaged or cut off)" in capsys.readouterr().out
    assert "TE_broken.jpg: damaged" in (tmp_path / "run" / "left_out.txt").read_text()
