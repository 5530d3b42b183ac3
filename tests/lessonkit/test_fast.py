"""Lesson 11's helpers: waits are counted, the toy keeps its order, versions take turns."""

import json

import pytest
import torch
from torch import nn
from torch.nn.functional import l1_loss

from colorlib.generator import UNet
from lessonkit.lesson_11 import fast
from lessonkit.lesson_11.bench import Meter, make_photos, stages


@pytest.mark.parametrize(
    "read, count",
    [
        (lambda x: x.item(), 1),
        (lambda x: float(x) + float(x), 2),
        (lambda x: bool(x > 0), 1),
        (lambda x: f"{x:.2f}", 1),
        (lambda x: (x + 1) * 2, 0),
    ],
)
def test_waits_are_counted(read, count):
    assert fast.count_waits(lambda: read(torch.tensor(1.0))) == count


def test_adam_s_own_count_of_steps_is_no_wait():
    network = nn.Linear(2, 2)
    network(torch.ones(1, 2)).sum().backward()
    optimizer = torch.optim.Adam(network.parameters())
    optimizer.step()
    assert fast.count_waits(optimizer.step) == 2  # weight and bias, on the CPU
    assert fast.count_waits(optimizer.step, [optimizer]) == 0


@pytest.mark.parametrize(
    "prepare, compute, read_every, end",
    [
        (2, 6, 0, 2 + 8 * 6),  # the GPU never waits, but for the first
        (2, 6, 1, 8 * (2 + 6)),  # nothing overlaps
        (6, 2, 0, 8 * 6 + 2),  # the CPU is the slower one
        (2, 6, 4, 2 * (2 + 4 * 6)),
    ],
)
def test_the_toy_takes_the_time_it_must(prepare, compute, read_every, end):
    cpu, gpu = fast.timeline(prepare, compute, read_every)
    assert sum(gpu[-1]) == end
    for (asked, took), (start, _) in zip(cpu, gpu, strict=True):
        assert start >= asked + took, "nothing is computed before it was asked for"
    for spans in (cpu, gpu):
        assert all(sum(one) <= other[0] for one, other in zip(spans, spans[1:], strict=False))


def test_an_average_over_parts_is_the_gradient_of_the_whole_without_batch_norm():
    torch.manual_seed(0)
    L, real_ab = torch.rand(4, 1, 8, 8), torch.rand(4, 2, 8, 8)
    for norm, is_same in ((nn.Identity(), True), (nn.BatchNorm2d(3), False)):
        network = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), norm, nn.ReLU(), nn.Conv2d(3, 2, 1))
        averaged = fast.averaged_gradient(network, L, real_ab, 2)
        network.zero_grad()
        l1_loss(network(L), real_ab).backward()
        pairs = zip(averaged, network.parameters(), strict=True)
        assert all(torch.allclose(a, p.grad, atol=1e-6) for a, p in pairs) == is_same


@pytest.fixture
def folder(tmp_path):
    """Results of a GPU and a CPU in which the second change does not pay and the third fails."""
    names = ["the naive way", "photos decoded once", "channels last", "torch.compile"]
    for device, speed in (("NVIDIA A", 100.0), ("CPU, 2 threads", 1.0)):
        rows = [
            {"name": name, "loading": 1, "step": speed, "end_to_end": speed * (1 + 0.5 * bool(i))}
            for i, name in enumerate(names)
        ]
        rows[3] = {"name": "torch.compile", "failed": "no compiler"}
        rows.append(rows[0] | {"name": "the lean U-Net", "step": 9 * speed, "end_to_end": 900})
        result = {"environment": {"device": device}, "stages": rows}
        (tmp_path / f"bench-{device[:3]}.json").write_text(json.dumps(result), "utf-8")
    return tmp_path


def test_recorded_results_are_read_gpus_last(folder):
    results = fast.recorded(folder)
    assert [fast.is_gpu(result) for result in results] == [False, True]
    assert fast.recorded(folder / "nothing") == []


def test_what_paid_is_told_from_what_may_be_error(folder):
    result = fast.recorded(folder)[0]
    table = fast.verdicts(result).set_index("change")
    assert table["paid"].to_dict() == {
        "photos decoded once": "no, or within the error",  # as it beats its own step
        "channels last": "no, or within the error",
        "torch.compile": "did not run",
        "the lean U-Net": "yes",
    }
    assert table["may be error"]["photos decoded once"] == "53%"  # its own 50%, and 3% before
    assert fast.best_that_paid(result)["name"] == "the naive way"


def test_the_error_is_what_rounds_differ_by():
    row = {"step": 2.0, "end_to_end": 1.9}
    assert fast.error(row) == 0.03
    row["rounds"] = {"step": [2.0, 2.5, 2.0], "end_to_end": [1.9, 1.9, 2.0]}
    assert fast.error(row) == pytest.approx(0.25)
    before = {"name": "before", "step": 1.0, "end_to_end": 1.0}
    result = {"stages": [before, {"name": "after", **row}]}
    assert fast.best_that_paid(result)["name"] == "after"


class Ladder:
    """A meter whose machine is slow in the first round and fast in the second."""

    ROUNDS = 2

    def __init__(self):
        self.closed = []

    def rounds(self, stage):
        try:
            for speed in (1.0, 3.0):
                yield dict.fromkeys(("loading", "step", "end_to_end"), speed * stage)
        finally:
            self.closed.append(stage)

    def summary(self, stage, rounds):
        by_name = {key: [each[key] for each in rounds] for key in rounds[0]}
        medians = {key: sum(rates) / 2 for key, rates in by_name.items()}
        return {"name": f"stage {stage}", **medians, "share": 0.5, "rounds": by_name}


def test_stages_take_turns_so_that_drift_cancels():
    meter = Ladder()
    rows = fast.race(meter, [2, 5])
    assert sorted(meter.closed) == [2, 5]
    assert rows[1]["rounds"]["step"] == [5, 15]
    said = fast.gains(*rows)
    assert said.startswith("stage 5:\n    loading    ×2.50 (2.50 to 2.50)\n    step       ×2.50")
    assert list(fast.table(rows)["end to end"]) == ["4.00", "10.00"]


@pytest.mark.parametrize(
    "rates, verdict",
    [
        ((20, 22, 24), "gain"),
        ((5, 6, 5), "loss"),
        ((11, 11, 12), "may be error"),  # the same program twice differs by as much
        ((9, 15, 15), "may be error"),  # once it was slower
    ],
)
def test_a_change_is_believed_only_outside_the_error_of_the_stopwatch(rates, verdict):
    first, again, changed = (
        {"name": "it", "rounds": dict.fromkeys(fast.RATES, list(rounds))}
        for rounds in ((10, 10, 10), (9, 10, 12), rates)
    )
    said = fast.gains(first, changed, error=(first, again))
    assert [line.endswith(f")  {verdict}") for line in said.splitlines()[1:]] == [True] * 3


def test_a_real_meter_measures_in_turns(tmp_path):
    make_photos(tmp_path, 4)
    meter = Meter(torch.device("cpu"), 0.01, tmp_path, 64, tmp_path)
    meter.ROUNDS = 2
    ladder = [each for each in stages(64, 2, 4, False) if each.compile == "none"]
    rows = fast.race(meter, [ladder[0], ladder[-1]])
    assert [row["name"] for row in rows] == ["the naive way", "the lean U-Net"]
    for row in rows:
        assert all(len(rates) == 2 and min(rates) > 0 for rates in row["rounds"].values())


def test_the_work_of_a_forward_pass_is_what_was_counted_by_hand():
    g, d = fast.forward_work(UNet(width=64), 256)
    widths, sides = (3, 32, 64, 128, 256, 512, 512), (128, 64, 32, 16, 8, 4)
    of_d = sum(16 * a * b * side**2 for a, b, side in zip(widths, widths[1:], sides))
    assert d == pytest.approx((of_d + 16 * 512) / 1e9, rel=1e-3)
    assert g == pytest.approx(48.1, rel=1e-3)  # as tests/test_bench.py has it


def test_the_roof_says_who_waits():
    said = fast.below_roof(100.0, 10.0, {"sum": (0.5, 4.0), "product": (20.0, 50.0)}).splitlines()
    assert said == [
        "sum: 0.5 operations per byte, so memory sets the limit; it reaches 80% of that",
        "product: 20 operations per byte, so arithmetic sets the limit; it reaches 50% of that",
    ]


def test_figures_can_be_drawn():
    for figure in (
        fast.draw_bars({"a": 1.0, "b": 20.0}, "ms"),
        fast.draw_roof(1e11, 1e10, {"sum": (0.1, 1e9), "product": (100.0, 9e10)}),
        fast.draw_timeline(2, 6, "at every step"),
    ):
        (axes,) = figure.axes
        assert axes.get_xlabel()
