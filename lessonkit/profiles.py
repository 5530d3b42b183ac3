"""How much a lesson computes: three profiles, a seed, a device.

A lesson runs in seconds for the tests (ci), in minutes on a laptop's CPU (laptop), at full size
on a GPU (full). It opens with

    setting = begin(seed=0)
    steps = setting.choose(ci=5, laptop=250, full=2500)
"""

import os
import platform
import random
from importlib.metadata import version
from typing import NamedTuple, TypeVar

import numpy as np
import torch

PROFILES = ("ci", "laptop", "full")

T = TypeVar("T")


class Setting(NamedTuple):
    """What a lesson runs with: made by `begin`."""

    profile: str
    device: torch.device
    seed: int

    def choose(self, *, ci: T, laptop: T, full: T) -> T:
        """Return the value for this setting's profile."""
        return choose(ci=ci, laptop=laptop, full=full, name=self.profile)


def profile(name: str | None = None) -> str:
    """Say which profile holds: `name`, else COLORLIB_PROFILE, else the hardware's.

    Args:
        name: "ci", "laptop" or "full"; None leaves the choice to the environment.
    Returns:
        One of `PROFILES`; by hardware "full" where CUDA is, else "laptop".
    Raises:
        ValueError: the argument or the variable names no profile.
    """
    by_hardware = "full" if torch.cuda.is_available() else "laptop"
    chosen = name or os.environ.get("COLORLIB_PROFILE") or by_hardware
    if chosen not in PROFILES:
        source = "argument" if name else "COLORLIB_PROFILE"
        raise ValueError(f"{source}: no profile {chosen!r}; use one of {', '.join(PROFILES)}")
    return chosen


def choose(*, ci: T, laptop: T, full: T, name: str | None = None) -> T:
    """Return the value for the profile that holds, or for the one named.

    Example:
        >>> choose(ci=5, laptop=250, full=2500, name="laptop")
        250
    """
    return {"ci": ci, "laptop": laptop, "full": full}[profile(name)]


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and torch's global random numbers, torch's on every device."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def begin(seed: int = 0, profile: str | None = None) -> Setting:
    """Seed everything and print, in one line, what the lesson's numbers depend on.

    Args:
        seed: for every random number of the lesson.
        profile: as in the function `profile`.
    Returns:
        The profile, the device (CUDA where it is, else the CPU) and the seed.
    Raises:
        ValueError: there is no such profile.
    """
    seed_everything(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = choose(ci="ci", laptop="laptop", full="full", name=profile)
    versions = [f"{package} {version(package)}" for package in ("torch", "scikit-image", "numpy")]
    machine = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    facts = [f"Python {platform.python_version()}", *versions, machine]
    print(" · ".join([*facts, f"profile {name}", f"seed {seed}"]))
    return Setting(name, device, seed)
