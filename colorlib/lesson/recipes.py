"""All recipes side by side: the same generator, the same scenes, the same seconds, three seeds.

    python -m colorlib.lesson.recipes

trains what is not there yet, writes `data/results/`, and puts the table into README.md.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev

import tyro
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont
from tabulate import tabulate
from torch import Tensor, nn

from colorlib.evaluate import (
    COLUMNS,
    colorfulness,
    compare,
    evaluate_run,
    gray_baseline,
    to_image,
    write_picture,
)
from colorlib.files import load_generator, read_history, save_generator, write_json
from colorlib.lesson import ROOT, brown, put_between
from colorlib.photos import open_data
from colorlib.recipes import RECIPES
from colorlib.scenes import SceneDataset
from colorlib.train import train

METRICS = ("psnr_ab", "ciede2000", "colorfulness", "committed")
LEAN = {
    "generator": "StridedUNet",
    "generator_width": 32,
    "size": 64,
    "batch": 16,
    "is_flipped": True,
}
VALIDATION_SEED = 2_000_000  # of scenes that are neither trained nor tested on


@dataclass
class Matrix:
    """Train every recipe on three seeds and write the table. What is done is not done again."""

    recipes: tuple[str, ...] = tuple(RECIPES)
    """Which recipes."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Which seeds."""
    lambdas: tuple[float, ...] = (0.0, 15.0, 240.0, 960.0)
    """`warm` is also trained with these weights of its reconstruction, on two seeds."""
    seconds: float = 96.0
    """How long each run trains."""
    runs: Path = ROOT / "runs" / "recipes"
    """Where the runs' folders lie."""
    out: Path = ROOT / "data" / "results"
    """The folder to write to: scenes.json, scenes.png, recipes.png, scenes/, brown.json."""
    weights: Path = ROOT / "data" / "weights"
    """The folder for the weights that the course ships."""
    readme: Path = ROOT / "README.md"
    """The page whose table is renewed."""

    def run(self) -> None:
        """Train, test, write down."""
        data = open_data("scenes", size=LEAN["size"], seed=0)
        results = [
            {"recipe": recipe, "seed": seed} | self.learn(f"{recipe}-{seed}", recipe, data, seed)
            for seed in self.seeds
            for recipe in self.recipes
        ]
        record = json.loads((self.runs / f"l1-{self.seeds[0]}" / "config.json").read_text("utf-8"))
        table = {
            "environment": record["environment"],
            "seconds": self.seconds,
            "config": record["config"],
            "baselines": compare({}, data[1], data[0]),
            "runs": results,
        }
        write_json(self.out / "scenes.json", table)
        put_between(self.readme, "recipes", f"{conditions(table)}\n\n{recipes_table(table)}")
        self.record_brown(data)
        self.ship(table)

    def learn(
        self, name: str, recipe: str, data: tuple, seed: int, **changes: float | None
    ) -> dict:
        """Make sure that a run is there, trained and tested; return its steps and metrics."""
        changes = {"seconds": self.seconds, "seed": seed} | changes
        config = replace(RECIPES[recipe], **LEAN, **changes)
        folder = self.runs / name
        train(config, data[0], folder, samples=data[1].rgb[:8])
        if not (folder / "metrics.json").exists():
            evaluate_run(folder, *data)
        row = json.loads((folder / "metrics.json").read_text("utf-8"))["rows"]["generator"]
        print(f"{name}: {show(row)}")
        return {"steps": read_history(folder / "history.csv")[-1]["step"], **row}

    def record_brown(self, data: tuple) -> None:
        """Write what lesson 08 needs: pictures, the balloons' chroma, other λ, the cheap rival."""
        training, test = data
        sweep = self.learn_other_lambdas(data)
        names = [f"{recipe}-{seed}" for seed in self.seeds for recipe in self.recipes]
        names += [f"lambda-{row['lambda']:g}-{row['seed']}" for row in sweep]
        shown = brown.large_balloons(test.labels, 8)
        rows, balloons = {"gray": brown.paint(gray_baseline, test.rgb)[shown]}, {}
        for name in names:
            rgb = brown.paint(self.generator(name), test.rgb)
            rows[name], balloons[name] = rgb[shown], brown.balloon_row(rgb, test)
        rows["real"], balloons["real"] = test.rgb[shown] / 255, brown.balloon_row(test.rgb, test)
        self.write_pictures(rows)
        validation = SceneDataset(len(test), LEAN["size"], VALIDATION_SEED)
        content = {
            "scenes": shown.tolist(),
            "balloons": balloons,
            "red_in_training": brown.balloon_row(training.rgb, training)["red"],
            "lambdas": sweep,
            "validation_colorfulness_real": colorfulness(validation.rgb).mean().item(),
            "factors": [
                {"seed": seed} | row
                for seed in self.seeds
                for row in brown.factor_rows(self.generator(f"l1-{seed}"), validation, test)
            ],
        }
        write_json(self.out / "brown.json", content)

    def learn_other_lambdas(self, data: tuple) -> list[dict]:
        """Train `warm` with other λ, for as many steps as it took with its own."""
        others = sorted(set(self.lambdas) - {RECIPES["warm"].lambda_reconstruction})
        sweep = []
        for seed in self.seeds[:2]:
            steps = read_history(self.runs / f"warm-{seed}" / "history.csv")[-1]["step"]
            budget = {"seconds": None, "steps": steps}
            for value in others:
                name = f"lambda-{value:g}-{seed}"
                row = self.learn(name, "warm", data, seed, lambda_reconstruction=value, **budget)
                sweep.append({"lambda": value, "seed": seed} | row)
        return sweep

    def write_pictures(self, rows: dict[str, Tensor]) -> None:
        """Write two sheets, of the default and of all recipes; and some rows on their own."""
        first = {recipe: f"{recipe}-{self.seeds[0]}" for recipe in self.recipes}
        others = ("gray", "real", "warm-", "lambda-")  # more would be too large for a repository
        for name, rgb in rows.items():
            if name in first.values() or name.startswith(others):
                brown.write_row(self.out / "scenes" / f"{name}.jpg", rgb)
        titles = {"gray": "gray"} | first | {"real": "real"}
        sheet = {title: rows[name][:6] for title, name in titles.items()}
        write_picture(self.out / "recipes.png", draw_rows(sheet))
        titles = {"gray": "gray", "colored": first["warm"], "real": "real"}
        sheet = {title: rows[name] for title, name in titles.items()}
        write_picture(self.out / "scenes.png", draw_rows(sheet))

    def ship(self, table: dict) -> None:
        """Publish the default's first run: its weights, with a card that says what they are."""
        run = next(run for run in table["runs"] if run["recipe"] == "warm")
        card = {
            "data": "3,000 rendered scenes (colorlib.scenes); made by this project",
            "size": LEAN["size"],
            "recipe": "warm",
            "seed": run["seed"],
            "budget": f"{self.seconds:g} s, {run['steps']} steps; {where(table)}",
            "metrics": f"on 300 test scenes: {show(run)}",
            "license": "MIT",
        }
        path = self.weights / "scenes.safetensors"
        save_generator(path, self.generator(f"warm-{run['seed']}"), **card)

    def generator(self, name: str) -> nn.Module:
        """The trained generator of a run."""
        return load_generator(self.runs / name / "generator.safetensors")


def show(row: dict) -> str:
    """A row of metrics in one line."""
    return ", ".join(f"{COLUMNS[name]} {row[name]:.2f}" for name in METRICS)


def conditions(results: dict) -> str:
    """How the content of scenes.json was measured, in a sentence."""
    seeds = {run["seed"] for run in results["runs"]}
    return (
        f"Each run trained for {results['seconds']:g} seconds ({where(results)}); mean ± standard "
        f"deviation over {len(seeds)} seeds. “Committed” is the share of the balloons' pixels that "
        "are decidedly red or blue."
    )


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


if __name__ == "__main__":
    tyro.cli(Matrix).run()
