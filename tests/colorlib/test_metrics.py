import json
import math
import warnings

import numpy as np
import pytest
import torch
from skimage import color, data
from torch import nn
from torch.utils.data import Subset

from colorlib import metrics as module
from colorlib.color import L_ab_to_rgb, lab_to_rgb, rgb_to_L_ab, rgb_to_lab
from colorlib.generator import StridedUNet
from colorlib.metrics import (
    baselines,
    ciede2000,
    colorfulness,
    committed,
    compare,
    evaluate,
    evaluate_photos,
    evaluate_run,
    gray_baseline,
    lookup_by_L,
    mean_color,
    psnr_ab,
    psnr_rgb,
    results_table,
    ssim,
    triptych,
    triptych_sheet,
    triptychs,
)
from colorlib.runs import save_generator
from colorlib.scenes import BALLOON_BLUE_AB, BALLOON_RED_AB, LABELS, SceneDataset

# Sharma, Wu and Dalal 2005, table 1: Lab, Lab, ΔE00; near blue, across the hue wrap, far apart,
# near gray, and very dark.
SHARMA = [
    ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
    ((50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
    ((50, 2.5, 0), (73, 25, -18), 27.1492),
    ((50, 2.5, 0), (58, 24, 15), 19.4535),
    ((63.0109, -31.0961, -5.8663), (62.8187, -29.7946, -4.0864), 1.2630),
    ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
    ((90.8027, -2.0831, 1.4410), (91.1528, -1.6435, 0.0447), 1.4441),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]


@pytest.fixture(scope="module")
def scenes():
    """Scenes of which several have a balloon: more than one batch, and the last one short."""
    return SceneDataset(count=11, size=32, seed=3)


class Truth:
    """A colorizer that knows the answers, photo after photo."""

    def __init__(self, dataset):
        self.ab = rgb_to_L_ab(dataset.rgb)[1]
        self.start = 0

    def __call__(self, L):
        self.start += len(L)
        return self.ab[self.start - len(L) : self.start]


def flat(*channels, size=16):
    """A float picture of one color, as a batch of one."""
    return torch.tensor(channels).float()[None, :, None, None].expand(-1, -1, size, size)


# --- metrics ---


def test_psnr_of_a_constant_offset():
    real = torch.full((2, 3, 16, 16), 0.5)
    offset = torch.tensor([0.1, 0.01])[:, None, None, None]
    torch.testing.assert_close(psnr_rgb(real + offset, real), torch.tensor([20.0, 40.0]))
    ab = torch.zeros(1, 2, 16, 16)
    assert psnr_ab(ab + 0.2, ab).item() == pytest.approx(20)  # peak 2: 10 log10(4 / 0.04)
    bytes_ = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    assert psnr_rgb(bytes_ + 51, bytes_).item() == pytest.approx(20 * math.log10(5), abs=1e-5)


def test_equal_pictures(scenes):
    rgb = scenes.rgb
    assert psnr_rgb(rgb, rgb).isposinf().all()
    torch.testing.assert_close(ssim(rgb, rgb), torch.ones(11))
    assert ciede2000(rgb, rgb).eq(0).all()


def test_ssim_of_flat_pictures_is_its_first_factor():
    expected = (2 * 0.5 * 0.25 + 1e-4) / (0.5**2 + 0.25**2 + 1e-4)
    value = ssim(flat(0.5, 0.5, 0.5), flat(0.25, 0.25, 0.25))
    assert value.item() == pytest.approx(expected, abs=1e-5)


def test_ssim_of_a_single_window_is_the_published_formula():
    """On 11×11 pixels one window fits, and the whole metric is Wang's equation 13."""
    x, y = torch.rand(2, 1, 3, 11, 11, generator=torch.Generator().manual_seed(0)).double()
    bell = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    weights = torch.from_numpy(np.outer(bell, bell) / bell.sum() ** 2)

    def mean(values):
        return (weights * values).sum(dim=(2, 3))

    spread_x, spread_y = mean(x**2) - mean(x) ** 2, mean(y**2) - mean(y) ** 2
    covariance = mean(x * y) - mean(x) * mean(y)
    c1, c2 = 0.01**2, 0.03**2
    expected = (2 * mean(x) * mean(y) + c1) * (2 * covariance + c2)
    expected /= (mean(x) ** 2 + mean(y) ** 2 + c1) * (spread_x + spread_y + c2)
    assert ssim(x, y).item() == pytest.approx(expected.mean().item(), abs=1e-6)


@pytest.mark.parametrize(("one", "other", "difference"), SHARMA)
def test_ciede2000_of_published_pairs(one, other, difference):
    """Some lie outside sRGB; unclipped float64 carries them through RGB all the same."""
    pair = torch.tensor([one, other], dtype=torch.float64)[:, None, :, None, None]
    predicted, real = lab_to_rgb(pair, clip=False)
    assert ciede2000(predicted, real).item() == pytest.approx(difference, abs=1e-4)


def test_ciede2000_is_the_mean_over_pixels():
    black, white = flat(0, 0, 0, size=4), flat(1, 1, 1, size=4)
    half = torch.cat([black[..., :2], white[..., :2]], dim=-1)
    assert ciede2000(half, black).item() == pytest.approx(50, abs=1e-3)


def test_colorfulness_by_hand():
    assert colorfulness(flat(0.3, 0.3, 0.3)).item() == pytest.approx(0, abs=1e-4)
    chroma = math.hypot(255, 127.5)  # of pure red: rg = 255, yb = 127.5
    assert colorfulness(flat(1, 0, 0)).item() == pytest.approx(0.3 * chroma, rel=1e-5)
    half = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    half[:, 0, :4] = 255  # half red, half black: mean and deviation are both half of that
    assert colorfulness(half).item() == pytest.approx(1.3 * chroma / 2, rel=1e-5)


def test_metrics_give_one_value_a_photo(scenes):
    real, predicted = scenes.rgb[:3], scenes.rgb[3:6]
    for metric in (psnr_rgb, ssim, ciede2000):
        values = metric(predicted, real)
        alone = [metric(predicted[i : i + 1], real[i : i + 1]).item() for i in range(3)]
        assert values.tolist() == pytest.approx(alone, rel=1e-5)
        assert values.dtype == torch.float32
    assert colorfulness(real).shape == (3,)


def test_bytes_and_floats_measure_the_same(scenes):
    real, predicted = scenes.rgb[:3], scenes.rgb[3:6]
    for metric in (psnr_rgb, ssim, ciede2000):
        of_floats = metric(predicted.float() / 255, real)
        torch.testing.assert_close(metric(predicted, real), of_floats, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("metric", [psnr_rgb, psnr_ab, ssim, ciede2000])
def test_metrics_refuse_other_shapes(metric):
    with pytest.raises(ValueError, match=r"one shape, got \(2, 3, 8, 8\) and \(1, 3, 8, 8\)"):
        metric(torch.zeros(2, 3, 8, 8), torch.zeros(1, 3, 8, 8))
    with pytest.raises(ValueError, match="two batches"):
        metric(torch.zeros(3, 8, 8), torch.zeros(3, 8, 8))


# --- committed ---


def painted(scenes, ab):
    """The scenes with every balloon in one paint."""
    lab = rgb_to_lab(scenes.rgb)
    is_balloon = (scenes.labels == LABELS.index("balloon"))[:, None]
    paint = torch.tensor(ab)[None, :, None, None]
    return lab_to_rgb(torch.cat([lab[:, :1], torch.where(is_balloon, paint, lab[:, 1:])], dim=1))


def test_the_truth_is_committed_and_a_hedge_is_not(scenes):
    mauve = [(red + blue) / 2 for red, blue in zip(BALLOON_RED_AB, BALLOON_BLUE_AB)]
    assert committed(scenes.rgb, scenes.labels) == 1
    assert committed(painted(scenes, BALLOON_RED_AB), scenes.labels) == 1
    assert committed(painted(scenes, BALLOON_BLUE_AB), scenes.labels) == 1
    assert committed(painted(scenes, (0.0, 0.0)), scenes.labels) == 0
    assert committed(painted(scenes, mauve), scenes.labels) == 0


def test_committed_is_a_share_of_pixels_not_of_photos():
    labels = torch.zeros(2, 8, 8)
    labels[0, 0, :3] = labels[1, 0, :1] = LABELS.index("balloon")
    red = lab_to_rgb(torch.tensor([50.0, *BALLOON_RED_AB])[None, :, None, None].repeat(2, 1, 8, 8))
    red[1] = 0.5
    assert committed(red, labels) == 0.75


def test_committed_reaches_as_far_as_25():
    label = torch.tensor([[[LABELS.index("balloon")]]])
    a, b = BALLOON_RED_AB
    for distance, expected in ((24, 1), (26, 0)):
        lab = torch.tensor([50, a - distance, b])[None, :, None, None]
        assert committed(lab_to_rgb(lab), label) == expected


def test_committed_needs_balloons_and_their_label_maps():
    rgb = torch.zeros(2, 3, 8, 8)
    assert math.isnan(committed(rgb, torch.full((2, 8, 8), LABELS.index("sky"))))
    with pytest.raises(RuntimeError, match=r"\[2, 8, 8\]"):
        committed(rgb, torch.zeros(1, 8, 8))


# --- baselines ---


def test_gray_is_zero():
    assert torch.equal(gray_baseline(torch.rand(3, 1, 4, 5)), torch.zeros(3, 2, 4, 5))


def test_mean_color_is_the_mean(scenes):
    _, ab = rgb_to_L_ab(scenes.rgb)
    predicted = mean_color(scenes)(torch.rand(3, 1, 4, 5))
    expected = ab.mean(dim=(0, 2, 3))[None, :, None, None].expand(3, -1, 4, 5)
    torch.testing.assert_close(predicted, expected)


def test_lookup_is_the_mean_by_lightness(scenes):
    L, ab = (part.movedim(1, -1).numpy() for part in rgb_to_L_ab(scenes.rgb))
    step = np.floor(L[..., 0] * 100).astype(int)
    lookup = lookup_by_L(scenes)
    for value in np.unique(step)[::10]:
        query = torch.full((1, 1, 1, 1), (value + 0.5) / 100)
        expected = ab[step == value].mean(axis=0)
        np.testing.assert_allclose(lookup(query).flatten().numpy(), expected, atol=1e-5)


def test_lookup_fills_empty_steps_with_the_nearest():
    lightness = torch.tensor([25.0, 75.0])
    chroma = torch.tensor([[10.0, 20.0], [-30.0, 5.0]])
    lab = torch.cat([lightness[:, None], chroma], dim=1)[:, :, None, None].expand(-1, -1, 8, 8)
    lookup = lookup_by_L(lab_to_rgb(lab), bins=64)  # a plain tensor is a data set, too
    L = torch.tensor([[0.0, 0.4, 0.6, 1.0]])[None, None]  # (1, 1, 1, 4)
    expected = chroma[[0, 0, 1, 1]].T[None, :, None] / 110
    torch.testing.assert_close(lookup(L), expected, rtol=0, atol=1e-5)


def test_baselines_beat_each_other_in_order_on_their_training_data(scenes):
    rows = compare({}, scenes, train=scenes)
    assert list(rows) == ["gray", "mean color", "lookup by L"]
    gray, mean, lookup = (row["psnr_ab"] for row in rows.values())
    assert gray < mean < lookup


# --- evaluate ---


def test_the_truth_scores_best(scenes):
    row = evaluate(Truth(scenes), scenes, batch=4)
    assert row["psnr_ab"] == math.inf
    assert row["psnr_rgb"] > 80 and row["ciede2000"] < 0.01
    assert row["ssim"] == pytest.approx(1, abs=1e-4)
    assert row["colorfulness"] == pytest.approx(row["colorfulness_real"], rel=1e-3)
    assert row["committed"] == 1 and row["photos"] == 11


def test_gray_scores_as_expected(scenes):
    row = evaluate(gray_baseline, scenes)
    _, ab = rgb_to_L_ab(scenes.rgb)
    expected = (10 * torch.log10(4 / ab.square().mean(dim=(1, 2, 3)))).mean()
    assert row["psnr_ab"] == pytest.approx(expected.item(), rel=1e-5)
    assert row["colorfulness"] < 0.1 < 20 < row["colorfulness_real"]
    assert row["committed"] == 0
    assert list(row) == [
        "colorfulness", "colorfulness_real", "psnr_ab", "psnr_rgb", "ssim", "ciede2000",
        "committed", "photos",
    ]  # fmt: skip


def test_a_row_is_the_mean_over_photos_at_any_batch_size(scenes):
    colorizer = lookup_by_L(scenes)
    row, values = evaluate(colorizer, scenes, batch=32), evaluate_photos(colorizer, scenes, batch=4)
    assert all(value.shape == (11,) for value in values.values())
    for name in ("psnr_ab", "psnr_rgb", "ssim", "ciede2000", "colorfulness"):
        assert values[name].mean().item() == pytest.approx(row[name], rel=1e-5)


def test_committed_of_a_row_is_that_of_all_pictures_at_once(scenes):
    def half_red(L):
        ab = torch.zeros(len(L), 2, *L.shape[2:])
        ab[..., ::2] = torch.tensor(BALLOON_RED_AB)[:, None, None] / 110
        return ab

    L, _ = rgb_to_L_ab(scenes.rgb)
    expected = committed(L_ab_to_rgb(L, half_red(L)), scenes.labels)
    assert 0.3 < expected < 0.7
    row = evaluate(half_red, scenes, batch=3)
    assert row["committed"] == pytest.approx(expected, rel=1e-6)
    by_photo = evaluate_photos(half_red, scenes)
    assert by_photo["balloon_pixels"].tolist() == (
        (scenes.labels == LABELS.index("balloon")).sum(dim=(1, 2)).tolist()
    )


def test_label_maps_come_with_the_data_set(scenes):
    without = evaluate(gray_baseline, list(scenes.rgb))  # no `rgb`, no `labels`
    row = evaluate(gray_baseline, scenes)
    assert without == pytest.approx({k: v for k, v in row.items() if k != "committed"})


def test_without_a_balloon_committed_is_nan(scenes):
    class Bare(Subset):
        labels = torch.zeros(11, 32, 32)

    assert math.isnan(evaluate(gray_baseline, Bare(scenes, range(11)))["committed"])


def test_the_quick_measure_is_the_distance_in_the_ab_plane(scenes):
    colorizer = lookup_by_L(scenes)
    L, real_ab = rgb_to_L_ab(scenes.rgb)
    lab = [torch.cat([100 * L, 110 * ab], dim=1) for ab in (colorizer(L), real_ab)]
    delta_e = color.deltaE_cie76(*(part.numpy() for part in lab), channel_axis=1)
    row, exact = evaluate(colorizer, scenes, is_quick=True), evaluate(colorizer, scenes)
    assert row["delta_e"] == pytest.approx(delta_e.mean(), rel=1e-4)
    for name in ("colorfulness", "colorfulness_real"):
        assert row[name] == pytest.approx(exact[name], rel=1e-4)
    assert "ssim" not in row


def test_class_labels_are_no_label_maps(scenes):
    class Classified(Subset):
        labels = np.arange(11)

    assert "committed" not in evaluate(gray_baseline, Classified(scenes, range(11)))


def test_no_photos_is_an_error():
    with pytest.raises(ValueError, match="at least one photo"):
        evaluate(gray_baseline, [])


class Network(nn.Module):
    """A part that differs in train mode, and one that is frozen in eval mode."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(1, 2, 1)
        self.norm = nn.BatchNorm2d(2)
        self.frozen = nn.BatchNorm2d(2).eval()

    def forward(self, L):
        assert not self.training and not torch.is_grad_enabled()
        return torch.tanh(self.frozen(self.norm(self.convolution(L))))


def test_a_network_is_left_as_it_was(scenes, tmp_path):
    network = Network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    evaluate(network, scenes)
    triptychs(network, scenes, count=1)
    assert network.training and network.norm.training and not network.frozen.training
    assert torch.is_grad_enabled()
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
    with pytest.raises(RuntimeError):
        evaluate(network, [torch.zeros(3, 16, 16), torch.zeros(3, 8, 8)])
    assert network.training


def test_compare_puts_the_baselines_first(scenes):
    network = Network()
    assert list(compare({"net": network}, scenes)) == ["gray", "net"]
    rows = compare({"net": network}, scenes, train=scenes, batch=4)
    assert list(rows) == ["gray", "mean color", "lookup by L", "net"]
    assert rows["net"] == pytest.approx(evaluate(network, scenes))
    assert set(baselines(scenes)) == set(rows) - {"net"}


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_a_gpu_measures_the_same(scenes, tmp_path):
    network, colorizers = Network(), baselines(scenes)
    on_cpu = evaluate(network, scenes)
    assert evaluate(network.cuda(), scenes) == pytest.approx(on_cpu, rel=1e-3)
    triptychs(network, scenes, count=1)
    for baseline in colorizers.values():
        L = torch.rand(2, 1, 8, 8)
        torch.testing.assert_close(baseline(L.cuda()).cpu(), baseline(L))


# --- pictures ---


def test_triptych_shows_gray_as_the_network_sees_it():
    rgb = torch.tensor([255, 0, 0], dtype=torch.uint8)[:, None, None].expand(3, 64, 64)
    L, ab = rgb_to_L_ab(rgb)
    picture = np.asarray(triptych(L, ab, -ab))
    assert picture.shape == (64, 3 * 64 + 2 * 2, 3) and picture.dtype == np.uint8
    gray = color.lab2rgb([color.rgb2lab([1.0, 0, 0])[0], 0, 0])  # not PIL's luma, which is 76
    np.testing.assert_allclose(picture[:, :64], np.broadcast_to(255 * gray, (64, 64, 3)), atol=1)
    assert (picture[:, 64:66] == 255).all() and (picture[:, 130:132] == 255).all()
    assert (picture[:, 66:130] == [255, 0, 0]).all()
    assert (picture[:, 132:, 2] > picture[:, 132:, 0]).all()  # minus red is bluish green


def test_triptych_shows_the_real_photo_byte_for_byte():
    photo = data.astronaut()[:128, :128]
    L, ab = rgb_to_L_ab(torch.from_numpy(photo).movedim(-1, 0))
    picture = np.asarray(triptych(L, ab, gray_baseline(L)))
    gap = 128 // 32
    np.testing.assert_array_equal(picture[:, 128 + gap : 256 + gap], photo)
    np.testing.assert_array_equal(picture[:, :128], picture[:, -128:])


def test_the_sheet_has_a_row_a_photo_and_names_its_columns(scenes):
    pictures = triptychs(gray_baseline, scenes, count=3)
    sheet = np.asarray(triptych_sheet(pictures))
    header, row, margin = 32, 128, 4  # 32 pixels are enlarged 4 times
    assert sheet.shape == (header + 3 * (row + margin), 4 * 100, 3)
    for index, picture in enumerate(pictures):
        top = header + index * (row + margin)
        np.testing.assert_array_equal(sheet[top : top + row : 4, ::4], np.asarray(picture))
    for third in np.array_split(sheet[:header], 3, axis=1):  # each column has its name
        assert third.min() < 60 and third[:, [0, -1]].min() == 255


def test_triptychs_of_a_tensor_are_those_of_the_data_set(scenes):
    for one, other in zip(
        triptychs(gray_baseline, scenes.rgb[:2]), triptychs(gray_baseline, scenes, 2), strict=True
    ):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


class Named(Subset):
    names = ("a/cat.png", "b/cat.v2.png")


@pytest.mark.parametrize("has_names", [True, False])
def test_a_run_is_evaluated_into_its_folder(scenes, tmp_path, has_names):
    save_generator(tmp_path / "generator.safetensors", StridedUNet(8))
    (tmp_path / "triptychs").mkdir()
    (tmp_path / "triptychs" / "999_stale.png").touch()
    (tmp_path / "triptychs" / "mine.png").touch()
    test = Named(scenes, [4, 2]) if has_names else Subset(scenes, [4, 2])
    rows = evaluate_run(tmp_path, scenes, test)
    assert list(rows) == ["gray", "mean color", "lookup by L", "generator"]
    assert json.loads((tmp_path / "metrics.json").read_text())["rows"] == rows
    names = ["000_cat.png", "001_cat.v2.png"] if has_names else ["000.png", "001.png"]
    found = sorted(p.name for p in (tmp_path / "triptychs").iterdir())
    assert found == [*names, "mine.png", "sheet.png"]


def test_a_run_is_evaluated_on_the_chosen_device(scenes, tmp_path, monkeypatch):
    devices, load = [], module.load_generator
    save_generator(tmp_path / "generator.safetensors", StridedUNet(8))
    monkeypatch.setattr(module, "choose_device", lambda name: torch.device(name or "meta"))
    monkeypatch.setattr(
        module, "load_generator", lambda path, device: devices.append(device.type) or load(path)
    )
    for device in (None, "cpu"):
        evaluate_run(tmp_path, scenes, Subset(scenes, [4, 2]), device=device)
    assert devices == ["meta", "cpu"]


def test_the_table_has_the_columns_that_were_measured_and_the_real_photos_last():
    rows = {
        "gray": {"psnr_ab": 18.0, "colorfulness": 0.0, "colorfulness_real": 90.0, "photos": 3},
        "net": {"psnr_ab": 27.123, "colorfulness": 85.0, "colorfulness_real": 90.0, "photos": 3},
    }
    lines = results_table(rows, "github").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["", "PSNR ab ↑", "colorfulness"]
    assert cells[2:] == [
        ["gray", "18.00", "0.00"],
        ["net", "27.12", "85.00"],
        ["real", "", "90.00"],
    ]


def test_nothing_warns(scenes):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compare({}, scenes, train=scenes)
