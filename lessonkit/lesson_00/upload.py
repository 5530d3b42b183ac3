"""A learner's own photo: by a button in Jupyter, a dialog on Colab, a path anywhere else."""

import io
import os
import sys
from collections.abc import Callable
from typing import Any

from IPython.display import display
from PIL import Image

from colorlib.decode import read_photo
from lessonkit.widgets import Drawn, attempt, is_static, redrawing, show_still

# Browsers don't count HEIC, the format of iPhones, among their images.
ACCEPTED = "image/*,.heic,.heif,.jp2,.avif"


class Upload:
    """A learner's own photo, once there is one: made by `upload_photo`.

    Attributes:
        image: PIL image, mode RGB; None as long as nothing was uploaded.
    """

    def __init__(self, on_photo: Callable[[Image.Image], Drawn] | None = None) -> None:
        self.image: Image.Image | None = None
        self.on_photo = on_photo or (lambda image: image)

    def read(self, file: Any) -> Drawn:
        """Take a photo from a path or an open file, and return what `on_photo` makes of it."""
        self.image = read_photo(file)
        return self.on_photo(self.image)

    def read_widget(self, files: Any) -> Drawn:
        """Take a photo from the value of a FileUpload, and draw; nothing where it is empty."""
        data = uploaded_bytes(files)
        return self.read(io.BytesIO(data)) if data else ""


def upload_photo(
    path: str | os.PathLike | None = None,
    on_photo: Callable[[Image.Image], Drawn] | None = None,
    alt: str = "the photo that was uploaded",
) -> Upload:
    """Ask for a photo: by a button in Jupyter, a dialog on Colab; or take the one at a path.

    Args:
        path: Of a photo on this machine; nothing is asked then.
        on_photo: Draws something for a photo, shown under the button; None shows the photo.
        alt: What there is to see.

    Returns:
        An object whose `image` is the photo, or None as long as there is none (in static mode,
        and in "Run all" before the learner has chosen).

    Raises:
        PhotoError: the file at `path` is no photo that can be used.
    """
    upload = Upload(on_photo)
    if path is not None:
        show_still(upload.read(path), {}, {}, alt)
    elif is_static():
        return upload
    elif "google.colab" in sys.modules:
        show_still(attempt(upload.read_widget, {"files": ask_on_colab()}), {}, {}, alt)
    else:
        import ipywidgets

        button = ipywidgets.FileUpload(accept=ACCEPTED, multiple=False, description="your photo")
        button.layout.width = "240px"
        display(redrawing(upload.read_widget, {"files": button}))
    return upload


def ask_on_colab() -> dict:
    """Open Colab's dialog; return what was chosen in the shape of a FileUpload's value."""
    from google.colab import files

    return {name: {"content": data} for name, data in files.upload().items()}


def uploaded_bytes(files: Any) -> bytes:
    """Return what a FileUpload holds: a dict by name in ipywidgets 7, a tuple in 8."""
    entries = list(files.values() if isinstance(files, dict) else files)
    return bytes(entries[-1]["content"]) if entries else b""
