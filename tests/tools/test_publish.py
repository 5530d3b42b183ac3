"""`make publish`: one address in every file that tells it, and no output becomes stale."""

import re
import shutil

import pytest

from tools import ROOT, publish
from tools.notebooks import (
    FOLDER,
    REPOSITORY,
    UNPUBLISHED,
    code_hash,
    names,
    read,
    readdress,
    write,
)
from tools.publish import PAGES, badges, main

NEW = "some-body/a.course_1"


@pytest.fixture
def course(tmp_path):
    """A copy of all that tells the address; of the lessons, the first two."""
    for name in (*PAGES, "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "notebooks").mkdir()
    for name in names()[:2]:
        notebook = read(name)
        readdress(notebook, name)  # as `execute` stamps it
        write(notebook, tmp_path / "notebooks" / f"{name}.ipynb")
    return tmp_path


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_there_and_back_changes_no_byte(course):
    before = contents(course)
    publish.publish(NEW, course)
    assert contents(course) != before
    publish.publish(REPOSITORY, course, old=NEW)
    assert contents(course) == before


def test_every_file_tells_the_new_address_and_none_the_old_one(course):
    told = {name for name, text in contents(course).items() if REPOSITORY.encode() in text}
    publish.publish(NEW, course)
    after = contents(course)
    assert {"pyproject.toml", "CITATION.cff", f"notebooks/{names()[0]}.ipynb"} <= told
    assert all(f"/{NEW}".encode() in after[name] for name in told | {"README.md", "README.zh.md"})
    assert not any(REPOSITORY.encode() in text for text in after.values())


def test_the_lessons_are_as_fresh_as_before(course):
    publish.publish(NEW, course)
    for name in names()[:2]:
        lesson = read(name, course / "notebooks")
        assert code_hash(lesson) == code_hash(read(name))
        assert lesson.cells[0].source.count(f"/{NEW}/blob/main/notebooks/{name}.ipynb") == 1
        assert f"https://github.com/{NEW} /content/course" in lesson.cells[1].source


def test_an_address_that_begins_alike_stays(course):
    page = course / "README.md"
    page.write_text(f"github.com/{REPOSITORY}-two github.com/{REPOSITORY}.\n", "utf-8")
    with pytest.raises(ValueError, match="has no part between"):  # a README without its badges
        publish.publish(NEW, course)
    assert page.read_text("utf-8") == f"github.com/{REPOSITORY}-two github.com/{NEW}.\n"


@pytest.mark.parametrize(
    "repository",
    [
        "",
        "name",
        "owner/",
        "/name",
        "owner/name/",
        "owner/two/names",
        "https://github.com/owner/name",
        "owner/name.git",
        "own er/name",
        "-owner/name",
        "owner-/name",
        "own--er/name",
        "owner_/name",
        "owner/..",
        'owner/name"; true',
        "owner/name\n",
        f"{'o' * 40}/name",
        f"owner/{'n' * 101}",
        "öwner/name",
    ],
)
def test_what_no_repository_can_be_called_is_refused(course, repository):
    before = contents(course)
    with pytest.raises(ValueError, match="make publish REPO=owner/name"):
        publish.publish(repository, course)
    assert contents(course) == before


def test_the_command_ends_with_a_sentence(monkeypatch, capsys):
    monkeypatch.delenv("REPO", raising=False)
    with pytest.raises(SystemExit, match="REPO='' is no owner/name"):
        main()
    done = []
    monkeypatch.setattr(publish, "publish", done.append)
    monkeypatch.setenv("REPO", NEW)
    main()
    assert done == [NEW] and f"https://github.com/{NEW} now" in capsys.readouterr().out


def test_badges():
    assert badges(UNPUBLISHED) == "", "a badge that finds nothing is worse than none"
    assert "https://some-body.github.io/a.course_1/" in badges(NEW)
    assert "(https://some-body.github.io/a.course_1/color.html)" in badges(NEW)
    assert "(https://me.github.io/)" in badges("Me/me.github.io"), "the owner's own page"


# --- the course as it is ---


def test_no_file_of_the_course_disagrees():
    owner, name = REPOSITORY.split("/")
    told = re.compile(rf"github\.com/(?:repos/)?([\w-]+/{re.escape(name)})(?![\w-])")
    pages = [ROOT / page for page in (*PAGES, "pyproject.toml")]
    for path in [*pages, *FOLDER.glob("*.ipynb")]:
        assert set(told.findall(path.read_text("utf-8"))) <= {REPOSITORY}, path.name
    for readme in ("README.md", "README.zh.md"):
        page = (ROOT / readme).read_text("utf-8")
        assert f"<!-- badges -->\n{badges(REPOSITORY)}\n<!-- /badges -->" in page, readme
