"""One picture file: what site/pages/files.md promises for each kind, and what is refused."""

import io
import os
import random
import runpy
import struct
import sys
from pathlib import Path
from unittest.mock import Mock

import icc
import numpy as np
import pytest
from PIL import Image, ImageCms
from skimage import color, data
from test_photos import BAD_FILES, color_picture, encode, huge_png, png

from colorlib import decode
from colorlib.coloring import colorize
from colorlib.decode import PhotoError, fit_photo, image_to_rgb, read_photo
from colorlib.photos import PhotoFolder

FILES = Path(__file__).parents[2] / "site" / "pages" / "files.md"
ROWS = {}  # first column of the table in files.md -> its tests


def row(kind: str):
    """Say that a test checks this row of the table in files.md."""

    def mark(test):
        ROWS.setdefault(kind, []).append(test)
        return test

    return mark


def test_every_row_of_the_table_has_a_test():
    lines = [line for line in FILES.read_text("utf-8").splitlines() if line.startswith("| ")]
    assert {line.split("|")[1].strip() for line in lines[1:]} == set(ROWS)


def pixels_of(path_or_file) -> np.ndarray:
    return np.asarray(read_photo(path_or_file))


def decoded(image: Image.Image, format: str = "PNG", **options) -> np.ndarray:
    """What `read_photo` makes of an image that is stored in this format."""
    return pixels_of(io.BytesIO(encode(image, format, **options)))


def tiff(values: np.ndarray, photometric: int = 1, bits: int = 16, white: int = 0) -> io.BytesIO:
    """A gray TIFF 6.0 of 300 dpi by hand: PIL writes neither MINISWHITE nor MaxSampleValue."""
    rows, columns = values.shape
    content = values.astype("<u2").tobytes()
    if bits == 12:  # two values in three bytes
        pairs = values.reshape(-1, 2).astype(int)
        content = b"".join(int(a << 12 | b).to_bytes(3, "big") for a, b in pairs)
    tags = {256: columns, 257: rows, 258: bits, 259: 1, 262: photometric, 273: 16, 277: 1}
    tags |= {278: rows, 279: len(content)} | ({281: white} if white else {})
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items()]
    entries += [struct.pack("<HHII", tag, 5, 1, 8) for tag in (282, 283)]  # at byte 8: 300/1
    entries = b"".join(sorted(entries, key=lambda entry: entry[:2][::-1]))
    count = struct.pack("<H", len(entries) // 12)
    head = struct.pack("<2sHIII", b"II", 42, 16 + len(content), 300, 1)
    return io.BytesIO(head + content + count + entries + bytes(4))


# formats


@row("JPEG, PNG, WebP, BMP, TIFF, GIF, PPM, JPEG 2000, AVIF, MPO")
@pytest.mark.parametrize("format", "JPEG PNG WEBP BMP TIFF GIF PPM JPEG2000 AVIF MPO".split())
def test_common_formats_are_read(format):
    photo = Image.fromarray(data.astronaut()[:64, 100:196])
    options = {"JPEG": {"quality": 95}, "AVIF": {"quality": 95}, "WEBP": {"lossless": True}}
    rgb = decoded(photo, format, **options.get(format, {}))
    assert rgb.shape == (64, 96, 3)
    limit = 8 if format == "GIF" else 3  # of 256 colors, dithered
    assert np.abs(rgb.astype(int) - np.asarray(photo)).mean() < limit


@row("JPEG, PNG, WebP, BMP, TIFF, GIF, PPM, JPEG 2000, AVIF, MPO")
@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF", "MPO"])
def test_of_several_pictures_the_first_is_taken(format):
    red, blue = Image.new("RGB", (8, 8), (255, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 255))
    options = {"lossless": True} if format == "WEBP" else {}
    rgb = decoded(red, format, save_all=True, append_images=[blue], **options)
    assert np.abs(rgb.astype(int) - np.asarray(red)).max() <= 1


@row("HEIC, HEIF")
@pytest.mark.parametrize("name", ["photo.heic", "photo.HEIF"])
def test_heic_is_read(name, tmp_path):
    photo = Image.fromarray(data.astronaut()[:64, 100:196])
    photo.save(tmp_path / name, "HEIF", quality=95)
    rgb = pixels_of(tmp_path / name)
    assert np.abs(rgb.astype(int) - np.asarray(photo)).mean() < 3


@row("HEIC, HEIF")
def test_without_pillow_heif_the_message_names_it(tmp_path, monkeypatch):
    Image.new("RGB", (64, 64)).save(tmp_path / "photo.heic", "HEIF")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # importing it fails
    monkeypatch.delitem(Image.OPEN, "HEIF")
    without = runpy.run_path(decode.__file__)
    for file in (tmp_path / "photo.heic", io.BytesIO((tmp_path / "photo.heic").read_bytes())):
        with pytest.raises(without["PhotoError"], match="pip install pillow-heif"):
            without["read_photo"](file)


# EXIF orientation


ORIENTATIONS = {  # EXIF 2.3, tag 0x0112: what to do to see the picture upright
    1: lambda rgb: rgb,
    2: lambda rgb: rgb[:, ::-1],
    3: lambda rgb: rgb[::-1, ::-1],
    4: lambda rgb: rgb[::-1],
    5: lambda rgb: rgb.swapaxes(0, 1),
    6: lambda rgb: np.rot90(rgb, -1),
    7: lambda rgb: np.rot90(rgb, 2).swapaxes(0, 1),
    8: lambda rgb: np.rot90(rgb),
}


@row("a photo stored sideways (EXIF orientation)")
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_exif_rotation_is_undone_once(orientation, format):
    picture, exif = color_picture(3, 5), Image.Exif()
    exif[0x0112] = orientation
    upright = read_photo(io.BytesIO(encode(picture, format, exif=exif)))
    expected = ORIENTATIONS[orientation](np.asarray(picture))
    np.testing.assert_array_equal(np.asarray(upright), expected)
    again = decode.image_to_rgb(upright)
    np.testing.assert_array_equal(np.asarray(again), expected)


def test_broken_exif_does_not_cost_the_photo():
    picture = color_picture()
    broken = encode(picture, "JPEG", exif=b"Exif\0\0garbage, not a TIFF header")
    assert read_photo(io.BytesIO(broken)).size == picture.size


def test_rotation_is_done_once_even_if_the_exif_cannot_be_written_again(monkeypatch):
    def refuse(exif, offset=8):
        raise struct.error("a tag of a camera that knows no standard")

    picture, exif = color_picture(3, 5), Image.Exif()
    exif[0x0112] = 3
    file = io.BytesIO(encode(picture, "PNG", exif=exif))
    monkeypatch.setattr(Image.Exif, "tobytes", refuse)
    twice = decode.image_to_rgb(read_photo(file))
    np.testing.assert_array_equal(np.asarray(twice), np.asarray(picture)[::-1, ::-1])


def test_a_damaged_picture_is_refused_in_the_same_way_if_it_is_open_already():
    file = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(file, "JPEG")
    with Image.open(io.BytesIO(file.getvalue()[:-900])) as cut, pytest.raises(PhotoError):
        decode.image_to_rgb(cut)


def test_image_to_rgb_leaves_the_picture_as_it_is():
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.open(io.BytesIO(encode(color_picture(), "PNG", exif=exif)))
    before = picture.copy()
    decode.image_to_rgb(picture).putpixel((0, 0), (1, 2, 3))
    assert picture.size == before.size and picture.info == before.info
    np.testing.assert_array_equal(np.asarray(picture), np.asarray(before))


# color profiles


def delta_e(rgb: np.ndarray, other: np.ndarray) -> np.ndarray:
    return color.deltaE_ciede2000(color.rgb2lab(rgb), color.rgb2lab(other))


def wide_curve(space: str, light: np.ndarray) -> np.ndarray:
    return light ** (1 / icc.ADOBE_GAMMA) if space == "AdobeRGB" else icc.gamma_on(light)


def wide_to_srgb(space: str, values: np.ndarray) -> np.ndarray:
    """Convert 8-bit values of a wide space to sRGB by hand, in float64, without clipping."""
    values = values / 255
    light = values**icc.ADOBE_GAMMA if space == "AdobeRGB" else icc.gamma_off(values)
    light = light @ icc.xyz_matrix(space).T @ np.linalg.inv(icc.xyz_matrix("sRGB")).T
    return np.where(np.abs(light - 0.5) <= 0.5 + 1e-6, icc.gamma_on(light), np.nan)


@row("a photo with an Adobe RGB, Display P3 or other RGB profile")
@pytest.mark.parametrize("space", ["AdobeRGB", "Display P3"])
def test_a_copy_in_a_wide_space_is_the_same_photo(space):
    photo = data.astronaut()[:192, 128:384]
    light = icc.gamma_off(photo / 255) @ icc.xyz_matrix("sRGB").T
    light = np.clip(light @ np.linalg.inv(icc.xyz_matrix(space)).T, 0, 1)
    stored = np.rint(wide_curve(space, light) * 255).astype(np.uint8)
    rgb = decoded(Image.fromarray(stored), icc_profile=icc.rgb_profile(space))
    # against what the file holds; rounding puts a few of its pixels just outside sRGB
    assert np.nanmax(delta_e(rgb, wide_to_srgb(space, stored))) < 1
    # the original differs a little more, by what 8 bits of the wide space can't hold
    error = delta_e(rgb, photo)
    assert error.mean() < 0.2 and np.percentile(error, 95) < 1 and error.max() < 2.5
    assert delta_e(stored, photo).mean() > 1  # as it would be without the profile


@row("a photo with an Adobe RGB, Display P3 or other RGB profile")
@pytest.mark.parametrize("space", ["AdobeRGB", "Display P3"])
def test_colors_that_srgb_contains_survive_beside_those_that_it_does_not(space):
    levels = np.linspace(0, 255, 12).astype(np.uint8)
    stored = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(36, 48, 3)
    expected = wide_to_srgb(space, stored)
    rgb = decoded(Image.fromarray(stored), icc_profile=icc.rgb_profile(space))
    is_inside = np.isfinite(expected).all(axis=-1)
    assert 0.3 < is_inside.mean() < 0.9
    assert delta_e(rgb, np.nan_to_num(expected))[is_inside].max() < 1
    assert decoded(Image.new("RGB", (1, 1), (0, 255, 0)), icc_profile=icc.rgb_profile(space))[
        0, 0
    ].tolist() == [0, 255, 0]


def test_photos_in_srgb_stay_as_they_are_and_a_misleading_name_is_not_believed(monkeypatch):
    photo = color_picture()
    built_in = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (built_in, icc.rgb_profile("sRGB")):
        np.testing.assert_array_equal(decoded(photo, icc_profile=profile), np.asarray(photo))
    linear = icc.rgb_profile("AdobeRGB").replace(b"AdobeRGB", b"sRGB g10")
    assert np.abs(decoded(photo, icc_profile=linear).astype(int) - np.asarray(photo)).max() > 3


RAMP = np.arange(256, dtype=np.uint8)[None].repeat(2, axis=0)


@row(r"a photo with a gray profile (L\*, dot gain, gamma 2.2)")
@pytest.mark.parametrize("name", icc.GRAY_CURVES)
@pytest.mark.parametrize("mode", ["L", "LA"])
def test_a_gray_scan_has_the_lightness_of_its_profile(name, mode):
    scan = Image.fromarray(RAMP).convert(mode)
    rgb = decoded(scan, icc_profile=icc.gray_profile(name)).astype(float)
    expected = 255 * icc.gamma_on(icc.GRAY_CURVES[name](RAMP / 255))
    assert np.abs(rgb - expected[..., None]).max() < 1.1  # rounded twice: from and to 8 bits
    assert np.abs(expected - RAMP).max() > 2  # as it would be without the profile


def test_gray_with_a_profile_for_color_is_converted():
    rgb = decoded(Image.fromarray(RAMP), icc_profile=icc.rgb_profile("AdobeRGB")).astype(float)
    expected = 255 * icc.gamma_on((RAMP / 255) ** icc.ADOBE_GAMMA)
    assert np.abs(rgb - expected[..., None]).max() <= 1


@row("a CMYK photo")
def test_cmyk_without_a_profile_is_converted():
    inks = np.array([[[255, 0, 0, 0], [0, 0, 0, 255], [0, 0, 0, 0], [0, 255, 255, 0]]], np.uint8)
    rgb = decoded(Image.fromarray(inks, mode="CMYK"), "TIFF")
    assert rgb.tolist() == [[[0, 255, 255], [0, 0, 0], [255, 255, 255], [255, 0, 0]]]


def lab_of_inks(c: int, m: int, y: int, k: int) -> tuple[float, float, float]:
    """A printer of its own: magenta and yellow give a printed red, all else gray."""
    if k:
        return 0, 0, 0
    return (48, 68, 48) if (c, m, y) == (0, 1, 1) else (100 - 25 * (c + m + y), 0, 0)


@row("a CMYK photo")
@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_is_converted_with_its_profile(format):
    inks = np.zeros((8, 32, 4), np.uint8)
    inks[:, 8:16, 3] = 128  # half black: L* = 49.8, which is 118; without a profile it is 127
    inks[:, 16:24, 3] = 255
    inks[:, 24:, 1:3] = 255
    options = {"quality": 100} if format == "JPEG" else {}
    profile = icc.cmyk_profile(lab_of_inks)
    rgb = decoded(Image.fromarray(inks, mode="CMYK"), format, icc_profile=profile, **options)
    lab = np.array([(100, 0, 0), (100 * 127 / 255, 0, 0), (0, 0, 0), (48, 68, 48)])
    expected = 255 * icc.lab_to_srgb(lab)
    assert np.abs(rgb[4, 4::8] - expected).max() <= 2


BROKEN = {
    "random bytes": bytes(range(256)),
    "cut off": icc.rgb_profile("AdobeRGB")[:300],
    "cut in the table": icc.rgb_profile("AdobeRGB")[:140],
    "of Lab": icc.lab_profile(),
    "of CMYK": icc.cmyk_profile(lab_of_inks),
    "empty": b"\0",
}


@row("a photo with a broken or unusual profile")
@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_broken_profile_never_costs_the_photo(kind, mode, tmp_path):
    if mode == "CMYK" and kind == "of CMYK":
        pytest.skip("that one is good")
    photo = color_picture().convert(mode)
    photo.save(tmp_path / "photo.tif", icc_profile=BROKEN[kind])
    with pytest.warns(UserWarning, match=r"photo\.tif: unusable color profile.*sRGB is assumed"):
        rgb = pixels_of(tmp_path / "photo.tif")
    np.testing.assert_array_equal(rgb, np.asarray(photo.convert("RGB")))


# transparency


@row("transparency")
def test_alpha_is_flattened_on_white():
    rgba = np.array([[[255, 0, 0, 0], [255, 0, 0, 255], [0, 0, 200, 128]]], dtype=np.uint8)
    rgb = pixels_of(io.BytesIO(encode(Image.fromarray(rgba), "PNG"))).astype(int)
    assert rgb[0, 0].tolist() == [255, 255, 255]  # not the red hidden below
    assert rgb[0, 1].tolist() == [255, 0, 0]
    mixed = np.array([0, 0, 200]) * (128 / 255) + 255 * (127 / 255)
    assert np.abs(rgb[0, 2] - mixed).max() <= 1


@row("transparency")
def test_gray_with_alpha_is_flattened_on_white():
    values = np.array([[[90, 255], [90, 0]]], dtype=np.uint8)
    rgb = pixels_of(io.BytesIO(encode(Image.fromarray(values, mode="LA"), "PNG")))
    assert rgb.tolist() == [[[90, 90, 90], [255, 255, 255]]]


def test_transparent_color_of_an_rgb_png_becomes_white():
    picture = Image.new("RGB", (2, 1), (10, 20, 30))
    picture.putpixel((1, 0), (200, 0, 0))
    rgb = pixels_of(io.BytesIO(encode(picture, "PNG", transparency=(200, 0, 0))))
    assert rgb.tolist() == [[[10, 20, 30], [255, 255, 255]]]


def test_palette_and_its_transparent_entry():
    picture = Image.new("P", (3, 1))
    picture.putpalette([10, 20, 30, 200, 0, 0, 0, 255, 0])
    for x in range(3):
        picture.putpixel((x, 0), x)
    rgb = pixels_of(io.BytesIO(encode(picture, "PNG", transparency=1)))
    assert rgb.tolist() == [[[10, 20, 30], [255, 255, 255], [0, 255, 0]]]


def test_one_bit_is_black_and_white():
    bits = np.array([[True, False, True]])
    rgb = pixels_of(io.BytesIO(encode(Image.fromarray(bits), "PNG")))
    assert rgb[0, :, 0].tolist() == [255, 0, 255]


# values of more than 8 bits


@row("16-bit gray, including files in which 0 means white (MINISWHITE)")
@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_gray_of_16_bits_is_scaled_not_clipped(format):
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    gray = pixels_of(io.BytesIO(encode(Image.fromarray(values), format)))
    expected = np.rint(values / 257).astype(np.uint8)
    np.testing.assert_array_equal(gray, np.stack([expected] * 3, axis=-1))


def test_color_of_16_bits_is_scaled_not_clipped():
    values = np.random.default_rng(0).integers(0, 65536, (8, 5, 3), dtype=np.uint16)
    values[0, 0], values[0, 1] = 0, 65535
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    rgb = pixels_of(io.BytesIO(png(5, 8, 16, 2, rows)))
    assert np.abs(rgb - values / 257).max() <= 1
    assert rgb[0, 0].tolist() == [0, 0, 0] and rgb[0, 1].tolist() == [255, 255, 255]


@row("16-bit gray, including files in which 0 means white (MINISWHITE)")
@pytest.mark.parametrize("photometric", [0, 1])
def test_white_as_0_is_not_a_negative(photometric):
    values = np.arange(65536, dtype=np.uint16)[::64].reshape(32, 32)
    rgb = pixels_of(tiff(values, photometric))
    expected = np.rint(values / 257)
    np.testing.assert_array_equal(rgb[..., 0], 255 - expected if photometric == 0 else expected)
    np.testing.assert_array_equal(
        np.asarray(image_to_rgb(Image.open(tiff(values, photometric)))), rgb
    )


@row("12-bit gray stored in 16 bits")
def test_12_bits_in_16_are_scaled_by_what_the_file_says():
    values = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    expected = np.rint(values * (255 / 4095))
    np.testing.assert_array_equal(pixels_of(tiff(values, white=4095))[..., 0], expected)
    np.testing.assert_array_equal(pixels_of(tiff(values, 0, white=4095))[..., 0], 255 - expected)
    np.testing.assert_array_equal(pixels_of(tiff(values, bits=12))[..., 0], expected)
    with pytest.raises(PhotoError, match="no value above 4095.*65535 would be white.*8-bit"):
        read_photo(tiff(values))


@row("floats from 0 to 1")
def test_float_is_taken_as_0_to_1():
    values = np.array([[0, 0.25, 0.5, 1]], dtype=np.float32)
    assert decoded(Image.fromarray(values), "TIFF")[0, :, 0].tolist() == [0, 64, 128, 255]


@row("floats from 0 to 1")
@pytest.mark.parametrize("strange", [-0.5, 1.5, 255, np.nan, np.inf])
def test_float_beyond_0_to_1_is_refused(strange):
    values = np.full((4, 4), 0.5, dtype=np.float32)
    values[1, 2] = strange
    with pytest.raises(PhotoError, match="outside 0..1.*8-bit"):
        decoded(Image.fromarray(values), "TIFF")


@row("32-bit integers from 0 to 65,535")
def test_integers_of_32_bits_are_scaled_or_refused():
    values = np.array([[0, 257, 32_896, 65_535]], dtype=np.int32)
    for rgb in (decoded(Image.fromarray(values), "TIFF"), image_to_rgb(Image.fromarray(values))):
        assert np.asarray(rgb)[0, :, 0].tolist() == [0, 1, 128, 255]
    with pytest.raises(PhotoError, match="no value above 255, where 65535 would be white"):
        image_to_rgb(Image.fromarray(np.arange(256, dtype=np.int32)[None]))
    for strange in (-1, 70_000):
        values[0, 0] = strange
        with pytest.raises(PhotoError, match="outside 0..65535"):
            decoded(Image.fromarray(values), "TIFF")


def test_a_dark_pgm_is_read_since_its_header_says_what_white_is():
    file = io.BytesIO(b"P5 4 1 4095\n" + np.array([0, 100, 200, 400], ">u2").tobytes())
    expected = np.rint(np.array([0, 100, 200, 400]) * (255 / 4095)).astype(int)
    assert np.abs(pixels_of(file)[0, :, 0] - expected).max() <= 1
    again = np.asarray(image_to_rgb(Image.open(file)))
    assert np.abs(again[0, :, 0] - expected).max() <= 1


# how large


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@row("a photo of up to 178 megapixels")
@row("larger photos")
@pytest.mark.parametrize(
    "side, shrink_to, limit",
    [(13_341, None, 0), (13_343, None, 178), (20_000, None, 178), (8_000, 64, 0), (9_000, 64, 64)],
)
def test_the_size_is_limited(side, shrink_to, limit):
    words = f"more than {limit} megapixels: make it smaller" if limit else "cut off"
    with pytest.raises(PhotoError, match=words):  # the file has no pixels: only its header is good
        read_photo(io.BytesIO(huge_png(side)), shrink_to)


# what is refused, and in which words


@row("empty, damaged or cut-off files, and other formats")
@pytest.mark.parametrize("kind", BAD_FILES)
def test_bad_files_are_refused_by_name_with_what_to_do(kind, tmp_path):
    content, words = BAD_FILES[kind]
    path = tmp_path / f"{kind}.jpg"
    path.write_bytes(content)
    with pytest.raises(PhotoError, match=words) as caught:
        read_photo(path)
    assert f"{kind}.jpg" in str(caught.value)
    assert f"{kind}.jpg" not in caught.value.reason
    with open(path, "rb") as file, pytest.raises(PhotoError, match=f"{kind}.jpg"):
        read_photo(file)


@pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")
def test_a_bomb_is_refused_in_the_same_words_where_warnings_are_errors():
    with pytest.raises(PhotoError, match="178 megapixels"):
        read_photo(io.BytesIO(huge_png(20_000)))


def test_too_little_memory_is_not_blamed_on_the_file(monkeypatch):
    monkeypatch.setattr(Image.Image, "load", Mock(side_effect=MemoryError))
    with pytest.raises(PhotoError, match="more memory than is free: make it smaller"):
        image_to_rgb(Image.new("RGB", (40, 40)))


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(PhotoError, match=r"no\.jpg: cannot be opened .*check the path"):
        read_photo(tmp_path / "no.jpg")
    with pytest.raises(PhotoError, match="not a regular file"):
        read_photo(tmp_path)
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(PhotoError, match="not a regular file"):  # and not waited for
        read_photo(tmp_path / "pipe.jpg")


def test_missing_permission_is_named(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    color_picture().save(tmp_path / "mine.png")
    monkeypatch.setattr(Image, "open", refuse)  # as root no file is unreadable
    with pytest.raises(PhotoError, match=r"mine.png.*Permission denied.*permissions"):
        read_photo(tmp_path / "mine.png")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_damage_anywhere_gives_a_photo_or_a_photo_error(format):
    good, chance = encode(color_picture(), format), random.Random(0)
    for _ in range(40):
        damaged = bytearray(good[: chance.choice([len(good), chance.randrange(len(good))])])
        for _ in range(chance.randrange(4)):
            if damaged:
                damaged[chance.randrange(min(len(damaged), 300))] = chance.randrange(256)
        try:
            assert read_photo(io.BytesIO(bytes(damaged))).mode == "RGB"
        except PhotoError as error:
            assert error.reason


def test_photo_error_survives_the_way_back_from_a_worker():
    assert str(PhotoError("a.jpg: empty")) == "a.jpg: empty"  # how torch's DataLoader raises it
    assert str(PhotoError("empty file", "a.jpg")) == "a.jpg: empty file"


# a gray photo, a copy


@row("a gray photo")
@row("a copy of another photo")
def test_gray_photos_and_copies_are_colored_and_left_out_of_training(tmp_path):
    for seed in range(2):
        color_picture(seed=seed).save(tmp_path / f"{seed}.png")
    color_picture(seed=0).save(tmp_path / "copy.bmp")
    color_picture().convert("L").save(tmp_path / "gray.png")
    left_out = dict(PhotoFolder(tmp_path, 16).left_out)
    assert set(left_out) in ({"gray.png", "copy.bmp"}, {"gray.png", "0.png"})
    for name in left_out:
        colored = colorize(tmp_path / name, lambda L: L.new_zeros(1, 2, *L.shape[-2:]), size=16)
        assert colored.size == (32, 24)


# to a square


def test_crop_takes_the_center_and_stretch_takes_all():
    wide = color_picture(20, 40)
    values = np.asarray(wide)
    np.testing.assert_array_equal(np.asarray(fit_photo(wide, 20)), values[:, 10:30])
    np.testing.assert_array_equal(
        np.asarray(fit_photo(wide.transpose(Image.Transpose.TRANSPOSE), 20)),
        values[:, 10:30].swapaxes(0, 1),
    )
    bands = Image.fromarray(np.repeat([[[9, 0, 0]] * 30 + [[0, 9, 0]] * 30], 20, 0).astype("u1"))
    stretched = np.asarray(fit_photo(bands, 20, "stretch"))
    assert stretched[10, 0].tolist() == [9, 0, 0] and stretched[10, 19].tolist() == [0, 9, 0]


def test_unknown_fit_is_refused():
    with pytest.raises(ValueError, match="crop, stretch"):
        fit_photo(color_picture(), 16, "cover")


def test_jpeg_shrunk_while_decoding_is_the_same_photo():
    large = Image.fromarray(data.astronaut()).resize((1024, 1200), Image.Resampling.BICUBIC)
    jpeg = encode(large, "JPEG", quality=95)
    quick = read_photo(io.BytesIO(jpeg), shrink_to=128)
    assert min(quick.size) >= 128 and max(quick.size) < 1200
    full = read_photo(io.BytesIO(jpeg))
    assert full.size == (1024, 1200)
    difference = np.asarray(fit_photo(quick, 64), int) - np.asarray(fit_photo(full, 64), int)
    assert np.abs(difference).mean() < 2
