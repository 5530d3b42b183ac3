"""Several processes that train as one, each on a GPU of its own.

    torchrun --nproc-per-node=2 -m colorlib train --recipe pix2pix --data my_photos --batch 32

torchrun starts the same command in every process and tells each its number, the rank. Each learns
from its own part of every batch; `DistributedDataParallel` averages their gradients while they are
still being computed, so that all take the same step and keep the same weights. Batch norm takes
its statistics from the part that its process sees. Process 0 alone writes files, and what it sees
of the time and of Ctrl-C holds for all.

Where nobody has called torchrun there is one process, and nothing here does anything.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed

PATIENCE = timedelta(minutes=10)  # of one process with another; the first may decode many photos


def count() -> int:
    """How many processes train together."""
    is_alone = not (distributed.is_available() and distributed.is_initialized())
    return 1 if is_alone else distributed.get_world_size()


def rank() -> int:
    """The number of this process, from 0 on."""
    return 0 if count() == 1 else distributed.get_rank()


def is_first() -> bool:
    """Whether this is the process that writes the files; alone, it is."""
    return rank() == 0


@contextmanager
def together() -> Iterator[None]:
    """Work together in this block with the other processes that torchrun has started.

    Raises:
        ValueError: there are more processes than GPUs.
        ConnectionError: another process has stopped, or did not answer in time.
        KeyboardInterrupt: torchrun ends this process, because another one has stopped.
    """
    if "LOCAL_RANK" not in os.environ:
        yield
        return
    local_rank, backend = int(os.environ["LOCAL_RANK"]), "gloo"
    if torch.cuda.is_available():
        if local_rank >= (gpus := torch.cuda.device_count()):
            raise ValueError(f"there are more processes than GPUs: take --nproc-per-node={gpus}")
        torch.cuda.set_device(local_rank)
        backend = "cpu:gloo,cuda:nccl"
    previous = signal.signal(signal.SIGTERM, _end)
    try:
        distributed.init_process_group(backend, timeout=PATIENCE)
        yield
        distributed.destroy_process_group()  # after an error this would wait for the others
        signal.signal(signal.SIGTERM, previous)
    except BaseException as error:
        # torchrun ends this process as soon as another one has failed: first, say what happened
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if not isinstance(error, distributed.DistError) and "gloo" not in str(error):
            raise
        raise ConnectionError(
            "another of the processes that train together has stopped (its own message says why) "
            f"or not answered for {PATIENCE.seconds // 60} minutes; the same command goes on from "
            "the last checkpoint"
        ) from error


def _end(*_: object) -> None:
    raise KeyboardInterrupt(
        "ended by torchrun, as it does when another process has stopped; the same command goes on "
        "from the last checkpoint"
    )


def from_first(value: Any) -> Any:
    """What process 0 calls this with, in every process; each must call it at the same point."""
    if count() == 1:
        return value
    values = [value]
    distributed.broadcast_object_list(values, src=0)
    return values[0]


@contextmanager
def first_goes_first() -> Iterator[None]:
    """Let process 0 run this block before the others do: they find the files that it writes."""
    if not is_first():
        from_first(None)  # returns when process 0 comes to its own call, below
    yield
    if is_first():
        from_first(None)


def mean_of_all(values: Tensor) -> Tensor:
    """The mean over all processes of numbers that each has; each must call it."""
    if count() == 1:
        return values
    distributed.all_reduce(values)
    return values / count()
