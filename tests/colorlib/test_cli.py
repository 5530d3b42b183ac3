"""The command line: what a learner types, from training to a colored photo, and what goes wrong."""

import json
import runpy
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from colorlib.cli import hold_back, main
from colorlib.generator import StridedUNet
from colorlib.photos import PhotoFolder
from colorlib.runs import read_config, read_history, save_generator
from colorlib.scenes import SceneDataset

COMMANDS = ("train", "evaluate", "colorize", "show", "download", "bench")
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
    main(["train", "--data", str(photos), "--recipe", "l1", "--out", str(folder), *TINY])
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
    main(["train", "--data", "photos", "--recipe", "l1", "--out", "run", *TINY])
    said = capsys.readouterr().out
    assert "104 pictures to train on, 21 to test" in said and "so few photos" not in said
    rows = json.loads(Path("run/metrics.json").read_text("utf-8"))["rows"]
    assert list(rows)[3:] == ["generator", "best on validation"]
    assert [row["step"] for row in read_history("run/validation.csv")] == [3]
    main(["train", "--config", "run/config.json", "--out", "again"])
    for name in ("validation.csv", "best.safetensors", "generator.safetensors", "metrics.json"):
        assert Path("again", name).read_bytes() == Path("run", name).read_bytes(), name

    folder = PhotoFolder("photos", 32).load()
    for photos, counts in ((folder, (119, 6)), (folder.pick(folder.names[:99]), (99, 0))):
        learning, validation = hold_back(photos)
        assert (len(learning), len(validation or [])) == counts
        assert not set(learning.names) & set(getattr(validation, "names", []))
    assert hold_back(SceneDataset(2, 32))[1] is None


def test_the_same_command_again_goes_on_and_prints_the_results(run, photos, capsys):
    before = (run / "generator.safetensors").read_bytes()
    main(["train", "--data", str(photos), "--recipe", "l1", "--out", str(run), *TINY])
    assert (run / "generator.safetensors").read_bytes() == before
    said = capsys.readouterr().out
    assert "lookup by L" in said and "so few photos" in said
    assert f"colorlib train --config {run / 'config.json'} --seconds" in said


def test_another_configuration_is_refused_in_a_line(run, photos, capsys):
    arguments = ["train", "--data", str(photos), "--recipe", "l2", "--out", str(run), *TINY]
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    assert exit.value.code == 1
    message = capsys.readouterr().err
    assert "reconstruction l1, now l2" in message and "--fresh" in message
    assert "Traceback" not in message


def test_a_config_of_another_run_is_a_starting_point(run, tmp_path):
    config = str(run / "config.json")
    main(["train", "--config", config, "--out", str(tmp_path), "--seed", "7"])
    old, new = read_config(config), read_config(tmp_path / "config.json")
    assert {name for name in old if old[name] != new[name]} == {"seed"}


def test_the_same_config_gives_the_same_weights(run, tmp_path):
    main(["train", "--config", str(run / "config.json"), "--out", str(tmp_path)])
    weights = "generator.safetensors"
    assert (tmp_path / weights).read_bytes() == (run / weights).read_bytes()


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


def test_a_finished_run_can_be_taken_further_in_another_folder(run, tmp_path):
    main(["train", "--config", str(run / "config.json"), "--epochs", "1", "--out", str(tmp_path)])
    config = read_config(tmp_path / "config.json")
    assert (config["epochs"], config["steps"]) == (1, None)


def test_colorize_works_at_the_size_of_the_training(run, tmp_path, monkeypatch):
    Image.fromarray(data.camera()[:64, :64]).save(tmp_path / "gray.png")
    seen = []
    monkeypatch.setattr(
        "colorlib.cli.colorize", lambda g, p, size: seen.append(size) or Image.open(p)
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
    assert "left out" in message and "broken.jpg" in message and "1 of 2" in message


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
        comment = colored.info["Comment"]
    words = "colors invented by a network that has learned from 12 photos of the sea"
    assert comment == f"colorlib: {words}"
    said = capsys.readouterr().out
    assert words in said and "replaced" not in said
    main([*order, "--out", str(tmp_path)])
    assert "gray_colored.png (replaced)" in capsys.readouterr().out


def test_photos_of_one_name_do_not_overwrite_each_other(tmp_path):
    save_generator(tmp_path / "w.safetensors", StridedUNet(8))
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.new("L", (32, 32), 50).save(tmp_path / folder / "cat.png")
    photos = [str(tmp_path / folder / "cat.png") for folder in ("a", "b")]
    out = tmp_path / "out"
    main(["colorize", *photos, "--weights", str(tmp_path / "w.safetensors"), "--out", str(out)])
    assert sorted(path.name for path in out.iterdir()) == ["cat_colored.png", "cat_colored_2.png"]


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["train", "--recipe", "magic"], "no recipe 'magic'; there are tutorial"),
        (["train", "--data", "no such folder"], "no folder of photos at no such folder"),
        (["train", "--config", "none.json"], "is this the folder of a run"),
        (["evaluate", "no such run"], "is this the folder of a run"),
        (["colorize", "x.jpg", "--weights", "none.safetensors"], "there are no weights at"),
        (["colorize", "x.jpg", "--weights", "."], ". is a folder; give a file in it"),
        (["colorize"], "give the path of a photo"),
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
        (MemoryError(), 1, "colorlib: the memory does not suffice: close other programs"),
        (
            RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
            1,
            "colorlib: the memory does not suffice: close other programs",
        ),
    ],
)
def test_ctrl_c_and_a_lack_of_memory_end_in_a_line(error, status, words, capsys, monkeypatch):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr("colorlib.cli.open_data", fail)
    monkeypatch.setattr("colorlib.cli.hold", lambda folder: nullcontext())
    with pytest.raises(SystemExit) as exit:
        main(["train"])
    assert exit.value.code == status
    assert words in capsys.readouterr().err


def test_a_config_of_another_version_is_refused(tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"config": {"batch_size": 4}}')
    with pytest.raises(SystemExit):
        main(["train", "--config", str(tmp_path / "config.json")])
    assert "of another version" in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], *([command] for command in COMMANDS)])
def test_help_explains(command, capsys):
    with pytest.raises(SystemExit) as exit:
        main([*command, "--help"])
    assert exit.value.code == 0
    text = capsys.readouterr().out
    assert "usage: colorlib" in text
    if command == ["train"]:
        assert "--lambda-reconstruction" in text and "weight of the reconstruction" in text


def test_python_m_colorlib_is_the_same_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["__main__.py", "--help"])
    with pytest.raises(SystemExit) as exit:
        runpy.run_module("colorlib", run_name="__main__")
    assert exit.value.code == 0
    assert "usage: colorlib" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options, words",
    [("--sice 64", "--size"), ("--steps 3 --epochs 3", "one budget above 0"), ("--size x", "int")],
)
def test_wrong_usage_is_explained_with_exit_status_two(options, words, capsys):
    with pytest.raises(SystemExit) as exit:
        main(["train", *options.split()])
    assert exit.value.code == 2
    assert words in capsys.readouterr().err
