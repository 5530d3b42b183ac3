"""How good is it: metrics, the baselines to beat, and photos side by side.

No single number tells whether a coloring is good: PSNR and CIEDE2000 reward cautious brown, and
colorfulness rewards any paint at all. So every colorizer, network or baseline, gets the same row of
metrics, to be read next to the photos.

A colorizer is any callable from L (B, 1, H, W) to ab (B, 2, H, W), scaled as in `colorlib.color`.
A data set is anything with a length whose items are uint8 rgb (3, H, W), all of one size. A metric
takes batches of rgb (B, 3, H, W), float 0..1 or uint8, and returns one value per photo, (B,). It
raises ValueError if the two batches differ in shape.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import skimage  # loads its submodules when they are first used
import torch
from PIL import Image, ImageDraw, ImageFont
from tabulate import tabulate
from torch import Tensor, nn
from torch.utils.data import Dataset

from colorlib.color import AB_SCALE, L_ab_to_rgb, colorfulness, rgb_to_L_ab, rgb_to_lab, to_unit
from colorlib.runs import TRIPTYCHS, atomic_write, choose_device, load_generator, remove, write_json
from colorlib.scenes import BALLOON_BLUE_AB, BALLOON_RED_AB, LABELS

Colorizer = Callable[[Tensor], Tensor]

COMMITTED_DISTANCE = 25.0  # in the (a*, b*) plane, where the two paints are 126 apart
PIXEL_COUNTS = ("committed_pixels", "balloon_pixels")


# --- metrics ---


def psnr_rgb(predicted: Tensor, real: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of the pictures in dB; higher is closer, infinite where equal.

    10 log10(peak² / mean squared error), peak 1. Both pictures have the same L*, so that even
    plain gray scores well: compare with the baselines.
    """
    return _psnr(*_as_pair(predicted, real), peak=1.0)


def psnr_ab(predicted_ab: Tensor, real_ab: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of the chroma alone in dB, of scaled ab (B, 2, H, W).

    As ab spans -1..1, the peak is 2.
    """
    return _psnr(*_as_pair(predicted_ab, real_ab), peak=2.0)


def _psnr(predicted: Tensor, real: Tensor, peak: float) -> Tensor:
    error = (predicted - real).square().flatten(1).mean(dim=1)
    return 10 * torch.log10(peak**2 / error)


def ssim(predicted: Tensor, real: Tensor) -> Tensor:
    """Structural similarity, at most 1; higher is closer. Pictures of at least 11×11 pixels.

    It mostly sees edges and texture, which come from L*: expect high values for any colors.

    Reference: Wang et al. 2004, with their Gaussian window of deviation 1.5, channel by channel.
    """
    published = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    options = {"channel_axis": 0, "data_range": 1.0} | published
    return _photo_by_photo(
        lambda *pair: skimage.metrics.structural_similarity(*pair, **options),
        *_as_pair(predicted, real),
    )


def ciede2000(predicted: Tensor, real: Tensor) -> Tensor:
    """Mean color difference ΔE00 over the pixels; lower is closer, and 1 is just visible.

    Reference: Sharma, Wu and Dalal 2005.
    """
    return _photo_by_photo(
        lambda *pair: skimage.color.deltaE_ciede2000(*pair, channel_axis=0).mean(),
        *map(rgb_to_lab, _as_pair(predicted, real)),
    )


def committed(predicted: Tensor, labels: Tensor) -> float:
    """Fraction of the balloons' pixels that are clearly red or clearly blue.

    A coin toss makes a scene's balloon red or blue. A colorizer that hedges paints the mean of the
    two, a mauve that no balloon has; one that commits is within 25 of one of them in (a*, b*).

    Args:
        predicted: rgb of rendered scenes, (B, 3, H, W), float 0..1 or uint8.
        labels: their label maps, (B, H, W).

    Returns:
        The fraction of all balloon pixels in the batch, 0..1; NaN if there are none.
    """
    hits, pixels = _balloon_pixels(predicted, labels)
    return (hits.sum() / pixels.sum()).item()


def _balloon_pixels(rgb: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Count the committed and all balloon pixels of each photo, (B,) each."""
    ab = rgb_to_lab(rgb)[:, 1:]
    paints = ab.new_tensor([BALLOON_RED_AB, BALLOON_BLUE_AB])[:, :, None, None]
    is_near = (ab[:, None] - paints).norm(dim=2).amin(dim=1) <= COMMITTED_DISTANCE  # (B, H, W)
    is_balloon = labels.to(ab.device).reshape(is_near.shape) == LABELS.index("balloon")
    return (is_near & is_balloon).sum(dim=(1, 2)), is_balloon.sum(dim=(1, 2))


def _as_pair(predicted: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    if predicted.ndim != 4 or predicted.shape != real.shape:
        shapes = f"{tuple(predicted.shape)} and {tuple(real.shape)}"
        raise ValueError(f"expected two batches (B, C, H, W) of one shape, got {shapes}")
    return to_unit(predicted), to_unit(real)


def _photo_by_photo(metric: Callable, predicted: Tensor, real: Tensor) -> Tensor:
    """Apply a metric of NumPy arrays to each pair of photos."""
    pairs = zip(predicted.cpu().numpy(), real.cpu().numpy())
    return torch.tensor([float(metric(*pair)) for pair in pairs], device=predicted.device)


# --- baselines ---


def gray_baseline(L: Tensor) -> Tensor:
    """No color at all: ab = 0, (B, 2, H, W)."""
    return torch.cat([torch.zeros_like(L)] * 2, dim=-3)


def lookup_by_L(dataset: Dataset, bins: int = 100) -> Colorizer:
    """Fit a table: the mean chroma of the training pixels with the same L*.

    The best possible answer from a pixel's own lightness, without looking at its neighbors.

    Args:
        dataset: the training photos.
        bins: how many levels of L* to distinguish; an empty bin gets the nearest one's chroma.
    """

    def bins_of(L: Tensor) -> Tensor:
        return (L * bins).long().clamp(0, bins - 1)

    sums = torch.zeros(3, bins, dtype=torch.float64)  # of a, of b, number of pixels
    for rgb in _batches(dataset):
        L, ab = rgb_to_L_ab(rgb)
        values = torch.cat([ab, torch.ones_like(L)], dim=1)  # (B, 3, H, W): a, b, and 1
        values = values.movedim(1, 0).flatten(1).double()  # (3, pixels)
        places = bins_of(L).flatten()  # (pixels,)
        sums += torch.stack([torch.bincount(places, row, bins) for row in values])
    filled = sums[2].nonzero()[:, 0]
    nearest = filled[(torch.arange(bins)[:, None] - filled).abs().argmin(dim=1)]
    table = (sums[:2] / sums[2])[:, nearest].float()  # (2, bins)
    return lambda L: table.to(L)[:, bins_of(L).squeeze(-3)].movedim(0, -3)


def mean_color(dataset: Dataset) -> Colorizer:
    """Fit the mean chroma of all training pixels, used everywhere: a lookup with one bin."""
    return lookup_by_L(dataset, bins=1)


def baselines(train: Dataset) -> dict[str, Colorizer]:
    """The three baselines fitted on a training set, by the names they have in tables."""
    mean, lookup = mean_color(train), lookup_by_L(train)
    return {"gray": gray_baseline, "mean color": mean, "lookup by L": lookup}


# --- a colorizer on a data set ---


def evaluate_photos(
    colorizer: Colorizer, dataset: Dataset, batch: int = 32, is_quick: bool = False
) -> dict[str, Tensor]:
    """Measure a colorizer on each photo of a data set, on the colorizer's device.

    Args:
        colorizer: a generator or a baseline; a network is left as it was.
        dataset: the photos. If it has `labels`, (N, H, W), they are rendered scenes.
        batch: photos at a time.
        is_quick: skip the metrics that take longer than the coloring.

    Returns:
        psnr_ab, psnr_rgb, ssim, ciede2000, colorfulness and colorfulness_real; for scenes
        committed_pixels and balloon_pixels: (N,) each, on the CPU. If it is quick: delta_e, which
        is ΔE*ab of 1976 (as L* is the same, the distance in the (a*, b*) plane), and both
        colorfulnesses.

    Raises:
        ValueError: the data set is empty.
    """
    rows, start, labels = [], 0, getattr(dataset, "labels", None)
    has_maps = getattr(labels, "ndim", 0) == 3  # torchvision's data sets have a label per photo
    with at_work(colorizer) as device:
        for rgb in _batches(dataset, batch):
            L, real_ab = rgb_to_L_ab(rgb.to(device))
            predicted_ab = colorizer(L)
            real, predicted = to_unit(rgb.to(device)), L_ab_to_rgb(L, predicted_ab)
            row = {"colorfulness": colorfulness(predicted), "colorfulness_real": colorfulness(real)}
            if is_quick:
                row["delta_e"] = AB_SCALE * (predicted_ab - real_ab).norm(dim=1).mean(dim=(1, 2))
            else:
                row["psnr_ab"] = psnr_ab(predicted_ab, real_ab)
                row["psnr_rgb"] = psnr_rgb(predicted, real)
                row["ssim"] = ssim(predicted, real)
                row["ciede2000"] = ciede2000(predicted, real)
            if has_maps:
                maps = torch.as_tensor(labels[start : start + len(rgb)])
                row |= zip(PIXEL_COUNTS, _balloon_pixels(predicted, maps))
            rows.append(row)
            start += len(rgb)
    return {name: torch.cat([row[name].cpu() for row in rows]) for name in rows[0]}


def evaluate(colorizer: Colorizer, dataset: Dataset, **options) -> dict[str, float]:
    """Measure a colorizer on a data set: the mean over the photos of each metric.

    `committed` is the fraction of all balloon pixels together, and `photos` the number of photos.
    The options are those of `evaluate_photos`.
    """
    values = evaluate_photos(colorizer, dataset, **options)
    means = {name: value.double().mean() for name, value in values.items()}
    if "balloon_pixels" in means:
        means["committed"] = means.pop("committed_pixels") / means.pop("balloon_pixels")
    return {name: mean.item() for name, mean in means.items()} | {"photos": len(dataset)}


def compare(
    colorizers: dict[str, Colorizer], dataset: Dataset, train: Dataset | None = None, **options
) -> dict[str, dict[str, float]]:
    """Measure several colorizers on the same photos, the baselines first.

    Args:
        colorizers: name -> generator or baseline.
        dataset: the test photos.
        train: the training photos, to fit the baselines; without them only gray is compared.
        options: as for `evaluate_photos`.

    Returns:
        name -> row, as `evaluate` returns it.
    """
    everyone = ({"gray": gray_baseline} if train is None else baselines(train)) | colorizers
    return {name: evaluate(each, dataset, **options) for name, each in everyone.items()}


@contextmanager
def at_work(colorizer: Colorizer) -> Iterator[torch.device]:
    """Yield a colorizer's device; meanwhile no gradients, and eval mode if it is a network."""
    modules = list(colorizer.modules()) if isinstance(colorizer, nn.Module) else []
    parameter = next(colorizer.parameters(), None) if modules else None
    modes = [module.training for module in modules]  # each: a part may be frozen in eval mode
    try:
        for module in modules:
            module.training = False
        with torch.no_grad():
            yield torch.device("cpu") if parameter is None else parameter.device
    finally:
        for module, mode in zip(modules, modes):
            module.training = mode


def _batches(dataset: Dataset, batch: int = 64) -> Iterator[Tensor]:
    """Yield uint8 rgb (B, 3, H, W); the last batch may be smaller."""
    if len(dataset) == 0:
        raise ValueError("the data set is empty: give at least one photo")
    for start in range(0, len(dataset), batch):
        stop = min(start + batch, len(dataset))
        yield torch.stack([dataset[index] for index in range(start, stop)])


# --- pictures ---


def triptych(L: Tensor, real_ab: Tensor, predicted_ab: Tensor) -> Image.Image:
    """Put gray, real and predicted beside each other, with thin white separators.

    The gray is the L* that the network sees, not a luma: pure red is 0.53, not 0.30.

    Args:
        L: (1, H, W), scaled.
        real_ab: (2, H, W), scaled.
        predicted_ab: the same.
    """
    panels = [L_ab_to_rgb(L, ab) for ab in (torch.zeros_like(real_ab), real_ab, predicted_ab)]
    separator = torch.ones_like(panels[0][..., : max(2, L.shape[-1] // 32)])
    return to_image(torch.cat([panels[0], separator, panels[1], separator, panels[2]], dim=-1))


def to_image(rgb: Tensor) -> Image.Image:
    """Make a PIL picture, 8 bits a channel, of float rgb (3, H, W), 0..1."""
    pixels = (255 * rgb).round().to(torch.uint8)
    return Image.fromarray(pixels.permute(1, 2, 0).cpu().numpy())


def triptychs(
    colorizer: Colorizer, dataset: Dataset | Tensor, count: int = 10
) -> list[Image.Image]:
    """The triptychs of a data set's first photos, or of a tensor uint8 (N, 3, H, W)."""
    photos = torch.stack([dataset[index] for index in range(min(count, len(dataset)))])
    with at_work(colorizer) as device:
        L, real_ab = rgb_to_L_ab(photos.to(device))
        predicted_ab = colorizer(L).float()
    return [triptych(*each) for each in zip(L, real_ab, predicted_ab)]


def write_picture(path: Path | str, picture: Image.Image) -> None:
    """Write a picture as PNG, atomically."""
    with atomic_write(path) as temporary:  # the default level, 6, takes twice as long
        picture.save(temporary, format="PNG", compress_level=3)


def triptych_sheet(pictures: list[Image.Image]) -> Image.Image:
    """One triptych a row under the columns' names; small ones enlarged, pixel by pixel."""
    scale = max(1, 128 // pictures[0].height)
    width, height = scale * pictures[0].width, scale * pictures[0].height
    header, margin = height // 4, height // 32
    sheet = Image.new("RGB", (width, header + len(pictures) * (height + margin)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(header // 2)
    for column, name in enumerate(("gray", "real", "predicted")):
        center = ((2 * column + 1) * width / 6, header / 2)
        draw.text(center, name, fill="black", font=font, anchor="mm")
    for row, picture in enumerate(pictures):
        enlarged = picture.resize((width, height), Image.Resampling.NEAREST)
        sheet.paste(enlarged, (0, header + row * (height + margin)))
    return sheet


# --- a run ---


def evaluate_run(
    folder: Path | str,
    train: Dataset,
    test: Dataset,
    pictures: int = 12,
    device: torch.device | str | None = None,
) -> dict[str, dict[str, float]]:
    """Test the generator in a run's folder beside the baselines, and write down the results.

    Args:
        folder: the run's, with its generator.safetensors, and best.safetensors if it used
            validation photos; gets metrics.json and triptychs/, one PNG per photo and sheet.png.
        train: the photos it was trained on, to fit the baselines.
        test: photos it never saw.
        pictures: how many of them get a triptych.
        device: see `choose_device`.

    Returns:
        name -> row, as `compare` returns them.
    """
    folder, device = Path(folder), choose_device(device)
    generator = load_generator(folder / "generator.safetensors", device)
    everyone = {"generator": generator}
    if (folder / "best.safetensors").exists():
        everyone["best on validation"] = load_generator(folder / "best.safetensors", device)
    rows = compare(everyone, test, train)
    names = getattr(test, "names", [""] * len(test))
    made = triptychs(generator, test, pictures)
    remove(folder, TRIPTYCHS)
    for index, picture in enumerate(made):
        name = f"{index:03d}_{Path(names[index]).stem}".rstrip("_")
        write_picture(folder / "triptychs" / f"{name}.png", picture)
    write_picture(folder / "triptychs" / "sheet.png", triptych_sheet(made))
    write_json(folder / "metrics.json", {"rows": rows})
    return rows


COLUMNS = {
    "psnr_ab": "PSNR ab ↑",
    "psnr_rgb": "PSNR RGB ↑",
    "ssim": "SSIM ↑",
    "ciede2000": "CIEDE2000 ↓",
    "lpips": "LPIPS ↓",
    "colorfulness": "colorfulness",
    "committed": "committed ↑",
}


def results_table(rows: dict[str, dict[str, float]], style: str = "simple") -> str:
    """Rows of metrics as a table to print; the last row has the real photos' colorfulness.

    Args:
        rows: name -> row, as `compare` returns them.
        style: a table format of tabulate, such as "simple", "github" or "html".
    """
    names = [name for name in COLUMNS if any(name in row for row in rows.values())]
    real = {"colorfulness": next(iter(rows.values()))["colorfulness_real"]}
    lines = [
        [label, *(row.get(name) for name in names)] for label, row in {**rows, "real": real}.items()
    ]
    headers = ["", *(COLUMNS[name] for name in names)]
    return tabulate(lines, headers, tablefmt=style, floatfmt=".2f", missingval="")
