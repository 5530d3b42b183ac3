"""The folder of lesson 03 holds what it says, and colorlib copes with all of it."""

import numpy as np
import pytest
from PIL import Image

from colorlib.photos import PhotoFolder, read_photo
from lessonkit.lesson_03.messy_folder import IMAGES, MASKS, PHOTOS, STRANGE, make_messy_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_messy_folder(tmp_path_factory.mktemp("messy") / "photos", scenes=4)


def test_all_strange_things_are_there(folder):
    lying = {path.name for path in (folder / IMAGES).iterdir()}
    assert lying >= set(STRANGE)
    assert {path.name for path in (folder / MASKS).iterdir()} >= {"astronaut.png", "stray.jpg"}


def test_usable_are_the_photos_and_the_scenes(folder):
    photos = PhotoFolder(folder, size=64)
    wanted = [f"{name}.jpg" for name in PHOTOS]
    wanted += ["cutout.png", "more/scene_00.jpg", "scene_01.jpg", "scene_02.jpg"]
    assert sorted(photos.names) == sorted(f"{IMAGES}/{name}" for name in wanted)


def test_what_a_good_header_hides_is_found_by_decoding(folder):
    reasons = dict(PhotoFolder(folder, size=64).left_out)
    assert reasons[f"{IMAGES}/cut_off.jpg"].startswith("damaged or cut off")
    for name in (f"{IMAGES}/coins_scan.jpg", f"{MASKS}/stray.jpg"):
        assert reasons[name].startswith("gray"), name


def test_the_sideways_photo_is_upright_when_read_rightly(folder):
    stored = Image.open(folder / IMAGES / "chelsea.jpg")
    assert stored.height > stored.width
    upright = read_photo(folder / IMAGES / "chelsea.jpg")
    assert upright.width == 400 > upright.height
    from skimage import data

    wanted = Image.fromarray(data.chelsea()).resize(upright.size)
    assert np.abs(np.asarray(wanted).astype(int) - np.asarray(upright)).mean() < 12


def test_the_cutout_hides_green(folder):
    hidden = np.asarray(Image.open(folder / IMAGES / "cutout.png"))
    assert (hidden[hidden[..., 3] == 0][:, :3] == (0, 255, 0)).all()
    assert (hidden[..., 3] == 0).any() and (hidden[..., 3] == 255).any()


def test_a_folder_that_holds_something_is_refused(folder):
    with pytest.raises(FileExistsError, match="give a new folder"):
        make_messy_folder(folder)
