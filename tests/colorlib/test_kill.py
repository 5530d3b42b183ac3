"""A real training process is killed at random moments, and loses nothing."""

import json
import multiprocessing
import os
import random
import sys
import time
import warnings
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from PIL import Image
from skimage import data

from colorlib import cli
from colorlib.cli import SPLIT, main
from colorlib.photos import read_split
from colorlib.runs import Run, load_generator
from colorlib.training import Loop
from lessonkit.watch import read_history

IS_LONG = bool(os.environ.get("COLORLIB_TRUST"))
KILLS = 50 if IS_LONG else 5
STEPS = 30 * KILLS
FILES = ("generator.safetensors", "best.safetensors", "validation.csv", "metrics.json", SPLIT)
# A process of its own either way. A fork server imports torch once; `make trust` takes the time
# to start each one from scratch.
HAS_FORK_SERVER = "forkserver" in multiprocessing.get_all_start_methods()
START = "forkserver" if HAS_FORK_SERVER and not IS_LONG else "spawn"
CONFIG = "warm --size 32 --generator-width 8 --discriminator-width 4 --batch 4"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Twelve little color photos; nine of them are trained on, three batches an epoch."""
    folder = tmp_path_factory.mktemp("photos")
    for index in range(12):
        crop = data.astronaut()[40:80, 36 * index : 36 * index + 40]
        Image.fromarray(crop).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def context():
    """How processes are started here; without a GPU, which does not repeat to the bit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        made = multiprocessing.get_context(START)
        if START == "forkserver":
            made.set_forkserver_preload(["colorlib.cli"])
        yield made


def learn(photos: Path, run: Path, started: Path) -> None:
    """What `colorlib train` does, but that it saves after every epoch, however short.

    And it holds a photo back to look at, however few there are.
    """
    Loop.SAVE_AT_MOST, Loop.TRAINED_PER_LOOK = 0, 0
    cli.WORTH_HOLDING_BACK = 1
    torch.set_num_threads(1)
    sys.stdout = sys.stderr = open(run.with_suffix(".log"), "a", buffering=1)  # noqa: SIM115
    started.touch()
    main(
        ["train", *CONFIG.split(), "--steps", str(STEPS), "--data", str(photos), "--out", str(run)]
    )


def start(context, photos: Path, run: Path) -> multiprocessing.Process:
    """Start a training process; return when it has imported what it needs."""
    started = run.with_suffix(".started")
    started.unlink(missing_ok=True)
    process = context.Process(target=learn, args=(photos, run, started))
    process.start()
    while process.is_alive() and not started.exists():
        time.sleep(0.002)
    return process


def wait_for_a_random_moment(process: multiprocessing.Process, run: Path) -> None:
    """Let some saves go by, and a part of the next one; however slow the machine is now."""
    checkpoint, seen = run / "checkpoint.pt", set()
    saves = random.randrange(16)
    while process.is_alive() and len(seen) <= saves:
        with suppress(FileNotFoundError):  # before the first save
            seen.add(checkpoint.stat().st_mtime_ns)
        if not saves:
            break
        time.sleep(0.001)
    process.join(timeout=random.uniform(0, 0.5 / (1 + saves)))


def assert_all_is_whole(run: Path, since: float) -> None:
    """Nothing written since then that stands under its own name is cut off or damaged."""
    readers = {
        ".pt": lambda path: torch.load(path, weights_only=True),
        ".safetensors": load_generator,
        ".json": lambda path: json.loads(path.read_text("utf-8")),
        ".png": lambda path: Image.open(path).load(),
        ".txt": read_split,
        ".csv": read_history,
    }
    for path in run.rglob("*.*"):
        if not path.name.startswith(".") and path.stat().st_mtime >= since:
            readers[path.suffix](path)


def outcome(run: Path) -> dict:
    """All that a finished run says, but for the time that it took."""
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    networks = state["networks"]["parts"][:2]
    return {
        "history": [row | {"seconds": 0} for row in read_history(run / "history.csv")],
        "weights": [part.tolist() for network in networks for part in network.values()],
        **{name: (run / name).read_bytes() for name in FILES},
    }


def saved_step(run: Path) -> int:
    """The step that the run would resume from; a damaged checkpoint is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return (Run(run, {}).load_checkpoint() or {"step": 0})["step"]


@pytest.mark.trust
def test_a_run_killed_at_random_moments_ends_with_the_same_weights(context, photos, tmp_path):
    def finish(process: multiprocessing.Process, run: Path) -> dict:
        process.join()
        assert process.exitcode == 0, run.with_suffix(".log").read_text("utf-8")
        return outcome(run)

    whole = finish(start(context, photos, tmp_path / "whole"), tmp_path / "whole")
    assert len(whole["history"]) == STEPS
    runs, kills, saved, deepest = 1, 0, 0, 0
    while kills < KILLS:
        run, began = tmp_path / f"killed {runs}", time.time() - 1
        process = start(context, photos, run)
        wait_for_a_random_moment(process, run)
        if process.is_alive():
            process.kill()
            process.join()
            assert_all_is_whole(run, since=began)
            assert saved_step(run) >= saved, "what was saved has been lost"
            saved, kills = saved_step(run), kills + 1
            deepest = max(deepest, saved)
        else:  # it was quicker than we are: another one
            assert differing(finish(process, run), whole) == []
            runs, saved = runs + 1, 0
    assert deepest > 0, "every kill came before the first save"
    assert differing(finish(start(context, photos, run), run), whole) == []


def differing(one: dict, other: dict) -> list[str]:
    return [name for name in other if one[name] != other[name]]
