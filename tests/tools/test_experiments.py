"""The experiment on photos: what is run, what is not run again, what is written; and for real."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from PIL import Image
from skimage import data

from colorlib.runs import write_json
from lessonkit.lesson_10 import results
from lessonkit.lesson_10.results import device_names, photos_table
from tools import ROOT, experiments
from tools.experiments import LESSON, Experiments, is_done

ROW = {"psnr_ab": 20.0, "ciede2000": 9.0, "colorfulness": 20.0, "colorfulness_real": 40.0}
NAMES = ("gray", "mean color", "lookup by L", "l1 × 1", "l1 × k", "shipped")


@pytest.fixture
def executed(monkeypatch):
    """The runs that were asked for; in place of the lesson their results are made up."""
    asked = []

    def execute(path, parameters):
        asked.append(path.stem)
        out = Path(parameters["out"])
        rows = {name: ROW for name in NAMES}
        rows[parameters["recipe"]] = ROW | {"ciede2000": 8.0 + parameters["seed"]}
        write_json(out / "metrics.json", {"rows": rows, "k": 1.5, "curve": [], "photos": {}})
        environment = {"device": "a machine", "torch": "2"}
        config = {"config": {"generator": "UNet"}, "environment": environment}
        write_json(out / "config.json", config)
        (out / "history.csv").write_text("step,seconds\n7,1.5\n")
        done = nbformat.v4.new_notebook(metadata={"papermill": {"parameters": parameters}})
        nbformat.write(done, path)

    monkeypatch.setattr(experiments, "execute", execute)
    return asked


def matrix(tmp_path, **options):
    folders = (tmp_path / "one", tmp_path / "two")
    for folder in folders:
        folder.mkdir(exist_ok=True)
    given = {"data": folders, "recipes": ("l1", "warm"), "seeds": (0, 1), "epochs": 1}
    places = {"runs": tmp_path / "runs", "out": tmp_path / "photos.json"}
    return Experiments(**given | places | options)


def test_each_data_set_seed_and_recipe_is_run_once(tmp_path, executed):
    matrix(tmp_path).run()
    assert len(executed) == len(set(executed)) == 8
    assert executed[:3] == ["one-l1-0", "one-warm-0", "one-l1-1"]
    matrix(tmp_path).run()
    assert len(executed) == 8, "run again"
    matrix(tmp_path, seeds=(0, 1, 2)).run()
    assert len(executed) == 12
    results = json.loads((tmp_path / "photos.json").read_text("utf-8"))
    assert results["budget"] == {"epochs": 1} and len(results["runs"]) == 12
    first = results["runs"][0]
    assert (first["data"], first["recipe"], first["seed"], first["steps"]) == ("one", "l1", 0, 7)
    assert first["environment"]["device"] == "a machine" and first["generator"] == "UNet"
    assert device_names(results) == "a machine, torch 2"


def test_folders_that_cannot_be_used_are_told_before_anything_is_run(tmp_path, executed):
    with pytest.raises(NotADirectoryError, match="download caltech101"):
        matrix(tmp_path, data=(tmp_path / "nowhere",)).run()
    same = tmp_path / "other" / "one"
    same.mkdir(parents=True)
    with pytest.raises(ValueError, match="two folders of one name"):
        matrix(tmp_path, data=(tmp_path / "one", same)).run()
    assert executed == []


def test_another_budget_or_a_failure_is_not_done(tmp_path, executed):
    matrix(tmp_path).run()
    longer = matrix(tmp_path, epochs=2)
    folder = tmp_path / "runs" / "one-l1-0"
    assert is_done(folder, matrix(tmp_path).parameters(tmp_path / "one", "l1", 0))
    assert not is_done(folder, longer.parameters(tmp_path / "one", "l1", 0))
    lesson = folder.with_name("one-l1-0.ipynb")
    failed = nbformat.read(lesson, as_version=4)
    failed.metadata.papermill["exception"] = True
    nbformat.write(failed, lesson)
    assert not is_done(folder, failed.metadata.papermill.parameters)
    assert not is_done(tmp_path / "nothing", {})


def test_all_recipes_of_a_seed_meet_one_rival(tmp_path):
    made = matrix(tmp_path)
    parameters = [made.parameters(tmp_path / "one", recipe, 1) for recipe in ("l1", "warm")]
    assert parameters[0]["rival"] == parameters[1]["rival"] == parameters[0]["out"]
    assert parameters[0]["seconds"] is None
    assert matrix(tmp_path, epochs=None).parameters(tmp_path, "l1", 0)["seconds"] == 1800


def test_the_table_has_baselines_mean_and_deviation_and_the_real_photos(tmp_path, executed):
    matrix(tmp_path).run()
    table = photos_table(json.loads((tmp_path / "photos.json").read_text("utf-8")))
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    first = [line[1] for line in lines if line[0] == "one"]
    wanted = ["gray", "mean color", "lookup by L", "l1", "warm", "l1 × k, as colorful as warm"]
    assert first == [*wanted, "real"]
    assert next(line for line in lines if line[1] == "warm")[3] == "8.50 ± 0.71"
    assert next(line for line in lines if line[1] == "real")[5] == "40.00"


def test_without_results_there_are_none(monkeypatch, tmp_path):
    def missing(name):
        raise FileNotFoundError(name)

    monkeypatch.setattr("lessonkit.course_file", missing)
    assert results.read_results() is None


# --- for real ---


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Thirty small color pictures cut from four photos: enough to run, not to learn from."""
    folder = tmp_path_factory.mktemp("thirty")
    for index in range(30):
        name = ("astronaut", "chelsea", "coffee")[index % 3]
        top, left = 40 * (index // 3 % 5), 50 * (index // 15)
        crop = getattr(data, name)()[top : top + 90, left : left + 90]
        Image.fromarray(crop).save(folder / f"{index:02d}.png")
    return folder


def papermill(photos, out, epochs):
    command = [sys.executable, "-m", "papermill", f"notebooks/{LESSON}.ipynb"]
    command += [str(out.with_suffix(".ipynb")), "-k", "python3", "-p", "data", str(photos)]
    command += ["-p", "recipe", "warm", "-p", "epochs", str(epochs), "-p", "out", str(out)]
    command += ["-p", "size", "32", "-p", "width", "4", "-p", "batch", "4"]
    variables = {"COLORLIB_PROFILE": "ci", "COLORLIB_STATIC": "1", "PYTHONPATH": str(ROOT)}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        command, cwd=ROOT, env=os.environ | variables, start_new_session=True, **quiet
    )


@pytest.mark.trust
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no process groups to kill")
def test_papermill_on_a_folder_killed_and_started_again_goes_on(photos, tmp_path):
    out, epochs = tmp_path / "run", 150
    process = papermill(photos, out, epochs)
    while process.poll() is None and not (out / "checkpoint.pt").exists():
        time.sleep(0.05)
    assert process.poll() is None, process.stderr.read().decode()[-2000:]
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (out / "metrics.json").exists(), "it was done before it was killed"
    began = os.stat(out / "config.json").st_mtime_ns
    process = papermill(photos, out, epochs)
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()[-2000:]
    assert os.stat(out / "config.json").st_mtime_ns == began, "it has begun anew"
    rows = json.loads((out / "metrics.json").read_text("utf-8"))["rows"]
    assert {"gray", "warm", "l1 × k", "shipped"} <= set(rows)
    steps = (out / "history.csv").read_text().splitlines()[1:]
    assert [int(line.split(",")[0]) for line in steps] == list(range(1, len(steps) + 1))
    assert len(steps) % epochs == 0


@pytest.mark.trust
def test_the_experiment_at_tiny_size(photos, tmp_path, monkeypatch):
    monkeypatch.setenv("COLORLIB_PROFILE", "ci")
    places = {"runs": tmp_path / "runs", "out": tmp_path / "photos.json"}
    tiny = {"size": 32, "width": 4, "epochs": 1, "seeds": (0,), "recipes": ("l1", "warm")}
    Experiments(data=(photos,), **tiny, **places).run()
    results = json.loads((tmp_path / "photos.json").read_text("utf-8"))
    assert [run["recipe"] for run in results["runs"]] == ["l1", "warm"]
    assert results["runs"][0]["rows"]["l1"]["photos"] == 5
    assert "torch" in results["runs"][1]["environment"]
    assert "warm" in photos_table(results)
