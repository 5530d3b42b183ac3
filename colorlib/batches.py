"""Photos as batches of L and ab: in what order, how changed, and where they wait until then.

All photos that are there as one uint8 tensor (`dataset.rgb`, (N, 3, H, W)) are gathered without a
loop, from the first of these places that has room for them:

    the device, as L and ab     few photos: converted once, and kept
    a GPU, as bytes             converted batch by batch, as all that follow
    memory, or a mapped file    gathered two batches ahead, while the device computes

Of any other data set they are asked for one by one.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from colorlib import parallel
from colorlib.color import rgb_to_L_ab
from colorlib.config import TrainConfig

KEEP_ON_DEVICE = 2**31  # bytes of L and ab that may be converted once and kept
SHARE_OF_MEMORY = 1 / 4  # of a GPU's that is free, which photos may take as bytes
AHEAD = 2  # batches that are gathered while the device computes


class Batches:
    """A data set as batches of (L, real_ab) on the device.

    The order, mirroring and zoom of an epoch follow from the seed and the epoch's number alone, so
    that a run resumed in the middle of an epoch sees what it would have seen. Of several processes
    that train together each gets its own part of every batch; the last one is filled up to be
    shared evenly.

    Args:
        dataset: gives uint8 rgb, (3, H, W), each.
        config: batch, seed, is_flipped and zoom are read.
        device: where the batches are to be.

    Attributes:
        kept: L and ab of all photos on the device, if they are kept there; else None.
        home: the device on which photos are gathered.

    Raises:
        ValueError: the data set is empty, its pictures have another size than the config says, or
            several processes cannot share it evenly.
    """

    def __init__(self, dataset: Dataset, config: TrainConfig, device: torch.device):
        _check(dataset, config)
        self.dataset, self.config, self.device = dataset, config, device
        self.rgb, self.kept = getattr(dataset, "rgb", None), None
        self.home = torch.device("cpu")
        if self.rgb is not None:
            self._move_in()

    def _move_in(self) -> None:
        if self.rgb.numel() * 4 <= KEEP_ON_DEVICE:  # a float32 for every byte
            chunks = [rgb_to_L_ab(chunk.to(self.device)) for chunk in self.rgb.split(256)]
            self.kept = [torch.cat(part) for part in zip(*chunks, strict=True)]
        elif self.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.device)
            if self.rgb.numel() <= SHARE_OF_MEMORY * free:
                self.rgb = self.rgb.to(self.device)
        self.home = self.rgb.device if self.kept is None else self.kept[0].device

    def __len__(self) -> int:
        """Batches in an epoch; the last one may be smaller."""
        return -(-len(self.dataset) // self.config.batch)

    def stream(self, step: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches without end, from the one after `step` on."""
        while True:
            indices, mirrors, places = self._rest_of_epoch(step)
            for batch, mirror, place in zip(self._load(indices), mirrors, places, strict=True):
                if self.config.is_flipped:
                    mirror = mirror[:, None, None, None]
                    batch = tuple(torch.where(mirror, part.flip(-1), part) for part in batch)
                yield self._zoom(batch, place) if self.config.zoom > 1 else batch
            step += len(indices)

    def _rest_of_epoch(self, step: int) -> tuple[list[Tensor], ...]:
        """What is drawn for the batches after `step` in its epoch: a list for each, in order.

        For every picture of a batch: its index (B,), whether it is mirrored (B,), and three numbers
        in 0..1 for its zoom (B, 3).
        """
        epoch, position = divmod(step, len(self))
        random = torch.Generator().manual_seed(self.config.seed * 1_000_003 + epoch)
        order = torch.randperm(len(self.dataset), generator=random)
        mirrored = torch.rand(len(order), generator=random) < 0.5 * self.config.is_flipped
        places = torch.rand(len(order), 3, generator=random)
        # copied once an epoch: at each copy the CPU waits for the GPU
        drawn = (order.to(self.home), mirrored.to(self.device), places.to(self.device))
        return tuple(self._share(part)[position:] for part in drawn)

    def _share(self, epoch: Tensor) -> list[Tensor]:
        """What this process gets of every batch of an epoch."""
        missing = -len(epoch) % parallel.count()
        batches = torch.cat([epoch, epoch[:missing]]).split(self.config.batch)
        return [batch.chunk(parallel.count())[parallel.rank()] for batch in batches]

    def _zoom(self, batch: tuple[Tensor, ...], place: Tensor) -> tuple[Tensor, ...]:
        """Enlarge each picture and cut it to size; place (B, 3), 0..1: how much, and where."""
        shown = 1 / (1 + (self.config.zoom - 1) * place[:, 0])  # share of the width that is kept
        corner = (1 - shown[:, None]) * (2 * place[:, 1:] - 1)
        affine = torch.zeros(len(place), 2, 3, device=self.device)
        affine[:, 0, 0] = affine[:, 1, 1] = shown
        affine[:, :, 2] = corner
        grid = functional.affine_grid(affine, batch[0].shape, align_corners=False)
        options = {"padding_mode": "border", "align_corners": False}
        return tuple(functional.grid_sample(part, grid, **options) for part in batch)

    def _load(self, indices: list[Tensor]) -> Iterator[tuple[Tensor, ...]]:
        """L and ab of the pictures that each batch names, on the device."""
        if self.kept is not None:
            for chosen in indices:
                yield tuple(part.index_select(0, chosen) for part in self.kept)
        else:
            for rgb in self._photos(indices):
                yield rgb_to_L_ab(rgb.to(self.device, non_blocking=True))

    def _photos(self, indices: list[Tensor]) -> Iterable[Tensor]:
        """Batches of uint8 rgb: on the device, or where it can fetch them by itself (pinned)."""
        if self.home.type == "cuda":
            return (self.rgb.index_select(0, chosen) for chosen in indices)
        if self.rgb is not None:
            return ahead(map(self._gather, indices))
        own = torch.Generator()  # else the loader draws from the run's random numbers
        options = {"generator": own, "pin_memory": self.device.type == "cuda"}
        return DataLoader(self.dataset, batch_sampler=[c.tolist() for c in indices], **options)

    def _gather(self, chosen: Tensor) -> Tensor:
        shape, is_pinned = (len(chosen), *self.rgb.shape[1:]), self.device.type == "cuda"
        rgb = torch.empty(shape, dtype=torch.uint8, pin_memory=is_pinned)
        return torch.index_select(self.rgb, 0, chosen, out=rgb)


def ahead(items: Iterable, count: int = AHEAD) -> Iterator:
    """What `items` gives (never None), so many items ahead in a thread of its own."""
    items = iter(items)
    with ThreadPoolExecutor(1) as pool:
        waiting = deque(pool.submit(next, items, None) for _ in range(count))
        while (item := waiting.popleft().result()) is not None:
            waiting.append(pool.submit(next, items, None))
            yield item


def _check(dataset: Dataset, config: TrainConfig) -> None:
    if len(dataset) == 0:
        raise ValueError("the data set is empty: there is nothing to learn from")
    wanted, got = (3, config.size, config.size), tuple(dataset[0].shape)
    if got != wanted:
        raise ValueError(f"the config says pictures of {wanted}, the data set has {got}")
    if config.batch % (processes := parallel.count()) or len(dataset) < processes:
        what = f"{len(dataset)} pictures in batches of {config.batch}"
        advice = f"take a multiple of {processes} as batch"
        raise ValueError(f"{processes} processes cannot share {what} evenly: {advice}")
