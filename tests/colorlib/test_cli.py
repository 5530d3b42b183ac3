"""The command line: what a learner types, from training to a colored photo, and what goes wrong."""

import ast
import inspect
import json
import os
import re
import runpy
import shutil
import sys
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from colorlib.cli import (
    Colorize,
    Download,
    Evaluate,
    Show,
    Threshold,
    Training,
    hold_back,
    load_config,
    main,
    report_left_out,
)
from colorlib.coloring import NOTE
from colorlib.config import TrainConfig
from colorlib.generator import StridedUNet
from colorlib.photos import PhotoFolder, read_split, write_split
from colorlib.runs import (
    RunError,
    choose_device,
    read_config,
    save_generator,
    write_text,
)
from colorlib.scenes import SceneDataset
from colorlib.training import train
from lessonkit.watch import read_history

COMMANDS = ("train", "evaluate", "colorize", "show", "threshold", "download")
TINY = "--size 32 --generator-width 8 --batch 4 --steps 3".split()


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Eight little color photos, cut from one."""
    folder = tmp_path_factory.mktemp("my photos")
    astronaut = data.astronaut()
    for index in range(8):
        crop = astronaut[:64, 60 * index : 60 * index + 64]
        Image.fromarray(crop).save(folder / f"照片{index}.png")
    return folder


@pytest.fixture(scope="module")
def run(photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "a run"
    main(["train", "l1", "--data", str(photos), "--out", str(folder), *TINY])
    return folder


def test_train_leaves_a_whole_run(run, photos):
    assert {path.name for path in run.iterdir()} >= {
        "config.json",
        "history.csv",
        "checkpoint.pt",
        "generator.safetensors",
        "metrics.json",
        "samples",
        "split.txt",
        "triptychs",
    }
    config = read_config(run / "config.json")
    assert config["data"] == str(photos)
    assert (config["steps"], config["adversarial"]) == (3, "none")
    assert json.loads((run / "metrics.json").read_text())["rows"]["generator"]["photos"] == 1


def test_of_a_hundred_photos_a_twentieth_is_held_back_to_look_at(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    Path("photos").mkdir()
    for index in range(125):
        pixels = random.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(f"photos/{index}.png")
    main(["train", "l1", "--data", "photos", "--out", "run", *TINY])
    said = capsys.readouterr().out
    assert "104 pictures to train on, 21 to test" in said and "so few photos" not in said
    rows = json.loads(Path("run/metrics.json").read_text("utf-8"))["rows"]
    assert list(rows)[3:] == ["generator", "best on validation"]
    assert [row["step"] for row in read_history("run/validation.csv")] == [3]
    main(["train", "l1", "--data", "photos", "--out", "again", *TINY])
    for name in ("validation.csv", "best.safetensors", "generator.safetensors", "metrics.json"):
        assert Path("again", name).read_bytes() == Path("run", name).read_bytes(), name

    folder = PhotoFolder("photos", 32)
    for photos, counts in ((folder, (119, 6)), (folder.pick(folder.names[:99]), (99, 0))):
        learning, validation = hold_back(photos)
        assert (len(learning), len(validation or [])) == counts
        assert not set(learning.names) & set(getattr(validation, "names", []))
    assert hold_back(SceneDataset(2, 32))[1] is None


def test_what_was_left_out_is_counted_and_written_down(tmp_path, capsys):
    left_out = [
        ("b\nc.png", "a line break in its name: rename it"),
        (os.fsdecode(b"\xff.png"), "gray: it would teach gray"),
        *[(f"{number}.png", "gray: it would teach gray") for number in range(10)],
    ]
    sys.stdout.reconfigure(errors="replace")  # as `main` does
    report_left_out(left_out, tmp_path / "left_out.txt")
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 11 and said[2] == "left out: 0.png: gray: it would teach gray"
    assert said[-1].startswith("12 left out in all (11 gray, 1 a line break in its name): ")
    lines = (tmp_path / "left_out.txt").read_bytes().split(b"\n")
    assert lines[:3] == [
        b"# 12 left out, and why",
        b"b c.png: a line break in its name: rename it",
        b"\xff.png: gray: it would teach gray",
    ]
    assert len(lines) == 14
    report_left_out([], tmp_path / "left_out.txt")
    assert not list(tmp_path.iterdir())


def test_the_same_command_again_goes_on_and_prints_the_results(run, photos, capsys):
    before = (run / "generator.safetensors").read_bytes()
    main(["train", "l1", "--data", str(photos), "--out", str(run), *TINY])
    assert (run / "generator.safetensors").read_bytes() == before
    said = capsys.readouterr().out
    assert "lookup by L" in said and "so few photos" in said


def test_another_configuration_is_refused_in_a_line(run, photos, capsys):
    arguments = ["train", "l2", "--data", str(photos), "--out", str(run), *TINY]
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    assert exit.value.code == 1
    message = capsys.readouterr().err
    assert "reconstruction l1, now l2" in message and "--fresh" in message
    assert "Traceback" not in message


def test_evaluate_writes_the_same_again(run, capsys):
    before = (run / "metrics.json").read_text()
    (run / "metrics.json").unlink()
    main(["evaluate", str(run)])
    assert (run / "metrics.json").read_text() == before
    assert "sheet.png" in capsys.readouterr().out


def test_a_test_photo_stays_one_though_photos_are_added(run, photos, tmp_path):
    for name in ("config.json", "generator.safetensors", "split.txt"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    (test_line,) = [
        line for line in (run / "split.txt").read_text("utf-8").splitlines() if line[:4] == "test"
    ]
    for index in range(20):
        Image.fromarray(data.coffee()[: 64 + index, :64]).save(photos / f"new {index}.png")
    try:
        main(["evaluate", str(tmp_path)])
    finally:
        for path in photos.glob("new*"):
            path.unlink()
    assert (tmp_path / "triptychs" / f"000_{test_line[5:-4]}.png").exists()
    assert json.loads((tmp_path / "metrics.json").read_text())["rows"]["gray"]["photos"] == 1


def test_colorize_works_at_the_size_of_the_training(run, tmp_path, monkeypatch):
    Image.fromarray(data.camera()[:64, :64]).save(tmp_path / "gray.png")
    seen = []
    monkeypatch.setattr(
        "colorlib.cli.colorize",
        lambda p, g, size, hints: seen.append(size) or Image.open(p).convert("RGB"),
    )
    weights = str(run / "generator.safetensors")
    main(["colorize", str(tmp_path / "gray.png"), "--weights", weights, "--out", str(tmp_path)])
    assert seen == [32]


def test_show_without_results_says_how_to_get_them(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["show", str(tmp_path)])
    assert f"colorlib evaluate {tmp_path}" in capsys.readouterr().err


def test_colorize_writes_color_at_full_size_and_goes_on_after_a_bad_file(run, tmp_path, capsys):
    Image.fromarray(data.camera()[:99, :75]).save(tmp_path / "gray.png")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 no more")
    weights = str(run / "generator.safetensors")
    photos = [str(tmp_path / name) for name in ("broken.jpg", "gray.png")]
    with pytest.raises(SystemExit) as exit:
        main(["colorize", *photos, "--weights", weights, "--size", "32", "--out", str(tmp_path)])
    assert exit.value.code == 1
    colored = Image.open(tmp_path / "gray_colored.png")
    assert (colored.size, colored.mode) == ((75, 99), "RGB")
    message = capsys.readouterr().err
    assert "failed: " in message and "broken.jpg" in message


def test_colorize_touches_no_original(tmp_path):
    Image.fromarray(data.camera()[:64, :64]).save(tmp_path / "gray.png")
    before = (tmp_path / "gray.png").read_bytes()
    save_generator(tmp_path / "w.safetensors", StridedUNet(8))
    weights = str(tmp_path / "w.safetensors")
    main(["colorize", str(tmp_path / "gray.png"), "--weights", weights, "--out", str(tmp_path)])
    assert (tmp_path / "gray.png").read_bytes() == before
    assert np.asarray(Image.open(tmp_path / "gray_colored.png")).shape == (64, 64, 3)


def test_a_colored_photo_says_in_the_file_that_its_colors_are_invented(tmp_path, capsys):
    Image.fromarray(data.camera()[:64, :64]).save(tmp_path / "gray.png")
    save_generator(tmp_path / "w.safetensors", StridedUNet(8), data="12 photos of the sea")
    order = ["colorize", str(tmp_path / "gray.png"), "--weights", str(tmp_path / "w.safetensors")]
    main([*order, "--out", str(tmp_path)])
    with Image.open(tmp_path / "gray_colored.png") as colored:
        assert colored.info["Comment"] == NOTE
    capsys.readouterr()
    main([*order, "--out", str(tmp_path)])
    assert "0 colored, 1 skipped, 0 failed" in capsys.readouterr().out
    main([*order, "--out", str(tmp_path), "--overwrite", "--format", "jpeg"])
    with Image.open(tmp_path / "gray_colored.jpg") as colored:
        assert colored.info["comment"].decode() == NOTE


def test_a_folder_keeps_its_tree_and_patterns_are_expanded(tmp_path, capsys):
    save_generator(tmp_path / "w.safetensors", StridedUNet(8))
    for name in ("a/cat.png", "b/cat.png", "b/Cat.bmp"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (32, 32), 50).save(tmp_path / "in" / name)
    (tmp_path / "in" / "bad.jpg").write_bytes(b"no")
    order = ["--weights", str(tmp_path / "w.safetensors"), "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as exit:
        main(["colorize", str(tmp_path / "in"), *order])
    made = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.png")}
    assert made == {"a/cat_colored.png", "b/cat_png_colored.png", "b/Cat_bmp_colored.png"}
    assert exit.value.code == 1 and "3 colored, 0 skipped, 1 failed" in capsys.readouterr().out
    main(["colorize", str(tmp_path / "in" / "a" / "*.png"), *order])
    assert (tmp_path / "out" / "cat_colored.png").exists()


def test_a_folder_in_a_folder_of_results_is_colored_once(tmp_path, capsys):
    save_generator(tmp_path / "w.safetensors", StridedUNet(8))
    photos = tmp_path / "in"
    photos.mkdir()
    for name in ("photo[1].png", "photo1.png"):  # the first looks like a pattern
        Image.new("L", (32, 32), 50).save(photos / name)
    order = ["--weights", str(tmp_path / "w.safetensors"), "--out", str(photos)]
    main(["colorize", str(photos / "photo[1].png"), *order])
    assert {path.name for path in photos.glob("*_colored.png")} == {"photo[1]_colored.png"}
    # given twice, beside the results of the first call
    main(["colorize", str(photos), str(photos / "photo1.png"), *order])
    assert "1 colored, 2 skipped, 0 failed" in capsys.readouterr().out
    main(["colorize", str(photos), *order, "--overwrite"])
    assert len(list(photos.iterdir())) == 4


def test_an_original_is_never_overwritten(tmp_path):
    save_generator(tmp_path / "w.safetensors", StridedUNet(8))
    for name in ("cat.png", "cat_colored.png"):
        Image.new("L", (32, 32), 50).save(tmp_path / name)
    before = (tmp_path / "cat_colored.png").read_bytes()
    order = ["--weights", str(tmp_path / "w.safetensors"), "--out", str(tmp_path), "--overwrite"]
    main(["colorize", str(tmp_path / "cat.png"), str(tmp_path / "cat_colored.png"), *order])
    assert (tmp_path / "cat_colored.png").read_bytes() == before


def test_evaluate_refuses_a_run_that_does_not_know_its_test_photos(photos, tmp_path, capsys):
    folder = PhotoFolder(photos, 32)
    config = TrainConfig(size=32, generator_width=8, batch=4, steps=1, adversarial="none")
    train(config, folder, tmp_path / "run")
    with pytest.raises(SystemExit):
        main(["evaluate", str(tmp_path / "run")])
    assert "learned from" in capsys.readouterr().err
    assert not (tmp_path / "run" / "split.txt").exists()


def test_a_run_says_what_it_started_from(run, photos, tmp_path, capsys):
    order = ["train", "l1", "--data", str(photos), "--out", str(tmp_path / "tuned"), *TINY]
    weights = str(run / "generator.safetensors")
    main([*order, "--init", weights])
    assert read_config(tmp_path / "tuned" / "config.json")["init"] == weights
    with pytest.raises(SystemExit):
        main(order)
    assert f"init {weights}, now None" in capsys.readouterr().err


def test_a_fake_mps_is_chosen_and_what_it_lacks_is_said(tmp_path, monkeypatch, capsys):
    def fail(*arguments, **options):
        raise NotImplementedError("The operator 'aten::upsample' is not implemented for MPS")

    mps = torch.device("mps")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: mps)
    assert choose_device() == torch.device("mps")
    assert choose_device("cpu") == torch.device("cpu")
    Image.new("L", (32, 32), 50).save(tmp_path / "gray.png")
    monkeypatch.setattr("colorlib.cli.load_generator", lambda name, device: device)
    monkeypatch.setattr("colorlib.cli.colorize", fail)
    with pytest.raises(SystemExit):
        main(["colorize", str(tmp_path / "gray.png"), "--out", str(tmp_path)])
    assert "add --device cpu" in capsys.readouterr().err


def test_threshold_writes_one_bit_and_overwrites_nothing(tmp_path, capsys):
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "scan.png")
    order = ["threshold", str(tmp_path / "scan.png")]
    main([*order, "--level", "0.5"])
    with Image.open(tmp_path / "scan_bw.png") as image:
        assert image.mode == "1" and np.asarray(image)[-1].all() and not np.asarray(image)[0].any()
    assert (tmp_path / "scan_bw.png").read_bytes()[24:26] == bytes((1, 0))  # bits, kind: gray
    before = (tmp_path / "scan_bw.png").read_bytes()
    with pytest.raises(SystemExit):
        main(order)
    assert "--overwrite" in capsys.readouterr().err
    assert (tmp_path / "scan_bw.png").read_bytes() == before
    main([*order, "--overwrite", "--level", "0.2"])
    assert (tmp_path / "scan_bw.png").read_bytes() != before


def test_a_run_of_unknown_data_asks_for_it(run, tmp_path, capsys):
    config = json.loads((run / "config.json").read_text("utf-8"))
    config["config"]["data"] = ""
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(SystemExit) as exit:
        main(["evaluate", str(tmp_path)])
    assert exit.value.code == 1 and "add --data FOLDER" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["train", "warm", "--data", "no such folder"], "no folder of photos at no such folder"),
        (["evaluate", "no such run"], "is this the folder of a run"),
        (["colorize", "x.jpg", "--weights", "none.safetensors"], "cannot read weights from"),
        (["colorize"], "no photos found"),
    ],
)
def test_what_goes_wrong_is_one_readable_line(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    assert exit.value.code == 1
    message = capsys.readouterr().err
    assert words in message
    assert message.startswith("colorlib: ") and message.count("\n") == 1


@pytest.mark.parametrize(
    "error, status, words",
    [
        (
            KeyboardInterrupt("stopped at step 3; the same call goes on"),
            130,
            "\nstopped at step 3;",
        ),
        (KeyboardInterrupt(), 130, "\nstopped\n"),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
            1,
            "colorlib: CUDA out of memory. Tried to allocate 2 GiB: choose a smaller --batch",
        ),
    ],
)
def test_ctrl_c_and_a_lack_of_memory_end_in_a_line(error, status, words, capsys, monkeypatch):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr("colorlib.cli.open_data", fail)
    monkeypatch.setattr("colorlib.cli.hold", lambda folder: nullcontext())
    with pytest.raises(SystemExit) as exit:
        main(["train", "warm"])
    assert exit.value.code == status
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], *([command] for command in COMMANDS)])
def test_help_explains(command, capsys):
    with pytest.raises(SystemExit) as exit:
        main([*command, "--help"])
    assert exit.value.code == 0
    text = capsys.readouterr().out
    assert "usage: colorlib" in text
    assert "options options" not in text


def test_python_m_colorlib_is_the_same_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["__main__.py", "--help"])
    with pytest.raises(SystemExit) as exit:
        runpy.run_module("colorlib", run_name="__main__")
    assert exit.value.code == 0
    assert "usage: colorlib" in capsys.readouterr().out


def test_every_option_has_a_help_text_of_its_own():
    # tyro takes the comment above a field without one, and keeps the line breaks of a longer one
    for command in (TrainConfig, Training, Evaluate, Show, Colorize, Threshold, Download):
        (definition,) = ast.parse(inspect.getsource(command)).body
        for field, text in pairwise(definition.body):
            if isinstance(field, ast.AnnAssign) and field.target.id != "recipe":
                name = f"{command.__name__}.{field.target.id}"
                assert isinstance(text, ast.Expr), f"{name} has no docstring"
                assert re.fullmatch(r"[^\n]+\.", text.value.value), f"{name}: one line, a sentence"


def test_a_flag_that_turns_something_off_is_shown_beside_its_opposite(capsys):
    with pytest.raises(SystemExit):
        main(["train", "warm", "--help"])
    text = capsys.readouterr().out
    assert "--flip, --no-flip" in text
    assert len(re.findall(r"--no-", text)) == len(re.findall(r"--(\S+), --no-\1\b", text))


@pytest.mark.parametrize(
    "options, words",
    [
        ("--sice 64", "--size"),
        ("--size x", "int"),
        ("--size 0", "colorlib: size is 0: it must be greater than or equal to 32\n"),
        ("--size 40", "colorlib: size is 40: it must be a multiple of 16\n"),
        ("--seconds -5", "colorlib: seconds is -5.0: it must be greater than 0\n"),
        (
            "--warm-up 2 --batch 0",
            "colorlib: warm_up is 2.0: it must be less than or equal to 1; "
            "batch is 0: it must be greater than 0\n",
        ),
        (
            "--steps 3 --epochs 4",
            "colorlib: give one budget (epochs, steps or seconds), not epochs=4, steps=3\n",
        ),
        (
            "--adversarial wgan_gp --discriminator image",
            "colorlib: adversarial=wgan_gp needs discriminator=patch and discriminator_norm=none\n",
        ),
    ],
)
def test_wrong_usage_is_explained_with_exit_status_two(options, words, capsys):
    with pytest.raises(SystemExit) as exit:
        main(["train", "warm", *options.split()])
    assert exit.value.code == 2
    message = capsys.readouterr().err
    assert message == words if words.startswith("colorlib: ") else words in message


def test_python_gets_the_same_words(tmp_path):
    for fields, words in (
        ({"size": 0}, "size is 0: it must be greater than or equal to 32"),
        ({"adversarial": "gan"}, "adversarial is 'gan': it must be 'bce', 'lsgan', 'hinge', 'wgan"),
        ({"sice": 64}, "sice is 64: Unexpected keyword argument"),
        ({"steps": 1, "seconds": 2}, "give one budget (epochs, steps or seconds), not steps=1, s"),
    ):
        with pytest.raises(ValueError) as error:
            TrainConfig(**fields)
        assert str(error.value).startswith(words) and "\n" not in str(error.value)
    write_text(tmp_path / "config.json", '{"config": {"size": 0}}')
    with pytest.raises(RunError, match="another version of colorlib: size is 0: it must"):
        load_config(tmp_path / "config.json")


def test_a_warning_is_one_line_without_code(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Image.new("L", (64, 64), 5).save("dark.png")
    main(["colorize", "dark.png", "--hint", "10,10,#ffff00"])
    assert "note: the photo is too dark for #ffff00 at (10, 10); #" in capsys.readouterr().err


# --- bugs that a close reading found ---


@pytest.fixture
def weights(tmp_path):
    save_generator(tmp_path / "w.safetensors", StridedUNet(8))
    return ["--weights", str(tmp_path / "w.safetensors")]


def save_gray(*paths):
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        Image.new("L", (32, 32), 50).save(path)


def test_with_dots_in_a_path_the_copies_still_go_to_out(tmp_path, monkeypatch, capsys, weights):
    save_gray(tmp_path / "deep" / "a.png", tmp_path / "b.png")
    monkeypatch.chdir(tmp_path / "deep")
    main(["colorize", "a.png", "../b.png", *weights])
    out = tmp_path / "deep" / "colored"
    copies = set(tmp_path.rglob("*_colored.png"))
    assert copies == {out / "deep" / "a_colored.png", out / "b_colored.png"}
    main(["colorize", "..", *weights])  # the folder of results is in it, and isn't colored
    assert set(tmp_path.rglob("*_colored.png")) == copies
    assert "0 colored" in capsys.readouterr().out


def test_three_names_that_would_collide_are_all_colored(tmp_path, capsys, weights):
    save_gray(*(tmp_path / "in" / name for name in ("cat.bmp", "cat.png", "cat_png.png")))
    order = ["colorize", str(tmp_path / "in"), "--out", str(tmp_path / "out"), *weights]
    main(order)
    assert "3 colored, 0 skipped" in capsys.readouterr().out
    main(order)
    assert "0 colored, 3 skipped" in capsys.readouterr().out


def test_a_copy_that_cannot_be_written_does_not_stop_the_others(tmp_path, capsys, weights):
    save_gray(tmp_path / "in" / f"{'a' * 244}.png", tmp_path / "in" / f"{'b' * 250}.png")
    save_gray(tmp_path / "in" / "z.png")
    exif = Image.Exif()
    exif[0x010E] = "long" * 20_000
    Image.new("L", (32, 32), 50).save(tmp_path / "in" / "m.png", exif=exif)
    order = ["colorize", str(tmp_path / "in"), "--out", str(tmp_path / "out"), *weights]
    with pytest.raises(SystemExit) as exit:
        main([*order, "--format", "jpeg"])
    said = capsys.readouterr()
    assert exit.value.code == 1 and "1 colored, 0 skipped, 3 failed" in said.out
    assert "EXIF data doesn't fit into a JPEG" in said.err


@pytest.mark.parametrize(
    "order, advice",
    [
        ("colorize gray.png --hint 1,2,red,blue", "a hint is x, y and a color"),
        ("colorize gray.png --device gpu", "this machine has no device gpu: use"),
        ("threshold gray.png --out gray_bw.jpg", "a name that ends in .png"),
        ("download caltech101 --part TR", "for DUTS only"),
        ("train l1 --lambda-reconstruction -1", "greater than or equal to 0"),
        ("train warm --size 32 --discriminator-layers 4", "needs a size of at least 48"),
    ],
)
def test_what_was_once_accepted_or_a_traceback(order, advice, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_gray(tmp_path / "gray.png")
    with pytest.raises(SystemExit):
        main(order.split())
    message = capsys.readouterr().err
    assert advice in " ".join(message.split()) and "Traceback" not in message
    assert [path.name for path in tmp_path.iterdir()] == ["gray.png"]


def copy_renamed(photos, folder):
    folder.mkdir()
    for number, path in enumerate(sorted(photos.iterdir())):
        shutil.copy(path, folder / f"{number}.png")
    return folder


def test_a_refused_training_leaves_another_run_as_it_is(run, photos, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    other = copy_renamed(photos, tmp_path / "other photos")
    (other / "note.txt").write_text("not a photo")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(SystemExit):
        main(["train", "l1", "--data", str(other), "--out", str(folder), *TINY])
    message = capsys.readouterr().err
    assert "holds a run of another configuration: data" in message
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    # the same photos under another spelling are the same run
    main(["train", "l1", "--data", f"{photos}/", "--out", str(folder), *TINY])


def test_fresh_keeps_a_split_of_the_same_data(run, photos, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    names = sorted(path.name for path in photos.iterdir())
    write_split(folder / "split.txt", names[:4], names[4:])
    main(["train", "l1", "--data", str(photos), "--out", str(folder), "--fresh", *TINY])
    assert [len(part) for part in read_split(folder / "split.txt")] == [4, 4]
    other = copy_renamed(photos, tmp_path / "other photos")
    main(["train", "l1", "--data", str(other), "--out", str(folder), "--fresh", *TINY])
    assert [len(part) for part in read_split(folder / "split.txt")] == [7, 1]
