"""Is everything there? A look at the machine that says in plain words what is missing."""

import os
import platform
import shutil
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

import torch
from packaging.requirements import Requirement

from lessonkit import course_file

GIGABYTE = 10**9
ROOM = 2 * GIGABYTE  # for the runs of all lessons

WITHOUT = {  # an optional package -> what a learner does without
    "docutils": "`make class` cannot print formulas",
    "ipython": "no lesson runs in a notebook",
    "ipywidgets": "you see still pictures in place of sliders and buttons",
    "jupyterlab": "open the lessons with any other program that shows notebooks",
    "jupytext": "lessons cannot be turned into scripts",
    "nbclient": "lessons cannot be executed from the command line",
    "nbconvert": "lessons cannot be turned into web pages",
    "nbformat": "lessons cannot be read from the command line",
    "papermill": "`make course` and the experiments of lesson 10 do not run",
    "pygments": "`make class` cannot print code",
}


class Finding(NamedTuple):
    """One thing that was looked at."""

    state: str
    """"ok", "missing" (some lesson will stop) or "note" (good to know; nothing stops)."""
    text: str
    """For the learner; where something is missing, what to do."""


def check_machine() -> None:
    """Print what the course finds on this machine, line by line, and a last line that sums up."""
    findings = list(look_around())
    for finding in findings:
        print(f"{finding.state:9}{finding.text}")
    missing = sum(finding.state == "missing" for finding in findings)
    print(f"\n{missing} missing: see above" if missing else "\nAll that you need is here.")


def look_around() -> Iterator[Finding]:
    """Look at Python, packages, graphics card and disk.

    Raises:
        FileNotFoundError: the notebook is not in the course's folder.
    """
    project = tomllib.loads(course_file("pyproject.toml").read_text("utf-8"))["project"]
    yield look_at_python(project["requires-python"])
    yield from look_at_packages(project["dependencies"])
    yield from look_at_extras(project["optional-dependencies"]["course"])
    if torch.cuda.is_available():
        yield Finding("ok", f"a GPU: {torch.cuda.get_device_name()}")
    else:
        yield Finding("note", "no GPU: lessons 00 to 09 need none")
    yield look_at_disk()


def look_at_python(needed: str) -> Finding:
    """Compare Python's version with what is needed, such as ">=3.11"."""
    fault = fault_of(Requirement(f"Python{needed}"), platform.python_version())
    return (
        Finding("missing", f"{fault}: install it from python.org")
        if fault
        else (Finding("ok", f"Python {platform.python_version()}"))
    )


def look_at_packages(lines: list[str]) -> Iterator[Finding]:
    """Look for packages that colorlib itself imports; `lines` as in pyproject.toml."""
    faults = [fault for line in lines if (fault := fault_of(Requirement(line)))]
    for fault in faults:
        yield Finding("missing", fault)
    if not faults:
        yield Finding("ok", f"{len(lines)} packages that compute and draw")


def look_at_extras(lines: list[str]) -> Iterator[Finding]:
    """Look for packages that only make the lessons more comfortable."""
    faults = {line: fault_of(Requirement(line)) for line in lines}
    for line, fault in faults.items():
        if fault:
            yield Finding("note", f"{fault}. Without it, {WITHOUT[Requirement(line).name]}")
    if not any(faults.values()):
        yield Finding("ok", f"{len(lines)} packages for notebooks, sliders and buttons")


def fault_of(requirement: Requirement, found: str | None = None) -> str:
    """Say what is wrong with a package and how to mend it; "" where nothing is.

    Args:
        requirement: such as torch>=2.11.
        found: its version; None looks for the installed one.
    """
    mend = f'pip install "{requirement}"'
    try:
        found = found or version(requirement.name)
    except PackageNotFoundError:
        return f"{requirement.name} is not installed: {mend}"
    if requirement.specifier.contains(found, prereleases=True):
        return ""
    return f"{requirement.name} is {found}, but {requirement.specifier} is needed: {mend}"


def look_at_disk() -> Finding:
    """Find out whether results can be written into the course's folder."""
    folder = course_file("data/README.md").parents[1]
    if not os.access(folder, os.W_OK):
        return Finding("missing", "the course's folder cannot be written to: copy it elsewhere")
    free = shutil.disk_usage(folder).free
    if free < ROOM:
        left = f"only {free / GIGABYTE:.1f} GB are free"
        return Finding("note", f"{left}: make room for {ROOM // GIGABYTE} GB, for later lessons")
    return Finding("ok", "room for results")
