"""Several processes that train as one, each on its own GPU.

    torchrun --nproc-per-node=2 -m colorlib train pix2pix --data my_photos --batch 32

torchrun starts the same command in every process and gives each a number, its rank. Each process
trains on its own part of every batch, and their gradients are averaged (`steps.learn`), so they all
take the same steps and keep the same weights. Batch norm uses the statistics of a process's own
part. Only the first process writes the run, and its clock and its Ctrl-C count for all. If one
process dies, torchrun stops the others and says which it was; the same command continues.

For two machines, run on each (N is 0 on the first, 1 on the second; all need the same photos):

    torchrun --nnodes=2 --node-rank=N --nproc-per-node=2 --master-addr=FIRST --master-port=29500
        -m colorlib train pix2pix --data my_photos --batch 64    (all in one line)

They share no disk: each machine decodes into its own cache, and the first writes the run.

Without torchrun there is one process, and nothing here has any effect.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed

PATIENCE = timedelta(minutes=10)  # how long to wait for others, which may decode many photos


def count() -> int:
    """How many processes train together."""
    is_alone = not (distributed.is_available() and distributed.is_initialized())
    return 1 if is_alone else distributed.get_world_size()


def rank() -> int:
    """The number of this process, from 0."""
    return 0 if count() == 1 else distributed.get_rank()


def is_first() -> bool:
    """Whether this is the process that writes the run; a single process is."""
    return rank() == 0


@contextmanager
def together() -> Iterator[None]:
    """Work together with the other processes that torchrun started, in this block.

    Raises:
        ValueError: there are more processes than GPUs.
    """
    if "LOCAL_RANK" not in os.environ:
        yield
        return
    backend = "gloo"
    if torch.cuda.is_available():
        local_rank, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local_rank >= gpus:
            raise ValueError(f"there are more processes than GPUs: use --nproc-per-node={gpus}")
        torch.cuda.set_device(local_rank)
        backend = "cpu:gloo,cuda:nccl"
    distributed.init_process_group(backend, timeout=PATIENCE)
    yield
    distributed.destroy_process_group()  # after an error this would wait for the others


def from_first(value: Any) -> Any:
    """Broadcast the first process's value to all; every process must call it at the same point."""
    if count() == 1:
        return value
    values = [value]
    distributed.broadcast_object_list(values, src=0)
    return values[0]


def mean_of_all(values: Tensor) -> Tensor:
    """Average numbers over all processes, in place; all must call it at the same point."""
    if count() == 1:
        return values
    distributed.all_reduce(values)
    return values / count()
