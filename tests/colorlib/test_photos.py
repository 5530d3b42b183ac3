"""Photos: every strange file is used rightly or left out with a reason; none stops a run."""

import hashlib
import io
import os
import random
import struct
import unicodedata
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.datasets
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage import data
from torch.utils.data import DataLoader

from colorlib import decode, photos
from colorlib.config import TrainConfig
from colorlib.photos import (
    DecodedPhotos,
    PhotoError,
    PhotoFolder,
    count_reasons,
    find_photos,
    fit_photo,
    labeled_photos,
    open_data,
    read_split,
    split_by_photo,
    write_split,
)
from colorlib.training import train


def color_picture(height=24, width=32, seed=0) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def encode(image: Image.Image, format: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def png(width: int, height: int, bits: int, color_type: int, rows: bytes, extra=b"") -> bytes:
    """A PNG built by hand from its specification, since PIL writes no 16-bit color."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, 0)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def huge_png(side: int) -> bytes:
    return png(side, side, 8, 2, b"")


BAD_FILES = {
    "empty": (b"", "empty file.*again"),
    "text": (b"<html>404 not found</html>", "not a picture.*JPEG or PNG"),
    "cut_jpeg": (encode(color_picture(), "JPEG")[:-200], "cut off.*again"),
    "cut_png": (encode(color_picture(), "PNG")[:-200], "cut off.*again"),
    "cut_header": (encode(color_picture(), "JPEG")[:50], "cut off|not a picture"),
    "huge_178_mp": (huge_png(13_343), "more than 178 megapixels: make it smaller"),
    "huge_400_mp": (huge_png(20_000), "more than 178 megapixels: make it smaller"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
}


@pytest.fixture
def folder(tmp_path):
    """Six good photos, one of them in a subfolder."""
    root = tmp_path / "photos"
    (root / "more").mkdir(parents=True)
    for seed in range(5):
        color_picture(seed=seed).save(root / f"{seed}.png")
    color_picture(seed=5).save(root / "more" / "5.png")
    return root


# a folder


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_strange_folder_is_sorted_out(folder):
    def put(name: str, content: bytes) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)

    photo = encode(color_picture(seed=9), "PNG")
    gray = Image.fromarray(data.astronaut()[:64, :64].mean(axis=2).astype(np.uint8))
    strange = {kind: content for kind, (content, _) in BAD_FILES.items()}
    used = ["wrong_extension.jpg", "UPPER.PNG", "气球 Ballon Ёж.png", "deep/er/x.png", "-#x.png"]
    for seed, name in enumerate(used, start=10):
        put(name, encode(color_picture(seed=seed), "PNG"))
    for kind, content in strange.items():
        put(f"{kind}.jpg", content)
    put("Thumbs.db", b"\xd0\xcf\x11\xe0")
    put(".DS_Store", b"Bud1")
    put("._0.jpg", b"\0\5\26\7")
    put(".ipynb_checkpoints/0-checkpoint.png", photo)
    put("notes.txt", b"hello")
    put("copy of 0.png", (folder / "0.png").read_bytes())
    put("line\nbreak.png", photo)
    put("gray_l.jpg", encode(gray, "JPEG"))
    put("gray_rgb.jpg", encode(gray.convert("RGB"), "JPEG"))
    put("mask.png", encode(gray.point(lambda value: 255 * (value > 99)).convert("RGB"), "PNG"))
    put("black.png", encode(Image.new("RGB", (64, 64)), "PNG"))
    put("1x1.png", encode(color_picture(1, 1), "PNG"))
    put("sliver.png", encode(color_picture(3, 400), "PNG"))
    (folder / "folder.jpg").mkdir()
    (folder / "circle").symlink_to(folder)
    (folder / "itself.jpg").symlink_to(folder / "itself.jpg")
    (folder / "nowhere.jpg").symlink_to(folder / "not there")
    os.mkfifo(folder / "pipe.jpg")

    loaded = PhotoFolder(folder, size=16)
    good = [f"{seed}.png" for seed in range(1, 5)] + ["more/5.png"] + used
    twin = {"0.png", "copy of 0.png"} & {*loaded.names}
    assert sorted(loaded.names) == sorted([*good, *twin])
    expected = {
        "Thumbs.db": "by its name",
        ".DS_Store": "hidden",
        "._0.jpg": "hidden",
        ".ipynb_checkpoints": "hidden",
        "notes.txt": "by its name",
        "line\nbreak.png": "rename",
        "gray_l.jpg": "gray",
        "gray_rgb.jpg": "gray",
        "mask.png": "gray",
        "black.png": "gray",
        "1x1.png": "too small: 1×1",
        "sliver.png": "too small: 400×3",
        "circle": "a link to a folder",
        "itself.jpg": "symbolic links",
        "nowhere.jpg": "No such file",
        "pipe.jpg": "not a regular file",
        ({"0.png", "copy of 0.png"} - twin).pop(): f"duplicate: the same picture as {[*twin][0]}",
        **{f"{kind}.jpg": "" for kind in strange},
    }
    left_out = dict(loaded.left_out)
    assert left_out.keys() == expected.keys() and len(loaded.left_out) == len(expected)
    for name, word in expected.items():
        assert word in left_out[name], name


def test_linked_folders_are_named_not_searched(folder):
    (folder / "a link").symlink_to(folder / "more")
    opened = PhotoFolder(folder, size=16)
    assert len(opened) == 6 and [name for name, _ in opened.left_out] == ["a link"]


def test_an_unreadable_subfolder_is_left_out(folder, monkeypatch):
    scan = os.scandir

    def refuse(path):
        if Path(path).name == "more":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)  # as root no folder is unreadable
    opened = PhotoFolder(folder, size=16)
    assert len(opened) == 5
    assert [name for name, reason in opened.left_out if "Permission" in reason] == ["more"]


def test_a_photo_that_may_not_be_read_is_left_out(folder, monkeypatch):
    if os.name == "posix" and os.geteuid():
        (folder / "2.png").chmod(0)
    else:  # root may read everything
        open_image = Image.open

        def refuse(file, **options):
            if Path(file).name == "2.png":
                raise PermissionError(13, "Permission denied")
            return open_image(file, **options)

        monkeypatch.setattr(Image, "open", refuse)
    loaded = PhotoFolder(folder, size=16)
    ((name, reason),) = loaded.left_out
    assert name == "2.png" and "Permission denied" in reason and len(loaded) == 5


def test_find_photos_goes_by_names_alone(folder):
    Image.new("L", (30, 30)).save(folder / "gray.png")
    (folder / "broken.png").write_bytes(b"no")
    (folder / "notes.txt").touch()
    paths, left_out = find_photos(folder)
    names = [path.relative_to(folder).as_posix() for path in paths]
    assert names == [*(f"{n}.png" for n in range(5)), "broken.png", "gray.png", "more/5.png"]
    assert left_out == [("notes.txt", "not a photo by its name")]


@pytest.mark.parametrize("fit", ["crop", "stretch"])
def test_loaded_photos_are_those_of_the_files(folder, fit):
    loaded = PhotoFolder(folder, size=16, fit=fit)
    assert loaded.rgb.shape == (6, 3, 16, 16) and loaded.rgb.dtype == torch.uint8
    # so that both parts of the usual split are slices
    assert loaded.names == [*split_by_photo(loaded.names)[1], *split_by_photo(loaded.names)[0]]
    for name, rgb in zip(loaded.names, loaded, strict=True):
        expected = np.asarray(fit_photo(Image.open(folder / name), 16, fit)).transpose(2, 0, 1)
        np.testing.assert_array_equal(rgb.numpy(), expected)


def test_large_jpegs_are_as_sharp_as_if_decoded_in_full(tmp_path):
    large = Image.fromarray(data.coffee()).resize((1200, 800), Image.Resampling.BICUBIC)
    large.save(tmp_path / "a.jpg", quality=95)
    large.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "b.jpg", quality=95)
    full = np.asarray(fit_photo(Image.open(tmp_path / "a.jpg"), 192), int).transpose(2, 0, 1)
    loaded = PhotoFolder(tmp_path, size=192)
    assert np.abs(loaded[loaded.names.index("a.jpg")].numpy() - full).mean() < 1.5


def test_loading_leaves_out_what_is_damaged_and_keeps_names_beside_their_photos(folder):
    whole = PhotoFolder(folder, size=16)
    (folder / "2.png").write_bytes((folder / "2.png").read_bytes()[:-300])
    loaded = PhotoFolder(folder, size=16)
    assert sorted(loaded.names) == ["0.png", "1.png", "3.png", "4.png", "more/5.png"]
    assert [name for name, _ in loaded.left_out] == ["2.png"]
    assert torch.equal(loaded.rgb, whole.pick(loaded.names).rgb)


def test_a_photo_with_a_little_color_is_kept_and_one_with_practically_none_is_not():
    rgb = np.full((3, 100, 100), 128, dtype=np.uint8)
    rgb[0] += np.random.default_rng(0).integers(0, 8, (100, 100), dtype=np.uint8)  # JPEG noise
    assert decode.is_gray(rgb)
    rgb[0, :20, :20] = 220  # a red lamp
    assert not decode.is_gray(rgb)
    for name in ["astronaut", "chelsea", "coffee"]:
        photo = getattr(data, name)().transpose(2, 0, 1)
        assert not decode.is_gray(photo)
        assert decode.is_gray(np.stack([photo[1]] * 3))


def test_a_gray_photo_does_not_stop_a_run(folder):
    Image.new("RGB", (30, 30), (9, 9, 9)).save(folder / "gray.png")
    config = TrainConfig(size=32, generator_width=4, batch=2, steps=1, adversarial="none")
    trained = train(replace(config, warm_up=1.0), PhotoFolder(folder, 32), device="cpu")
    assert len(trained.history) == 1


def test_a_split_file_knows_a_name_however_its_accents_are_spelled(folder, tmp_path):
    nfc, nfd = "é.png", unicodedata.normalize("NFD", "é.png")
    color_picture(seed=9).save(folder / nfd)
    write_split(tmp_path / "split.txt", ["0.png"], [nfc])
    train_data, test_data = open_data(folder, 16, 0, split=tmp_path / "split.txt")
    assert (train_data.names, test_data.names) == (["0.png"], [nfd])
    assert train_data.source == test_data.source == str(folder)


def test_too_few_photos_is_a_clear_error(tmp_path):
    with pytest.raises(NotADirectoryError, match="check the path"):
        PhotoFolder(tmp_path / "missing")
    with pytest.raises(PhotoError, match="0 usable photo.*at least 2.*left out: nothing"):
        PhotoFolder(tmp_path)
    color_picture().save(tmp_path / "good.png")
    (tmp_path / "Thumbs.db").write_bytes(b"x")
    with pytest.raises(PhotoError, match="1 usable photo.*left out: .*not a photo by its name.: 1"):
        PhotoFolder(tmp_path, size=16)
    color_picture().convert("L").convert("RGB").save(tmp_path / "gray.png")
    with pytest.raises(PhotoError, match="1 usable photo.*left out: .*gray.: 1"):
        PhotoFolder(tmp_path, size=16)


def test_of_copies_the_first_stays_and_equal_pixels_are_what_counts(folder):
    (folder / "a copy.png").write_bytes((folder / "3.png").read_bytes())
    Image.open(folder / "3.png").save(folder / "9.bmp")  # another file, the same picture
    almost = color_picture(seed=3)
    almost.putpixel((9, 9), (1, 2, 3))
    almost.save(folder / "8.png")
    loaded = PhotoFolder(folder, size=24)
    alike = {"3.png", "9.bmp", "a copy.png"}
    (kept,) = alike & {*loaded.names}
    reason = f"duplicate: the same picture as {kept}"
    assert loaded.left_out == [(name, reason) for name in sorted(alike - {kept})]
    assert "8.png" in loaded.names
    train, test = open_data(folder, size=24, seed=0)
    together = torch.cat([train.rgb, test.rgb]).flatten(1)
    assert len(together.unique(dim=0)) == len(together) == 7


def test_what_was_left_out_is_counted():
    left_out = [
        ("a.png", "gray: it would teach gray"),
        ("b\nc.png", "a line break in its name: rename it"),
        ("d.png", "too small: 3×3 pixels for a size of 64"),
        ("e.jpg", "damaged or cut off (bad): copy it again"),
        ("f.png", "gray: it would teach gray"),
        ("g.png", "duplicate: the same picture as a (1).png"),
    ]
    assert count_reasons(left_out) == {
        "gray": 2,
        "a line break in its name": 1,
        "too small": 1,
        "damaged or cut off": 1,
        "duplicate": 1,
    }
    assert next(iter(count_reasons(left_out[::-1]))) == "gray"  # the most frequent first


# the data sets of torchvision


def test_any_data_set_of_torchvision_is_a_folder_of_photos():
    fake = torchvision.datasets.FakeData(size=12, image_size=(3, 40, 30))
    loaded = labeled_photos(fake, 16, "crop")
    assert sorted(loaded.names)[:2] == ["000000", "000001"] and not loaded.left_out
    for name, rgb in zip(loaded.names, loaded, strict=True):
        expected = np.asarray(fit_photo(fake[int(name)][0], 16)).transpose(2, 0, 1)
        np.testing.assert_array_equal(rgb.numpy(), expected)
    train, test = open_data(fake, size=16, seed=0)
    assert (train.names, test.names) == split_by_photo(loaded.names) and len(test) == 2


def test_caltech101_through_torchvision_leaves_out_what_is_no_photo(tmp_path):
    root = tmp_path / "caltech101" / "101_ObjectCategories"
    for number, category in enumerate(("BACKGROUND_Google", "accordion", "yin_yang")):
        (root / category).mkdir(parents=True)
        for seed in range(1, 6):
            picture = color_picture(40, 48, seed=10 * number + seed)
            picture.save(root / category / f"image_{seed:04d}.jpg")
    color_picture(40, 48, seed=11).convert("L").save(root / "accordion" / "image_0002.jpg")
    copy = (root / "accordion" / "image_0001.jpg").read_bytes()
    (root / "accordion" / "image_0003.jpg").write_bytes(copy + b"a note behind the end")
    color_picture(3, 3).save(root / "accordion" / "image_0004.jpg")
    broken = root / "yin_yang" / "image_0005.jpg"
    broken.write_bytes(broken.read_bytes()[:-300])
    (root / "yin_yang" / "image_0004.jpg").unlink()
    (root / "yin_yang" / "notes.txt").touch()  # torchvision counts it as the photo that is gone
    loaded = labeled_photos(torchvision.datasets.Caltech101(tmp_path), 16, "crop")
    (kept,) = {"000000", "000002"} & {*loaded.names}
    (copied,) = {"000000", "000002"} - {kept}
    assert sorted(loaded.names) == [kept, "000004", "000005", "000006", "000007"]
    reasons = dict(loaded.left_out)
    assert reasons["000001"].startswith("gray")
    assert reasons[copied] == f"duplicate: the same picture as {kept}"
    assert reasons["000003"].startswith("too small: 3×3")
    assert reasons["000008"].startswith("cannot be opened")
    assert reasons["000009"].startswith("damaged or cut off")


def test_a_data_set_with_a_transform_is_refused():
    tensors = torchvision.datasets.FakeData(size=4, transform=lambda picture: torch.zeros(3, 9, 9))
    with pytest.raises(PhotoError, match="FakeData: 0 usable photo.*without a transform"):
        open_data(tensors, size=16, seed=0)


def test_a_data_set_without_colors_is_refused(tmp_path):
    gray = torchvision.datasets.FakeData(size=4, transform=lambda picture: picture.convert("L"))
    with pytest.raises(PhotoError, match="FakeData: 0 usable photo.*gray.: 4"):
        open_data(gray, size=16, seed=0)


# the split


NAMES = [f"{letter}.jpg" for letter in "abcdefghijkl"]


def test_split_is_the_ranking_by_sha256():
    train, test = split_by_photo(NAMES, seed=3)
    digests = {name: hashlib.sha256(f"3:{name}".encode()).hexdigest() for name in NAMES}
    ranked = sorted(NAMES, key=digests.get)
    assert (train, test) == (ranked[2:], ranked[:2])
    assert set(split_by_photo(NAMES)[1]) == {"j.jpg", "k.jpg"}  # by sha256sum: on every machine


def test_split_depends_on_seed_and_not_on_order():
    names = [f"{number:05d}.jpg" for number in range(600)]
    train, test = split_by_photo(names)
    assert len(test) == 100 and sorted(train + test) == names
    shuffled = random.Random(0).sample(names, len(names))
    assert split_by_photo(shuffled) == (train, test)
    assert len(set(split_by_photo(names, seed=1)[1]) & set(test)) < 40  # by chance: 17
    more_test = split_by_photo([*names, "one more.jpg"])[1]
    assert len(set(more_test) ^ set(test)) <= 2
    assert len(split_by_photo(names, share=0.5)[1]) == 300


@pytest.mark.parametrize(("count", "tested"), [(2, 1), (3, 1), (5, 1), (9, 2), (12, 2)])
def test_both_parts_of_a_small_split_have_a_photo(count, tested):
    train, test = split_by_photo(NAMES[:count])
    assert len(test) == tested and len(train) == count - tested


@pytest.mark.parametrize(
    ("names", "cause"), [([], r"got \[\]"), (["a"], "got"), (["a", "b", "b"], "'b' is repeated")]
)
def test_what_cannot_be_split_is_refused(names, cause):
    with pytest.raises(ValueError, match=f"at least 2 names, each once; {cause}"):
        split_by_photo(names)


def test_a_name_splits_alike_however_its_accents_are_spelled():
    names = [f"é{number}.jpg" for number in range(30)]
    test = split_by_photo(names)[1]
    as_on_macos = [unicodedata.normalize("NFD", name) for name in names]
    assert as_on_macos != names
    test_on_macos = split_by_photo(as_on_macos)[1]
    assert [unicodedata.normalize("NFC", name) for name in test_on_macos] == test


NAME = st.text(min_size=1).filter(lambda name: not {"\n", "\r"} & set(name))
NOT_UTF8 = os.fsdecode(b"\xff\xfe.jpg")


@given(names=st.lists(NAME, min_size=2, unique=True))
def test_a_saved_split_is_read_back(names, tmp_path_factory):
    names = [*names, NOT_UTF8, "# photo.jpg", "train photo.jpg", " photo.jpg "]
    path = tmp_path_factory.mktemp("split") / "分割 split.txt"
    parts = split_by_photo(names)
    write_split(path, *parts)
    assert read_split(path) == parts


def test_a_split_file_can_be_written_by_hand(tmp_path):
    path = tmp_path / "split.txt"
    path.write_bytes("\ufeff# mine\r\n\r\ntest a b.jpg\r\ntrain #1.jpg\r\ntest ё.jpg".encode())
    assert read_split(path) == (["#1.jpg"], ["a b.jpg", "ё.jpg"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("train a\nvalid b\n", "line 2: expected 'train NAME' or 'test NAME'"),
        ("a.jpg\n", "line 1: expected"),
        ("train\n", "line 1: expected"),
        ("train a\n\ntest a\n", "line 3: 'a' is listed a second time"),
    ],
)
def test_a_split_file_that_makes_no_sense_is_refused_by_line(text, words, tmp_path):
    (tmp_path / "split.txt").write_text(text)
    with pytest.raises(ValueError, match=f"split.txt, {words}"):
        read_split(tmp_path / "split.txt")


def test_a_name_with_a_line_break_cannot_be_saved(tmp_path):
    with pytest.raises(ValueError, match="rename"):
        write_split(tmp_path / "split.txt", ["a\nb"], ["c"])
    assert not list(tmp_path.iterdir())


# opening data by one word


def test_scenes_are_opened_by_their_word(monkeypatch):
    opened = []
    monkeypatch.setattr(
        photos, "SceneDataset", lambda count, size, seed: opened.append((count, size, seed))
    )
    open_data("scenes", size=32, seed=7)
    open_data("scenes", size=32, seed=8)
    assert [scenes[:2] for scenes in opened] == [(3000, 32), (300, 32)] * 2
    assert opened[0][2] == 7 and len({seed for _, _, seed in opened}) == 4


def test_a_folder_is_opened_and_split_by_photo(folder):
    (folder / "broken.png").write_bytes(b"")
    train, test = open_data(folder, size=16, seed=0)
    assert isinstance(train, DecodedPhotos) and (len(train), len(test)) == (5, 1)
    names = sorted(train.names + test.names)
    assert (train.names, test.names) == split_by_photo(names, seed=0)
    whole = PhotoFolder(folder, size=16)
    assert torch.equal(train.rgb, whole.pick(train.names).rgb)
    assert torch.equal(test.rgb, whole.pick(test.names).rgb)
    assert (
        train.left_out == test.left_out == [("broken.png", "empty file: copy or download it again")]
    )
    assert open_data(folder, size=16, seed=0)[1].names == test.names
    batches = list(DataLoader(train, batch_size=2))
    assert torch.equal(torch.cat(batches), train.rgb)


def test_a_split_file_is_written_at_first_use_and_obeyed_afterwards(folder, tmp_path):
    split = tmp_path / "splits" / "mine.txt"
    train, test = open_data(folder, size=16, seed=0, split=split)
    assert read_split(split) == (train.names, test.names)
    again = open_data(folder, size=16, seed=5, split=split)  # the file counts, not the seed
    assert [part.names for part in again] == [train.names, test.names]

    (folder / "4.png").write_bytes(b"")
    write_split(split, ["0.png", "4.png", "gone.png"], ["more/5.png", "1.png"])
    train, test = open_data(folder, size=16, seed=0, split=split)
    assert (train.names, test.names) == (["0.png"], ["more/5.png", "1.png"])
    left_out = dict(train.left_out)
    assert set(left_out) == {"4.png", "gone.png", "2.png", "3.png"}
    assert left_out["4.png"].startswith("empty") and str(split) in left_out["2.png"]

    write_split(split, ["0.png"], ["gone.png"])
    with pytest.raises(PhotoError, match="no usable photo left"):
        open_data(folder, size=16, seed=0, split=split)
