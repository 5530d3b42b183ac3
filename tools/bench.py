"""Time the naive way of training against ours, one change at a time, on this device.

python -m tools.bench
"""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from colorlib.runs import environment, write_json
from lessonkit.lesson_11.bench import Meter, bench_table, make_photos, stages


@dataclass
class Bench:
    """Measure the naive way of training against ours, on this device, one change at a time."""

    photos: Path | None = None
    """A folder of photos; by default some are cut from those of scikit-image."""
    count: int | None = None
    """How many photos to make; by default 4096 on a GPU, 256 on a CPU."""
    size: int = 256
    """Height and width of the training pictures, in pixels: 64, 128 or 256."""
    width: int = 64
    """Channels of the full U-Net's first level."""
    batch: int = 64
    """Photos a step in the stage with a larger batch, on a GPU."""
    seconds: float = 9.0
    """How long each number is measured, at least."""
    out: Path = Path("data", "results")
    """The folder to write bench-DEVICE.json to."""

    def run(self) -> None:
        """Measure all stages, print the table and write it down."""
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        has_gpu, facts = device.type == "cuda", environment()
        with tempfile.TemporaryDirectory() as scratch:
            folder = self.photos or Path(scratch, "photos")
            if self.photos is None:
                folder.mkdir()
                make_photos(folder, self.count or (4096 if has_gpu else 256))
            meter = Meter(device, self.seconds, folder, self.size, Path(scratch))
            ladder = stages(self.size, self.width, self.batch, has_gpu)
            rows = [meter.measure(stage) for stage in ladder]
        settings = {name: getattr(self, name) for name in ("size", "width", "seconds", "batch")}
        result = {"environment": facts, "settings": settings | {"photos": len(meter.photos)}}
        result |= {"matrix_tflops": meter.matrix_rate / 1e12, "stages": rows}
        name = re.sub("[^a-z0-9]+", "-", facts["device"].lower())
        write_json(self.out / f"bench-{name}.json", result)
        print(f"{bench_table(result)}\n\nwritten to {self.out / f'bench-{name}.json'}")


if __name__ == "__main__":
    tyro.cli(Bench).run()
