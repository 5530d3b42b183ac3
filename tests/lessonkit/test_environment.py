"""The look at a learner's machine: what is missing is named, with the way out."""

import tomllib
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace

import torch
from packaging.requirements import Requirement

from lessonkit import ROOT
from lessonkit.lesson_00 import environment
from lessonkit.lesson_00.environment import (
    WITHOUT,
    fault_of,
    look_around,
    look_at_disk,
    look_at_extras,
    look_at_packages,
    look_at_python,
    requirements,
)


def pretend(monkeypatch, **versions):
    """Let these packages be installed, and no others."""

    def version(name):
        if name not in versions:
            raise PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(environment, "version", version)


def test_this_machine_is_looked_at_as_a_whole(capsys):
    findings = list(look_around())
    assert {finding.state for finding in findings} <= {"ok", "note", "missing"}
    assert findings[0].text.startswith("Python 3")
    environment.check_machine()
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(findings) + 2
    is_complete = all(finding.state != "missing" for finding in findings)
    assert printed[-1] == "You have everything you need." or not is_complete


def test_what_is_missing_is_counted(monkeypatch, capsys):
    pretend(monkeypatch)
    environment.check_machine()
    printed = capsys.readouterr().out
    assert "missing  torch is not installed" in printed
    assert "missing: see above" in printed


def test_packages_too_old_or_not_there(monkeypatch):
    pretend(monkeypatch, torch="1.0", numpy="2.1+local")
    [old, absent] = look_at_packages(["torch>=2.11", "numpy>=2.0", "tqdm>=4"])
    assert old.state == absent.state == "missing"
    assert old.text == 'torch is 1.0, but >=2.11 is needed: pip install "torch>=2.11"'
    assert absent.text == 'tqdm is not installed: pip install "tqdm>=4"'


def test_a_release_candidate_counts(monkeypatch):
    pretend(monkeypatch, torch="2.12.0rc1")
    assert fault_of(Requirement("torch>=2.11")) == ""


def test_extras_stop_nothing(monkeypatch):
    pretend(monkeypatch, ipywidgets="8.1")
    [finding] = look_at_extras(["ipywidgets>=7.7", "papermill>=2.6"])
    assert finding.state == "note"
    assert "papermill is not installed" in finding.text and "make course" in finding.text
    pretend(monkeypatch, ipywidgets="8.1", papermill="2.7")
    assert [f.state for f in look_at_extras(["ipywidgets>=7.7", "papermill>=2.6"])] == ["ok"]


def test_the_requirements_are_those_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    needed, extras = requirements()
    wanted = {Requirement(line).name for line in project["dependencies"]}
    assert {Requirement(line).name for line in needed} == wanted
    course = {Requirement(line).name for line in project["optional-dependencies"]["course"]}
    assert {Requirement(line).name for line in extras} == course <= WITHOUT.keys()


def test_the_check_needs_no_file_of_the_course(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert list(look_around())


def test_an_old_python(monkeypatch):
    monkeypatch.setattr(environment.platform, "python_version", lambda: "3.9.1")
    finding = look_at_python(">=3.11")
    assert finding.state == "missing" and "Python is 3.9.1" in finding.text


def test_disk(monkeypatch):
    monkeypatch.setattr(
        environment.shutil, "disk_usage", lambda folder: SimpleNamespace(free=3 * 10**9)
    )
    assert look_at_disk().state == "ok"
    monkeypatch.setattr(
        environment.shutil, "disk_usage", lambda folder: SimpleNamespace(free=5 * 10**8)
    )
    assert "only 0.5 GB are free" in look_at_disk().text
    monkeypatch.setattr(environment.os, "access", lambda folder, mode: False)
    assert look_at_disk().state == "missing"


def test_a_gpu_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")
    assert ("ok", "a GPU: a card") in list(look_around())
