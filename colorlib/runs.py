"""Files that survive a crash: atomic writes, weight files, and the folder of a run.

A file is written under a hidden name ending in `.part` and then moved into place, so no file is
ever half written. If a process is killed, the last good version of each file remains. A hidden
`.part` file may be left over; you can delete it.
"""

import csv
import io
import json
import os
import platform
import time
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from importlib.metadata import version
from itertools import chain
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn
from torch.types import Device  # a torch.device, its name, or None

from colorlib import parallel
from colorlib.generator import GENERATORS

WEIGHTS = Path(__file__).parent / "weights"
SHIPPED = ("photos", "scenes")  # weights that come with colorlib
BUDGETS = ("epochs", "steps", "seconds")
EPOCHS = 10  # the budget if none is given
CHECKPOINT = "checkpoint.pt"
# What a run writes. Nothing else is ever deleted; config.json, which says that a folder belongs to
# a run, is deleted last.
TRIPTYCHS = ("triptychs/[0-9][0-9][0-9]*.png", "triptychs/sheet.png")
MADE = (CHECKPOINT, "generator.safetensors", "best.safetensors", "metrics.json", "history.csv")
MADE += ("validation.csv", "samples/epoch_*.png", *TRIPTYCHS, "config.json")
# Files allowed in the folder before a run starts. The command line writes its two lists first.
ALLOWED = {"split.txt", "left_out.txt"}


class RunError(RuntimeError):
    """A run folder, checkpoint or weight file that can't be used; the message says what to do."""


def choose_device(name: Device = None) -> torch.device:
    """Return the device with this name; by default a GPU (CUDA, Apple's mps, ...), else the CPU.

    Raises:
        ValueError: this machine has no such device.
    """
    own = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        return torch.empty(0, device=name).device if name else own
    except (RuntimeError, AssertionError) as error:  # the latter if torch has no CUDA at all
        raise ValueError(f"this machine has no device {name}: use {own.type}") from error


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Write a file so that it is always complete under its own name.

    Yields the path of a temporary file in the same folder. If the block succeeds, the file is
    flushed to disk and moved into place; otherwise it is removed, and the old version stays.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        move(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def move(source: Path, target: Path) -> None:
    """Move a file into place; on Windows a virus scanner may hold it for a moment."""
    for patience in (0.01, 0.1, 1.0):
        with suppress(PermissionError):
            return os.replace(source, target)
        time.sleep(patience)
    os.replace(source, target)


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file atomically."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file as UTF-8, atomically; file names in it keep their bytes."""
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def write_json(path: str | Path, content: dict) -> None:
    """Write a dictionary as indented JSON, atomically."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def save_generator(path: str | Path, generator: nn.Module, **card: str | int | float) -> None:
    """Save a generator's weights as safetensors, with its architecture and a card of facts.

    Args:
        path: usually `….safetensors`.
        generator: on any device; `load_generator` can rebuild those in `GENERATORS`. Of one in
            half precision (`generator.half()`) the file is half as large.
        card: facts to keep in the file, such as the training data and the photo size.
    """
    arguments = getattr(generator, "config", {})
    facts = {"architecture": type(generator).__name__, "arguments": arguments, **card}
    weights = {name: value.cpu().contiguous() for name, value in generator.state_dict().items()}
    # one entry with all facts: several entries would be written in random order
    write_bytes(path, save(weights, metadata={"card": json.dumps(facts)}))


def load_generator(path: str | Path, device: torch.device | str = "cpu") -> nn.Module:
    """Load a generator saved by `save_generator`, ready to use: eval mode, no gradients, float32.

    Args:
        path: a weight file; "photos" and "scenes" are the weights that come with colorlib.
        device: where the generator goes.

    Raises:
        RunError: the file can't be read, or colorlib can't build its network.
    """
    weights, card = read_weights(path)
    try:
        generator = GENERATORS[card["architecture"]](**card["arguments"])
        generator.load_state_dict(weights)
    except Exception as error:  # a broken card can cause any error
        raise RunError(
            f"colorlib cannot build the network of {path} (its card says {card!s:.200}): "
            f"{error!r:.300}. To load its weights into your own, use safetensors.torch.load_file"
        ) from error
    return generator.to(device).eval().requires_grad_(False)


def read_card(path: str | Path) -> dict:
    """Read the card of facts that `save_generator` stored in a weight file; {} without one.

    Raises:
        RunError: the file can't be read.
    """
    return read_weights(path)[1]


def read_weights(path: str | Path) -> tuple[dict[str, torch.Tensor], dict]:
    """Read a weight file: its tensors by name, and its card; errors as in `read_card`."""
    path = WEIGHTS / f"{path}.safetensors" if path in SHIPPED else path
    try:
        with safe_open(path, framework="pt") as file:
            card = json.loads((file.metadata() or {}).get("card", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, {**card}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        advice = f"give {' or '.join(SHIPPED)}, or a weight file that is complete"
        raise RunError(f"cannot read weights from {path} ({error}): {advice}") from error


def hold(folder: Path) -> AbstractContextManager[FileLock]:
    """Lock a folder against other processes in a `with` block; it is created if necessary.

    Raises:
        RunError: another process holds it, or it can't be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / ".lock", timeout=0).acquire()
    except Timeout as error:
        advice = "wait for it, stop it, or choose another folder"
        raise RunError(f"another process is writing to {folder}; {advice}") from error
    except OSError as error:
        raise RunError(f"cannot write to {folder} ({error}): choose another folder") from error


class Run:
    """The folder of one run, locked for writing while used as a context manager.

    Args:
        folder: created if necessary.
        config: the run's configuration as plain values. If the folder already has a run with the
            same configuration, or with a smaller budget, that run is continued.
        fresh: start over: delete the files of the run that is in the folder, and nothing else.
        device: where the run trains, for the record.

    Raises:
        RunError: another process holds the folder, it has a run with another configuration or
            files that aren't a run's, or it can't be written to.
    """

    def __init__(
        self, folder: str | Path, config: dict, fresh: bool = False, device: Device = None
    ):
        self.folder = Path(folder)
        self.config = json.loads(json.dumps(config))  # tuples become lists, as in the file
        self.fresh, self.device = fresh, device

    def check(self) -> None:
        """Refuse a folder that this run can't use; nothing in it is changed.

        Raises:
            RunError: the folder holds a run with another configuration, or files but no run.
        """
        if (path := self.folder / "config.json").exists():
            if (differing := differences(read_config(path), self.config)) and not self.fresh:
                raise RunError(
                    f"{self.folder} holds a run of another configuration: {'; '.join(differing)}. "
                    "Choose another folder, or start over with --fresh (fresh=True)"
                )
        elif self.folder.is_dir():
            names = {path.name for path in self.folder.iterdir() if not path.name.startswith(".")}
            if others := names - ALLOWED:
                raise RunError(
                    f"{self.folder} already contains other files ({min(others)}, for example) and "
                    "no run: choose a new or empty folder"
                )

    def __enter__(self) -> "Run":
        self.check()
        path = self.folder / "config.json"
        with hold(self.folder) as self.lock:
            if self.fresh and path.exists():
                remove(self.folder, MADE)
            if not path.exists() or read_config(path) != self.config:  # new, or extended
                write_json(path, {"config": self.config, "environment": environment(self.device)})
            # locked a second time, so that the lock outlives this block unless something failed
            self.lock.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.lock.release()

    def save_checkpoint(self, state: dict) -> None:
        """Save everything that resuming needs."""
        content = io.BytesIO()  # if torch wrote the file itself, it would hide a full disk
        torch.save(state, content)
        write_bytes(self.folder / CHECKPOINT, content.getbuffer())

    def load_checkpoint(self) -> dict | None:
        """Return the checkpoint, or None if there is none yet.

        Raises:
            RunError: it can't be read.
        """
        path = self.folder / CHECKPOINT
        if not path.exists():
            return None
        try:
            with zipfile.ZipFile(path) as archive:  # torch itself compares no checksums
                if broken := archive.testzip():
                    raise zipfile.BadZipFile(f"{broken} in it is damaged")
            return {**torch.load(path, map_location="cpu", weights_only=True)}
        except Exception as error:  # torch and zipfile raise anything for broken bytes
            raise RunError(
                f"cannot read {path} ({error!r:.200}). If it is damaged, the run can't continue: "
                "keep a copy of generator.safetensors if you need it, and start over with --fresh "
                "(fresh=True)"
            ) from error

    def write_table(self, name: str, rows: list[dict]) -> None:
        """Write rows to a CSV file; what is None becomes an empty field."""
        text = io.StringIO()
        table = csv.DictWriter(text, dict.fromkeys(chain(*rows)), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        write_text(self.folder / name, text.getvalue())


def remove(folder: Path, patterns: Iterable[str]) -> None:
    """Delete the files in a folder that match one of these patterns, in this order."""
    for pattern in patterns:
        for path in folder.glob(pattern):
            path.unlink()


def read_config(path: str | Path) -> dict:
    """Read the configuration in a run's config.json.

    Raises:
        RunError: the file doesn't exist, or no run wrote it.
    """
    try:
        # Notepad writes a byte order mark, which -sig removes
        return {**json.loads(Path(path).read_text("utf-8-sig"))["config"]}
    except FileNotFoundError as error:
        raise RunError(f"there is no {path}; is this the folder of a run?") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError(f"{path} is not the config.json of a run: {error!r}") from error


def differences(old: dict, new: dict) -> list[str]:
    """List how a configuration differs ("batch 4, now 8"); a larger budget makes no difference."""
    old, new = (
        config if any(map(config.get, BUDGETS)) else config | {"epochs": EPOCHS}
        for config in (old, new)
    )
    names = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    if len(names) == 1 and names[0] in BUDGETS:
        before, after = old.get(names[0]), new.get(names[0])
        if isinstance(before, int | float) and after and after > before:
            return []
    return [f"{name} {old.get(name)}, now {new.get(name)}" for name in names]


def environment(device: Device = None) -> dict[str, str | int]:
    """What a result depends on besides its configuration: versions, device, processes, system."""
    packages = ("torch", "torchvision", "numpy", "scikit-image", "pillow")
    kind = torch.device(device or choose_device()).type
    threads = torch.get_num_threads()
    name = f"CPU, {threads} thread{'s' * (threads > 1)}" if kind == "cpu" else kind
    return {
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
        "device": torch.cuda.get_device_name(device) if kind == "cuda" else name,
        "processes": parallel.count(),
        "system": f"{platform.system()} {platform.machine()}",
    }
