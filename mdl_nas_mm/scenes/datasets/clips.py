"""Clips: the frames around a labelled one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from .listing import Listing
from .scene import Scene


def with_clips(scenes: Iterable[Scene], length: int, step: int, after: int = 0) -> Iterator[Scene]:
    """Adds ``clip_paths``, frames of the folder of the image before and after it, the oldest first.

    Frames are all files of the folder with the ending of the image, in the order of their names.
    Images with too few frames around them are left out.

    Args:
        scenes: whose images are frames of videos.
        length: frames of a clip.
        step: distance of the frames.
        after: how many of the frames come after the image.
    """
    listing, frames = Listing(), {}
    for scene in scenes:
        folder, name = os.path.split(scene.img_path)
        if folder not in frames:
            ending = os.path.splitext(name)[1]
            names = sorted(each for each in listing.files(folder) if each.endswith(ending))
            frames[folder] = {name: place for place, name in enumerate(names)}, names
        places, names = frames[folder]
        place = places.get(name, -1)
        first, last = place - (length - 1 - after) * step, place + after * step
        if 0 <= first and 0 <= place and last < len(names):
            clip = [os.path.join(folder, each) for each in names[first : last + 1 : step]]
            yield scene._replace(extra=dict(scene.extra, clip_paths=clip))
