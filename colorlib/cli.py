"""The command line: `colorlib train | evaluate | show | colorize | threshold | download`."""

import glob
import json
import os
import sys
import warnings
from collections import Counter
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import torch
import tyro
from torch.utils.data import Dataset
from tqdm.auto import tqdm
from tyro import conf

from colorlib import parallel
from colorlib.coloring import NOTE, black_and_white, colorize, save_photo
from colorlib.config import ABOUT, RECIPES, TrainConfig
from colorlib.decode import PhotoError
from colorlib.download import TERMS, download_caltech101, download_duts
from colorlib.hints import load_hinted
from colorlib.metrics import evaluate_run, results_table
from colorlib.photos import CACHE, count_reasons, find_photos, open_data, split_by_photo
from colorlib.runs import (
    Run,
    RunError,
    choose_device,
    hold,
    load_generator,
    read_card,
    read_config,
    write_text,
)
from colorlib.training import TrainingError, train

SPLIT_SEED = 0  # the same test photos whatever the seed of the training
VALIDATION, VALIDATION_AT_MOST = 1 / 20, 200  # fraction of the training photos, photos
WORTH_HOLDING_BACK = 100  # training photos; from fewer none can be spared
SPLIT = "split.txt"  # in a run's folder: which photos are for training and which for the test
LEFT_OUT = "left_out.txt"  # there too: which files of the data are not used, and why
STYLE = (conf.OmitSubcommandPrefixes, conf.OmitArgPrefixes)  # of tyro


class UsageError(Exception):
    """Options that aren't allowed. tyro would put a ValueError into a box of its own."""


class Options(TrainConfig):
    """What the run learns. The defaults are those of the recipe.

    Give one budget: --epochs, --steps or --seconds. Without one it is 10 epochs.
    """

    def __init__(self, **fields: object):
        try:
            super().__init__(**fields)
        except ValueError as error:
            raise UsageError(error) from error


@dataclass
class Training:
    """Train a network to color photos, and test it on photos it never saw."""

    recipe: Options
    out: Path
    """The run's folder. The same command on the same folder continues the run."""
    fresh: conf.FlagCreatePairsOff[bool] = False
    """Start over, even if the folder holds a run."""
    device: str | None = None
    """cuda, mps or cpu. By default, the fastest one that this machine has."""
    cache: Path | None = CACHE
    """Where to keep decoded copies of large folders, so that the next start is faster."""

    def run(self) -> None:
        """Train, then do what `colorlib evaluate` does."""
        init = self.recipe.init
        generator = load_generator(init) if init else None  # reports a wrong name before decoding
        with parallel.together():
            train_data, test_data = self.open_data()
            learning, validation = hold_back(train_data)
            options = {"samples": test_data.rgb[:6], "validation": validation}
            options |= {"generator": generator, "device": self.device, "fresh": self.fresh}
            train(self.recipe, learning, self.out, **options)
            if parallel.is_first():
                evaluate_run(self.out, train_data, test_data, device=self.device)
                Show(self.out).run()

    def open_data(self) -> tuple[Dataset, Dataset]:
        """Open the training and test data; print once which files are skipped."""
        is_first, path = parallel.is_first(), self.out / SPLIT
        data = os.path.normpath(self.recipe.data or "scenes")  # as it is recorded
        if is_first:
            Run(self.out, asdict(self.recipe) | {"data": data}, self.fresh).check()
        with hold(self.out) if is_first else nullcontext(), TemporaryDirectory() as temporary:
            if is_first and self.fresh and is_of_other_data(self.out, data):
                path.unlink(missing_ok=True)
            split = parallel.from_first(path.read_bytes() if path.exists() else b"")
            own = self.out if is_first else Path(temporary)  # other machines have no run folder
            if split and not is_first:
                (own / SPLIT).write_bytes(split)
            train_data, test_data = open_run_data(self.recipe, own, self.cache)
        if is_first:
            report_left_out(getattr(train_data, "left_out", []), self.out / LEFT_OUT)
            counts = f"{len(train_data)} pictures to train on, {len(test_data)} to test"
            print(f"{counts}; writing to {self.out}")
            if len(train_data) < WORTH_HOLDING_BACK:
                print("the network will memorize so few photos: use a few hundred (lesson 10)")
        return train_data, test_data


DEFAULTS = {name: Options(**vars(config)) for name, config in RECIPES.items()}
Recipe = tyro.extras.subcommand_type_from_defaults(
    {name: Training(options, Path("runs", name)) for name, options in DEFAULTS.items()}, ABOUT
)


@dataclass
class Train:
    """Train a network to color photos, and test it on photos it never saw.

    Choose a recipe, then change what you like. For example:

        colorlib train warm --size 128 --seconds 600 --data my_photos

    To fine-tune the network that comes with colorlib on your own photos:

        colorlib train l1 --init photos --data my_photos --size 128 --warm-up-learning-rate 0.001

    `colorlib train warm --help` lists all options.
    """

    recipe: Recipe

    def run(self) -> None:
        """Run the command that the recipe started from."""
        self.recipe.run()


@dataclass
class Evaluate:
    """Test a run's generator on photos it never saw, and print the results with the baselines."""

    folder: conf.Positional[Path]
    """The run's folder."""
    data: str = ""
    """The folder of photos, if it has moved since the training."""
    device: str | None = None
    """cuda, mps or cpu. By default, the fastest one that this machine has."""
    cache: Path | None = CACHE
    """Where to keep decoded copies of large folders, so that the next start is faster."""

    def run(self) -> None:
        """Write metrics.json and the triptychs, and print the table."""
        config = load_config(self.folder / "config.json")
        if not (self.data or config.data):
            raise RunError(f"the data of {self.folder} is not recorded: add --data FOLDER")
        if (self.data or config.data) != "scenes" and not (self.folder / SPLIT).exists():
            raise RunError(
                f"{self.folder} has no {SPLIT}, so a new test could contain photos that the run "
                f"learned from. Write it before training: open_data(..., split=RUN/{SPLIT}); then "
                "train on the first part"
            )
        data = open_run_data(config, self.folder, self.cache, self.data)
        evaluate_run(self.folder, *data, device=self.device)
        Show(self.folder).run()


@dataclass
class Show:
    """Print the recorded results of a run, and where its pictures are."""

    folder: conf.Positional[Path]
    """The run's folder."""

    def run(self) -> None:
        """Read metrics.json and print it as a table."""
        path = self.folder / "metrics.json"
        if not path.exists():
            raise RunError(f"{self.folder} has no results yet: colorlib evaluate {self.folder}")
        print(results_table(json.loads(path.read_text("utf-8"))["rows"]))
        print(f"\ngray | real | predicted: {self.folder / 'triptychs' / 'sheet.png'}")


@dataclass
class Colorize:
    """Color photos at full size. The originals are not touched.

    The colored copies keep the date, camera and resolution, and a note in each file says that its
    colors are invented. Photos that already have a colored copy are skipped, so after an
    interruption the same command continues.
    """

    photos: conf.Positional[tuple[str, ...]]
    """Photos or folders of photos. Color photos are colored from their lightness."""
    out: Path = Path("colored")
    """The folder to write to."""
    format: Literal["png", "jpeg"] = "png"
    """The format of the copies: PNG, or JPEG at quality 95."""
    overwrite: conf.FlagCreatePairsOff[bool] = False
    """Replace files that exist in the output folder."""
    weights: str = "photos"
    """photos or scenes (weights that come with colorlib), or the generator.safetensors of a run."""
    size: int | None = None
    """Side in pixels at which the network sees a photo. By default, the size of its training."""
    device: str | None = None
    """cuda, mps or cpu. By default, the fastest one that this machine has."""
    hint: conf.UseAppendAction[tuple[str, ...]] = ()
    """A pixel's color, such as 120,80,#c03020 (120 right, 80 down); repeat it for more hints."""

    def run(self) -> None:
        """Color photo after photo; name those that cannot be read, and continue."""
        targets, counts = self.targets(), Counter(colored=0, skipped=0, failed=0)
        hints = [text.split(",", 2) for text in self.hint]
        if hints and len(targets) > 1:
            raise ValueError("hints belong to one photo: name only that photo")
        load = load_hinted if hints else load_generator
        generator = load(self.weights, choose_device(self.device))
        size = self.size or int(read_card(self.weights).get("size", 256))
        copies = {*targets.values()}
        for path, target in tqdm(targets.items(), "coloring", unit="photo", delay=2):
            try:
                # one of the photos may be named like a copy of another one
                if path in copies or target.exists() and (target in targets or not self.overwrite):
                    tqdm.write(f"{path}: skipped: it is or has a colored copy (see --overwrite)")
                    counts["skipped"] += 1
                    continue
                save_photo(target, colorize(path, generator, size, hints=hints), self.format)
            except (PhotoError, OSError) as error:
                tqdm.write(f"failed: {error}", sys.stderr)
                counts["failed"] += 1
            else:
                tqdm.write(f"{path} -> {target}")
                counts["colored"] += 1
        print(", ".join(f"{count} {what}" for what, count in counts.items()), f"in {self.out}")
        if counts["colored"]:
            print(NOTE.replace("this picture", "these pictures"))
        if counts["failed"]:
            sys.exit(1)

    def targets(self) -> dict[Path, Path]:
        """Map each photo to its colored copy; the copies keep the tree below the common folder."""
        photos, roots, out = [], [], Path(os.path.abspath(self.out))
        for given in self.photos:
            # Windows' shells leave patterns such as *.jpg to the program; photo[1].jpg is a name
            found = [] if os.path.exists(given) else sorted(glob.glob(given, recursive=True))
            for path in (Path(os.path.abspath(each)) for each in found or [given]):
                photos += find_photos(path)[0] if path.is_dir() else [path]
                roots.append(path if path.is_dir() else path.parent)
        if not photos:
            raise ValueError("no photos found: give photos, folders or patterns such as *.jpg")
        root = Path(os.path.commonpath(roots))
        if root in out.parents:  # results of an earlier call
            photos = [path for path in photos if not path.is_relative_to(out)]
        stems = Counter(str(path.with_suffix("")).lower() for path in {*photos})
        targets, taken, suffix = {}, set(), {"png": "png", "jpeg": "jpg"}[self.format]
        for path in dict.fromkeys(photos):
            # a folder may hold cat.jpg, Cat.png and cat_png.jpg
            is_alone = stems[str(path.with_suffix("")).lower()] == 1
            name = path.stem if is_alone else f"{path.stem}_{path.suffix[1:]}"
            target = out / path.relative_to(root).with_name(f"{name}_colored.{suffix}")
            while str(target).lower() in taken:
                target = target.with_stem(f"_{target.stem}")
            targets[path] = target
            taken.add(str(target).lower())
        return targets


@dataclass
class Threshold:
    """Turn a scan, such as a signature, into pure black and white: a one-bit PNG."""

    photo: conf.Positional[Path]
    """The scan."""
    level: float | None = None
    """Pixels lighter than this become white (0 to 1). By default, Otsu's method finds the level."""
    out: Path | None = None
    """The file to write. By default, NAME_bw.png next to the scan."""
    overwrite: conf.FlagCreatePairsOff[bool] = False
    """Replace the file if it exists."""

    def run(self) -> None:
        """Write the one-bit PNG."""
        target = self.out or self.photo.with_name(f"{self.photo.stem}_bw.png")
        if target.suffix.lower() != ".png":
            raise ValueError(f"{target}: the result is a PNG, so give a name that ends in .png")
        if target.exists() and not self.overwrite:
            raise ValueError(f"{target} exists: add --overwrite, or choose another --out")
        save_photo(target, black_and_white(self.photo, self.level), note="")
        print(f"{self.photo} -> {target}")


@dataclass
class Download:
    """Download a data set of photos to train on. Files that you already have are kept.

    For example:

        colorlib download duts              # 5,019 photos, 140 MB
        colorlib download duts --part TR    # 10,553 more
        colorlib train warm --data data/duts    # trains on the parts you have
        colorlib download caltech101        # about 9,000 photos, 131 MB

    DUTS may be used for academic work only, and its photos must not be passed on. If its site is
    down, download the zip elsewhere and use --zip, or give the address of a copy with --url.
    """

    name: conf.Positional[Literal["duts", "caltech101"]]
    """The data set."""
    folder: Path | None = None
    """Where to put it. By default, data/duts or data/caltech101."""
    part: Literal["TE", "TR"] = "TE"
    """The part of DUTS: TE is the smaller one."""
    url: tuple[str, ...] = ()
    """Addresses of copies of DUTS's zip. They are tried before its authors' site."""
    zip: Path | None = None
    """DUTS's zip, if you already have it. Then nothing is downloaded."""

    def run(self) -> None:
        """Fetch, check and unpack, and say how to continue."""
        folder = self.folder or Path("data", self.name)
        if self.name == "duts":
            print(TERMS)
            images = download_duts(folder, self.part, self.url, self.zip)
        elif self.url or self.zip or self.part != "TE":
            raise ValueError("--part, --url and --zip are for DUTS only")
        else:
            images = download_caltech101(folder)
        print(f"the photos are in {images}; to train: colorlib train warm --data {folder}")


def open_run_data(
    config: TrainConfig, folder: Path, cache: Path | None, data: str = ""
) -> tuple[Dataset, Dataset]:
    """The data of a run. Its split is kept in its folder, so test photos never move to training."""
    data = data or config.data or "scenes"
    return open_data(data, config.size, SPLIT_SEED, config.fit, folder / SPLIT, cache)


def is_of_other_data(folder: Path, data: str) -> bool:
    """Whether the folder has a run on other data than these."""
    path = folder / "config.json"
    return path.exists() and os.path.normpath(read_config(path)["data"]) != data


def hold_back(photos: Dataset) -> tuple[Dataset, Dataset | None]:
    """Divide training photos into those to learn from and a few for validation.

    Scenes are not divided, and neither are folders so small that no photo can be spared.
    """
    names = getattr(photos, "names", [])
    if len(names) < WORTH_HOLDING_BACK:
        return photos, None
    share = min(VALIDATION, VALIDATION_AT_MOST / len(names))
    learning, validation = split_by_photo(names, SPLIT_SEED, share)
    return photos.pick(learning), photos.pick(validation)


def report_left_out(left_out: list[tuple[str, str]], path: Path) -> None:
    """Print in a few lines what is not used and why; write all of it to a file."""
    path.unlink(missing_ok=True)  # of an earlier start
    if not left_out:
        return
    lines = [" ".join(f"{name}: {reason}".splitlines()) for name, reason in left_out]
    write_text(path, "\n".join([f"# {len(lines)} left out, and why", *lines, ""]))
    for line in lines[:10]:
        print("left out:", line)
    reasons = ", ".join(f"{count} {reason}" for reason, count in count_reasons(left_out).items())
    print(f"{len(lines)} left out in all ({reasons}): {path}")


def load_config(path: Path) -> TrainConfig:
    """The configuration in a run's config.json.

    Raises:
        RunError: there is none, or it has fields or values that this version does not know.
    """
    try:
        return TrainConfig(**read_config(path))
    except (TypeError, ValueError) as error:
        raise RunError(f"{path} was written by another version of colorlib: {error}") from error


def main(arguments: list[str] | None = None) -> None:
    """Run one command; known errors are one readable line and exit status 1."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # Jupyter's streams have no such method
            stream.reconfigure(errors="replace")  # Windows' may know no arrows
    commands = Train | Evaluate | Show | Colorize | Threshold | Download
    about = "Color black-and-white photographs with a conditional GAN."
    options = {"prog": "colorlib", "description": about, "config": STYLE}
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: tqdm.write(f"note: {message}", sys.stderr)
            tyro.cli(commands, args=arguments, **options).run()
    except KeyboardInterrupt as interrupt:
        status, message = 130, f"\n{str(interrupt) or 'stopped'}"
    except UsageError as error:
        status, message = 2, f"colorlib: {error}"
    except (RunError, TrainingError, OSError, ValueError) as error:
        status, message = 1, f"colorlib: {error}"
    except NotImplementedError as error:  # what Apple's mps lacks
        status, message = 1, f"colorlib: this device can't do it: add --device cpu ({error!s:.80})"
    except torch.OutOfMemoryError as error:
        advice = "choose a smaller --batch or --size, or close other programs"
        status, message = 1, f"colorlib: {error!s:.80}: {advice}"
    else:
        return
    print(message, file=sys.stderr)
    sys.exit(status)
