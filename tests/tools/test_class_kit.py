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

from colorlib.discriminator import PatchDiscriminator
from lessonkit.lesson_05.measures import receptive_field
from tools import ROOT, class_kit, notebooks, web_page
from tools.class_kit import add_color_page, answers, build, case_files, glossary, guide, load
from tools.class_lessons import (
    Exercise,
    Item,
    exercises,
    items,
    key_terms,
    lengths,
    notes,
    pictures,
    plain,
)
from tools.class_pages import page
from tools.class_quiz import options, quiz_key, quiz_sheet
from tools.class_sessions import (
    asked,
    at_a_glance,
    homework,
    lessons_of,
    numbered,
    predictions,
    predictions_key,
    room_for,
    run_sheet,
    taught,
    where_used,
)
from tools.class_slides import deck
from tools.notebooks import Lesson, described, read, tags

PLAN = load("plan")
SESSIONS = PLAN["session"]
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
    assert [sum(step["minutes"] for step in session["step"]) for session in SESSIONS] == [45] * 6


def test_every_lessons_notes_fill_45_minutes(course):
    label = r"^\*\*A 45-minute lesson on its own\.\*\* (.+)$"
    for lesson, notebook in course:
        steps = re.split(r" · ", re.search(label, notes(notebook), flags=re.MULTILINE)[1])
        begins = [re.match(r"(\d+) min: \S", step) for step in steps]
        assert all(begins), f"{lesson.name}: a step does not begin with its minutes"
        assert sum(int(begin[1]) for begin in begins) == 45, lesson.name


def test_the_sessions_at_a_glance_are_the_first_thing_in_the_guide(kit, course):
    table = at_a_glance(PLAN, course)
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()[2:]]
    assert [row[1] for row in rows[:6]] == ["00", "01, 03", "02", "04, 05", "06, 07", "08, 09"]
    assert [row[2] for row in rows[:6]] == ["23–37", "–", "5–14, 36–41", "–", "–", "–"]
    for session, row in zip(SESSIONS, rows):
        own = [lesson for lesson, _ in course if lesson.number in lessons_of(session)]
        assert row[5] == f"{sum(each.reading + each.exercises for each in own)} min"
        assert row[4] == f"{homework(session, course)[0]} min" and row[3] == session["print"]
    made = text(kit, "teachers_guide")
    assert table in made.partition("\n## ")[0]
    page = (kit / "teachers_guide.html").read_text("utf-8")
    assert page.index("Color where there is none") < page.index('<nav class="contents">')


def test_what_is_printed_is_in_the_kit(kit):
    for session in SESSIONS:
        assert all(
            (kit / f"{name}.md").exists() for name in re.findall(r"\w+_\w+", session["print"])
        )


def test_answers_are_not_read_before_their_exercise():
    read_at_home = [
        heading for session in SESSIONS for part in session["home"] for heading in part["read"]
    ]
    assert len(read_at_home) > 10 and not [
        each for each in read_at_home if "answer" in each.lower()
    ]


def test_the_plan_names_only_what_the_lessons_have(course):
    lessons = {lesson.number: notebook for lesson, notebook in course}
    for session in SESSIONS:
        for part in [*session["step"], *session["home"]]:
            if "lesson" not in part:
                continue
            notebook = lessons[part["lesson"]]
            gone = {*part.get("read", []), *part.get("sections", [])} - headings(notebook)
            assert not gone, (
                f"plan.toml names {gone} of lesson {part['lesson']}, which has only "
                f"{sorted(headings(notebook))}: change the plan"
            )
            wanted = {*part.get("exercises", []), part.get("exercise")} - {None}
            numbers = {each.number for each in exercises(notebook)}
            assert wanted <= numbers, f"plan.toml names exercises {wanted}: there are {numbers}"


def headings(notebook):
    pages = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    return set(re.findall(r"^#{2,3} (.+)$", "\n".join(pages), flags=re.MULTILINE))


def test_every_lesson_has_its_place_in_the_plan():
    planned = {number for session in SESSIONS for number in lessons_of(session)}
    assert planned == {f"{number:02}" for number in range(10)}


def test_an_exercise_is_done_in_class_or_at_home_of_one_session():
    for session in SESSIONS:
        in_class = [(s["lesson"], s["exercise"]) for s in session["step"] if "exercise" in s]
        at_home = [(part["lesson"], each) for part in session["home"] for each in part["exercises"]]
        assert len({*in_class, *at_home}) == len(in_class + at_home)


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
    step = {"lesson": "00", "sections": ["One"], "how": "pairs", "what": "they add"}
    words = dict.fromkeys(("title", "goal", "question", "answer", "short", "quick"), "-")
    session = words | {
        "print": "the quiz",
        "prepare": ["be calm"],
        "step": [{"minutes": 10, "laptops": True} | step, {"minutes": 35, "vote": "Two."} | step],
        "home": [{"lesson": "00", "exercises": [1, 2], "read": ["Two", "Three"], "also": "Rest."}],
    }
    made = run_sheet({"session": [session], "on_sheet": {}, "key": {}}, session, small_course())
    assert "| 0–10 | **00 · One** · they add *(pairs; **laptops**)* |  |\n| 10–45 |" in made
    assert "they add *(pairs)* | Two. |" in made
    assert "- run all of 00, then" in made and "- print the quiz\n- be calm" in made
    assert "**At home** (23 min)" in made, "half of the text, 6 minutes, and both exercises"
    assert "read *Two*, *Three* (6 min); exercises 1 (Add), 2 (Add), 17 min. Rest.\n" in made


# --- guide and answers ---


def test_the_guide_has_every_lesson_with_its_minutes_and_its_teachers_notes(kit, course):
    guide = text(kit, "teachers_guide")
    assert "<!--" not in guide, "a part was not filled in"
    for lesson, notebook in course:
        assert guide.count(f"### {lesson.number} · {lesson.title}\n") == 1
        minutes = f"{lesson.reading} min reading, {lesson.exercises} min exercises"
        assert f"{minutes}, runs in {lesson.run_time}." in guide
        last = notebook.cells[-1].source.splitlines()
        told = [line for line in last if not line.startswith("<") and "](" not in line]
        assert len(told) > 5 and all(line in guide for line in told)
    behind = guide.partition("## If you go on")[2]
    assert re.findall(r"^### (\d\d)", behind, flags=re.MULTILINE) == ["10", "11", "12"]


def test_every_teachers_question_has_an_answer_and_misunderstandings_one_heading(course):
    for lesson, notebook in course:
        parts = dict(
            re.findall(r"^\*\*([^*:]+)\*\*\n\n((?:- .+\n)+)", notes(notebook), re.MULTILINE)
        )
        assert set(parts) == {"Questions to ask", "Common misunderstandings"}, lesson.name
        for question in parts["Questions to ask"].splitlines():
            assert re.search(r"\*.+\*$", question), f"{lesson.name}: no answer: {question}"


def test_colab_is_offered_only_where_the_course_is_on_github(course, monkeypatch):
    monkeypatch.setattr(class_kit, "REPOSITORY", class_kit.UNPUBLISHED)
    assert "not with this copy of the course" in guide(PLAN, course)
    monkeypatch.setattr(class_kit, "REPOSITORY", "somebody/colorlib")
    assert "not with this copy" not in guide(PLAN, course)
    assert "Upload notebook" in guide(PLAN, course)


def test_the_answers_have_every_exercise_once(kit, course):
    answers = text(kit, "answers")
    sources = [cell.source for _, notebook in course for cell in notebook.cells]
    cards = [source for source in sources if "### Exercise " in source]
    assert len(cards) == answers.count("\n### Exercise ") == answers.count("```python\n")
    for card in cards:
        assert re.search("^### Exercise .*$", card, flags=re.MULTILINE)[0] in answers
    assert "checks." not in answers and "@title" not in answers


def test_the_answers_say_where_the_plan_uses_an_exercise(course):
    made = answers(PLAN, course)
    titles = [f"Exercise {n} · " for n in range(1, 6)]
    marked = re.findall(r"^### (.{13}).+\n\n★ \*(.+)\*$", made, flags=re.MULTILINE)
    assert all(title in titles for title, _ in marked)
    chosen = [(p["lesson"], n) for s in SESSIONS for p in s["home"] for n in p["exercises"]]
    chosen += [(p["lesson"], p["exercise"]) for s in SESSIONS for p in s["step"] if "exercise" in p]
    assert len(marked) == len(set(chosen))
    step, home = {"lesson": "04", "exercise": 1}, {"lesson": "04", "exercises": [1, 2]}
    plan = {"session": [{"title": "", "step": [step], "home": [home]}]}
    assert where_used(plan) == {
        ("04", 1): "session 1, in class; session 1, at home",
        ("04", 2): "session 1, at home",
    }
    reasons = re.findall(r"^\*\*Case (\w)\.\*\* \S.+", made, re.MULTILINE)
    assert "".join(reasons) == "ABCEFHJK", "why each run is what it is"


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
        ("12.2", round(math.exp(2) / (1 + 2 * math.exp(2)), 2)),
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
    told = "".join(re.findall(r"\b[A-Z]\b", SESSIONS[4]["prepare"][-1]))
    assert sorted(told) == sorted([*letters, "A", "C"]), "four pairs, and the first pair again"
    [vote] = [s["vote"] for s in SESSIONS[4]["step"] if s.get("sections") == ["Eight case files"]]
    named = re.findall(r'"([A-Z])": "(\w+)"', diagnoses.solution)
    assert all(f"{letter} {suspect}" in vote for letter, suspect in named), "the run sheet's key"
    assert made.count("break-after: page") == len(letters), "each file on its own page"
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


def test_the_guide_says_how_to_install(kit):
    guide = text(kit, "teachers_guide")
    assert "`make lab`" in guide and "\nlab: " in (ROOT / "Makefile").read_text("utf-8")
    assert "`site/pages/install.md`" in guide and (ROOT / "site/pages/install.md").exists()


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
    chinese = '<span lang="zh-Hans">{}</span>'.format
    assert lines == [
        f"| Bias | {chinese('偏差')} |  | 02 |",
        f"| chroma | {chinese('色度 / 彩度')} | how far a color is from gray; "
        r"also a\* and b\* together | 01, 02 |",
        f"| loss | {chinese('损失')} | number that training minimizes | 01, 02 |",
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
    for name in ("gray", "mean color", "lookup by L"):
        quality = f"{scenes['baselines'][name]['psnr_ab']:.1f}"
        assert f"| {name} | {quality} | {quality} | 0.00 | 0.00 |" in sample


def test_the_marks_of_the_sample_project_add_up(kit):
    sample = text(kit, "sample_project")
    marks = [int(mark) for mark in re.findall(r"^\| \*\*.+\*\* \| (\d) \|", sample, re.MULTILINE)]
    assert len(marks) == 6 and f"**{sum(marks)} of 24 points" in sample


# --- slides, figures, run sheets, prediction sheets ---


def small_lesson():
    """Two sections, with questions, outputs and an exercise."""
    picture = io.BytesIO()
    Image.new("RGB", (3, 2), "red").save(picture, "JPEG")
    data = {"image/jpeg": base64.b64encode(picture.getvalue()).decode(), "text/plain": "a dot"}
    drawing = new_code_cell("draw()")
    drawing.outputs = [
        new_output("display_data", data={"text/markdown": "*size: 1*"}),
        new_output("display_data", data=data, metadata={"image/jpeg": {"alt": "a dot"}}),
    ]
    printing = new_code_cell("print(1)", metadata={"tags": ["predict"]})
    printing.outputs = [
        new_output("stream", name="stdout", text="1\n"),
        new_output("display_data", data={"text/html": "<table><tr><td>2</td></tr></table>"}),
    ]
    noise = new_code_cell("print('seed')")
    noise.outputs = [new_output("stream", name="stdout", text="seed\n")]
    cells = [
        new_markdown_cell(
            "## One\n\nText.\n\nA box. **Before you run this:** which [color](a.md)?"
        ),
        drawing,
        new_markdown_cell("Red. It is red.\n\n*Predict first: how many?*"),
        noise,
        printing,
        new_markdown_cell("### Exercise 1 · ●○○ · 5 min · Add\n\nAdd *one*."),
        new_code_cell("...", metadata={"tags": ["exercise"]}),
        new_code_cell("1", metadata={"tags": ["solution"]}),
        new_markdown_cell("## Two\n\n| a |\n|---|\n| 1 |\n\n**Before you look:** and now?"),
        drawing,
        new_markdown_cell("No.", metadata={"tags": ["teacher"]}),
    ]
    return new_notebook(cells=cells)


def test_a_lesson_is_read_as_questions_outputs_and_exercises():
    found = list(items(small_lesson()))
    assert [(item.kind, item.section) for item in found] == [
        ("question", "One"),
        ("output", "One"),
        ("question", "One"),
        ("output", "One"),
        ("exercise", "One"),
        ("output", "Two"),
        ("question", "Two"),
        ("output", "Two"),
    ]
    assert found[0] == Item("question", "One", "A box. Which color?", 0, "Red. It is red.")
    assert found[1].text.startswith("*size: 1*\n\n![a dot](data:image/jpeg;base64,")
    assert found[2].text == "*How many?*" and found[2].answer == "", "no text follows it"
    assert found[3].text == "```\n1\n```\n\n<table><tr><td>2</td></tr></table>"
    assert found[4].text == "## Exercise 1 · Add\n\nAdd *one*." and found[4].number == 1
    assert found[5].text == "| a |\n|---|\n| 1 |"
    [first, _] = pictures(small_lesson())
    assert first.startswith(b"\x89PNG") and Image.open(io.BytesIO(first)).size == (3, 2)


@pytest.mark.parametrize(
    "asked, told",
    [
        ("**Before you run this,** write down: what?", "Write down: what?"),
        ("**Before you run this, write it down:** which?", "Which?"),
        ("**Before you go on:** is it?", "Is it?"),
        ("**Before you turn the cube:** where?", "Where?"),
        ("**Predict:** what?", "What?"),
        ("**Play.** Cut it. Why?", "Cut it. Why?"),
        ("**Play:** swap two.", "Swap two."),
        ("**Before you go on,** write down three things.", "Write down three things."),
        ("*Before you read on: the cat is gray. Why?*", "*The cat is gray. Why?*"),
        ("**Now move it.** *Predict first: what happens?*", "**Now move it.** *What happens?*"),
        ("**Move k up from 1. What gets better?**", "**Move k up from 1. What gets better?**"),
    ],
)
def test_a_prediction_is_found_however_it_is_asked(asked, told):
    cells = [new_markdown_cell(f"## A\n\n{asked}"), new_code_cell("1")]
    assert [item.text for item in items(new_notebook(cells=cells))] == [told] == [plain(asked)]


def test_every_question_is_found(course):
    for lesson, notebook in course:
        found = [item.text for item in items(notebook) if item.kind == "question"]
        whole = "\n".join(
            cell.source for cell in notebook.cells if "### Exercise" not in cell.source
        )
        assert len(found) >= len(re.findall(r"\*\*Before you", whole)) > 0, lesson.name


def small_plan():
    step = {"minutes": 20, "lesson": "00", "how": "vote", "what": "they vote"}
    session = {
        "title": "T & U",
        "question": "Why?",
        "step": [
            step | {"sections": ["One"]},
            step | {"sections": ["Two"], "exercise": 1},
            {"minutes": 5, "how": "class", "what": "the end"},
        ],
        "home": [{"lesson": "00", "exercises": [1], "read": ["Two"]}],
    }
    return {
        "session": [session],
        "on_sheet": {"*How many": ""},
        "key": {"And now": "Blue.\nStill."},
    }


def test_a_question_is_on_its_own_slide_right_before_its_figure():
    course = [(Lesson("00_a", "00", "A", "?", "？", 12, 17, "?"), small_lesson())]
    slides = deck(small_plan(), 1, course).split("<section>")[1:]
    wanted = ["T &amp; U", "Which color", 'alt="a dot"', "How many", "<td>2</td>"]
    wanted += ["Add <em>one</em>", "<td>1</td>", "And now?", 'alt="a dot"', "To close", "At home"]
    assert len(slides) == len(wanted)
    for slide, part in zip(slides, wanted):
        assert part in slide
    assert "prediction 1" in slides[1] and "prediction" not in slides[3]


def test_a_prediction_sheet_leaves_out_what_the_plan_says_and_its_key_has_the_answers():
    course = [(Lesson("00_a", "00", "A", "?", "？", 12, 17, "?"), small_lesson())]
    sheet, key = predictions(small_plan(), course), predictions_key(small_plan(), course)
    assert "**1.** A box. Which color?\n\n____" in sheet and "How many" not in sheet + key
    assert "**1.** A box. Which color?\n\n> Red. It is red." in key
    assert "**2.** And now?\n\n> Blue.\n> Still." in key


def test_nothing_is_shown_twice_in_a_session(course):
    for _, session, heading in numbered(PLAN):
        found = [item.text for _, of_step in taught(PLAN, session, course) for item in of_step]
        assert len(found) == len(set(found)), heading


def test_the_plan_words_only_questions_that_there_are(course):
    sessions = [taught(PLAN, session, course) for session in SESSIONS]
    found = [item.text for steps in sessions for _, of_step in steps for item in of_step]
    for beginning in [*PLAN["on_sheet"], *PLAN["key"]]:
        assert len([each for each in found if each.startswith(beginning)]) == 1, beginning


def test_a_sheet_has_questions_for_its_session_and_the_key_answers_them(course):
    counts = [len(asked(PLAN, session, course)) for session in SESSIONS]
    assert min(counts) >= 5 and max(counts) <= 11
    key = predictions_key(PLAN, course)
    assert len(re.findall(r"^> .+\n(?!>)", key, re.MULTILINE)) == sum(counts)


def test_the_run_sheets_name_every_slide_of_the_decks(kit):
    sheets = re.split(r"^## Session \d", text(kit, "run_sheets"), flags=re.MULTILINE)[1:]
    for number, sheet in enumerate(sheets, start=1):
        named = []
        for first, last in re.findall(r"Slides? (\d+)(?:–(\d+))?\.", sheet):
            named += range(int(first), int(last or first) + 1)
        slides = (kit / "slides" / f"session_{number}.html").read_text("utf-8").count("<section>")
        assert named == list(range(2, slides - 1)), "between the title, the question and homework"


def test_a_sheet_leaves_more_room_where_more_is_asked():
    assert room_for("Which one?") == 1
    assert room_for("Sort them into three groups.") == 2
    assert room_for("Rank them. Sketch it. Why? How?") == 4


def test_every_step_with_a_vote_says_what_to_expect(kit):
    sheets = text(kit, "run_sheets")
    assert sheets.count("## Session ") == 6
    votes = [step["vote"] for session in SESSIONS for step in session["step"] if "vote" in step]
    assert len(votes) >= 20 and all(vote in sheets for vote in votes)
    assert sheets.count("**At home** (") == sheets.count("**Short of time?**") == 6


def test_the_vote_names_the_fakes_of_lesson_05(course):
    [notebook] = [n for lesson, n in course if lesson.number == "05"]
    [vote] = [s["vote"] for s in SESSIONS[3]["step"] if "Be the" in str(s.get("sections"))]
    printed = "".join(o.get("text", "") for cell in notebook.cells for o in cell.get("outputs", []))
    fakes = re.search(r"colored by the table: (\w), (\w), (\w)", printed).groups()
    assert "{}, {} and {} are fake".format(*fakes) in vote


def test_the_kit_has_every_figure_and_a_deck_per_session(kit, course):
    files = sorted(path.name for path in (kit / "figures").glob("*.png"))
    wanted = [
        f"{lesson.number}-{number:02}.png"
        for lesson, notebook in course
        for number, _ in enumerate(pictures(notebook), start=1)
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
        assert f'| {word} | <span lang="zh-Hans">{chinese}</span> | ' in made


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
    for name, course_part in (("teachers_guide", "Grading"), ("answers", "Test it")):
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
