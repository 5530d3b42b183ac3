"""Build the class kit: all that a teacher needs, from the same notebooks that the class works with.

    make class

Minutes, questions, exercises, solutions and key terms are read off the notebooks. What is written
for teachers alone stands in `class_texts/`: the guide and the project as pages; the plan of six
sessions, the quiz, results on paper and the glossary's meanings as data, since they are compared
with the notebooks or printed twice.
"""

import html
import random
import re
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from docutils.utils.math.latex2mathml import tex2mathml
from nbconvert.filters import markdown2html
from nbformat import NotebookNode
from pygments.formatters import HtmlFormatter

from tools import ROOT
from tools.notebooks import Lesson, described, read, table, tags, without_solutions, write

KIT = ROOT / "build" / "class"
TEXTS = Path(__file__).with_name("class_texts")
CARD = re.compile(
    r"^### Exercise (?P<number>\d+) · (?P<dots>[●○]+) · (?P<minutes>\d+) min · "
    r"(?P<title>[^\n]+)(?P<text>.*)",
    re.MULTILINE | re.DOTALL,
)
# "JS 散度" and "U 形网络": one or two capitals may belong to the Chinese term
TERM = re.compile(r"(.+?) ((?:[A-Z]{1,2} )?[\u4e00-\u9fff].*)")
FORMULA = re.compile(  # not in code
    r"```.*?```|`[^`\n]+`|\$\$(?P<block>.+?)\$\$|\$(?P<inline>[^$\n]+)\$", re.DOTALL
)
HEADING = re.compile(r'<h([23]) id="([^"]+)">(.+?)<a class="anchor-link"')
LETTERS = "ABCD"
PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{code_style}
body {{ max-width: 46rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.5 sans-serif; }}
h1, h2, h3 {{ line-height: 1.2; break-after: avoid; }}
h2 {{ margin-top: 2.5rem; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ border: 1px solid #999; padding: 0.3rem 0.5rem; text-align: left; vertical-align: top; }}
pre {{ white-space: pre-wrap; background: #f4f4f4; padding: 0.5rem; }}
tr, pre, li {{ break-inside: avoid; }}
a {{ color: #0b5394; }}
.anchor-link {{ display: none; }}
.contents {{ columns: 2; }}
.level3 {{ margin-left: 1.5rem; }}
img {{ max-width: 100%; }}
p:has(+ p > img) {{ break-after: avoid; }}
@media print {{ body {{ margin: 0; max-width: none; font-size: 11pt; }} }}
</style>
</head>
<body>
{body}
</body>
</html>
"""
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
    quiz = load("quiz")["question"]
    texts = {
        "teachers_guide": guide(course),
        "answers": answers(course),
        "case_files": case_files(course),
        "quiz_key": quiz_key(quiz),
        "quiz_before": quiz_sheet(quiz, "before"),
        "quiz_after": quiz_sheet(quiz, "after"),
        "project": (TEXTS / "project.md").read_text("utf-8"),
        "glossary": glossary(course),
    }
    out.mkdir(parents=True, exist_ok=True)
    for lesson, notebook in course:
        write(without_solutions(notebook), out / "notebooks" / f"{lesson.name}.ipynb")
    for name, text in texts.items():
        (out / f"{name}.md").write_text(text, "utf-8")
        (out / f"{name}.html").write_text(page(text), "utf-8")
    print(f"{out}: {len(texts)} texts, {len(course)} lessons; begin with teachers_guide.html")


def load(name: str) -> dict:
    """Read a text that is kept as data: "plan", "quiz", "on_paper" or "meanings"."""
    return tomllib.loads((TEXTS / f"{name}.toml").read_text("utf-8"))


def page(text: str) -> str:
    """Make a web page of Markdown, which needs no other file and no network."""
    title = html.escape(text.partition("\n")[0].removeprefix("# "))
    style = HtmlFormatter().get_style_defs(".highlight")
    body = with_contents(markdown2html(FORMULA.sub(mathml, text)))
    return PAGE.format(title=title, code_style=style, body=body)


def with_contents(body: str) -> str:
    """Put links to a long page's headings under its title; exercises are left out."""
    headings = [found for found in HEADING.findall(body) if not found[2].startswith("Exercise ")]
    if len(headings) < 8:
        return body
    lines = "\n".join(
        f'<div class="level{level}"><a href="#{where}">{heading}</a></div>'
        for level, where, heading in headings
    )
    return body.replace("</h1>", f'</h1><nav class="contents">\n{lines}\n</nav>', 1)


def mathml(found: re.Match) -> str:
    """Write a formula as MathML, which browsers show without a script; leave code as it is."""
    latex = found["block"] or found["inline"]
    if not latex:
        return found[0]
    return " ".join(tex2mathml(latex, as_block=bool(found["block"])).split())


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
        "table": table(),
        "plan": "\n\n".join(
            session_page(number, session, course)
            for number, session in enumerate(load("plan")["session"], start=1)
        ),
        "lessons": "\n\n".join(lesson_notes(lesson, notebook) for lesson, notebook in course),
    }
    for name, part in parts.items():
        text = text.replace(f"<!-- {name} -->", part)
    return relink(text)


def session_page(number: int, session: dict, course: Course) -> str:
    """One session: goal, preparation, 45 minutes, homework, and what to do with more or less."""
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
            f"**Laptops:** {'one a pair: ' + '; '.join(laptops) if laptops else 'none'}.",
            "**Prepare**\n\n" + "\n".join(f"- {line}" for line in session["prepare"]),
            "\n".join(rows),
            f"**To close:** {session['question']} *A good answer:* {session['answer']}",
            f"**At home** ({sum(minutes for minutes, _ in home)} min)\n\n"
            + "\n".join(line for _, line in home),
            f"**Short of time:** {session['short']} **The class is quick:** {session['quick']}",
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
    begin = next(i for i, each in enumerate(cells) if each.source.startswith("## Eight case files"))
    parts = ["# Case files", "From lesson 07, to print."]
    for cell in cells[begin:]:
        if CARD.search(cell.source):
            break
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if picture := data.get("image/png"):
                alt = output.metadata["image/png"]["alt"]
                parts.append(f"![{alt}](data:image/png;base64,{''.join(picture.split())})")
            else:
                parts.append(data.get("text/markdown") or data.get("text/html", ""))
    return relink("\n\n".join(parts)) + "\n"


def glossary(course: Course) -> str:
    """Key terms in English and Chinese, each once: what it means, and where it is explained."""
    meanings = load("meanings")
    merged: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for lesson, notebook in course:
        for english, chinese in key_terms(notebook):
            merged[english][chinese].append(lesson.number)
    lines = ["# Glossary", "", "| English | 中文 | what it is | lesson |", "|---|---|---|---|"]
    for english in sorted(merged, key=str.casefold):
        where = sorted(set().union(*merged[english].values()))
        both = f"{english} | {' / '.join(merged[english])}"
        meaning = meanings.get(english, "").replace("*", r"\*")
        lines.append(f"| {both} | {meaning} | {', '.join(where)} |")
    return "\n".join(lines) + "\n"


# --- the quiz ---


def options(question: dict, when: str) -> list[tuple[str, str]]:
    """A question's options in the order of one sheet: (text, misconception; "" for the right one).

    The right one stands where `places` says; the others are mixed, always in the same way.
    """
    mixed = [*map(tuple, question["wrong"])]
    random.Random(f"{when}: {question['text']}").shuffle(mixed)
    place = question["places"][("before", "after").index(when)]
    mixed.insert(LETTERS.index(place), (question["right"], ""))
    return mixed


def quiz_sheet(quiz: list[dict], when: str) -> str:
    """The sheet for learners; `when` is "before" or "after"."""
    lines = [
        f"# Quiz · {when} the course",
        "Name: ______________________ Date: ______________",
        "One answer to each question. It is not marked. If you do not know, say so: that helps.",
    ]
    for number, question in enumerate(quiz, start=1):
        lines.append(f"**{number}.** {question['text']}")
        mixed = options(question, when)
        choices = [f"☐ {letter}. {text}" for letter, (text, _) in zip(LETTERS, mixed)]
        lines.append("  \n".join([*choices, "☐ I do not know yet."]))
    return "\n\n".join(lines) + "\n"


def quiz_key(quiz: list[dict]) -> str:
    """The teacher's key: right answers of both sheets, and what each wrong one stands for."""
    parts = ["# Quiz · key", "For teachers. The two sheets have their options in different orders."]
    for number, question in enumerate(quiz, start=1):
        letters = {
            when: {text: letter for letter, (text, _) in zip(LETTERS, options(question, when))}
            for when in ("before", "after")
        }
        rows = ["| before | after | option | what it stands for |", "|---|---|---|---|"]
        for text, means in [(question["right"], "**right**"), *question["wrong"]]:
            row = f"| {letters['before'][text]} | {letters['after'][text]} | {text} | {means} |"
            rows.append(row)
        parts += [f"**{number}.** {question['text']}", "\n".join(rows)]
        parts.append(f"Take up again: lesson {question['lesson']}.")
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    build()
