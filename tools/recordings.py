"""Play the runs of lesson 07, one healthy and the others with one fault each, and record them.

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
    """What `measure` says of the true colors and of gray."""
    known = {"real": data.test_ab, "gray": torch.zeros_like(data.test_ab)}
    return {
        name: {kind: short(value) for kind, value in measure(ab, data).items()}
        for name, ab in known.items()
    }


def sheet(recording: Recording, data: Data) -> Image.Image:
    """The shown pictures in columns, the moments in rows, the truth in the last row."""
    L, real_ab = data.test_L[data.shown], data.test_ab[data.shown]
    rows = [L_ab_to_rgb(L, ab) for ab in [*recording.pictures, real_ab]]
    joined = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)
    return Image.fromarray((255 * joined).round().byte().permute(1, 2, 0).numpy())


@dataclass
class Recordings:
    """Play the runs of lesson 07 and write them down. What is done is not done again."""

    names: tuple[str, ...] = tuple(CASES)
    """Which runs."""
    steps: int = 240
    """How many steps each; with several turns a step, fewer."""
    count: int = 1000
    """How many scenes to learn from."""
    out: Path = ROOT / "data" / "results" / "curves"
    """The folder to write to."""

    @one_thread()  # with more, the last digits would depend on how many there are
    def run(self) -> None:
        """Play and write."""
        data = None
        for name in self.names:
            facts = self.facts(name)
            if self.is_done(name, facts):
                print(f"{name}: is there")
                continue
            data = data or make_data(self.count)
            recording = record(CASES[name], data, self.steps, EVERY)
            with atomic_write(self.out / f"{name}.jpg") as temporary:
                sheet(recording, data).save(temporary, "JPEG", quality=90, subsampling=0)
            kept = {"moments": recording.moments, **yardsticks(data), "columns": recording.columns}
            write_json(self.out / f"{name}.json", {**facts, **kept})
            print(f"{name}: {', '.join(f'{k} {v[-1]}' for k, v in recording.columns.items())}")

    def facts(self, name: str) -> dict:
        """What a recording depends on, and how it is known again."""
        config = asdict(CASES[name])
        return {
            "name": name,
            "changed": config.pop("changed"),
            "config": {"steps": self.steps, "count": self.count, **config},
        }

    def is_done(self, name: str, facts: dict) -> bool:
        """Whether both files of a run are there, and are of this very configuration."""
        path = self.out / f"{name}.json"
        if not path.exists() or not path.with_suffix(".jpg").exists():
            return False
        return facts.items() <= json.loads(path.read_text("utf-8")).items()


if __name__ == "__main__":
    tyro.cli(Recordings).run()
