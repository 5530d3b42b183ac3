"""Execute the notebooks, stamp them, and derive the copies for learners.

    python -m tools.notebooks execute 01_color_spaces
    python -m tools.notebooks student

The executed notebooks in `notebooks/` are the one source of the course: `execute` writes one only
when every cell of it has passed, stamps it with a hash of its code, and puts the measured run time
into its first cell. It also writes the frames of the website's sliders into site/frames/ and
renews the tables of lessons in the READMEs. The rules for lessons are in `anatomy.py`.
"""

import hashlib
import json
import os
import re
import shutil
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, NamedTuple

import nbformat
import tyro
from nbclient import NotebookClient
from nbformat import NotebookNode

from colorlib.runs import atomic_write
from lessonkit.frames import SECONDS
from tools import ROOT, put_between

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
REPOSITORY = PROJECT["urls"]["Repository"].removeprefix("https://github.com/")  # owner/name
FOLDER = ROOT / "notebooks"
FRAMES = ROOT / "site" / "frames"  # of the website's sliders, a folder per lesson
STUDENT = ROOT / "build" / "student"
README, README_ZH = ROOT / "README.md", ROOT / "README.zh.md"
BUILDS = ROOT / "tools" / "lessons.toml"
LONGEST_CELL = 1800  # seconds

SETUP = """\
# On Colab this fetches the course; anywhere else it does nothing.
import os
import sys

if "google.colab" in sys.modules:
    if not os.path.exists("/content/course"):
        !git clone --quiet --depth 1 https://github.com/{repository} /content/course
        %pip install --quiet /content/course
    os.chdir("/content/course/notebooks")"""
BADGE = (
    "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    "(https://colab.research.google.com/github/{repository}/blob/main/notebooks/{name}.ipynb)"
)
UNPUBLISHED = "OWNER/colorlib"  # before the first `make publish`: a badge would lead nowhere
NO_BADGE = "<!-- Open in Colab -->"  # keeps the badge's place until there is an address
BADGE_LINE = re.compile(r"^(\[!\[Open in Colab\].*|<!-- Open in Colab -->)$", re.MULTILINE)
RUN_TIME = re.compile(r"(<!-- run time -->).*?(<!-- /run time -->)")
BAR = re.compile(r"\r|\d+%\|")  # a progress bar, written as text


class Lesson(NamedTuple):
    """What a lesson's first cell says of it."""

    name: str
    number: str
    title: str
    question: str
    question_zh: str
    reading: int
    exercises: int
    run_time: str


def names() -> list[str]:
    """The lessons that there are, in order: 00_color_a_photo, ..."""
    return sorted(path.stem for path in FOLDER.glob("[0-9][0-9]_*.ipynb"))


def read(name: str, folder: Path | None = None) -> NotebookNode:
    """Read a notebook.

    Raises:
        FileNotFoundError: there is none of this name; the message says which there are.
    """
    path = (folder or FOLDER) / f"{name}.ipynb"
    if not path.exists():
        raise FileNotFoundError(f"no lesson {name!r} in {path.parent}; there are: {names()}")
    return nbformat.read(path, as_version=4)


def write(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook in one move, with a newline at its end."""
    nbformat.validate(notebook)
    with atomic_write(path) as temporary:
        text = nbformat.writes(notebook).rstrip("\n") + "\n"
        temporary.write_text(text, "utf-8", newline="\n")


def tags(cell: NotebookNode) -> list[str]:
    """A cell's tags."""
    return cell.metadata.get("tags", [])


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """A notebook's code cells."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def code_hash(notebook: NotebookNode) -> str:
    """Hash what a notebook computes: sources and tags of its code cells.

    The set-up cell is left out: off Colab it does nothing, and the repository's address in it may
    change without making outputs stale.
    """
    code = [[cell.source, tags(cell)] for cell in code_cells(notebook) if "setup" not in tags(cell)]
    return hashlib.sha256(json.dumps(code).encode()).hexdigest()[:16]


def describe(name: str, notebook: NotebookNode) -> Lesson:
    """Read off the first cell what the README's table says of a lesson.

    Raises:
        ValueError: the first cell lacks something; the message shows the shape it should have.
    """
    shape = {
        "title": r"\A# (\d\d) · (.+)",
        "question": r"^\*\*(.+\?)\*\*$",
        "question in Chinese": r"^\*\*中文\*\*\s+\*\*(.+？)\*\*",
        "reading": r"(\d+) min reading",
        "exercises": r"(\d+) min exercises",
        "run time": r"<!-- run time -->(.*)<!-- /run time -->",
    }
    first = notebook.cells[0].source
    found = {part: re.search(regex, first, re.MULTILINE) for part, regex in shape.items()}
    missing = {part: shape[part] for part in shape if not found[part]}
    if missing:
        raise ValueError(f"{name}: the first cell has nothing that matches {missing}")
    number, title = found["title"].groups()
    questions = found["question"][1], found["question in Chinese"][1]
    minutes = int(found["reading"][1]), int(found["exercises"][1])
    return Lesson(name, number, title, *questions, *minutes, found["run time"][1])


# --- execute ---


def execute(
    chosen: tyro.conf.Positional[tuple[str, ...]] = (),
    profile: Literal["laptop", "ci"] = "laptop",
) -> None:
    """Execute lessons in place, all of them by default; with profile ci, only try them.

    Args:
        chosen: Names without .ipynb.
        profile: Only what laptop computes is written.

    Raises:
        CellExecutionError: a cell failed; nothing was written of this notebook.
    """
    for name in chosen or names():
        path = FOLDER / f"{name}.ipynb"
        notebook = read(name)
        if profile == "ci":
            print(f"{name}: {run(notebook, FOLDER, profile):.0f} s")
            continue
        before = path.read_bytes()
        with TemporaryDirectory() as frames:
            seconds = run(notebook, FOLDER, profile, frames=frames) - seconds_of_frames(frames)
            print(f"{name}: {seconds:.0f} s")
            clean(notebook)
            stamp(notebook, name, seconds)
            if path.read_bytes() != before:
                raise SystemExit(f"{name} was edited meanwhile: nothing was written; run it again")
            write(notebook, path)
            shutil.rmtree(FRAMES / name, ignore_errors=True)
            shutil.copytree(frames, FRAMES / name)
        renew_table()


def seconds_of_frames(folder: str) -> float:
    """How long the drawing of frames took; the file that says so is removed."""
    path = Path(folder) / SECONDS
    seconds = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return sum(map(float, seconds))


def run(
    notebook: NotebookNode, folder: Path, profile: str, strict: bool = True, frames: str = ""
) -> float:
    """Execute a notebook in memory, with stills for widgets, and return the seconds it took.

    Args:
        notebook: Gets the outputs.
        folder: The working directory.
        profile: "ci", "laptop" or "full".
        strict: Whether a wrong answer to an exercise stops the run, as it should for solutions.
        frames: A folder for the frames of the website's sliders; "" for none.
    """
    client = NotebookClient(
        notebook,
        timeout=LONGEST_CELL,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
    )
    variables = {
        "COLORLIB_PROFILE": profile,
        "COLORLIB_STRICT": "1" if strict else "",
        "COLORLIB_FRAMES": frames,
    }
    began = time.monotonic()
    with environment(for_kernels() | variables):
        client.execute()
    return time.monotonic() - began


def for_kernels() -> dict[str, str]:
    """Variables that give a kernel stills for widgets, this Python, and this colorlib.

    So it is also where another colorlib, or none, is installed.
    """
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        "COLORLIB_STATIC": "1",
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PYTHONPATH": os.pathsep.join(paths),
    }


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables for the kernels started meanwhile."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def clean(notebook: NotebookNode) -> None:
    """Drop what differs from run to run or cannot be shown later: widgets, bars, timings."""
    notebook.metadata = nbformat.from_dict(
        {
            "colorlib": notebook.metadata.get("colorlib", {}),
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for cell in notebook.cells:
        for noise in ("execution", "papermill", "ExecuteTime"):
            cell.metadata.pop(noise, None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not is_passing(output)]


def is_passing(output: NotebookNode) -> bool:
    """Whether an output lives only while the notebook runs: a widget or a progress bar."""
    if output.get("name") == "stderr":
        return bool(BAR.search(output.text))
    return "application/vnd.jupyter.widget-view+json" in output.get("data", {})


def stamp(notebook: NotebookNode, name: str, seconds: float) -> None:
    """Write the code's hash and the run time into a notebook, and renew set-up cell and badge.

    The old time stays where the new one is within 30% of it, so that executing again changes
    nothing.
    """
    old = notebook.metadata.colorlib.get("seconds", 0)
    kept = old if abs(seconds - old) <= 0.3 * old else max(1, round(seconds))
    notebook.metadata.colorlib = {"code_hash": code_hash(notebook), "seconds": kept}
    first = notebook.cells[0]
    first.source = RUN_TIME.sub(rf"\g<1>{in_words(kept)}\g<2>", first.source)
    readdress(notebook, name)


def readdress(notebook: NotebookNode, name: str, repository: str = REPOSITORY) -> None:
    """Put the repository's address, owner/name, into the set-up cell and the badge."""
    for cell in code_cells(notebook):
        if "setup" in tags(cell):
            cell.source = SETUP.format(repository=repository)
    badge = BADGE.format(repository=repository, name=name)
    first = notebook.cells[0]
    shown = NO_BADGE if repository == UNPUBLISHED else badge
    first.source = BADGE_LINE.sub(shown, first.source)


def in_words(seconds: float) -> str:
    """Say a run time as one would: about 20 s, about 3 min."""
    if seconds < 90:
        return f"about {max(10, round(seconds, -1)):.0f} s"
    return f"about {round(seconds / 60)} min"


def renew_table() -> None:
    """Renew the tables of lessons in both READMEs, where these have a place for one."""
    for page, make in ((README, table), (README_ZH, table_zh)):
        lessons = make()
        with suppress(FileNotFoundError, ValueError):
            put_between(page, "lessons", lessons)


def described() -> list[Lesson]:
    """What the first cells say of all lessons; one whose first cell has no shape is left out."""
    lessons = []
    for name in names():
        with suppress(ValueError):  # unfinished; `check` says so
            lessons.append(describe(name, read(name)))
    return lessons


def table() -> str:
    """Make the README's table of lessons: title, what you build, minutes."""
    heads = "| lesson | what you build | minutes |"
    return table_of(heads, "**all lessons**", "about {hours} hours", language=0)


def table_zh() -> str:
    """The same for the Chinese README."""
    return table_of("| 课 | 你会做出什么 | 分钟 |", "**全部课程**", "约 {hours} 小时", language=1)


def table_of(heads: str, total: str, hours: str, language: int) -> str:
    """Make a table of lessons, their minutes added up in the last row.

    What a learner builds is in lessons.toml; a lesson that is missing there shows its question.
    """
    builds = tomllib.loads(BUILDS.read_text("utf-8"))
    lines, minutes = [heads, "|---|---|---|"], 0
    for lesson in described():
        question = (lesson.question, lesson.question_zh)[language]
        what = builds[lesson.number][language] if lesson.number in builds else question
        link = f"[{lesson.number} · {lesson.title}](notebooks/{lesson.name}.ipynb)"
        lines.append(f"| {link} | {what} | {lesson.reading + lesson.exercises} |")
        minutes += lesson.reading + lesson.exercises
    return "\n".join([*lines, f"| {total} | | {hours.format(hours=round(minutes / 60))} |"])


# --- the learners' copies ---


def student(chosen: tyro.conf.Positional[tuple[str, ...]] = (), try_out: bool = False) -> None:
    """Derive the copies without solutions, teachers' notes and outputs into build/student/.

    Args:
        chosen: Names without .ipynb; all by default.
        try_out: Also run each from top to bottom (ci profile), to see that none needs a solution.
    """
    for name in chosen or names():
        copy = without_solutions(read(name))
        write(copy, STUDENT / f"{name}.ipynb")
        seconds = f", runs in {run(copy, STUDENT, 'ci', strict=False):.0f} s" if try_out else ""
        print(f"{os.path.relpath(STUDENT)}/{name}.ipynb{seconds}")


def without_solutions(notebook: NotebookNode) -> NotebookNode:
    """Make a learner's copy: no solutions, no teacher's cell, no outputs."""
    copy = deepcopy(notebook)
    copy.cells = [cell for cell in copy.cells if not {"solution", "teacher"} & set(tags(cell))]
    for cell in code_cells(copy):
        cell.outputs, cell.execution_count = [], None
        cell.metadata["tags"] = [tag for tag in tags(cell) if tag != "nbval-check-output"]
    copy.metadata.pop("colorlib", None)
    first = copy.cells[0]  # its badge would open the lesson with the solutions
    first.source = re.sub(BADGE_LINE.pattern + r"\n+", "", first.source, flags=re.MULTILINE)
    return copy


if __name__ == "__main__":
    tyro.extras.subcommand_cli_from_dict({"execute": execute, "student": student})
