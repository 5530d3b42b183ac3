"""The weights with which the shipped networks take hints: trained, tested, and written down.

    python -m tools.hint_weights scenes
    python -m tools.hint_weights photos --photos FOLDER

Run it again whenever the generators that they belong to are new. Each command renews its own part
of data/results/hints.json. What is finished is not done again while it is in the folder `runs`.
"""

import hashlib
import json
import time
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import tyro
from torch import Tensor

from colorlib.config import RECIPES
from colorlib.generator import count_parameters
from colorlib.hints import Hinted, Spread, load_spread
from colorlib.metrics import evaluate
from colorlib.photos import TEST_SCENES_SEED
from colorlib.runs import (
    WEIGHTS,
    atomic_write,
    environment,
    load_generator,
    read_card,
    save_generator,
    write_json,
)
from colorlib.scenes import SceneDataset
from colorlib.training import train
from lessonkit.lesson_12.measures import (
    BY_LIGHTNESS,
    COUNTS,
    DISKS,
    ask_balloons,
    best_painter,
    hint_curves,
    obeyed,
)
from lessonkit.lesson_12.training import HintTraining
from tools import ROOT
from tools.photo_data import SOURCES, Mixture, Photos, decode_all, split_photos, squares
from tools.photo_weights import LICENSE, once

RESULTS = ROOT / "data" / "results" / "hints.json"
RUNS = ROOT / "runs" / "hints"
SCENES, TEST_SCENES, VALIDATION_SCENES_SEED = 3000, 300, TEST_SCENES_SEED + 1
BATCH = 16  # scenes
WARM_STEPS = 1402  # of the generators with other seeds: as many as the shipped one took
SAVE_EVERY = 120.0  # seconds
CHOSEN_ON = 60  # validation pictures, to choose the settings of the baselines


@dataclass
class OfScenes:
    """Train hints for the network for scenes, with several seeds; ship the first."""

    steps: int = 650
    """How many steps each training takes: about 90 seconds on a laptop with two cores."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of the trainings; with seed 0 the generator is the shipped one, else one of that seed."""

    def run(self) -> None:
        """Train, test and ship."""
        data = SceneDataset(SCENES, seed=0)
        test = SceneDataset(TEST_SCENES, seed=TEST_SCENES_SEED)
        validation = SceneDataset(CHOSEN_ON, seed=VALIDATION_SCENES_SEED)
        rows = []
        for seed in self.seeds:
            hinted, facts = self._trained(data, seed)
            row = {"seed": seed, **facts, **without_hints(hinted, test)}
            for request in ("other", "any"):
                row[request] = obeyed(ask_balloons(hinted, test.rgb, test.labels, request, seed))
            row |= curves_of(hinted, validation.rgb, test.rgb, seed)
            rows.append(row)
            print(row, flush=True)
        facts = {"data": f"{SCENES:,} rendered scenes", "license": "MIT", **rows[0]["training"]}
        ship("scenes", self._trained(data, self.seeds[0])[0].spread, facts)
        renew("scenes", {"counts": COUNTS, "seeds": rows})

    def _trained(self, data: SceneDataset, seed: int) -> tuple[Hinted, dict]:
        generator = self._generator(data, seed)
        path = RUNS / f"scenes-{seed}-{self.steps}-{fingerprint(generator)}.safetensors"
        if not path.exists():
            torch.manual_seed(seed)
            training = HintTraining(Hinted(generator, Spread()), seed)
            random, began = torch.Generator().manual_seed(seed), time.process_time()
            for step in range(self.steps):
                picks = torch.randint(len(data), (BATCH,), generator=random)
                training.take_step(data.rgb[picks], step / self.steps)
            facts = {"steps": self.steps, "cpu_seconds": round(time.process_time() - began)}
            save_generator(path, training.average.spread, **facts)
        hinted, card = with_hints(generator, path)
        return hinted, {"training": {name: card[name] for name in ("steps", "cpu_seconds")}}

    def _generator(self, data: SceneDataset, seed: int) -> torch.nn.Module:
        if seed == 0:
            return load_generator("scenes")
        folder = RUNS / f"warm-{seed}"
        if not (folder / "generator.safetensors").exists():
            train(replace(RECIPES["warm"], steps=WARM_STEPS, seed=seed), data, folder)
        return load_generator(folder / "generator.safetensors")


@dataclass
class OfPhotos:
    """Train hints for the network for photos."""

    photos: Path
    """The folder that holds natural, caltech101, landscapes and tiny-imagenet."""
    steps: int = 6000
    """How many steps to train; a run that was stopped continues."""
    width: int = 48
    """Channels of the network that describes pixels."""
    seed: int = 0
    """Of the training."""
    split: Path = ROOT / "data" / "splits" / "photos.txt"
    """The names of the test photos."""
    runs: Path = RUNS
    """The folder for checkpoints, and for split.json, which says what each photo is for."""

    def run(self) -> None:
        """Train, test and ship."""
        photos = Photos(*once(self.runs / "split.json", self._split))
        size = read_card("photos")["size"]
        generator = load_generator("photos")
        path = self._file(generator, f"{self.steps}.safetensors")
        if not path.exists():
            save_generator(path, self._train(generator, photos).average.spread)
        hinted = with_hints(generator, path)[0]
        validation = squares(self.photos, photos.validation[:CHOSEN_ON], size)
        row = curves_of(hinted, validation, squares(self.photos, photos.test, size), self.seed)
        print(row, flush=True)
        facts = {"data": "as photos.safetensors", "license": LICENSE, "steps": self.steps}
        ship("photos", hinted.spread, facts | {"size": size, "seed": self.seed})
        facts = {"photos": len(photos.test), "size": size, "steps": self.steps}
        renew("photos", {"counts": COUNTS, **facts, **row})

    def _split(self) -> tuple:
        return split_photos(self.photos, self.split)

    def _file(self, generator: torch.nn.Module, ending: str) -> Path:
        return self.runs / f"photos-{self.seed}-{self.width}-{fingerprint(generator)}-{ending}"

    def _train(self, generator: torch.nn.Module, photos: Photos) -> HintTraining:
        torch.manual_seed(self.seed)
        spread = Spread(channels=generator.last.in_channels, width=self.width)
        training = HintTraining(Hinted(generator, spread), self.seed)
        checkpoint = self._file(generator, "checkpoint.pt")
        resume(training, checkpoint)
        decoded = [
            decode_all(self.photos, names, source.stored)
            for names, source in zip(photos.training, SOURCES)
        ]
        batches = Mixture(decoded, self.seed).stream(len(training.losses))
        saved = time.monotonic()
        while (step := len(training.losses)) < self.steps:
            training.take_step(next(batches), step / self.steps)
            if step % 100 == 99:
                print(step + 1, sum(training.losses[-100:]) / 100, flush=True)
            if time.monotonic() - saved > SAVE_EVERY:
                save(training, checkpoint)
                saved = time.monotonic()
        batches.close()
        return training


def fingerprint(network: torch.nn.Module) -> str:
    """A few digits that change with the weights: hints belong to one generator."""
    weights = (value.cpu().contiguous().numpy() for value in network.state_dict().values())
    return hashlib.sha256(b"".join(value.tobytes() for value in weights)).hexdigest()[:8]


def with_hints(generator: torch.nn.Module, path: Path) -> tuple[Hinted, dict]:
    """A generator with weights that this program has trained for it, and their card."""
    hinted = Hinted(generator, load_spread(path))
    return hinted.eval().requires_grad_(False), read_card(path)


def without_hints(hinted: Hinted, test: SceneDataset) -> dict[str, float]:
    """PSNR ab of a network that gets no hints, and of its own generator."""
    rows = {"psnr_ab": hinted, "psnr_ab_generator": hinted.generator}
    return {name: evaluate(network, test)["psnr_ab"] for name, network in rows.items()}


def curves_of(hinted: Hinted, validation: Tensor, test: Tensor, seed: int) -> dict:
    """PSNR over the number of hints, beside baselines whose settings are chosen on validation.

    Returns:
        curves: name -> mean and half of the 95% interval over the pictures, per number of hints;
        ahead: the same for the network's lead over each baseline; chosen: the settings.
    """
    kinds = {"filled disk": DISKS, "similar lightness": BY_LIGHTNESS}
    chosen = {
        name: best_painter(hinted, validation, [*tried.values()]) for name, tried in kinds.items()
    }
    baselines = {name: [*kinds[name].values()][number] for name, number in chosen.items()}
    curves = hint_curves(hinted, test, baselines, seed=seed)
    return {
        "curves": {name: spread_of(values) for name, values in curves.items()},
        "ahead": {name: spread_of(curves["network"] - curves[name]) for name in baselines},
        "chosen": {name: [*kinds[name]][number] for name, number in chosen.items()},
    }


def spread_of(values: Tensor) -> dict[str, list[float]]:
    """Mean and half of the 95% interval of (pictures, counts), per count."""
    half = 1.96 * values.std(dim=0) / len(values) ** 0.5
    parts = {"mean": values.mean(dim=0), "interval": half}
    return {name: [round(value, 3) for value in part.tolist()] for name, part in parts.items()}


def save(training: HintTraining, path: Path) -> None:
    """Write everything that a training needs to continue."""
    parts = {name: part.state_dict() for name, part in parts_of(training).items()}
    facts = {"losses": training.losses, "random": training.random.get_state()}
    with atomic_write(path) as temporary:
        torch.save(parts | facts, temporary)


def resume(training: HintTraining, path: Path) -> None:
    """Continue where `save` was called, if it was."""
    if path.exists():
        saved = torch.load(path, weights_only=True)
        for name, part in parts_of(training).items():
            part.load_state_dict(saved[name])
        training.losses = saved["losses"]
        training.random.set_state(saved["random"])


def parts_of(training: HintTraining) -> dict:
    """What has a state to save."""
    averaged = training.average.spread
    return {"spread": training.hinted.spread, "average": averaged, "adam": training.optimizer}


def ship(name: str, spread: Spread, card: dict) -> None:
    """Write weights into the package, in half precision."""
    path = WEIGHTS / f"hints-{name}.safetensors"
    save_generator(path, deepcopy(spread).half(), **card)
    print(f"{path}: {count_parameters(spread):,} parameters, {path.stat().st_size / 1e6:.1f} MB")


def renew(name: str, results: dict) -> None:
    """Replace one part of the results."""
    old = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    write_json(RESULTS, old | {name: results | {"environment": environment()}})


if __name__ == "__main__":
    tyro.extras.subcommand_cli_from_dict({"scenes": OfScenes, "photos": OfPhotos}).run()
