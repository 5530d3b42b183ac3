"""How much a lesson computes: three profiles, a seed, a device.

A lesson runs in seconds for the tests (ci), in minutes on a laptop CPU (laptop), or at full size
on a GPU (full). It starts with

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

from colorlib.runs import choose_device

PROFILES = ("ci", "laptop", "full")

T = TypeVar("T")


class Setting(NamedTuple):
    """What a lesson runs with; created by `begin`."""

    profile: str
    device: torch.device
    seed: int

    def choose(self, *, ci: T, laptop: T, full: T) -> T:
        """Return the value for this setting's profile."""
        return choose(ci=ci, laptop=laptop, full=full, name=self.profile)


def profile(name: str | None = None) -> str:
    """Choose the profile: `name` first, then COLORLIB_PROFILE, then the hardware.

    Args:
        name: "ci", "laptop" or "full"; None to let the environment decide.
    Returns:
        One of `PROFILES`. The hardware decides for "full" with CUDA and "laptop" without.
    Raises:
        ValueError: there is no profile with that name.
    """
    by_hardware = "full" if torch.cuda.is_available() else "laptop"
    chosen = name or os.environ.get("COLORLIB_PROFILE") or by_hardware
    if chosen not in PROFILES:
        source = "argument" if name else "COLORLIB_PROFILE"
        raise ValueError(f"{source}: unknown profile {chosen!r}; use one of {', '.join(PROFILES)}")
    return chosen


def choose(*, ci: T, laptop: T, full: T, name: str | None = None) -> T:
    """Return the value for the current profile, or for the one named.

    Example:
        >>> choose(ci=5, laptop=250, full=2500, name="laptop")
        250
    """
    return {"ci": ci, "laptop": laptop, "full": full}[profile(name)]


def seed_everything(seed: int) -> None:
    """Seed the global random numbers of Python, NumPy and torch (on every device)."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def begin(seed: int = 0, profile: str | None = None) -> Setting:
    """Seed everything and print, in one line, what the lesson's numbers depend on.

    Args:
        seed: seed of all random numbers in the lesson.
        profile: see the function `profile`.
    Returns:
        The profile, the device (see `colorlib.runs.choose_device`) and the seed.
    Raises:
        ValueError: there is no profile with that name.
    """
    seed_everything(seed)
    device = choose_device()
    name = choose(ci="ci", laptop="laptop", full="full", name=profile)
    versions = [f"{package} {version(package)}" for package in ("torch", "scikit-image", "numpy")]
    machine = torch.cuda.get_device_name() if device.type == "cuda" else device.type.upper()
    facts = [f"Python {platform.python_version()}", *versions, machine]
    print(" · ".join([*facts, f"profile {name}", f"seed {seed}"]))
    return Setting(name, device, seed)
