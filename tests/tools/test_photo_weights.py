"""The weights for photos: the split, a training that goes on, choices, and what is shipped."""

import json
import shutil
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from skimage import data

from colorlib.color import rgb_to_L_ab
from colorlib.generator import Lite0Encoder, PretrainedUNet, UNet
from colorlib.metrics import gray_baseline
from colorlib.photos import DecodedPhotos
from colorlib.runs import load_generator, read_card
from tools import on_gpu, photo_adversary, photo_data, photo_measure, photo_training, photo_weights
from tools.photo_adversary import PhotoAdversary, RareColors
from tools.photo_data import SOURCES, Mixture, decode, random_square, split_photos, thumbnails
from tools.photo_measure import Look, guided_enlargement, mean_row, measure, paint
from tools.photo_training import Stage1, Stage1Run, load_imagenet
from tools.photo_weights import L1, LOOKUP, SHIPPED, PhotoWeights, results_table, with_louder_end

SMALL_SOURCES = tuple(
    source._replace(size=32, batch=2, stored=40) for source in SOURCES
)  # the same folders


def pieces(folder, name, count):
    """Little photos, cut from a large one."""
    folder.mkdir(parents=True)
    for index in range(count):
        top, left = divmod(index, 6)
        piece = getattr(data, name)()[40 * top :, 44 * left :][:48, :64]
        Image.fromarray(piece).save(folder / f"{index:02}.jpg", quality=95)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """The four folders, 12 photos each; 2 of each of the first two are for the test."""
    root = tmp_path_factory.mktemp("photos")
    for folder, name in zip(
        ("natural", "caltech101", "landscapes", "tiny-imagenet"),
        ("chelsea", "coffee", "astronaut", "rocket"),
        strict=True,
    ):
        pieces(root / folder, name, 12)
    with Image.open(root / "natural" / "03.jpg") as cat:
        ImageOps.mirror(cat).save(root / "landscapes" / "mirrored.jpg", quality=95)
    tests = ["natural/03.jpg", "natural/07.jpg", "caltech101/01.jpg", "caltech101/09.jpg"]
    (root / "split.txt").write_text("".join(f"test {name}\n" for name in tests))
    return root


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory):
    """Random numbers in place of the published weights."""
    path = tmp_path_factory.mktemp("imagenet") / "lite0.pth"
    torch.manual_seed(0)
    torch.save(Lite0Encoder().state_dict(), path)
    return path


@pytest.fixture(scope="module", autouse=True)
def small():
    """Few validation photos, small squares, no LPIPS network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(photo_data, "VALIDATION", 3)
        for module in (photo_data, photo_weights, on_gpu):
            patch.setattr(module, "SOURCES", SMALL_SOURCES)
        patch.setattr(photo_weights, "VALIDATION_SIZE", 32)
        patch.setattr(photo_weights, "SIZES", (32, 64))
        patch.setattr(photo_weights, "FACTORS", (1.0, 1.5))
        patch.setattr(photo_measure, "lpips", lambda predicted, real: torch.full((1,), 0.2))
        patch.setattr(photo_weights, "export_onnx", lambda network, path: path.touch())
        patch.setattr(Mixture.__init__, "__defaults__", (SMALL_SOURCES,))
        yield


@pytest.fixture(scope="module")
def made(photos, imagenet, tmp_path_factory):
    """The whole command, twice; the second time, nothing may be done again."""
    out = tmp_path_factory.mktemp("out")
    (out / "results.md").write_text("<!-- photos -->\n<!-- /photos -->\n", "utf-8")
    made = PhotoWeights(
        photos,
        imagenet,
        steps=3,
        runs=out / "runs",
        split=photos / "split.txt",
        results=out,
        weights=out / "photos.safetensors",
        page=out / "results.md",
    )
    made.run()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("measure", "split_photos", "decode_all"):
            patch.setattr(photo_weights, name, None)
        made.run()
    return made


def test_no_photo_serves_two_purposes_and_near_copies_are_not_trained_on(photos):
    split = split_photos(photos, photos / "split.txt")
    assert len(split.test) == 4 and len(split.validation) == 3
    everyone = [name for names in split.training for name in names]
    assert len(everyone) + len(split.twins) == 49 - 4 - 3
    assert "landscapes/mirrored.jpg" in split.twins
    assert not {*everyone} & {*split.test, *split.validation, *split.twins}
    assert split_photos(photos, photos / "split.txt") == split


def test_a_missing_test_photo_is_named(photos, tmp_path):
    (tmp_path / "split.txt").write_text("test natural/99.jpg\n")
    with pytest.raises(FileNotFoundError, match="1 test photos are not in .*natural/99.jpg"):
        split_photos(photos, tmp_path / "split.txt")


def test_a_thumbnail_knows_a_brighter_copy():
    cat = torch.from_numpy(data.chelsea()[:256, :256].copy()).permute(2, 0, 1)[None]
    cup = torch.from_numpy(data.coffee()[:256, :256].copy()).permute(2, 0, 1)[None]
    known = thumbnails(torch.cat([cat, (1.05 * cat).clamp(max=255).byte(), cup]))
    likeness = known @ known.T
    assert likeness[0, 1] > photo_data.TWINS > likeness[0, 2]


@pytest.mark.parametrize("shape, longer", [((300, 451, 3), 90), ((600, 100, 3), 120)])
def test_a_decoded_photo_has_the_shorter_side_asked_for(tmp_path, shape, longer):
    Image.fromarray(np.zeros(shape, np.uint8)).save(tmp_path / "a.jpg")
    assert sorted(decode(tmp_path / "a.jpg", 60).shape[1:]) == [60, longer]
    assert decode(tmp_path / "a.jpg").shape == (3, *shape[:2])


def test_a_random_square_keeps_colors_and_is_mirrored_half_the_time():
    photo = torch.zeros(3, 60, 90, dtype=torch.uint8)
    photo[0] = torch.arange(90) * 2  # redder to the right
    random = torch.Generator().manual_seed(0)
    shown = [random_square(photo, SOURCES[0], random).float() for _ in range(40)]
    assert {square.shape for square in shown} == {(3, 128, 128)}
    is_mirrored = [bool(square[0, 0, 0] > square[0, 0, -1]) for square in shown]
    assert 8 < sum(is_mirrored) < 32
    spans = [float(square[0].max() - square[0].min()) for square in shown]
    assert 70 < min(spans) < 95 < max(spans) <= 120  # from 2/3 of the shorter side to all of it


def test_a_batch_depends_only_on_seed_and_step():
    photos = [list(torch.randint(256, (5, 3, 40, 50), dtype=torch.uint8)) for _ in SMALL_SOURCES]
    one, other = Mixture(photos, 1), Mixture(photos, 2)
    stream = one.stream(4, workers=3)
    for step in range(4, 9):
        batch = next(stream)
        assert batch.shape == (2, 3, 32, 32)
        assert torch.equal(batch, one.batch(step))
        assert not torch.equal(batch, other.batch(step))
    stream.close()


def train(folder, imagenet, steps, **options):
    photos = [list(torch.randint(256, (5, 3, 40, 50), dtype=torch.uint8)) for _ in SMALL_SOURCES]
    validation = DecodedPhotos(torch.stack([p[:, :32, :32] for p in photos[0]]), list("abcde"), [])
    run = Stage1Run(Stage1(steps=steps, looks=1, **options), imagenet, folder)
    run.train(Mixture(photos, 0), validation)
    return run


def test_a_stopped_run_ends_with_the_weights_of_one_that_never_stopped(imagenet, tmp_path):
    torch.manual_seed(3)
    photos = [list(torch.randint(256, (5, 3, 40, 50), dtype=torch.uint8)) for _ in SMALL_SOURCES]
    validation = DecodedPhotos(photos[0][0][None, :, :32, :32], ["a"], [])

    class Stopped(Exception):  # noqa: N818
        pass

    class StopsAt(Mixture):
        def batch(self, step):
            if step == 2:
                raise Stopped
            return super().batch(step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(photo_training, "SAVE_EVERY", 0)
        config = Stage1(steps=3, held=0.5, looks=1)
        whole = Stage1Run(config, imagenet, tmp_path / "whole")
        whole.train(Mixture(photos, 0), validation)
        with pytest.raises(Stopped):
            Stage1Run(config, imagenet, tmp_path / "cut").train(StopsAt(photos, 0), validation)
        resumed = Stage1Run(config, imagenet, tmp_path / "cut")
        assert 0 < resumed.step < 3
        resumed.train(Mixture(photos, 0), validation)
    for name, value in whole.average.state_dict().items():
        assert torch.equal(value, resumed.average.state_dict()[name]), name
    assert [row["step"] for row in resumed.looks] == [row["step"] for row in whole.looks]


def test_another_networks_weights_are_refused():
    with pytest.raises(ValueError, match="not the weights of EfficientNet-Lite0: stem"):
        load_imagenet(Lite0Encoder(), UNet(4).state_dict())


def test_first_only_the_decoder_learns_then_the_deep_stages_of_the_encoder_too(imagenet, tmp_path):
    before = Lite0Encoder()
    load_imagenet(before, torch.load(imagenet, weights_only=True))
    before = before.state_dict()
    held = train(tmp_path / "held", imagenet, steps=2, held=1.0)
    for name, value in held.network.encoder.state_dict().items():
        assert torch.equal(value, before[name]), name
    released = train(tmp_path / "released", imagenet, steps=2, held=0.0, released_from=3)
    moved = {n for n, v in released.network.encoder.state_dict().items() if (v != before[n]).any()}
    assert {name.split(".")[1] for name in moved} == set("3456")


def test_the_average_follows_slowly_and_the_rate_falls_to_zero(imagenet, tmp_path):
    run = train(tmp_path, imagenet, steps=3, average=0.9)
    assert run.optimizer.param_groups[0]["lr"] < run.config.learning_rate / 2
    assert not torch.equal(run.average.last.weight, run.network.last.weight)
    log = json.loads((tmp_path / "log.json").read_text("utf-8"))
    assert log["step"] == 3 and log["looks"][-1]["step"] == 3 and log["cpu_seconds"] > 0


def test_a_painted_photo_has_its_own_size_and_k_makes_it_more_colorful():
    torch.manual_seed(0)
    network, L = PretrainedUNet().eval(), torch.rand(1, 1, 50, 83)
    with torch.no_grad():
        plain = paint(network, L, Look(32))
        assert plain.shape == (1, 2, 50, 83)
        louder = paint(network, L, Look(32), k=2.0)
        torch.testing.assert_close(
            louder, paint(with_louder_end(network, 2.0), L, Look(32)), atol=0.02, rtol=0
        )
        mirrored = paint(network, L, Look(32, is_mirrored=True))
        again = paint(network, L.flip(-1), Look(32, is_mirrored=True)).flip(-1)
    torch.testing.assert_close(mirrored, again, atol=1e-4, rtol=0)


def test_guided_chroma_stops_at_an_edge_of_lightness():
    L = torch.zeros(1, 1, 64, 64)
    L[..., 30:] = 0.8  # no multiple of 4: the edge falls inside a pixel of the copy
    small = torch.nn.functional.interpolate(L, (16, 16), mode="bilinear", antialias=True)
    ab = small.expand(-1, 2, -1, -1) / 2
    sharp = guided_enlargement(L, small, ab, radius=2, softness=1e-5)
    assert (sharp - L / 2).abs().max() < 0.01
    soft = torch.nn.functional.interpolate(ab, (64, 64), mode="bilinear")
    assert (soft - L / 2).abs().max() > 0.1


def test_what_is_measured_at_full_size_is_what_the_metrics_say(photos):
    path = photos / "natural" / "00.jpg"
    values = measure(gray_baseline, [path, path])
    _, ab = rgb_to_L_ab(torch.from_numpy(decode(path))[None])
    expected = (10 * torch.log10(4 / ab.square().mean())).item()
    assert values["psnr_ab"] == pytest.approx([expected] * 2)
    assert values["colorfulness"] == pytest.approx([0, 0], abs=0.1)


def test_an_interval_is_that_of_the_mean():
    row = mean_row({"ciede2000": [1.0, 2.0, 4.0]})
    assert row["photos"] == 3 and row["ciede2000"] == pytest.approx(7 / 3, abs=1e-4)
    half = 1.96 * np.std([1, 2, 4], ddof=1) / 3**0.5
    assert row["ciede2000_interval"] == pytest.approx(half, abs=1e-4)


def test_the_results_say_what_was_trained_chosen_and_measured(made):
    results = json.loads((made.results / "photo_weights.json").read_text("utf-8"))
    assert results["photos"]["test"] == 4 and results["training"]["step"] == 3
    assert list(results["sets"]) == ["all", "natural", "caltech101"]
    rows = results["sets"]["natural"]
    names = ["gray", "mean color", LOOKUP, L1, SHIPPED, f"{SHIPPED} − {LOOKUP}"]
    assert list(rows) == names and rows[L1]["photos"] == 2
    difference = rows[SHIPPED]["psnr_ab"] - rows[LOOKUP]["psnr_ab"]
    assert rows[names[-1]]["psnr_ab"] == pytest.approx(difference, abs=2e-4)
    page = made.page.read_text("utf-8")
    assert page.count(results_table(results["sets"]["all"])) == 1
    assert page.count("<details>") == page.count("</details>") == 2
    tried = results["choice"]["validation"]
    assert {LOOKUP, "32 pixels", "64 pixels", "as chosen"} <= tried.keys()
    assert any(name.endswith("pixels, k = 1.00") for name in tried)
    with Image.open(made.results / "photo_weights.png") as picture:
        assert picture.height == 4 * 164  # gray, L1, shipped, real


def test_what_is_shipped_is_the_trained_network_in_half_precision_made_louder(made):
    results = json.loads((made.results / "photo_weights.json").read_text("utf-8"))
    trained = Stage1Run(Stage1(steps=3), made.imagenet, made.runs / "stage1").average
    expected = with_louder_end(trained, results["choice"]["k"]).state_dict()
    shipped = load_generator(made.weights)
    for name, value in shipped.state_dict().items():
        assert value.dtype == expected[name].dtype  # loaded as float32
        torch.testing.assert_close(value, expected[name], atol=1e-3, rtol=1e-3, msg=name)
    assert made.weights.stat().st_size < 8e6
    card = json.loads(made.weights.with_suffix(".json").read_text("utf-8"))
    assert card.items() <= read_card(made.weights).items()
    assert "3 steps" in card["budget"] and "on 4 test photos" in card["metrics"]


def test_the_gpu_command_runs_on_a_cpu_from_its_pack_alone(photos, imagenet, tmp_path, monkeypatch):
    split = partial(split_photos, photos, photos / "split.txt")
    monkeypatch.setattr(on_gpu, "split_photos", lambda *_: split())
    on_gpu.pack(photos, imagenet, tmp_path / "gpu.zip", megabytes=30)
    assert (tmp_path / "gpu.zip").stat().st_size < 30e6
    with pytest.raises(SystemExit, match="hold no photo to train on: give more"):
        on_gpu.pack(photos, imagenet, tmp_path / "small.zip", megabytes=0.001)
    assert not (tmp_path / "small.zip").exists()
    sources = on_gpu.gpu_sources(size=32, scale=1)
    on_gpu.run_training(tmp_path, tmp_path / "gpu.zip", seconds=1.0, sources=sources)
    written = json.loads((tmp_path / "photos.json").read_text("utf-8"))
    assert written["photos"] == [len(names) for names in split().training]
    assert written["steps"] >= 1 and written["validation"]
    assert load_generator(tmp_path / "photos.safetensors").config == PretrainedUNet().config
    assert (tmp_path / "samples.png").stat().st_size > 0


def test_every_variant_of_the_second_stage_is_trained_measured_and_not_repeated(made, tmp_path):
    shutil.copy(made.results / "photo_weights.json", tmp_path)  # says how the network looks
    work = PhotoAdversary(
        made.photos, made.imagenet, steps=2, seeds=(0,), runs=made.runs, results=tmp_path
    )
    work.page = tmp_path / "page.md"
    work.page.write_text("# Page\n\n<!-- photo-adversary -->\n<!-- /photo-adversary -->\n", "utf-8")
    work.run()
    assert "| colorfulness" in work.page.read_text("utf-8")
    rows = json.loads((tmp_path / "photo_adversary.json").read_text("utf-8"))["runs"]
    names = ["L1", "Huber", "rare colors", "colorfulness", "GAN", "L1, longer"]
    assert [row["variant"] for row in rows] == names
    for row in rows:
        assert row["row"]["photos"] == row["stage 1 × k"]["photos"] == 3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(photo_adversary, "train_step", None)
        work.run()
    assert json.loads((tmp_path / "photo_adversary.json").read_text("utf-8"))["runs"] == rows


def test_rare_colors_weigh_more_and_all_weigh_one_on_average():
    class Mostly:  # three gray pictures for each red one
        def batch(self, step):
            rgb = torch.full((4, 3, 8, 8), 128, dtype=torch.uint8)
            rgb[3] = torch.tensor([200, 30, 30], dtype=torch.uint8)[:, None, None]
            return rgb

    loss = RareColors(Mostly(), batches=2)
    L, ab = rgb_to_L_ab(Mostly().batch(0))
    gray, red = (loss(L[i : i + 1], ab[i : i + 1], ab[i : i + 1] + 0.1) for i in (0, 3))
    assert red > 2 * gray
    assert (3 * gray + red) / 4 == pytest.approx(0.1, rel=1e-4)
