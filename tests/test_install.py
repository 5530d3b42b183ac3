"""A plain install, as on Colab: everything works from an empty folder, away from the checkout."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from skimage import data, io

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site_packages(tmp_path_factory):
    """A folder with colorlib and lessonkit as a wheel installs them."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for name in ("colorlib", "lessonkit", "tools", "pyproject.toml", "README.md", "LICENSE"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps"]
    if subprocess.run([*install, "--version"], capture_output=True).returncode:
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command = [*install, "--no-build-isolation", "--target", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target


def run(site_packages, folder, *arguments):
    """Run Python in a folder, with the installed packages ahead of the checkout's."""
    environment = {**os.environ, "PYTHONPATH": str(site_packages), "COLORLIB_PROFILE": "ci"}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_tools_are_not_installed(site_packages):
    packages = {path.name for path in site_packages.iterdir() if (path / "__init__.py").exists()}
    assert packages == {"colorlib", "lessonkit"}


def test_every_module_imports(site_packages, tmp_path):
    code = """
import colorlib, importlib, lessonkit, pkgutil
for package in (colorlib, lessonkit):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
print(colorlib.__file__)
"""
    assert str(site_packages) in run(site_packages, tmp_path, "-c", code)


def test_the_first_cells_of_lesson_10_run(site_packages, tmp_path):
    (path,) = (ROOT / "notebooks").glob("10_*.ipynb")
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    code = "\n".join(cell.source for cell in cells[1:2])  # the set-up cell is for IPython alone
    assert "profile ci" in run(site_packages, tmp_path, "-c", code)


def test_a_photo_is_colored(site_packages, tmp_path):
    io.imsave(tmp_path / "cat.png", data.chelsea()[::4, ::4, 0])
    run(site_packages, tmp_path, "-m", "colorlib", "colorize", "cat.png")
    (colored,) = (tmp_path / "colored").glob("cat*.png")
    assert io.imread(colored).shape == (75, 113, 3)
