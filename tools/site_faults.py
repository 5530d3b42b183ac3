"""Look through the web pages for what would trouble a reader.

Dead links, pictures without alternative text, and anything that is fetched from another server.
"""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """A page's anchors, links, resources and pictures without words."""

    def __init__(self, path: Path):
        super().__init__()
        self.anchors, self.links, self.resources, self.undescribed = set(), [], [], []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note what a tag says."""
        has = dict(attributes)
        self.anchors.add(has.get("id"))
        if tag == "a" and has.get("href"):
            self.links.append(has["href"])
        if tag == "link" and has.get("href"):
            self.resources.append(has["href"])
        if has.get("src"):
            self.resources.append(has["src"])
        if tag == "img" and not (has.get("alt") or "").strip():
            self.undescribed.append(has.get("src"))


def faults(site: Path) -> list[str]:
    """Find dead links, pictures without alternative text and what comes from other servers.

    Addresses of other servers are not called: a link to one must only be well formed.

    Returns:
        A sentence for each fault.
    """
    pages = {path.resolve(): Page(path) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        own = [f"a picture without alternative text: {name}" for name in page.undescribed]
        own += [f"comes from another server: {r}" for r in page.resources if is_elsewhere(r)]
        own += [f"leads nowhere: {link}" for link in dead_links(path, page, pages)]
        found += [f"{path.relative_to(site.resolve())}: {fault}" for fault in own]
    for path in site.rglob("*.css"):
        if re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", path.read_text("utf-8")):
            found.append(f"{path.relative_to(site)}: fetches from another server")
    return found


def is_elsewhere(address: str) -> bool:
    """Whether an address is another server's."""
    return urlsplit(address).scheme in ("http", "https") or address.startswith("//")


def dead_links(path: Path, page: Page, pages: dict[Path, Page]) -> Iterator[str]:
    """The links and resources of a page that lead to no file, to no anchor, or are ill-formed."""
    for link in dict.fromkeys([*page.links, *page.resources]):
        address = urlsplit(link)
        if address.scheme == "data":
            continue
        if address.scheme or address.netloc:
            is_alive = address.scheme in ("http", "https") and "." in address.netloc
        else:
            target = (path.parent / unquote(address.path)).resolve() if address.path else path
            is_alive = target.is_file()
            if is_alive and address.fragment and target in pages:
                is_alive = unquote(address.fragment) in pages[target].anchors
        if not is_alive:
            yield link
