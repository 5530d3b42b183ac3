"""Two processes that train as one: what they learn, when they stop, and what if one dies."""

import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image
from skimage import data
from test_training import Pictures, batch_for, learned, small
from torch.nn import functional

import colorlib.training as module
from colorlib import parallel
from colorlib.batches import Batches
from colorlib.cli import main
from colorlib.color import rgb_to_L_ab
from colorlib.losses import bce_discriminator, bce_generator
from colorlib.runs import Run
from colorlib.steps import Networks, make_discriminator, make_generator, train_step
from colorlib.training import Loop, train
from lessonkit.toy_gan import one_thread
from lessonkit.watch import read_history

HAS_FORK_SERVER = "forkserver" in multiprocessing.get_all_start_methods()
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def context():
    """How processes are started: by a fork server, which imports torch once, if there is one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        patch.setenv("PYTHONPATH", str(ROOT))
        made = multiprocessing.get_context("forkserver" if HAS_FORK_SERVER else "spawn")
        if HAS_FORK_SERVER:
            made.set_forkserver_preload(["colorlib.cli"])
        yield made


def start(context, work, *arguments) -> list[multiprocessing.Process]:
    """Start the same work in two processes, and tell them what torchrun would tell them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    members = [context.Process(target=member, args=(r, port, work, *arguments)) for r in (0, 1)]
    for process in members:
        process.start()
    return members


def member(rank: int, port: int, work, folder: Path, *arguments) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    Loop.SAVE_AT_MOST = 0
    log = open(folder / f"log {rank}", "w", buffering=1)  # noqa: SIM115
    sys.stdout = sys.stderr = log
    work(rank, folder, *arguments)


def finish(members: list[multiprocessing.Process], folder: Path) -> None:
    for rank, process in enumerate(members):
        process.join(timeout=300)
        assert process.exitcode == 0, (folder / f"log {rank}").read_text("utf-8")


# --- what they learn ---

OF_NINE = {
    "epochs": 2,
    "learning_rate_decay": False,
}  # nine photos: the last batch must be filled up
CONFIGS = {
    "tutorial": small("tutorial", **OF_NINE),
    "pix2pix": small("pix2pix", **OF_NINE),
}


def learn(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)  # more would add in another order
    with parallel.together():
        for name, config in CONFIGS.items():
            trained = train(config, Pictures(9, config.size), folder / name)
            result = [learned(trained.generator), learned(trained.discriminator), trained.history]
            torch.save(result, folder / f"{name} {rank}.pt")


@one_thread()
def halves_apart(config, dataset):
    """One process in which batch norm sees the two halves of each batch by themselves."""
    torch.manual_seed(config.seed)
    generator, discriminator = (
        make(config).to(memory_format=torch.channels_last)
        for make in (make_generator, make_discriminator)
    )
    options = {"lr": config.learning_rate, "betas": config.betas, "fused": True}
    optimizer_d = torch.optim.Adam(discriminator.parameters(), **options)
    optimizer_g = torch.optim.Adam(generator.parameters(), **options)

    def loss_d(L, ab):
        return bce_discriminator(discriminator(L, ab), discriminator(L, generator(L).detach()))

    def loss_g(L, ab):
        fake = generator(L)
        loss = bce_generator(discriminator(L, fake))
        if config.reconstruction == "l1":
            loss = loss + config.lambda_reconstruction * functional.l1_loss(fake, ab)
        return loss

    def learn_from(halves, optimizer, loss_of):
        optimizer.zero_grad()
        losses = [loss_of(*half) for half in halves]
        for loss in losses:
            (loss / 2).backward()
        optimizer.step()
        return (losses[0].item() + losses[1].item()) / 2

    history = []
    for epoch in range(config.epochs):
        random = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
        order = torch.randperm(len(dataset), generator=random)
        mirrored = torch.rand(len(order), generator=random) < 0.5 * config.flip
        photos = [dataset.rgb[i].flip(-1) if m else dataset.rgb[i] for i, m in zip(order, mirrored)]
        photos.append(photos[0])  # nine cannot be shared by two
        for start in range(0, len(photos), config.batch):
            L, ab = rgb_to_L_ab(torch.stack(photos[start : start + config.batch]))
            halves = list(zip(L.chunk(2), ab.chunk(2)))
            history.append([learn_from(halves, optimizer_d, loss_d), None])
            if len(history) % config.g_every == 0:
                history[-1][1] = learn_from(halves, optimizer_g, loss_g)
    return generator, discriminator, history


@pytest.mark.trust
def test_two_processes_learn_what_one_does_that_takes_the_halves_apart(context, tmp_path):
    finish(start(context, learn, tmp_path), tmp_path)
    for name, config in CONFIGS.items():
        generator, discriminator, history = halves_apart(config, Pictures(9, config.size))
        for rank in (0, 1):
            g, d, rows = torch.load(tmp_path / f"{name} {rank}.pt")
            for ours, theirs in ((g, generator), (d, discriminator)):
                for key, value in learned(theirs).items():
                    torch.testing.assert_close(ours[key], value, rtol=0, atol=0)
            assert [[row["loss_d"], row["loss_g"]] for row in rows] == [
                [pytest.approx(d), g and pytest.approx(g)] for d, g in history
            ]
        assert len(read_history(tmp_path / name / "history.csv")) == len(history)


# --- when they stop ---


def stop(rank: int, folder: Path) -> None:
    """Stop by Ctrl-C in the first process and go on; then WGAN-GP; then, train for a time."""
    config = small("warm", steps=6)
    step = module.train_step

    def press_ctrl_c(networks, L, ab, number):
        if rank == 0 and number == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return step(networks, L, ab, number)

    with parallel.together():
        whole = train(config, Pictures(10))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "train_step", press_ctrl_c)
            with pytest.raises(
                KeyboardInterrupt, match="stopped at step 3; the same call continues"
            ):
                train(config, Pictures(10), folder / "stopped")
        resumed = train(config, Pictures(10), folder / "stopped")
        assert_same(learned(whole.generator), learned(resumed.generator))
        assert_same(learned(whole.discriminator), learned(resumed.discriminator))
        penalized = train(small("wgan_gp", steps=3, warm_up=0.4), Pictures(10))
        torch.save(learned(penalized.discriminator), folder / f"wgan_gp {rank}.pt")
        timed = train(small("warm", seconds=1.0), Pictures(10))
        torch.save([timed.history, learned(timed.generator)], folder / f"{rank}.pt")


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.trust
def test_they_stop_at_the_same_step_and_go_on(context, tmp_path):
    finish(start(context, stop, tmp_path), tmp_path)
    (history, weights), (other_history, other_weights) = (
        torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)
    )
    assert history == other_history
    assert {row["stage"] for row in history} == {"warm-up", "game"}
    assert 0.9 < history[-1]["seconds"] < 6
    assert_same(weights, other_weights)
    assert_same(*(torch.load(tmp_path / f"wgan_gp {rank}.pt") for rank in (0, 1)))


# --- what if one dies ---


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Eight little color photos, cut from one."""
    folder = tmp_path_factory.mktemp("photos")
    for index in range(8):
        crop = data.astronaut()[:64, 60 * index : 60 * index + 64]
        Image.fromarray(crop).save(folder / f"{index}.png")
    return folder


TINY = "train warm --size 32 --generator-width 8 --discriminator-width 4 --batch 4".split()


def command(rank: int, folder: Path, *arguments: str) -> None:
    main([*TINY, "--out", str(folder / "run"), *arguments])


@pytest.mark.trust
def test_the_other_ends_too_and_what_was_saved_is_good(context, photos, tmp_path):
    arguments = ("--data", str(photos), "--steps", "100000")
    members = start(context, command, tmp_path, *arguments)
    checkpoint = tmp_path / "run" / "checkpoint.pt"
    while all(process.is_alive() for process in members) and not checkpoint.exists():
        time.sleep(0.01)
    members[1].kill()
    members[0].join(timeout=60)
    said = (tmp_path / "log 0").read_text("utf-8")
    assert members[0].exitcode == 1, said
    assert said.count("writing to") == 1
    assert "writing to" not in (tmp_path / "log 1").read_text("utf-8")
    assert Run(tmp_path / "run", {}).load_checkpoint()["step"] > 0


@pytest.mark.trust
def test_torchrun(photos, tmp_path):
    """The command of the README: one run folder, one set of results."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    run = [*torchrun, "-m", "colorlib", *TINY, "--data", str(photos)]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    options = {"cwd": ROOT, "env": environment, "stdout": subprocess.PIPE, "text": True}
    out = tmp_path / "run"
    done = subprocess.run([*run, "--steps", "3", "--out", str(out)], **options, check=True)
    assert done.stdout.count("lookup by L") == 1
    assert json.loads((out / "metrics.json").read_text("utf-8"))["rows"]["generator"]["photos"] == 1
    assert len(read_history(out / "history.csv")) == 3


@pytest.mark.trust
def test_two_machines_without_a_shared_disk(photos, tmp_path):
    """Two torchruns on this machine, each in a folder of its own; the first writes the run."""
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    environment |= {"PYTHONPATH": str(ROOT)}
    machines = []
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for number in (0, 1):
        home = tmp_path / f"machine {number}"
        shutil.copytree(photos, home / "photos")
        where = [f"--node-rank={number}", "--master-addr=127.0.0.1", f"--master-port={port}"]
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", *where]
        run = [*torchrun, "--nproc-per-node=2", "-m", "colorlib", *TINY, "--data", "photos"]
        options = {"cwd": home, "env": environment, "stdout": subprocess.PIPE, "text": True}
        machines.append(subprocess.Popen([*run, "--steps", "3", "--out", "run"], **options))
    said = [machine.communicate(timeout=500)[0] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0]
    assert [text.count("lookup by L") for text in said] == [1, 0]
    out = tmp_path / "machine 0" / "run"
    assert len(read_history(out / "history.csv")) == 3
    assert read_config_processes(out) == 4
    assert sorted(os.listdir(tmp_path / "machine 1")) == ["photos"]


def read_config_processes(out: Path) -> int:
    return json.loads((out / "config.json").read_text("utf-8"))["environment"]["processes"]


def test_processes_with_other_photos_are_told(monkeypatch):
    monkeypatch.setattr(parallel, "from_first", lambda count: count + 1)
    with pytest.raises(ValueError, match="this process found 8 photos"):
        Batches(Pictures(8), small("l1"), torch.device("cpu"))


# --- alone, and what cannot be shared ---


def test_alone_nothing_changes():
    with parallel.together():
        assert (parallel.count(), parallel.rank(), parallel.is_first()) == (1, 0, True)
        values = torch.arange(3.0)
        assert parallel.from_first(values) is values
        assert parallel.mean_of_all(values) is values


@pytest.mark.parametrize(
    "count, batch, pictures, advice",
    [(3, 4, 10, "make batch a multiple of 3"), (4, 4, 3, "4 processes, but only 3 photos")],
)
def test_a_batch_that_cannot_be_shared(count, batch, pictures, advice, monkeypatch):
    monkeypatch.setattr(parallel, "count", lambda: count)
    monkeypatch.setattr(parallel, "from_first", lambda value: value)
    with pytest.raises(ValueError, match=advice):
        Batches(Pictures(pictures), small("l1", batch=batch), torch.device("cpu"))


def test_the_parts_of_a_batch_make_the_whole(monkeypatch):
    config = small("l1", batch=6)
    whole = Batches(Pictures(10), config, torch.device("cpu"))
    whole = [L for (L, _), _ in zip(whole.stream(0), range(4))]
    monkeypatch.setattr(parallel, "count", lambda: 2)
    monkeypatch.setattr(parallel, "from_first", lambda value: value)
    parts = []
    for rank in (0, 1):
        monkeypatch.setattr(parallel, "rank", lambda rank=rank: rank)
        stream = Batches(Pictures(10), config, torch.device("cpu")).stream(0)
        parts.append([L for (L, _), _ in zip(stream, range(4))])
    for L, *halves in zip(whole, *parts):
        assert len(halves[0]) == len(halves[1])
        assert torch.equal(torch.cat(halves), L)


def test_processes_with_the_same_photos_learn_what_one_does(monkeypatch):
    config, results = small("pix2pix"), []
    monkeypatch.setattr(parallel, "from_first", lambda value: value)
    monkeypatch.setattr(parallel, "mean_of_all", lambda values: values)
    for count in (1, 2):
        monkeypatch.setattr(parallel, "count", lambda count=count: count)
        torch.manual_seed(0)
        networks = Networks(config)
        train_step(networks, *batch_for(config), step=1)
        results.append(learned(networks.generator) | learned(networks.discriminator))
    assert_same(*results)


def test_more_processes_than_gpus(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match="use --nproc-per-node=2"), parallel.together():
        pass
