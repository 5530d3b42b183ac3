"""The weights for photos: who learns from what, what is tested and how, what is shipped."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from skimage import data

from colorlib.generator import StridedUNet
from colorlib.metrics import evaluate, gray_baseline
from colorlib.photos import DecodedPhotos, read_split
from colorlib.runs import load_generator, read_card
from lessonkit.lesson_10.results import AHEAD, RIVAL, SHIPPED, draw_beside_rival, weights_table
from tools import photo_weights
from tools.photo_weights import (
    CONFIGS,
    FACTORS,
    PhotoWeights,
    draw_examples,
    join,
    loud_enough,
    rows_of,
    with_louder_end,
    without_twins,
)

LEAN = {"generator_width": 4, "discriminator_width": 4, "precision": "float32"}
SMALL = {name: replace(config, **LEAN, batch=4) for name, config in CONFIGS.items()}


def cut(folder, name, count):
    """Little photos, cut from a large one in two rows."""
    folder.mkdir()
    for index in range(count):
        top, left = divmod(index, count // 2)
        crop = getattr(data, name)()[80 + 80 * top :, 30 * left :][:64, :64]
        Image.fromarray(crop).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Trained for a moment on 24 photos of two folders, and 8 of a third."""
    folder = tmp_path_factory.mktemp("weights")
    folder.joinpath("README.md").write_text("<!-- photos -->\n<!-- /photos -->\n", "utf-8")
    photos = cut(folder / "cats", "chelsea", 12), cut(folder / "cups", "coffee", 12)
    made = PhotoWeights(
        photos,
        (cut(folder / "more", "astronaut", 8),),
        seconds=0.3,
        runs=folder / "runs",
        cache=None,
        out=folder / "data",
        readme=folder / "README.md",
    )
    with Image.open(photos[0] / "0.png") as cat:
        ImageOps.mirror(cat).save(folder / "more" / "mirrored.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(photo_weights, "CONFIGS", SMALL)
        patch.setattr("colorlib.metrics._has_lpips", lambda: False)
        made.run()
        trained = {path: path.stat().st_mtime_ns for path in made.runs.rglob("*.safetensors")}
        made.run()
    assert {path: path.stat().st_mtime_ns for path in trained} == trained, "trained again"
    return made


def test_each_folder_is_split_on_its_own_and_its_names_written_down(made):
    photos = made.open_photos()
    names = photos.test.names
    assert [name.split("/")[0] for name in names] == 2 * ["cats"] + 2 * ["cups"]
    assert read_split(made.out / "splits" / "photos.txt") == ([], names)
    assert len(photos.validation) == 1
    everyone = [*photos.learning.names, *photos.validation.names, *names]
    assert len(set(everyone)) == len(everyone)
    assert {name.split("/")[0] for name in photos.learning.names} == {"cats", "cups", "more"}
    left_out = photos.counts.pop("left out, like a photo held back")
    assert photos.counts == {"cats": 12, "cups": 12, "more": 9}
    assert len(everyone) + left_out == 33


def test_a_near_copy_of_a_photo_held_back_is_not_learned_from():
    cat = torch.from_numpy(data.chelsea()[:256, :256].copy()).permute(2, 0, 1)[None]
    cup = torch.from_numpy(data.coffee()[:256, :256].copy()).permute(2, 0, 1)[None]
    brighter = (1.05 * cat).clamp(max=255).byte()
    photos = DecodedPhotos(torch.cat([cat, brighter, cat.flip(-1), cup]), list("abcd"), [])
    assert without_twins(photos, DecodedPhotos(cat, ["e"], [])).names == ["d"]


def test_what_was_measured_is_written_down(made):
    results = json.loads((made.out / "results" / "photo_weights.json").read_text("utf-8"))
    assert list(results["sets"]) == ["all", "cats", "cups"]
    rows = results["sets"]["cups"]
    networks = ["warm", "l1", "tutorial", SHIPPED, RIVAL, AHEAD]
    assert list(rows) == ["gray", "mean color", "lookup by L", *networks]
    difference = rows[SHIPPED]["psnr_ab"] - rows[RIVAL]["psnr_ab"]
    assert rows[AHEAD]["psnr_ab"] == pytest.approx(difference, abs=1e-4)
    test = made.open_photos().test
    expected = evaluate(made.generator("warm"), test.pick(test.names[2:]))
    for name, value in expected.items():
        assert rows["warm"][name] == pytest.approx(value, rel=1e-5), name
    assert results["steps"].keys() == results["configs"].keys() == CONFIGS.keys()
    assert {config["seconds"] for config in results["configs"].values()} == {0.3}
    assert results["configs"]["warm"]["data"] == "cats + cups + more"
    lines = weights_table(results).splitlines()
    assert len(lines) == 2 + len(rows) + 1 and "LPIPS" not in lines[0]


def test_a_figure_shows_the_curve_and_who_is_to_be_compared_with_it(made):
    results = json.loads((made.out / "results" / "photo_weights.json").read_text("utf-8"))
    figure = draw_beside_rival(results)
    for axes, metric in zip(figure.axes, ("psnr_ab", "ciede2000"), strict=True):
        lines = {line.get_label(): line for line in axes.lines}
        curve = lines["l1 × 1.0 … 3.0"].get_ydata()
        assert curve.tolist() == [row[metric] for row in results["curve"]]
        place = lines[SHIPPED].get_xydata()[0].tolist()
        shipped = results["sets"]["all"][SHIPPED]
        assert place == [shipped["colorfulness"], shipped[metric]]
    assert figure.axes[1].yaxis_inverted()


def test_the_readme_says_what_was_measured_and_how(made):
    results = json.loads((made.out / "results" / "photo_weights.json").read_text("utf-8"))
    page = made.readme.read_text("utf-8")
    for chosen in ("all", "cats", "cups"):
        assert weights_table(results, chosen) in page
    assert page.count("<details>") == page.count("</details>") == 2
    learned = len(made.open_photos().learning)
    assert f"the same {learned} photos of 64×64 pixels for 0.3 seconds" in page
    assert f"{results['steps']['l1']} steps (`l1`)" in page
    assert "tested on 4 others" in page and f"× {results['k'][SHIPPED]:.2f};" in page


def test_examples_are_shown_gray_as_each_has_colored_them_and_real(made):
    with Image.open(made.out / "results" / "photo_weights.png") as picture:
        assert picture.height == 6 * 164  # gray, four networks, real
    sheet = draw_examples({"gray again": gray_baseline})
    left = sheet.width - 3 * 164
    cells = np.asarray(sheet)[:, left:].reshape(3, 164, 3, 164, 3)[:, :160, :, :160]
    np.testing.assert_array_equal(cells[0], cells[1])
    assert np.ptp(cells[0].astype(int), axis=-1).max() <= 1, "gray is not gray"
    for column, name in enumerate(("astronaut", "chelsea", "coffee")):
        real = ImageOps.fit(Image.fromarray(getattr(data, name)()), (160, 160))
        np.testing.assert_array_equal(cells[2, :, column], real)


def test_intervals_are_those_of_the_photos_that_are_meant():
    values = {"gray": {"ciede2000": torch.tensor([1.0, 5.0, 2.0, 4.0])}}
    mask = torch.tensor([True, False, True, True])
    row = rows_of(values, mask)["gray"]
    assert (row["ciede2000"], row["photos"]) == (pytest.approx(7 / 3), 3)
    half = 1.96 * np.std([1, 2, 4], ddof=1) / 3**0.5
    assert row["ciede2000_interval"] == pytest.approx(half)


def test_the_shipped_weights_are_the_trained_ones_and_say_what_they_are(made):
    path = made.out / "weights" / "photos.safetensors"
    results = json.loads((made.out / "results" / "photo_weights.json").read_text("utf-8"))
    k = results["k"][SHIPPED]
    shipped, trained = load_generator(path).state_dict(), made.generator("warm").state_dict()
    for name, value in trained.items():
        louder = k * value if name.startswith("last.") else value
        torch.testing.assert_close(shipped[name], louder, msg=name)
    card = json.loads(path.with_suffix(".json").read_text("utf-8"))
    assert card.items() <= read_card(path).items()
    assert "12 cats, 12 cups, 9 more" in card["data"] and "on 4 test photos" in card["metrics"]


def test_a_louder_end_multiplies_what_goes_into_tanh():
    torch.manual_seed(0)
    generator, L = StridedUNet(4).eval(), torch.rand(2, 1, 32, 32)
    louder = with_louder_end(generator, 2.5)
    ab = generator(L)
    torch.testing.assert_close(louder(L), torch.tanh(2.5 * torch.atanh(ab)))
    torch.testing.assert_close(generator(L), ab)


def test_the_smallest_factor_that_is_loud_enough_is_taken():
    cat = torch.from_numpy(data.chelsea()[:256, :256].copy()).permute(2, 0, 1)[None]
    photos = DecodedPhotos(cat, ["cat"], [])
    torch.manual_seed(0)
    generator = StridedUNet(4).eval()
    own = evaluate(generator, photos)
    share = 1.4 * own["colorfulness"] / own["colorfulness_real"]
    factor = loud_enough(generator, photos, share)
    before = FACTORS[FACTORS.index(factor) - 1]
    loud, less = (evaluate(with_louder_end(generator, k), photos) for k in (factor, before))
    assert less["colorfulness"] < share * own["colorfulness_real"] <= loud["colorfulness"]
    assert loud_enough(generator, photos, 0.0) == 0.5
    assert loud_enough(generator, photos, 99.0) == 3.0


def test_sets_are_joined_in_their_order():
    one, two = (DecodedPhotos(torch.full((2, 3, 4, 4), n), [f"{n}a", f"{n}b"], []) for n in (1, 2))
    assert join([one, two]).names == ["1a", "1b", "2a", "2b"]
    assert join([one, two]).rgb[:, 0, 0, 0].tolist() == [1, 1, 2, 2]
