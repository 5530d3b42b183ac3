"""The prose check: it finds what reads as translated, and leaves plain English alone."""

import importlib.util
import json
import subprocess
import sys

import pytest

from tools import ROOT

SCRIPT = ROOT / "tools" / "prose.py"
SPEC = importlib.util.spec_from_file_location("prose", SCRIPT)
prose = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(prose)

TRANSLATED = {
    "A gray scan is no color photo.": "is not a",
    "The height is no multiple of 16.": "is not a",
    "None is committed here.": "there are no",
    "Take Lab, for it is close to the eye.": "because",
    "It stays gray, for the network has learned little.": "because",
    "The mend is simple.": "fix",
    "The cache is made anew.": "again",
    "What you may change stands in the next cell.": "is in",
    "The file lies in the folder.": "is in",
    "The help says the rest.": "all options",
    "Nobody shall read it.": "should",
    "Two numbers a pixel are left.": "per",
    "All that was written stays.": "noun",
    "The loss is no number any more.": "no longer",
    "The run goes on where it stopped.": "resumes",
    "It is nearer to the truth.": "closer",
}


@pytest.mark.parametrize("text", TRANSLATED)
def test_a_translated_sentence_is_found(text, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"Fine.\n\n{text}\n", "utf-8")
    found = list(prose.findings(page))
    assert found and any(TRANSLATED[text] in each.cure for each in found)
    assert found[0].line == 3


@pytest.mark.parametrize(
    "text",
    [
        "There is no GPU here, and there are no photos.",
        "It is no longer gray.",
        "Gray stands in for the truth.",
        "A good rule for a beginner is to look at samples.",
        "Wait for it.",
        "Ten numbers per pixel.",
    ],
)
def test_plain_english_is_left_alone(text, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(text, "utf-8")
    assert list(prose.findings(page)) == []


def test_a_sentence_may_continue_on_the_next_line_of_a_comment_or_message(tmp_path):
    code = tmp_path / "code.py"
    code.write_text('x = 1  # this is\n# no multiple of 16\nfail("it is "\n     f"no photo")\n')
    assert [each.line for each in prose.findings(code)] == [1, 3]


def test_of_a_notebook_only_its_text_is_read(tmp_path):
    cells = [
        {"cell_type": "code", "source": ["this is no text"], "outputs": []},
        {"cell_type": "markdown", "source": ["This is no\n", "photo."]},
    ]
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps({"cells": cells}), "utf-8")
    assert len(list(prose.findings(path))) == 1


def test_the_texts_of_the_project_are_found():
    files = {path.relative_to(ROOT).as_posix() for path in prose.texts()}
    wanted = {"README.md", "README.zh.md", "colorlib/color.py", "tools/class_texts/guide.md"}
    assert wanted | {"notebooks/00_color_a_photo.ipynb", "lessonkit/__init__.py"} <= files
    assert not any("__pycache__" in file or ".ipynb_checkpoints" in file for file in files)


def test_the_command_fails_where_something_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("This is no photo.", "utf-8")
    done = subprocess.run([sys.executable, SCRIPT, page], capture_output=True, text=True)
    assert done.returncode == 1 and "page.md:1: …This is no photo.…" in done.stdout
    page.write_text("This is a photo.", "utf-8")
    assert subprocess.run([sys.executable, SCRIPT, page], capture_output=True).returncode == 0
