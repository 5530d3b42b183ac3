"""Stamp the course's address on GitHub into every file that tells it.

    make publish REPO=owner/name

pyproject.toml decides the address ([project.urls]); this module changes it there and in all other
places: the notebooks' badges and set-up cells, the badges of the READMEs, CITATION.cff. None of it
is hashed as code of a lesson, so no output becomes stale. Nothing is committed or pushed.
"""

import os
import re
import sys
from pathlib import Path

from colorlib.runs import atomic_write
from tools import ROOT, put_between
from tools.notebooks import BADGE, REPOSITORY, UNPUBLISHED, read, readdress, write

OWNER = r"(?=[^/]{1,39}/)[A-Za-z0-9]+(-[A-Za-z0-9]+)*"  # GitHub's rules for the names
NAME = r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}(?<!\.git)"
PAGES = ("README.md", "README.zh.md", "CONTRIBUTING.md", "CITATION.cff")


def publish(repository: str, root: Path = ROOT, old: str = REPOSITORY) -> None:
    """Give the course another address.

    Args:
        repository: owner/name, as in the address of the repository's page on GitHub.
        root: The course's folder.
        old: The address that is stamped now.

    Raises:
        ValueError: no repository of GitHub can have this name; nothing was written.
    """
    if not re.fullmatch(f"{OWNER}/{NAME}", repository):
        raise ValueError(
            f"REPO={repository!r} is no owner/name. Take the last two parts of the address of your "
            "repository's page on GitHub: make publish REPO=owner/name"
        )
    for path in sorted((root / "notebooks").glob("[0-9][0-9]_*.ipynb")):
        notebook = read(path.stem, path.parent)
        readdress(notebook, path.stem, repository)
        write(notebook, path)
    told = re.compile(rf"(?<=github\.com/){re.escape(old)}(?![\w-])")
    # pyproject.toml is last: after an interruption the same command still knows the old address
    for name in (*PAGES, "pyproject.toml"):
        page = (root / name).read_text("utf-8")
        with atomic_write(root / name) as temporary:
            temporary.write_text(told.sub(repository, page), "utf-8", newline="\n")
        if name.startswith("README"):
            put_between(root / name, "badges", badges(repository))


def badges(repository: str) -> str:
    """Make the READMEs' badges: state of the tests, first lesson on Colab, two web pages."""
    if repository == UNPUBLISHED:
        return ""
    owner, name = repository.split("/")
    workflow = f"https://github.com/{repository}/actions/workflows/tests.yml"
    host = f"{owner.lower()}.github.io"
    pages = f"https://{host}/" if name.lower() == host else f"https://{host}/{name}/"
    lines = [
        f"[![tests]({workflow}/badge.svg)]({workflow})",
        BADGE.format(repository=repository, name="00_color_a_photo"),
        f"[Color a photo in your browser]({pages}color.html) · [Read the course online]({pages})",
    ]
    return "\n".join(lines)


def main() -> None:
    """Publish the course at the address in the environment variable REPO.

    make hands it over there as it is; in a command line the shell would read it first.
    """
    repository = os.environ.get("REPO", "")
    try:
        publish(repository)
    except ValueError as error:
        sys.exit(str(error))
    print(f"The address is https://github.com/{repository} now: look at `git diff`, then commit")


if __name__ == "__main__":
    main()
