"""The whole experiment on photos: recipes × seeds × data sets, through papermill on lesson 10.

    python -m tools.experiments --data data/caltech101 my_photos --seconds 3600

What is done is not done again, and what was cut off goes on; the results of all runs are written
to `data/results/photos.json`, which the lessons read. Each run's lesson is saved next to it.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import nbformat
import tyro

from colorlib.runs import read_config, read_history, write_json
from lessonkit.lesson_10.results import photos_table
from tools import ROOT
from tools.notebooks import environment

LESSON = "10_photos_on_a_gpu"
METRICS = ("psnr_ab", "ciede2000", "lpips", "colorfulness")


@dataclass
class Experiments:
    """Train each recipe on each data set with each seed, and write down what came out."""

    data: tuple[Path, ...] = (ROOT / "data" / "caltech101",)
    """Folders of photos; `colorlib download` fetches the first."""
    recipes: tuple[str, ...] = ("l1", "pix2pix", "warm", "tutorial")
    """Which recipes; l1 is always trained, because it is the rival."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Which seeds."""
    size: int = 128
    """Side of the training photos, in pixels."""
    generator: str = "StridedUNet"
    """StridedUNet or UNet, for all recipes but tutorial, which has its own."""
    width: int = 32
    """Its channels."""
    epochs: int | None = None
    """How many passes over the photos each run makes."""
    seconds: float = 1800.0
    """How long each run trains, if epochs are not given."""
    lpips: bool = False
    """Also measure LPIPS; its network is downloaded at the first use."""
    runs: Path = ROOT / "runs" / "photos"
    """Where the runs' folders lie."""
    out: Path = ROOT / "data" / "results" / "photos.json"
    """The file to write to."""

    def run(self) -> None:
        """Do what is not done, then write the results of all runs.

        Raises:
            NotADirectoryError: there is no such folder of photos.
            ValueError: two folders have one name.
        """
        for data in self.data:
            if not data.is_dir():
                advice = "`colorlib download caltech101` fetches one, or give --data FOLDER"
                raise NotADirectoryError(f"no folder of photos at {data}: {advice}")
        if len({data.name for data in self.data}) < len(self.data):
            raise ValueError("two folders of one name: runs are named after them, so rename one")
        rows = []
        for data in self.data:
            for seed in self.seeds:
                for recipe in self.recipes:
                    name = f"{data.name}-{recipe}-{seed}"
                    parameters = self.parameters(data, recipe, seed)
                    if not is_done(self.runs / name, parameters):
                        print(f"==> {name}")
                        execute(self.runs / f"{name}.ipynb", parameters)
                    found = read_run(self.runs / name)
                    rows.append({"data": data.name, "recipe": recipe, "seed": seed} | found)
        budget = {"epochs": self.epochs} if self.epochs else {"seconds": self.seconds}
        write_json(self.out, {"size": self.size, "budget": budget, "runs": rows})
        print(photos_table({"runs": rows}, "simple"))

    def parameters(self, data: Path, recipe: str, seed: int) -> dict:
        """What the lesson is given for one run."""
        runs = self.runs.resolve()
        return {
            "data": str(data.resolve()),
            "recipe": recipe,
            "seed": seed,
            "size": self.size,
            "generator": self.generator,
            "width": self.width,
            "epochs": self.epochs,
            "seconds": None if self.epochs else self.seconds,
            "lpips": self.lpips,
            "out": str(runs / f"{data.name}-{recipe}-{seed}"),
            "rival": str(runs / f"{data.name}-l1-{seed}"),
        }


def is_done(folder: Path, parameters: dict) -> bool:
    """Whether a run was tested, with these parameters."""
    lesson = folder.with_name(f"{folder.name}.ipynb")
    if not (folder / "metrics.json").exists() or not lesson.exists():
        return False
    record = nbformat.read(lesson, as_version=4).metadata.get("papermill", {})
    return record.get("parameters") == parameters and not record.get("exception")


def execute(path: Path, parameters: dict) -> None:
    """Execute the lesson with parameters; the executed copy is written to `path`.

    Raises:
        papermill.PapermillExecutionError: a cell failed; the copy says which.
    """
    import papermill  # comes with the course, not with the package

    path.parent.mkdir(parents=True, exist_ok=True)
    lesson = ROOT / "notebooks" / f"{LESSON}.ipynb"
    with environment({"COLORLIB_STATIC": "1", "PYTHONPATH": str(ROOT)}):
        papermill.execute_notebook(
            lesson, path, parameters, kernel_name="python3", cwd=lesson.parent
        )


def read_run(folder: Path) -> dict:
    """What a run's folder says of it: steps, seconds, environment, and what its test gave."""
    last = read_history(folder / "history.csv")[-1]
    record = json.loads((folder / "config.json").read_text("utf-8"))
    tested = json.loads((folder / "metrics.json").read_text("utf-8"))
    facts = {"steps": last["step"], "seconds": last["seconds"]}
    facts["generator"] = read_config(folder / "config.json")["generator"]
    return facts | {"environment": record["environment"]} | tested


if __name__ == "__main__":
    try:
        tyro.cli(Experiments).run()
    except (NotADirectoryError, ValueError) as error:
        raise SystemExit(f"experiments: {error}") from error
