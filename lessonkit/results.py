"""The recorded results of long runs, as tables and figures."""

from statistics import mean, stdev

from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont
from tabulate import tabulate
from torch import Tensor

from colorlib.metrics import COLUMNS, to_image

METRICS = ("psnr_ab", "ciede2000", "colorfulness", "committed")


def where(results: dict) -> str:
    """The machine and the version behind the content of scenes.json."""
    facts = results["environment"]
    return f"{facts['device']}, {facts['system']}, torch {facts['torch']}"


def recipes_table(results: dict, style: str = "github") -> str:
    """The content of scenes.json as a table: baselines, then mean ± deviation over the seeds.

    Args:
        results: what `Matrix.run` has written.
        style: a table format of tabulate.
    """
    lines = [
        [name, *(f"{row[metric]:.2f}" for metric in METRICS), ""]
        for name, row in results["baselines"].items()
    ]
    for recipe in dict.fromkeys(run["recipe"] for run in results["runs"]):
        runs = [run for run in results["runs"] if run["recipe"] == recipe]
        cells = [spread([run[metric] for run in runs]) for metric in METRICS]
        lines.append([f"`{recipe}`", *cells, f"{mean(run['steps'] for run in runs):.0f}"])
    real = results["baselines"]["gray"]["colorfulness_real"]
    lines.append(["real", "", "", f"{real:.2f}", "1.00", ""])
    headers = ["", *(COLUMNS[metric] for metric in METRICS), "steps"]
    return tabulate(lines, headers, tablefmt=style, disable_numparse=True)


def draw_rows(rows: dict[str, Tensor], scale: int = 2) -> Image.Image:
    """Draw pictures in named rows.

    Args:
        rows: name -> pictures, float rgb (N, 3, H, W), of one shape.
        scale: how many times larger than they are.
    """
    left, gap = 110, 4
    count, _, height, width = next(iter(rows.values())).shape
    size = (scale * width, scale * height)
    across, down = size[0] + gap, size[1] + gap
    sheet = Image.new("RGB", (left + count * across, len(rows) * down), "white")
    # matplotlib's own font, which has Greek letters
    draw, font = ImageDraw.Draw(sheet), ImageFont.truetype(findfont("DejaVu Sans"), 20)
    for row, (name, pictures) in enumerate(rows.items()):
        draw.text((4, row * down + size[1] / 2), name, fill="black", font=font, anchor="lm")
        for column, picture in enumerate(pictures):
            enlarged = to_image(picture).resize(size, Image.Resampling.NEAREST)
            sheet.paste(enlarged, (left + column * across, row * down))
    return sheet


def spread(values: list[float]) -> str:
    """Mean ± standard deviation, or the value where there is but one."""
    return f"{mean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")
