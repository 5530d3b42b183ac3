"""Build the class kit: everything a teacher needs, from the notebooks that the class works with.

    make class

Minutes, questions, figures, exercises, solutions and key terms come from the notebooks. Texts for
teachers are in `class_texts/`: the guide and the projects as pages; the plan of six sessions, the
quiz, results on paper, terms and meanings as data, because they are compared with the notebooks or
printed twice.
"""

import re
import shutil
import tomllib
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

from nbformat import NotebookNode

from tools import ROOT, web_page
from tools.class_lessons import CARD, Course, exercises, key_terms, notes, pictures, shown
from tools.class_pages import ONE_PAGE_EACH, page
from tools.class_quiz import quiz_key, quiz_sheet
from tools.class_sessions import (
    NEW_PAGE,
    at_a_glance,
    predictions,
    predictions_key,
    run_sheets,
    where_used,
)
from tools.class_slides import deck
from tools.notebooks import (
    REPOSITORY,
    UNPUBLISHED,
    Lesson,
    described,
    read,
    without_solutions,
    write,
)

KIT = ROOT / "build" / "class"
TEXTS = Path(__file__).with_name("class_texts")
CASE_FILES = "## Eight case files"  # heading of the section of lesson 07 that the kit prints
LAST_IN_CLASS = "09"  # later lessons are for classes that go on
COLAB = (
    "learners need an account, and internet access in every session. They upload a notebook from "
    "the kit's `notebooks/` (*File ▸ Upload notebook*); its first cell fetches the course from "
    "GitHub."
)
NO_COLAB = "not with this copy of the course, because it isn't on GitHub."


def build(out: Path = KIT) -> None:
    """Write the kit, each text as Markdown and as a page to print, and the learners' copies."""
    course = [(lesson, read(lesson.name)) for lesson in described()]
    quiz, plan = load("quiz")["question"], load("plan")
    texts = {
        "teachers_guide": guide(plan, course),
        "run_sheets": run_sheets(plan, course),
        "predictions": predictions(plan, course),
        "predictions_key": predictions_key(plan, course),
        "answers": answers(plan, course),
        "case_files": case_files(course),
        "quiz_key": quiz_key(quiz),
        "quiz_before": quiz_sheet(quiz, "before"),
        "quiz_after": quiz_sheet(quiz, "after"),
        "project": (TEXTS / "project.md").read_text("utf-8"),
        "sample_project": (TEXTS / "sample_project.md").read_text("utf-8"),
        "glossary": glossary(course),
    }
    for folder in ("notebooks", "figures", "slides"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    for lesson, notebook in course:
        write(without_solutions(notebook), out / "notebooks" / f"{lesson.name}.ipynb")
        for number, picture in enumerate(pictures(notebook), start=1):
            (out / "figures" / f"{lesson.number}-{number:02}.png").write_bytes(picture)
    for number in range(1, len(plan["session"]) + 1):
        slides = deck(plan, number, course)
        (out / "slides" / f"session_{number}.html").write_text(slides, "utf-8")
    for name, text in texts.items():
        (out / f"{name}.md").write_text(text, "utf-8")
        style = ONE_PAGE_EACH if name in ("run_sheets", "predictions") else ""
        (out / f"{name}.html").write_text(page(text, style), "utf-8")
    print(add_color_page(out))
    print(f"{out}: {len(texts)} texts, {len(course)} lessons; begin with teachers_guide.html")


def add_color_page(out: Path) -> str:
    """Add the web page that colors photos, as one file, and return a message about it."""
    with TemporaryDirectory() as folder:
        told = web_page.build(Path(folder))
        page = Path(folder) / web_page.OFFLINE
        if not page.exists():
            return told
        shutil.copy(page, out)
    return f"{page.name} colors photos in any browser, without a server"


def load(name: str) -> dict:
    """Read a text that is stored as data: "plan", "quiz", "on_paper", "terms" or "meanings"."""
    return tomllib.loads((TEXTS / f"{name}.toml").read_text("utf-8"))


def relink(text: str) -> str:
    """Point links from lesson to lesson at the copies in the kit."""
    return re.sub(r"\]\((\d\d_\w+\.ipynb)\)", r"](notebooks/\1)", text)


def guide(plan: dict, course: Course) -> str:
    """The teacher's guide: the page in class_texts, with table, Colab and notes filled in."""
    text = (TEXTS / "guide.md").read_text("utf-8")
    in_class = [each for each in course if each[0].number <= LAST_IN_CLASS]
    parts = {
        "table": at_a_glance(plan, course),
        "colab": NO_COLAB if REPOSITORY == UNPUBLISHED else COLAB,
        "lessons": "\n\n".join(lesson_notes(*each) for each in in_class),
        "more lessons": "\n\n".join(lesson_notes(*each) for each in course[len(in_class) :]),
    }
    for name, part in parts.items():
        text = text.replace(f"<!-- {name} -->", part)
    return relink(text)


def lesson_notes(lesson: Lesson, notebook: NotebookNode) -> str:
    """One lesson in the guide: its question, its minutes, and the teacher's cell."""
    return (
        f"### {lesson.number} · {lesson.title}\n\n"
        f"[{lesson.question}](notebooks/{lesson.name}.ipynb) {lesson.reading} min reading, "
        f"{lesson.exercises} min exercises, runs in {lesson.run_time}.\n\n{notes(notebook)}"
    )


def answers(plan: dict, course: Course) -> str:
    """The answer booklet: every exercise card with its solution, and results on paper."""
    by_hand, used = load("on_paper"), where_used(plan)
    parts = [
        "# Answers",
        "Every exercise of the course with a solution. ★ marks the exercises of the six sessions.",
    ]
    for lesson, notebook in course:
        parts.append(f"## {lesson.number} · {lesson.title}")
        for each in exercises(notebook):
            title = f"### Exercise {each.number} · {each.dots} · {each.minutes} min · {each.title}"
            place = used.get((lesson.number, each.number))
            code = re.sub(r"^(# @title.*|checks\.\w+\(.*\))$", "", each.solution, flags=re.M)
            parts += [title, *([f"★ *{place}*"] if place else []), each.text]
            parts.append(f"```python\n{code.strip()}\n```")
            if result := by_hand.get(f"{lesson.number}.{each.number}"):
                parts.append(f"*On paper:* {result}")
            parts += each.folded
    return relink("\n\n".join(parts)) + "\n"


def case_files(course: Course) -> str:
    """The recorded runs of lesson 07, to print: its section up to the exercise, then its cases."""
    [cells] = [notebook.cells for lesson, notebook in course if lesson.number == "07"]
    starts = [i for i, each in enumerate(cells) if each.source.startswith(CASE_FILES)]
    if not starts:
        raise ValueError(f"lesson 07 has no section {CASE_FILES!r}, which the kit prints")
    parts, cases = ["# Case files", "From lesson 07. Print in color."], []
    for cell in cells[starts[0] :]:
        if CARD.search(cell.source):
            break
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        for text in shown(cell):
            if text.startswith("*case:"):  # on a page of its own, as each pair gets two of them
                cases += [NEW_PAGE, text]
            else:
                parts.append(text)
    return relink("\n\n".join(parts + cases)) + "\n"


def glossary(course: Course) -> str:
    """Key terms in English and Chinese, each once, with its meaning and its lessons."""
    meanings = load("meanings")
    merged: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for lesson, notebook in course:
        for english, chinese in key_terms(notebook):
            merged[english][chinese].append(lesson.number)
    added = [term for term in load("terms")["term"] if "glossary" in term]
    for term in added:
        merged.setdefault(term["english"], {term["chinese"]: [term["lesson"]]})
    meanings = {term["english"]: term["glossary"] for term in added} | meanings
    lines = [
        "# Glossary",
        "",
        '| English | <span lang="zh-Hans">中文</span> | what it is | lesson |',
        "|---|---|---|---|",
    ]
    for english in sorted(merged, key=str.casefold):
        where = sorted(set().union(*merged[english].values()))
        chinese = " / ".join(merged[english])
        both = f'{english} | <span lang="zh-Hans">{chinese}</span>'
        meaning = meanings.get(english, "").replace("*", r"\*")
        lines.append(f"| {both} | {meaning} | {', '.join(where)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    build()
