"""`python -m tools.bench`: all stages are measured and written down; a limit leaves some out."""

import json

import pytest
import torch

from colorlib.generator import StridedUNet
from lessonkit.lesson_11.bench import bench_table, make_photos, stages
from tools.bench import Bench

NAMES = [stage.name for stage in stages(size=64, width=4, batch=8, has_gpu=False)]


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A bench on the CPU that takes seconds; its results go to `results`."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    photos = tmp_path / "photos"
    photos.mkdir()
    make_photos(photos, 8)
    return Bench(photos=photos, size=64, width=4, seconds=0.01, out=tmp_path / "results")


def read(bench):
    (path,) = bench.out.iterdir()
    assert path.name.startswith("bench-cpu-")
    return json.loads(path.read_text("utf-8"))


@pytest.mark.trust
def test_a_run_measures_all_stages_and_writes_them_down(small, monkeypatch, capsys):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda call, **_: compiled.append(call.__self__) or call)
    small.run()
    result = read(small)
    assert [row["name"] for row in result["stages"]] == NAMES
    for row in result["stages"]:
        assert min(row[name] for name in ("loading", "step", "end_to_end", "share")) > 0
        for name, rates in row["rounds"].items():
            assert len(rates) == 3 and sorted(rates)[1] == row[name]
    assert result["matrix_tflops"] > 0 and result["settings"]["photos"] == 8
    assert {"torch", "device"} <= result["environment"].keys()
    assert any(isinstance(network, StridedUNet) for network in compiled) and len(compiled) == 4
    assert bench_table(result) in capsys.readouterr().out


def test_a_limit_leaves_out_the_rest_and_says_so(small, capsys):
    small.limit = 0
    small.run()
    assert [row["name"] for row in read(small)["stages"]] == NAMES[:1]
    assert "left out, because the limit is reached: torch.compile" in capsys.readouterr().out


def test_what_compiles_is_measured_last_and_listed_in_its_place(small, monkeypatch):
    measured = []

    def measure(meter, stage):
        measured.append(stage.name)
        return {"name": stage.name, "failed": "not tried"}

    monkeypatch.setattr("tools.bench.Meter.measure", measure)
    monkeypatch.setattr("tools.bench.bench_table", lambda result: "")
    small.run()
    assert [row["name"] for row in read(small)["stages"]] == NAMES
    assert all("torch.compile" in name for name in measured[-2:])
    assert not any("torch.compile" in name for name in measured[:-2])
