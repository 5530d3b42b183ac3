"""The command line: `colorlib train | evaluate | colorize | show | download`."""

import argparse
import json
import os
import sys
from collections import Counter
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import tyro
from torch.utils.data import Dataset
from tyro.conf import OmitArgPrefixes, OmitSubcommandPrefixes, Positional, subcommand

from colorlib import parallel
from colorlib.coloring import colorize
from colorlib.config import RECIPES, TrainConfig
from colorlib.decode import PhotoError
from colorlib.download import TERMS, DownloadError, download_caltech101, download_duts
from colorlib.metrics import evaluate_run, results_table, write_picture
from colorlib.photos import CACHE, count_reasons, open_data, write_left_out
from colorlib.runs import (
    RunError,
    hold,
    load_generator,
    read_card,
    read_config,
    refuse_foreign,
)
from colorlib.split import read_split, split_by_photo, write_split
from colorlib.training import TrainingError, is_out_of_memory, train

SPLIT_SEED = 0  # the same test photos whatever the seed of the training
VALIDATION, VALIDATION_AT_MOST = 1 / 20, 200  # share of the training photos, photos
WORTH_HOLDING_BACK = 100  # training photos; of fewer none can be spared
SPLIT = "split.txt"  # in a run's folder: which photos are for training, and which for the test
LEFT_OUT = "left_out.txt"  # there too: which files of the data are used for neither, and why
DATA = Path("data")  # here downloads land; how these data sets are split is kept in `splits`


@dataclass
class Train:
    """Train a network to color photos, and test it on photos it never saw.

    Start from a recipe and change what you like:

        colorlib train --recipe warm --data my_photos --size 64 --seconds 600

    The same command on the same folder goes on where it stopped.
    """

    recipe: str = "warm"
    """Where to start from: tutorial, l1, l2, gan, pix2pix, warm, lsgan, hinge or wgan_gp."""
    config: Path | None = None
    """Repeat the run of this config.json, on its split of the photos, in place of a recipe."""
    out: Path | None = None
    """The run's folder; by default runs/RECIPE, or runs/NAME-again for a run repeated."""
    fresh: bool = False
    """Start over, though the folder holds a run."""
    cache: Path | None = CACHE
    """Where 1,000 photos or more are kept decoded, for the next start; None: nowhere."""
    options: OmitArgPrefixes[TrainConfig] = field(default_factory=lambda: RECIPES["warm"])

    def run(self) -> None:
        """Train, then do what `colorlib evaluate` does."""
        again = f"{self.config.resolve().parent.name}-again" if self.config else None
        out = self.out or Path("runs", again or self.recipe)
        with parallel.together():
            train_data, test_data = self.open_data(out)
            learning, validation = hold_back(train_data)
            options = {"samples": test_data.rgb[:6], "validation": validation}
            train(self.options, learning, out, **options, fresh=self.fresh)
            if parallel.is_first():
                evaluate_run(out, train_data, test_data)
                Show(out).run()
                again = f"--config {out / 'config.json'} --seconds … --out …"
                print(f"to train longer, begin another run: colorlib train {again}")

    def open_data(self, out: Path) -> tuple:
        """Open the training and test data; print once which files are skipped."""
        held = nullcontext()
        if parallel.is_first():
            refuse_foreign(out)
            held = hold(out)
        with held, TemporaryDirectory() as temporary:
            if parallel.is_first():
                if self.fresh:
                    (out / SPLIT).unlink(missing_ok=True)
                self.take_split(out)
            split = parallel.from_first(
                (out / SPLIT).read_bytes() if (out / SPLIT).exists() else b""
            )
            own = out if parallel.is_on_first_machine() else Path(temporary)
            if split and own != out:  # the other machines have no run folder
                (own / SPLIT).write_bytes(split)
            with parallel.first_goes_first():
                train_data, test_data = open_run_data(self.options, own, self.cache)
        if parallel.is_first():
            report_left_out(getattr(train_data, "left_out", []), out / LEFT_OUT)
            counts = f"{len(train_data)} pictures to train on, {len(test_data)} to test"
            print(f"{counts}; writing to {out}")
            if len(train_data) < WORTH_HOLDING_BACK:
                print("so few photos are learned by heart; hundreds are the least (lesson 10)")
        return train_data, test_data

    def take_split(self, out: Path) -> None:
        """Give a run that repeats another one the same photos to train on."""
        if self.config and load_config(self.config).data == self.options.data:
            old, new = self.config.with_name(SPLIT), out / SPLIT
            if old.exists() and not new.exists():
                write_split(new, *read_split(old))


@dataclass
class Evaluate:
    """Test the generator of a run on photos it never saw, beside the baselines."""

    folder: Positional[Path]
    """The run's folder."""
    lpips: bool = False
    """Also measure LPIPS; its network is downloaded at the first use."""
    cache: Path | None = CACHE
    """Where 1,000 photos or more are kept decoded, for the next start; None: nowhere."""

    def run(self) -> None:
        """Write metrics.json and the triptychs, and print the table."""
        data = open_run_data(load_config(self.folder / "config.json"), self.folder, self.cache)
        evaluate_run(self.folder, *data, with_lpips=self.lpips)
        Show(self.folder).run()


@dataclass
class Colorize:
    """Color photos: gray in, color out, at full size. The originals are not touched."""

    photos: Positional[tuple[Path, ...]] = ()
    """Photos of any size and kind; of color photos only the lightness is used."""
    weights: str = "photos"
    """The generator.safetensors of a run, or photos or scenes: weights that come with colorlib."""
    size: int | None = None
    """Pixels at which the network looks at the photo; by default the size it was trained at."""
    out: Path = Path("colored")
    """The folder to write to."""

    def run(self) -> None:
        """Color photo after photo; one that cannot be read is named, and the rest go on."""
        if not self.photos:
            raise ValueError("give the path of a photo, or of several: my_photos/*.jpg")
        generator, card = load_generator(self.weights), read_card(self.weights)
        size = self.size or int(card.get("size", 256))
        invented = f"colors invented by a network that has learned from {card.get('data', '?')}"
        print(invented)
        stems, failures = Counter(), 0
        for path in self.photos:
            try:
                colored = colorize(generator, path, size)
            except PhotoError as error:
                failures += 1
                print(f"left out: {error}", file=sys.stderr)
                continue
            stem = path.stem.lower()  # two folders may have a cat.jpg and a Cat.jpg
            stems[stem] += 1
            number = f"_{stems[stem]}" if stems[stem] > 1 else ""
            target = self.out / f"{path.stem}_colored{number}.png"
            replaced = " (replaced)" if target.exists() else ""
            write_picture(target, colored, comment=f"colorlib: {invented}")
            print(f"{path} -> {target}{replaced}")
        if failures:
            raise PhotoError(f"{failures} of {len(self.photos)} photos could not be colored")


@dataclass
class Show:
    """Print the recorded results of a run, and where its pictures lie."""

    folder: Positional[Path]
    """The run's folder."""

    def run(self) -> None:
        """Read metrics.json and print it as a table."""
        path = self.folder / "metrics.json"
        if not path.exists():
            raise RunError(f"{self.folder} has no results yet: colorlib evaluate {self.folder}")
        print(results_table(json.loads(path.read_text("utf-8"))["rows"]))
        print(f"\ngray | real | predicted: {self.folder / 'triptychs' / 'sheet.png'}")


@dataclass
class Download:
    """Get a data set of photos to train on.

    What is there already is not fetched again, and a download that broke off goes on when you
    give the same command again.

        colorlib download duts              # 5,019 photos, 140 MB
        colorlib download duts --part TR    # 10,553 more
        colorlib train --data data/duts     # trains on the parts that are there
        colorlib download caltech101        # some 9,000 photos, 131 MB

    DUTS may be used for academic work only, and its photos must not be passed on. Its site is not
    always up: fetch the zip elsewhere and give it with --zip, or the address of a copy with --url.
    """

    name: Positional[Literal["duts", "caltech101"]]
    """Which data set."""
    folder: Path | None = None
    """Where to put it; by default `data/duts` or `data/caltech101`."""
    part: Literal["TE", "TR"] = "TE"
    """Which part of DUTS; one that you fetch later is trained on together with the first."""
    url: tuple[str, ...] = ()
    """Addresses of copies of DUTS's zip, tried before the site of its authors."""
    zip: Path | None = None
    """DUTS's zip, if you have it: nothing is downloaded then."""

    def run(self) -> None:
        """Fetch, check and unpack, and say how to go on."""
        folder = self.folder or DATA / self.name
        if self.name == "duts":
            print(TERMS)
            images = download_duts(folder, self.part, self.url, self.zip)
        else:
            images = download_caltech101(folder)
        print(f"the photos are in {images}; to train: colorlib train --data {folder}")


def open_run_data(config: TrainConfig, folder: Path, cache: Path | None) -> tuple:
    """The data of a run; its split is kept there, so that a test photo stays one for ever."""
    split = folder / SPLIT
    is_new = not split.exists()
    parts = open_data(config.data or "scenes", config.size, SPLIT_SEED, config.fit, split, cache)
    if is_new and split.exists():
        list_split(Path(config.data), split)
    return parts


def hold_back(photos: Dataset) -> tuple[Dataset, Dataset | None]:
    """Divide training photos into those to learn from, and a few to look at after an epoch.

    Scenes are divided in no way, and neither are so few photos that none could be spared.
    """
    names = getattr(photos, "names", [])
    if len(names) < WORTH_HOLDING_BACK:
        return photos, None
    share = min(VALIDATION, VALIDATION_AT_MOST / len(names))
    # by the rank in which they lie on the disk, so that neither part is copied
    learning, validation = split_by_photo(names, SPLIT_SEED, share)
    return photos.pick(learning), photos.pick(validation)


def list_split(data: Path, split: Path) -> None:
    """Put a copy of the split of a data set that lies in `data/` into `data/splits/`, for people.

    Its name says how many photos are listed: with a part more it is another list.
    """
    data, home = data.resolve(), DATA.resolve()
    if home in data.parents:
        names = read_split(split)
        title = "-".join(data.relative_to(home).parts)
        listed = DATA / "splits" / f"{title}-{sum(map(len, names))}.txt"
        with suppress(OSError):  # the data may lie where nobody may write
            if not listed.exists():
                write_split(listed, *names)


def report_left_out(left_out: list[tuple[str, str]], path: Path) -> None:
    """Say in a few lines what is not used, and why; write all of it down."""
    if not left_out:
        path.unlink(missing_ok=True)  # of an earlier start
        return
    for name, reason in left_out[:10]:
        print(f"left out: {name}: {reason}")
    reasons = [f"{count} {reason}" for reason, count in count_reasons(left_out).items()]
    write_left_out(path, left_out)
    print(f"{len(left_out)} left out in all ({', '.join(reasons)}): {path}")


def load_config(path: Path) -> TrainConfig:
    """The configuration in a run's config.json.

    A relative path of its photos is looked for here, then in all folders around the file.

    Raises:
        RunError: there is none, or it has fields or values that this version does not know.
    """
    try:
        config = TrainConfig(**read_config(path))
    except (TypeError, ValueError) as error:
        raise RunError(f"{path} is of another version of colorlib: {error}") from error
    if config.data != "scenes" and not os.path.isdir(config.data):
        around = [os.path.join(folder, config.data) for folder in path.resolve().parents]
        config = replace(config, data=next(filter(os.path.isdir, around), config.data))
    return config


def starting_point(arguments: list[str]) -> Train:
    """The defaults for `colorlib train`: what its --recipe or --config names.

    tyro must know them before it reads the command line, so these two are looked for beforehand.

    Raises:
        ValueError: there is no such recipe, or the file holds no configuration.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--recipe", default="warm")
    parser.add_argument("--config", type=Path)
    named, _ = parser.parse_known_args(arguments)
    if named.config is None and named.recipe not in RECIPES:
        raise ValueError(f"no recipe {named.recipe!r}; there are {', '.join(RECIPES)}")
    options = load_config(named.config) if named.config else RECIPES[named.recipe]
    budgets = ("--epochs", "--steps", "--seconds")
    if any(word.split("=")[0] in budgets for word in arguments):  # the new budget holds
        options = replace(options, epochs=None, steps=None, seconds=None)
    return Train(options=options)


def main(arguments: list[str] | None = None) -> None:
    """Run one command; what goes wrong in a known way is one readable line and exit status 1."""
    arguments = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # as Jupyter's, which need it least
            stream.reconfigure(errors="replace")  # Windows' may know no arrows
    try:
        commands = (
            Annotated[Train, subcommand("train", default=starting_point(arguments))]
            | Annotated[Evaluate, subcommand("evaluate")]
            | Annotated[Colorize, subcommand("colorize")]
            | Annotated[Show, subcommand("show")]
            | Annotated[Download, subcommand("download")]
        )
        about = "Color black-and-white photographs with a conditional GAN."
        options = {"args": arguments, "config": (OmitSubcommandPrefixes,)}
        tyro.cli(commands, prog="colorlib", description=about, **options).run()
    except KeyboardInterrupt as interrupt:
        print(f"\n{str(interrupt) or 'stopped'}", file=sys.stderr)
        sys.exit(130)
    except (RunError, TrainingError, DownloadError, OSError, ValueError) as error:
        print(f"colorlib: {error}", file=sys.stderr)
        sys.exit(1)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        print("colorlib: the memory does not suffice: close other programs", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
