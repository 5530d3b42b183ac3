"""What only the notebooks import. It may import colorlib; colorlib never imports it.

profiles     how much a lesson computes: ci, laptop or full
figures      one style for all figures, pictures side by side, alternative text
diagrams     drawings of the U-Net, the two players and the training procedure
widgets      controls that redraw a figure, and still pictures where nothing can move
checks       the machinery of the instant checks
frames       the frames that the website's sliders show
results      recorded results of long runs as tables
lpips        LPIPS, from torchmetrics
yuv          YUV as television has it (lessons 00 and 01)
toy_gan      a GAN of single numbers (lessons 02 and 07)
watch        samples and curves of a run (lessons 06 and 10)
lesson_NN    what only lesson NN imports; `checks` examines the answers to its exercises
"""

import json
from pathlib import Path
from tempfile import TemporaryFile, mkdtemp

ROOT = Path(__file__).parents[1]


def course_file(name: str) -> Path:
    """Find a file or folder of the course from wherever a notebook runs.

    A learner's copy may lie anywhere below the course's folder, and on Colab the package is
    installed elsewhere. So look from the working directory upward first.

    Args:
        name: relative to the course's folder, such as "colorlib/weights".
    Returns:
        Its absolute path.
    Raises:
        FileNotFoundError: the course has no such file, or the notebook is outside of the course.
    """
    for folder in [*(Path.cwd() / "here").parents, ROOT]:
        if (folder / "data" / "README.md").exists() and (folder / name).exists():
            return folder / name
    raise FileNotFoundError(
        f"{name} was not found in the course's folder. Open the notebook from inside the course. "
        "If that is where it is, part of the course is missing: download it again."
    )


def course_results(name: str) -> dict:
    """Read a recorded result from data/results, such as "scenes" or "brown".

    Raises:
        FileNotFoundError: the course has no such result.
    """
    return json.loads(course_file(f"data/results/{name}.json").read_text("utf-8"))


def writable(folder: Path) -> Path:
    """Create a folder for what the learner makes; if that fails, use a temporary one and say so.

    Args:
        folder: where the lesson would like to write.
    Returns:
        The folder, or a temporary one with the same name.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=folder).close()
    except OSError as error:
        elsewhere = Path(mkdtemp(), folder.name)
        elsewhere.mkdir()
        print(f"Can't write to {folder} ({error.strerror}). Your files go to {elsewhere} instead.")
        return elsewhere
    return folder
