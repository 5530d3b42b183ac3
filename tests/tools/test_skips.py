"""The comparison with and without skips is written down, and edges are where things meet."""

import json

import torch
from PIL import Image

from tools import skips


def test_edges_are_where_another_thing_is_within_one_pixel():
    labels = torch.zeros(1, 5, 5, dtype=torch.uint8)
    labels[:, :, 3:] = 7
    near = skips.edges(labels)
    assert near[0].tolist() == [[False, False, True, True, False]] * 5


def test_results_are_written_for_each_seed(tmp_path, monkeypatch):
    monkeypatch.setattr(skips, "TRAINED", 4)
    monkeypatch.setattr(skips, "TESTED", 6)
    skips.measure_skips(width=4, steps=2, batch=2, seeds=(0, 1), out=tmp_path)
    content = json.loads((tmp_path / "skips.json").read_text("utf-8"))
    assert [(run["seed"], run["has_skips"]) for run in content["runs"]] == [
        (0, False),
        (0, True),
        (1, False),
        (1, True),
    ]
    assert len(content["runs"][1]["lost"]) == 4 + 6 + 1 + 1  # one, two, all skips, the bottom
    assert Image.open(tmp_path / "skips.png").size == (110 + 6 * 132, 4 * 132)
