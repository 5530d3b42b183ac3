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
from typing import NamedTuple

from nbformat import NotebookNode

from tools import ROOT, web_page
from tools.class_pages import page
from tools.class_quiz import quiz_key, quiz_sheet
from tools.class_slides import deck, pictures, prediction_sheets, run_sheets
from tools.notebooks import Lesson, described, read, tags, without_solutions, write

KIT = ROOT / "build" / "class"
TEXTS = Path(__file__).with_name("class_texts")
CARD = re.compile(
    r"^### Exercise (?P<number>\d+) · (?P<dots>[●○]+) · (?P<minutes>\d+) min · "
    r"(?P<title>[^\n]+)(?P<text>.*)",
    re.MULTILINE | re.DOTALL,
)
# "JS 散度" and "U 形网络": one or two capitals may belong to the Chinese term
TERM = re.compile(r"(.+?) ((?:[A-Z]{1,2} )?[\u4e00-\u9fff].*)")
CASE_FILES = "## Eight case files"  # heading of the section of lesson 07 that the kit prints
Course = list[tuple[Lesson, NotebookNode]]


class Exercise(NamedTuple):
    """An exercise of a lesson, with its solution."""

    number: int
    dots: str
    minutes: int
    title: str
    text: str
    solution: str


def build(out: Path = KIT) -> None:
    """Write the kit, each text as Markdown and as a page to print, and the learners' copies."""
    course = [(lesson, read(lesson.name)) for lesson in described()]
    quiz, sessions = load("quiz")["question"], load("plan")["session"]
    texts = {
        "teachers_guide": guide(course),
        "run_sheets": run_sheets(sessions),
        "predictions": prediction_sheets(sessions, course),
        "answers": answers(course),
        "case_files": case_files(course),
        "quiz_key": quiz_key(quiz),
        "quiz_before": quiz_sheet(quiz, "before"),
        "quiz_after": quiz_sheet(quiz, "after"),
        "project": (TEXTS / "project.md").read_text("utf-8"),
        "sample_project": (TEXTS / "sample_project.md").read_text("utf-8"),
        "glossary": glossary(course),
    }
    out.mkdir(parents=True, exist_ok=True)
    for lesson, notebook in course:
        write(without_solutions(notebook), out / "notebooks" / f"{lesson.name}.ipynb")
    for folder in ("figures", "slides"):
        (out / folder).mkdir(exist_ok=True)
    for lesson, notebook in course:
        for number, (picture, _) in enumerate(pictures(notebook.cells), start=1):
            (out / "figures" / f"{lesson.number}-{number:02}.png").write_bytes(picture)
    for number, session in enumerate(sessions, start=1):
        made = deck(f"Session {number} · {session['title']}", session, course)
        (out / "slides" / f"session_{number}.html").write_text(made, "utf-8")
    for name, text in texts.items():
        (out / f"{name}.md").write_text(text, "utf-8")
        (out / f"{name}.html").write_text(page(text), "utf-8")
    print(add_color_page(out))
    print(f"{out}: {len(texts)} texts, {len(course)} lessons; begin with teachers_guide.html")


def add_color_page(out: Path) -> str:
    """Add the web page that colors photos, as one file; returns what became of it."""
    with TemporaryDirectory() as folder:
        told = web_page.build(Path(folder))
        page = Path(folder) / web_page.OFFLINE
        if not page.exists():
            return told
        shutil.copy(page, out)
    return f"{page.name} colors photos in any browser, without a server"


def load(name: str) -> dict:
    """Read a text that is kept as data: "plan", "quiz", "on_paper" or "meanings"."""
    return tomllib.loads((TEXTS / f"{name}.toml").read_text("utf-8"))


def relink(text: str) -> str:
    """Point links from lesson to lesson at the copies in the kit."""
    return re.sub(r"\]\((\d\d_\w+\.ipynb)\)", r"](notebooks/\1)", text)


# --- read off the notebooks ---


def exercises(notebook: NotebookNode) -> list[Exercise]:
    """A lesson's exercises: each card, and the solution two cells below it."""
    found = []
    for card, _, solution in zip(notebook.cells, notebook.cells[1:], notebook.cells[2:]):
        shape = CARD.search(card.source) if card.cell_type == "markdown" else None
        if shape and "solution" in tags(solution):
            number, minutes = int(shape["number"]), int(shape["minutes"])
            text = shape["text"].strip()
            found.append(
                Exercise(number, shape["dots"], minutes, shape["title"], text, solution.source)
            )
    return found


def lengths(notebook: NotebookNode) -> dict[str, int]:
    """Characters of text under each heading, exercises left out, and "" for all of them."""
    texts = [cell.source for cell in notebook.cells[:-1] if cell.cell_type == "markdown"]
    parts = re.split(r"^(##|###) (.+)$", "\n".join(texts), flags=re.MULTILINE)[1:]
    found, section = defaultdict(int), ""
    for level, heading, text in zip(parts[::3], parts[1::3], parts[2::3]):
        if level == "##":
            section = heading
        if not heading.startswith("Exercise "):
            for counted in {heading, section, ""}:
                found[counted] += len(text)
    return found


def objectives(notebook: NotebookNode) -> str:
    """What a learner will be able to do after the lesson, as a list."""
    first = notebook.cells[0].source
    return first.partition("**You will be able to**")[2].partition("**You need**")[0].strip()


def notes(notebook: NotebookNode) -> str:
    """The text of the teacher's cell, unfolded."""
    return notebook.cells[-1].source.partition("</summary>")[2].partition("</details>")[0].strip()


def key_terms(notebook: NotebookNode) -> list[tuple[str, str]]:
    """A lesson's key terms, English and Chinese."""
    terms = notebook.cells[0].source.partition("**Key terms**")[2].split("·")
    return [shape.groups() for term in terms if (shape := TERM.fullmatch(term.strip()))]


# --- the texts ---


def guide(course: Course) -> str:
    """The teacher's guide: the page in class_texts, with table, plan and notes filled in."""
    text = (TEXTS / "guide.md").read_text("utf-8")
    parts = {
        "table": table(course),
        "plan": "\n\n".join(
            session_page(number, session, course)
            for number, session in enumerate(load("plan")["session"], start=1)
        ),
        "lessons": "\n\n".join(lesson_notes(lesson, notebook) for lesson, notebook in course),
    }
    for name, part in parts.items():
        text = text.replace(f"<!-- {name} -->", part)
    return relink(text)


def table(course: Course) -> str:
    """The lessons with their questions and minutes."""
    heads = "| lesson | the question it answers | reading | exercises | runs in |"
    lines = [heads, "|---|---|---|---|---|"]
    for lesson, _ in course:
        minutes = f"{lesson.reading} min | {lesson.exercises} min | {lesson.run_time}"
        link = f"[{lesson.number} · {lesson.title}](notebooks/{lesson.name}.ipynb)"
        lines.append(f"| {link} | {lesson.question} | {minutes} |")
    return "\n".join(lines)


def session_page(number: int, session: dict, course: Course) -> str:
    """One session: goal, preparation, 45 minutes, homework, and how to fit it in."""
    lessons = {lesson.number: (lesson, notebook) for lesson, notebook in course}
    rows, begin, laptops = ["| minutes | lesson | how | what |", "|---|---|---|---|"], 0, []
    for step in session["step"]:
        end, where, what = begin + step["minutes"], "", step["what"]
        if "lesson" in step:
            where = f"{step['lesson']} · {step['section']}"
            if step["lesson"] not in lessons:
                what = "This lesson is not in your copy of the course: use the time for questions."
        if step.get("laptops"):
            laptops.append(f"minutes {begin}–{end}, lesson {step['lesson']}")
        rows.append(f"| {begin}–{end} | {where} | {step['how']} | {what} |")
        begin = end
    home = [
        homework(part, *lessons[part["lesson"]])
        for part in session["home"]
        if part["lesson"] in lessons
    ]
    return "\n\n".join(
        [
            f"### Session {number} · {session['title']}",
            f"**At its end** learners can {session['goal']}.",
            f"**Laptops:** {'one per pair: ' + '; '.join(laptops) if laptops else 'none'}.",
            "**Prepare**\n\n" + "\n".join(f"- {line}" for line in session["prepare"]),
            "\n".join(rows),
            f"**To close:** {session['question']} *A good answer:* {session['answer']}",
            f"**At home** ({sum(minutes for minutes, _ in home)} min)\n\n"
            + "\n".join(line for _, line in home),
            f"**Short of time?** {session['short']} **Quick class?** {session['quick']}",
        ]
    )


def homework(part: dict, lesson: Lesson, notebook: NotebookNode) -> tuple[int, str]:
    """Minutes and text of the homework in one lesson.

    The exercises' minutes are those on their cards; the lesson's minutes of reading are shared out
    by the length of the text.
    """
    chosen = [each for each in exercises(notebook) if each.number in part["exercises"]]
    named = ", ".join(f"{each.number} ({each.title})" for each in chosen)
    word = "exercise" if len(chosen) == 1 else "exercises"
    practice = sum(each.minutes for each in chosen)
    share = sum(lengths(notebook)[heading] for heading in part["read"]) / lengths(notebook)[""]
    reading = round(share * lesson.reading)
    sections = ", ".join(f"*{heading}*" for heading in part["read"])
    line = (
        f"- Lesson {lesson.number}: read {sections} ({reading} min); {word} {named}, {practice} min"
    )
    return reading + practice, f"{line}. {part.get('also', '')}".rstrip()


def lesson_notes(lesson: Lesson, notebook: NotebookNode) -> str:
    """One lesson in the guide: question, goals, exercises, and the teacher's cell."""
    cards = " · ".join(
        f"{each.number} {each.title} ({each.dots} {each.minutes} min)"
        for each in exercises(notebook)
    )
    return "\n\n".join(
        [
            f"### {lesson.number} · {lesson.title}",
            f"*{lesson.question}* {lesson.reading} min reading, {lesson.exercises} min exercises, "
            f"runs in {lesson.run_time}.",
            "**Learners will be able to**",
            objectives(notebook),
            f"**Exercises.** {cards}",
            notes(notebook),
        ]
    )


def answers(course: Course) -> str:
    """The answer booklet: every exercise card with its solution, and what comes out on paper."""
    on_paper = load("on_paper")
    parts = ["# Answers", "Every exercise of the course with its solution. There is often another."]
    for lesson, notebook in course:
        parts.append(f"## {lesson.number} · {lesson.title}")
        for each in exercises(notebook):
            title = f"### Exercise {each.number} · {each.dots} · {each.minutes} min · {each.title}"
            code = re.sub(r"^(# @title.*|checks\.\w+\(.*\))$", "", each.solution, flags=re.M)
            parts += [title, each.text, f"```python\n{code.strip()}\n```"]
            if by_hand := on_paper.get(f"{lesson.number}.{each.number}"):
                parts.append(f"*On paper:* {by_hand}")
    return relink("\n\n".join(parts)) + "\n"


def case_files(course: Course) -> str:
    """The recorded runs of lesson 07, to print: its section up to the exercise, with pictures."""
    [cells] = [notebook.cells for lesson, notebook in course if lesson.number == "07"]
    starts = [i for i, each in enumerate(cells) if each.source.startswith(CASE_FILES)]
    if not starts:
        raise ValueError(f"lesson 07 has no section {CASE_FILES!r}, which the kit prints")
    begin = starts[0]
    parts = ["# Case files", "From lesson 07, to print."]
    for cell in cells[begin:]:
        if CARD.search(cell.source):
            break
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        parts += [printed(output) for output in cell.get("outputs", [])]
    return relink("\n\n".join(parts)) + "\n"


def printed(output: NotebookNode) -> str:
    """An output as Markdown: a picture with its text, or what a notebook shows."""
    data = output.get("data", {})
    for kind in (kind for kind in data if kind.startswith("image/")):
        alt = output.metadata[kind]["alt"]
        return f"![{alt}](data:{kind};base64,{''.join(data[kind].split())})"
    return data.get("text/markdown") or data.get("text/html", "")


def glossary(course: Course) -> str:
    """Key terms in English and Chinese, each once: what it means, and where it is explained."""
    meanings = load("meanings")
    merged: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for lesson, notebook in course:
        for english, chinese in key_terms(notebook):
            merged[english][chinese].append(lesson.number)
    added = [term for term in load("terms")["term"] if "glossary" in term]
    for term in added:
        merged.setdefault(term["english"], {term["chinese"]: []})
    meanings = {term["english"]: term["glossary"] for term in added} | meanings
    lines = ["# Glossary", "", "| English | 中文 | what it is | lesson |", "|---|---|---|---|"]
    for english in sorted(merged, key=str.casefold):
        where = sorted(set().union(*merged[english].values()))
        both = f"{english} | {' / '.join(merged[english])}"
        meaning = meanings.get(english, "").replace("*", r"\*")
        lines.append(f"| {both} | {meaning} | {', '.join(where)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    build()
