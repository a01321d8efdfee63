"""Scores of labelled frames of videos whose key frames lie some frames before (Table 4)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from torch import Tensor

from mdl_nas_mm.deposit import Deposit
from mdl_nas_mm.header.contents import metric_of, unit_of
from mdl_nas_mm.methods.computation_sharing.running import SharingSettings

from .differences import base_and_sub_tasks
from .shared_scores import FITTED, SharedModels, images_of, score_and_metrics
from .sharing_report import Prepare


@dataclass(frozen=True)
class VideoScore:
    """Of one task, means over the distances of its key frame.

    Attributes:
        metric: the name of its score.
        score: of the labelled frames, as people know the metric.
        executed: multiply-adds of its backbone on a labelled frame, over those that it takes alone.
        counted: the same as the paper counts.
    """

    metric: str
    score: float
    executed: float
    counted: float


def video_scores(
    deposit: str | Path,
    settings: SharingSettings,
    before: int = 4,
    data: Mapping[str, Any] | None = None,
    trust: Collection[str] = (),
) -> dict[str, VideoScore]:
    """Scores of a base and its sub-tasks on videos, as in Table 4 of the paper.

    A labelled frame is answered with a key frame 0 frames before, 1 before, and so on; scores and
    operations are averaged over these.

    Args:
        deposit: has sub-tasks of one base, whose validation images are frames of videos.
        settings: what is shared.
        before: how far the key frame lies before at most. Frames that have fewer before them are
            left out, of all distances alike.
        data: other settings of the validation data sets.
        trust: see ``Deposit``.

    Raises:
        FileNotFoundError: there is no such deposit.
        ValueError: no task is a difference, no frame has so many before it, or ``before`` is
            negative.
    """
    if before < 0:
        raise ValueError(f'before is {before}, expected at least 0')
    opened, given = Deposit(deposit, trust), dict(data or {}, batch_size=1)
    base, *subs = base_and_sub_tasks(opened)
    # A data set of clips leaves out images with too few frames before them.
    given |= dict(clip_length=before + 1) if before else {}
    found = {}
    for task in (base, *subs):
        tasks = list(dict.fromkeys((base, task)))
        fitted = images_of(opened, task, FITTED, **given) if task != base else ()
        runs = []
        for distance in range(before + 1):
            models = _FromKeyFrames(opened, tasks, settings, fitted, distance)
            score, _, _ = score_and_metrics(opened, task, models, **given)
            runs.append((score, models.work))
        scores, works = zip(*runs)
        parts = (fmean(w[key] / w['whole'] for w in works) for key in ('executed', 'counted'))
        info = opened.tasks[task]
        found[task] = VideoScore(metric_of(info), fmean(scores) / unit_of(info), *parts)
    return found


class _FromKeyFrames(SharedModels):
    """Answers an image as a frame whose key frame lies some frames before.

    Args:
        deposit, tasks, settings, images: see ``SharedModels``.
        distance: how many frames; those of the folder, in the order of their names.
    """

    def __init__(
        self,
        deposit: Deposit,
        tasks: Sequence[str],
        settings: SharingSettings,
        images: Sequence[Tensor],
        distance: int,
    ) -> None:
        super().__init__(deposit, tasks, settings, images)
        self._distance, self._prepare = distance, Prepare(deposit, tasks[-1])

    def predict(self, task: str, batch: dict) -> list:
        """See ``SharedModels``."""
        self.state = None
        path = Path(batch['data_samples'][0].img_path)
        frames = sorted(each for each in path.parent.iterdir() if each.suffix == path.suffix)
        place = frames.index(path)
        for frame in frames[place - self._distance : place]:
            self.advance(self._prepare(str(frame), str(frame)))
        return super().predict(task, batch)
