"""Photos as batches of L and ab: in what order, how augmented, and where they are kept.

If a data set has all its photos in one uint8 tensor (`dataset.rgb`, (N, 3, H, W)) and they fit, L
and ab of all photos are computed once and kept on the device. Otherwise its photos are read and
converted batch by batch.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from colorlib import parallel
from colorlib.color import rgb_to_L_ab
from colorlib.config import TrainConfig

KEEP_ON_DEVICE = 2**31  # bytes of L and ab that may be kept on the device


class Batches:
    """A data set as batches of (L, real_ab) on the device.

    The order, the mirroring and the zoom of an epoch depend only on the seed and on the number of
    the epoch, so a run that resumes in the middle of an epoch sees the same batches. With several
    processes, each gets its own part of every batch; photos are repeated to fill the last batch.

    Args:
        dataset: items are uint8 rgb, (3, H, W).
        config: `batch`, `seed`, `flip` and `zoom` are used.
        device: where the batches go.

    Attributes:
        kept: L and ab of all photos on the device if they fit, else None.

    Raises:
        ValueError: the data set is empty or its photos have the wrong size, or the processes
            can't divide the batches evenly.
    """

    def __init__(self, dataset: Dataset, config: TrainConfig, device: torch.device):
        _check(dataset, config)
        self.dataset, self.config, self.device = dataset, config, device
        rgb, self.kept = getattr(dataset, "rgb", None), None
        if rgb is not None and rgb.numel() * 4 <= KEEP_ON_DEVICE:  # float32 per byte
            chunks = [rgb_to_L_ab(chunk.to(device)) for chunk in rgb.split(256)]
            self.kept = [torch.cat(part) for part in zip(*chunks, strict=True)]

    def __len__(self) -> int:
        """The number of batches in an epoch; the last one may be smaller."""
        return -(-len(self.dataset) // self.config.batch)

    def stream(self, step: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield batches without end, starting after batch number `step` of the run."""
        while True:
            indices, mirrored, places = self._rest_of_epoch(step)
            for batch, mirror, place in zip(self._load(indices), mirrored, places, strict=True):
                mirror = mirror[:, None, None, None]
                batch = tuple(torch.where(mirror, part.flip(-1), part) for part in batch)
                yield self._zoom(batch, place) if self.config.zoom > 1 else batch
            step += len(indices)

    def _rest_of_epoch(self, step: int) -> list[list[Tensor]]:
        """Draw what the batches after `step` in this epoch need.

        For every photo of a batch: its index (B,), whether it is mirrored (B,), and three numbers
        in 0..1 for its zoom (B, 3).
        """
        epoch, position = divmod(step, len(self))
        random = torch.Generator().manual_seed(self.config.seed * 1_000_003 + epoch)
        order = torch.randperm(len(self.dataset), generator=random)
        mirrored = torch.rand(len(order), generator=random) < 0.5 * self.config.flip
        places = torch.rand(len(order), 3, generator=random)
        # copied once per epoch, because the CPU waits for the GPU at each copy
        home = "cpu" if self.kept is None else self.device  # where photos are picked for a batch
        drawn = (order.to(home), mirrored.to(self.device), places.to(self.device))
        return [self._own_parts(part)[position:] for part in drawn]

    def _own_parts(self, epoch: Tensor) -> list[Tensor]:
        """Split an epoch into batches, and take this process's part of each."""
        missing = -len(epoch) % parallel.count()
        batches = torch.cat([epoch, epoch[:missing]]).split(self.config.batch)
        return [batch.chunk(parallel.count())[parallel.rank()] for batch in batches]

    def _zoom(self, batch: tuple[Tensor, ...], place: Tensor) -> tuple[Tensor, ...]:
        """Enlarge and crop each photo; `place` (B, 3), 0..1, says how much and where."""
        scale = 1 / (1 + (self.config.zoom - 1) * place[:, 0])  # visible fraction of the width
        affine = torch.zeros(len(place), 2, 3, device=self.device)
        affine[:, 0, 0] = affine[:, 1, 1] = scale
        affine[:, :, 2] = (1 - scale[:, None]) * (2 * place[:, 1:] - 1)
        grid = functional.affine_grid(affine, batch[0].shape, align_corners=False)
        options = {"padding_mode": "border", "align_corners": False}
        return tuple(functional.grid_sample(part, grid, **options) for part in batch)

    def _load(self, indices: list[Tensor]) -> Iterator[tuple[Tensor, ...]]:
        """Yield L and ab of the photos in each batch, on the device."""
        for chosen in indices:
            if self.kept is not None:
                yield tuple(part.index_select(0, chosen) for part in self.kept)
                continue
            rgb = torch.stack([self.dataset[index] for index in chosen.tolist()])
            if self.device.type == "cuda":
                rgb = rgb.pin_memory()
            yield rgb_to_L_ab(rgb.to(self.device, non_blocking=True))


def _check(dataset: Dataset, config: TrainConfig) -> None:
    processes, count = parallel.count(), len(dataset)
    if count == 0:
        raise ValueError("the data set is empty: there is nothing to learn from")
    if parallel.from_first(count) != count:
        raise ValueError(f"this process found {count} photos, another more or fewer: use the same")
    wanted, got = (3, config.size, config.size), tuple(dataset[0].shape)
    if got != wanted:
        raise ValueError(f"the config says photos of {wanted}, the data set has {got}")
    if count < processes:
        raise ValueError(f"there are {processes} processes, but only {count} photos: use fewer")
    if config.batch % processes:
        raise ValueError(
            f"make batch a multiple of {processes}, the number of processes, not {config.batch}"
        )
