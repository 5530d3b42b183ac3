"""What a teacher projects and prints for each session: slides, run sheets, prediction sheets.

All of it comes from the plan of the sessions and from the notebooks: a step names a section of a
lesson, and the section has the questions to predict and the figures that answer them.
"""

import base64
import html
import io
import re
from collections.abc import Iterator, Sequence
from typing import Any

from nbconvert.filters import markdown2html
from nbformat import NotebookNode
from PIL import Image

Course = Sequence[tuple[Any, NotebookNode]]
HEADING = re.compile(r"^(##|###) (?!Exercise )(.+)$", re.MULTILINE)
QUESTION = re.compile(r"\*\*(?:Before you (?:run|go on)|Predict)\b")
LABEL = re.compile(r"\*\*(?:Before you (?:run|go on)[^*]*|Predict:?)\*\*[:,]?\s*(\w?)")
LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")
ROOM = "\n\n______________________________________________\n"
NEW_PAGE = '<div style="break-after: page"></div>'
DECK = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
html {{ scroll-snap-type: y mandatory; }}
body {{ margin: 0; font: 2.2vw/1.4 sans-serif; color: #222; }}
section {{ box-sizing: border-box; height: 100vh; padding: 3vh 5vw; scroll-snap-align: start;
  display: flex; flex-direction: column; justify-content: center; break-after: page; }}
h1 {{ font-size: 5vw; }} h2 {{ font-size: 3vw; margin: 0 0 2vh; }}
img {{ max-width: 100%; max-height: 84vh; margin: auto; object-fit: contain; }}
</style>
</head>
<body>
{slides}
<script>
const slides = [...document.querySelectorAll("section")];
addEventListener("keydown", (event) => {{
  const step = {{ ArrowRight: 1, ArrowDown: 1, PageDown: 1, " ": 1, ArrowLeft: -1, ArrowUp: -1,
    PageUp: -1 }}[event.key];
  if (!step) return;
  event.preventDefault();
  const now = slides.findIndex((slide) => slide.getBoundingClientRect().bottom > 10);
  slides[Math.min(slides.length - 1, Math.max(0, now + step))].scrollIntoView();
}});
</script>
</body>
</html>
"""


def pictures(cells: Sequence[NotebookNode]) -> Iterator[tuple[bytes, str]]:
    """The figures of some cells: each as PNG, with its alternative text."""
    for cell in cells:
        for output in cell.get("outputs", []):
            for kind, data in output.get("data", {}).items():
                if kind.startswith("image/"):
                    picture = base64.b64decode("".join(data.split()))
                    alt = output.metadata.get(kind, {}).get("alt", "")
                    yield picture if kind == "image/png" else as_png(picture), alt


def as_png(picture: bytes) -> bytes:
    """Convert a picture of another format to PNG."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(picture)).save(buffer, "PNG")
    return buffer.getvalue()


def section(notebook: NotebookNode, heading: str) -> list[NotebookNode]:
    """The cells of a section: from its heading to the next one, exercises included."""
    found, is_inside = [], False
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and HEADING.search(cell.source):
            is_inside = heading in (each[1] for each in HEADING.findall(cell.source))
        if is_inside:
            found.append(cell)
    return found


def questions(cells: Sequence[NotebookNode]) -> list[str]:
    """The paragraphs that ask for a prediction, without their label and without links."""
    sources = [cell.source for cell in cells if cell.cell_type == "markdown"]
    paragraphs = [each for source in sources for each in re.split(r"\n\s*\n", source)]
    asked = [LINK.sub(r"\1", each) for each in paragraphs if QUESTION.search(each)]
    return [LABEL.sub(lambda label: label[1].upper(), each) for each in asked]


def parts_of(session: dict, course: Course) -> Iterator[tuple[dict, list[NotebookNode]]]:
    """The steps of a session that name a section, each with the cells of that section."""
    notebooks = {lesson.number: notebook for lesson, notebook in course}
    for step in session["step"]:
        if step.get("lesson") in notebooks:
            yield step, section(notebooks[step["lesson"]], step["section"])


def deck(title: str, session: dict, course: Course) -> str:
    """Make the slides of a session: its questions and figures, a page for each."""
    slides = [f"<h1>{html.escape(title)}</h1>"]
    for step, cells in parts_of(session, course):
        head = f"<h2>{step['lesson']} · {html.escape(step['section'])}</h2>"
        asked = questions(cells)
        slides.append(head + "".join(markdown2html(question) for question in asked))
        for picture, alt in pictures(cells):
            data = base64.b64encode(picture).decode()
            slides.append(f'<img src="data:image/png;base64,{data}" alt="{html.escape(alt)}">')
    slides.append(f"<h2>To close</h2>{markdown2html(session['question'])}")
    made = "\n".join(f"<section>{slide}</section>" for slide in slides)
    return DECK.format(title=html.escape(title), slides=made)


def run_sheets(sessions: Sequence[dict]) -> str:
    """Make one page per session: what to do in which minute, and which answers to expect."""
    note = "Expected votes are our expectation, not a measurement. Write down what your class says."
    pages = ["# Run sheets", note]
    for number, session in enumerate(sessions, start=1):
        rows, begin = ["| minutes | what | expect | your class |", "|---|---|---|---|"], 0
        for step in session["step"]:
            end = begin + step["minutes"]
            where = f"**{step['lesson']} · {step['section']}.** " if "lesson" in step else ""
            what = f"{where}{step['what']} *({step['how']})*"
            rows.append(f"| {begin}–{end} | {what} | {step.get('vote', '')} | |")
            begin = end
        closing = f"**To close:** {session['question']} *A good answer:* {session['answer']}"
        head = f"## Session {number} · {session['title']}"
        pages += [head, "\n".join(rows), closing, NEW_PAGE]
    return "\n\n".join(pages[:-1]) + "\n"


def prediction_sheets(sessions: Sequence[dict], course: Course) -> str:
    """Make one sheet per session for learners: its questions, and room for an answer to each."""
    pages = [
        "# Prediction sheets",
        "Write your prediction *before* the cell is run. Wrong is fine.",
    ]
    for number, session in enumerate(sessions, start=1):
        asked = [
            f"**{step['lesson']} · {step['section']}.** {question}{ROOM}"
            for step, cells in parts_of(session, course)
            for question in questions(cells)
        ]
        pages += [f"## Session {number} · {session['title']}", "Name: ______________________"]
        pages += [*asked, NEW_PAGE]
    return "\n\n".join(pages[:-1]) + "\n"
