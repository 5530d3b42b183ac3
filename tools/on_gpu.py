"""Twelve minutes of one GPU: CUDA tests, benchmark, photo weights at 192 pixels, in this order.

    python -m tools.on_gpu pack --photos FOLDER --imagenet FILE --out gpu.zip
    python -m tools.on_gpu run --pack gpu.zip --out FOLDER

`pack` runs where the photos are. It puts training and validation photos (no test photo) and the
encoder's ImageNet weights into one file. `run` needs torch, torchvision, scikit-image, pytest and
this repository, and nothing from a network. It writes each result as soon as it has it, at most 8
files of at most 16 MB: tests.txt, bench.json, photos.safetensors, photos.json, samples.png.
"""

import argparse
import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from copy import deepcopy
from itertools import zip_longest
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from colorlib.metrics import triptych_sheet, triptychs, write_picture
from colorlib.photos import DecodedPhotos
from colorlib.runs import atomic_write, environment, save_generator, write_json
from lessonkit.lesson_11.bench import Meter, make_photos, stages
from tools import ROOT
from tools.photo_data import SOURCES, Mixture, Source, decode, split_photos
from tools.photo_training import Stage1, Stage1Run

QUALITY = 75  # of the WebP pictures in the pack
VALIDATION = "validation"  # folder in the pack; the training photos' are 0, 1 and 2


def pack(photos: Path, imagenet: Path, out: Path, megabytes: float) -> None:
    """Put photos and the encoder's weights into one file.

    Args:
        photos: the folder of natural, caltech101, landscapes and tiny-imagenet.
        imagenet: EfficientNet-Lite0's published weights; stored in half precision, without head.
        out: the file.
        megabytes: how large it may become. Photos of the first source go first.

    Raises:
        SystemExit: no training photo fits.
    """
    split = split_photos(photos, ROOT / "data" / "splits" / "photos.txt")
    published = torch.load(imagenet, map_location="cpu", weights_only=True)
    encoder = {n: v.half() for n, v in published.items() if n.startswith(("_conv_stem", "_b"))}
    weights = io.BytesIO()
    torch.save(encoder, weights)
    queue = [(VALIDATION, name, SOURCES[0].stored) for name in split.validation]
    queue += [("0", name, SOURCES[0].stored) for name in split.training[0]]
    others = zip_longest(*split.training[1:])  # one of each, so that both fill what is left
    for names in others:
        for number, name in enumerate(names, start=1):
            if name is not None:
                queue.append((str(number), name, SOURCES[number].stored))
    size = 0
    with atomic_write(out) as temporary, zipfile.ZipFile(temporary, "w") as file:
        file.writestr("encoder.pth", weights.getvalue())
        size += len(weights.getvalue())
        for folder, name, shorter in queue:
            picture = io.BytesIO()
            rgb = decode(photos / name, shorter).transpose(1, 2, 0)
            Image.fromarray(rgb).save(picture, "WEBP", quality=QUALITY)
            size += len(picture.getvalue()) + 300  # a zip's own bytes for each file
            if size > megabytes * 1e6:
                break
            file.writestr(f"{folder}/{name.replace('/', '__')}.webp", picture.getvalue())
        if not any(name.startswith("0/") for name in file.namelist()):
            raise SystemExit(f"{megabytes:g} MB hold no photo to train on: give more")


def unpack(file: zipfile.ZipFile, folder: str) -> Iterator[Tensor]:
    """The photos of a folder in the pack: uint8 (3, H, W) each."""
    for name in file.namelist():
        if name.startswith(f"{folder}/"):
            with Image.open(io.BytesIO(file.read(name))) as picture:
                yield torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)


def run_tests(out: Path, seconds: float) -> None:
    """Run the tests that need a GPU, and write what pytest says."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "cuda", "tests/colorlib"]
    command.append("--continue-on-collection-errors")  # tests of the command line need tyro
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds)
        said = f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
    except subprocess.TimeoutExpired as error:
        said = f"stopped after {seconds:g} s\n{error.stdout}"
    out.joinpath("tests.txt").write_text(said[-1_000_000:], "utf-8")


def run_bench(out: Path, seconds: float, size: int, count: int) -> None:
    """Measure the stages of `tools.bench`, writing after each.

    Args:
        out: gets bench.json.
        seconds: for all stages together, about; each of three numbers gets its share.
        size: of the pictures, in pixels.
        count: of the photos, cut from those of scikit-image.
    """
    has_gpu = torch.cuda.is_available()
    ladder = stages(size, 64 if has_gpu else 8, 64, has_gpu)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "photos")
        folder.mkdir()
        make_photos(folder, count)
        share = seconds / len(ladder) / 4  # three numbers, and preparing
        device = torch.device("cuda" if has_gpu else "cpu")
        meter = Meter(device, share, folder, size, Path(scratch))
        result = {"environment": environment(), "matrix_tflops": meter.matrix_rate / 1e12}
        result |= {"settings": {"size": size, "seconds": share, "photos": count}, "stages": []}
        for stage in ladder:
            result["stages"].append(meter.measure(stage))
            write_json(out / "bench.json", result)


def run_training(out: Path, file: Path, seconds: float, sources: Sequence[Source]) -> None:
    """Train the photo weights on the packed photos, and write them with their log and samples.

    Args:
        out: gets photos.safetensors, photos.json and samples.png.
        file: the pack.
        seconds: of training.
        sources: sizes and batches; those without photos in the pack are left out.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with zipfile.ZipFile(file) as packed, tempfile.TemporaryDirectory() as scratch:
        photos = [list(unpack(packed, str(number))) for number in range(len(sources))]
        kept = [(source, some) for source, some in zip(sources, photos) if some]
        size = sources[0].size
        small = torch.stack([middle(photo, size) for photo in unpack(packed, VALIDATION)])
        validation = DecodedPhotos(small, [str(number) for number in range(len(small))], [])
        encoder = Path(packed.extract("encoder.pth", scratch))
        config = Stage1(seconds=seconds, held=0.3, released_from=0, looks=3)
        run = Stage1Run(config, encoder, Path(scratch), device)
        mixture = Mixture([some for _, some in kept], 0, [source for source, _ in kept])
        network = run.train(mixture, validation, workers=12 if device == "cuda" else 1)
    card = {"size": size, "steps": run.step, "seconds": round(run.seconds)}
    card |= {"seed": config.seed, "device": environment()["device"]}
    save_generator(out / "photos.safetensors", deepcopy(network).half(), **card)
    counts = [len(some) for some in photos]
    log = {"history": run.history, "validation": run.looks, "environment": environment()}
    write_json(out / "photos.json", card | {"photos": counts} | log)
    write_picture(out / "samples.png", triptych_sheet(triptychs(network, small[:12], 12)))


def middle(photo: Tensor, size: int) -> Tensor:
    """The middle square of a photo, uint8 (3, size, size)."""
    side = min(photo.shape[-2:])
    top, left = ((length - side) // 2 for length in photo.shape[-2:])
    square = photo[None, :, top : top + side, left : left + side]
    return interpolate(square, (size, size), mode="bilinear", antialias=True)[0]


def gpu_sources(size: int, scale: int) -> list[Source]:
    """The sources of the run on CPUs at a larger size, and with larger batches.

    Args:
        size: of the first source's squares, in pixels.
        scale: how many times larger the batches are.
    """
    first, *others = SOURCES
    first = first._replace(size=size, smallest=0.6)
    return [s._replace(batch=s.batch * scale) for s in (first, *others)]


def main() -> None:
    """Read the command line and do as it says."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack", help="put photos and weights into one file")
    packing.add_argument("--photos", type=Path, required=True)
    packing.add_argument("--imagenet", type=Path, required=True)
    packing.add_argument("--out", type=Path, default=Path("gpu.zip"))
    packing.add_argument("--megabytes", type=float, default=36, help="the tree travels too")
    running = commands.add_parser("run", help="tests, benchmark and training")
    running.add_argument("--pack", type=Path, default=Path("gpu.zip"))
    running.add_argument("--out", type=Path, required=True)
    running.add_argument("--seconds", type=float, nargs=3, default=(120, 180, 360))
    running.add_argument("--size", type=int, default=192, help="pixels, of the training squares")
    running.add_argument("--bench-size", type=int, default=256)
    running.add_argument("--bench-photos", type=int, default=2048)
    running.add_argument("--batch-scale", type=int, default=8)
    given = parser.parse_args()
    if given.command == "pack":
        pack(given.photos, given.imagenet, given.out, given.megabytes)
        return
    given.out.mkdir(parents=True, exist_ok=True)
    run_tests(given.out, given.seconds[0])
    try:
        run_bench(given.out, given.seconds[1], given.bench_size, given.bench_photos)
    finally:  # whatever happens to the benchmark, the training is worth its minutes
        sources = gpu_sources(given.size, given.batch_scale)
        run_training(given.out, given.pack, given.seconds[2], sources)


if __name__ == "__main__":
    main()
