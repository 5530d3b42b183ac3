"""The experiment on photos: what is run, what is skipped, what is written; and for real."""

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


@pytest.fixture
def executed(monkeypatch):
    """The runs that were asked for; their results are made up."""
    asked = []

    def execute(path, parameters):
        asked.append(path.stem)
        tuned = ROW | {"ciede2000": 8.0 + parameters["seed"]}
        rows = {"gray": ROW, "lookup by L": ROW, "fine-tuned": tuned}
        facts = {"rows": rows, "environment": {"device": "a machine", "torch": "2"}}
        facts |= {"photos": {"train": 100, "test": 20}}
        write_json(Path(parameters["out"]) / "metrics.json", facts)
        done = nbformat.v4.new_notebook(metadata={"papermill": {"parameters": parameters}})
        nbformat.write(done, path)

    monkeypatch.setattr(experiments, "execute", execute)
    return asked


def matrix(tmp_path, **options):
    folders = (tmp_path / "one", tmp_path / "two")
    for folder in folders:
        folder.mkdir(exist_ok=True)
    given = {"data": folders, "seeds": (0, 1), "epochs": 1}
    places = {"runs": tmp_path / "runs", "out": tmp_path / "photos.json"}
    places |= {"page": tmp_path / "page.md"}
    places["page"].write_text("# Page\n\n<!-- fine-tuning -->\n<!-- /fine-tuning -->\n", "utf-8")
    return Experiments(**given | places | options)


def test_each_folder_and_seed_is_run_once(tmp_path, executed):
    matrix(tmp_path).run()
    assert executed == ["one-0", "one-1", "two-0", "two-1"]
    matrix(tmp_path).run()
    assert len(executed) == 4, "run again"
    matrix(tmp_path, seeds=(0, 1, 2)).run()
    assert len(executed) == 6
    written = json.loads((tmp_path / "photos.json").read_text("utf-8"))
    assert written["budget"] == {"epochs": 1} and len(written["runs"]) == 6
    assert (written["runs"][0]["data"], written["runs"][0]["seed"]) == ("one", 0)
    assert device_names(written) == "a machine, torch 2"
    page = (tmp_path / "page.md").read_text("utf-8")
    assert "trained for 1 epochs, with 3 seeds (a machine, torch 2); `one` has 100 photos" in page
    assert "fine-tuned" in page and page.startswith("# Page\n")


def test_unusable_folders_are_reported_before_anything_is_run(tmp_path, executed):
    with pytest.raises(NotADirectoryError, match="download caltech101"):
        matrix(tmp_path, data=(tmp_path / "nowhere",)).run()
    same = tmp_path / "other" / "one"
    same.mkdir(parents=True)
    with pytest.raises(ValueError, match="have the same name"):
        matrix(tmp_path, data=(tmp_path / "one", same)).run()
    assert executed == []


def test_another_budget_or_a_failure_is_not_done(tmp_path, executed):
    matrix(tmp_path).run()
    lesson = tmp_path / "runs" / "one-0.ipynb"
    assert is_done(lesson, matrix(tmp_path).parameters(tmp_path / "one", 0))
    assert not is_done(lesson, matrix(tmp_path, epochs=2).parameters(tmp_path / "one", 0))
    failed = nbformat.read(lesson, as_version=4)
    failed.metadata.papermill["exception"] = True
    nbformat.write(failed, lesson)
    assert not is_done(lesson, failed.metadata.papermill.parameters)
    assert not is_done(tmp_path / "nothing.ipynb", {})


def test_the_budget_is_the_one_given_or_300_seconds(tmp_path):
    assert matrix(tmp_path, epochs=None).budget() == {"seconds": 300}
    assert matrix(tmp_path, epochs=None, steps=9).parameters(tmp_path, 0)["steps"] == 9


def test_every_parameter_is_one_of_the_lessons(tmp_path):
    notebook = nbformat.read(ROOT / "notebooks" / f"{LESSON}.ipynb", as_version=4)
    [cell] = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    known = {line.split(" = ")[0] for line in cell.source.splitlines()}
    assert matrix(tmp_path).parameters(tmp_path / "one", 0).keys() <= known


def test_the_table_has_baselines_mean_and_deviation_and_the_real_photos(tmp_path, executed):
    matrix(tmp_path).run()
    table = photos_table(json.loads((tmp_path / "photos.json").read_text("utf-8")))
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    first = [line[1] for line in lines if line[0] == "one"]
    assert first == ["gray", "lookup by L", "fine-tuned", "real"]
    assert next(line for line in lines if line[1] == "fine-tuned")[3] == "8.50 ± 0.71"
    assert next(line for line in lines if line[1] == "real")[4] == "40.00"


def test_without_results_there_are_none(monkeypatch):
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
    command += ["-p", "size", "32", "-p", "batch", "4", "--cwd", "notebooks"]
    variables = {"COLORLIB_PROFILE": "ci", "COLORLIB_STATIC": "1", "PYTHONPATH": str(ROOT)}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        command, cwd=ROOT, env=os.environ | variables, start_new_session=True, **quiet
    )


@pytest.mark.trust
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no process groups to kill")
def test_papermill_on_a_folder_killed_and_started_again_goes_on(photos, tmp_path):
    out, epochs = tmp_path / "run", 60
    process = papermill(photos, out, epochs)
    while process.poll() is None and not (out / "fine-tuned" / "checkpoint.pt").exists():
        time.sleep(0.05)
    assert process.poll() is None, process.stderr.read().decode()[-2000:]
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (out / "metrics.json").exists(), "it was done before it was killed"
    began = os.stat(out / "fine-tuned" / "config.json").st_mtime_ns
    process = papermill(photos, out, epochs)
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()[-2000:]
    assert os.stat(out / "fine-tuned" / "config.json").st_mtime_ns == began, "it has started over"
    rows = json.loads((out / "metrics.json").read_text("utf-8"))["rows"]
    assert {"gray", "shipped", "from scratch", "fine-tuned"} <= set(rows)
    steps = (out / "fine-tuned" / "history.csv").read_text().splitlines()[1:]
    assert [int(line.split(",")[0]) for line in steps] == list(range(1, len(steps) + 1))
    assert len(steps) % epochs == 0


@pytest.mark.trust
def test_the_experiment_at_tiny_size(photos, tmp_path, monkeypatch):
    monkeypatch.setenv("COLORLIB_PROFILE", "ci")
    places = {"runs": tmp_path / "runs", "out": tmp_path / "photos.json"}
    places |= {"page": tmp_path / "page.md"}
    places["page"].write_text("# Page\n\n<!-- fine-tuning -->\n<!-- /fine-tuning -->\n", "utf-8")
    tiny = {"size": 32, "batch": 4, "epochs": 1, "seeds": (0,), "recipe": "l1"}
    Experiments(data=(photos,), **tiny, **places).run()
    written = json.loads((tmp_path / "photos.json").read_text("utf-8"))
    assert written["runs"][0]["rows"]["fine-tuned"]["photos"] == 5
    assert "torch" in written["runs"][0]["environment"]
    assert "fine-tuned" in photos_table(written)
