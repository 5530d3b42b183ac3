"""The experiment on photos: lesson 10, executed by papermill for each folder and each seed.

    python -m tools.experiments --data data/caltech101 my_photos --seconds 300

Each run fine-tunes the shipped weights on a folder, trains a network from scratch for the same
budget, and tests both. Runs that are done are skipped, and a run that was cut off continues. All
results go to `data/results/photos.json`, which the lesson reads, and to a page of the website; each
executed copy of the lesson is saved next to its run. With a budget in steps or epochs, the numbers
repeat.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import nbformat
import tyro

from colorlib.runs import write_json
from lessonkit.lesson_10.results import device_names, photos_table
from tools import ROOT, put_between
from tools.notebooks import environment, for_kernels

LESSON = "10_train_on_photos"


@dataclass
class Experiments:
    """Fine-tune on each folder with each seed, and write down what came out."""

    data: tuple[Path, ...] = (ROOT / "data" / "caltech101",)
    """Folders of photos; `colorlib download` fetches the first."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Which seeds."""
    recipe: str = "l1"
    """A name from colorlib's RECIPES."""
    size: int = 128
    """Side of the training photos, in pixels; a multiple of 32."""
    batch: int = 16
    """Photos per step."""
    steps: int | None = None
    """How many steps each network trains."""
    epochs: int | None = None
    """Or how many passes over the photos."""
    seconds: float | None = None
    """Or how long; 300 seconds if there is no other budget."""
    runs: Path = ROOT / "runs" / "photos"
    """The folder of the runs."""
    out: Path = ROOT / "data" / "results" / "photos.json"
    """The file to write to."""
    page: Path = ROOT / "site" / "pages" / "package.md"
    """The page whose table is renewed."""

    def run(self) -> None:
        """Do what is not done, then write the results of all runs.

        Raises:
            NotADirectoryError: one of the folders doesn't exist.
            ValueError: two folders have the same name.
        """
        for data in self.data:
            if not data.is_dir():
                advice = "`colorlib download caltech101` fetches one, or give --data FOLDER"
                raise NotADirectoryError(f"no folder of photos at {data}: {advice}")
        if len({data.name for data in self.data}) < len(self.data):
            raise ValueError("two folders have the same name, and runs are named after them")
        rows = []
        for data in self.data:
            for seed in self.seeds:
                path = self.runs / f"{data.name}-{seed}.ipynb"
                parameters = self.parameters(data, seed)
                if not is_done(path, parameters):
                    print(f"==> {path.stem}")
                    execute(path, parameters)
                measured = json.loads((path.with_suffix("") / "metrics.json").read_text("utf-8"))
                rows.append({"data": data.name, "seed": seed} | measured)
        common = {"recipe": self.recipe, "size": self.size, "batch": self.batch}
        results = common | {"budget": self.budget(), "runs": rows}
        write_json(self.out, results)
        put_between(self.page, "fine-tuning", results_page(results))
        print(photos_table(results, "simple"))

    def budget(self) -> dict[str, float]:
        """The budget that was given, or 300 seconds."""
        given = {"steps": self.steps, "epochs": self.epochs, "seconds": self.seconds}
        return {name: value for name, value in given.items() if value} or {"seconds": 300}

    def parameters(self, data: Path, seed: int) -> dict:
        """What the lesson is given for one run."""
        out = self.runs.resolve() / f"{data.name}-{seed}"
        fixed = {"recipe": self.recipe, "size": self.size, "batch": self.batch}
        fixed |= {"seed": seed, "data": str(data.resolve()), "out": str(out)}
        return fixed | self.budget()


def results_page(results: dict) -> str:
    """The results as Markdown: how they were measured, then the table."""
    [(unit, amount)] = results["budget"].items()
    counts = {run["data"]: run["photos"] for run in results["runs"]}
    photos = ", ".join(
        f"`{name}` has {count['train']} photos to train on and {count['test']} to test"
        for name, count in counts.items()
    )
    seeds = len({run["seed"] for run in results["runs"]})
    return (
        f"Each network was trained for {amount:g} {unit}, with {seeds} seeds "
        f"({device_names(results)}); {photos}. Mean ± standard deviation over the seeds:\n\n"
        f"{photos_table(results)}"
    )


def is_done(path: Path, parameters: dict) -> bool:
    """Whether a run was tested with these parameters; `path` is the executed copy of the lesson."""
    if not (path.with_suffix("") / "metrics.json").exists() or not path.exists():
        return False
    record = nbformat.read(path, as_version=4).metadata.get("papermill", {})
    return record.get("parameters") == parameters and not record.get("exception")


def execute(path: Path, parameters: dict) -> None:
    """Execute the lesson with parameters, and write the executed copy.

    Raises:
        papermill.PapermillExecutionError: a cell failed; the copy says which.
    """
    import papermill  # comes with the course, not with the package

    path.parent.mkdir(parents=True, exist_ok=True)
    lesson = ROOT / "notebooks" / f"{LESSON}.ipynb"
    with environment(for_kernels()):
        papermill.execute_notebook(
            lesson, path, parameters, kernel_name="python3", cwd=lesson.parent
        )


if __name__ == "__main__":
    try:
        tyro.cli(Experiments).run()
    except (NotADirectoryError, ValueError) as error:
        raise SystemExit(f"experiments: {error}") from error
