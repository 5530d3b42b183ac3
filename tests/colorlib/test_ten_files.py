"""Ten files as phones and scanners write them, through the command line and lesson 00's upload."""

import io
from pathlib import Path

import icc
import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms
from skimage import color, data
from test_decode import tiff, wide_curve
from torch import nn

from colorlib.cli import main
from colorlib.coloring import NOTE
from colorlib.generator import StridedUNet
from colorlib.runs import save_generator
from lessonkit.lesson_00.upload import Upload

PHOTO = data.astronaut()[:160, 128:352]  # upright and in sRGB: what must come out
L_STAR = color.rgb2lab(PHOTO)[..., 0]
DATE, CAMERA, DPI = "1969:07:20 20:17:40", "Kodak No. 1", 300
DATED = ("1_heic.heic", "2_p3.jpg", "3_adobe.jpg")
DPI_KEPT = ("4_dot_gain.jpg", "5_white_is_0.tif")


def exif(orientation: int = 1) -> bytes:
    result = Image.Exif()
    result[ExifTags.Base.Model], result[ExifTags.Base.Orientation] = CAMERA, orientation
    result.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = DATE
    return result.tobytes()


def wide(space: str) -> Image.Image:
    light = icc.gamma_off(PHOTO / 255) @ icc.xyz_matrix("sRGB").T
    light = np.clip(light @ np.linalg.inv(icc.xyz_matrix(space)).T, 0, 1)
    return Image.fromarray(np.rint(wide_curve(space, light) * 255).astype(np.uint8))


def write_ten_files(folder: Path) -> None:
    def save(name: str, image: Image.Image, **options) -> None:
        image.save(folder / name, **options)

    photo, light = Image.fromarray(PHOTO), icc.lightness_curve(L_STAR / 100)
    turned = Image.Transpose.ROTATE_90  # stored so, orientation 6 makes it upright
    p3 = {"icc_profile": icc.rgb_profile("Display P3"), "quality": 97}
    # libheif turns the pixels by a box of its own, which pillow-heif writes for an orientation
    save("1_heic.heic", wide("Display P3").transpose(turned), **p3, exif=exif(6))
    save("2_p3.jpg", wide("Display P3").transpose(turned), **p3, subsampling=0, exif=exif(6))
    adobe = {"icc_profile": icc.rgb_profile("AdobeRGB"), "quality": 97, "subsampling": 0}
    save("3_adobe.jpg", wide("AdobeRGB"), **adobe, exif=exif())
    levels = np.arange(256)
    gray = np.interp(light, icc.dot_gain_curve(levels / 255), levels)
    profile = icc.gray_profile("Dot Gain 20%")
    scan = Image.fromarray(np.rint(gray).astype(np.uint8))
    save("4_dot_gain.jpg", scan, quality=97, dpi=(DPI, DPI), icc_profile=profile)
    deep = np.rint(65535 * (1 - icc.gamma_on(light))).astype(np.uint16)
    (folder / "5_white_is_0.tif").write_bytes(tiff(deep, photometric=0).getvalue())
    inks = np.dstack([255 - PHOTO, np.zeros(PHOTO.shape[:2], np.uint8)])
    save("6_cmyk.jpg", Image.fromarray(inks, mode="CMYK"), quality=97, subsampling=0)
    alpha = Image.fromarray(np.full(PHOTO.shape[:2], 255, np.uint8))
    save("7_alpha.png", Image.merge("RGBA", (*photo.split(), alpha)))
    save("8_avif.avif", photo, quality=95, subsampling="4:4:4")
    save("9_archive.jp2", photo)
    second = {"save_all": True, "append_images": [Image.new("RGB", (9, 9))]}
    save("10_mpo.mpo", photo, quality=97, subsampling=0, **second)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The ten files, and their copies by `colorlib colorize` with a network that adds no color."""
    given, colored = tmp_path_factory.mktemp("given"), tmp_path_factory.mktemp("colored")
    (given / "album").mkdir()
    write_ten_files(given / "album")
    network = StridedUNet(8)
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    save_generator(given / "w.safetensors", network)
    main(["colorize", str(given), "--weights", str(given / "w.safetensors"), "--out", str(colored)])
    return given / "album", colored / "album"


NAMES = "1_heic.heic 2_p3.jpg 3_adobe.jpg 4_dot_gain.jpg 5_white_is_0.tif 6_cmyk.jpg 7_alpha.png"
NAMES = (*NAMES.split(), "8_avif.avif", "9_archive.jp2", "10_mpo.mpo")


def check_lightness(rgb: np.ndarray) -> None:
    assert rgb.shape == PHOTO.shape  # upright
    difference = np.abs(color.rgb2lab(rgb)[..., 0] - L_STAR)
    assert difference.mean() < 0.6 and np.percentile(difference, 95) < 2


def test_ten_were_written(folders):
    given, colored = folders
    assert {path.name for path in given.iterdir()} == set(NAMES)
    assert len(list(colored.iterdir())) == 10


@pytest.mark.parametrize("name", NAMES)
def test_colored_upright_in_true_lightness_with_its_metadata(name, folders):
    with Image.open(folders[1] / f"{Path(name).stem}_colored.png") as colored:
        check_lightness(np.asarray(colored))
        found = colored.getexif()
        assert found.get(ExifTags.Base.Orientation, 1) == 1
        profile = ImageCms.ImageCmsProfile(io.BytesIO(colored.info["icc_profile"]))
        assert "sRGB" in ImageCms.getProfileDescription(profile)
        assert colored.info["Comment"] == NOTE
        if name in DATED:
            assert found[ExifTags.Base.Model] == CAMERA
            assert found.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] == DATE
        if name in DPI_KEPT:
            assert np.allclose(colored.info["dpi"], DPI, atol=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_uploaded_in_lesson_00_upright_in_true_color(name, folders):
    content = (folders[0] / name).read_bytes()
    for file in (folders[0] / name, io.BytesIO(content)):
        shown = np.asarray(Upload().read(file))
        check_lightness(shown)
    if name not in DPI_KEPT:  # those are gray
        error = color.deltaE_ciede2000(color.rgb2lab(shown), color.rgb2lab(PHOTO))
        assert error.mean() < 1.5
