"""All recipes side by side: the same generator, the same scenes, the same seconds, three seeds.

    python -m colorlib.lesson.recipes

trains what is not there yet, writes `data/results/scenes.json`, and puts the table into README.md.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev

import torch
import tyro
from PIL import Image, ImageDraw, ImageFont
from tabulate import tabulate
from torch import Tensor
from torch.utils.data import Dataset

from colorlib.color import L_ab_to_rgb, rgb_to_L_ab
from colorlib.evaluate import COLUMNS, compare, evaluate_run, write_picture
from colorlib.files import environment, load_generator, read_config, read_history, write_json
from colorlib.lesson import ROOT, put_between
from colorlib.photos import open_data
from colorlib.recipes import RECIPES
from colorlib.train import train

METRICS = ("psnr_ab", "ciede2000", "colorfulness", "committed")
LEAN = {
    "generator": "StridedUNet",
    "generator_width": 32,
    "size": 64,
    "batch": 16,
    "is_flipped": True,
}


@dataclass
class Matrix:
    """Train every recipe on three seeds and write the table. What is done is not done again."""

    recipes: tuple[str, ...] = tuple(RECIPES)
    """Which recipes."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Which seeds."""
    seconds: float = 90.0
    """How long each run trains."""
    runs: Path = ROOT / "runs" / "recipes"
    """Where the runs' folders lie."""
    out: Path = ROOT / "data" / "results" / "scenes.json"
    """The file to write."""
    readme: Path = ROOT / "README.md"
    """The page whose table is renewed."""

    def run(self) -> None:
        """Train, test, write down."""
        train_data, test_data = open_data("scenes", size=LEAN["size"], seed=0)
        results = []
        for seed in self.seeds:
            for recipe in self.recipes:
                config = replace(RECIPES[recipe], **LEAN, seconds=self.seconds, seed=seed)
                folder = self.runs / f"{recipe}-{seed}"
                train(config, train_data, folder, samples=test_data.rgb[:8])
                if not (folder / "metrics.json").exists():
                    evaluate_run(folder, train_data, test_data)
                row = json.loads((folder / "metrics.json").read_text("utf-8"))["rows"]["generator"]
                last = read_history(folder / "history.csv")[-1]
                results.append({"recipe": recipe, "seed": seed, "steps": last["step"], **row})
                print(f"{recipe}, seed {seed}: {show(row)}")
        write_json(
            self.out,
            {
                "environment": environment(),
                "seconds": self.seconds,
                "config": read_config(folder / "config.json"),
                "baselines": compare({}, test_data, train_data),
                "runs": results,
            },
        )
        folders = {recipe: self.runs / f"{recipe}-{self.seeds[0]}" for recipe in self.recipes}
        sheet = comparison_sheet(folders, test_data)
        write_picture(self.out.with_suffix(".png"), sheet)
        put_between(self.readme, "recipes", recipes_table(json.loads(self.out.read_text("utf-8"))))


def show(row: dict) -> str:
    """A row of metrics in one line."""
    return ", ".join(f"{COLUMNS[name]} {row[name]:.2f}" for name in METRICS)


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


def comparison_sheet(folders: dict[str, Path], data: Dataset, count: int = 8) -> Image.Image:
    """The same test pictures by every recipe, a row each; gray first and the truth last.

    Args:
        folders: recipe -> the folder of its run.
        data: the test data.
        count: how many pictures.
    """
    rgb = torch.stack([data[i] for i in range(count)])
    L, real_ab = rgb_to_L_ab(rgb)
    rows = {"gray": L_ab_to_rgb(L, torch.zeros_like(real_ab))}
    for recipe, folder in folders.items():
        rows[recipe] = L_ab_to_rgb(L, load_generator(folder / "generator.safetensors")(L))
    rows["real"] = rgb / 255
    return draw_rows(rows)


def draw_rows(rows: dict[str, Tensor]) -> Image.Image:
    """Named rows of pictures, float rgb (N, 3, H, W), as one picture."""
    left, scale, gap = 110, 2, 4
    count, _, height, width = next(iter(rows.values())).shape
    cell = (scale * width + gap, scale * height + gap)
    sheet = Image.new("RGB", (left + count * cell[0], len(rows) * cell[1]), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(22)
    for row, (name, pictures) in enumerate(rows.items()):
        draw.text((4, (row + 0.5) * cell[1]), name, fill="black", font=font, anchor="lm")
        for column, picture in enumerate(pictures):
            image = Image.fromarray((picture * 255).round().byte().permute(1, 2, 0).numpy())
            enlarged = image.resize((scale * width, scale * height), Image.Resampling.NEAREST)
            sheet.paste(enlarged, (left + column * cell[0], row * cell[1]))
    return sheet


def spread(values: list[float]) -> str:
    """Mean ± standard deviation, or the value where there is but one."""
    return f"{mean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")


if __name__ == "__main__":
    tyro.cli(Matrix).run()
