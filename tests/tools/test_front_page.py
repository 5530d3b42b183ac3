"""The READMEs: short, generated where there are numbers, and true to the measured results."""

import re
from statistics import mean

import pytest
from PIL import Image

from lessonkit import course_results
from tools import ROOT, front_page
from tools.front_page import README, README_ZH, hero, results_rows

MOST_WORDS = 700
RESULTS = (ROOT / "site" / "pages" / "results.md").read_text("utf-8")


def words(page):
    text = page.read_text("utf-8")
    text = re.sub(r"<!-- badges -->.*?<!-- /badges -->", "", text, flags=re.DOTALL)  # of a fork
    text = re.sub(r"<!--.*?-->|\]\([^)]*\)", " ", text)
    return len(re.findall(r"[A-Za-z][\w'’-]*", text))


def test_the_readme_is_short():
    assert words(README) <= MOST_WORDS


@pytest.mark.parametrize("page, language", [(README, 0), (README_ZH, 1)])
def test_the_rows_of_results_are_fresh(page, language):
    rows = results_rows(course_results("photo_weights"), language)
    assert f"<!-- results -->\n{rows}\n<!-- /results -->" in page.read_text("utf-8"), (
        "run: python -m tools.front_page"
    )


def test_the_rows_name_baselines_rival_and_real_photos():
    numbers = {"ciede2000": 1.25, "lpips": 0.5, "colorfulness": 2.0, "colorfulness_real": 40.0}
    rows = dict.fromkeys(front_page.ROWS, numbers | {"photos": 1234})
    made = results_rows({"sets": {"all": rows}}).splitlines()
    assert len(made) == 2 + len(rows) + 1
    assert (
        made[0].startswith("| on 1,234 photos") and made[-1] == "| the real photos | 0 | 0 | 40 |"
    )
    assert made[2] == "| gray: no color at all | 1.2 | 0.500 | 2 |"


def test_the_hero_shows_gray_beside_color():
    made = hero(lambda photo: Image.new("RGB", photo.size, "red"))
    assert made.width == front_page.WIDTH
    side = (front_page.WIDTH - 3 * front_page.GAP) // 4
    gray, colored = (
        made.getpixel((side // 2 + at, side // 2)) for at in (0, side + front_page.GAP)
    )
    assert len(set(gray)) == 1 and colored == (255, 0, 0)


def test_both_readmes_have_the_same_parts():
    counts = [page.read_text("utf-8").count("\n## ") for page in (README, README_ZH)]
    assert counts[0] == 7 and counts[1] == 7
    for page in (README, README_ZH):
        text = page.read_text("utf-8")
        for part in ("badges", "lessons", "results"):
            assert f"<!-- {part} -->" in text and f"<!-- /{part} -->" in text


def test_what_the_results_page_says_of_the_recipes_is_what_was_measured():
    runs = course_results("scenes")["runs"]
    by = {
        name: [run for run in runs if run["recipe"] == name] for name in {r["recipe"] for r in runs}
    }

    def middle(recipe, metric):
        return mean(run[metric] for run in by[recipe])

    psnr = sorted(by, key=lambda name: -middle(name, "psnr_ab"))
    error = sorted(by, key=lambda name: middle(name, "ciede2000"))
    assert set(psnr[:2]) == {"l1", "l2"} and "`l2` and `l1` have the highest PSNR" in RESULTS
    assert error[:2] == ["l1", "lsgan"] and "`l1` is closest to the truth" in RESULTS
    level = [middle(name, "ciede2000") for name in ("l2", "warm", "wgan_gp")]
    assert "`l2`, `warm` and `wgan_gp` are roughly tied" in RESULTS
    assert max(level) - min(level) < 0.1
    assert max(by, key=lambda name: middle(name, "committed")) == "gan"
    for name in ("gan", "tutorial"):
        assert middle("l1", "psnr_ab") - middle(name, "psnr_ab") > 5
    cost = middle("l1", "psnr_ab") - middle("warm", "psnr_ab")
    assert f"costs it {cost:.1f} dB on average" in RESULTS
    assert min(run["committed"] for run in by["warm"]) > 0.5
    assert max(middle(name, "committed") for name in ("lsgan", "wgan_gp")) < 0.2
