"""Figures: colors that everybody can tell apart, alternative text, pictures of every kind."""

import base64
import io
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import skimage.data
import torch
from matplotlib.colors import to_rgb
from PIL import Image
from skimage.color import rgb2lab

from colorlib.scenes import render_scenes
from lessonkit import course_file, diagrams, figures, writable

# Machado, Oliveira & Fernandes 2009, table 1, severity 1.0; they hold for linear RGB.
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
FOUR = [figures.REAL, figures.FAKE, figures.GENERATOR, figures.DISCRIMINATOR]


@pytest.fixture
def shown(monkeypatch):
    """What `show` has displayed, as (data, metadata)."""
    displayed = []
    monkeypatch.setattr(
        figures,
        "display",
        lambda data, raw, metadata: displayed.append((data, metadata)),
    )
    return displayed


def linear(rgb):
    rgb = np.asarray(rgb)
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def seen(color, blindness):
    """The Lab color that somebody sees."""
    light = (np.asarray(BLINDNESS[blindness]) @ linear(to_rgb(color))).clip(0, 1)
    rgb = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return rgb2lab(rgb)


@pytest.mark.parametrize("blindness", BLINDNESS)
@pytest.mark.parametrize("pair", list(combinations(FOUR, 2)), ids="-".join)
def test_the_four_colors_are_told_apart(pair, blindness):
    one, other = (seen(color, blindness) for color in pair)
    assert np.linalg.norm(one - other) > 30


@pytest.mark.parametrize("color", FOUR)
def test_colors_stand_out_from_white(color):
    luminance = linear(to_rgb(color)) @ [0.2126, 0.7152, 0.0722]
    assert 1.05 / (luminance + 0.05) >= 3


def test_lines_differ_without_color():
    for part in ("linestyle", "marker"):
        assert len({line[part] for line in figures.LINE.values()}) == 4


def test_style_is_legible_from_the_back_row():
    with plt.rc_context():
        figures.use_style()
        figure, axes = plt.subplots()
        axes.legend([plt.Line2D([], [])], ["a line"], title="legend")
        texts = figure.findobj(plt.Text)
        assert min(text.get_fontsize() for text in texts) >= 12
        plt.close(figure)


def test_show_gives_a_closed_figure_with_alternative_text(shown):
    figure, axes = plt.subplots()
    axes.plot([0, 1])
    figures.show(figure, "a rising line")
    ((data, metadata),) = shown
    assert metadata == {"image/png": {"alt": "a rising line"}}
    assert Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).format == "PNG"
    assert not plt.fignum_exists(figure.number)


def test_a_drawing_gets_a_palette_that_nobody_sees():
    figure, axes = plt.subplots()
    axes.plot([0, 1])
    drawing = figures.render(figure)
    reduced = figures.few_colors(drawing)
    assert reduced.mode == "P"
    difference = np.asarray(drawing, int) - np.asarray(reduced.convert("RGB"), int)
    assert np.percentile(abs(difference), 99) <= 4
    assert len(figures.encode(reduced)) < 0.6 * len(figures.encode(drawing))


def test_a_photo_keeps_its_colors():
    photo = Image.fromarray(skimage.data.astronaut())
    assert figures.few_colors(photo) is photo


def test_a_wide_margin_excuses_no_bad_colors():
    small = Image.fromarray(skimage.data.astronaut()).resize((64, 64))
    page = Image.new("RGB", (1000, 1000), "white")
    page.paste(small)
    assert figures.few_colors(page) is page
    assert figures.few_colors(Image.new("RGB", (9, 9), "white")).mode == "P"


def test_large_pictures_become_jpeg(shown):
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    figures.show(Image.fromarray(noise), "noise")
    ((data, metadata),) = shown
    assert metadata == {"image/jpeg": {"alt": "noise"}}
    assert Image.open(io.BytesIO(base64.b64decode(data["image/jpeg"]))).format == "JPEG"


def test_show_wants_alternative_text():
    with pytest.raises(ValueError, match="alt"):
        figures.show(Image.new("RGB", (2, 2)), " ")


@pytest.mark.parametrize(
    "picture",
    [
        torch.full((3, 4, 5), 255, dtype=torch.uint8),
        torch.ones(3, 4, 5, requires_grad=True),
        torch.ones(1, 4, 5),
        torch.ones(4, 5, dtype=torch.bool),
        np.ones((4, 5, 3)),
        np.full((4, 5), 255, np.uint8),
        Image.new("RGB", (5, 4), "white"),
        Image.new("L", (5, 4), 255),
    ],
    ids=lambda picture: f"{type(picture).__name__}{getattr(picture, 'shape', '')}",
)
def test_pictures_of_every_kind(picture):
    array = figures.to_picture(picture)
    assert array.shape in [(4, 5), (4, 5, 3)]
    assert (array == 1).all()


def test_pictures_refused():
    with pytest.raises(ValueError, match="scale or clip"):
        figures.to_picture(torch.full((3, 2, 2), 100.0))
    with pytest.raises(ValueError, match=r"\(2, 4, 5\)"):
        figures.to_picture(torch.ones(2, 4, 5))


def test_show_pictures(shown):
    scenes = render_scenes(3)
    figures.show_pictures(scenes.rgb, ["one", "two", "three"], "three scenes", columns=2)
    assert len(shown) == 1
    with pytest.raises(ValueError, match="3 pictures and 1 titles"):
        figures.show_pictures(scenes.rgb, ["one"], "three scenes")


def test_grid_has_a_title_and_a_picture_each():
    figure = figures.picture_grid([torch.ones(3, 4, 4)] * 3, ["a", "b", "c"], columns=2)
    assert [axes.get_title() for axes in figure.axes] == ["a", "b", "c", ""]
    assert [len(axes.images) for axes in figure.axes] == [1, 1, 1, 0]
    plt.close(figure)


@pytest.mark.parametrize("smooth, wanted", [(False, "nearest"), (True, "bicubic")])
def test_small_pictures_are_enlarged_as_squares_or_smoothly(smooth, wanted):
    with plt.rc_context():
        figures.use_style()
        figure = figures.picture_grid([torch.rand(3, 4, 4)], smooth=smooth)
    assert figure.axes[0].images[0].get_interpolation() == wanted
    plt.close(figure)


@pytest.mark.parametrize(
    "draw, words",
    [
        (diagrams.draw_unet, ["64 ch\n256²", "1024 ch\n16²", "L\n1 ch", "ab\n2 ch"]),
        (lambda: diagrams.draw_unet(32, 2, 64), ["32 ch\n64²", "128 ch\n16²"]),
        (diagrams.draw_players, ["painter\nG", "critic\nD"]),
        (
            diagrams.draw_loop,
            ["freeze G, train D\nreal → 1, fake → 0", "freeze D, train G\nfake → 1"],
        ),
    ],
    ids=["unet", "small unet", "players", "loop"],
)
def test_diagrams(draw, words):
    figure = draw()
    texts = figure.axes[0].texts
    assert set(words) <= {text.get_text() for text in texts}
    assert min(text.get_fontsize() for text in texts if text.get_text()) >= 10
    assert figures.render(figure).size[0] > 1000


def test_a_folder_to_write_in_is_found_where_the_course_is_read_only(tmp_path, capsys):
    assert writable(tmp_path / "runs" / "own") == tmp_path / "runs" / "own"
    assert not capsys.readouterr().out and not list((tmp_path / "runs" / "own").iterdir())
    (tmp_path / "file").touch()
    elsewhere = writable(tmp_path / "file" / "own")
    assert elsewhere.name == "own" and elsewhere.is_dir() and tmp_path not in elsewhere.parents
    assert f"Your files go to {elsewhere} instead" in capsys.readouterr().out


def test_course_file_is_found_from_below(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "README.md").write_text("data")
    (tmp_path / "build" / "student").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "build" / "student")
    assert course_file("data") == tmp_path / "data"
    with pytest.raises(FileNotFoundError, match="part of the course is missing"):
        course_file("data/none.safetensors")
