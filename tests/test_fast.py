"""Lesson 11's helpers: waits are counted, the toy keeps its order, the sketch adds up."""

import json

import pytest
import torch
from torch import nn
from torch.nn.functional import l1_loss

from colorlib.lesson import fast


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


def test_a_ring_sends_what_its_rounds_send():
    """Played through: N - 1 rounds to add up and N - 1 to hand out, a piece each."""
    for gpus in (1, 2, 8, 64):
        piece = 4 * 1000 / gpus
        assert fast.ring_bytes(1000, gpus) == pytest.approx(2 * (gpus - 1) * piece)


def test_what_the_backward_pass_hides_costs_nothing():
    assert fast.efficiency(compute=3.0, exchange=2.0) == 1
    assert fast.efficiency(compute=3.0, exchange=5.0) == pytest.approx(3 / 6)


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
    assert fast.photos_a_second(results) == 150
    assert fast.photos_a_second(results[:1]) is None
    assert fast.recorded(folder / "nothing") == []


def test_what_did_not_pay_is_named(folder):
    said = fast.did_not_pay(fast.recorded(folder)[0])
    assert said == [
        "channels last: the step ×1.00, end to end ×1.00",
        "torch.compile: could not be run",
    ]


def test_a_gain_is_said_in_a_sentence():
    rows = [{"name": n, "loading": x, "step": 2, "end_to_end": x} for n, x in (("a", 2), ("b", 5))]
    assert fast.gains(rows).startswith("b: loading ×2.50, the step ×1.00, end to end ×2.50")
    rows.append({"name": "c", "failed": "no compiler\nat all"})
    assert fast.gains(rows) == "c: cannot be run here (no compiler)"


def test_figures_can_be_drawn():
    for figure in (
        fast.draw_bars({"a": 1.0, "b": 20.0}, "ms"),
        fast.draw_roof(1e11, 1e10, {"sum": (0.1, 1e9), "product": (100.0, 9e10)}),
        fast.draw_timeline(2, 6, 1),
        fast.draw_scaling(1000, 100.0, 8, {"slow": 1e3, "fast": 1e9}, inside=1e9),
    ):
        (axes,) = figure.axes
        assert axes.get_xlabel()


@pytest.mark.whole
def test_processes_that_fail_say_why(tmp_path):
    script = tmp_path / "broken.py"
    script.write_text("raise SystemExit('no such luck')", "utf-8")
    with pytest.raises(RuntimeError, match="the processes failed"):
        fast.run_processes(script, 1)
