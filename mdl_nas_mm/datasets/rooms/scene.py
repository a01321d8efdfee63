"""What is rendered, as frozen values: cameras, textures, solids, scenes.

Lengths are metres. World and camera have the same kind of axes: x right, y down, z forward, so
that a camera that is not turned sees the world's axes. Vectors are tuples, so that a scene can be
hashed and compared.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

Vector = tuple[float, float, float]
Axes = tuple[Vector, Vector, Vector]
UPRIGHT: Axes = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@dataclass(frozen=True)
class Camera:
    """A pinhole camera.

    Image coordinates are continuous: pixel (row i, column j) covers [j, j + 1) x [i, i + 1), and
    its ray goes through its middle.

    Attributes:
        height: rows of the image.
        width: columns of the image.
        focal: focal length in pixels.
        centre: principal point (x, y) in image coordinates.
        position: where the camera stands in the world.
        axes: its x, y and z axis in the world, orthonormal.
    """

    height: int
    width: int
    focal: float
    centre: tuple[float, float]
    position: Vector = (0.0, 0.0, 0.0)
    axes: Axes = UPRIGHT

    def cropped(self, top: int, left: int, height: int, width: int) -> Camera:
        """The camera whose image is that part of this one's; it may reach beyond it."""
        x, y = self.centre
        return replace(self, height=height, width=width, centre=(x - left, y - top))

    def scaled(self, times: float) -> Camera:
        """The camera whose image is this one's, ``times`` as large."""
        x, y = self.centre
        return replace(
            self,
            height=round(self.height * times),
            width=round(self.width * times),
            focal=self.focal * times,
            centre=(x * times, y * times),
        )

    def mirrored(self) -> Camera:
        """The camera that sees a mirrored scene as the flipped image of this one."""
        x, y = self.centre
        # Its x axis is mirrored twice: with the world, and since left is now right.
        right, down, forward = (_mirrored(axis) for axis in self.axes)
        right = (-right[0], -right[1], -right[2])
        return replace(
            self,
            centre=(self.width - x, y),
            position=_mirrored(self.position),
            axes=(right, down, forward),
        )


@dataclass(frozen=True)
class Photo:
    """A part of a photograph, mixed with a plain colour.

    Attributes:
        number: which of scikit-learn's photographs.
        part: left, top, right and bottom in the photograph, in pixels.
        colour: the plain colour, RGB in [0, 1].
        contrast: 0 for the plain colour, 1 for the photograph.
        repeat: how many times it is laid over a surface in each direction, mirrored in turns.
    """

    number: int
    part: tuple[int, int, int, int]
    colour: Vector
    contrast: float = 1.0
    repeat: float = 1.0


@dataclass(frozen=True)
class Digits:
    """Handwritten digits on paper.

    Attributes:
        rows: rows of digits, as positions in scikit-learn's digits; rows of one length.
        ink: colour of the digits, RGB in [0, 1].
        paper: colour behind them.
        repeat: as in ``Photo``.
    """

    rows: tuple[tuple[int, ...], ...]
    ink: Vector
    paper: Vector
    repeat: float = 1.0


Texture = Photo | Digits
# Of a box: the faces where its own x, y, z axis begins and ends, in this order: -x, +x, -y, ...
Faces = tuple[Texture, Texture, Texture, Texture, Texture, Texture]


@dataclass(frozen=True)
class Box:
    """A box; the room is one too, seen from inside.

    Attributes:
        kind: ``room``, ``box`` or ``board``.
        centre: its middle.
        half: half its extent along its own axes.
        faces: a texture for each face.
        axes: its own x, y and z axis in the world, orthonormal; left-handed if it is mirrored.
    """

    kind: str
    centre: Vector
    half: Vector
    faces: Faces
    axes: Axes = UPRIGHT


@dataclass(frozen=True)
class Ball:
    """A ball; its texture goes once around its own y axis.

    Attributes:
        centre: its middle.
        radius: its radius.
        texture: what it carries.
        axes: as of a box; they turn its texture.
    """

    centre: Vector
    radius: float
    texture: Texture
    axes: Axes = UPRIGHT
    kind: str = 'ball'


Solid = Box | Ball


@dataclass(frozen=True)
class Scene:
    """A room with things in it, and one lamp.

    Attributes:
        solids: the room first.
        lamp: where the lamp is.
        ambient: share of the light that comes from everywhere.
    """

    solids: tuple[Solid, ...]
    lamp: Vector
    ambient: float = 0.45

    def mirrored(self) -> Scene:
        """The scene with left and right exchanged, textures included."""
        solids = []
        for solid in self.solids:
            x, y, z = (_mirrored(axis) for axis in solid.axes)
            solids.append(replace(solid, centre=_mirrored(solid.centre), axes=(x, y, z)))
        return replace(self, solids=tuple(solids), lamp=_mirrored(self.lamp))


@dataclass(frozen=True)
class View:
    """A scene and the camera that looks at it."""

    scene: Scene
    camera: Camera

    def mirrored(self) -> View:
        """The view whose image is this one's, flipped from left to right."""
        return View(self.scene.mirrored(), self.camera.mirrored())


def _mirrored(vector: Vector) -> Vector:
    return (-vector[0], vector[1], vector[2])
