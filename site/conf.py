"""How Sphinx makes the web pages; `make site` calls it through tools/site.py."""

import re

from docutils.nodes import SkipNode, document, image, math, math_block
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

from tools.class_pages import to_mathml

project = html_title = "Color a photo: a course on conditional GANs"
copyright = "the authors of the course. Code: MIT. Text and figures: CC BY 4.0"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["downloads"]

nb_execution_mode = "off"  # the pages show what is committed
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

highlight_language = "none"
default_role = "code"  # docstrings are written as Markdown: `name`
napoleon_use_ivar = True
napoleon_use_rtype = False
add_module_names = False
maximum_signature_line_length = 88

html_theme = "furo"
html_math_renderer = "mathml"
html_static_path = ["style.css", "course.js"]
html_css_files = ["style.css"]
html_copy_source = False
html_show_sphinx = False
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"

html_js_files = [("course.js", {"loading_method": "defer"})]


def setup(app: Sphinx) -> None:
    """Tell Sphinx about formulas, pictures, docstrings and languages."""
    app.add_html_math_renderer("mathml", (formula, None), (formula, None))
    app.connect("doctree-read", describe_pictures)
    app.connect("autodoc-process-docstring", adapt_docstring, priority=400)  # before napoleon
    app.connect("html-page-context", name_language)


def formula(translator: HTML5Translator, node: math | math_block) -> None:
    """Write a formula as MathML."""
    is_block = isinstance(node, math_block)
    html = to_mathml(node.astext(), is_block)
    translator.body.append(f'<div class="math">{html}</div>' if is_block else html)
    raise SkipNode


def describe_pictures(app: Sphinx, page: document) -> None:
    """Give a figure its alternative text, which `figures.show` also stores as plain text.

    A picture with a scale becomes a link to itself, so that it can be enlarged on a phone.
    """
    for picture in page.findall(image):
        picture["scale"] = 100
        kinds = picture.parent.parent
        if kinds.get("nb_element") == "mime_bundle":
            plain = [kind for kind in kinds if kind["mime_type"] == "text/plain"]
            picture["alt"] = " ".join(plain[0].astext().split()) if plain else ""


def adapt_docstring(app: Sphinx, *args: object) -> None:
    """Convert a docstring to the form that napoleon and docutils expect.

    An indented block keeps its lines, |x| isn't taken as a substitution, and each result that a
    function returns gets a paragraph.
    """
    lines, section = args[-1], ""
    for number, line in enumerate(lines):
        section = line if re.fullmatch(r"[A-Z]\w+:", line) else section
        blank, following = [*lines[number + 1 : number + 3], "", ""][:2]
        if line.endswith(":") and not blank and following.startswith("    "):
            line += ":"
        if section == "Returns:" and line.startswith(8 * " "):
            line = line[4:]
        elif section == "Returns:" and line.startswith(4 * " ") and lines[number - 1] != section:
            line = "\n" + line
        lines[number] = re.sub(r"\|(?=\S)", r"\|", line)
    lines[:] = "\n".join(lines).split("\n")


def name_language(app: Sphinx, name: str, template: str, context: dict, page: document) -> None:
    """Tell browsers which pages are Chinese."""
    if name in ("chinese", "tutorial_zh"):
        context["language"] = "zh-Hans"
