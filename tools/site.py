"""Build the course's web pages from the committed notebooks, without executing them.

    python -m tools.site

Sphinx and myst-nb do the work, offline, configured in site/conf.py; `make site` installs them.
`prepare` writes what they read into build/site-source/, `build` makes the pages in build/site/, and
`faults` looks through these for what would trouble a reader: dead links, pictures without words,
calls to other servers.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from nbformat import NotebookNode

import colorlib
from tools import ROOT, notebooks
from tools.notebooks import REPOSITORY, names, read, tags, write

SOURCE = ROOT / "build" / "site-source"
SITE = ROOT / "build" / "site"
CONFIGURATION = ROOT / "site"
ONLINE = f"https://github.com/{REPOSITORY}/blob/main"  # of files that are no page
PAGES = {"README.md": "index.md", "README.zh.md": "chinese.md"}
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
MENDS = {
    r'<p class="caption" role="heading"': r'\g<0> aria-level="2"',
    r'<summary aria-label="Toggle hidden content">': "<summary>",
    r'<dd>(<em class="sig-param">.*</em>,)</dd>': r"<li>\1</li>",  # no terms: a list
    r"<dl>(?=\s*<li>)": "<ul>",
    r"(</li>\s*)</dl>": r"\1</ul>",
}
LINK = re.compile(r"\]\(([^)\s]+)\)")
BADGE = re.compile(r"^\[!\[Open in Colab\]\(.*?\)\]\((.*)\)$", re.MULTILINE)
CHINESE_PART = re.compile(r"^\*\*中文\*\*.*?(?=^\*\*Key terms\*\*)", re.MULTILINE | re.DOTALL)
CHINESE = re.compile(r"[\u4e00-\u9fff]+")
SOLUTION = re.compile(r"\A# @title (.+)\n")


def main() -> None:
    """Build the whole site into build/site/ and look through it.

    Raises:
        SystemExit: Sphinx warned of something, or the pages have faults.
    """
    prepare(SOURCE)
    found = [*build(SOURCE, SITE), *faults(SITE)]
    print("\n".join(found) or f"{len(list(SITE.rglob('*.html')))} pages; no faults")
    raise SystemExit(bool(found))


# --- what Sphinx reads ---


def prepare(source: Path) -> None:
    """Write what Sphinx reads: the lessons, the README in two parts, a page for each module."""
    shutil.rmtree(source, ignore_errors=True)
    for folder in ("downloads", "images", "modules"):
        (source / folder).mkdir(parents=True)
    for name in names():
        write(lesson_page(name, read(name), source), source / f"{name}.ipynb")
        shutil.copy(notebooks.FOLDER / f"{name}.ipynb", source / "downloads")
    modules = re.findall(r"^    (\w+)  +\S", colorlib.__doc__, re.MULTILINE)
    for name in (f"colorlib.{module}" for module in modules):
        page = MODULE.format(name=name, line="=" * len(name))
        (source / "modules" / f"{name}.rst").write_text(page, "utf-8")
    for name, page in readme_pages(source, modules).items():
        (source / name).write_text(page, "utf-8")


def lesson_page(name: str, notebook: NotebookNode, source: Path) -> NotebookNode:
    """Make a lesson into a page: solutions and imports folded, links to pages of the site."""
    page = deepcopy(notebook)
    page.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}  # knows %pip
    for cell in page.cells:
        if cell.cell_type == "code":
            fold(cell)
        else:
            cell.source = relink(cell.source, notebooks.FOLDER, source)
    page.cells[0].source = opening(name, page.cells[0].source)
    return page


def fold(cell: NotebookNode) -> None:
    """Hide a solution with its output, or what a reader skips, behind a line to open it by."""
    solution = SOLUTION.match(cell.source)
    if "solution" in tags(cell) and solution:
        hidden, label = "hide-cell", solution[1]
        cell.source = cell.source[solution.end() :]
    elif "setup" in tags(cell):
        hidden, label = "hide-input", "Set-up on Colab"
    elif "begin(seed=" in cell.source:
        hidden, label = "hide-input", "Imports"
    else:
        return
    prompts = {"code_prompt_show": label, "code_prompt_hide": label}
    cell.metadata.update(tags=[hidden], mystnb=prompts)


def opening(name: str, text: str) -> str:
    """Give a lesson's first cell links for a badge, which is another server's, and mark Chinese."""
    download = f"{{download}}`Download the notebook <downloads/{name}.ipynb>`"
    text = BADGE.sub(rf"[Open in Colab](\1) · {download}", text)
    text = CHINESE_PART.sub(lambda part: f'<div lang="zh-Hans">\n\n{part[0]}</div>\n\n', text)
    before, key_terms, terms = text.partition("**Key terms**")
    return before + key_terms + CHINESE.sub(r'<span lang="zh-Hans">\g<0></span>', terms)


def readme_pages(source: Path, modules: list[str]) -> dict[str, str]:
    """Make the README into the front page, with the table of lessons, and a page of the rest."""
    root = notebooks.FOLDER.parent
    readme = relink(notebooks.README.read_text("utf-8"), root, source)
    start, *sections = re.split(r"^(?=## )", readme, flags=re.MULTILINE)
    lessons = [section for section in sections if "<!-- lessons -->" in section]
    rest = [section for section in sections if section not in lessons]
    pages = {"project.md": "# Install, run, results\n\n" + "".join(rest)}
    if (root / "README.zh.md").exists():
        text = (root / "README.zh.md").read_text("utf-8")
        pages["chinese.md"] = relink(text, root, source)
    contents = {
        "Lessons": names(),
        "The project": [page.removesuffix(".md") for page in pages],
        "The package": [f"modules/colorlib.{module}" for module in modules],
    }
    trees = [CONTENTS.format(caption=c, pages="\n".join(p)) for c, p in contents.items()]
    ways_in = (
        f"**[Start with the first lesson]({names()[0]}.ipynb)** · [Run it yourself](project.md)"
    )
    return {**pages, "index.md": "\n".join([start, ways_in, "", *lessons, *trees])}


def relink(text: str, folder: Path, source: Path) -> str:
    """Lead a text's relative links to pages of the site, and all others to the file on GitHub.

    Args:
        text: Markdown.
        folder: what its links are relative to.
        source: what Sphinx reads; pictures are copied into its folder `images`.
    """
    root = notebooks.FOLDER.parent.resolve()

    def lead(link: re.Match) -> str:
        path, *anchor = link[1].split("#")
        file = (folder / path).resolve()
        if urlsplit(link[1]).scheme or not path or not file.exists():  # Sphinx finds dead ones
            return link[0]
        name = file.relative_to(root).as_posix()
        if file.suffix in PICTURES:
            shutil.copy(file, source / "images")
            return f"](images/{file.name})"
        page = file.name if file.suffix == ".ipynb" else PAGES.get(name)
        return "](" + "#".join([page or f"{ONLINE}/{name}", *anchor]) + ")"

    text = re.sub(r"!\[[^\]]+", lambda alt: alt[0].replace("\n", " "), text)  # MyST joins the words
    return LINK.sub(lead, text)


# --- Sphinx ---


def build(source: Path, site: Path) -> list[str]:
    """Build the pages anew, and return what Sphinx complains of."""
    shutil.rmtree(site, ignore_errors=True)
    options = ["--quiet", "--no-color", f"--conf-dir={CONFIGURATION}"]
    folders = [f"--doctree-dir={source / '.doctrees'}", source, site]
    command = [sys.executable, "-m", "sphinx", *options, *folders]
    done = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, encoding="utf-8")
    for path in site.rglob("*.html"):
        page = path.read_text("utf-8")
        for fault, mended in MENDS.items():
            page = re.sub(fault, mended, page)
        path.write_text(page, "utf-8")
    return done.stderr.splitlines()


# --- what would trouble a reader ---


class Page(HTMLParser):
    """A page's anchors, links, resources and pictures without words."""

    def __init__(self, path: Path):
        super().__init__()
        self.anchors, self.links, self.resources, self.undescribed = set(), [], [], []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note what a tag says."""
        has = dict(attributes)
        self.anchors.add(has.get("id"))
        if tag == "a" and has.get("href"):
            self.links.append(has["href"])
        if tag == "link" and has.get("href"):
            self.resources.append(has["href"])
        if has.get("src"):
            self.resources.append(has["src"])
        if tag == "img" and not (has.get("alt") or "").strip():
            self.undescribed.append(has.get("src"))


def faults(site: Path) -> list[str]:
    """Find dead links, pictures without alternative text and what comes from other servers.

    Addresses of other servers are not called: a link to one must only be well formed.

    Returns:
        A sentence for each fault.
    """
    pages = {path.resolve(): Page(path) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        own = [f"a picture without alternative text: {name}" for name in page.undescribed]
        own += [f"comes from another server: {r}" for r in page.resources if is_elsewhere(r)]
        own += [f"leads nowhere: {link}" for link in dead_links(path, page, pages)]
        found += [f"{path.relative_to(site.resolve())}: {fault}" for fault in own]
    for path in site.rglob("*.css"):
        if re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", path.read_text("utf-8")):
            found.append(f"{path.relative_to(site)}: fetches from another server")
    return found


def is_elsewhere(address: str) -> bool:
    """Whether an address is another server's."""
    return urlsplit(address).scheme in ("http", "https") or address.startswith("//")


def dead_links(path: Path, page: Page, pages: dict[Path, Page]) -> Iterator[str]:
    """The links and resources of a page that lead to no file, to no anchor, or are ill-formed."""
    for link in dict.fromkeys([*page.links, *page.resources]):
        address = urlsplit(link)
        if address.scheme == "data":
            continue
        if address.scheme or address.netloc:
            is_alive = address.scheme in ("http", "https") and "." in address.netloc
        else:
            target = (path.parent / unquote(address.path)).resolve() if address.path else path
            is_alive = target.is_file()
            if is_alive and address.fragment and target in pages:
                is_alive = unquote(address.fragment) in pages[target].anchors
        if not is_alive:
            yield link


if __name__ == "__main__":
    main()
