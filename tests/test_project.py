"""The house itself: its files agree with one another and keep their own rules."""

import ast
import io
import os
import re
import shutil
import subprocess
import sys
import tokenize
import tomllib
from graphlib import TopologicalSorter
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
REQUIREMENTS = [Requirement(line) for line in sum(EXTRAS.values(), PROJECT["dependencies"])]
ROOMS = ("colorlib", "lessonkit", "tools")
MODULES = {room: sorted((ROOT / room).rglob("*.py")) for room in ROOMS}
CORE = MODULES["colorlib"]
LARGEST_CORE = 2730  # lines of code: room for a loss and a recipe, not for more
LARGEST_HEART = 1000  # of the modules that the package's docstring names first
CONDA_NAMES = {
    "torch": "pytorch",
    "matplotlib": "matplotlib-base",
    "playwright": "playwright-python",
}


def constraints():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


# --- requirements: pyproject.toml, constraints.txt and environment.yml ---


def test_conda_environment_has_the_same_requirements():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    python, pip, *packages, from_pip = environment["dependencies"]
    assert python.removeprefix("python=") in SpecifierSet(PROJECT["requires-python"])
    assert pip == "pip"
    assert from_pip == {"pip": ["-e ."]}
    wanted = {f"{CONDA_NAMES.get(r.name, r.name)}{r.specifier}" for r in REQUIREMENTS}
    # pip adds Sphinx for people who build the web pages
    wanted -= set(EXTRAS["site"]) - set(EXTRAS["course"]) - set(EXTRAS["test"])
    assert set(packages) == wanted


def test_every_requirement_is_pinned_within_its_bounds():
    pinned = constraints()
    for requirement in REQUIREMENTS:
        assert pinned[requirement.name] in requirement.specifier, requirement


def test_each_package_is_pinned_once():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    names = [line.split("==")[0] for line in lines if "==" in line]
    assert len(names) == len(set(names)) == len(constraints())


def test_only_what_is_needed_is_pinned():
    # what only `make site` installs can be judged where it is installed
    pinned = {name: number for name, number in constraints().items() if installed(name)}
    if any(installed(name) != pinned[name] for name in pinned):
        pytest.skip("this is not the pinned environment")
    assert set(pinned) <= {name for name, _ in closure([*REQUIREMENTS, Requirement("uv")])}


def installed(name):
    try:
        return version(name).split("+")[0]
    except PackageNotFoundError:
        return None


def closure(requirements):
    """All that the requirements require in turn, as (name, extras)."""
    found, waiting = set(), list(requirements)
    while waiting:
        requirement = waiting.pop()
        key = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if key in found or installed(requirement.name) is None:
            continue
        found.add(key)
        for line in distribution(requirement.name).requires or []:
            needed = Requirement(line)
            extras = requirement.extras or {""}
            if not needed.marker or any(needed.marker.evaluate({"extra": e}) for e in extras):
                waiting.append(needed)
    return found


def test_everything_the_core_imports_is_required():
    required = {Requirement(line).name for line in PROJECT["dependencies"] + EXTRAS["heif"]}
    owners = packages_distributions()
    for path in CORE:
        tops = {name.split(".")[0] for name in imports(path)}
        for top in tops - sys.stdlib_module_names - {"colorlib"}:
            names = {canonicalize_name(owner) for owner in owners.get(top, [top])}
            assert names & required, f"{path.name} imports {top}"


# --- who may import whom ---


def name_of(path):
    """The dotted name of a module: colorlib.color, lessonkit, ..."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path):
    """Full names of everything that a module imports, anywhere in it: colorlib.color, numpy, ..."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative imports hide which room they enter"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("room", ROOMS)
def test_imports_never_run_the_other_way(room):
    allowed = ROOMS[: ROOMS.index(room) + 1]
    for path in MODULES[room]:
        tops = {name.split(".")[0] for name in imports(path)} & {*ROOMS}
        assert tops <= {*allowed}, f"{name_of(path)} imports from {tops - {*allowed}}"


def test_no_import_cycles():
    paths = {name_of(path): path for room in ROOMS for path in MODULES[room]}
    edges = {
        name: {other for other in imports(path) if other in paths and other not in ROOMS} - {name}
        for name, path in paths.items()
    }
    TopologicalSorter(edges).prepare()  # raises CycleError, which names the cycle


def test_networks_and_losses_know_no_data_and_no_files():
    paths = {path.stem: {*imports(path)} for path in CORE}
    assert not any(name.startswith("colorlib") for name in paths["color"])
    for name in ("generator", "discriminator", "losses"):
        own = {other.split(".")[1] for other in paths[name] if other.startswith("colorlib.")}
        assert own <= {"color", "generator", "discriminator", "losses"}, name
        assert not paths[name] & {"os", "io", "pathlib", "PIL", "safetensors"}, name
    for name in ("scenes", "photos", "download"):
        assert f"colorlib.{name}" not in paths["training"], "training takes any data set"


# --- size: the core is meant to be read in one sitting ---


def code_lines(path):
    """Numbers of the lines that hold code: no blank lines, comments or docstrings."""
    source = path.read_text(encoding="utf-8")
    names = ("COMMENT", "NL", "NEWLINE", "INDENT", "DEDENT", "ENDMARKER")
    silent = {getattr(tokenize, name) for name in names}
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in silent:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):  # docstrings, also those below a field
        if isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str):
            lines -= set(range(node.lineno, node.end_lineno + 1))
    return lines


def test_no_result_is_larger_than_1_mb():
    results = [path for path in (ROOT / "data" / "results").rglob("*") if path.is_file()]
    assert results and {path.name for path in results if path.stat().st_size > 1e6} == set()


def test_the_core_is_small():
    sizes = {path.stem: len(code_lines(path)) for path in CORE}
    total = sum(sizes.values())
    map_of_modules = CORE[0].read_text(encoding="utf-8").split("What it ")  # a part for each group
    groups = [re.findall(r"^ {4}(\w+)  ", part, re.MULTILINE) for part in map_of_modules]
    assert sorted(sum(groups, ["__init__", "__main__"])) == sorted(sizes)
    heart = sum(sizes[name] for name in groups[0])
    print(f"colorlib has {total} lines of code, at most {LARGEST_CORE} are allowed: {sizes}")
    print(f"{heart} of them are the part to read in one sitting, at most {LARGEST_HEART}")
    assert total <= LARGEST_CORE
    assert heart <= LARGEST_HEART


@pytest.mark.parametrize("path", sum(MODULES.values(), []), ids=name_of)
def test_no_function_has_more_than_50_lines(path):
    lines = code_lines(path)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = len(lines & set(range(node.lineno, node.end_lineno + 1)))
            assert length <= 50, f"{path.name}: {node.name} has {length} lines"


# --- commands and files ---


def test_make_help_names_every_target():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE)
    phony = re.search(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)[1].split()
    documented = re.findall(r"^([a-z-]+):.* ## \S", makefile, flags=re.MULTILINE)
    assert targets == phony == documented
    if shutil.which("make"):
        help_text = subprocess.check_output(["make"], cwd=ROOT, text=True)
        assert re.findall(r"^  make ([a-z-]+)  ", help_text, flags=re.MULTILINE) == targets


WORKFLOWS = ".github/workflows/*.yml"


@pytest.mark.parametrize(
    "schema, files",
    [
        ("vendor.github-workflows", WORKFLOWS),
        ("custom.github-workflows-require-timeout", WORKFLOWS),
        ("vendor.citation-file-format", "CITATION.cff"),
    ],
)
def test_a_published_schema_is_kept(schema, files):
    paths = [*map(str, ROOT.glob(files))]
    assert paths
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *paths]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_fork_is_tested_by_what_make_test_runs():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text("utf-8"))
    job = workflow["jobs"]["test"]
    commands = "\n".join(step.get("run", "") for step in job["steps"])
    for command in (
        "ruff check .",
        "ruff format --check .",
        "python tools/prose.py",
        'pytest -n auto -m "not trust"',
        "--nbval-lax --nbval-current-env --nbval-cell-timeout=300 -n auto",
    ):
        assert command in makefile and command in commands, command
    assert not re.search(r"\bmake\b", commands), "Windows has no make"
    assert len(job["strategy"]["matrix"]["os"]) == 3
    for python in job["strategy"]["matrix"]["python"]:
        assert python in SpecifierSet(PROJECT["requires-python"])


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]


def test_commits_are_checked_by_what_is_installed():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    assert [repo["repo"] for repo in config["repos"]] == ["local"], "nothing is fetched"
    for hook in config["repos"][0]["hooks"]:
        python, _, module, *arguments = hook["entry"].split()
        assert (hook["language"], python) == ("system", "python") and find_spec(module), hook
        assert all((ROOT / word).exists() for word in arguments if word.startswith("tests/")), hook


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps no such bit")
def test_ci_is_executable():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_no_path_of_somebodys_machine():
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.check_output(
        ["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT
    )
    home = re.compile(rb"(?<![\w.~-])(/(home|Users|root|work)/|[A-Z]:\\+Users\\+)[\w.]")
    for name in filter(None, listed.decode().split("\0")):
        path = ROOT / name
        found = home.search(path.read_bytes()) if path.is_file() else None
        assert not found, f"{name}: {found[0]!r}"


@pytest.mark.skipif(not shutil.which("make") or not (ROOT / ".venv").exists(), reason="needs make")
def test_the_first_command_of_the_readme_works():
    course = Path("build", f"course-{os.getpid()}")
    environment = os.environ | {"COLORLIB_PROFILE": "ci"}
    installed = ["-o", ".venv/.installed"]  # tests that run beside this one use it as it is
    command = ["make", *installed, "course", f"COURSE={course.as_posix()}"]
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "lookup by L" in done.stdout and "generator" in done.stdout
    finally:
        shutil.rmtree(ROOT / course, ignore_errors=True)
        (ROOT / course).with_suffix(".ipynb").unlink(missing_ok=True)
