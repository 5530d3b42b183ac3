"""Files that survive: written beside and moved in place; weights; the folder of a run.

Nothing here is ever half written under its own name, but for history.csv, which grows row by row
and whose last line may be cut off. A process that is killed leaves the last good version, at most
with a hidden `.part` file beside it that the next run clears away.
"""

import csv
import errno
import io
import json
import os
import platform
import shutil
import subprocess
import time
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TextIO

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from colorlib import parallel
from colorlib.generator import GENERATORS

WEIGHTS = Path(__file__).parent / "weights"
SHIPPED = ("photos", "scenes")  # weights that come with colorlib


class RunError(RuntimeError):
    """A run folder, checkpoint or weight file that cannot be used; the message says what to do."""


def choose_device(name: str | None = None) -> torch.device:
    """The device that is named; by default CUDA, then Apple's mps, then the CPU."""
    if name is None:
        has_mps = torch.backends.mps.is_available()
        name = "cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu"
    return torch.device(name)


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Write a file so that its name always stands for something whole.

    Yields the path of a temporary file in the same folder; when the block ends well it is forced
    to the disk and moved in place, otherwise it is removed and the old version stays.

    Raises:
        OSError: with what to do, when the disk is full; any other as it came.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        move(temporary, path)
    except OSError as error:
        raise explain_full_disk(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)


def move(source: Path, target: Path) -> None:
    """Move a file in place; on Windows a virus scanner may hold it for a moment."""
    for patience in (0.01, 0.1, 1.0):
        with suppress(PermissionError):
            return os.replace(source, target)
        time.sleep(patience)
    os.replace(source, target)


def explain_full_disk(error: OSError, path: Path) -> OSError:
    """Turn "no space left" into a sentence with a way out; leave other errors alone."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return error
    advice = "Free some space and give the same command again: it goes on where it stopped"
    message = f"the disk is full; nothing that was saved before is damaged. {advice}"
    return OSError(errno.ENOSPC, message, str(path))


def write_text(path: str | Path, text: str) -> None:
    """Write a text as UTF-8, whole or not at all; names of files keep the bytes they have."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "surrogateescape"))


def write_json(path: str | Path, content: dict) -> None:
    """Write a dictionary as indented JSON, whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")


def save_generator(path: str | Path, generator: nn.Module, **card: str | int | float) -> None:
    """Save a generator's weights as safetensors, with its architecture and a card of facts.

    Args:
        path: usually `….safetensors`.
        generator: on any device; `load_generator` can build those in `GENERATORS` again.
        card: what the weights were trained on, at what size, and so on: kept in the file.
    """
    arguments = getattr(generator, "config", {})
    facts = {"architecture": type(generator).__name__, "arguments": arguments, **card}
    state = generator.state_dict()
    weights = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    # the facts are one entry, since several would be written in an order that varies
    with atomic_write(path) as temporary:
        temporary.write_bytes(save(weights, metadata={"card": json.dumps(facts)}))


def load_generator(path: str | Path, device: torch.device | str = "cpu") -> nn.Module:
    """Load a generator saved by `save_generator`, ready to use: eval mode, no gradients.

    Args:
        path: of a weight file; "photos" and "scenes" name the weights that come with colorlib.
        device: where the generator goes.

    Raises:
        RunError: no such file, no weights in it, or weights of an unknown architecture.
    """
    with opened_weights(path) as (file, card):
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    architecture = card.get("architecture")
    if architecture not in list(GENERATORS):
        raise RunError(
            f"{path} is for a network that colorlib cannot build: its architecture is "
            f"{architecture!r}, not one of {', '.join(GENERATORS)}. Load it into your own network "
            "with safetensors.torch.load_file"
        )
    try:
        generator = GENERATORS[architecture](**card["arguments"])
        generator.load_state_dict(weights)
    except Exception as error:  # whatever torch makes of a card that is not ours
        message = f"the weights in {path} do not fit {architecture}: {error!s:.300}"
        raise RunError(message) from error
    return generator.to(device).eval().requires_grad_(False)


def read_card(path: str | Path) -> dict:
    """The card of facts that `save_generator` put into a weight file; empty if it did not.

    Raises:
        RunError: no such file, or no weights in it.
    """
    with opened_weights(path) as (_, card):
        return card


@contextmanager
def opened_weights(path: str | Path) -> Iterator[tuple[safe_open, dict]]:
    """Open a weight file and read its card; say in plain words what is wrong with either."""
    path = WEIGHTS / f"{path}.safetensors" if path in SHIPPED else path
    if Path(path).is_dir():
        raise RunError(f"{path} is a folder; give a file in it, as {path}/generator.safetensors")
    try:
        with safe_open(path, framework="pt") as file:
            # {**…}, here and below: a TypeError for JSON that holds no dictionary
            yield file, {**json.loads((file.metadata() or {}).get("card", "{}"))}
    except FileNotFoundError as error:
        raise RunError(f"there are no weights at {path}") from error
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        message = f"{path} holds no safetensors weights ({error}); was it cut off? Copy it again"
        raise RunError(message) from error


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Keep other processes out of a run's folder in this block; the folder is made if need be.

    Raises:
        RunError: another process holds it, or nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=0).acquire()
    except Timeout as error:
        advice = "wait for it, stop it, or choose another folder"
        raise RunError(f"another process is writing to {folder}; {advice}") from error
    except OSError as error:
        raise RunError(f"cannot write to {folder} ({error}): choose another folder") from error
    with lock:
        yield


class Run:
    """The folder of one run, and the right to write in it.

    Use it as a context manager: it holds the folder's lock while the block runs.

    Args:
        folder: made if it is not there.
        config: the run's configuration, plain values. The same one on an existing run means to go
            on with it.
        fresh: start over: what the folder holds of an older run is removed.

    Raises:
        RunError: another process holds the folder, it belongs to another configuration, or it
            cannot be written to.
    """

    MADE = ("checkpoint.pt", "checkpoint.previous.pt", "generator.safetensors", "best.safetensors")
    MADE += ("metrics.json", "history.csv", "validation.csv", "samples", "triptychs", "config.json")

    def __init__(self, folder: str | Path, config: dict, fresh: bool = False):
        self.folder = Path(folder)
        self.config = json.loads(json.dumps(config))  # tuples become lists, as in the file
        self.fresh = fresh

    def __enter__(self) -> "Run":
        with ExitStack() as stack:
            stack.enter_context(hold(self.folder))
            self._open()
            self.held = stack.pop_all()  # only now: where `_open` raises, the lock is let go
        return self

    def __exit__(self, *_: object) -> None:
        self.held.close()

    def _open(self) -> None:
        for part in self.folder.rglob(".*.part"):
            part.unlink(missing_ok=True)
        if self.fresh:
            for name in self.MADE:  # in this order
                path = self.folder / name
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        path = self.folder / "config.json"
        if path.exists():
            differing = differences(read_config(path), self.config)
            if differing:
                raise RunError(
                    f"{self.folder} holds a run of another configuration: {'; '.join(differing)}. "
                    "Choose another folder, or start over with --fresh (fresh=True)"
                )
        else:
            write_json(path, {"config": self.config, "environment": environment()})

    def save_checkpoint(self, state: dict) -> None:
        """Save all that resuming needs; the checkpoint before it is kept as well."""
        path = self.folder / "checkpoint.pt"
        content = io.BytesIO()  # writing to a file itself, torch would hide that the disk is full
        torch.save(state, content)
        with atomic_write(path) as temporary:
            temporary.write_bytes(content.getbuffer())
            if path.exists():
                move(path, self.folder / "checkpoint.previous.pt")

    def load_checkpoint(self) -> dict | None:
        """The last good checkpoint, or None if there is none yet.

        A damaged one is named in a warning, and the one before it is used.

        Raises:
            RunError: there are checkpoints, and all are damaged.
        """
        damaged = []
        for name in ("checkpoint.pt", "checkpoint.previous.pt"):
            path = self.folder / name
            if not path.exists():
                continue
            content = io.BytesIO(path.read_bytes())  # what goes wrong here is not the file's fault
            try:
                if broken := zipfile.ZipFile(content).testzip():
                    raise zipfile.BadZipFile(f"{broken} in it is damaged")
                content.seek(0)
                return {**torch.load(content, map_location="cpu", weights_only=True)}
            except MemoryError:
                raise  # the file may be good: nothing is to be thrown away
            except Exception as error:  # whatever torch or zipfile make of broken bytes
                damaged.append(name)
                message = f"{path} is damaged and cannot be used ({error!r:.200})"
                warnings.warn(message, stacklevel=2)
        if damaged:
            raise RunError(
                f"in {self.folder} {' and '.join(damaged)} cannot be used, and there is no other "
                "checkpoint; start over with --fresh (fresh=True)"
            )
        return None

    def append_rows(self, name: str, rows: list[dict]) -> None:
        """Add rows to history.csv or validation.csv, a header first where there is none."""
        path = self.folder / name
        try:
            with open(path, "a", newline="") as file:
                write_rows(file, rows)
        except OSError as error:
            raise explain_full_disk(error, path) from error

    def cut_rows(self, name: str, step: int, columns: Sequence[str]) -> list[dict]:
        """Drop the rows after a step (they were never saved as weights), and damaged ones.

        Returns the rows that stay: those with these columns, all of them numbers but the stage.

        Raises:
            RunError: another program holds the file.
        """
        path = self.folder / name
        rows = [row for row in read_history(path) if is_whole(row, columns)]
        rows = [row for row in rows if row["step"] in range(step + 1)]
        try:
            if not rows:
                path.unlink(missing_ok=True)
                return rows
            with atomic_write(path) as temporary, open(temporary, "w", newline="") as file:
                write_rows(file, rows)
        except PermissionError as error:  # Excel holds what it shows
            advice = "close it elsewhere, and give the same command again"
            raise RunError(f"{path} cannot be written to: {advice}") from error
        return rows


def read_config(path: str | Path) -> dict:
    """The configuration in a run's config.json.

    Raises:
        RunError: no such file, or none that a run has written.
    """
    try:
        # Notepad begins a file with a byte order mark: -sig takes it away
        return {**json.loads(Path(path).read_text("utf-8-sig"))["config"]}
    except FileNotFoundError as error:
        raise RunError(f"there is no {path}; is this the folder of a run?") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError(f"{path} is no config.json of a run: {error!r}") from error


def read_history(path: str | Path) -> list[dict]:
    """The rows of a history.csv or validation.csv, numbers as numbers; damaged lines left out."""
    if not Path(path).exists():
        return []
    lines = Path(path).read_bytes().decode(errors="replace").split("\n")[:-1]
    names, *rows = [line.rstrip("\r").split(",") for line in lines] or [[]]
    return [dict(zip(names, map(parse_number, row))) for row in rows if len(row) == len(names)]


def is_whole(row: dict, columns: Sequence[str]) -> bool:
    """Whether a row has exactly these columns, with numbers in all but the stage."""
    texts = {name for name, value in row.items() if isinstance(value, str)}
    return [*row] == [*columns] and texts <= {"stage"}


def write_rows(file: TextIO, rows: list[dict]) -> None:
    """Write rows as CSV at the end of a file, a header first where it is empty."""
    writer = csv.DictWriter(file, fieldnames=list(rows[0]))
    if file.tell() == 0:
        writer.writeheader()
    writer.writerows(rows)


def parse_number(text: str) -> int | float | str | None:
    """What a field of a CSV file stands for: an int, a float, a text, or None if it is empty."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text or None


def differences(old: dict, new: dict) -> list[str]:
    """What differs between two configurations: "batch 4, now 8"."""
    return [
        f"{name} {old.get(name)}, now {new.get(name)}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def environment() -> dict[str, str | int]:
    """What a result depends on beside its configuration: versions, commit, device, processes."""
    packages = ("torch", "torchvision", "numpy", "scikit-image", "pillow")
    try:
        command = ["git", "rev-parse", "HEAD"]
        folder = Path(__file__).parent
        commit = subprocess.run(command, cwd=folder, capture_output=True, text=True).stdout.strip()
    except OSError:  # there is no git on this machine
        commit = ""
    has_gpu = torch.cuda.is_available()
    cpu = f"CPU, {torch.get_num_threads()} threads"
    return {
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
        "commit": commit or "unknown",
        "device": torch.cuda.get_device_name() if has_gpu else cpu,
        "processes": parallel.count(),
        "system": f"{platform.system()} {platform.machine()}",
    }
