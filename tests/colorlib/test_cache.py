"""The cache of decoded photos: nothing comes out of it that would not come out without it."""

import errno
import os
import sys
import warnings
from pathlib import Path

import pytest
import torch
from PIL import Image
from skimage import data
from test_photos import color_picture, encode

from colorlib import batches, photos
from colorlib.cli import main
from colorlib.config import TrainConfig
from colorlib.photos import PhotoError, PhotoFolder, open_data


@pytest.mark.parametrize("kind", [".bytes", ".json"])
def test_what_is_gone_is_made_again(kind, folder, tmp_path, decoded):
    cache = tmp_path / "cache"
    whole = open_data(folder, 16, 0, cache=None)
    open_data(folder, 16, 0, cache=cache)
    next(cache.glob(f"*{kind}")).unlink()
    decoded.clear()
    assert same(open_data(folder, 16, 0, cache=cache), whole) and decoded


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "full")])
def test_an_interrupted_decoding_leaves_nothing_behind(error, folder, tmp_path, monkeypatch):
    def stop(names, read, size, fit, file):
        file.write(b"half")
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(photos, "decode_all", stop)
        with pytest.raises(type(error)):
            open_data(folder, 16, 0, cache=tmp_path / "cache")
    assert {item.suffix for item in (tmp_path / "cache").iterdir()} <= {".lock"}


# photos


@pytest.fixture(autouse=True)
def few_are_worth_it(monkeypatch):
    monkeypatch.setattr(photos, "WORTH_CACHING", 5)


@pytest.fixture
def folder(tmp_path):
    """Twenty photos, a copy, and files that are none by their name, header or content."""
    root = tmp_path / "my photos ё"
    (root / "more").mkdir(parents=True)
    for seed in range(20):
        color_picture(24, 32, seed).save(root / ("more" if seed % 2 else "") / f"{seed}.png")
    (root / "copy.png").write_bytes((root / "8.png").read_bytes())
    (root / "cut.png").write_bytes((root / "4.png").read_bytes()[:-300])
    Image.new("RGB", (30, 30), (9, 9, 9)).save(root / "gray.png")
    (root / "empty.jpg").touch()
    if sys.platform == "linux":  # elsewhere a name is text
        (root / os.fsdecode(b"\xff.png")).write_bytes(encode(color_picture(seed=30), "PNG"))
    return root


@pytest.fixture
def decoded(monkeypatch):
    """The photos that are decoded, as they are."""
    seen, read = [], photos.read_photo
    monkeypatch.setattr(
        photos, "read_photo", lambda path, side: (seen.append(path), read(path, side))[1]
    )
    return seen


def same(one, other) -> bool:
    return all(
        mine.names == yours.names
        and mine.left_out == yours.left_out
        and torch.equal(mine.rgb, yours.rgb)
        for mine, yours in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("fit", ["crop", "stretch"])
def test_what_comes_out_is_the_same_as_without(fit, folder, tmp_path, decoded):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        without = open_data(folder, 16, seed=0, fit=fit, cache=None)
        assert not (tmp_path / "cache").exists()
        for _ in range(2):
            assert same(open_data(folder, 16, 0, fit, cache=tmp_path / "cache"), without)
    assert len(decoded) == 2 * len(set(decoded))  # without, and once for the cache
    names = without[0].names + without[1].names
    assert len(names) == 20 + (sys.platform == "linux")
    assert len({"copy.png", "8.png"} & {*names}) == 1
    assert not {"cut.png", "gray.png", "empty.jpg"} & {*names}


@pytest.mark.parametrize("seed", [0, 1])
def test_another_seed_decodes_nothing_again(seed, folder, tmp_path, decoded):
    open_data(folder, 16, seed=0, cache=tmp_path / "cache")
    decoded.clear()
    train, test = open_data(folder, 16, seed, cache=tmp_path / "cache")
    assert not decoded
    (content,) = (tmp_path / "cache").glob("*.bytes")
    rows = len(train) + len(test)
    assert content.stat().st_size == rows * 3 * 16 * 16  # bad photos take no place
    if seed == 0:  # both parts are slices of the file
        storages = {part.rgb.untyped_storage().data_ptr() for part in (train, test)}
        assert len(storages) == 1
    other = train.pick(train.names[::-1])
    assert torch.equal(other.rgb, train.rgb.flip(0))


def change_a_photo(folder):
    color_picture(24, 32, seed=50).save(folder / "0.png")


def change_only_its_time(folder):
    status = (folder / "0.png").stat()
    os.utime(folder / "0.png", ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def change_all_but_its_time(folder):
    status = (folder / "0.png").stat()
    change_a_photo(folder)
    os.truncate(folder / "0.png", status.st_size - 1)  # noise is as large as other noise
    os.utime(folder / "0.png", ns=(status.st_atime_ns, status.st_mtime_ns))


CHANGES = {
    "a photo": change_a_photo,
    "all but its time": change_all_but_its_time,
    "its time": change_only_its_time,
    "one more": lambda folder: color_picture(24, 32, seed=51).save(folder / "new.png"),
    "one less": lambda folder: (folder / "0.png").unlink(),
    "another name": lambda folder: (folder / "0.png").rename(folder / "zero.png"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_folder_that_has_changed_is_decoded_anew_in_the_same_place(
    kind, folder, tmp_path, decoded
):
    cache = tmp_path / "cache"
    open_data(folder, 16, seed=0, cache=cache)
    kinds = sorted(path.suffix for path in cache.iterdir())
    CHANGES[kind](folder)
    decoded.clear()
    now = open_data(folder, 16, seed=0, cache=cache)
    assert decoded and sorted(path.suffix for path in cache.iterdir()) == kinds  # no old ones
    assert same(now, open_data(folder, 16, seed=0, cache=None))


@pytest.mark.parametrize("options", [{"size": 8}, {"fit": "stretch"}, {"seed": 1}])
def test_other_settings_never_meet_the_wrong_photos(options, folder, tmp_path):
    cache, usual = tmp_path / "cache", {"size": 16, "seed": 0, "fit": "crop"}
    for settings in (usual, usual | options, usual):
        opened = open_data(folder, **settings, cache=cache)
        assert same(opened, open_data(folder, **settings, cache=None))


def test_a_split_file_is_obeyed_with_a_cache_too(folder, tmp_path):
    split = tmp_path / "split.txt"
    names = ["more/1.png", "0.png", "2.png"]
    photos.write_split(split, names, ["4.png", "8.png", "6.png"])
    opened = [open_data(folder, 16, 0, split=split, cache=c) for c in (None, tmp_path / "cache")]
    assert same(*opened) and opened[0][0].names == names


def test_few_photos_and_scenes_are_not_cached(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(photos, "WORTH_CACHING", 30)
    open_data(folder, 16, seed=0, cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_where_no_cache_can_be_written_it_is_told(folder, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        open_data(folder, 16, 0, cache=tmp_path / "file" / "cache")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        open_data(folder, 16, 0, cache=tmp_path / "cache")


def test_a_folder_without_usable_photos_is_refused_and_its_cache_is_empty(tmp_path):
    for number in range(6):
        Image.new("RGB", (30, 30), (number, number, number)).save(tmp_path / f"{number}.png")
    with pytest.raises(PhotoError, match="0 usable photo"):
        open_data(tmp_path, 16, seed=0, cache=tmp_path / "cache")
    assert [path.stat().st_size for path in (tmp_path / "cache").glob("*.bytes")] == [0]


# training from it


def anonymous_megabytes() -> float:
    """How much memory this process has for itself; pages of a file that is mapped do not count."""
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("this system does not tell how much memory is needed")
    fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(fields["RssAnon"].split()[0]) / 1024


def test_training_from_the_cache_takes_no_memory_for_it(tmp_path, monkeypatch):
    count, size = 400, 256  # 79 MB
    for index in range(count):
        (tmp_path / "photos").mkdir(exist_ok=True)
        color_picture(16, 16, index).resize((64, 64)).save(tmp_path / "photos" / f"{index}.bmp")
    PhotoFolder(tmp_path / "photos", size, cache=tmp_path / "cache")
    monkeypatch.setattr(batches, "KEEP_ON_DEVICE", 0)
    before = anonymous_megabytes()
    dataset, _ = open_data(tmp_path / "photos", size, 0, cache=tmp_path / "cache")
    config = TrainConfig(size=size, batch=2)
    stream = batches.Batches(dataset, config, torch.device("cpu")).stream(0)
    for _ in range(len(dataset) // 2):
        next(stream)
    assert anonymous_megabytes() - before < 40


def test_a_run_from_the_cache_gives_the_same_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for index in range(12):
        crop = data.astronaut()[40:80, 36 * index : 36 * index + 40]
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(crop).save(tmp_path / "photos" / f"{index}.png")
    tiny = "--size 32 --generator-width 8 --batch 4 --epochs 1 --data photos".split()
    main(["train", "l1", *tiny, "--out", "without", "--cache", "None"])
    assert not Path("data").exists()
    for out in ("first", "second"):
        main(["train", "l1", *tiny, "--out", out])
        (content,) = Path("data", "cache").glob("*.bytes")
    weights = [Path(out, "generator.safetensors").read_bytes() for out in ("without", "first")]
    assert weights[0] == weights[1] == Path("second", "generator.safetensors").read_bytes()
    main(["evaluate", "second"])


def test_photos_are_decoded_again_once_more_can_be_read(folder, tmp_path, decoded, monkeypatch):
    cache = tmp_path / "cache"
    PhotoFolder(folder, 16, cache=cache)
    count = len(decoded)
    PhotoFolder(folder, 16, cache=cache)
    assert len(decoded) == count
    monkeypatch.setattr(Image, "registered_extensions", lambda: {".heic": "HEIF"})
    PhotoFolder(folder, 16, cache=cache)
    assert len(decoded) == 2 * count
    (folder / "0.png").chmod(0o600)
    PhotoFolder(folder, 16, cache=cache)
    assert len(decoded) == 3 * count
