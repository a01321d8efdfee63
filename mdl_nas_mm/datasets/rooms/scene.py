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

    def mirrored(self, axis: int = 0) -> Camera:
        """The camera that sees a mirrored scene as the flipped image of this one.

        Args:
            axis: 0 to exchange left and right, 1 for top and bottom.
        """
        size = (self.width, self.height)[axis]
        centre = list(self.centre)
        centre[axis] = size - centre[axis]
        # This axis of its own is mirrored twice: with the world, and since the image is flipped.
        axes = [_mirrored(vector, axis) for vector in self.axes]
        x, y, z = axes[axis]
        axes[axis] = (-x, -y, -z)
        return replace(
            self,
            centre=(centre[0], centre[1]),
            position=_mirrored(self.position, axis),
            axes=(axes[0], axes[1], axes[2]),
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
class RoomScene:
    """A room with things in it, and one lamp.

    Attributes:
        solids: the room first.
        lamp: where the lamp is.
        ambient: share of the light that comes from everywhere.
    """

    solids: tuple[Solid, ...]
    lamp: Vector
    ambient: float = 0.45

    def mirrored(self, axis: int = 0) -> RoomScene:
        """The scene with the two sides of an axis of the world exchanged, textures included."""
        solids = []
        for solid in self.solids:
            x, y, z = (_mirrored(vector, axis) for vector in solid.axes)
            solids.append(replace(solid, centre=_mirrored(solid.centre, axis), axes=(x, y, z)))
        return replace(self, solids=tuple(solids), lamp=_mirrored(self.lamp, axis))


@dataclass(frozen=True)
class View:
    """A scene and the camera that looks at it."""

    scene: RoomScene
    camera: Camera

    def mirrored(self, axis: int = 0) -> View:
        """The view whose image is this one's, flipped: from left to right (0) or top down (1)."""
        return View(self.scene.mirrored(axis), self.camera.mirrored(axis))


def _mirrored(vector: Vector, axis: int) -> Vector:
    x, y, z = vector
    return (-x, y, z) if axis == 0 else (x, -y, z)
