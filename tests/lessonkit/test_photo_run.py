"""What lesson 10 needs besides a training: an example folder, near-copies, labels, figures."""

from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import pytest
import torch
from PIL import Image

from colorlib.photos import DecodedPhotos, PhotoFolder, count_reasons, open_data
from lessonkit.lesson_10 import photo_run, results


def decoded(rgb, prefix):
    return DecodedPhotos(rgb, [f"{prefix}{index}" for index in range(len(rgb))], [])


# --- before the training ---


def test_the_example_has_its_surprises_and_the_split_by_name_tears_the_burst_apart(tmp_path):
    folder = photo_run.make_example(tmp_path / "example")
    opened = PhotoFolder(folder, size=64)
    assert len(opened) == 120
    assert set(count_reasons(opened.left_out).values()) == {1} and len(opened.left_out) == 4
    train, test = open_data(folder, size=64, seed=0)
    similarity, *pair = photo_run.twins(train, test)[0]
    assert sorted(pair) == ["chelsea_2.png", "chelsea_3.png"] and similarity > 0.8
    train_names, test_names = photo_run.split_by_series(opened.names)
    assert sorted(train_names + test_names) == sorted(opened.names)
    assert not {*map(photo_run.series, train_names)} & {*map(photo_run.series, test_names)}


def test_a_split_by_series_is_a_split_by_name_if_each_photo_is_its_own_series():
    names = [f"{letter}.jpg" for letter in "abcdefghijkl"]
    train, test = photo_run.split_by_series(names)
    assert len(test) == 2 and sorted(train + test) == names
    assert set(photo_run.split_by_series(names[::-1])[1]) == set(test)


def test_twins_find_the_brighter_copy_and_see_no_twins_in_noise():
    rgb = torch.randint(40, 200, (6, 3, 64, 64), dtype=torch.uint8)
    rgb = torch.nn.functional.interpolate(rgb[..., :8, :8].float(), 64).byte()  # large patches
    brighter = (rgb[4:5].float() * 1.1 + 5).byte()
    found = photo_run.twins(
        decoded(rgb, "train"), decoded(torch.cat([brighter, 255 - rgb[:1]]), "t")
    )
    assert found[0][1:] == ("t0", "train4") and found[0][0] > 0.99
    assert found[1][0] < 0.7


def test_drive_is_not_asked_for_elsewhere(tmp_path):
    assert photo_run.mount_drive(tmp_path, Path("runs", "x"), "example") is False


def test_drive_is_mounted_once_if_a_path_needs_it(tmp_path, monkeypatch):
    import sys

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


def test_hours_are_steps_times_seconds_and_a_smaller_last_batch_is_a_step():
    assert photo_run.training_hours(10, 3, 4, 1200.0) == 3.0  # 3 epochs of 3 steps of a third


# --- the recorded run ---


@pytest.fixture
def told(tmp_path, monkeypatch):
    """A recorded run of two looks: the sheet has a gray row, a red, a green and a blue one."""
    sheet = Image.new("RGB", (40, 40))
    for row, color in enumerate(("gray", "red", "lime", "blue")):
        sheet.paste(color, (0, 10 * row, 40, 10 * row + 10))
    (tmp_path / "data" / "results").mkdir(parents=True)
    (tmp_path / "data" / "README.md").touch()
    sheet.save(tmp_path / "data" / "results" / "photo_run.jpg", "PNG")
    monkeypatch.chdir(tmp_path)
    rows = [
        {"start": start, "seed": seed, "step": step, "ciede2000": 10 + seed + 100 / step}
        for start in results.STARTS
        for seed in (0, 1)
        for step in (10, 20)
    ]
    looks = [{"step": step, "ciede2000": 11.0, "colorfulness": 18.0} for step in (5000, 10_000)]
    return {
        "released": 5000,
        "step": 10_000,
        "history": [{"step": step, "loss": 0.1} for step in (5000, 10_000)],
        "looks": looks,
        "samples": [5000, 10_000],
        "starts": {"lookup": {"ciede2000": 12.0}, "rows": rows},
    }


def test_a_look_shows_its_own_row_above_the_real_one(told):
    picture = results.draw_look(told, 1)
    assert picture.size == (40, 20)
    assert picture.getpixel((20, 5)) == (0, 255, 0) and picture.getpixel((20, 15)) == (0, 0, 255)


def test_the_starts_are_drawn_as_means_over_the_seeds(told):
    figure = results.draw_starts(told)
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    assert [*results.STARTS, "lookup by L"] == [*lines]
    assert lines["from scratch"].get_ydata() == pytest.approx([20.5, 15.5])
    plt.close(figure)


def test_the_run_marks_where_the_encoder_was_released(told):
    figure = results.draw_run(told)
    assert all(axes.get_lines()[-1].get_xdata()[0] == 5000 for axes in figure.axes)
    plt.close(figure)


def test_the_table_of_the_weights_has_intervals_and_the_real_photos():
    row = {name: 1.0 for name in results.DIGITS} | {f"{n}_interval": 0.5 for n in results.DIGITS}
    rows = {"gray": row | {"colorfulness_real": 44.0}, "L1": row}
    table = results.weights_table({"sets": {"all": rows}})
    assert "1.00 ± 0.50" in table and "1.000 ± 0.500" in table and "44.0" in table


# --- after it ---


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
