"""All recipes of `colorlib.config` side by side: the same generator, scenes and seconds.

    python -m tools.compare_recipes

trains what is missing, with three seeds, writes `data/results/`, and puts the table into
site/pages/results.md.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import tyro
from torch import Tensor, nn

from colorlib.config import RECIPES
from colorlib.metrics import (
    COLUMNS,
    colorfulness,
    compare,
    evaluate_run,
    gray_baseline,
    write_picture,
)
from colorlib.photos import open_data
from colorlib.runs import load_generator, save_generator, write_json
from colorlib.scenes import SceneDataset
from colorlib.training import train
from lessonkit.lesson_08 import brown
from lessonkit.results import METRICS, draw_rows, recipes_table, where
from lessonkit.watch import read_history
from tools import ROOT, put_between

LEAN = {
    "generator": "StridedUNet",
    "generator_width": 32,
    "size": 64,
    "batch": 16,
    "flip": True,
}
VALIDATION_SEED = 2_000_000  # of scenes that are neither trained nor tested on


@dataclass
class Matrix:
    """Train every recipe on three seeds and write the table. Finished runs are not repeated."""

    recipes: tuple[str, ...] = tuple(RECIPES)
    """Which recipes."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Which seeds."""
    lambdas: tuple[float, ...] = (0.0, 15.0, 240.0, 960.0)
    """`warm` is also trained with these weights of its reconstruction, on two seeds."""
    seconds: float = 96.0
    """How long each run trains."""
    runs: Path = ROOT / "runs" / "recipes"
    """The folder of the runs."""
    out: Path = ROOT / "data" / "results"
    """The folder to write to: scenes.json, scenes.png, recipes.png, scenes/, brown.json."""
    weights: Path = ROOT / "colorlib" / "weights"
    """The folder for the weights that the course ships."""
    page: Path = ROOT / "site" / "pages" / "results.md"
    """The page whose table is renewed."""

    def run(self) -> None:
        """Train, test, write down.

        Raises:
            ValueError: a recipe that the pages and lesson 08 compare with is not among them.
        """
        if missing := {"l1", "warm"} - {*self.recipes}:
            raise ValueError(f"nothing was trained: --recipes lacks {', '.join(sorted(missing))}")
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
        put_between(self.page, "recipes", f"{conditions(table)}\n\n{recipes_table(table)}")
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
        metrics, weights = folder / "metrics.json", folder / "generator.safetensors"
        # a larger budget trains on, so that older metrics are those of other weights
        if not metrics.exists() or metrics.stat().st_mtime_ns < weights.stat().st_mtime_ns:
            evaluate_run(folder, *data)
        row = json.loads(metrics.read_text("utf-8"))["rows"]["generator"]
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
        "are clearly red or blue."
    )


if __name__ == "__main__":
    tyro.cli(Matrix).run()
