"""The ONNX export: the same numbers as torch at every size, in few bytes."""

import gzip
import importlib.util
from functools import partial

import numpy as np
import pytest
import torch
from skimage import data
from torch import nn

from colorlib.color import gray_from_lightness
from colorlib.generator import PretrainedUNet, StridedUNet
from colorlib.hints import Hinted, Spread
from colorlib.runs import WEIGHTS, load_generator, save_generator
from tools import ROOT, onnx_export
from tools.onnx_export import LARGE, export_onnx, round_mantissa
from tools.web_page import OUTPUTS, ForPage

pytestmark = pytest.mark.skipif(
    any(not importlib.util.find_spec(name) for name in ("onnx", "onnxscript")),
    reason="no onnx here: pip install '.[test]'",
)
NETWORKS = {
    "StridedUNet": partial(StridedUNet, width=16),
    "PretrainedUNet": partial(PretrainedUNet, widths=(8, 8, 8, 8)),
}


def photo(height, width):
    """Lightness of a real photo, (1, 1, height, width)."""
    astronaut = torch.from_numpy(data.astronaut().copy()).permute(2, 0, 1)[None]
    return gray_from_lightness(astronaut[..., 100 : 100 + height, 100 : 100 + width])


def trained(make):
    """A random network with batch statistics of a photo, so that it reacts to what it sees."""
    torch.manual_seed(0)
    network = make()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum, norm.training = 1.0, True
    with torch.no_grad():
        network(photo(128, 128))
    for norm in norms:
        norm.training = False
    return network.eval()


@pytest.fixture(scope="module", params=NETWORKS)
def network(request, tmp_path_factory):
    """A network as it is shipped: saved in half precision and loaded again."""
    path = tmp_path_factory.mktemp("weights") / "network.safetensors"
    save_generator(path, trained(NETWORKS[request.param]).half())
    return load_generator(path)


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "network.onnx"
    export_onnx(network, path)
    return path


def run(path, L):
    """All that the reference implementation of ONNX makes of a file."""
    from onnx.reference import ReferenceEvaluator

    return [*map(torch.from_numpy, ReferenceEvaluator(str(path)).run(None, {"L": L.numpy()}))]


def predict(path, L):
    """The ab of a file that has no other output."""
    [ab] = run(path, L)
    return ab


@pytest.mark.trust
def test_the_exported_network_predicts_the_same_at_other_sizes(network, exported):
    for rows, columns in ((1, 1), (2, 3), (3, 1)):
        L = photo(network.multiple * rows, network.multiple * columns)
        expected = network(L)
        assert expected.std() > 0.01, "a network that answers"
        assert (predict(exported, L) - expected).abs().max() < 1e-4


@pytest.mark.trust
def test_a_network_that_takes_hints_keeps_all_its_outputs_at_other_sizes(network, tmp_path):
    torch.manual_seed(0)
    hinted = Hinted(network, Spread(network.last.in_channels, width=8, depth=2)).eval()
    export_onnx(ForPage(hinted).eval(), tmp_path / "hinted.onnx", outputs=OUTPUTS)
    for rows, columns in ((1, 1), (2, 3), (3, 1)):
        L = photo(network.multiple * rows, network.multiple * columns)
        ab, features = hinted.look(L)
        likely = hinted.likely(features, x=3, y=2)
        found = run(tmp_path / "hinted.onnx", L)
        for actual, expected in zip(found, (ab, hinted.spread(features)), strict=False):
            assert (actual - expected).abs().max() < 1e-4
        assert (found[2].softmax(dim=1)[0, :, 2, 3] - likely).abs().max() < 1e-5


@pytest.mark.trust
def test_a_file_is_small_and_tells_nothing_of_this_machine(network, exported):
    content = exported.read_bytes()
    numbers = sum(value.numel() for value in network.state_dict().values())
    assert len(content) < 2 * numbers + 200_000
    assert str(ROOT).encode() not in content and b"site-packages" not in content


@pytest.mark.trust
def test_a_rounded_network_predicts_nearly_the_same_and_packs_better(
    network, exported, tmp_path, monkeypatch
):
    monkeypatch.setattr(onnx_export, "LARGE", 100)
    export_onnx(network, tmp_path / "rounded.onnx", mantissa=5)
    whole, rounded = (
        len(gzip.compress(path.read_bytes())) for path in (exported, tmp_path / "rounded.onnx")
    )
    assert rounded < 0.8 * whole
    L = photo(2 * network.multiple, 2 * network.multiple)
    difference = 110 * (predict(tmp_path / "rounded.onnx", L) - network(L)).abs()
    assert 0 < difference.mean() < 2


@pytest.mark.parametrize("bits", [3, 5, 10])
def test_a_number_keeps_that_many_bits_and_is_rounded_to_the_nearest(bits):
    values = np.random.default_rng(0).uniform(0.01, 2, LARGE).astype(np.float16)
    rounded = round_mantissa(values, bits)
    assert not (rounded.view(np.uint16) & (2 ** (10 - bits) - 1)).any()
    relative = np.abs(rounded.astype(np.float64) / values - 1)
    assert relative.max() <= 2.0 ** -(bits + 1)
    assert (round_mantissa(-values, bits) == -rounded).all()


@pytest.mark.trust
def test_the_shipped_file_is_that_of_the_weights():
    path = WEIGHTS / "photos.onnx"
    if not path.exists():
        pytest.skip("colorlib ships no ONNX file yet")
    assert path.stat().st_size <= 8e6
    generator = load_generator("photos")
    L = photo(generator.multiple, 2 * generator.multiple)
    assert (predict(path, L) - generator(L)).abs().max() < 1e-4
