"""The lessons keep their anatomy, and what executes, stamps and derives them works."""

import json
import sys
import tomllib
from copy import deepcopy
from types import SimpleNamespace

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools import anatomy, notebooks
from tools.anatomy import HIDDEN, faults
from tools.notebooks import BADGE, REPOSITORY, SETUP, names, read, tags

NAME = "01_a_lesson"
TITLE = f"""\
# 01 · A lesson

{BADGE.format(repository=REPOSITORY, name=NAME)}

**What is it for?**

**You will be able to**

- one
- two
- three

**You need** nothing.

**Time** 30 min reading · 20 min exercises · runs in <!-- run time -->?<!-- /run time -->

**中文**

**这是什么？**
第一行
第二行
第三行

**Key terms** mean 均值 · median 中位数 · mode 众数 · loss 损失
"""
PICTURE = {"image/png": "iVBORw0KGgo="}


# --- the lessons ---


@pytest.mark.parametrize("name", names())
def test_anatomy(name):
    assert faults(name, read(name)) == []


@pytest.mark.trust
@pytest.mark.parametrize("name", names())
def test_the_learners_copy_runs_to_its_end(name, tmp_path):
    notebooks.run(notebooks.without_solutions(read(name)), tmp_path, "ci", strict=False)


# --- the rules: a lesson without faults, broken in one place after the other ---


def stream(text, name="stdout"):
    return new_output("stream", name=name, text=text)


def code(source, *own_tags, outputs=()):
    return new_code_cell(source, metadata={"tags": list(own_tags)}, outputs=list(outputs))


def exercise(number):
    check = f"\n\nchecks.double(double_{number})"
    solution = code(f"def double_{number}(x):\n    return 2 * x{check}", "solution")
    solution.metadata["jupyter"] = dict(HIDDEN)
    solution.outputs = [stream("right: twice.\n")]
    stub = code(f"def double_{number}(x):\n    ...{check}", "exercise")
    stub.outputs = [stream("not done yet: fill it in.\n")]
    return [new_markdown_cell(f"### Exercise {number} · ●○○ · 5 min · Double"), stub, solution]


def lesson():
    """A lesson that has all it should have, and no more."""
    picture = new_output("display_data", data=PICTURE, metadata={"image/png": {"alt": "a dot"}})
    cells = [
        new_markdown_cell(TITLE),
        code(SETUP.format(repository=REPOSITORY), "setup"),
        code("import os\n\nsetting = begin(seed=0)"),
        code("draw()", outputs=[picture]),
        new_markdown_cell("## A section\n\n```\n# a comment\n```"),
        *[cell for number in (1, 2, 3) for cell in exercise(number)],
        *[new_markdown_cell("More.") for _ in range(22)],
        *[new_markdown_cell(f"## {title}") for title in ("Summary", "Limits", "Read on")],
        new_markdown_cell("<details>For teachers</details>", metadata={"tags": ["teacher"]}),
    ]
    made = new_notebook(cells=cells)
    renumber(made)
    return made


def renumber(notebook):
    for number, cell in enumerate(notebooks.code_cells(notebook), start=1):
        cell.execution_count = number
    notebook.metadata["colorlib"] = {"code_hash": notebooks.code_hash(notebook), "seconds": 1}


def test_a_lesson_without_faults():
    assert faults(NAME, lesson()) == []


DAMAGES = {
    "code has changed": lambda cells: cells[3].update(source="draw(1)"),
    "execution counts": lambda cells: cells[3].update(execution_count=9),
    "contain an error": lambda cells: cells[3].outputs.append(
        new_output("error", ename="E", evalue="", traceback=[])
    ),
    "contain a warning": lambda cells: cells[3].outputs.append(stream("careful", "stderr")),
    "printed by": lambda cells: cells[3].outputs.append(stream("see /" + "home/me")),
    "larger than": lambda cells: cells[3].outputs.append(stream("x" * 1_000_001)),
    "without alternative text": lambda cells: cells[3].outputs[0].metadata.clear(),
    "no sentence follows": lambda cells: cells.insert(4, code("1")),
    "sys.path": lambda cells: cells[3].update(source="sys.path.append('.')"),
    "absolute path": lambda cells: cells[3].update(source="open('/" + "data/photo.jpg')"),
    "one # heading": lambda cells: cells[4].update(source="# Another"),
    "## Limits": lambda cells: cells.pop(-3),
    "the last cell must be": lambda cells: cells.pop(),
    "the first code cell": lambda cells: cells[1].update(source="import os"),
    "the second code cell": lambda cells: cells[2].update(source="import os"),
    "19 cells; 20 to 55": lambda cells: [cells.pop(4) for _ in range(len(cells) - 19)],
    "56 cells; 20 to 55": lambda cells: cells.extend(
        new_markdown_cell("More.") for _ in range(56 - len(cells))
    ),
    "words; at most 3,800": lambda cells: cells[4].update(source="word " * 3801),
    "median code cell": lambda cells: [c.update(source="\n" * 9 + c.source) for c in cells],
    "no card": lambda cells: cells[5].update(source="### Exercise 2 · ●○○ · 5 min · Double"),
    "must end with its check": lambda cells: cells[6].outputs.clear(),
    "must follow": lambda cells: cells.pop(7),
    "must end with 'right: '": lambda cells: cells[7].outputs.clear(),
    "must be folded": lambda cells: cells[7].metadata.pop("jupyter"),
    "2 exercises": lambda cells: [cells.pop(5) for _ in range(3)],
    "is used later": lambda cells: cells[3].update(source="double_1(2)"),
    "that matches": lambda cells: retitle(cells, "# 01 · A", "# A"),
    "says lesson 02": lambda cells: retitle(cells, "# 01", "# 02"),
    "neither the Colab badge": lambda cells: retitle(cells, NAME, "02_other"),
    "You will be able to": lambda cells: retitle(cells, "- one\n- two\n", ""),
    "**You need**": lambda cells: retitle(cells, "**You need**", ""),
    "**中文**": lambda cells: retitle(cells, "第三行", ""),
    "**Key terms**": lambda cells: retitle(cells, "· loss 损失", ""),
}


def retitle(cells, old, new):
    assert old in cells[0].source
    cells[0].source = cells[0].source.replace(old, new)


@pytest.mark.parametrize("words", DAMAGES)
def test_a_fault_is_found(words):
    damaged = lesson()
    DAMAGES[words](damaged.cells)
    if words not in ("code has changed", "execution counts"):
        renumber(damaged)
    found = faults(NAME, damaged)
    assert any(words in fault for fault in found), found


def test_widget_state_is_a_fault():
    damaged = lesson()
    damaged.metadata["widgets"] = {}
    assert any("widget state" in fault for fault in faults(NAME, damaged))


def test_the_next_lesson_is_linked(monkeypatch):
    monkeypatch.setattr(anatomy, "names", lambda: [NAME, "02_next"])
    assert any("02_next.ipynb" in fault for fault in faults(NAME, lesson()))
    linked = lesson()
    linked.cells[-2].source += "\n\nNext: [02](02_next.ipynb)"
    assert faults(NAME, linked) == []


# --- execute ---


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A course of one small notebook."""
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path / "notebooks")
    monkeypatch.setattr(notebooks, "FRAMES", tmp_path / "frames")
    monkeypatch.setattr(notebooks, "BUILDS", tmp_path / "lessons.toml")
    (tmp_path / "lessons.toml").write_text('"01" = ["a dot", "一个点"]', "utf-8")
    monkeypatch.setattr(notebooks, "STUDENT", tmp_path / "build" / "student")
    for constant, page in (("README", "README.md"), ("README_ZH", "README.zh.md")):
        monkeypatch.setattr(notebooks, constant, tmp_path / page)
        (tmp_path / page).write_text("A\n<!-- lessons -->\n<!-- /lessons -->\nZ\n", "utf-8")
    small = new_notebook(cells=[new_markdown_cell(TITLE), code("old set-up", "setup")])
    variables = "PROFILE", "STATIC", "STRICT"
    small.cells[1].source = "pass"
    small.cells += [
        code(f"import os\nprint([os.environ['COLORLIB_' + name] for name in {variables}])"),
        code("import sys\nprint('50%|#####', end='', file=sys.stderr)"),
        *exercise(1)[:1],
        code("answer = ...", "exercise"),
        code("answer = 2", "solution", "nbval-check-output"),
        new_markdown_cell("notes", metadata={"tags": ["teacher"]}),
    ]
    notebooks.write(small, tmp_path / "notebooks" / f"{NAME}.ipynb")
    return tmp_path


def test_execute_student_and_table(folder, capsys):
    path = folder / "notebooks" / f"{NAME}.ipynb"
    untouched = path.read_bytes()
    notebooks.execute((NAME,), "ci")
    assert path.read_bytes() == untouched, "a trial writes nothing"

    notebooks.execute()
    done = read(NAME)
    counts = [cell.execution_count for cell in notebooks.code_cells(done)]
    assert counts == [1, 2, 3, 4, 5]
    assert done.cells[1].source == SETUP.format(repository=REPOSITORY)
    assert done.cells[2].outputs[0].text == "['laptop', '1', '1']\n"
    assert done.cells[3].outputs == [], "a progress bar is not an output"
    assert done.metadata.colorlib.code_hash == notebooks.code_hash(done)
    assert "about" in notebooks.describe(NAME, done).run_time
    readme = (folder / "README.md").read_text("utf-8")
    row = (
        f"| [01 · A lesson](notebooks/{NAME}.ipynb) | a dot | 50 |\n| **all lessons** | | about 1 "
    )
    assert row in readme and readme.startswith("A\n") and readme.endswith("\nZ\n")
    chinese = (folder / "README.zh.md").read_text("utf-8")
    row = f"| [01 · A lesson](notebooks/{NAME}.ipynb) | 一个点 | 50 |"
    assert row in chinese

    written = path.read_bytes()
    again = read(NAME)
    notebooks.stamp(again, NAME, 1.2 * again.metadata.colorlib.seconds)
    notebooks.write(again, path)
    assert path.read_bytes() == written, "a slightly different time changes no line"

    notebooks.student()
    copy = read(NAME, folder / "build" / "student")
    assert [tags(cell) for cell in copy.cells] == [[], ["setup"], [], [], [], ["exercise"]]
    assert not any(cell.get("outputs") for cell in copy.cells)
    assert "# 01 · A lesson\n\n**What" in copy.cells[0].source, "no badge: it opens the solutions"
    assert read(NAME).cells[2].outputs, "the lesson itself stays as it is"


def test_a_lesson_without_an_entry_shows_its_question(folder):
    (folder / "lessons.toml").write_text("", "utf-8")
    assert "| What is it for? | 50 |" in notebooks.table()
    assert "| 这是什么？ | 50 |" in notebooks.table_zh()


def test_every_lesson_says_what_a_learner_builds():
    builds = tomllib.loads(notebooks.BUILDS.read_text("utf-8"))
    assert {name[:2] for name in names()} <= set(builds)
    assert all(len(each) == 2 and all(each) for each in builds.values())


WIDGET = """
import matplotlib.pyplot as plt
from PIL import Image

from lessonkit.widgets import play, slider

play(lambda side: Image.new("RGB", (side, 8)), alt="a box", side=slider(8, 10))
"""


def test_frames_are_written_beside_the_lesson_and_renewed(folder):
    notebooks.write(
        new_notebook(cells=[new_markdown_cell(TITLE), code("pass", "setup"), code(WIDGET)]),
        folder / "notebooks" / f"{NAME}.ipynb",
    )
    (folder / "frames" / NAME).mkdir(parents=True)
    (folder / "frames" / NAME / "9.json").touch()
    notebooks.execute()
    files = sorted(path.name for path in (folder / "frames" / NAME).iterdir())
    assert files == ["1-000.webp", "1-001.webp", "1-002.webp", "1.json"]
    assert read(NAME).cells[2].outputs[0].metadata == {"frames": "1"}


def test_a_lesson_that_fails_is_not_written(folder):
    path = folder / "notebooks" / f"{NAME}.ipynb"
    broken = read(NAME)
    broken.cells[2].source = "1 / 0"
    notebooks.write(broken, path)
    before = path.read_bytes()
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        notebooks.execute()
    assert path.read_bytes() == before


def test_an_edit_made_meanwhile_is_not_lost(folder):
    path = folder / "notebooks" / f"{NAME}.ipynb"
    edits = read(NAME)
    edits.cells[2].source = f"open({str(path)!r}, 'a').write(' ')"
    notebooks.write(edits, path)
    before = path.read_bytes()
    with pytest.raises(SystemExit, match="edited meanwhile: nothing was written"):
        notebooks.execute()
    assert path.read_bytes() == before + b" "


def test_the_tables_of_both_readmes_are_fresh():
    for page, make in (
        (notebooks.README, notebooks.table),
        (notebooks.README_ZH, notebooks.table_zh),
    ):
        assert f"<!-- lessons -->\n{make()}\n<!-- /lessons -->" in page.read_text("utf-8"), page


def test_check_says_what_is_wrong(folder, capsys):
    with pytest.raises(SystemExit) as ended:
        anatomy.check()
    assert ended.value.code
    assert f"{NAME}: code has changed" in capsys.readouterr().out


def test_a_missing_lesson_is_named(folder):
    with pytest.raises(FileNotFoundError, match=f"no lesson '07'.*{NAME}"):
        notebooks.execute(("07",))


def test_no_table_where_the_readme_has_no_place_for_it(folder):
    (folder / "README.md").write_text("nothing", "utf-8")
    notebooks.renew_table()
    assert (folder / "README.md").read_text("utf-8") == "nothing"


def test_a_lesson_without_its_first_cell_is_left_out_of_the_table(folder):
    plain = new_notebook(cells=[new_markdown_cell("# A plain one")])
    notebooks.write(plain, folder / "notebooks" / "02_plain.ipynb")
    assert "02_plain" not in notebooks.table() and NAME in notebooks.table()


def test_clean_drops_what_differs_from_run_to_run():
    noisy = lesson()
    before = deepcopy(noisy.cells)
    noisy.metadata.update(widgets={}, papermill={}, language_info={"version": "3.11.7"})
    noisy.cells[3].metadata["execution"] = {"iopub.status.busy": "now"}
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}}
    noisy.cells[3].outputs.append(new_output("display_data", data=view))
    noisy.cells[3].outputs.append(stream("a\rb", "stderr"))
    notebooks.clean(noisy)
    assert noisy.cells == before
    assert set(noisy.metadata) == {"colorlib", "kernelspec", "language_info"}
    assert "version" not in noisy.metadata.language_info


def test_the_address_changes_no_hash():
    moved = lesson()
    moved.cells[1].source = SETUP.format(repository="somebody/else")
    assert notebooks.code_hash(moved) == notebooks.code_hash(lesson())
    notebooks.readdress(moved, NAME)
    assert faults(NAME, moved) == []


def test_the_badge_is_hidden_until_there_is_an_address():
    moved = lesson()
    notebooks.readdress(moved, NAME, notebooks.UNPUBLISHED)
    assert "colab" not in moved.cells[0].source and notebooks.NO_BADGE in moved.cells[0].source
    notebooks.readdress(moved, NAME, "somebody/else")
    assert moved.cells[0].source.count("colab.research.google.com/github/somebody/else") == 1


@pytest.mark.parametrize(
    "seconds, words",
    [(1, "about 10 s"), (44, "about 40 s"), (90, "about 2 min"), (200, "about 3 min")],
)
def test_run_time_in_words(seconds, words):
    assert notebooks.in_words(seconds) == words


# --- the set-up cell ---


def run_setup(monkeypatch, tmp_path):
    """Run the set-up cell with shell and magics recorded, /content being `tmp_path`."""
    source = SETUP.format(repository=REPOSITORY).replace("/content", tmp_path.as_posix())
    commands = []

    def shell(command):
        commands.append(command)
        (tmp_path / "course" / "notebooks").mkdir(parents=True)

    ipython = SimpleNamespace(
        system=shell, run_line_magic=lambda *words: commands.append(" ".join(words))
    )
    monkeypatch.chdir(tmp_path)
    exec(TransformerManager().transform_cell(source), {"get_ipython": lambda: ipython})
    return commands


def test_set_up_does_nothing_off_colab(monkeypatch, tmp_path):
    assert run_setup(monkeypatch, tmp_path) == []


def test_set_up_fetches_the_course_once_on_colab(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "google.colab", SimpleNamespace())
    clone, install = run_setup(monkeypatch, tmp_path)
    assert f"https://github.com/{REPOSITORY}" in clone
    assert install.startswith("pip install") and "-e" not in install.split()
    assert run_setup(monkeypatch, tmp_path) == []


def test_stored_notebooks_are_valid():
    for name in names():
        nbformat.validate(json.loads((notebooks.FOLDER / f"{name}.ipynb").read_text("utf-8")))
