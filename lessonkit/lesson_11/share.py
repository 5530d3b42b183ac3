"""Lesson 11: what each of several processes does that average their gradients.

A program for `torchrun`: it starts it in every process and tells each its number, the rank.
"""

import time

import torch
from torch import Tensor, distributed, nn

from colorlib.generator import StridedUNet

STEPS = 16  # that are timed


def averaged(network: nn.Module, L: Tensor) -> Tensor:
    """The first layer's gradient, averaged by DDP; L: the whole batch, the same in each process."""
    shared = nn.parallel.DistributedDataParallel(network)
    part = L.chunk(distributed.get_world_size())[distributed.get_rank()]
    shared(part).abs().mean().backward()  # the average is taken in here
    return network[0].weight.grad.clone()


def pictures_a_second(count: int) -> float:
    """The rate of all processes together, in steps of a lean U-Net on `count` small pictures."""
    lean = nn.parallel.DistributedDataParallel(StridedUNet(16))
    batch = torch.rand(count // distributed.get_world_size(), 1, 64, 64)
    for step in range(STEPS + 1):
        if step == 1:  # the first one is slow
            start = time.perf_counter()
        lean(batch).abs().mean().backward()
    return STEPS * count / (time.perf_counter() - start)


def main() -> None:
    """Average a gradient, compare it with that of the whole batch, and time the lean U-Net."""
    distributed.init_process_group("gloo")
    torch.manual_seed(0)  # the same weights and the same batch everywhere
    network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.LeakyReLU(0.2), nn.Conv2d(8, 2, 3))
    L = torch.rand(8, 1, 16, 16)
    mine = averaged(network, L)
    network.zero_grad()
    network(L).abs().mean().backward()  # all eight pictures, alone
    whole = network[0].weight.grad
    error = ((mine - whole).abs().max() / whole.abs().max()).item()
    said = f"rank {distributed.get_rank()} of {distributed.get_world_size()}"
    said += f": the gradient is off by {error:.0e} of its largest number"
    print(f"{said}; {pictures_a_second(16):.0f} pictures a second in all\n", end="", flush=True)
    distributed.barrier()  # who leaves while another still talks to him may tear him down
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
