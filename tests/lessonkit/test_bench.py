"""The bench: the naive step learns what ours does, its work is counted right, rounds are kept."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from test_training import Pictures, gradient_of

from colorlib.color import rgb_to_L_ab
from colorlib.steps import Networks, train_step
from lessonkit.lesson_11 import bench
from lessonkit.lesson_11.bench import Meter, Naive, OneByOne, bench_table, make_photos, stages, work

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
LADDER = {has_gpu: stages(size=64, width=4, batch=8, has_gpu=has_gpu) for has_gpu in (False, True)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    make_photos(folder, 8)
    return folder


def test_the_photos_are_color_photos_of_the_size_of_duts(folder):
    assert len(list(folder.iterdir())) == 8
    for path in folder.iterdir():
        with Image.open(path) as photo:
            assert (photo.size, photo.mode, photo.format) == ((400, 300), "RGB", "JPEG")


def test_one_by_one_gives_what_batches_give():
    rgb = Pictures(2).rgb
    photos = OneByOne(lambda index: rgb[index].permute(1, 2, 0).numpy(), 2)
    for index in range(2):
        for ours, theirs in zip(photos[index], rgb_to_L_ab(rgb[index]), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


@pytest.mark.parametrize("number", [3, 4])
def test_the_naive_step_and_ours_learn_the_same(number):
    """Stage 3 still makes two forward passes of G, stage 4 one: the same gradients either way."""
    config = LADDER[False][number].config
    assert config.reuse_forward == (number == 4)
    L, real_ab = rgb_to_L_ab(Pictures(4, 64).rgb)
    torch.manual_seed(0)
    naive = Naive(config, CPU)
    torch.manual_seed(0)
    ours = Networks(config)
    for network in (ours.generator, ours.discriminator):
        network.to(memory_format=torch.contiguous_format)
    naive_losses = naive.step(L, real_ab)
    losses = train_step(ours, L, real_ab, step=1)
    assert naive_losses["loss_d"] == pytest.approx(losses["loss_d"].item(), rel=1e-5)
    assert naive_losses["loss_g"] == pytest.approx(losses["loss_g"].item(), rel=1e-5)
    theirs, mine = gradient_of(naive.generator), gradient_of(ours.generator)
    assert (theirs - mine).norm() < 1e-3 * theirs.norm()


@pytest.mark.parametrize("has_gpu", [False, True])
def test_one_thing_changes_from_stage_to_stage(has_gpu):
    ladder = LADDER[has_gpu]
    assert ladder[0].is_naive and ladder[0].loading == "files"
    for before, after in zip(ladder, ladder[1:]):
        fields = [before.loading != after.loading, before.is_naive != after.is_naive]
        fields.append(before.is_channels_last != after.is_channels_last)
        changed = {
            name
            for name, value in vars(after.config).items()
            if value != getattr(before.config, name)
        }
        fields.append(before.compile != after.compile and not changed)  # the lean one starts plain
        assert sum(fields) + bool(changed) == 1, after.name
        assert len(changed - {"generator_width"}) <= 1, after.name
    kinds = {(stage.config.precision, stage.config.batch) for stage in ladder}
    assert kinds == {("float32", 4)} | ({("auto", 4), ("auto", 8)} if has_gpu else set())
    assert {stage.compile for stage in ladder} >= {"none", "default"}


def test_the_work_of_a_photo_is_what_was_counted_by_hand():
    """G: 48.1 billion multiplications forward at 256 pixels, 1/16 at 64, and twice that back.

    D: two photos forward and, twice that, back; then one forward, and back to its colors alone.
    """
    config = stages(64, 64, 8, False)[0].config
    widths, sides = (3, 32, 64, 128, 256), (32, 16, 8, 4)
    of_d = sum(16 * a * b * side**2 for a, b, side in zip(widths, widths[1:], sides))
    assert work(config, CPU) / 2 == pytest.approx(3 * 48.1e9 / 16 + 8 * of_d, rel=0.002)


def test_a_stage_that_fails_is_named_and_the_rest_goes_on(folder, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("no C++ compiler\nand more lines")

    monkeypatch.setattr(torch, "compile", fail)
    meter = Meter(CPU, 0.01, folder, 64, tmp_path)
    names = {stage.name: stage for stage in LADDER[False]}
    rows = [meter.measure(names[name]) for name in ("the naive way", "torch.compile")]
    assert rows[1] == {"name": "torch.compile", "failed": "no C++ compiler\nand more lines"}
    result = {"stages": rows, "matrix_tflops": 1.0, "environment": {"device": "here"}}
    assert "| torch.compile " in bench_table(result)
    assert "no C++ compiler" in bench_table(result).splitlines()[-1]


def test_the_rate_is_that_of_the_turns(folder, tmp_path, monkeypatch):
    """By a clock of our own: each turn takes a quarter of a second and does 5 photos."""
    clock = [0.0]

    def turn():
        clock[0] += 0.25
        return 5

    meter = Meter(CPU, 0.01, folder, 64, tmp_path)
    monkeypatch.setattr(bench.time, "perf_counter", lambda: clock[0])
    assert meter.rate(turn) == 20
    assert clock == [0.5]  # at least two turns, although one takes longer than the time given


def test_bytes_of_the_computer_s_memory_give_the_same_batches(folder, tmp_path):
    """The GPU's stages on a CPU: neither place nor kept Lab changes what is learned."""
    ladder = {stage.name: stage for stage in LADDER[True]}
    host, kept = ladder["Lab in batches on the device"], ladder["photos kept on the GPU"]
    assert (host.loading, kept.loading) == ("bytes", "batches")
    meter = Meter(CPU, 0.01, folder, 64, tmp_path)
    one, other = (meter._batches(stage) for stage in (host, kept))
    assert one.kept is None and other.kept is not None
    for ours, theirs in zip(next(one.stream(0)), next(other.stream(0)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    assert meter._batches(ladder["photos decoded once"]) is None


def test_the_spread_is_that_of_the_rounds_and_older_results_have_none():
    row = {"name": "a", "loading": 1.0, "step": 2.0, "end_to_end": 2.0, "memory": 1, "share": 0.5}
    rounds = {"loading": [1.0, 9.0, 1.0], "step": [2.0, 2.0, 2.0], "end_to_end": [2.0, 2.5, 2.0]}
    new = row | {"rounds": rounds}
    assert bench.spread(new) == pytest.approx(0.25)
    result = {"stages": [row, new], "matrix_tflops": 1.0, "environment": {"device": "here"}}
    *_, old_line, new_line = bench_table(result).splitlines()
    assert "unknown" in old_line and "25%" in new_line


PEAK = """
import torch
from lessonkit.lesson_11 import bench
cpu = torch.device("cpu")
if bench.forget_peak(cpu):
    before = bench.read_peak(cpu)
    taken = torch.ones(64 * 2**20, dtype=torch.uint8)
    print((bench.read_peak(cpu) - before) / len(taken))
"""


def test_peak_memory_is_that_of_the_block():
    # in a process of its own: memory that earlier tests have freed would be taken again
    told = subprocess.check_output([sys.executable, "-c", PEAK], cwd=ROOT, text=True)
    if not told:
        pytest.skip("this system does not tell how much memory was taken")
    assert float(told) > 0.9
