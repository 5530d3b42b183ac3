"""What only the notebooks need; the package itself never imports it.

profiles    how much a lesson computes: ci, laptop, full
figures     one style for all figures; pictures side by side; alternative text
diagrams    the U, the two players and the procedure, drawn by code
widgets     controls that redraw a figure, and still pictures where nobody can move them
checks      instant checks of the exercises, one module a lesson
notebooks   execute the notebooks, stamp them, derive the learners' copies
anatomy     what every lesson must have
class_kit   what a teacher needs, from the same notebooks
publish     one address on GitHub in every file that tells it
site        the course as web pages
recipes     all recipes side by side, for the tables
experiments the same on photos, through lesson 10
recordings  runs that went wrong on purpose, for lesson 07

The other modules belong to one lesson each and say so in their first line.
"""

import json
from pathlib import Path
from tempfile import TemporaryFile, mkdtemp

ROOT = Path(__file__).parents[1]


def course_file(name: str) -> Path:
    """Find a file or folder of the course from wherever a notebook runs.

    A learner's copy may lie anywhere below the course's folder, and on Colab the package is
    installed elsewhere. So look from the working directory upward first.

    Args:
        name: relative to the course's folder, such as "colorlib/weights".
    Returns:
        Its absolute path.
    Raises:
        FileNotFoundError: there is no such file in the course, or no course around.
    """
    for folder in [*(Path.cwd() / "here").parents, ROOT]:
        if (folder / "data" / "README.md").exists() and (folder / name).exists():
            return folder / name
    raise FileNotFoundError(
        f"{name} is not in the course's folder. Open the notebook from its place in the course, "
        "or download the course again: part of it is missing."
    )


def course_results(name: str) -> dict:
    """What a measurement has written into data/results: "scenes", "brown", "photos" ...

    Raises:
        FileNotFoundError: it is not in the course.
    """
    return json.loads(course_file(f"data/results/{name}.json").read_text("utf-8"))


def writable(folder: Path) -> Path:
    """Make a folder; where nothing may be written, one for today, and say so.

    Args:
        folder: where a lesson would leave what the learner made.
    Returns:
        The folder, or another one of the same name outside of the course.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=folder).close()
    except OSError as error:
        elsewhere = Path(mkdtemp(), folder.name)
        elsewhere.mkdir()
        print(f"cannot write to {folder} ({error.strerror}); what you make lies in {elsewhere}")
        return elsewhere
    return folder
