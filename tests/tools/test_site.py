"""The web pages: what Sphinx reads, what it makes of two small lessons, what the check finds."""

import base64
import importlib.util
import io
import json
import re
import shutil

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from tools import notebooks, site, site_faults
from tools.anatomy import HIDDEN
from tools.notebooks import BADGE, REPOSITORY, SETUP
from tools.sliders import add_sliders, slider_html

FIRST, SECOND = "01_first", "02_second"
TITLE = """\
# {number} · Lesson {number}

{badge}

**What is it for?**

**中文**

**这是什么？**\\
第一行

**Key terms** mean 均值 · median 中位数"""
README = f"""\
# A course

![Two
balloons](data/picture.png)

## Start

<!-- badges -->
[![tests](https://github.com/a/b/badge.svg)](https://github.com/a/b)
<!-- /badges -->

See [how to install](site/pages/install.md), [the license](LICENSE), [the data](data/README.md),
[a lesson](notebooks/{FIRST}.ipynb) and [a site](https://example.org/x).

## The lessons

<!-- lessons -->
| lesson | question |
|---|---|
| [first](notebooks/{FIRST}.ipynb) | What? |
<!-- /lessons -->
"""
ALT = 'A red dot, "alone", <b> & [1] *not* blue.'
needs_sphinx = pytest.mark.skipif(
    any(not importlib.util.find_spec(name) for name in ("sphinx", "myst_nb", "furo")),
    reason="no Sphinx here: make site installs it",
)


def picture(color, kind="png"):
    file = io.BytesIO()
    Image.new("RGB", (9, 9), color).save(file, kind)
    return base64.b64encode(file.getvalue()).decode()


def figure(color, alt, kind="png"):
    """An output as `figures.show` writes it."""
    data = {f"image/{kind}": picture(color, kind), "text/plain": alt}
    return new_output("display_data", data=data, metadata={f"image/{kind}": {"alt": alt}})


def lesson(name, following):
    """A small lesson with one of everything that the pages treat in a way of their own."""
    badge = BADGE.format(repository=REPOSITORY, name=name)
    solution = new_code_cell("# @title Solution of exercise 1\nanswer = 42")
    solution.metadata.update(tags=["solution", "hide-input"], jupyter=dict(HIDDEN))
    solution.outputs = [new_output("stream", text="right: 42.\n")]
    teacher = "<details>\n<summary>For teachers</summary>\n\n**45 minutes.**\n\n</details>"
    cells = [
        new_markdown_cell(TITLE.format(number=name[:2], badge=badge)),
        new_code_cell(SETUP.format(repository=REPOSITORY), metadata={"tags": ["setup"]}),
        new_code_cell("import torch\n\nsetting = begin(seed=0)"),
        new_code_cell("draw()", outputs=[figure("red", ALT), figure("blue", "A sea.", "jpeg")]),
        new_markdown_cell("## Formulas\n\nSo $y = \\tfrac12 x$, and\n\n$$x = \\log b$$"),
        new_markdown_cell("### Exercise 1 · ●○○ · 5 min · Answer"),
        new_code_cell("answer = ...", metadata={"tags": ["exercise"]}),
        solution,
        new_markdown_cell(f"Next: [on]({following}). [All lessons](../README.md)"),
        new_markdown_cell(teacher, metadata={"tags": ["teacher"]}),
    ]
    return new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})


def make_course(folder, monkeypatch):
    """A course of two lessons and a README."""
    monkeypatch.setattr(notebooks, "FOLDER", folder / "notebooks")
    monkeypatch.setattr(notebooks, "FRAMES", folder / "site" / "frames")
    monkeypatch.setattr(site, "REPOSITORY", site.UNPUBLISHED)  # also in a fork that is published
    monkeypatch.setattr(site, "ONLINE", f"https://github.com/{site.UNPUBLISHED}/blob/main")
    monkeypatch.setattr(site.web_page, "build", lambda folder: "color.html was left out")
    (folder / "README.md").write_text(README, "utf-8")
    (folder / "LICENSE").write_text("free", "utf-8")
    (folder / "data").mkdir()
    (folder / "data" / "README.md").write_text("# Data\n\nnone", "utf-8")
    (folder / "site" / "pages").mkdir(parents=True)
    install = "# Installation\n\n[back](../../README.md)\n"
    (folder / "site" / "pages" / "install.md").write_text(install, "utf-8")
    package = "# The package\n\n<!-- modules -->\n"
    (folder / "site" / "pages" / "package.md").write_text(package, "utf-8")
    Image.new("RGB", (9, 9), "red").save(folder / "data" / "picture.png")
    for name, following in ((FIRST, f"{SECOND}.ipynb"), (SECOND, f"{FIRST}.ipynb")):
        notebooks.write(lesson(name, following), folder / "notebooks" / f"{name}.ipynb")
    return folder


@pytest.fixture
def course(tmp_path, monkeypatch):
    return make_course(tmp_path, monkeypatch)


# --- what Sphinx reads ---


def test_a_lesson_becomes_a_page(course):
    site.prepare(course / "source")
    page = notebooks.read(FIRST, course / "source")
    first, setup, imports, drawing, *_ = page.cells
    assert "colab" not in first.source, "a dead link: no address is stamped"
    assert "{download}`Download the notebook" in first.source
    assert (course / "source" / "downloads" / f"{FIRST}.ipynb").exists()
    assert '<div lang="zh-Hans">\n\n**中文**\n\n**这是什么？**' in first.source
    assert 'mean <span lang="zh-Hans">均值</span> ·' in first.source
    hidden = [cell.metadata.get("tags") for cell in page.cells if cell.cell_type == "code"]
    assert hidden == [["hide-input"], ["hide-input"], None, ["exercise"], ["hide-cell"]]
    assert page.cells[7].source == "answer = 42", "its title is what it is opened by"
    assert page.cells[7].metadata.mystnb.code_prompt_show == "Solution of exercise 1"
    assert "[All lessons](index.md)" in page.cells[8].source
    assert drawing == notebooks.read(FIRST).cells[3], "outputs stay as they are"


def test_colab_is_linked_once_an_address_is_stamped(course, monkeypatch):
    monkeypatch.setattr(site, "REPOSITORY", "some/body")
    badge = BADGE.format(repository="some/body", name=FIRST)
    made = site.opening(FIRST, TITLE.format(number="01", badge=badge))
    assert "[Open in Colab](https://colab.research.google.com/github/some/body/" in made
    text = "[the license](LICENSE)"
    led = "https://github.com/OWNER/colorlib/blob/main/LICENSE"
    assert site.relink(text, course, course / "source") == f"[the license]({led})"


def test_the_readme_becomes_the_front_page(course):
    site.prepare(course / "source")
    index = (course / "source" / "index.md").read_text("utf-8")
    assert index.startswith("# A course") and f"[first]({FIRST}.ipynb)" in index
    assert "![Two balloons](images/picture.png)" in index
    assert (course / "source" / "images" / "picture.png").exists()
    assert f'<a class="button" href="{FIRST}.html">' in index
    assert "badge.svg" not in index, "it comes from another server"
    assert "[how to install](install.md), the license, [the data](data.md)" in index
    assert "[a site](https://example.org/x)" in index
    assert index.index(":caption: Lessons") < index.index(":caption: The course")
    assert index.index(":caption: The course") < index.index(":caption: The package")
    assert not (course / "source" / "chinese.md").exists()


@pytest.mark.parametrize("repository, code", [("OWNER/colorlib", False), ("some/body", True)])
def test_a_published_site_needs_the_page_that_its_readme_links_to(
    repository, code, tmp_path, monkeypatch
):
    monkeypatch.setattr(site, "REPOSITORY", repository)
    monkeypatch.setattr(site, "SITE", tmp_path)
    monkeypatch.setattr(site, "prepare", lambda source: None)
    monkeypatch.setattr(site, "build", lambda source, folder: [])
    monkeypatch.setattr(site, "faults", lambda folder: [])
    with pytest.raises(SystemExit) as ended:
        site.main()
    assert ended.value.code is code


def test_pages_link_to_each_other_and_the_package_has_a_map(course):
    site.prepare(course / "source")
    assert "[back](index.md)" in (course / "source" / "install.md").read_text("utf-8")
    package = (course / "source" / "package.md").read_text("utf-8")
    assert "- [`colorlib.color`](modules/colorlib.color.rst): RGB" in package


@pytest.mark.parametrize("is_made", [True, False])
def test_the_page_that_colors_photos_is_linked_where_it_was_made(
    is_made, course, monkeypatch, capsys
):
    def build(folder):
        if is_made:
            (folder / "color.html").touch()
        return "what became of it"

    monkeypatch.setattr(site.web_page, "build", build)
    site.prepare(course / "source")
    (course / "made").mkdir()
    shutil.copy(course / "source" / "index.md", course / "made" / "index.html")
    site.add_extras(course / "made")
    page = (course / "made" / "index.html").read_text("utf-8")
    assert ("color.html" in page) == is_made and f'href="{FIRST}.html"' in page
    assert "what became of it" in capsys.readouterr().out


# --- predictions ---


@pytest.mark.parametrize(
    "before, tag, is_folded",
    [
        ("So. **Before you run this:** which color?", None, True),
        ("**Before you go on:** B or C?", None, True),
        ("**Predict:** which one?", None, True),
        ("We predict nothing before you run this.", None, False),
        ("", "predict", True),
        ("**Before you run this:** try.", "exercise", False),
    ],
)
def test_an_output_that_a_reader_should_predict_is_folded(before, tag, is_folded):
    cell = new_code_cell("draw()", outputs=[new_output("stream", text="red\n")])
    cell.metadata["tags"] = [tag] if tag else []
    site.fold(cell, before)
    assert ("hide-output" in cell.metadata["tags"]) == is_folded
    assert "mystnb" not in cell.metadata or cell.metadata.mystnb.code_prompt_show == (
        "Show what happens"
    )


# --- sliders ---


def film(folder):
    """The frames of a small widget, and the cell that shows its stills."""
    folder.mkdir(parents=True)
    hue = {"label": "hue", "kind": "choice", "shown": ["red", "blue"], "at": 0}
    side = {"label": "side", "kind": "slider", "shown": ["1", "2", "3"], "at": 1}
    frames = [f"1-00{index}.webp" for index in range(5)] + ["<b>six</b>"]
    content = {"alt": "a <box>", "milliseconds": 200, "controls": [hue, side], "frames": frames}
    (folder / "1.json").write_text(json.dumps(content | {"stills": [0, 5]}), "utf-8")
    for name in frames[:5]:
        Image.new("RGB", (4, 4), "red").save(folder / name)
    cell = new_code_cell("play()")
    caption = new_output("display_data", data={"text/markdown": "*hue: red*"})
    caption.metadata["frames"] = "1"
    still = figure("red", "a box (hue: red)")
    cell.outputs = [new_output("stream", text="before"), caption, still, caption, still]
    cell.outputs.append(new_output("stream", text="after"))
    return cell


def test_stills_become_a_slider_with_words_and_stills_for_those_without_a_script(tmp_path):
    cell = film(tmp_path / FIRST)
    add_sliders(cell, tmp_path / FIRST)
    before, slider, after = cell.outputs
    assert (before.text, after.text) == ("before", "after")
    html = slider.data["text/html"]
    assert '<select id="frames-1-0"><option selected>red</option><option>blue</option>' in html
    assert 'type="range" id="frames-1-1" min="0" max="2" value="1" aria-valuetext="2"' in html
    assert html.count('<label for="') == 2 and ">Play</button>" in html and ">Step</button>" in html
    shown, stills = html.split("<noscript>")
    assert f'src="frames/{FIRST}/1-001.webp" alt="a &lt;box&gt; (hue: red, side: 2)"' in shown
    assert (
        "<em>hue: red, side: 1</em>" in stills and "<em>hue: blue, side: 3</em></p><b>six" in stills
    )


def test_stills_stay_where_there_are_no_frames(tmp_path):
    cell = film(tmp_path / FIRST)
    before = list(cell.outputs)
    add_sliders(cell, tmp_path / SECOND)
    assert cell.outputs == before


def test_two_pictures_become_one_with_a_line_to_move():
    content = {"alt": "gray and color", "pair": ["1-000.webp", "1-001.webp"], "at": 50}
    html = slider_html(content, f"frames/{FIRST}", "frames-1")
    assert html.count("<img") == 2 and 'style="--at: 50%"' in html and 'type="range"' in html


def test_a_dead_link_of_the_readme_stays_for_sphinx_to_find(course):
    text = "[gone](nowhere.md), [here](#commands)"
    assert site.relink(text, course, course / "source") == text


# --- the pages ---


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The pages of the small course, with one dead link, and what Sphinx complained of."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        course = make_course(tmp_path_factory.mktemp("course"), monkeypatch)
        (course / "README.zh.md").write_text(
            "# 课程\n\n见[英文](README.md)，[无](gone.ipynb)。\n", "utf-8"
        )
        site.prepare(course / "source")
        return course / "site", site.build(course / "source", course / "site")


@needs_sphinx
def test_the_pages(built):
    folder, [warning] = built
    assert "gone.ipynb" in warning
    assert site_faults.faults(folder) == ["chinese.html: leads nowhere: #gone.ipynb"]
    page = (folder / f"{FIRST}.html").read_text("utf-8")
    alts = re.findall(r'<img alt="([^"]*)"', page)
    assert alts == ["A red dot, &quot;alone&quot;, &lt;b&gt; &amp; [1] *not* blue.", "A sea."]

    folded = re.findall(r"<details.*?</details>", page, re.DOTALL)
    solution = next(part for part in folded if "Solution of exercise 1" in part)
    assert "42" in solution and "right: 42." in solution
    assert page.count("right: 42.") == 1, "shown nowhere else"
    assert "45 minutes." in folded[-1] and "begin" in folded[1]
    assert not re.search(r"<details[^>]*\bopen\b", page)

    half = r"<mfrac[^>]*>\s*<mn>1</mn>\s*<mn>2</mn>\s*</mfrac>"
    assert re.search(half, page) and re.search(
        r'<div class="math"><math[^>]* display="block">', page
    )
    assert re.search(r"<mi>log</mi>.*?<mspace[^>]*/>\s*<mi>b</mi>", page, re.DOTALL)
    assert f'href="{SECOND}.html"' in page and "next-page" in page
    assert '<html class="no-js" lang="zh-Hans"' in (folder / "chinese.html").read_text("utf-8")
    assert "searchindex.js" in (folder / "search.html").read_text("utf-8")


@needs_sphinx
def test_the_pages_of_the_package(built):
    page = (built[0] / "modules" / "colorlib.color.html").read_text("utf-8")
    assert 'id="colorlib.color.rgb_to_lab"' in page
    assert "Grays have |a*|, |b*| below 0.01" in page
    assert re.search(r"<pre>.*--&gt; linear light --.*", page), "an indented block keeps its lines"


# --- the check ---

GOOD = """\
<html><head><link rel="stylesheet" href="style.css"></head><body id="top">
<img src="dot.png" alt="a dot"><a href="#top">up</a><a href="sub/b.html#there">on</a>
<a href="https://example.org/page?x=1">out</a></body></html>"""
FAULTS = {
    "without alternative text: dot.png": ('alt="a dot"', 'alt=" "'),
    "leads nowhere: style2.css": ("style.css", "style2.css"),
    "leads nowhere: sub/c.html": ("sub/b.html#there", "sub/c.html"),
    "leads nowhere: sub/b.html#gone": ("#there", "#gone"),
    "leads nowhere: #bottom": ("#top", "#bottom"),
    "leads nowhere: https://example": ("https://example.org/page?x=1", "https://example"),
    "leads nowhere: ftp://example.org": ("https://example.org/page?x=1", "ftp://example.org"),
    "another server: https://a.org/dot.png": ("dot.png", "https://a.org/dot.png"),
    "another server: //a.org/style.css": ("style.css", "//a.org/style.css"),
}


@pytest.fixture
def pages(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.html").write_text(GOOD, "utf-8")
    (tmp_path / "sub" / "b.html").write_text('<p id="there"><a href="../a.html">a</a>', "utf-8")
    (tmp_path / "style.css").write_text("a { background: url(dot.png) }", "utf-8")
    (tmp_path / "dot.png").touch()
    return tmp_path


def test_good_pages_have_no_faults(pages):
    assert site_faults.faults(pages) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(pages, fault):
    old, new = FAULTS[fault]
    assert old in GOOD
    (pages / "a.html").write_text(GOOD.replace(old, new), "utf-8")
    found = site_faults.faults(pages)
    assert any(each.startswith("a.html: ") and fault in each for each in found), found


@pytest.mark.parametrize("call", ["@import '//a.org/x.css';", "a { b: url(https://a.org/x) }"])
def test_a_style_that_calls_another_server_is_found(pages, call):
    (pages / "style.css").write_text(call, "utf-8")
    assert site_faults.faults(pages) == ["style.css: fetches from another server"]


def test_make_site_ends_with_what_is_wrong(pages, monkeypatch, capsys):
    monkeypatch.setattr(site, "REPOSITORY", site.UNPUBLISHED)
    monkeypatch.setattr(site, "SITE", pages)
    monkeypatch.setattr(site, "prepare", lambda source: None)
    monkeypatch.setattr(site, "build", lambda source, folder: [])
    with pytest.raises(SystemExit) as ended:
        site.main()
    assert not ended.value.code and "2 pages; no faults" in capsys.readouterr().out
    (pages / "dot.png").unlink()
    with pytest.raises(SystemExit) as ended:
        site.main()
    assert ended.value.code and "leads nowhere: dot.png" in capsys.readouterr().out
