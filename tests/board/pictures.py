"""A sequence of frames made from one photograph, as a person in front of a door would be, and how alike pictures are."""

import io

import numpy
from PIL import Image

# The driver has no slower timings for this size. But an emulated board looks for the face in a few frames a second, and what
# moves must not move faster than it can see: so many of the pictures are played in one.
WIDTH, HEIGHT, FPS = 640, 480, 40
PACE = 6
FRAMES = 60
# The middle of the face in the photograph, whose box is about 94 pixels wide, and half axes of the head that turns.
FACE, HEAD = (225, 124), (90, 110)
PART = 5  # seconds of each part of a sequence
REACH = 30  # pixels of the photograph that the middle of the face moves by at the end of a turn


def turned(source, reach):
    """The photograph with its head turned: what is nearer, a paraboloid about the face, moves by up to `reach` pixels."""
    pixels = numpy.asarray(source, dtype=float)
    rows, columns = numpy.mgrid[: source.height, : source.width]
    depth = numpy.maximum(1 - ((columns - FACE[0]) / HEAD[0]) ** 2 - ((rows - FACE[1]) / HEAD[1]) ** 2, 0)
    at = numpy.clip(columns - reach * depth, 0, source.width - 2)
    left = at.astype(int)
    part = (at - left)[..., None]
    mixed = pixels[rows, left] * (1 - part) + pixels[rows, left + 1] * part
    return Image.fromarray(mixed.round().astype(numpy.uint8))


def frames(photograph, turning=True):
    """FRAMES pictures (RGB, HEIGHT x WIDTH x 3): the person comes nearer, sways, and the light changes.

    The head looks to one side for most of half the time, and to the other for most of the rest; unless `turning`, it is
    the photograph itself, moved in the same way. Each is so far from every other that a picture can be told to come
    from one of them.
    """
    source = Image.open(photograph).convert("RGB")
    made = []
    for number in range(FRAMES):
        turn = 2 * numpy.pi * number / FRAMES
        side = numpy.clip(2.5 * numpy.sin(turn + 0.4), -1, 1) if turning else 0
        scale = 1.50 + 0.14 * numpy.sin(turn)                       # nearer and farther
        wide, high = source.width / scale, source.width / scale * HEIGHT / WIDTH
        left = FACE[0] - wide / 2 + 20 * numpy.sin(2 * turn + 0.7)
        top = 14 + 13 * numpy.cos(3 * turn)
        box = (left, top, left + wide, top + high)
        picture = turned(source, REACH * side).resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS, box=box)
        light = 0.92 + 0.10 * numpy.sin(5 * turn + 1.1)              # a cloud, a lamp
        made.append(numpy.clip(numpy.asarray(picture, dtype=float) * light, 0, 255).round().astype(numpy.uint8))
    return made


def empty_room():
    """A grey wall with something on it, and nobody before it; the light changes from frame to frame."""
    rows, columns = numpy.mgrid[:HEIGHT, :WIDTH]
    wall = 110 + 20 * ((rows // 60 + columns // 80) % 2)
    made = []
    for number in range(FRAMES):
        light = 0.92 + 0.10 * numpy.sin(2 * numpy.pi * number / FRAMES)
        made.append(numpy.repeat((wall * light).round().astype(numpy.uint8)[..., None], 3, axis=2))
    return made


def coming(photograph):
    """(frames, the numbers of those that are played at first, of those that are played then).

    Nobody; somebody far away, then too near, then two; then one who stays and turns, over and over. Then nobody.
    """
    person, wall = frames(photograph), empty_room()
    source = Image.open(photograph).convert("RGB")

    def before_the_wall(*people):
        picture = Image.fromarray(wall[0])
        for middle, scale in people:
            large = source.resize([round(side * scale) for side in source.size], Image.Resampling.LANCZOS)
            picture.paste(large, (round(middle - FACE[0] * scale), round(HEIGHT / 2 - FACE[1] * scale)))
        return numpy.asarray(picture)

    far, near = before_the_wall((WIDTH / 2, 1.0)), before_the_wall((WIDTH / 2, 5.0))
    half = before_the_wall((WIDTH / 4, 1.6))[:, : WIDTH // 2]
    parts = [wall[0], far, near, numpy.concatenate([half, half], axis=1)]
    first = [part for part in range(len(parts)) for _ in range(PART * PACE)]
    # Who stays does so for longer than any burst takes.
    # What follows the first part must not be over before anybody looks.
    return parts + person, [0] * (PART * PACE) + first + 20 * [len(parts) + number for number in range(FRAMES)], [0]


def to_yuyv(rgb):
    """The bytes of a frame in YUYV, BT.601 with limited range, colour of two neighbours averaged."""
    red, green, blue = (rgb[..., channel].astype(float) for channel in range(3))
    luma = 16 + (65.481 * red + 128.553 * green + 24.966 * blue) / 255
    cb = 128 + (-37.797 * red - 74.203 * green + 112.0 * blue) / 255
    cr = 128 + (112.0 * red - 93.786 * green - 18.214 * blue) / 255
    packed = numpy.empty((HEIGHT, WIDTH, 2))
    packed[..., 0] = luma
    packed[:, 0::2, 1] = (cb[:, 0::2] + cb[:, 1::2]) / 2
    packed[:, 1::2, 1] = (cr[:, 0::2] + cr[:, 1::2]) / 2
    return numpy.clip(packed.round(), 0, 255).astype(numpy.uint8).tobytes()


def psnr(one, other):
    """Peak signal-to-noise ratio of two pictures in dB."""
    error = numpy.mean((one.astype(float) - other.astype(float)) ** 2)
    return 99.0 if error == 0 else 10 * numpy.log10(255**2 / error)


def closest(jpeg, played):
    """(number of the frame that is most alike, its PSNR, the PSNR of the second best)."""
    picture = Image.open(io.BytesIO(jpeg)).convert("RGB")
    shown = numpy.asarray(picture)
    scores = []
    for number, frame in enumerate(played):
        scaled = Image.fromarray(frame).resize(picture.size, Image.Resampling.BOX)
        scores.append((psnr(shown, numpy.asarray(scaled)), number))
    scores.sort(reverse=True)
    return scores[0][1], scores[0][0], scores[1][0]
