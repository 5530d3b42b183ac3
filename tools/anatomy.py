"""The anatomy of a lesson, as rules: each finds faults in a notebook and says what is wrong.

tests/tools/test_notebooks.py applies them to every notebook; a writer asks for them by

    python -m tools.anatomy 01_color_spaces
"""

import ast
import re
from collections.abc import Iterator
from statistics import median

import nbformat
import tyro
from nbformat import NotebookNode

from tools.notebooks import (
    BADGE,
    NO_BADGE,
    REPOSITORY,
    SETUP,
    code_cells,
    code_hash,
    describe,
    names,
    read,
    tags,
)

LARGEST = 1_000_000  # bytes of a notebook
CELLS = range(20, 56)
MOST_WORDS = 3800  # of Markdown, without the Chinese summary and the teacher's cell
LONGEST_MEDIAN = 8  # lines of a code cell
EXERCISE = re.compile(r"^### Exercise (\d+) · (●○○|●●○|●●●) · \d+ min · \S", re.MULTILINE)
CHECK = re.compile(r"checks\.(\w+)\(.+\)$")
ABSOLUTE = re.compile(r"""(?<![\w.~:/<}-])(/(?!content/course)[\w.-]+/[\w./-]+|[A-Z]:\\)""")
HIDDEN = {"source_hidden": True, "outputs_hidden": True}
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def faults(name: str, notebook: NotebookNode) -> list[str]:
    """Find all faults of a lesson.

    Args:
        name: Its name, such as 01_color_spaces.
        notebook: The notebook with its outputs.

    Returns:
        A sentence for each fault.
    """
    rules = (*OUTPUT_RULES, *LESSON_RULES, *LENGTH_RULES)
    found = [fault for rule in rules for fault in rule(notebook)]
    return found + list(_opening(name, notebook))


def words(notebook: NotebookNode) -> int:
    """Count the words of a lesson that a learner reads: its Markdown, code and addresses left out.

    The Chinese summary and the teacher's cell do not count.
    """
    own = [c.source for c in notebook.cells if c.cell_type == "markdown" and not tags(c)]
    text = re.sub(r"^\*\*中文\*\*.*?(?=^\*\*Key terms)", "", "\n".join(own), flags=re.M | re.S)
    text = re.sub(r"```.*?```|\$\$.*?\$\$|\]\([^)]*\)", " ", text, flags=re.DOTALL)
    return len(re.findall(r"\b[^\W\d_][\w'’-]*", text))


# --- what any committed notebook keeps ---


def _fresh(notebook: NotebookNode) -> Iterator[str]:
    if notebook.metadata.get("colorlib", {}).get("code_hash") != code_hash(notebook):
        yield "code has changed since the outputs were made: execute it again"
    counts = [cell.execution_count for cell in code_cells(notebook)]
    if counts != list(range(1, len(counts) + 1)):
        yield f"execution counts are not 1, 2, 3, ...: {counts}"


def _clean(notebook: NotebookNode) -> Iterator[str]:
    if "widgets" in notebook.metadata:
        yield "widget state is stored in the metadata"
    if len(nbformat.writes(notebook)) > LARGEST:
        yield f"larger than {LARGEST:,} bytes: fewer or smaller pictures"
    for cell, output in _outputs(notebook):
        if output.output_type == "error":
            yield f"the outputs contain an error: {_start(cell)}"
        if output.get("name") == "stderr":
            yield f"the outputs contain a warning: {_start(cell)}: {output.text[:80]!r}"


def _portable(notebook: NotebookNode) -> Iterator[str]:
    for cell in code_cells(notebook):
        if "setup" not in tags(cell) and re.search(r"\bsys\.path\b", cell.source):
            yield f"sys.path in: {_start(cell)}"
        found = ABSOLUTE.search(re.sub(r"https?://\S+", "", cell.source))
        if found:
            yield f"absolute path {found[0]!r} in: {_start(cell)}"
    for cell, output in _outputs(notebook):
        found = re.search(
            r"(?<![\w.~-])/(home|Users|root|tmp|work)/\w", str(output.get("text", ""))
        )
        if found:
            yield f"absolute path {found[0]!r} printed by: {_start(cell)}"


# --- what a lesson has ---


def _opening(name: str, notebook: NotebookNode) -> Iterator[str]:
    first = notebook.cells[0].source
    try:
        lesson = describe(name, notebook)
    except ValueError as error:
        yield str(error)
        return
    if lesson.number != name[:2]:
        yield f"the title says lesson {lesson.number}"
    badges = BADGE.format(repository=REPOSITORY, name=name), NO_BADGE
    if not any(badge in first for badge in badges):
        yield f"neither the Colab badge of this lesson nor {NO_BADGE} in the first cell"
    objectives = re.search(r"\*\*You will be able to\*\*\n\n((?:- .+\n(?:  .+\n)*)+)", first)
    if not objectives or not 3 <= len(re.findall("^- ", objectives[1], re.MULTILINE)) <= 5:
        yield "no **You will be able to** with 3 to 5 points in the first cell"
    if "**You need**" not in first:
        yield "no **You need** in the first cell"
    chinese = first.partition("**中文**")[2].partition("**Key terms**")[0].strip().splitlines()
    if len([line for line in chinese if CHINESE.search(line)]) < 4:
        yield "no **中文** with the question and a summary in three lines in the first cell"
    terms = first.partition("**Key terms**")[2].split("·")
    if len([term for term in terms if CHINESE.search(term) and re.search("[A-Za-z]", term)]) < 4:
        yield "fewer than four **Key terms** in both languages: term 术语 · term 术语"
    following = names()[names().index(name) + 1 :][:1] if name in names() else []
    if following and f"({following[0]}.ipynb)" not in "\n".join(_markdown(notebook)):
        yield f"no link to the next lesson, {following[0]}.ipynb"


def _figures(notebook: NotebookNode) -> Iterator[str]:
    for index, cell in enumerate(notebook.cells):
        kinds = [
            (kind, output)
            for output in cell.get("outputs", [])
            for kind in output.get("data", {})
            if kind.startswith("image/")
        ]
        if not all(output.metadata.get(kind, {}).get("alt", "").strip() for kind, output in kinds):
            yield f"a picture without alternative text (use figures.show): {_start(cell)}"
        following = notebook.cells[index + 1 : index + 2]
        if kinds and (not following or following[0].cell_type != "markdown"):
            yield f"no sentence follows the figure of: {_start(cell)}"


def _sections(notebook: NotebookNode) -> Iterator[str]:
    headings = [line for source in _markdown(notebook) for line in _headings(source)]
    if len([line for line in headings if line.startswith("# ")]) != 1:
        yield "there must be one # heading, the title"
    for section in ("Summary", "Limits", "Read on"):
        if f"## {section}" not in headings:
            yield f"no section ## {section}"
    last = notebook.cells[-1]
    if tags(last) != ["teacher"] or "<details>" not in last.source:
        yield "the last cell must be the teacher's: tag teacher, folded in <details>"


def _beginning(notebook: NotebookNode) -> Iterator[str]:
    setup, begin = [*code_cells(notebook), *[nbformat.v4.new_code_cell()] * 2][:2]
    if tags(setup) != ["setup"] or setup.source != SETUP.format(repository=REPOSITORY):
        yield "the first code cell must be the set-up cell: SETUP, tag setup"
    if not re.search(r"^setting = begin\(seed=\d+", begin.source, re.MULTILINE):
        yield "the second code cell must call setting = begin(seed=...)"


def _sizes(notebook: NotebookNode) -> Iterator[str]:
    middle = median(len(cell.source.splitlines()) for cell in code_cells(notebook))
    if middle > LONGEST_MEDIAN:
        yield f"the median code cell has {middle} lines; at most {LONGEST_MEDIAN} are wanted"


def _exercises(notebook: NotebookNode) -> Iterator[str]:
    cells, count = notebook.cells, 0
    for index, cell in enumerate(cells):
        if "exercise" not in tags(cell):
            continue
        count += 1
        card, solution = cells[index - 1], (cells + [cell])[index + 1]
        heading = EXERCISE.search(card.source) if card.cell_type == "markdown" else None
        if not heading or int(heading[1]) != count:
            yield f"no card '### Exercise {count} · ●○○ · 5 min · ...' above: {_start(cell)}"
        stub_check, own_check = (CHECK.search(each.source) for each in (cell, solution))
        if not stub_check or not _verdict(cell).startswith("not done yet: "):
            yield f"exercise {count}: the stub must end with its check and say 'not done yet'"
        if "solution" not in tags(solution) or not own_check or own_check[1] != stub_check[1]:
            yield f"exercise {count}: its solution, with the same check, must follow"
        elif not _verdict(solution).startswith("right: "):
            yield f"exercise {count}: its solution must end with 'right: '"
        elif solution.metadata.get("jupyter") != HIDDEN:
            yield f"exercise {count}: its solution must be folded: metadata jupyter = {HIDDEN}"
    if not 3 <= count <= 5:
        yield f"{count} exercises; 3 to 5 are wanted"


def _learners_copy(notebook: NotebookNode) -> Iterator[str]:
    """Cells outside of an exercise must not need it: the learner's copy has no solutions."""
    ordinary = [c for c in code_cells(notebook) if not {"exercise", "solution"} & set(tags(c))]
    own = [c for c in code_cells(notebook) if {"exercise", "solution"} & set(tags(c))]
    elsewhere = set().union(*(_names(cell, ast.Store) for cell in ordinary))
    for cell in ordinary:
        for other in own:
            needed = (_names(other, ast.Store) - elsewhere) & _names(cell, ast.Load)
            if needed:
                yield f"an exercise's {sorted(needed)} is used later: {_start(cell)}"


def _length(notebook: NotebookNode) -> Iterator[str]:
    if len(notebook.cells) not in CELLS:
        yield f"{len(notebook.cells)} cells; {CELLS[0]} to {CELLS[-1]} are wanted"
    if words(notebook) > MOST_WORDS:
        yield f"{words(notebook):,} words; at most {MOST_WORDS:,} are wanted"


OUTPUT_RULES = [_fresh, _clean, _portable]
LESSON_RULES = [_figures, _sections, _beginning, _sizes, _exercises, _learners_copy]
LENGTH_RULES = [_length]


def _names(cell: NotebookNode, context: type) -> set[str]:
    """Names that a cell binds at its top level (ast.Store) or uses anywhere (ast.Load)."""
    source = re.sub(r"^(\s*)[!%].*$", r"\1pass", cell.source, flags=re.MULTILINE)
    tree = ast.parse(source)
    if context is ast.Load:
        return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    found = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
        else:
            stored = (n for n in ast.walk(node) if isinstance(n, ast.Name))
            found.update(n.id for n in stored if isinstance(n.ctx, ast.Store))
    return found


def _outputs(notebook: NotebookNode) -> Iterator[tuple[NotebookNode, NotebookNode]]:
    return ((cell, output) for cell in code_cells(notebook) for output in cell.outputs)


def _verdict(cell: NotebookNode) -> str:
    """The last line that a cell has printed."""
    text = "".join(output.text for output in cell.outputs if output.get("name") == "stdout")
    return (text.splitlines() or [""])[-1]


def _markdown(notebook: NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


def _headings(source: str) -> list[str]:
    text = re.sub(r"^```.*?^```", "", source, flags=re.MULTILINE | re.DOTALL)
    return [line for line in text.splitlines() if re.match("#+ ", line)]


def _start(cell: NotebookNode) -> str:
    return repr((cell.source.splitlines() or [""])[0][:60])


def check(chosen: tyro.conf.Positional[tuple[str, ...]] = ()) -> None:
    """Say how long a lesson is and which rules it breaks; all lessons by default.

    Args:
        chosen: Names without .ipynb.

    Raises:
        SystemExit: there are faults.
    """
    found = []
    for name in chosen or names():
        notebook = read(name)
        found += [f"{name}: {fault}" for fault in faults(name, notebook)]
        print(f"{name}: {len(notebook.cells)} of {CELLS[-1]} cells,", end=" ")
        print(f"{words(notebook):,} of {MOST_WORDS:,} words")
    print("\n".join(found) or "no faults")
    raise SystemExit(bool(found))


if __name__ == "__main__":
    tyro.cli(check)
