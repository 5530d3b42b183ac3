"""Play and record the runs of lesson 07: one healthy, the others with one fault each.

python -m tools.recordings
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import tyro
from PIL import Image

from colorlib.color import L_ab_to_rgb
from colorlib.runs import atomic_write, write_json
from lessonkit.lesson_07.recordings import (
    CASES,
    EVERY,
    Data,
    Recording,
    make_data,
    measure,
    record,
    short,
)
from lessonkit.toy_gan import one_thread
from tools import ROOT


def yardsticks(data: Data) -> dict[str, dict[str, float]]:
    """Measure the true colors and gray."""
    known = {"real": data.test_ab, "gray": torch.zeros_like(data.test_ab)}
    return {
        name: {kind: short(value) for kind, value in measure(ab, data).items()}
        for name, ab in known.items()
    }


def sheet(recording: Recording, data: Data) -> Image.Image:
    """Arrange the pictures: one column per picture, one row per moment, the truth last."""
    L, real_ab = data.test_L[data.shown], data.test_ab[data.shown]
    rows = [L_ab_to_rgb(L, ab) for ab in [*recording.pictures, real_ab]]
    joined = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)
    return Image.fromarray((255 * joined).round().byte().permute(1, 2, 0).numpy())


@dataclass
class Recordings:
    """Play the runs of lesson 07 and write them to files. Finished runs are skipped."""

    names: tuple[str, ...] = tuple(CASES)
    """Which runs."""
    steps: int = 240
    """Steps per run; fewer for runs with several turns per step."""
    count: int = 1000
    """Number of training scenes."""
    out: Path = ROOT / "data" / "results" / "curves"
    """The folder to write to."""

    @one_thread()  # the last digits depend on the number of threads
    def run(self) -> None:
        """Play the missing runs and write their files."""
        data = None
        for name in self.names:
            facts = self.facts(name)
            if self.is_done(name, facts):
                print(f"{name}: already recorded")
                continue
            data = data or make_data(self.count)
            recording = record(CASES[name], data, self.steps, EVERY)
            with atomic_write(self.out / f"{name}.jpg") as temporary:
                sheet(recording, data).save(temporary, "JPEG", quality=90, subsampling=0)
            kept = {"moments": recording.moments, **yardsticks(data), "columns": recording.columns}
            write_json(self.out / f"{name}.json", {**facts, **kept})
            print(f"{name}: {', '.join(f'{k} {v[-1]}' for k, v in recording.columns.items())}")

    def facts(self, name: str) -> dict:
        """Everything that a recording depends on."""
        config = asdict(CASES[name])
        return {
            "name": name,
            "changed": config.pop("changed"),
            "config": {"steps": self.steps, "count": self.count, **config},
        }

    def is_done(self, name: str, facts: dict) -> bool:
        """Whether both files of a run exist and were made with the same configuration."""
        path = self.out / f"{name}.json"
        if not path.exists() or not path.with_suffix(".jpg").exists():
            return False
        return facts.items() <= json.loads(path.read_text("utf-8")).items()


if __name__ == "__main__":
    tyro.cli(Recordings).run()
