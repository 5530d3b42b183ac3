"""What the class kit reads from the notebooks: questions, figures, exercises, lengths, terms."""

import base64
import io
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from nbformat import NotebookNode
from PIL import Image

from tools.notebooks import Lesson, tags

Course = Sequence[tuple[Lesson, NotebookNode]]

CARD = re.compile(
    r"^### Exercise (?P<number>\d+) · (?P<dots>[●○]+) · (?P<minutes>\d+) min · "
    r"(?P<title>[^\n]+)(?P<text>.*)",
    re.MULTILINE | re.DOTALL,
)
HEADING = re.compile(r"##+ (.+)")
FOLDED = re.compile(r"<details><summary>(Case \w)</summary>\s*(.+?)\s*</details>", re.DOTALL)
# the ways in which lessons ask for a prediction: **Before you look:**, *Predict first: …*
ASKS = re.compile(r"\*(?:Before you|Predict|Play\b|Move|Now make|Now you set|For each letter)")
LABEL = re.compile(
    r"\*\*(?:Before you|Predict|Play\b)[^*]*\*\*[:,.]?\s*(\w?)"
    r"|(?<=\*)(?:Before you [^:*]*|Predict first): (\w)"
)
LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")
# "JS 散度" and "U 形网络": one or two capitals may belong to the Chinese term
TERM = re.compile(r"(.+?) ((?:[A-Z]{1,2} )?[\u4e00-\u9fff].*)")


class Exercise(NamedTuple):
    """An exercise of a lesson, with its solution."""

    number: int
    dots: str
    minutes: int
    title: str
    text: str
    solution: str
    folded: tuple[str, ...] = ()  # answers below the solution that the lesson folds away, unfolded


class Item(NamedTuple):
    """A question, an exercise or an output of a lesson, as Markdown."""

    kind: str
    section: str  # the heading above it
    text: str
    number: int = 0  # of an exercise in its lesson, of a question on its prediction sheet
    answer: str = ""  # the first paragraph below a question's output


def items(notebook: NotebookNode) -> Iterator[Item]:
    """Yield the questions, exercises and outputs of a lesson in its order."""
    section = ""
    for index, cell in enumerate(notebook.cells):
        if {"exercise", "solution", "teacher"} & set(tags(cell)):
            continue
        if cell.cell_type == "code":
            for text in shown(cell):
                yield Item("output", section, text)
            continue
        card = CARD.search(cell.source)
        for paragraph in paragraphs(cell.source[: card.start() if card else None]):
            if heading := HEADING.match(paragraph):
                section = heading[1]
            elif ASKS.search(paragraph):
                answer = answer_below(notebook.cells[index:])
                yield Item("question", section, plain(paragraph), answer=answer)
            elif paragraph.startswith("|"):
                yield Item("output", section, without_links(paragraph))
        if card:
            text = f"## Exercise {card['number']} · {card['title']}{card['text']}"
            yield Item("exercise", section, without_links(text), int(card["number"]))


def paragraphs(source: str) -> list[str]:
    """The paragraphs of a text."""
    return re.split(r"\n\s*\n", source.strip())


def without_links(text: str) -> str:
    """Replace links by their words: on paper and on slides they lead nowhere."""
    return LINK.sub(r"\1", text)


def plain(question: str) -> str:
    """A question without its label and without links."""
    return LABEL.sub(lambda label: (label[1] or label[2] or "").upper(), without_links(question))


def answer_below(cells: Sequence[NotebookNode]) -> str:
    """The first paragraph below the next output; "" if it is a heading or a question."""
    code = next((i for i, cell in enumerate(cells) if cell.cell_type == "code"), len(cells))
    texts = [cell.source for cell in cells[code:] if cell.cell_type == "markdown"]
    below = paragraphs(without_links(texts[0])) if texts else [""]
    return "" if HEADING.match(below[0]) or ASKS.search(below[0]) else below[0]


def shown(cell: NotebookNode) -> Iterator[str]:
    """Yield a cell's pictures and tables, each with the text shown right before it.

    Printed text counts only where a prediction was asked for; elsewhere it is about the machine.
    """
    said = ""
    for output in cell.get("outputs", []):
        is_print = output.output_type == "stream"
        text = printed(output)
        if is_print and "predict" not in tags(cell) or not text:
            continue
        if is_print or "text/markdown" in output.get("data", {}):
            said += f"{text}\n\n"
        else:
            yield said + text
            said = ""
    if said:
        yield said.strip()


def printed(output: NotebookNode) -> str:
    """An output as Markdown: a picture with its text, or what a notebook shows."""
    if output.output_type == "stream":
        return f"```\n{output.text.rstrip()}\n```"
    data = output.get("data", {})
    for kind in (kind for kind in data if kind.startswith("image/")):
        alt = output.metadata[kind]["alt"]
        return f"![{alt}](data:{kind};base64,{''.join(data[kind].split())})"
    return data.get("text/markdown") or data.get("text/html", "")


def pictures(notebook: NotebookNode) -> Iterator[bytes]:
    """Yield the figures of a lesson as PNG."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            for kind, data in output.get("data", {}).items():
                if kind.startswith("image/"):
                    picture = base64.b64decode("".join(data.split()))
                    yield picture if kind == "image/png" else as_png(picture)


def as_png(picture: bytes) -> bytes:
    """Convert a picture of another format to PNG."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(picture)).save(buffer, "PNG")
    return buffer.getvalue()


def exercises(notebook: NotebookNode) -> list[Exercise]:
    """A lesson's exercises: each card, the solution two cells below, folded answers below that."""
    found = []
    below = [*notebook.cells[3:], NotebookNode(source="")]
    for card, _, solution, after in zip(
        notebook.cells, notebook.cells[1:], notebook.cells[2:], below
    ):
        shape = CARD.search(card.source) if card.cell_type == "markdown" else None
        if shape and "solution" in tags(solution):
            number, minutes = int(shape["number"]), int(shape["minutes"])
            text = shape["text"].strip()
            folded = tuple(
                f"**{summary}.** {answer.strip()}"
                for summary, answer in FOLDED.findall(after.source)
            )
            found.append(
                Exercise(
                    number, shape["dots"], minutes, shape["title"], text, solution.source, folded
                )
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


def notes(notebook: NotebookNode) -> str:
    """The text of the teacher's cell, unfolded."""
    return notebook.cells[-1].source.partition("</summary>")[2].partition("</details>")[0].strip()


def key_terms(notebook: NotebookNode) -> list[tuple[str, str]]:
    """A lesson's key terms, English and Chinese."""
    terms = notebook.cells[0].source.partition("**Key terms**")[2].split("·")
    return [shape.groups() for term in terms if (shape := TERM.fullmatch(term.strip()))]
