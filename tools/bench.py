"""Time the naive way of training against ours on this device, one change at a time.

python -m tools.bench
python -m tools.bench --seconds 1.5 --count 1024 --limit 120   # short

The versions of the loop are in `lessonkit.lesson_11.bench`.
"""

import math
import re
import tempfile
import time
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
    """A folder of photos; by default they are cropped from those in scikit-image."""
    count: int | None = None
    """How many photos to make; by default 4096 on a GPU, 256 on a CPU."""
    size: int = 256
    """Height and width of the training pictures, in pixels: 64, 128 or 256."""
    width: int = 64
    """Channels of the full U-Net's first level."""
    batch: int = 64
    """Photos per step in the stage with a larger batch, on a GPU."""
    seconds: float = 9.0
    """The least time to measure each number."""
    limit: float = math.inf
    """Start no further stage after this many seconds. Stages with torch.compile come last."""
    out: Path = Path("data", "results")
    """The folder to write bench-DEVICE.json to."""

    def run(self) -> None:
        """Measure the stages, write them down after each, and print the table."""
        began = time.monotonic()
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        has_gpu = device.type == "cuda"
        with tempfile.TemporaryDirectory() as scratch:
            folder = self.photos or Path(scratch, "photos")
            if self.photos is None:
                folder.mkdir()
                make_photos(folder, self.count or (4096 if has_gpu else 256))
            meter = Meter(device, self.seconds, folder, self.size, Path(scratch))
            ladder, rows = stages(self.size, self.width, self.batch, has_gpu), {}
            # compiling takes longest, so it is what a short limit leaves out
            for stage in sorted(ladder, key=lambda stage: stage.compile != "none"):
                if rows and time.monotonic() - began > self.limit:
                    print(f"left out, because the limit is reached: {stage.name}")
                    continue
                rows[stage.name] = meter.measure(stage)
                in_order = [rows[each.name] for each in ladder if each.name in rows]
                path, result = self.write(meter, in_order)
        print(f"{bench_table(result)}\n\nwritten to {path}")

    def write(self, meter: Meter, rows: list[dict]) -> tuple[Path, dict]:
        """Write the stages measured so far; return the file and its content."""
        facts = environment()
        settings = {name: getattr(self, name) for name in ("size", "width", "seconds", "batch")}
        result = {"environment": facts, "settings": settings | {"photos": len(meter.photos)}}
        result |= {"matrix_tflops": meter.matrix_rate / 1e12, "stages": rows}
        name = re.sub("[^a-z0-9]+", "-", facts["device"].lower())
        path = self.out / f"bench-{name}.json"
        write_json(path, result)
        return path, result


if __name__ == "__main__":
    tyro.cli(Bench).run()
