"""Turn the texts of the class kit into web pages that need no other file and no network."""

import html
import re

from docutils.utils.math.latex2mathml import tex2mathml
from nbconvert.filters import markdown2html
from pygments.formatters import HtmlFormatter

FORMULA = re.compile(  # not in code
    r"```.*?```|`[^`\n]+`|\$\$(?P<block>.+?)\$\$|\$(?P<inline>[^$\n]+)\$", re.DOTALL
)
HEADING = re.compile(r'<h([23]) id="([^"]+)">(.+?)<a class="anchor-link"')
STYLE = """\
body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.5 sans-serif; }
h1, h2, h3 { line-height: 1.2; break-after: avoid; }
h2 { margin-top: 2.5em; }
table { border-collapse: collapse; width: 100%; }
th, td { border: 1px solid #999; padding: 0.3em 0.5em; text-align: left; vertical-align: top; }
pre { white-space: pre-wrap; background: #f4f4f4; padding: 0.5rem; }
tr, pre, li { break-inside: avoid; }
a { color: #0b5394; }
.anchor-link { display: none; }
.contents { columns: 2; }
.level3 { margin-left: 1.5rem; }
hr { margin: 1.6em 0 0.8em; border: 0; border-top: 1px solid #999; }
img { max-width: 100%; }
p:has(+ p > img) { break-after: avoid; }
@media (max-width: 40rem) { table { display: block; overflow-x: auto; } }
@page { margin: 12mm; }
@media print {
  body { margin: 0; max-width: none; font-size: 10pt; line-height: 1.35; }
  h2 { margin-top: 1em; }
  p, ul { margin: 0.5em 0; }
  img { max-height: 22cm; }
}
"""
# a session's run sheet and its prediction sheet must each fit on one page, A4 or Letter
ONE_PAGE_EACH = """\
@page { margin: 10mm; }
@media print {
  h1 { display: none; }
  hr { margin: 1.3em 0 0.6em; }
  table { font-size: 8.5pt; line-height: 1.25; }
}
"""


def document(title: str, style: str, body: str) -> str:
    """Put a web page together from its parts."""
    return f"""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
{body}
</body>
</html>
"""


def page(text: str, extra_style: str = "") -> str:
    """Turn Markdown into a web page that needs no other file and no network."""
    title = html.escape(text.partition("\n")[0].removeprefix("# "))
    body = with_contents(rendered(text))
    code_style = HtmlFormatter().get_style_defs(".highlight")
    return document(title, f"{code_style}\n{STYLE}{extra_style}", body)


def rendered(text: str) -> str:
    """Markdown as HTML, formulas as MathML."""
    return markdown2html(FORMULA.sub(mathml, text))


def with_contents(body: str) -> str:
    """Put links to a long page's headings above the first; exercises are left out."""
    headings = [found for found in HEADING.findall(body) if not found[2].startswith("Exercise ")]
    if len(headings) < 8:
        return body
    lines = "\n".join(
        f'<div class="level{level}"><a href="#{where}">{heading}</a></div>'
        for level, where, heading in headings
    )
    return body.replace("<h2", f'<nav class="contents">\n{lines}\n</nav>\n<h2', 1)


def mathml(found: re.Match) -> str:
    """Write a formula of a Markdown text as MathML; leave code as it is."""
    latex = found["block"] or found["inline"]
    return " ".join(to_mathml(latex, bool(found["block"])).split()) if latex else found[0]


def to_mathml(latex: str, is_block: bool) -> str:
    r"""Write a formula as MathML, which browsers and screen readers know: no script, no fonts.

    docutils 0.22 reads \tfrac12 as 12 over what follows, so its digits get braces, and it leaves
    no space in log x.
    """
    latex = re.sub(r"(frac)\s*(\d)\s*(\d)", r"\1{\2}{\3}", latex)
    made = tex2mathml(latex, as_block=is_block)
    return re.sub(r"&ApplyFunction;</mo>(?=\s*<m[in]>)", r'\g<0><mspace width="0.17em"/>', made)
