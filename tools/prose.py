"""Search the project's texts for wordings that read as translated.

    python tools/prose.py            # everything
    python tools/prose.py README.md notebooks/02_the_gan_game.ipynb

`make lint` runs it as a script, because importing `tools` would load torch first. It reads pages,
class texts, the Markdown of notebooks, and whole Python files, because docstrings, comments and
messages are texts too. A machine finds only the crudest patterns: no findings does not mean that a
text reads well.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import tyro

ROOT = Path(__file__).resolve().parents[1]
# What may separate two words: a comment or a message may continue on the next line.
SEPARATOR = re.compile(r'(?:[\s"#]|\bf(?="))+')
# Each pattern with its cure.
PATTERNS = {
    r"\b(?![Tt]here\b|[Hh]ere\b)\w+ (?:is|are|was|were|be) no (?!longer|more|less|one|doubt|need"
    r"|match)":
        "say 'is not a'",
    r"\bNone is\b": "say what is missing: 'there are no ...'",
    r", for (?:it|they|he|she|we|you|this|that|there|(?:the|a|an) \w+) (?:is|are|was|were|has|have"
    r"|had|can|may|will|does|do|must)\b": "'for' as a reason: say 'because'",
    r"\b[Mm]end(?:s|ed|ing)?\b": "'mend': say 'fix'",
    r"\banew\b": "'anew': say 'again', or name what is made",
    r"\bstands? in (?!for\b)": "'stands in': say 'is in'",
    r"\bstands? (?:below|above|there|beside|behind|alone)\b": "'stands': say 'is'",
    r"\blies? (?:in (?!0\b|\[)|here|there|beside|below)": "'lies in': say 'is in'",
    r"\bsays the rest\b": "say what there is: 'lists all options'",
    r"\bshall\b": "'shall': say 'should', 'must' or 'will'",
    r"\b(?:numbers?|scores?|values?|channels?|bytes|photos|pictures|steps|titles?|sheets?|one|two"
    r"|three) an? (?:pixel|picture|photo|channel|step|second|pair|learner|file|batch)\b":
        "a bare 'a' for a rate: say 'per'",
    r"\b[Aa]ll that (?:is|was|are|were|has|have|had|can)\b": "'all that': use a noun",
    r"\bno \w+ any ?more\b": "say 'no longer'",
    r"\bskipped are\b": "put the subject first",
    r"\b(?:go|goes|going) on (?:from|where)\b": "'goes on': say 'resumes' or 'continues'",
    r"\b[Ww]hoever\b": "name the person: 'if you'",
    r"\bmakes? an error of\b": "say 'turns ... into an error'",
    r"\bnearer to (?:the|it)\b": "say 'closer to'",
}  # fmt: skip
# Right where they are: (file, words around the finding).
EXCEPTIONS = (
    ("tools/prose.py", ""),
    ("tests/tools/test_prose.py", ""),
)
FOLDERS = ("notebooks", "site", "colorlib", "lessonkit", "tools", "tests", "data", ".github")
KINDS = (".md", ".py", ".toml", ".ipynb", ".yml")
PAGES = (
    "README.md",
    "README.zh.md",
    "CONTRIBUTING.md",
    "Makefile",
    "pyproject.toml",
    "environment.yml",
)
AROUND = 40  # characters shown on both sides of a finding


class Finding(NamedTuple):
    """A suspicious wording: where it is, and how to say it instead."""

    file: str
    line: int
    words: str
    cure: str


def main(files: tyro.conf.Positional[tuple[Path, ...]] = ()) -> None:
    """Print what may read as translated.

    Args:
        files: Which files; all texts of the project by default.

    Raises:
        SystemExit: Something was found; its status is 1.
    """
    found = [each for path in files or texts() for each in findings(path)]
    for each in found:
        print(f"{each.file}:{each.line}: …{each.words}… ({each.cure})")
    print(f"{len(found)} wordings to look at (tools/prose.py)")
    raise SystemExit(bool(found))


def texts() -> list[Path]:
    """All texts of the project, without what is downloaded or built."""
    inside = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.*"))]
    return [
        *(ROOT / page for page in PAGES if (ROOT / page).exists()),
        *(path for path in inside if path.suffix in KINDS and not is_generated(path)),
    ]


def is_generated(path: Path) -> bool:
    """Whether git ignores a path: a checkpoint of Jupyter's, or data that was downloaded."""
    parts = path.relative_to(ROOT).parts
    hidden = any(part.startswith(".") and part != ".github" or part[:2] == "__" for part in parts)
    return hidden and path.name != "__init__.py" or parts[0] == "data" and len(parts) > 2


def findings(path: Path) -> Iterator[Finding]:
    """Find the suspicious wordings of a file, without the exceptions."""
    inside = path.resolve().is_relative_to(ROOT)
    file = path.resolve().relative_to(ROOT).as_posix() if inside else str(path)
    text = prose(path)
    flat = SEPARATOR.sub(lambda run: " " * len(run[0]), text)
    for pattern, cure in PATTERNS.items():
        for match in re.finditer(pattern.replace(" ", " +"), flat):
            around = flat[max(0, match.start() - AROUND) : match.end() + AROUND]
            words = " ".join(around.split())
            if not any(file == name and part in words for name, part in EXCEPTIONS):
                yield Finding(file, text.count("\n", 0, match.start()) + 1, words, cure)


def prose(path: Path) -> str:
    """The text of a file; of a notebook, its Markdown."""
    text = path.read_text("utf-8")
    if path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    return text


if __name__ == "__main__":
    tyro.cli(main)
