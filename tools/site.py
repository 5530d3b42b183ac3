"""Build the course's website from the committed notebooks, without executing them.

    python -m tools.site

Sphinx and myst-nb do the work, offline, configured in site/conf.py; `make site` installs them.
`prepare` writes what they read into build/site-source/, `build` makes the pages in build/site/, and
`site_faults` looks through these pages.
"""

import re
import shutil
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from urllib.parse import urlsplit

from nbformat import NotebookNode

import colorlib
from tools import ROOT, notebooks, web_page
from tools.notebooks import BADGE_LINE, REPOSITORY, UNPUBLISHED, names, read, tags, write
from tools.site_faults import faults
from tools.sliders import add_sliders

SOURCE = ROOT / "build" / "site-source"
SITE = ROOT / "build" / "site"
CONFIGURATION = ROOT / "site"
ONLINE = f"https://github.com/{REPOSITORY}/blob/main"  # of files that have no page
PAGES = {  # file -> page; those of site/pages keep their names
    "README.md": "index.md",
    "README.zh.md": "chinese.md",
    "data/README.md": "data.md",
    "CONTRIBUTING.md": "contributing.md",
}
ABOUT = ("install", "results", "reliability", "files", "data", "references", "contributing")
CHINESE_PAGES = ("chinese", "tutorial_zh")
PICTURES = (".png", ".jpg", ".svg")

CONTENTS = """
```{{toctree}}
:hidden:
:caption: {caption}

{pages}
```
"""
MODULE = """\
{name}
{line}

.. automodule:: {name}
   :members:
   :member-order: bysource
"""
# What Sphinx, furo and myst-nb write against the rules of screen readers, and how it should be.
FIXES = {
    r'<p class="caption" role="heading"': r'\g<0> aria-level="2"',
    r'<summary aria-label="Toggle hidden content">': "<summary>",
    r'<dd>(<em class="sig-param">.*</em>,)</dd>': r"<li>\1</li>",  # no terms: a list
    r"<dl>(?=\s*<li>)": "<ul>",
    r"(</li>\s*)</dl>": r"\1</ul>",
    # Chinese links and captions on English pages
    r'(<span class="(?:caption-text|doc|std std-doc)")(?=>[\u4e00-\u9fff])': r'\1 lang="zh-Hans"',
    r'(<a class="reference internal" href="[^"]*")(?=>[\u4e00-\u9fff])': r'\1 lang="zh-Hans"',
}
COLOR_BUTTON = '<a class="button" href="color.html">Color a photo in your browser</a>'
LINK = re.compile(r"(!?)\[([^\[\]]*)\]\(([^)\s]+)\)")
BADGE = re.compile(r"^\[!\[Open in Colab\]\(.*?\)\]\((.*)\)$", re.MULTILINE)
BADGES = re.compile(r"<!-- badges -->.*?<!-- /badges -->\n*", re.DOTALL)
CHINESE_PART = re.compile(r"^\*\*中文\*\*.*?(?=^\*\*Key terms\*\*)", re.MULTILINE | re.DOTALL)
CHINESE = re.compile(r"[\u4e00-\u9fff]+")
SOLUTION = re.compile(r"\A# @title (.+)\n")
PREDICTION = re.compile(r"\*\*(?:Before you (?:run|go on)|Predict)\b")


def main() -> None:
    """Build the whole site into build/site/ and look through it.

    Raises:
        SystemExit: Sphinx warned of something, or the pages have faults.
    """
    prepare(SOURCE)
    found = [*build(SOURCE, SITE), *faults(SITE)]
    if REPOSITORY != UNPUBLISHED and not (SITE / web_page.PAGE).exists():
        found.append(f"{web_page.PAGE} is missing, to which the README links")
    print("\n".join(found) or f"{len(list(SITE.rglob('*.html')))} pages; no faults")
    raise SystemExit(bool(found))


# --- lessons ---


def prepare(source: Path) -> None:
    """Write what Sphinx reads: lessons, pages, and a page for each module of the package."""
    shutil.rmtree(source, ignore_errors=True)
    for folder in ("downloads", "images", "modules"):
        (source / folder).mkdir(parents=True)
    for name in names():
        write(lesson_page(name, read(name), source), source / f"{name}.ipynb")
        shutil.copy(notebooks.FOLDER / f"{name}.ipynb", source / "downloads")
    modules = dict(re.findall(r"^    (\w+)  +(\S.*)", colorlib.__doc__, re.MULTILINE))
    for name in (f"colorlib.{module}" for module in modules):
        page = MODULE.format(name=name, line="=" * len(name))
        (source / "modules" / f"{name}.rst").write_text(page, "utf-8")
    for name, page in pages(source, modules).items():
        (source / name).write_text(page, "utf-8")


def lesson_page(name: str, notebook: NotebookNode, source: Path) -> NotebookNode:
    """Make a lesson into a page: sliders, folded cells, links to pages of the site."""
    page = deepcopy(notebook)
    page.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}  # knows %pip
    before = ""
    for cell in page.cells:
        if cell.cell_type == "code":
            fold(cell, before)
            add_sliders(cell, notebooks.FRAMES / name)
        else:
            before = cell.source
            cell.source = relink(cell.source, notebooks.FOLDER, source)
    page.cells[0].source = opening(name, page.cells[0].source)
    return page


def fold(cell: NotebookNode, before: str = "") -> None:
    """Hide what a reader should not see at once behind a line that opens it.

    That is a solution with its output, imports, and the output of a cell that the reader should
    predict: one tagged `predict`, or one below a text with a bold **Before you run ...**,
    **Before you go on ...** or **Predict ...**, up to the next text.

    Args:
        cell: A code cell; its tags change.
        before: The nearest text above it, "" if there is none.
    """
    solution = SOLUTION.match(cell.source)
    is_predicted = "predict" in tags(cell) or PREDICTION.search(before)
    if "solution" in tags(cell) and solution:
        hidden, label = "hide-cell", solution[1]
        cell.source = cell.source[solution.end() :]
    elif "setup" in tags(cell):
        hidden, label = "hide-input", "Set-up on Colab"
    elif "begin(seed=" in cell.source:
        hidden, label = "hide-input", "Imports"
    elif is_predicted and cell.outputs and "exercise" not in tags(cell):
        hidden, label = "hide-output", "Show what happens"
    else:
        return
    prompts = {"code_prompt_show": label, "code_prompt_hide": label}
    cell.metadata.update(tags=[hidden], mystnb=prompts)


def opening(name: str, text: str) -> str:
    """Mark the Chinese in a lesson's first cell, and replace its badge by links.

    There is a link to Colab only once `make publish` has stamped an address.
    """
    links = f"{{download}}`Download the notebook <downloads/{name}.ipynb>`"
    if REPOSITORY != UNPUBLISHED and (badge := BADGE.search(text)):
        links = f"[Open in Colab]({badge[1]}) · {links}"
    text = BADGE_LINE.sub(links, text)
    text = CHINESE_PART.sub(lambda part: f'<div lang="zh-Hans">\n\n{part[0]}</div>\n\n', text)
    before, key_terms, terms = text.partition("**Key terms**")
    return before + key_terms + CHINESE.sub(r'<span lang="zh-Hans">\g<0></span>', terms)


# --- other pages ---


def pages(source: Path, modules: dict[str, str]) -> dict[str, str]:
    """Make the other pages: the README as front page, those of site/pages, and Chinese ones.

    Args:
        source: The folder that Sphinx reads; pictures are copied into it.
        modules: name -> what the package's docstring says of it.
    """
    root = notebooks.FOLDER.parent
    files = {root / file: page for file, page in PAGES.items()}
    files |= {path: path.name for path in sorted((root / "site" / "pages").glob("*.md"))}
    made = {
        page: relink(path.read_text("utf-8"), path.parent, source)
        for path, page in files.items()
        if path.exists()
    }
    reference = [f"modules/colorlib.{module}" for module in modules]
    lines = [
        f"- [`colorlib.{module}`](modules/colorlib.{module}.rst): {what}"
        for module, what in modules.items()
    ]
    for page in made:
        made[page] = made[page].replace("<!-- modules -->", "\n".join(["## Modules\n", *lines]))
    there = [page.removesuffix(".md") for page in made]
    contents = {
        "Lessons": names(),
        "The course": [page for page in ABOUT if page in there],
        "中文": [page for page in CHINESE_PAGES if page in there],
        "The package": [*(page for page in ("package",) if page in there), *reference],
    }
    trees = [CONTENTS.format(caption=c, pages="\n".join(p)) for c, p in contents.items() if p]
    made["index.md"] = front_page(made["index.md"]) + "\n".join(["", *trees])
    return made


def front_page(readme: str) -> str:
    """Make the README into the front page: no badges, and buttons that lead into the course."""
    lesson_button = f'<a class="button" href="{names()[0]}.html">Start with the first lesson</a>'
    ways_in = f'<p class="buttons">{COLOR_BUTTON} {lesson_button}</p>\n\n'
    return BADGES.sub("", readme).replace("## Start\n", f"{ways_in}## Start\n", 1)


def relink(text: str, folder: Path, source: Path) -> str:
    """Lead a text's relative links to pages of the site, and all others to the file on GitHub.

    Before `make publish` there is no address on GitHub: of such a link, the words remain.

    Args:
        text: Markdown.
        folder: What its links are relative to.
        source: What Sphinx reads; pictures are copied into its folder `images`.
    """
    root = notebooks.FOLDER.parent.resolve()

    def lead(link: re.Match) -> str:
        path, *anchor = link[3].split("#")
        file = (folder / path).resolve()
        if urlsplit(link[3]).scheme or not path or not file.exists():  # Sphinx finds dead ones
            return link[0]
        name = file.relative_to(root).as_posix()
        words = " ".join(link[2].split())  # MyST would join words at a line break
        if file.suffix in PICTURES:
            shutil.copy(file, source / "images")
            return f"{link[1]}[{words}](images/{file.name})"
        is_page = file.suffix == ".ipynb" or file.parent.name == "pages"
        page = file.name if is_page else PAGES.get(name)
        if not page and REPOSITORY == UNPUBLISHED:
            return words
        return f"[{words}]({'#'.join([page or f'{ONLINE}/{name}', *anchor])})"

    return LINK.sub(lead, text)


# --- Sphinx ---


def build(source: Path, site: Path) -> list[str]:
    """Build all pages from scratch, and return the warnings of Sphinx."""
    shutil.rmtree(site, ignore_errors=True)
    options = ["--quiet", "--no-color", f"--conf-dir={CONFIGURATION}"]
    folders = [f"--doctree-dir={source / '.doctrees'}", source, site]
    command = [sys.executable, "-m", "sphinx", *options, *folders]
    done = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, encoding="utf-8")
    for path in site.rglob("*.html"):
        page = path.read_text("utf-8")
        for fault, fixed in FIXES.items():
            page = re.sub(fault, fixed, page)
        path.write_text(page, "utf-8")
    add_extras(site)
    return done.stderr.splitlines()


def add_extras(site: Path) -> None:
    """Add the frames of the sliders, and the page that colors photos in the browser.

    That page needs npm, which not everybody has; without it, the front page has no button for it.
    """
    for name in names():
        if (notebooks.FRAMES / name).is_dir():
            pictures = shutil.ignore_patterns("*.json")
            shutil.copytree(notebooks.FRAMES / name, site / "frames" / name, ignore=pictures)
    print(web_page.build(site))
    if not (site / web_page.PAGE).exists():
        front = site / "index.html"
        front.write_text(front.read_text("utf-8").replace(COLOR_BUTTON, ""), "utf-8")


if __name__ == "__main__":
    main()
