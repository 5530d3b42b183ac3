"""The weights for photos that the course ships: trained, tested beside their rivals, written down.

    python -m tools.photo_weights --data PHOTOS OTHER_PHOTOS --more SMALL_PHOTOS

Each folder of `--data` is split 5:1 by photo, and all that is tested is tested on the sixths;
`--more` is for learning alone. Three networks learn from the same photos for the same time:

    warm        L1; then a game beside L1, with some reward for colorfulness
    l1          its rival, whose chroma is then multiplied by a constant
    tutorial    what some online tutorials publish, at this size

Shipped is `warm` with its last layer multiplied by a constant, so that validation photos come out
as colorful as is wanted; and the rival's constant is the one that makes it as colorful as that.

What was cut off goes on where it stopped, and what is done is not done again.
"""

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import torch
import tyro
from PIL import Image, ImageOps
from skimage import data as skimage_data
from torch import Tensor, nn
from torchvision.transforms.functional import to_tensor

from colorlib.color import L_ab_to_rgb
from colorlib.coloring import colorize
from colorlib.config import RECIPES, TrainConfig
from colorlib.decode import PhotoError
from colorlib.generator import StridedUNet
from colorlib.metrics import (
    COLUMNS,
    Colorizer,
    baselines,
    colorfulness,
    evaluate_photos,
    gray_baseline,
    write_picture,
)
from colorlib.photos import CACHE, DecodedPhotos, PhotoFolder, split_by_photo, write_split
from colorlib.runs import load_generator, read_history, save_generator, write_json
from colorlib.training import train
from lessonkit.lesson_10.photo_run import (
    Louder,
    colorfulness_by_factor,
    paint,
    rival_curve,
    thumbnails,
)
from lessonkit.lesson_10.results import AHEAD, DIGITS, RIVAL, SHIPPED, conditions, weights_table
from lessonkit.results import draw_rows, where
from tools import ROOT, put_between

SIZE = 64  # pixels
TWINS = 0.97  # photos more alike than this, see `photo_run.thumbnails`, may be the same one
VALIDATION, VALIDATION_SEED = 200, 1  # photos; another seed than that of the test photos
SHARE = 0.6  # of real photos' colorfulness is wanted
FACTORS = tuple(number / 50 for number in range(25, 151))  # 0.50, 0.52, ..., 3.00
SHOWN = ("tutorial", "l1", RIVAL, SHIPPED)
EXAMPLES = ("astronaut", "chelsea", "coffee")  # of scikit-image: free to show
# what `warm` and `l1` have in common beside the photos: a wider network than on scenes, slower and
# in larger batches; zoom and weight decay, so that it learns less by heart
COMMON = {"size": SIZE, "generator_width": 48, "batch": 32, "zoom": 1.25, "weight_decay": 0.01}
COMMON |= {"warm_up_learning_rate": 2e-3}
# photos are more various than scenes: the game is slower, and D sees the whole of a small picture
GAME = {"learning_rate": 5e-4, "d_learning_rate": 1e-3, "warm_up": 0.8, "d_head_start": 0.05}
GAME |= {"discriminator_width": 24, "discriminator_layers": 3}
# a game at 64 pixels pays for its colors with distance from the truth, the more the louder it is:
# so here most of the color is asked for by the colorfulness loss, and the critic whispers
GAME |= {"lambda_reconstruction": 2000.0, "lambda_colorfulness": 60.0}
CONFIGS = {
    "warm": replace(RECIPES["warm"], **COMMON, **GAME),
    "l1": replace(RECIPES["l1"], **COMMON),
    "tutorial": replace(RECIPES["tutorial"], size=SIZE, fit="crop"),
}
LICENSE = "MIT for the weights; the photos they were trained on are not part of this project"


@dataclass
class PhotoWeights:
    """Train on folders of photos, test beside the rivals, and ship the weights."""

    data: tuple[Path, ...]
    """Folders of photos; a sixth of each is for the test."""
    more: tuple[Path, ...] = ()
    """Folders of photos to learn from alone."""
    seconds: float = 1800.0
    """How long each network trains."""
    seed: int = 0
    """Of the training; the split is always the same."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """What to compute in. bfloat16 is quicker on a CPU that has instructions for it, and many times
    slower on one that has none."""
    runs: Path = ROOT / "runs" / "photo-weights"
    """Where the runs' folders lie."""
    cache: Path | None = CACHE
    """Where decoded photos are kept."""
    out: Path = ROOT / "data"
    """The folder for weights/photos.*, results/photo_weights.* and splits/photos.txt."""
    readme: Path = ROOT / "site" / "pages" / "results.md"
    """The page whose table is renewed."""

    def run(self) -> None:
        """Train what is not trained, then test all and write it down."""
        photos = self.open_photos()
        print(", ".join(f"{count} {what}" for what, count in photos.counts.items()))
        for name, config in self.configs().items():
            print(f"==> {name}")
            samples, folder = photos.validation.rgb[:8], self.runs / name
            options = {"samples": samples, "validation": photos.validation}
            train(config, photos.learning, folder, **options)
        results = self.facts(photos) | self.test(photos)
        write_json(self.out / "results" / "photo_weights.json", results)
        self.ship(results)
        put_between(self.readme, "photos", results_page(results))
        networks = self.networks(results["k"])
        picture = draw_examples({name: networks[name] for name in SHOWN})
        write_picture(self.out / "results" / "photo_weights.png", picture)
        print(weights_table(results, style="simple"))

    def configs(self) -> dict[str, TrainConfig]:
        """What is trained, by name."""
        data = " + ".join(folder.name for folder in (*self.data, *self.more))
        own = {"data": data, "seconds": self.seconds, "seed": self.seed}
        own |= {"precision": self.precision}
        return {name: replace(config, **own) for name, config in CONFIGS.items()}

    def open_photos(self) -> "Photos":
        """Open, split and clear all photos; the names of those for the test are written down.

        Raises:
            NotADirectoryError: there is no such folder.
            PhotoError: a folder has fewer than 2 usable photos.
        """
        split, more, counts = [], [], {}
        for folder in (*self.data, *self.more):
            photos = PhotoFolder(folder, SIZE, cache=self.cache)
            photos.names = [f"{folder.name}/{name}" for name in photos.names]
            counts[folder.name] = len(photos)
            if folder in self.data:
                split.append([photos.pick(names) for names in split_by_photo(photos.names)])
            else:
                more.append(photos)
        own, test = (join(parts) for parts in zip(*split, strict=True))
        write_split(self.out / "splits" / "photos.txt", [], test.names)
        share = min(1 / 20, VALIDATION / len(own))
        own_names, validation_names = split_by_photo(own.names, VALIDATION_SEED, share)
        validation = own.pick(validation_names)
        everything = join([own.pick(own_names), *more])
        learning = without_twins(without_twins(everything, test), validation)
        counts["left out, like a photo held back"] = len(everything) - len(learning)
        return Photos(learning, validation, test, counts)

    def facts(self, photos: "Photos") -> dict:
        """What was trained, on what, and where."""
        record = json.loads((self.runs / "warm" / "config.json").read_text("utf-8"))
        histories = {name: read_history(self.runs / name / "history.csv") for name in CONFIGS}
        return {
            "photos": photos.counts,
            "learned_from": len(photos.learning),
            "environment": record["environment"],
            "size": SIZE,
            "seconds": self.seconds,
            "steps": {name: rows[-1]["step"] for name, rows in histories.items()},
            "configs": {name: asdict(config) for name, config in self.configs().items()},
        }

    def test(self, photos: "Photos") -> dict:
        """Measure networks, rival and baselines on the test photos, each folder's on their own."""
        warm, plain = self.generator("warm"), self.generator("l1")
        k = loud_enough(warm, photos.validation)
        target = colorfulness_by_factor(with_louder_end(warm, k), photos.validation, [1.0])[1.0]
        found = colorfulness_by_factor(plain, photos.validation, FACTORS)
        factors = {SHIPPED: k, RIVAL: min(found, key=lambda each: abs(found[each] - target))}
        networks = self.networks(factors)
        values = {
            name: evaluate_photos(each, photos.test, with_lpips=True)
            for name, each in (baselines(photos.learning) | networks).items()
        }
        ours, theirs = values[SHIPPED], values[RIVAL]
        values[AHEAD] = {metric: ours[metric] - theirs[metric] for metric in ours}
        folders = [name.split("/")[0] for name in photos.test.names]
        sets = {name: [folder == name for folder in folders] for name in dict.fromkeys(folders)}
        sets = {"all": [True] * len(folders)} | sets
        return {
            "k": factors,
            "sets": {name: rows_of(values, torch.tensor(mask)) for name, mask in sets.items()},
            "curve": rival_curve(plain, photos.test, every=2),
        }

    def ship(self, results: dict) -> None:
        """Publish the weights, with a card in the file and the same one beside it."""
        row, seconds = results["sets"]["all"][SHIPPED], results["seconds"]
        metrics = ", ".join(f"{COLUMNS[m]} {row[m]:.2f}" for m in DIGITS if m in row)
        card = {
            "data": ", ".join(f"{count} {what}" for what, count in results["photos"].items()),
            "size": SIZE,
            "recipe": f"warm; then the last layer × {results['k'][SHIPPED]:.2f}",
            "seed": self.seed,
            "budget": f"{seconds:g} s, {results['steps']['warm']} steps; {where(results)}",
            "metrics": f"on {row['photos']} test photos: {metrics}",
            "license": LICENSE,
        }
        path = self.out / "weights" / "photos.safetensors"
        save_generator(path, self.networks(results["k"])[SHIPPED], **card)
        write_json(path.with_suffix(".json"), card)

    def generator(self, name: str) -> nn.Module:
        """The trained generator of a run."""
        return load_generator(self.runs / name / "generator.safetensors")

    def networks(self, factors: dict[str, float]) -> dict[str, nn.Module]:
        """Everybody who is tested: what was trained, and two of them made louder."""
        networks = {name: self.generator(name) for name in CONFIGS}
        shipped = with_louder_end(networks["warm"], factors[SHIPPED])
        return networks | {SHIPPED: shipped, RIVAL: Louder(networks["l1"], factors[RIVAL])}


class Photos(NamedTuple):
    """All photos, and what each is for."""

    learning: DecodedPhotos
    validation: DecodedPhotos  # to look at while a network learns, and to choose k
    test: DecodedPhotos
    counts: dict[str, int]  # how many came from where, and how many were left out


def with_louder_end(generator: StridedUNet, factor: float) -> StridedUNet:
    """A copy of a generator whose last layer, the one before tanh, is multiplied by a factor.

    Its chroma is multiplied by about that, where it is small, and stays within -1..1.
    """
    louder = deepcopy(generator)
    with torch.no_grad():
        for parameter in louder.last.parameters():
            parameter.mul_(factor)
    return louder


def loud_enough(generator: StridedUNet, photos: DecodedPhotos, share: float = SHARE) -> float:
    """The first of `FACTORS` whose louder end paints photos as colorful as wanted, or the last.

    Args:
        generator: what is to be made louder.
        photos: to choose on; not those of the test.
        share: of the photos' own colorfulness.
    """
    wanted = share * colorfulness(photos.rgb / 255).mean()
    L, ab = paint(generator, photos.rgb)
    last = ab.atanh()  # what the last layer has said; painting once is enough
    for factor in FACTORS:
        if colorfulness(L_ab_to_rgb(L, torch.tanh(factor * last))).mean() >= wanted:
            break
    return factor


def join(parts: Sequence[DecodedPhotos]) -> DecodedPhotos:
    """Several sets of photos as one."""
    names = [name for part in parts for name in part.names]
    return DecodedPhotos(torch.cat([part.rgb for part in parts]), names, [])


def without_twins(photos: DecodedPhotos, held_back: DecodedPhotos) -> DecodedPhotos:
    """The photos that are no near-copy, mirrored or not, of one that is held back."""
    kept = thumbnails(torch.cat([held_back.rgb, held_back.rgb.flip(-1)]))
    likeness = torch.cat([(some @ kept.T).amax(1) for some in thumbnails(photos.rgb).split(1000)])
    return photos.pick([photos.names[i] for i in (likeness < TWINS).nonzero().flatten().tolist()])


def rows_of(values: dict[str, dict[str, Tensor]], mask: Tensor) -> dict[str, dict[str, float]]:
    """Mean and 95% interval over the photos of a mask, of what was measured on each.

    Args:
        values: name -> metric -> (N,), as `evaluate_photos` gives them.
        mask: (N,), which photos.

    Returns:
        name -> row, as `photo_run.measured_rows` gives it.
    """
    rows = {}
    for name, metrics in values.items():
        chosen = {metric: value[mask] for metric, value in metrics.items()}
        rows[name] = {metric: value.mean().item() for metric, value in chosen.items()}
        for metric, value in chosen.items():
            rows[name][f"{metric}_interval"] = 1.96 * value.std().item() / len(value) ** 0.5
        rows[name]["photos"] = len(next(iter(chosen.values())))
    return rows


def results_page(results: dict) -> str:
    """The content of photo_weights.json as markdown; each folder's own table is folded."""
    tables = [weights_table(results)]
    for name in list(results["sets"])[1:]:
        count = results["sets"][name][SHIPPED]["photos"]
        summary = f"<summary>The {count} photos of <code>{name}</code> alone</summary>"
        tables.append(f"<details>{summary}\n\n{weights_table(results, name)}\n\n</details>")
    return "\n\n".join([conditions(results), *tables])


def draw_examples(networks: dict[str, Colorizer]) -> Image.Image:
    """Photos of scikit-image, which nobody has learned from: gray, colored at full size, real.

    Args:
        networks: name -> generator trained at `SIZE`.
    """
    photos = [Image.fromarray(getattr(skimage_data, name)()) for name in EXAMPLES]
    painters = {"gray": gray_baseline} | networks
    rows = {
        name: [colorize(photo, each, SIZE) for photo in photos] for name, each in painters.items()
    }
    rows["real"] = photos
    square = {
        name: torch.stack([to_tensor(ImageOps.fit(picture, (160, 160))) for picture in pictures])
        for name, pictures in rows.items()
    }
    return draw_rows(square, scale=1)


if __name__ == "__main__":
    try:
        tyro.cli(PhotoWeights).run()
    except (NotADirectoryError, PhotoError) as error:
        raise SystemExit(f"photo_weights: {error}") from error
