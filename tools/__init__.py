"""What only maintainers run; never installed."""

from pathlib import Path

from colorlib.runs import atomic_write

ROOT = Path(__file__).parents[1]


def put_between(path: Path, name: str, text: str) -> None:
    """Renew the part of a page between `<!-- name -->` and `<!-- /name -->`.

    Raises:
        FileNotFoundError: there is no such page.
        ValueError: the page has no such marks.
    """
    page, begin, end = path.read_text("utf-8"), f"<!-- {name} -->", f"<!-- /{name} -->"
    if begin not in page or end not in page:
        raise ValueError(f"{path} has no part between {begin} and {end}")
    before, rest = page.split(begin, 1)
    renewed = f"{before}{begin}\n{text}\n{end}{rest.split(end, 1)[1]}"
    if renewed != page:
        with atomic_write(path) as temporary:
            temporary.write_text(renewed, "utf-8", newline="\n")
