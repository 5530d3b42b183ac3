"""A check of the machine that says in plain words what is missing and what to do."""

import os
import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import NamedTuple

import torch
from packaging.requirements import Requirement

GIGABYTE = 10**9
ROOM = 2 * GIGABYTE  # for the runs of all lessons

WITHOUT = {  # an optional package -> what a learner does without
    "anywidget": "you see still pictures in place of those that you can click on in lesson 12",
    "docutils": "`make class` can't print formulas",
    "ipython": "no lesson runs in a notebook",
    "ipywidgets": "you see still pictures instead of sliders and buttons",
    "jupyterlab": "open the lessons with any other program that shows notebooks",
    "jupytext": "lessons can't be turned into scripts",
    "nbclient": "lessons can't be executed from the command line",
    "nbconvert": "lessons can't be turned into web pages",
    "nbformat": "lessons can't be read from the command line",
    "papermill": "`make course` and `make experiments` don't run",
    "pygments": "`make class` can't print code",
    "torchmetrics": "LPIPS can't be measured",
}


class Finding(NamedTuple):
    """One result of the check."""

    state: str
    """"ok", "missing" (some lesson will stop) or "note" (good to know; nothing stops)."""
    text: str
    """For the learner; if something is missing, what to do."""


def check_machine() -> None:
    """Print one line for each thing that was checked, and a last line that sums up."""
    findings = list(look_around())
    for finding in findings:
        print(f"{finding.state:9}{finding.text}")
    missing = sum(finding.state == "missing" for finding in findings)
    print(f"\n{missing} missing: see above" if missing else "\nYou have everything you need.")


def look_around() -> Iterator[Finding]:
    """Look at Python, packages, graphics card and disk."""
    needed, extras = requirements()
    yield look_at_python(metadata("colorlib")["Requires-Python"])
    yield from look_at_packages(needed)
    yield from look_at_extras(extras)
    if torch.cuda.is_available():
        yield Finding("ok", f"a GPU: {torch.cuda.get_device_name()}")
    elif torch.accelerator.is_available():  # Apple's, for example
        yield Finding("ok", f"a GPU: {torch.accelerator.current_accelerator()}")
    else:
        yield Finding("note", "no GPU: you don't need one for lessons 00 to 09")
    yield look_at_disk()


def requirements() -> tuple[list[str], list[str]]:
    """What colorlib itself imports, and what `pip install "colorlib[course]"` adds."""
    found = [Requirement(line) for line in requires("colorlib")]
    extras = [one for one in found if one.marker and one.marker.evaluate({"extra": "course"})]
    needed = [one for one in found if not one.marker or one.marker.evaluate({"extra": ""})]
    added = [one for one in extras if one not in needed]
    return [f"{one.name}{one.specifier}" for one in needed], [
        f"{one.name}{one.specifier}" for one in added
    ]


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
    """Look for packages that only add comfort."""
    faults = {line: fault_of(Requirement(line)) for line in lines}
    for line, fault in faults.items():
        if fault:
            yield Finding("note", f"{fault}. Without it, {WITHOUT[Requirement(line).name]}")
    if not any(faults.values()):
        yield Finding("ok", f"{len(lines)} packages for notebooks, sliders and buttons")


def fault_of(requirement: Requirement, found: str | None = None) -> str:
    """Say what is wrong with a package and how to fix it; "" if nothing is.

    Args:
        requirement: such as torch>=2.11.
        found: its version; None looks for the installed one.
    """
    fix = f'pip install "{requirement}"'
    try:
        found = found or version(requirement.name)
    except PackageNotFoundError:
        return f"{requirement.name} is not installed: {fix}"
    if requirement.specifier.contains(found, prereleases=True):
        return ""
    return f"{requirement.name} is {found}, but {requirement.specifier} is needed: {fix}"


def look_at_disk() -> Finding:
    """Find out whether there is room for results next to the notebook."""
    folder = Path.cwd()
    if not os.access(folder, os.W_OK):
        return Finding("missing", "this notebook's folder is read-only: copy the course elsewhere")
    free = shutil.disk_usage(folder).free
    if free < ROOM:
        left = f"only {free / GIGABYTE:.1f} GB are free"
        return Finding("note", f"{left}: make room for {ROOM // GIGABYTE} GB, for later lessons")
    return Finding("ok", "room for results")
