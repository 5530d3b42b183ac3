"""LPIPS, with random features in place of AlexNet's, which need a download."""

from urllib.error import URLError

import pytest
import torch
import torchvision

from colorlib.scenes import render_scenes
from lessonkit.lpips import lpips, lpips_network

RGB = render_scenes(2, size=32).rgb


@pytest.fixture(autouse=True)
def fresh_network():
    lpips_network.cache_clear()
    yield
    lpips_network.cache_clear()


def test_it_says_what_to_do_without_internet(monkeypatch, tmp_path):
    def no_network(*args, **kwargs):
        raise URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", no_network)
    with pytest.raises(ConnectionError, match="LPIPS needs the internet once.*no network"):
        lpips(RGB[:1], RGB[1:])


def test_with_weights(monkeypatch):
    def random_weights(self, *args, **kwargs):
        torch.manual_seed(0)
        return torchvision.models.alexnet().state_dict()

    monkeypatch.setattr(torchvision.models.AlexNet_Weights, "get_state_dict", random_weights)
    real = RGB.float() / 255
    assert lpips(real, real).tolist() == [0, 0]
    near, far = (lpips((real + noise).clamp(0, 1), real) for noise in (0.02, 0.2))
    assert near.shape == far.shape == (2,) and (near > 0).all() and (far > near).all()
    torch.testing.assert_close(lpips(RGB[:1], RGB[1:]), lpips(real[:1], real[1:]))
