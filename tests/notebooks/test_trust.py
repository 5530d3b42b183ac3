"""Faults: what goes wrong is said in words that help, and nothing that was made is lost."""

import errno
import json
import os
import shutil
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image
from skimage import data
from test_photos import color_picture, encode
from test_training import Pictures, assert_same_weights, small, weights
from torch.utils.data import DataLoader

import colorlib.photos as photos_module
import colorlib.runs as files
from colorlib.cli import LEFT_OUT, SPLIT, main
from colorlib.generator import StridedUNet
from colorlib.metrics import evaluate_run
from colorlib.photos import PhotoFolder, write_split
from colorlib.runs import Run, RunError, atomic_write, hold, read_config
from colorlib.scenes import SceneDataset
from colorlib.training import BEST, LOOKS, Loop, train
from tools import ROOT, notebooks

IS_LONG = bool(os.environ.get("COLORLIB_TRUST"))
IS_ROOT = getattr(os, "geteuid", lambda: 1)() == 0
STRANGE = "我的 照片 · ma photo's #1 & 100%"  # a folder's name, as people give them
TINY = "l1 --size 32 --generator-width 8 --batch 4 --steps 3".split()


@pytest.fixture(autouse=True)
def save_at_every_epoch(monkeypatch):
    """However short it is."""
    monkeypatch.setattr(Loop, "SAVE_AT_MOST", 0)
    monkeypatch.setattr(Loop, "TRAINED_PER_LOOK", 0)


@pytest.fixture
def photos(tmp_path):
    """Eight little color photos, and two files that are none, in a folder of a strange name."""
    folder = tmp_path / STRANGE
    folder.mkdir()
    for index in range(8):
        crop = data.astronaut()[:40, 60 * index : 60 * index + 40]
        Image.fromarray(crop).save(folder / f"气球 {index} ё.png")
    (folder / "cut off.jpg").write_bytes(encode(color_picture(), "JPEG")[:-200])
    (folder / "Thumbs.db").touch()
    return folder


def failure(capsys, *arguments) -> str:
    """What a command that fails says: one line, no traceback."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit:
        main([str(argument) for argument in arguments])
    assert exit.value.code == 1
    message = capsys.readouterr().err
    assert message.startswith("colorlib: ") and "Traceback" not in message
    return message


# --- memory ---


def peak_of(action) -> float:
    """How many megabytes more than before an action needs at its worst (Linux tells)."""

    def read(field: str) -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))

    try:
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak until now
        before = read("VmRSS")
    except OSError:
        pytest.skip("this system does not tell how much memory was needed")
    action()
    return read("VmHWM") - before


def test_bombs_and_large_photos_take_little_memory(tmp_path):
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb 1 bit.png")  # 50 kB, 1.2 GB as RGB
    large = Image.fromarray(data.astronaut()).resize((6_000, 6_000), Image.Resampling.NEAREST)
    large.save(tmp_path / "large.jpg")  # 108 MB as RGB
    large.resize((64, 64)).save(tmp_path / "small.jpg")
    del large
    photos = []
    assert peak_of(lambda: photos.append(PhotoFolder(tmp_path, size=64))) < 64
    assert sorted(photos[0].names) == ["large.jpg", "small.jpg"]
    assert "178 megapixels" in dict(photos[0].left_out)["bomb 1 bit.png"]


def test_photos_for_the_cache_pass_through_little_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(photos_module, "WORTH_CACHING", 5)
    (tmp_path / "photos").mkdir()
    for index in range(400):
        color_picture(64, 64, seed=index).save(tmp_path / "photos" / f"{index}.bmp")
    folder, cache = tmp_path / "photos", tmp_path / "cache"
    loaded = []
    assert peak_of(lambda: loaded.append(PhotoFolder(folder, 256, cache=cache))) < 48  # of 79 MB
    assert len(loaded[0]) == 400


# --- folders: strange names, no network, no right to write ---


@pytest.fixture
def no_network(monkeypatch):
    """A machine that reaches nobody."""

    def refuse(*arguments):
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_all_commands_work_in_a_strange_folder_without_network(photos, no_network, capsys):
    before = {path: path.read_bytes() for path in photos.iterdir()}
    out = photos.parent / f"{STRANGE} run"
    main(["train", *TINY, "--data", str(photos), "--out", str(out)])
    printed = capsys.readouterr().out
    assert "left out: Thumbs.db: not a photo by its name" in printed
    assert "left out: cut off.jpg: damaged or cut off" in printed
    main(["evaluate", str(out)])
    photo, weights = photos / "气球 0 ё.png", out / "generator.safetensors"
    main(["colorize", str(photo), "--weights", str(weights), "--out", str(out)])
    assert Image.open(out / "气球 0 ё_colored.png").size == (40, 40)
    assert (out / "triptychs" / "sheet.png").exists()
    assert {path: path.read_bytes() for path in photos.iterdir()} == before  # nothing is put there


def test_of_many_files_left_out_the_first_are_named_and_the_rest_counted(photos, capsys):
    for index in range(20):
        (photos / f"{index}.txt").touch()
    main(["train", *TINY, "--data", str(photos), "--out", str(photos.parent / "run")])
    printed = capsys.readouterr().out
    assert printed.count("left out: ") == 10
    assert "7 pictures to train on, 1 to test" in printed
    listed = photos.parent / "run" / LEFT_OUT
    assert "22 left out in all (21 not a photo by its name, 1 damaged or cut off)" in printed
    assert len(listed.read_text("utf-8").splitlines()) == 23 and str(listed) in printed


@pytest.mark.parametrize("way", ["mock", "file", "folder"])
def test_a_run_where_nothing_can_be_written_is_refused_at_once(
    way, photos, capsys, monkeypatch, tmp_path
):
    out = tmp_path / "locked" / "run"
    out.parent.mkdir()
    if way == "mock":  # as root every folder can be written to
        error = PermissionError(errno.EROFS, "Read-only file system")
        monkeypatch.setattr(Path, "mkdir", lambda *_, **__: (_ for _ in ()).throw(error))
    elif way == "file":
        out.write_text("somebody put a file there")
    elif IS_ROOT:
        pytest.skip("root may write everywhere")
    else:
        out.parent.chmod(0o500)
    monkeypatch.setattr(photos_module, "decode_all", None)  # before thousands of photos are decoded
    message = failure(capsys, "train", *TINY, "--data", photos, "--out", out)
    assert f"cannot write to {out}" in message and "choose another folder" in message


def test_photos_may_lie_where_nothing_can_be_written(photos, tmp_path):
    if IS_ROOT:
        pytest.skip("root may write everywhere; that nothing is written is tested above")
    photos.chmod(0o500)
    main(["train", *TINY, "--data", str(photos), "--out", str(tmp_path / "run")])


def test_a_held_folder_is_refused_and_not_even_fresh_touches_it(
    photos, capsys, tmp_path, monkeypatch
):
    run = tmp_path / "run"
    main(["train", *TINY, "--data", str(photos), "--out", str(run)])
    before = (run / SPLIT).read_bytes()
    monkeypatch.setattr(photos_module, "decode_all", None)  # before thousands of photos are decoded
    with hold(run):
        arguments = ("train", *TINY, "--data", photos, "--out", run, "--fresh")
        assert "another process is writing" in failure(capsys, *arguments)
    assert (run / SPLIT).read_bytes() == before


def test_a_virus_scanner_may_hold_a_new_file_for_a_moment(tmp_path, monkeypatch):
    replace_file, refusals = os.replace, [PermissionError("in use")] * 2

    def held(source, target):
        if refusals:
            raise refusals.pop()
        replace_file(source, target)

    monkeypatch.setattr(os, "replace", held)
    with atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "a.txt").read_text() == "new" and not refusals
    monkeypatch.setattr(files.time, "sleep", lambda seconds: None)
    refusals += [PermissionError("in use")] * 4
    with pytest.raises(PermissionError), atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_text("newer")
    assert (tmp_path / "a.txt").read_text() == "new" and os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.trust
def test_workers_may_be_started_as_on_windows_and_macos(photos):
    folder = PhotoFolder(photos, size=32)
    options = {"num_workers": 1, "multiprocessing_context": "spawn"}
    for data_set in (folder, SceneDataset(4, 32)):
        batches = torch.cat([*DataLoader(data_set, batch_size=4, **options)])
        assert torch.equal(batches, torch.stack([*data_set]))


# --- a kill at any file ---


def test_a_kill_before_any_file_is_moved_in_place_ends_with_the_same_files(tmp_path):
    """The kill test in small: not at random moments, but at every one where files could differ."""
    config, pictures = small("warm", epochs=2), Pictures(8)
    shown = {"samples": pictures.rgb[:1], "validation": pictures.rgb[:1]}
    moves, move = [], files.move

    def contents(folder: Path) -> dict[str, bytes]:
        written = [path for path in folder.rglob("*.*") if path.suffix in (".safetensors", ".png")]
        return {str(path.relative_to(folder)): path.read_bytes() for path in written} | {
            LOOKS: (folder / LOOKS).read_bytes()
        }

    def learn_until(number: int, folder: Path) -> None:
        """Learn; before the n-th file is moved in place the process is gone."""

        def killed(source: Path, target: Path) -> None:
            moves.append(target.name)
            if len(moves) == number:
                raise SystemExit("killed")
            move(source, target)

        moves.clear()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(files, "move", killed)
            train(config, pictures, folder, **shown)

    learn_until(0, tmp_path / "whole")
    whole, count = contents(tmp_path / "whole"), len(moves)
    assert {"checkpoint.pt", "generator.safetensors", BEST, "config.json"} <= {*moves}
    for number in range(1, count + 1):
        folder = tmp_path / str(number)
        with pytest.raises(SystemExit):
            learn_until(number, folder)
        train(config, pictures, folder, **shown)
        assert contents(folder) == whole, moves[-1]


# --- a full disk ---


def full_at(number: int, monkeypatch) -> list[int]:
    """Let the disk be full at the n-th file that is saved, half of it being written."""
    calls, fsync = [], os.fsync

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == number:
            os.truncate(descriptor, os.fstat(descriptor).st_size // 2)
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    return calls


def learn(folder: Path):
    """A small run with everything that is ever saved; two epochs of two steps."""
    pictures = Pictures(8)
    shown = {"samples": pictures.rgb[:1], "validation": pictures.rgb[:1]}
    trained = train(small("warm", epochs=2), pictures, folder, **shown)
    write_split(folder / SPLIT, ["a.jpg"], ["b.jpg"])
    evaluate_run(folder, pictures, pictures, pictures=1)
    return trained


def test_a_disk_that_is_full_at_any_save_harms_nothing(tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        calls = full_at(0, patch)
        whole = weights(learn(tmp_path / "whole").generator)
    assert len(calls) >= 12
    for number in range(1, len(calls) + 1):
        folder = tmp_path / str(number)
        with pytest.MonkeyPatch.context() as patch:
            full_at(number, patch)
            with pytest.raises(OSError, match="No space left"):
                learn(folder)
        assert not [*folder.rglob("*.part")]
        assert_same_weights(weights(learn(folder).generator), whole)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of four megabytes; a run of `learn` needs some two and a half at its worst."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4096k", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no right to mount a small disk here")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_disk_that_is_really_full_harms_nothing(small_disk, tmp_path):
    whole, stops = weights(learn(tmp_path / "whole").generator), 0
    for kilobytes in (1, 60, 300, 600, 900, 1300, 1900):  # left to the run
        ballast, folder = small_disk / "ballast", small_disk / "run"
        ballast.write_bytes(bytes((4096 - 16 - kilobytes) * 1024))
        try:
            learn(folder)
        except OSError as error:
            assert error.errno == errno.ENOSPC
            stops += 1
        ballast.unlink()
        if (folder / "checkpoint.pt").exists():
            Run(folder, {}).load_checkpoint()
            assert not [*folder.rglob("*.part")]
        assert_same_weights(weights(learn(folder).generator), whole)
        shutil.rmtree(folder)
    assert stops > 4


# --- loading ---


def test_a_hostile_pickle_is_refused_as_weights_too(tmp_path, capsys):
    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harm"),)

    color_picture().save(tmp_path / "photo.png")
    torch.save({"weight": Hostile()}, tmp_path / "generator.safetensors")
    arguments = ("colorize", tmp_path / "photo.png", "--weights")
    message = failure(capsys, *arguments, tmp_path / "generator.safetensors")
    assert "cannot read weights from" in message
    assert not (tmp_path / "harm").exists()


def test_a_checkpoint_of_other_networks_is_refused_naming_what_differs(tmp_path):
    config = small("l1", epochs=1)
    train(config, Pictures(8), tmp_path)
    with pytest.raises(RunError, match=r"(?s)other networks.*first\.0\.weight.*--fresh"):
        train(config, Pictures(8), tmp_path, generator=StridedUNet(16))
    with Run(tmp_path, read_config(tmp_path / "config.json")) as run:
        run.save_checkpoint({"a": "checkpoint of another program"})
    with pytest.raises(RunError, match="other networks: 'networks'"):
        train(config, Pictures(8), tmp_path)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"size": "large"}, "size is 'large': it must be a valid integer"),
        ({"seconds": "soon"}, "seconds is 'soon': it must be a valid number"),
        ({"betas": [0.5]}, "betas.1 is [0.5]: Field required"),
        ({"zoom": float("nan")}, "zoom is nan: it must be a finite number"),
        ({"generator": ["UNet"]}, "generator is ['UNet']: it must be 'UNet' or 'StridedUNet'"),
        ({"generatr": "UNet"}, "generatr is 'UNet': Unexpected keyword argument"),
    ],
)
def test_a_config_with_a_strange_value_is_refused_by_field(changes, words, tmp_path, capsys):
    (tmp_path / "config.json").write_text(json.dumps({"config": changes}))
    message = failure(capsys, "evaluate", tmp_path)
    assert str(tmp_path / "config.json") in message and words in message


def test_a_config_that_was_changed_in_notepad_is_read(tmp_path):
    (tmp_path / "config.json").write_text('\ufeff{"config": {"batch": 8}}', "utf-8")
    assert read_config(tmp_path / "config.json") == {"batch": 8}


# --- the same again ---


def test_everything_follows_from_the_seed(tmp_path):
    config = small("warm", epochs=2, zoom=1.5)
    outcomes = []
    for number, seed in enumerate((0, 0, 1)):
        torch.manual_seed(number)  # the caller's randomness plays no part
        trained = train(replace(config, seed=seed), Pictures(10), tmp_path / str(number))
        history = [{**row, "seconds": 0} for row in trained.history]
        outcomes.append((history, weights(trained.generator), weights(trained.discriminator)))
    first, second, other = outcomes
    assert first[0] == second[0] != other[0]
    for one, same, different in zip(first[1:], second[1:], other[1:]):
        assert_same_weights(one, same)
        assert not all(torch.equal(one[name], different[name]) for name in one)
    files = [(tmp_path / name / "generator.safetensors").read_bytes() for name in "01"]
    assert files[0] == files[1]


def test_the_same_command_repeats_a_run_in_another_folder(photos, tmp_path):
    for name in ("first", "again"):
        main(["train", *TINY, "--data", str(photos), "--out", str(tmp_path / name)])
    for name in ("generator.safetensors", "metrics.json", SPLIT):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "first" / name).read_bytes()
    assert read_config(tmp_path / "first" / "config.json")["data"] == str(photos)
    main(["evaluate", str(tmp_path / "first")])


# --- notebooks ---

RUN_AGAIN = """\
import os
import sys
import torch
import colorlib.training as module
from colorlib.config import TrainConfig

class Noise(torch.utils.data.Dataset):
    rgb = torch.randint(0, 256, (8, 3, 32, 32), generator=torch.Generator().manual_seed(0)).byte()
    __len__ = lambda self: 8
    __getitem__ = lambda self, index: self.rgb[index]

config = TrainConfig(size=32, batch=4, generator_width=8, discriminator_width=4, epochs=5)
module.Loop.SAVE_AT_MOST = 0
real_step, numbers = module.train_step, []
---
def step(networks, L, ab, number):
    numbers.append(number)
    if number == 6 and not os.path.exists("killed"):
        open("killed", "w").close()
        os.kill(os.getpid(), 9)
    return real_step(networks, L, ab, number)

module.train_step = step
trained = module.train(config, Noise(), "a run")
print(numbers, len(trained.history))"""


@pytest.mark.trust
def test_a_notebook_whose_kernel_dies_goes_on_and_may_be_run_again(tmp_path):
    folder = tmp_path / STRANGE
    folder.mkdir()
    sources = RUN_AGAIN.split("---\n")
    once, twice = (
        new_notebook(cells=[new_code_cell(source) for source in sources * times])
        for times in (1, 2)
    )
    with pytest.raises(DeadKernelError):
        notebooks.run(once, folder, "ci")
    notebooks.run(twice, folder, "ci")
    printed = [output.get("text", "") for cell in twice.cells for output in cell.outputs]
    assert [text for text in printed if text.startswith("[")] == [
        "[5, 6, 7, 8, 9, 10] 10\n",
        "[] 10\n",
    ]


@pytest.fixture
def strange_course(tmp_path, monkeypatch):
    """The folder of the lessons in a course of a strange name, without network."""
    folder = tmp_path / STRANGE / "notebooks"
    folder.mkdir(parents=True)
    for part in ("data", "README.md"):
        (folder.parent / part).symlink_to(ROOT / part)
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # nobody answers there
    return folder


def again(cells) -> list:
    return [new_code_cell(cell.source) for cell in cells]


needs_minutes = pytest.mark.skipif(not IS_LONG, reason="takes minutes: make trust")


@pytest.mark.trust
@needs_minutes
@pytest.mark.parametrize("name", notebooks.names())
def test_every_lesson_runs_twice_offline_in_a_strange_folder(name, strange_course):
    lesson = notebooks.read(name)
    lesson.cells += again(notebooks.code_cells(lesson))
    notebooks.run(lesson, strange_course, "ci")


@pytest.mark.trust
@needs_minutes
@pytest.mark.parametrize("name", notebooks.names())
def test_cells_may_be_run_twice_and_sections_again_in_any_order(name, strange_course):
    """As learners do: a cell twice in a row; and back to a section, after all have been run."""
    lesson, sections = notebooks.read(name), [[]]
    for cell in lesson.cells:
        if cell.cell_type == "code":
            sections[-1].append(cell)
        elif cell.source.startswith("## "):
            sections.append([])
    twice = [copy for section in sections for cell in section for copy in again([cell, cell])]
    lesson.cells = twice + [copy for section in sections[::-1] for copy in again(section)]
    notebooks.run(lesson, strange_course, "ci", strict=False)


@pytest.mark.trust
@needs_minutes
@pytest.mark.parametrize("name", notebooks.names())
def test_a_lesson_where_nothing_can_be_written_runs_or_says_so(name, strange_course):
    course = strange_course.parent
    bind = ["mount", "--bind", str(course), str(course)]
    if not shutil.which("mount") or subprocess.run(bind, capture_output=True).returncode:
        pytest.skip("no right to make a folder read-only here")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(course)], check=True)
        notebooks.run(notebooks.read(name), strange_course, "ci")
    except CellExecutionError as error:
        assert "cannot write to" in error.evalue and "choose another folder" in error.evalue
    finally:
        subprocess.run(["umount", "--lazy", str(course)], check=True)
