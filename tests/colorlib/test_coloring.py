"""Colorize: any picture in, its own lightness at full size out, with the network's chroma."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import color, data
from torch import nn
from torch.nn import functional

from colorlib import coloring as module
from colorlib import decode
from colorlib.coloring import colorize, model_shape
from colorlib.photos import PhotoError


class Painter(nn.Module):
    """A stand-in generator: paints every picture with the ab given, and keeps the L it saw."""

    def __init__(self, ab=(0.0, 0.0)):
        super().__init__()
        self.ab = nn.Parameter(torch.as_tensor(ab).reshape(1, 2, *torch.as_tensor(ab).shape[1:]))

    def forward(self, L):
        self.seen = L
        ab = self.ab if self.ab.ndim == 4 else self.ab[..., None, None]
        return ab.expand(len(L), 2, *L.shape[-2:])


def rough_ab(height: int, width: int) -> torch.Tensor:
    """A chroma plane that differs from pixel to pixel, within what sRGB can show at mid gray."""
    return (torch.rand(2, height, width, generator=torch.Generator().manual_seed(0)) - 0.5) * 0.3


def lab_of(image: Image.Image) -> np.ndarray:
    return color.rgb2lab(np.asarray(image))


def mid_gray(height: int, width: int) -> Image.Image:
    values = np.random.default_rng(0).integers(110, 150, (height, width), dtype=np.uint8)
    return Image.fromarray(values)


# what goes in


def test_every_mode_comes_out_as_rgb_of_the_same_size():
    photo = Image.fromarray(data.coffee()).resize((50, 37))
    for mode in ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I;16", "F"]:
        picture = photo.convert("L") if mode in ("I;16", "F") else photo.convert(mode)
        if mode == "F":
            picture = Image.fromarray(np.asarray(picture, np.float32) / 255)
        elif mode == "I;16":
            picture = Image.fromarray(np.asarray(picture, np.uint16) * 257)
        assert picture.mode == mode
        colored = colorize(picture, Painter((0.2, 0.1)), size=32)
        assert (colored.mode, colored.size) == ("RGB", (50, 37)), mode


def test_deep_gray_keeps_its_lightness():
    gray = mid_gray(30, 40)
    deep = Image.fromarray(np.asarray(gray, np.uint16) * 257)
    np.testing.assert_array_equal(colorize(deep, Painter(), 32), colorize(gray, Painter(), 32))


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 1), (20, 30, 3), (20, 30, 4)])
def test_arrays_are_taken(shape):
    values = np.full(shape, 128, dtype=np.uint8)
    if shape[2:] == (4,):
        values[..., 3] = 255
    colored = np.asarray(colorize(values, Painter(), size=16))
    assert colored.shape == (20, 30, 3) and (colored == 128).all()


def test_array_of_bits_is_taken():
    bits = np.arange(20 * 30).reshape(20, 30) % 2 == 0
    colored = np.asarray(colorize(bits, Painter(), size=16))
    np.testing.assert_array_equal(colored[..., 1] > 127, bits)


@pytest.mark.parametrize(
    "array", [np.zeros((3, 4), np.int64), np.zeros((3, 4, 3), np.uint16), np.zeros((2, 3, 4, 3))]
)
def test_arrays_that_are_no_picture_are_refused(array):
    with pytest.raises(PhotoError, match=r"uint8 \(H, W\), \(H, W, 3\)"):
        colorize(array, Painter())


def test_pictures_without_pixels_are_refused():
    for picture in [np.zeros((0, 5, 3), np.uint8), Image.new("L", (0, 5))]:
        with pytest.raises(PhotoError, match="without pixels"):
            colorize(picture, Painter())


def test_a_file_comes_out_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    gray = mid_gray(20, 30)
    gray.save(tmp_path / "turned.png", exif=exif)
    colored = colorize(tmp_path / "turned.png", Painter(), size=16)
    assert colored.size == (20, 30)
    np.testing.assert_array_equal(np.asarray(colored)[..., 0], np.rot90(np.asarray(gray), -1))
    np.testing.assert_array_equal(
        colorize(Image.open(tmp_path / "turned.png"), Painter(), size=16), colored
    )


def test_a_bad_file_is_named(tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    with pytest.raises(PhotoError, match=r"bad\.jpg"):
        colorize(str(tmp_path / "bad.jpg"), Painter())


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (2, 3)])
def test_tiny_pictures_are_colored(size):
    assert colorize(Image.new("L", size, 128), Painter((0.1, 0.1)), size=64).size == size


# what the network sees


@pytest.mark.parametrize(
    ("height", "width", "size", "expected"),
    [
        (256, 256, 256, (256, 256)),
        (512, 512, 256, (256, 256)),
        (300, 400, 256, (256, 352)),  # 341.3 wide, to the nearest multiple of 32
        (4000, 3000, 256, (352, 256)),
        (3000, 4000, 64, (64, 96)),
        (90, 160, 64, (64, 128)),
        (1, 1, 128, (128, 128)),
        (100, 1000, 64, (32, 256)),  # at most 4 times the size: 25.6 high, rounded
        (10, 10_000, 64, (32, 256)),
        (50, 50, 70, (64, 64)),
    ],
)
def test_model_shape(height, width, size, expected):
    assert model_shape(height, width, size) == expected


def test_the_network_sees_lightness_as_in_training():
    photo = Image.fromarray(data.astronaut()).crop((100, 50, 196, 114))
    painter = Painter()
    colorize(photo, painter, size=64)
    assert painter.seen.shape == (1, 1, 64, 96)  # no resize needed: L* pixel by pixel
    np.testing.assert_allclose(painter.seen[0, 0], lab_of(photo)[..., 0] / 100, atol=1e-4)


def test_a_large_photo_is_shrunk_without_aliasing_and_within_range():
    stripes = np.zeros((640, 640), np.uint8)
    stripes[:, 4::10] = 255  # finer than the network's pixels: an even dark gray is left of them
    painter = Painter()
    colorize(stripes, painter, size=64)
    assert painter.seen.shape == (1, 1, 64, 64)
    assert (painter.seen - 0.1).abs().max() < 0.02
    checks = np.kron(np.indices((8, 8)).sum(axis=0) % 2, np.ones((80, 80))).astype(np.uint8) * 255
    colorize(checks, painter, size=64)
    assert painter.seen.min() == 0 and painter.seen.max() == 1  # no overshoot at the edges


def test_colors_of_the_photo_play_no_part():
    photo = Image.fromarray(data.chelsea())
    gray = colorize(photo, Painter(), size=64)  # ab = 0: its L* as a picture
    painter = Painter()
    colorize(photo, painter, size=64)
    from_color = painter.seen
    colorize(gray, painter, size=64)
    assert (painter.seen - from_color).abs().max() < 0.003  # half a level of 8 bits


def test_gray_is_looked_up_as_it_would_be_converted():
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    L = module._lightness(Image.fromarray(ramp).convert("RGB"))
    np.testing.assert_allclose(
        L[0, 0] * 100, color.rgb2lab(np.dstack([ramp] * 3))[..., 0], atol=1e-3
    )


# what comes out


def test_without_chroma_a_gray_picture_stays_as_it_is():
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16).repeat(3, axis=0)
    colored = np.asarray(colorize(ramp, Painter(), size=32))
    assert np.abs(colored.astype(int) - ramp[..., None]).max() <= 1


def test_lightness_is_that_of_the_photo_at_full_size():
    photo = Image.fromarray(data.coffee())
    gray = colorize(photo, Painter(), size=32)
    assert np.abs(lab_of(gray)[..., 0] - lab_of(photo)[..., 0]).max() < 0.5
    assert np.ptp(np.asarray(gray).astype(int), axis=2).max() <= 1  # gray, but for rounding


def test_chroma_is_that_of_the_network():
    colored = colorize(mid_gray(60, 90), Painter((20 / 110, -15 / 110)), size=32)
    lab = lab_of(colored)
    assert np.abs(lab[..., 1] - 20).max() < 1.2 and abs(lab[..., 1].mean() - 20) < 0.1
    assert np.abs(lab[..., 2] + 15).max() < 1.2 and abs(lab[..., 2].mean() + 15) < 0.1


def test_colors_beyond_srgb_are_clipped():
    colored = np.asarray(colorize(Image.new("L", (20, 20), 128), Painter((1.0, 1.0)), size=16))
    assert (colored == colored[0, 0]).all()
    assert colored[0, 0, 0] == 255 and colored[0, 0, 2] == 0


@pytest.mark.parametrize("shape", [(97, 133), (64, 96), (20, 30)], ids=["up", "same", "down"])
def test_chroma_is_enlarged_bilinearly(shape):
    gray = mid_gray(*shape)
    ab = rough_ab(64, 96)
    colored = colorize(gray, Painter(ab), size=64)
    full_ab = functional.interpolate(ab[None], shape, mode="bilinear", antialias=True)
    lab = np.dstack([lab_of(gray.convert("RGB"))[..., 0], *(full_ab[0].numpy() * 110)])
    expected = np.rint(color.lab2rgb(lab) * 255)
    assert np.abs(np.asarray(colored) - expected).max() <= 1


def test_strips_leave_no_seam_and_no_float_picture_is_made_in_full(monkeypatch):
    photo, painter = Image.fromarray(data.astronaut()), Painter(rough_ab(64, 64))
    whole = colorize(photo, painter, size=64)
    largest = 0
    convert = module.L_ab_to_rgb

    def watch(L, ab):
        nonlocal largest
        largest = max(largest, L.numel())
        return convert(L, ab)

    monkeypatch.setattr(module, "L_ab_to_rgb", watch)
    monkeypatch.setattr(decode, "STRIP_PIXELS", 7 * 512 + 3)
    in_strips = colorize(photo, painter, size=64)
    assert largest == 7 * 512
    np.testing.assert_array_equal(in_strips, whole)
    monkeypatch.setattr(decode, "STRIP_PIXELS", 1)  # narrower than a row: a row at a time
    np.testing.assert_array_equal(colorize(photo, painter, size=64), whole)


MEASURE = """
import sys
from contextlib import suppress
from pathlib import Path
import numpy as np
from PIL import Image
from colorlib.coloring import colorize, save_photo

def measured(name):
    return int(Path("/proc/self/status").read_text().split(name + ":")[1].split()[0]) * 1024

path, out, format = sys.argv[1:]
no_color = lambda L: L.new_zeros(1, 2, *L.shape[-2:])
colorize(np.zeros((64, 64), np.uint8), no_color)  # what torch takes once
before = measured("VmRSS")
with suppress(OSError):
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of the imports
save_photo(out, colorize(path, no_color), format)
print((measured("VmHWM") - before) / 20e6)
"""


@pytest.mark.parametrize("mode, format", [("L", "png"), ("RGB", "jpeg")])
def test_at_most_12_bytes_of_memory_per_pixel(mode, format, tmp_path):
    if not Path("/proc/self/status").exists():
        pytest.skip("this system does not tell how much memory is needed")
    gray = np.arange(5000, dtype=np.uint16).astype(np.uint8)[None].repeat(4000, axis=0)
    exif = Image.Exif()
    exif[0x0112] = 6
    scan = Image.fromarray(gray).convert(mode)
    scan.save(tmp_path / f"scan.{format}", compress_level=1, exif=exif)
    order = [str(tmp_path / f"scan.{format}"), str(tmp_path / "out"), format]
    command = [sys.executable, "-c", MEASURE, *order]
    peak = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(f"{peak:.1f} bytes per pixel")
    assert peak <= 12


# the generator is left as it was


class Normalizer(Painter):
    """A stand-in with batch norm, which behaves otherwise in training."""

    def __init__(self):
        super().__init__((0.1, 0.1))
        self.norm = nn.BatchNorm2d(1)

    def forward(self, L):
        if self.training or torch.is_grad_enabled():
            raise AssertionError("in training mode, or keeping what only gradients need")
        return super().forward(self.norm(L))


@pytest.mark.parametrize("is_training", [True, False])
def test_the_generator_works_in_eval_mode_and_returns_to_its_own(is_training):
    generator = Normalizer().train(is_training)
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    colorize(mid_gray(20, 20), generator, size=16)
    assert generator.training == generator.norm.training == is_training
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())
    assert all(parameter.grad is None for parameter in generator.parameters())


def test_the_mode_returns_after_an_error_too():
    class Broken(Painter):
        def forward(self, L):
            raise RuntimeError("no")

    generator = Broken().train()
    with pytest.raises(RuntimeError):
        colorize(mid_gray(20, 20), generator, size=16)
    assert generator.training


def test_any_callable_and_any_precision_will_do():
    gray = mid_gray(20, 30)
    expected = colorize(gray, Painter((0.25, 0.125)), size=16)
    painter = Painter((0.25, 0.125)).double()
    np.testing.assert_array_equal(colorize(gray, painter, size=16), expected)
    assert painter.seen.dtype == torch.float64
    plain = colorize(gray, lambda L: torch.tensor([0.25, 0.125]).view(1, 2, 1, 1), size=16)
    np.testing.assert_array_equal(plain, expected)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_on_a_gpu_the_picture_is_the_same():
    painter = Painter(rough_ab(64, 64))
    photo = io.BytesIO()
    Image.fromarray(data.astronaut()).save(photo, "PNG")
    on_cpu = colorize(Image.open(photo), painter, size=64)
    on_gpu = colorize(Image.open(photo), painter.cuda(), size=64)
    assert painter.seen.is_cuda
    np.testing.assert_array_equal(on_gpu, on_cpu)
