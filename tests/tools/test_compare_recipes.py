"""The recipes side by side: trained once, tested, written down where README and lesson read."""

import json
from dataclasses import replace

import pytest
import torch
from PIL import Image
from safetensors import safe_open

from colorlib.runs import load_generator
from colorlib.scenes import SceneDataset
from lessonkit.lesson_08 import brown
from lessonkit.lesson_08.brown import cut_row, from_lines
from lessonkit.results import recipes_table, spread
from tools import compare_recipes
from tools.compare_recipes import Matrix

ROW = {"psnr_ab": 20.0, "ciede2000": 5.0, "colorfulness": 80.0, "committed": 0.5}


@pytest.fixture(scope="module")
def matrix(tmp_path_factory):
    """A matrix of two recipes and one λ, trained for a moment on a few scenes."""
    folder = tmp_path_factory.mktemp("matrix")
    readme = folder / "README.md"
    readme.write_text("<!-- recipes -->\n<!-- /recipes -->\n", "utf-8")
    names, seeds, seconds, runs = ("l1", "warm"), (0, 1), 0.2, folder / "runs"
    made = Matrix(names, seeds, (3.0,), seconds, runs, folder / "results", folder, readme)
    with pytest.MonkeyPatch.context() as patch:
        data = SceneDataset(8, seed=0), SceneDataset(12, seed=1)
        patch.setattr(brown, "FACTORS", (1.0, 1.5))
        patch.setattr(compare_recipes, "open_data", lambda *_, **__: data)
        made.run()
        trained = {path: path.stat().st_mtime_ns for path in runs.rglob("*.safetensors")}
        made.run()
    assert {path: path.stat().st_mtime_ns for path in trained} == trained, "trained again"
    return made


def test_each_recipe_and_seed_has_a_row(matrix):
    results = json.loads((matrix.out / "scenes.json").read_text("utf-8"))
    found = [(run["recipe"], run["seed"]) for run in results["runs"]]
    assert found == [("l1", 0), ("warm", 0), ("l1", 1), ("warm", 1)]
    assert list(results["baselines"]) == ["gray", "mean color", "lookup by L"]
    assert recipes_table(results) in matrix.page.read_text("utf-8")


def test_what_lesson_08_reads(matrix):
    content = json.loads((matrix.out / "brown.json").read_text("utf-8"))
    assert [(row["lambda"], row["seed"]) for row in content["lambdas"]] == [(3.0, 0), (3.0, 1)]
    trained = ["l1-0", "warm-0", "l1-1", "warm-1", "lambda-3-0", "lambda-3-1"]
    assert list(content["balloons"]) == [*trained, "real"]
    assert from_lines(content["balloons"]["real"]["histogram"]).sum() > 0
    assert content["balloons"]["real"]["right"] == 1
    assert 0 <= content["red_in_training"] <= 1
    assert [row["factor"] for row in content["factors"]] == [1.0, 1.5, 1.0, 1.5]
    kept = {path.stem for path in (matrix.out / "scenes").iterdir()}
    assert kept == {"gray", "real", *trained} - {"l1-1"}
    for name in kept:
        assert len(cut_row(matrix.out / "scenes" / f"{name}.jpg")) == len(content["scenes"])


def test_a_sheet_has_a_row_for_gray_each_recipe_and_the_truth(matrix):
    for name, rows in (("recipes.png", 4), ("scenes.png", 3)):
        with Image.open(matrix.out / name) as sheet:
            assert sheet.height == rows * (2 * 64 + 4)


def test_the_defaults_first_run_is_shipped_with_its_card(matrix):
    shipped = load_generator(matrix.weights / "scenes.safetensors").state_dict()
    trained = load_generator(matrix.runs / "warm-0" / "generator.safetensors").state_dict()
    assert all(torch.equal(trained[name], value) for name, value in shipped.items())
    row = json.loads((matrix.runs / "warm-0" / "metrics.json").read_text("utf-8"))
    with safe_open(matrix.weights / "scenes.safetensors", framework="pt") as file:
        card = json.loads(file.metadata()["card"])
    assert card["recipe"] == "warm" and card["seed"] == 0
    assert f"{row['rows']['generator']['psnr_ab']:.2f}" in card["metrics"]


def test_a_larger_budget_is_measured_again(matrix):
    data = SceneDataset(8, seed=0), SceneDataset(12, seed=1)
    first = matrix.learn("longer", "l1", data, 0, seconds=None, steps=1)
    longer = matrix.learn("longer", "l1", data, 0, seconds=None, steps=4)
    assert (first["steps"], longer["steps"]) == (1, 4)
    assert first["psnr_ab"] != longer["psnr_ab"]


def test_without_the_recipes_that_others_are_compared_with_nothing_is_written(matrix):
    before = (matrix.out / "scenes.json").read_bytes()
    with pytest.raises(ValueError, match="--recipes lacks warm"):
        replace(matrix, recipes=("l1", "gan")).run()
    assert (matrix.out / "scenes.json").read_bytes() == before


def test_the_table_gives_the_deviation_over_the_seeds():
    runs = [ROW | {"recipe": "l1", "steps": 10}, ROW | {"recipe": "l1", "steps": 12}]
    runs[1] = runs[1] | {"psnr_ab": 22.0}
    baselines = {"gray": ROW | {"colorfulness_real": 90.0}}
    table = recipes_table({"baselines": baselines, "runs": runs})
    assert "21.00 ± 1.41" in table
    assert "| 11 " in table
    assert table.splitlines()[-1].split("|")[1].strip() == "real"


def test_one_value_has_no_deviation():
    assert spread([1.0]) == "1.00"
