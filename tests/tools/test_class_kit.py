"""The class kit: it fits the notebooks, and nothing in it is missing, double or out of place."""

import base64
import io
import json
import math
import re

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image
from torch import nn

from colorlib.discriminator import PatchDiscriminator, receptive_field
from tools import ROOT, notebooks, web_page
from tools.class_kit import (
    Exercise,
    add_color_page,
    build,
    case_files,
    exercises,
    glossary,
    key_terms,
    lengths,
    load,
    notes,
    session_page,
)
from tools.class_pages import page
from tools.class_quiz import options, quiz_key, quiz_sheet
from tools.class_slides import as_png, deck, pictures, prediction_sheets, questions, section
from tools.notebooks import Lesson, described, read, tags

UNWRITTEN = {"08"}  # planned, and not among the notebooks yet
PLAN = load("plan")["session"]
QUIZ = load("quiz")["question"]


@pytest.fixture(scope="module")
def course():
    return [(lesson, read(lesson.name)) for lesson in described()]


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    out = tmp_path_factory.mktemp("class")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(web_page, "build", build_page)
        build(out)
    return out


def build_page(folder):
    """In place of the real one, which takes npm and half a minute."""
    (folder / "color.html").write_text("needs a server", "utf-8")
    (folder / "color-offline.html").write_text("needs nothing", "utf-8")
    return "built"


def text(kit, name):
    return (kit / f"{name}.md").read_text("utf-8")


# --- the plan of six sessions ---


def test_six_sessions_of_45_minutes():
    assert [sum(step["minutes"] for step in session["step"]) for session in PLAN] == [45] * 6


def test_every_lessons_notes_fill_45_minutes(course):
    for lesson, notebook in course:
        plan = re.match(r"\*\*45 minutes[.:]\*\* (.+?)\n\n", notes(notebook), flags=re.DOTALL)[1]
        steps = [re.match(r"(\d+)\s\S", step) for step in re.split(r" ·\s", plan)]
        assert all(steps), f"{lesson.name}: a step does not begin with its minutes"
        assert sum(int(step[1]) for step in steps) == 45, lesson.name


def test_laptops_are_named_where_pairs_work_on_them(course):
    pages = [session_page(number, session, course) for number, session in enumerate(PLAN, 1)]
    told = [re.search(r"\*\*Laptops:\*\* (.+)\.", made)[1] for made in pages]
    assert told[0] == "one per pair: minutes 23–37, lesson 00"
    assert told[2] == "one per pair: minutes 5–13, lesson 02; minutes 35–41, lesson 02"
    assert [number for number, line in enumerate(told, 1) if line != "none"] == [1, 3, 5]


def test_answers_are_not_read_before_their_exercise():
    read_at_home = [
        heading for session in PLAN for part in session["home"] for heading in part["read"]
    ]
    assert len(read_at_home) > 10 and not [
        each for each in read_at_home if "answer" in each.lower()
    ]


def test_the_plan_names_only_what_the_lessons_have(course):
    lessons = {lesson.number: notebook for lesson, notebook in course}
    for session in PLAN:
        for part in [*session["step"], *session["home"]]:
            number = part.get("lesson")
            if number is None:
                continue
            assert number in lessons or number in UNWRITTEN, f"there is no lesson {number}"
            if number in lessons:
                sections = {*part.get("read", []), *filter(None, [part.get("section")])}
                gone = sections - headings(lessons[number])
                assert not gone, (
                    f"plan.toml names {gone} of lesson {number}, which has only "
                    f"{sorted(headings(lessons[number]))}: change the plan"
                )
                numbers = {each.number for each in exercises(lessons[number])}
                gone = set(part.get("exercises", [])) - numbers
                assert not gone, f"plan.toml names exercises {gone} of lesson {number}: {numbers}"


def headings(notebook):
    pages = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    return set(re.findall(r"^#{2,3} (.+)$", "\n".join(pages), flags=re.MULTILINE))


def test_every_lesson_has_its_place_in_the_plan():
    planned = {step["lesson"] for session in PLAN for step in session["step"] if "lesson" in step}
    assert planned == {f"{number:02}" for number in range(10)}


def test_a_lesson_that_is_not_there_leaves_its_minutes(course):
    last = PLAN[-1]
    page = session_page(6, last, [(lesson, n) for lesson, n in course if lesson.number < "09"])
    steps = [step for step in last["step"] if step.get("lesson") == "09"]
    assert page.count("not in your copy of the course") >= len(steps) > 0
    assert not any(step["what"] in page for step in steps)
    assert "- Lesson 09" not in page
    assert "- Lesson 09" in session_page(6, last, course)


def small_course():
    """One lesson of 10 minutes' reading: sections of 30, 10 (within the first) and 20 letters."""
    cells = [new_markdown_cell("# A"), new_markdown_cell(f"## One\n{'a' * 28}\n### Two\n{'b' * 8}")]
    for number, minutes in ((1, 5), (2, 12)):
        cells += [
            new_markdown_cell(f"### Exercise {number} · ●○○ · {minutes} min · Add\nnot counted"),
            new_code_cell("..."),
            new_code_cell("1", metadata={"tags": ["solution"]}),
        ]
    cells += [new_markdown_cell(f"## Three\n{'c' * 19}"), new_markdown_cell("## For teachers\nno")]
    return [(Lesson("00_a", "00", "A", "?", "？", 12, 17, "?"), new_notebook(cells=cells))]


def test_text_is_measured_by_headings():
    [(_, notebook)] = small_course()
    assert lengths(notebook) == {"One": 40, "Two": 10, "Three": 20, "": 60}


def test_minutes_run_through_and_homework_is_added_up():
    step = {"lesson": "00", "section": "One", "how": "pairs", "what": "they add"}
    words = dict.fromkeys(("title", "goal", "question", "answer", "short", "quick"), "-")
    session = words | {
        "prepare": ["print"],
        "step": [{"minutes": 10} | step, {"minutes": 35} | step],
        "home": [{"lesson": "00", "exercises": [1, 2], "read": ["Two", "Three"], "also": "Rest."}],
    }
    made = session_page(1, session, small_course())
    assert "| 0–10 | 00 · One | pairs | they add |\n| 10–45 | 00 · One" in made
    assert "**At home** (23 min)" in made, "half of the text, 6 minutes, and both exercises"
    assert "read *Two*, *Three* (6 min); exercises 1 (Add), 2 (Add), 17 min. Rest.\n" in made


# --- guide and answers ---


def test_the_guide_has_every_lesson_with_its_minutes_and_its_teachers_notes(kit, course):
    guide = text(kit, "teachers_guide")
    assert "<!--" not in guide, "a part was not filled in"
    for lesson, notebook in course:
        assert guide.count(f"### {lesson.number} · {lesson.title}\n") == 1
        assert f"| {lesson.reading} min | {lesson.exercises} min | {lesson.run_time} |" in guide
        last = notebook.cells[-1].source.splitlines()
        told = [line for line in last if not line.startswith("<") and "](" not in line]
        assert len(told) > 5 and all(line in guide for line in told)


def test_the_answers_have_every_exercise_once(kit, course):
    answers = text(kit, "answers")
    sources = [cell.source for _, notebook in course for cell in notebook.cells]
    cards = [source for source in sources if "### Exercise " in source]
    assert len(cards) == answers.count("\n### Exercise ") == answers.count("```python\n")
    for card in cards:
        assert re.search("^### Exercise .*$", card, flags=re.MULTILINE)[0] in answers
    assert "checks." not in answers and "@title" not in answers


def test_what_comes_out_on_paper_stands_below_its_exercise(kit, course):
    on_paper = load("on_paper")
    cards = {f"{lesson.number}.{each.number}" for lesson, n in course for each in exercises(n)}
    assert set(on_paper) <= cards
    answers = text(kit, "answers")
    assert all(f"```\n\n*On paper:* {result}\n" in answers for result in on_paper.values())


@pytest.mark.parametrize(
    "key, value",
    [
        ("02.1", 0.2 / (0.2 + 0.6)),
        ("02.2", math.log(2)),
        ("04.1", sum(weight.numel() for weight in nn.Conv2d(1, 64, 3).parameters())),
        ("05.1", receptive_field(PatchDiscriminator(width=4, layers=3))),
        ("07.2", math.hypot(3, -4, 12)),
        ("09.2", math.floor(64 * 64 / 50)),
        ("09.3", 0.3 * math.hypot(255, 127.5)),
        ("11.1", 1 / (1 / 100 + 1 / 25)),
    ],
)
def test_a_result_on_paper_is_right(key, value):
    numbers = re.findall(r"\d+(?:\.\d+)?", load("on_paper")[key])
    assert any(float(number) == pytest.approx(value, rel=1e-3) for number in numbers)


def test_the_case_files_are_printed_without_their_answers(course):
    made = case_files(course)
    [notebook] = [n for lesson, n in course if lesson.number == "07"]
    [diagnoses] = [each for each in exercises(notebook) if each.title == "The diagnoses"]
    letters = re.findall(r'"([A-Z])": "\w+"', diagnoses.solution)
    assert (
        re.findall(r"^\*case: ([A-Z])\*$\n\n!\[.+\]\(data:image/png", made, re.MULTILINE) == letters
    )
    assert "| `healthy` |" in made and "<details>" not in made and "### " not in made


def test_minutes_of_exercises_add_up_to_what_the_lesson_promises(course):
    for lesson, notebook in course:
        assert sum(each.minutes for each in exercises(notebook)) == lesson.exercises, lesson.name


def test_an_exercise_is_read_off_its_three_cells():
    cells = [
        new_markdown_cell(
            "### The naive way\n\nBefore.\n\n### Exercise 3 · ●●○ · 8 min · Add\n\nDo."
        ),
        new_code_cell("...", metadata={"tags": ["exercise"]}),
        new_code_cell("1 + 1", metadata={"tags": ["solution"]}),
    ]
    assert exercises(new_notebook(cells=cells)) == [Exercise(3, "●●○", 8, "Add", "Do.", "1 + 1")]


def test_learners_get_no_solutions(kit, course):
    copies = sorted((kit / "notebooks").glob("*.ipynb"))
    assert [copy.stem for copy in copies] == [lesson.name for lesson, _ in course]
    for copy in copies:
        cells = read(copy.stem, copy.parent).cells
        assert not any({"solution", "teacher"} & set(tags(cell)) for cell in cells)
        assert "colab-badge" not in cells[0].source, "it would open the lesson with its solutions"


def test_links_to_lessons_carry_their_titles(course):
    titles = {lesson.name: (lesson.number, lesson.title) for lesson, _ in course}
    link = re.compile(r"\[(\d\d) · ([^\]]+)\]\((\w+)\.ipynb\)")
    for lesson, notebook in course:
        source = "\n".join(cell.source for cell in notebook.cells)
        found = link.findall(source)
        assert found or lesson == course[-1][0], f"{lesson.name} leads to no lesson"
        for number, title, name in found:
            assert (number, title) == titles[name], f"{lesson.name}: {title}"


def test_learners_install_with_one_command(kit):
    guide = text(kit, "teachers_guide")
    assert len(re.findall(r"^ +python -m pip install .+$", guide, re.MULTILINE)) == 1
    [extra] = re.findall(r"pip install -c constraints\.txt -e \"\.\[(\w+)\]\"", guide)
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    assert f"\n{extra} = [" in project and (ROOT / "constraints.txt").exists()


def test_links_lead_somewhere(kit):
    for path in kit.glob("*.md"):
        for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
            is_elsewhere = target.startswith(("https://", "data:image/"))
            assert is_elsewhere or (kit / target).exists(), f"{path.name}: {target}"


# --- glossary ---


@pytest.mark.parametrize(
    "term, pair",
    [
        ("lightness 明度", ("lightness", "明度")),
        ("Jensen–Shannon divergence JS 散度", ("Jensen–Shannon divergence", "JS 散度")),
        ("U-Net U 形网络", ("U-Net", "U 形网络")),
        ("conditional GAN 条件生成对抗网络", ("conditional GAN", "条件生成对抗网络")),
    ],
)
def test_a_term_is_split_between_the_languages(term, pair):
    assert key_terms(first_cell(f"x 甲 · {term}")) == [("x", "甲"), pair]


def first_cell(terms):
    return new_notebook(cells=[new_markdown_cell(f"# 01 · A\n\n**Key terms** {terms}\n")])


def test_the_glossary_merges_what_is_there_twice():
    def numbered(number):
        return Lesson(f"{number}_a", number, "A", "?", "？", 1, 1, "?")

    made = glossary(
        [
            (numbered("01"), first_cell("loss 损失 · chroma 色度")),
            (numbered("02"), first_cell("chroma 彩度 · loss 损失 · Bias 偏差")),
        ]
    )
    added = [term["english"] for term in load("terms")["term"] if "glossary" in term]
    lines = [line for line in made.splitlines()[4:] if line.split("|")[1].strip() not in added]
    assert lines == [
        "| Bias | 偏差 |  | 02 |",
        "| chroma | 色度 / 彩度 | how far a color is from gray; "
        r"also a\* and b\* together | 01, 02 |",
        "| loss | 损失 | number that training minimizes | 01, 02 |",
    ]


def test_the_glossary_has_all_terms_of_all_lessons(kit, course):
    made = text(kit, "glossary")
    for lesson, notebook in course:
        terms = notebook.cells[0].source.partition("**Key terms**")[2].split("·")
        assert len(key_terms(notebook)) == len(terms), lesson.name
        assert all(f"\n| {english} | " in made for english, _ in key_terms(notebook))


def test_every_key_term_has_a_meaning(course):
    terms = {english for _, notebook in course for english, _ in key_terms(notebook)}
    assert set(load("meanings")) == terms


# --- quiz and project ---


def test_every_question_has_a_right_answer_and_three_misconceptions():
    assert len(QUIZ) == 16
    for question in QUIZ:
        texts = [question["right"], *(text for text, _ in question["wrong"])]
        assert len(set(texts)) == 4 and all(means for _, means in question["wrong"]), question
        assert question["lesson"] in {f"{number:02}" for number in range(10)}


def test_the_key_fits_both_sheets_and_the_sheets_tell_nothing():
    key = quiz_key(QUIZ)
    for when, column in (("before", 1), ("after", 2)):
        sheet = quiz_sheet(QUIZ, when)
        answers = [
            line.split("|")[column].strip() for line in key.splitlines() if "**right**" in line
        ]
        blocks = re.split(r"^\*\*\d+\.\*\* ", sheet, flags=re.MULTILINE)[1:]
        for question, letter, block in zip(QUIZ, answers, blocks, strict=True):
            assert f"☐ {letter}. {question['right']}" in block
            assert not any(means in sheet for _, means in question["wrong"])
        assert answers == [question["places"][column - 1] for question in QUIZ]
        assert {answers.count(letter) for letter in "ABCD"} == {4}, "no letter to guess"


def test_the_quiz_uses_no_words_that_only_the_course_explains():
    unknown = {term["english"] for term in load("terms")["term"] if len(term["english"]) > 4}
    unknown |= {"critic", "discriminator", "generator", "eval()", "skip", "psnr", "lab", "logit"}
    asked = " ".join(str(part) for q in QUIZ for part in (q["text"], q["right"], q["wrong"]))
    asked = re.sub(r"', '[^']*'\]", "", asked)  # misconceptions are for the teacher
    assert not {word for word in unknown if re.search(rf"\b{re.escape(word)}\b", asked.lower())}


def test_the_longest_option_is_seldom_the_right_one():
    def is_longest(question):
        return len(question["right"]) > max(len(option) for option, _ in question["wrong"])

    assert sum(map(is_longest, QUIZ)) <= 4


def test_the_two_sheets_are_in_different_orders():
    orders = [[options(question, when) for question in QUIZ] for when in ("before", "after")]
    assert all(one != other for one, other in zip(*orders))
    assert all(question["places"][0] != question["places"][1] for question in QUIZ)


def test_the_guide_counts_the_questions(kit):
    assert f"/ ({len(QUIZ)} − before)" in text(kit, "teachers_guide")


def test_the_rubric_adds_up(kit):
    project = text(kit, "project")
    rows = re.findall(r"^\| \*\*.+\*\* \|(.+)\|$", project, flags=re.MULTILINE)
    assert [row.count("|") + 1 for row in rows] == [4] * 6, "six rows of four levels"
    assert f"{4 * len(rows)} in all" in project


def test_the_numbers_of_the_sample_project_are_those_of_the_runs(kit):
    sample = text(kit, "sample_project")
    results = ROOT / "data" / "results"
    scenes = json.loads((results / "scenes.json").read_text("utf-8"))
    runs = json.loads((results / "brown.json").read_text("utf-8"))["lambdas"]
    runs += [run | {"lambda": 60} for run in scenes["runs"] if run["recipe"] == "warm"]
    for value in (15, 60, 240, 960):
        of = {run["seed"]: run for run in runs if run["lambda"] == value}
        quality = " | ".join(f"{of[seed]['psnr_ab']:.1f}" for seed in (0, 1))
        share = " | ".join(f"{of[seed]['committed']:.2f}" for seed in (0, 1))
        assert f"| λ = {value} | {quality} | {share} |" in sample
    for name in ("gray", "lookup by L"):
        quality = f"{scenes['baselines'][name]['psnr_ab']:.1f}"
        assert f"| {name} | {quality} | {quality} | 0.00 | 0.00 |" in sample


def test_the_marks_of_the_sample_project_add_up(kit):
    sample = text(kit, "sample_project")
    marks = [int(mark) for mark in re.findall(r"^\| \*\*.+\*\* \| (\d) \|", sample, re.MULTILINE)]
    assert len(marks) == 6 and f"**{sum(marks)} of 24 points" in sample


# --- slides, figures, run sheets, prediction sheets ---


def small_lesson():
    """A section with a question, a figure and an exercise, and another section."""
    picture = io.BytesIO()
    Image.new("RGB", (3, 2), "red").save(picture, "JPEG")
    data = {"image/jpeg": base64.b64encode(picture.getvalue()).decode(), "text/plain": "a dot"}
    drawing = new_code_cell("draw()")
    drawing.outputs = [
        new_output("display_data", data=data, metadata={"image/jpeg": {"alt": "a dot"}})
    ]
    cells = [
        new_markdown_cell(
            "## One\n\nText.\n\nA box. **Before you run this:** which color,\nand why?"
        ),
        drawing,
        new_markdown_cell("### Exercise 1 · ●○○ · 5 min · Add"),
        new_markdown_cell("## Two"),
        new_code_cell("no"),
    ]
    return new_notebook(cells=cells)


def test_a_section_has_its_questions_and_figures():
    cells = section(small_lesson(), "One")
    assert len(cells) == 3
    assert questions(cells) == ["A box. Which color,\nand why?"]
    [(picture, alt)] = pictures(cells)
    assert picture.startswith(b"\x89PNG") and alt == "a dot"
    assert Image.open(io.BytesIO(as_png(picture))).size == (3, 2)


def test_slides_and_prediction_sheets_come_from_the_sections_of_a_session():
    lesson = Lesson("00_a", "00", "A", "?", "？", 12, 17, "?")
    step = {"minutes": 45, "lesson": "00", "section": "One", "how": "vote", "what": "they vote"}
    session = {"title": "T & U", "question": "Why?", "answer": "So.", "step": [step]}
    made = deck("Session 1 · T & U", session, [(lesson, small_lesson())])
    assert made.count("<section>") == 4, "title, question, figure, closing question"
    assert 'alt="a dot"' in made and "and why?" in made and "T &amp; U" in made
    sheet = prediction_sheets([session], [(lesson, small_lesson())])
    assert "**00 · One.** A box. Which color,\nand why?" in sheet and "____" in sheet


def test_every_step_with_a_vote_says_what_to_expect(kit):
    sheets = text(kit, "run_sheets")
    assert sheets.count("## Session ") == 6
    votes = [step["vote"] for session in PLAN for step in session["step"] if "vote" in step]
    assert len(votes) >= 20 and all(vote in sheets for vote in votes)


def test_the_kit_has_every_figure_and_a_deck_per_session(kit, course):
    files = sorted(path.name for path in (kit / "figures").glob("*.png"))
    wanted = [
        f"{lesson.number}-{number:02}.png"
        for lesson, notebook in course
        for number, _ in enumerate(pictures(notebook.cells), start=1)
    ]
    assert files == wanted
    assert len(list((kit / "slides").glob("session_*.html"))) == 6


# --- Chinese terms ---


CHINESE_TEXTS = [
    ROOT / "README.zh.md",
    ROOT / "site" / "pages" / "tutorial_zh.md",
    notebooks.BUILDS,
]
# lessons that still have older terms; a rewritten lesson is taken out
OLD_TERMS = set()


def avoided(chinese):
    return {
        word for term in load("terms")["term"] for word in term.get("avoid", []) if word in chinese
    }


@pytest.mark.parametrize("path", CHINESE_TEXTS, ids=lambda path: path.name)
def test_a_chinese_text_uses_the_terms_of_the_course(path):
    assert avoided(path.read_text("utf-8")) == set()


@pytest.mark.parametrize("name", notebooks.names())
def test_a_lesson_uses_the_chinese_terms_of_the_course(name):
    found = avoided("\n".join(cell.source for cell in read(name).cells))
    assert bool(found) == (name in OLD_TERMS), found or f"{name} is clean: take it out of OLD_TERMS"


def test_the_glossary_has_the_terms_that_no_lesson_lists(kit):
    made = text(kit, "glossary")
    for word, chinese in (("encoder", "编码器"), ("optimizer", "优化器"), ("upsampling", "上采样")):
        assert f"| {word} | {chinese} | " in made


# --- pages ---


def test_every_text_is_there_twice(kit):
    names = {path.stem for path in kit.glob("*.md")}
    assert names == {path.stem for path in kit.glob("*.html")} - {"color-offline"}
    guide = text(kit, "teachers_guide")
    assert all(f"`{name}`" in guide for name in names), "the guide says what is in the kit"


def test_the_page_that_colors_photos_is_in_the_kit_if_it_can_be_built(kit, tmp_path, monkeypatch):
    assert (kit / "color-offline.html").read_text("utf-8") == "needs nothing"
    assert not (kit / "color.html").exists(), "a class may have no server"
    assert "`color-offline.html`" in text(kit, "teachers_guide")
    monkeypatch.setattr(web_page, "build", lambda folder: "color.html was left out: no npm")
    assert add_color_page(tmp_path) == "color.html was left out: no npm"
    assert not list(tmp_path.iterdir())


def test_a_page_needs_no_other_file():
    made = page("# Q & A\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```python\nx = '$'\n```\n")
    assert "<title>Q &amp; A</title>" in made and made.count("<table>") == 1
    assert not re.search(r"<(script|link|img)\b", made)


def test_a_long_page_begins_with_its_contents(kit):
    for name, course_part in (("teachers_guide", "Session 5"), ("answers", "Test it")):
        made = (kit / f"{name}.html").read_text("utf-8")
        contents = made.partition("</nav>")[0].partition('<nav class="contents">')[2]
        targets = re.findall(r'href="#([^"]+)"', contents)
        assert course_part in contents and "Exercise 1" not in contents
        assert all(made.count(f'id="{target}"') == 1 for target in targets)
    assert "<nav" not in (kit / "quiz_before.html").read_text("utf-8")


def test_a_formula_needs_no_script(kit):
    made = page("# A\n\nHere $x^2$ and\n\n$$\\frac{a}{b}$$\n\n`$HOME` costs $, not $$.\n")
    assert "<msup>" in made and '<math xmlns="http://www.w3.org/1998/Math/MathML" display' in made
    assert "<mfrac>" in made and "$HOME" in made and "<script" not in made
    answers = (kit / "answers.html").read_text("utf-8")
    assert "<mtable" in answers and "\\begin{cases}" not in answers
