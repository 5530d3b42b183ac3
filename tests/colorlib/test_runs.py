"""Saving: whole or not at all; weights; the folder of a run and its lock."""

import errno
import json
import multiprocessing
import os
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from colorlib.generator import StridedUNet, UNet
from colorlib.runs import (
    MADE,
    Run,
    RunError,
    atomic_write,
    load_generator,
    read_card,
    read_config,
    save_generator,
)
from lessonkit.watch import read_history


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
        with pytest.raises(RunError, match="cannot read weights from .*none.safetensors"):
            load_generator(tmp_path / "none.safetensors")

    @pytest.mark.parametrize("content", [b"", b"no weights at all", b"\x80\x04pickle"])
    def test_something_else(self, tmp_path, content):
        path = tmp_path / "generator.safetensors"
        path.write_bytes(content)
        for not_weights in (path, tmp_path):  # a run's folder, too
            with pytest.raises(RunError, match="cannot read weights from"):
                load_generator(not_weights)

    def test_weights_cut_off(self, tmp_path):
        path = tmp_path / "generator.safetensors"
        save_generator(path, StridedUNet(8))
        path.write_bytes(path.read_bytes()[:-1000])
        with pytest.raises(RunError, match="cannot read weights.*a weight file that is complete"):
            load_generator(path)

    def test_weights_of_another_program(self, tmp_path):
        path = tmp_path / "generator.safetensors"
        save_file({"weight": torch.zeros(2)}, path)
        with pytest.raises(RunError, match="cannot build.*safetensors.torch.load_file"):
            load_generator(path)

    def test_weights_of_another_width(self, tmp_path):
        path = tmp_path / "generator.safetensors"
        network = StridedUNet(8)
        network.config = {"width": 16, "depth": 4}
        save_generator(path, network)
        with pytest.raises(RunError, match=r"(?s)cannot build .*StridedUNet.*first\.0\.weight"):
            load_generator(path)

    def test_the_card_of_what_holds_no_weights(self, tmp_path):
        path = tmp_path / "generator.safetensors"
        with pytest.raises(RunError, match="cannot read weights from"):
            read_card(path)
        save_file({"weight": torch.zeros(2)}, path)
        assert read_card(path) == {}


def test_half_precision_halves_the_file_and_loads_as_float32(tmp_path):
    network = StridedUNet(8).eval()
    save_generator(tmp_path / "False.safetensors", network)
    save_generator(tmp_path / "True.safetensors", deepcopy(network).half())
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
        assert {"python", "device", "system"} <= content["environment"].keys()
        assert content["environment"]["processes"] == 1

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

    def test_a_budget_that_was_not_given_is_ten_epochs(self, tmp_path):
        none = {"batch": 4, "epochs": None, "steps": None, "seconds": None}
        for config in (none, none | {"epochs": 10}, none, none | {"epochs": 20}):
            with Run(tmp_path, config):
                pass
        for other in (none, none | {"steps": 20}):
            with pytest.raises(RunError, match="another configuration: epochs 20, now"):
                Run(tmp_path, other).__enter__()

    def test_a_checkpoint_without_its_configuration_is_not_continued(self, tmp_path):
        (tmp_path / "checkpoint.pt").touch()
        with pytest.raises(RunError, match="contains other files .checkpoint.pt"):
            Run(tmp_path, {"batch": 4}).__enter__()

    def test_the_device_on_record_is_the_one_that_trains(self, tmp_path):
        with Run(tmp_path / "a", {}, device=torch.device("cpu")):
            pass
        with Run(tmp_path / "b", {}, device=torch.device("mps")):
            pass
        told = [json.loads((tmp_path / name / "config.json").read_text()) for name in "ab"]
        devices = [each["environment"]["device"] for each in told]
        assert devices[0].startswith("CPU, ") and devices[1] == "mps"

    def test_fresh_removes_the_old_run_and_nothing_else(self, tmp_path):
        with Run(tmp_path, {"batch": 4}) as run:
            run.save_checkpoint({"step": 1})
            run.write_table("history.csv", rows(1))
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
        message = "contains other files" if config is None else "not the config.json of a run"
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
        with pytest.raises(RunError, match="not the config.json of a run"):
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
    def test_a_damaged_one_is_named_and_left_as_it_is(self, tmp_path, damage):
        path = tmp_path / "checkpoint.pt"
        with Run(tmp_path, {}) as run:
            run.save_checkpoint({"step": 1, "weight": torch.rand(1000)})
            content = bytearray(path.read_bytes())
            middle = len(content) // 2
            content[middle] ^= 0xFF
            broken = {"cut": content[:middle], "beheaded": content[1:], "flip": content}
            damaged = bytes(broken.get(damage, b"hello" if damage == "text" else b""))
            path.write_bytes(damaged)
            with pytest.raises(RunError, match="checkpoint.pt .*start over with --fresh"):
                run.load_checkpoint()
        assert path.read_bytes() == damaged

    def test_a_full_disk_keeps_the_one_before(self, tmp_path, monkeypatch):
        def full(path, content):
            path.write_text("a part of it")
            raise OSError(errno.ENOSPC, "No space left on device")

        with Run(tmp_path, {}) as run:
            run.save_checkpoint({"step": 1})
            monkeypatch.setattr(Path, "write_bytes", full)
            with pytest.raises(OSError, match="No space left"):
                run.save_checkpoint({"step": 2})
            assert run.load_checkpoint() == {"step": 1}

    def test_a_hostile_pickle_is_refused(self, tmp_path):
        class Hostile:
            def __reduce__(self):
                return os.mkdir, (str(tmp_path / "harm"),)

        with Run(tmp_path, {}) as run:
            torch.save({"step": Hostile()}, tmp_path / "checkpoint.pt")
            with pytest.raises(RunError, match="checkpoint.pt .*start over"):
                run.load_checkpoint()
        assert not (tmp_path / "harm").exists()


class TestHistory:
    def test_rows_come_back_as_they_were(self, tmp_path):
        with Run(tmp_path, {}) as run:
            for steps in ((1, 2, 3), (1,)):
                run.write_table("history.csv", rows(*steps))
                assert read_history(tmp_path / "history.csv") == rows(*steps)

    def test_before_the_first_save_there_are_none(self, tmp_path):
        assert read_history(tmp_path / "history.csv") == []
