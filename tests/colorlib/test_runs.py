"""Saving: whole or not at all; weights; the folder of a run and its lock."""

import errno
import json
import multiprocessing
import os
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import colorlib.runs as module
from colorlib.generator import StridedUNet, UNet
from colorlib.runs import (
    MADE,
    Run,
    RunError,
    atomic_write,
    environment,
    load_generator,
    read_card,
    read_config,
    read_history,
    save_generator,
)


class TestAtomicWrite:
    def test_it_replaces_the_old_version_and_leaves_nothing_beside(self, tmp_path):
        path = tmp_path / "deep" / "file.txt"
        for text in ("one", "two"):
            with atomic_write(path) as temporary:
                temporary.write_text(text)
        assert path.read_text() == "two"
        assert os.listdir(path.parent) == ["file.txt"]

    def test_a_failure_keeps_the_old_version(self, tmp_path):
        path = tmp_path / "file.txt"
        path.write_text("old")
        with pytest.raises(RuntimeError, match="midway"), atomic_write(path) as temporary:
            temporary.write_text("half of the new")
            raise RuntimeError("midway")
        assert path.read_text() == "old"
        assert os.listdir(tmp_path) == ["file.txt"]

    def test_a_full_disk_says_what_to_do_and_harms_nothing(self, tmp_path):
        path = tmp_path / "file.txt"
        path.write_text("old")
        with pytest.raises(OSError, match="disk is full.*Free some space"), atomic_write(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        assert path.read_text() == "old"

    def test_other_errors_stay_what_they_are(self, tmp_path):
        with pytest.raises(PermissionError, match="not yours"), atomic_write(tmp_path / "x"):
            raise PermissionError(errno.EACCES, "not yours")


class TestGeneratorFiles:
    @pytest.mark.parametrize("network", [UNet(4), StridedUNet(8)], ids=lambda n: type(n).__name__)
    def test_what_is_loaded_answers_as_what_was_saved(self, tmp_path, network):
        network.train()(torch.rand(2, 1, 32, 32))
        path = tmp_path / "generator.safetensors"
        save_generator(path, network, data="three squares")
        loaded = load_generator(path)
        L = torch.rand(1, 1, 32, 32)
        assert torch.equal(loaded(L), network.eval()(L))
        assert not loaded.training
        assert not any(parameter.requires_grad for parameter in loaded.parameters())
        assert read_card(path)["data"] == "three squares"

    def test_a_missing_file(self, tmp_path):
        with pytest.raises(RunError, match="there are no weights at"):
            load_generator(tmp_path / "none.safetensors")

    @pytest.mark.parametrize("content", [b"", b"no weights at all", b"\x80\x04pickle"])
    def test_something_else(self, tmp_path, content):
        path = tmp_path / "generator.safetensors"
        path.write_bytes(content)
        with pytest.raises(RunError, match="holds no safetensors weights"):
            load_generator(path)

    def test_weights_cut_off(self, tmp_path):
        path = tmp_path / "generator.safetensors"
        save_generator(path, StridedUNet(8))
        path.write_bytes(path.read_bytes()[:-1000])
        with pytest.raises(RunError, match="holds no safetensors weights"):
            load_generator(path)

    def test_weights_of_another_program(self, tmp_path):
        path = tmp_path / "generator.safetensors"
        save_file({"weight": torch.zeros(2)}, path)
        with pytest.raises(RunError, match="cannot build.*UNet, StridedUNet"):
            load_generator(path)

    def test_weights_of_another_width(self, tmp_path):
        path = tmp_path / "generator.safetensors"
        network = StridedUNet(8)
        network.config = {"width": 16, "depth": 4}
        save_generator(path, network)
        with pytest.raises(RunError, match=r"(?s)do not fit StridedUNet.*first\.0\.weight"):
            load_generator(path)

    def test_the_card_of_what_holds_no_weights(self, tmp_path):
        path = tmp_path / "generator.safetensors"
        with pytest.raises(RunError, match="there are no weights at"):
            read_card(path)
        path.write_bytes(b"cut off")
        with pytest.raises(RunError, match="holds no safetensors weights.*Copy it again"):
            read_card(path)
        save_file({"weight": torch.zeros(2)}, path)
        assert read_card(path) == {}


def test_half_precision_halves_the_file_and_loads_as_float32(tmp_path):
    network = StridedUNet(8).eval()
    for half in (False, True):
        save_generator(tmp_path / f"{half}.safetensors", network, half=half)
    full, halved = ((tmp_path / f"{half}.safetensors").stat().st_size for half in (False, True))
    assert halved < 0.6 * full
    loaded = load_generator(tmp_path / "True.safetensors")
    assert {value.dtype for value in loaded.parameters()} == {torch.float32}
    for name, value in network.state_dict().items():
        assert torch.allclose(loaded.state_dict()[name], value, rtol=1e-3, atol=1e-6)


def rows(*steps):
    return [{"step": step, "stage": "game", "loss_d": 0.5 * step, "d_real": None} for step in steps]


class TestRun:
    def test_a_new_folder_gets_its_config_and_environment(self, tmp_path):
        with Run(tmp_path / "run", {"batch": 4, "betas": (0.5, 0.9)}):
            pass
        content = json.loads((tmp_path / "run" / "config.json").read_text())
        assert content["config"] == {"batch": 4, "betas": [0.5, 0.9]}
        assert content["environment"]["torch"] == torch.__version__.split("+")[0]
        assert {"python", "device", "commit"} <= content["environment"].keys()
        assert content["environment"]["processes"] == 1

    def test_a_machine_without_git(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", "")
        with Run(tmp_path, {}):
            pass
        assert '"commit": "unknown"' in (tmp_path / "config.json").read_text()

    def test_only_the_commit_of_colorlibs_own_checkout_is_recorded(self, tmp_path, monkeypatch):
        def git(*words):
            options = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-C", str(tmp_path)]
            command = ["git", *options, *words]
            return subprocess.run(command, check=True, capture_output=True, text=True).stdout

        for place in ("colorlib", "env/lib/colorlib"):
            (tmp_path / place).mkdir(parents=True)
            (tmp_path / place / "runs.py").touch()
        git("init", "--quiet")
        git("add", ".")
        git("commit", "--quiet", "--message", "someone's project")
        monkeypatch.setattr(module, "__file__", str(tmp_path / "colorlib" / "runs.py"))
        assert environment()["commit"] == git("rev-parse", "HEAD").strip()
        monkeypatch.setattr(module, "__file__", str(tmp_path / "env/lib/colorlib" / "runs.py"))
        assert environment()["commit"] == "unknown"

    def test_the_same_config_goes_on_and_another_is_refused_by_field(self, tmp_path):
        config = {"batch": 4, "size": 64, "betas": (0.5, 0.9)}
        with Run(tmp_path, config):
            (tmp_path / "history.csv").write_text("step\n1\n")
        with Run(tmp_path, config):
            assert (tmp_path / "history.csv").exists()
        with pytest.raises(RunError, match="batch 4, now 8; size 64, now 32.*--fresh"):
            Run(tmp_path, config | {"batch": 8, "size": 32}).__enter__()
        with Run(tmp_path, config):  # the refusal did not keep the lock
            pass

    def test_fresh_removes_the_old_run_and_nothing_else(self, tmp_path):
        with Run(tmp_path, {"batch": 4}) as run:
            run.save_checkpoint({"step": 1})
            run.write_rows("history.csv", rows(1), is_new=True)
            (tmp_path / "samples").mkdir()
            (tmp_path / "samples" / "epoch_0001.00.png").touch()
            (tmp_path / "samples" / "mine.png").touch()
            for name in ("validation.csv", "best.safetensors", "generator.safetensors"):
                (tmp_path / name).touch()
        (tmp_path / "notes.txt").write_text("mine")
        with Run(tmp_path, {"batch": 8}, fresh=True) as run:
            assert run.load_checkpoint() is None
        assert files_in(tmp_path) == {".lock", "config.json", "notes.txt", "samples/mine.png"}
        assert read_config(tmp_path / "config.json") == {"batch": 8}

    def test_parts_of_a_killed_process_are_cleared_away_and_nothing_else(self, tmp_path):
        with Run(tmp_path, {}):
            pass
        (tmp_path / "samples").mkdir()
        parts = {".checkpoint.pt.123.part", "samples/.epoch_0001.00.png.7.part"}
        others = {".big.iso.part", "samples/.mine.1.part"}
        for name in parts | others:
            (tmp_path / name).touch()
        with Run(tmp_path, {}):
            assert files_in(tmp_path) == others | {"config.json", ".lock"}

    @pytest.mark.parametrize("fresh", [False, True])
    @pytest.mark.parametrize("config", [None, '{"name": "my web app"}', "not JSON"])
    def test_a_folder_of_someone_elses_is_refused_and_left_as_it_is(self, tmp_path, fresh, config):
        for name in (*MADE[:-1], ".download.part", "deep/.checkpoint.pt.1.part", "notes.txt"):
            path = tmp_path / name.replace("[0-9]", "0").replace("*", "1")
            path.parent.mkdir(exist_ok=True)
            path.write_text("mine")
        if config is not None:
            (tmp_path / "config.json").write_text(config)
        before = files_in(tmp_path)
        message = "contains other files" if config is None else "no config.json of a run"
        with pytest.raises(RunError, match=message):
            Run(tmp_path, {}, fresh=fresh).__enter__()
        assert files_in(tmp_path) == before
        assert all(path.read_text() != "" for path in tmp_path.rglob("*.*") if path.is_file())

    def test_one_process_at_a_time(self, tmp_path):
        with Run(tmp_path, {}), multiprocessing.get_context("spawn").Pool(1) as pool:
            message = pool.apply(try_to_hold, (tmp_path,))
        assert "another process is writing" in message
        assert try_to_hold(tmp_path) == "held"

    @pytest.mark.parametrize("content", ["", "[]", "{}", "null", "{broken"])
    def test_a_broken_config_is_named(self, tmp_path, content):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(RunError, match="no config.json of a run"):
            Run(tmp_path, {}).__enter__()

    def test_no_config_is_named(self, tmp_path):
        with pytest.raises(RunError, match="is this the folder of a run"):
            read_config(tmp_path / "config.json")


def files_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def try_to_hold(folder):
    try:
        with Run(folder, {}):
            return "held"
    except RunError as error:
        return str(error)


class TestCheckpoints:
    def test_the_last_one_is_loaded(self, tmp_path):
        with Run(tmp_path, {}) as run:
            assert run.load_checkpoint() is None
            for step in (1, 2, 3):
                run.save_checkpoint({"step": step, "weight": torch.full((3,), float(step))})
            assert run.load_checkpoint()["weight"].tolist() == [3.0] * 3

    @pytest.mark.parametrize("damage", ["cut", "beheaded", "flip", "empty", "text"])
    def test_a_damaged_one_is_named_and_the_one_before_it_used(self, tmp_path, damage):
        path = tmp_path / "checkpoint.pt"
        with Run(tmp_path, {}) as run:
            for step in (1, 2):
                run.save_checkpoint({"step": step, "weight": torch.rand(1000)})
            content = bytearray(path.read_bytes())
            middle = len(content) // 2
            content[middle] ^= 0xFF
            broken = {"cut": content[:middle], "beheaded": content[1:], "flip": content}
            path.write_bytes(bytes(broken.get(damage, b"hello" if damage == "text" else b"")))
            with pytest.warns(UserWarning, match="checkpoint.pt is damaged"):
                assert run.load_checkpoint()["step"] == 1

    def test_one_that_cannot_be_read_now_is_not_given_up(self, tmp_path, monkeypatch):
        with Run(tmp_path, {}) as run:
            run.save_checkpoint({"step": 1})

            def out_of_memory(*args, **options):
                raise MemoryError

            monkeypatch.setattr(torch, "load", out_of_memory)
            with pytest.raises(MemoryError):
                run.load_checkpoint()

    def test_a_full_disk_is_explained(self, tmp_path, monkeypatch):
        def full(path, content):
            path.write_text("a part of it")
            raise OSError(errno.ENOSPC, "No space left on device")

        with Run(tmp_path, {}) as run:
            run.save_checkpoint({"step": 1})
            monkeypatch.setattr(Path, "write_bytes", full)
            with pytest.raises(OSError, match="the disk is full"):
                run.save_checkpoint({"step": 2})
            assert run.load_checkpoint() == {"step": 1}

    def test_between_the_two_moves_of_a_save_nothing_is_lost(self, tmp_path):
        with Run(tmp_path, {}) as run:
            run.save_checkpoint({"step": 1})
            os.replace(tmp_path / "checkpoint.pt", tmp_path / "checkpoint.previous.pt")
            assert run.load_checkpoint()["step"] == 1

    def test_a_hostile_pickle_is_refused(self, tmp_path):
        class Hostile:
            def __reduce__(self):
                return os.mkdir, (str(tmp_path / "harm"),)

        with Run(tmp_path, {}) as run:
            torch.save({"step": Hostile()}, tmp_path / "checkpoint.pt")
            with (
                pytest.warns(UserWarning, match="cannot be used"),
                pytest.raises(RunError, match="no checkpoint in .*; start over"),
            ):
                run.load_checkpoint()
        assert not (tmp_path / "harm").exists()


class TestHistory:
    def test_rows_come_back_as_they_were(self, tmp_path):
        with Run(tmp_path, {}) as run:
            run.write_rows("history.csv", rows(1, 2), is_new=True)
            run.write_rows("history.csv", rows(3), is_new=False)
            assert read_history(tmp_path / "history.csv") == rows(1, 2, 3)
            run.write_rows("history.csv", rows(1), is_new=True)
        assert read_history(tmp_path / "history.csv") == rows(1)

    def test_damaged_lines_are_skipped(self, tmp_path):
        path = tmp_path / "history.csv"
        path.write_text("step,stage,loss_d,d_real\n1,game,0.5,\n2,game,1,,,,9\n3,game,1.5,\n")
        assert read_history(path) == rows(1, 3)

    @pytest.mark.parametrize("content", [None, b"", b"\n"])
    def test_without_rows_it_is_empty(self, tmp_path, content):
        path = tmp_path / "history.csv"
        if content is not None:
            path.write_bytes(content)
        assert read_history(path) == []
