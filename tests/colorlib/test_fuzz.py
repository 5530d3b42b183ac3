"""Broken input of every kind: each reader gives what it promises, or one of its own errors."""

import io
import json
import shutil
import struct
import zipfile
import zlib
from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save
from test_photos import color_picture, encode, png

from colorlib.cli import load_config
from colorlib.config import RECIPES, TrainConfig
from colorlib.download import DownloadError, unpack
from colorlib.generator import StridedUNet
from colorlib.photos import PhotoError, PhotoFolder, read_photo, read_split, write_split
from colorlib.runs import Run, RunError, load_generator, read_config

pytestmark = [pytest.mark.trust, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("broken 碎")


@st.composite
def damaged(draw, originals):
    """One of some good files: bytes exchanged, put in or taken out, perhaps cut off."""
    content = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, 64) | st.integers(0, len(content)))
        content[place : place + draw(st.integers(0, 8))] = draw(st.binary(max_size=8))
    end = draw(st.none() | st.integers(0, len(content)))
    return bytes(content[:end])


# photos


def photos_of_every_kind() -> list[bytes]:
    picture, alpha = color_picture(9, 7), Image.new("L", (7, 9), 100)
    deep = Image.fromarray(np.arange(63, dtype=np.uint16).reshape(9, 7) * 1000)
    real = Image.fromarray(np.linspace(0, 1, 63, dtype=np.float32).reshape(9, 7))
    transparent = picture.copy()
    transparent.putalpha(alpha)
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = [encode(picture, format) for format in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")]
    moving = {"save_all": True, "append_images": [transparent.convert("RGB")]}
    return [
        *plain,
        encode(picture, "PPM"),
        encode(alpha, "PPM"),
        encode(deep, "PPM"),
        encode(deep, "PNG"),
        encode(deep, "TIFF"),
        encode(real, "TIFF"),
        encode(picture.convert("CMYK"), "JPEG"),
        encode(picture.convert("CMYK"), "TIFF", compression="tiff_lzw"),
        encode(picture.convert("LAB"), "TIFF"),
        encode(picture.convert("P"), "PNG", transparency=3),
        encode(picture.convert("1"), "BMP"),
        encode(transparent, "PNG"),
        encode(transparent, "WEBP"),
        encode(picture, "JPEG", exif=exif, progressive=True),
        *(encode(picture, format, **moving) for format in ("GIF", "PNG", "WEBP", "TIFF")),
    ]


CHUNKS = [b"tRNS", b"PLTE", b"eXIf", b"iCCP", b"gAMA", b"acTL", b"fcTL", b"tEXt", b"zTXt", b"iTXt"]


@st.composite
def handmade_pngs(draw):
    """PNGs whose checksums are right, whatever they say."""
    side = st.integers(0, 40) | st.sampled_from([9_000, 20_000, 2**31 - 1, 2**32 - 1])
    extra = b""
    for kind in draw(st.lists(st.sampled_from(CHUNKS), max_size=3)):
        body = kind + draw(st.binary(max_size=40))
        extra += struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    bits, color_type = draw(st.integers(0, 17)), draw(st.integers(0, 7))
    return png(draw(side), draw(side), bits, color_type, draw(st.binary(max_size=200)), extra)


MAGIC = [good[:12] for good in photos_of_every_kind()]
ANY_FILE = (
    damaged(photos_of_every_kind())
    | handmade_pngs()
    | st.builds(bytes.__add__, st.sampled_from(MAGIC), st.binary(max_size=200))
    | st.binary(max_size=200)
)


@given(content=ANY_FILE, shrink_to=st.none() | st.integers(1, 20))
def test_any_file_is_a_photo_or_a_photo_error(content, shrink_to):
    try:
        photo = read_photo(io.BytesIO(content), shrink_to)
    except PhotoError as error:
        assert error.reason
    else:
        assert photo.mode == "RGB" and min(photo.size) > 0
        assert set(photo.info) <= {"exif", "dpi"} and 0x0112 not in photo.getexif()


@given(content=ANY_FILE)
def test_a_folder_uses_any_file_or_says_why_not(content, folder):
    root = folder / "photos"
    root.mkdir(exist_ok=True)
    for seed in (1, 2):
        if not (root / f"{seed}.png").exists():
            color_picture(seed=seed).save(root / f"{seed}.png")
    (root / "any.jpg").write_bytes(content)
    loaded = PhotoFolder(root, size=16)
    assert sorted([*loaded.names, *(name for name, _ in loaded.left_out)]) == [
        "1.png",
        "2.png",
        "any.jpg",
    ]
    assert len(loaded.rgb) == len(loaded.names)


# text: splits and configurations


SPLIT_FILE = "# 2 photos to train on, 1 to test\ntrain a b.jpg\ntrain ё/#1.png\ntest 照片.jpg\n"


@given(content=damaged([SPLIT_FILE.encode()]) | st.text().map(str.encode) | st.binary())
def test_a_split_is_read_or_refused_by_line(content, folder):
    path = folder / "split.txt"
    path.write_bytes(content)
    try:
        parts = read_split(path)
    except ValueError as error:
        assert f"{path}, line " in str(error)
    else:
        assert not set(parts[0]) & set(parts[1])
        write_split(path, *parts)
        assert read_split(path) == parts


GOOD_CONFIG = json.loads(json.dumps(asdict(RECIPES["warm"]) | {"steps": 3}))
ANY_NUMBER = st.integers() | st.floats() | st.sampled_from([10**400, -1, 0, 1, 2, 2.5])
ANY_JSON = st.recursive(
    st.none() | st.booleans() | ANY_NUMBER | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
CHANGES = st.dictionaries(st.sampled_from([*GOOD_CONFIG]) | st.text(), ANY_JSON, max_size=3)
ANY_CONFIG = (
    CHANGES.map(lambda changes: json.dumps({"config": GOOD_CONFIG | changes}).encode())
    | ANY_JSON.map(lambda value: json.dumps({"config": value}).encode())
    | ANY_JSON.map(lambda value: json.dumps(value).encode())
    | damaged([json.dumps({"config": GOOD_CONFIG}, indent=2).encode()])
    | st.binary()
)


@given(content=ANY_CONFIG)
def test_a_config_is_read_or_refused_by_name(content, folder):
    path = folder / "config.json"
    path.write_bytes(content)
    try:
        assert isinstance(read_config(path), dict)
        config = load_config(path)
    except RunError as error:
        assert str(path) in str(error)
    else:
        assert TrainConfig(**json.loads(json.dumps(asdict(config)))) == config
    try:
        with Run(folder, GOOD_CONFIG):
            pass
    except RunError as error:
        assert str(folder) in str(error)


@pytest.mark.parametrize("content", ["[" * 100_000, '{"config":' * 100_000, "\ufeff"])
def test_a_deep_or_empty_config_is_refused(content, tmp_path):
    (tmp_path / "config.json").write_text(content, "utf-8")
    with pytest.raises(RunError, match="is not the config.json of a run"):
        read_config(tmp_path / "config.json")


# downloads


def duts_zips() -> list[bytes]:
    made = [io.BytesIO() for _ in range(4)]
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    for file, method in zip(made, methods):
        with zipfile.ZipFile(file, "w", method) as archive:
            archive.writestr("DUTS-TE/DUTS-TE-Image/", b"")
            archive.writestr("DUTS-TE/DUTS-TE-Image/ё 1.jpg", bytes(range(50)))
            archive.writestr("DUTS-TE/DUTS-TE-Mask/1.png", b"mask")
    return [file.getvalue() for file in made]


@given(content=damaged(duts_zips()) | st.binary())
def test_a_zip_is_unpacked_into_its_folder_or_refused_by_name(content, folder):
    home = folder / "zips"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    path, target = home / "any.zip", home / "DUTS-TE" / "DUTS-TE-Image"
    path.write_bytes(content)
    try:
        with open(path, "rb") as file:
            unpack(file, target)
    except DownloadError as error:
        assert str(path) in str(error) and [*home.iterdir()] == [path]
    else:
        assert {*home.iterdir()} == {path, target.parent}
        assert [*target.parent.iterdir()] == [target]


# weights


GENERATOR = StridedUNet(2, depth=1)
STATE = {"step": 7, "networks": {"parts": [GENERATOR.state_dict(), None]}, "seconds": 0.5}


def checkpoint() -> bytes:
    file = io.BytesIO()
    torch.save(STATE, file)
    return file.getvalue()


@st.composite
def archives(draw):
    """Checkpoints whose checksums are right, and one of whose parts is not."""
    good, made = zipfile.ZipFile(io.BytesIO(checkpoint())), io.BytesIO()
    chosen = draw(st.sampled_from(good.namelist()))
    with zipfile.ZipFile(made, "w") as archive:
        for name in good.namelist():
            content = good.read(name)
            content = draw(damaged([content]) | st.binary()) if name == chosen else content
            archive.writestr(name, content)
    return made.getvalue()


@given(content=damaged([checkpoint()]) | archives() | st.binary())
def test_a_checkpoint_is_read_or_refused_by_name(content, folder):
    path = folder / "checkpoint.pt"
    path.write_bytes(content)
    try:
        assert isinstance(Run(folder, {}).load_checkpoint(), dict)
    except RunError as error:
        assert str(path) in str(error) and "start over with --fresh" in str(error)
    path.unlink()


CARD = {"architecture": "StridedUNet", "arguments": {"width": 2, "depth": 1}}
SMALL_JSON = ANY_JSON.filter(lambda value: not isinstance(value, int | float) or abs(value) < 5)
ANY_CARD = (
    st.dictionaries(st.sampled_from(["architecture", "arguments"]), SMALL_JSON).map(CARD.__or__)
    | st.builds(
        lambda name, value: CARD | {"arguments": CARD["arguments"] | {name: value}},
        st.sampled_from(["width", "depth", "x"]),
        SMALL_JSON,
    )
    | SMALL_JSON
).map(json.dumps) | st.text()


@given(card=ANY_CARD, content=damaged([save(GENERATOR.state_dict(), {"card": json.dumps(CARD)})]))
def test_weights_are_read_or_refused_by_name(card, content, folder):
    path = folder / "generator.safetensors"
    for written in (content, save(GENERATOR.state_dict(), metadata={"card": card})):
        path.write_bytes(written)
        try:
            assert isinstance(load_generator(path), torch.nn.Module)
        except RunError as error:
            assert str(path) in str(error)
