"""What lesson 10 needs beside a training: leaks, times, the rival, labels."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from colorlib.color import rgb_to_L_ab
from colorlib.config import RECIPES
from colorlib.metrics import compare, evaluate, gray_baseline
from colorlib.photos import DecodedPhotos, PhotoFolder, open_data
from colorlib.scenes import render_scenes
from lessonkit.lesson_10 import photo_run


def decoded(rgb, prefix):
    return DecodedPhotos(rgb, [f"{prefix}{index}" for index in range(len(rgb))], [])


def pictures(count, seed=0):
    return decoded(render_scenes(count, size=32, seed=seed).rgb, "p")


# --- before the training ---


def test_the_handful_is_five_photos_and_the_hash_tears_the_burst_apart(tmp_path):
    folder = photo_run.make_handful(tmp_path / "handful")
    opened = PhotoFolder(folder, size=64)
    assert len(opened) == 5 and opened.left_out == []
    train, test = open_data(folder, size=64, seed=0)
    assert {photo_run.series(name) for name in test.names} == {"chelsea"}
    likeness, *pair = photo_run.twins(train, test)[0]
    assert sorted(pair) == ["chelsea_1.png", "chelsea_2.png"] and likeness > 0.8
    train_names, test_names = photo_run.split_by_series(opened.names)
    assert sorted(train_names + test_names) == sorted(opened.names)
    assert not {*map(photo_run.series, train_names)} & {*map(photo_run.series, test_names)}
    validation = photo_run.split_by_series(train_names, seed=1)[1]
    assert validation and len(validation) < len(train_names)


def test_a_split_by_series_is_that_of_the_names_where_each_is_its_own_series():
    names = [f"{letter}.jpg" for letter in "abcdefghijkl"]
    train, test = photo_run.split_by_series(names)
    assert len(test) == 2 and sorted(train + test) == names
    assert set(photo_run.split_by_series(names[::-1])[1]) == set(test)


def test_twins_find_the_brighter_copy_and_do_not_see_twins_in_noise():
    rgb = torch.randint(40, 200, (6, 3, 64, 64), dtype=torch.uint8)
    rgb = torch.nn.functional.interpolate(rgb[..., :8, :8].float(), 64).byte()  # large patches
    brighter = (rgb[4:5].float() * 1.1 + 5).byte()
    found = photo_run.twins(
        decoded(rgb, "train"), decoded(torch.cat([brighter, 255 - rgb[:1]]), "t")
    )
    assert found[0][1:] == ("t0", "train4") and found[0][0] > 0.99
    assert found[1][0] < 0.7


def test_drive_is_not_asked_for_elsewhere(tmp_path):
    assert photo_run.mount_drive(tmp_path, Path("runs", "x"), "handful") is False


def test_drive_is_mounted_once_where_a_path_needs_it(tmp_path, monkeypatch):
    import sys
    from types import SimpleNamespace

    mounted = []

    def mount(place):
        mounted.append(place)
        Path(place, "MyDrive").mkdir(parents=True)

    drive = tmp_path / "drive"
    monkeypatch.setattr(photo_run, "DRIVE", drive)
    monkeypatch.setitem(sys.modules, "google", SimpleNamespace())
    colab = SimpleNamespace(drive=SimpleNamespace(mount=mount))
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    for _ in range(2):
        assert photo_run.mount_drive("data", drive / "MyDrive" / "run")
    assert mounted == [str(drive)]


def test_a_recipe_for_photos_changes_what_it_should_and_tutorial_stays_as_published():
    common = {"data": "x", "size": 64, "seed": 3, "epochs": 2}
    warm = photo_run.photo_config("warm", width=8, zoom=1.5, weight_decay=0.1, batch=4, **common)
    assert (warm.generator_width, warm.zoom, warm.weight_decay, warm.batch) == (8, 1.5, 0.1, 4)
    assert (warm.data, warm.size, warm.seed, warm.epochs, warm.fit) == ("x", 64, 3, 2, "crop")
    old = photo_run.photo_config("tutorial", width=8, zoom=1.5, weight_decay=0.1, **common)
    published = RECIPES["tutorial"]
    for field in ("generator", "generator_width", "zoom", "weight_decay", "batch", "flip"):
        assert getattr(old, field) == getattr(published, field)
    assert (old.size, old.epochs, old.fit) == (64, 2, "crop")
    with pytest.raises(ValueError, match="no recipe 'pix'; there are tutorial"):
        photo_run.photo_config("pix")


def test_a_step_is_timed_and_hours_are_steps_times_that():
    config = photo_run.photo_config("warm", size=32, width=4, batch=2)
    assert photo_run.step_seconds(config, torch.device("cpu"), steps=1) > 0
    assert photo_run.training_hours(10, 3, 4, 1200.0) == 3.0  # 3 epochs of 3 steps of a third


# --- after it ---


class Tint(nn.Module):
    """Paints everything in one color."""

    def __init__(self, ab):
        super().__init__()
        self.ab = nn.Parameter(torch.tensor(ab))

    def forward(self, L):
        return self.ab[:, None, None].expand(len(L), 2, *L.shape[2:])


def test_louder_is_the_generator_times_the_constant():
    L = torch.rand(2, 1, 16, 16)
    tint = Tint([0.1, -0.2])
    assert torch.equal(photo_run.Louder(tint, 3.0)(L), 3 * tint(L))


def test_colors_are_painted_in_parts_as_at_once():
    rgb = render_scenes(photo_run.AT_ONCE + 3, size=32).rgb
    L, ab = photo_run.paint(Tint([0.1, 0.2]), rgb)
    assert torch.equal(L, rgb_to_L_ab(rgb)[0])
    assert ab.shape == (len(rgb), 2, 32, 32) and not ab.requires_grad


def test_the_rivals_curve_is_what_the_metrics_say_of_each_constant():
    photos, tint = pictures(4), Tint([0.1, 0.2])
    painted = photo_run.colorfulness_by_factor(tint, photos)
    assert list(painted) == list(photo_run.FACTORS) and painted[1.0] < painted[2.0]
    rows = photo_run.rival_curve(tint, photos, every=10)
    assert [row["factor"] for row in rows] == [1.0, 2.0, 3.0]
    for row in rows:
        wanted = evaluate(photo_run.Louder(tint, row["factor"]), photos)
        for metric in ("colorfulness", "psnr_ab", "ciede2000"):
            assert row[metric] == pytest.approx(wanted[metric], rel=1e-4)
        assert painted[row["factor"]] == pytest.approx(row["colorfulness"], rel=1e-4)


def test_rows_are_those_of_compare_with_an_interval():
    train, test = pictures(6), pictures(5, seed=1)
    rows = photo_run.measured_rows({"tint": Tint([0.1, 0.2])}, train, test)
    for name, row in compare({"tint": Tint([0.1, 0.2])}, test, train).items():
        for metric in ("psnr_ab", "ciede2000", "colorfulness"):
            assert rows[name][metric] == pytest.approx(row[metric])
    errors = [evaluate(gray_baseline, test.rgb[i : i + 1])["ciede2000"] for i in range(5)]
    interval = 1.96 * torch.tensor(errors).std().item() / 5**0.5
    assert rows["gray"]["ciede2000_interval"] == pytest.approx(interval, rel=1e-4)
    json.dumps(rows, allow_nan=False)
    assert "ciede2000_interval" not in photo_run.measured_rows({}, train, pictures(1))["gray"]


def test_a_label_is_added_below_and_the_picture_stays():
    picture = Image.new("RGB", (240, 120), "red")
    labeled = photo_run.label_invented(picture, "invented")
    assert labeled.width == 240 and labeled.height > 120
    assert labeled.crop((0, 0, 240, 120)).tobytes() == picture.tobytes()
    assert len(labeled.crop((0, 120, 240, labeled.height)).getcolors()) > 1, "no words"


def test_a_long_label_fits_in_the_width():
    labeled = photo_run.label_invented(Image.new("RGB", (240, 120), "white"), 20 * "wide ")
    margin = labeled.crop((236, 120, 240, labeled.height))
    assert margin.getcolors() == [(margin.width * margin.height, (255, 255, 255))]
