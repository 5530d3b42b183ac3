"""What the READMEs show and nobody types: the hero picture and the rows of results.

    python -m tools.front_page

Run it again when the weights or data/results/photo_weights.json have changed.
"""

from collections.abc import Callable

from PIL import Image, ImageOps
from skimage import data as skimage_data

from colorlib.coloring import colorize
from lessonkit import course_results
from tools import ROOT, put_between
from tools.photo_weights import BEFORE, LOOKUP, SHIPPED

HERO = ROOT / "data" / "results" / "hero.jpg"
SCENES = ROOT / "data" / "results" / "scenes.png"
README, README_ZH = ROOT / "README.md", ROOT / "README.zh.md"
WIDTH, GAP = 1200, 12  # pixels
PHOTOS = ("camera", "astronaut")  # of scikit-image: a gray one, and a color one made gray
ROWS = {  # name in the results -> what the READMEs call it
    "gray": ("gray: no color at all", "灰度图：完全不上色"),
    LOOKUP: ("lookup: one color per lightness", "查表：每个明度一种颜色"),
    BEFORE: ("the course's first network, without pretraining", "本课程最初的网络，没有预训练"),
    SHIPPED: ("the course's network", "本课程的网络"),
}
HEADS = (
    ("on {photos:,} photos kept out of training", "CIEDE2000 ↓", "LPIPS ↓", "colorfulness"),
    ("在 {photos:,} 张未参与训练的照片上", "CIEDE2000 ↓", "LPIPS ↓", "色彩丰富度"),
)
REAL = ("the real photos", "真实照片")


def main() -> None:
    """Renew the hero picture and the rows of results in both READMEs."""
    hero(colorize).save(HERO, quality=88)
    for page, language in ((README, 0), (README_ZH, 1)):
        put_between(page, "results", results_rows(course_results("photo_weights"), language))


def results_rows(results: dict, language: int = 0) -> str:
    """Make the short table of results on photos.

    Args:
        results: The content of photo_weights.json.
        language: 0 for English, 1 for Chinese.

    Returns:
        A Markdown table: baselines, the first network, the shipped one, the real photos.
    """
    rows = results["sets"]["all"]
    first, *others = HEADS[language]
    first = first.format(photos=rows[SHIPPED]["photos"])
    lines = [f"| {first} | {' | '.join(others)} |", "|---|---|---|---|"]
    for name, words in ROWS.items():
        row = rows[name]
        numbers = f"{row['ciede2000']:.1f} | {row['lpips']:.3f} | {row['colorfulness']:.0f}"
        lines.append(f"| {words[language]} | {numbers} |")
    real = rows[SHIPPED]["colorfulness_real"]
    return "\n".join([*lines, f"| {REAL[language]} | 0 | 0 | {real:.0f} |"])


def hero(color: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Compose the picture at the top of the README.

    Args:
        color: What turns a gray photo into a color photo of the same size.

    Returns:
        Two photos of scikit-image, each in gray and as the network colors it, above the painted
        scenes with their balloons.
    """
    side = (WIDTH - 3 * GAP) // 4
    tiles = []
    for name in PHOTOS:
        photo = Image.fromarray(getattr(skimage_data, name)())
        tiles += [photo.convert("L"), color(photo)]
    scenes = Image.open(SCENES).convert("RGB")
    scenes = scenes.resize((WIDTH, scenes.height * WIDTH // scenes.width), Image.Resampling.LANCZOS)
    sheet = Image.new("RGB", (WIDTH, side + GAP + scenes.height), "white")
    for column, tile in enumerate(tiles):
        square = ImageOps.fit(tile.convert("RGB"), (side, side), Image.Resampling.LANCZOS)
        sheet.paste(square, (column * (side + GAP), 0))
    sheet.paste(scenes, (0, side + GAP))
    return sheet


if __name__ == "__main__":
    main()
