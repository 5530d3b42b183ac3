"""How hard the tests try: COLORLIB_TRUST=1 asks for the long versions, as `make trust` does."""

import os

import matplotlib.pyplot as plt
import pytest
from hypothesis import settings

# `make test` tries the same inputs every time; `make trust` draws new ones
settings.register_profile("test", max_examples=200, deadline=None, derandomize=True)
settings.register_profile("trust", max_examples=10_000, deadline=None)
settings.load_profile("trust" if os.environ.get("COLORLIB_TRUST") else "test")


@pytest.fixture(autouse=True)
def no_figures():
    """Each test begins without open figures."""
    plt.close("all")
