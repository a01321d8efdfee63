"""One deposited task in the inferencer of its own library.

Of upstream's inferencers only the building of the model is replaced. They are used step by step
(``preprocess``, ``forward``, ``visualize``, ``postprocess``), as called whole each takes other
arguments and returns something of another form.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import mmcv
import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement, InstanceData
from torch import nn

from mdl_nas_mm.deposit.configs import check_trusted, stored_metainfo
from mdl_nas_mm.tasks import task_scope
from mdl_nas_mm.utils.data_paths import innermost_dataset, prepared_dataset
from mdl_nas_mm.utils.private import detect_with, draw_with, give_config, inferencer_around

PERSON = 'person'


def validation_dataset(task: str, info: Mapping, trust: Collection[str] = ()) -> ConfigDict:
    """What upstream's inferencers read of the data set that a task was validated on.

    Args:
        task: its name in the deposit.
        info: what the deposit says of it, see ``Deposit.tasks``.
        trust: see ``Deposit``.

    Raises:
        ValueError: the deposit says nothing of it, or its pipeline names a class that is not known.
    """
    if 'val_dataloader' not in info:
        raise ValueError(
            f'task {task!r}: its deposit has no val_dataloader, so that it is not known how its '
            'images are prepared; pack it with save_deposit or mdl-nas deposit'
        )
    check_trusted(task, info, 'pipeline', trust)
    dataset = prepared_dataset(info['val_dataloader'])
    used = {key: dataset[key] for key in ('pipeline', 'data_mode') if key in dataset}
    return ConfigDict(copy.deepcopy(used))


def looks_into_boxes(task: str, info: Mapping) -> bool:
    """Whether a task estimates poses top-down."""
    if info['scope'] != 'mmpose':
        return False
    dataset = innermost_dataset(info.get('val_dataloader') or dict(dataset={}))
    return dataset.get('data_mode', 'topdown') == 'topdown'


class TaskInferencer:
    """A task's model in its upstream inferencer, and what is the same for all libraries.

    It is built in its library's scope; what upstream does with an image asks for none. Upstream's
    inferencers, and transforms and heads in them, keep things in between: see ``lock``.

    Args:
        task: its name in the deposit.
        info: what the deposit says of it.
        model: its upstream model.
        device: where that is.
        trust: see ``Deposit``.

    Attributes:
        lock: for ``prepare``, ``predict`` and ``prediction``, one thread at a time.
    """

    visualizer = ''

    def __init__(
        self,
        task: str,
        info: Mapping,
        model: nn.Module,
        device: str | torch.device,
        trust: Collection[str] = (),
    ) -> None:
        self.scope, self.lock = info['scope'], threading.Lock()
        self.metainfo = stored_metainfo(task, info)
        dataset = validation_dataset(task, info, trust)
        self.config = ConfigDict(
            model=copy.deepcopy(info['model']),
            test_dataloader=dict(dataset=dataset),
            visualizer=dict(type=self.visualizer),
            # mmpose's inferencer asks for these; the class says only which detector is usual.
            data_mode=dataset.get('data_mode', 'topdown'),
            dataset_type='CocoDataset',
        )
        with task_scope(self.scope):
            self.upstream = self.build(model, str(device))

    def build(self, model: BaseModel, device: str) -> Any:
        """The upstream inferencer."""
        raise NotImplementedError

    @property
    def preparation(self) -> Any:
        """What ``prepare`` does to images; tasks with equal ones can take each other's batches."""
        config = getattr(self.upstream, 'cfg', self.config)
        return self.scope, config.test_dataloader.dataset.pipeline

    def prepare(
        self, sources: Sequence[str | np.ndarray], persons: Sequence[InstanceData] | None = None
    ) -> Any:
        """Images of one size, loaded and prepared as in the task's validation.

        Args:
            sources: paths, or arrays (H, W, 3), BGR.
            persons: of each image ``bboxes`` and ``scores`` of persons; only poses use them.
        """
        (batch,) = self.upstream.preprocess(list(sources), batch_size=len(sources))
        return batch

    def predict(self, batch: Any) -> list[BaseDataElement]:
        """Upstream's data samples of what ``prepare`` has given; it changes that."""
        return self.upstream.forward(batch)

    def persons(self, sample: BaseDataElement) -> InstanceData:
        """``bboxes`` and ``scores`` of the persons in an answer, of a task that detects some."""
        raise NotImplementedError

    def draw(
        self,
        pixels: np.ndarray,
        sample: BaseDataElement,
        score_thr: float,
        first: BaseDataElement | None = None,
        **show: Any,
    ) -> np.ndarray:
        """Upstream's drawing of one answer, (H, W, 3), RGB.

        Args:
            pixels: the image, BGR.
            sample: the answer, as ``predict`` gives it.
            score_thr: lowest score of what is drawn, where there is a choice.
            first: the answer to the first frame of a video, whose colours others have as well.
            show: ``show`` and ``wait_time`` of upstream's inferencers.
        """
        # Upstream's inferencers draw arrays as RGB, though they predict from BGR.
        rgb = mmcv.bgr2rgb(pixels)
        return self.upstream.visualize([rgb], [sample], return_vis=True, **show)[0]

    def prediction(self, sample: BaseDataElement) -> Any:
        """One answer in the form that upstream's inferencer gives it."""
        return self.upstream.postprocess([sample], None)['predictions'][0]

    def kind(self, sample: BaseDataElement) -> str:
        """What a prediction that is an array is; others say it themselves."""
        return ''


class Classifier(TaskInferencer):
    """``ImageClassificationInferencer`` of mmpretrain, which takes models that are built."""

    def build(self, model: BaseModel, device: str) -> Any:
        """The upstream inferencer."""
        from mmpretrain.apis import ImageClassificationInferencer
        from mmpretrain.visualization import UniversalVisualizer

        give_config(model, self.config)
        classes = self.metainfo.get('classes')
        inferencer = ImageClassificationInferencer(model, device=device, classes=classes)
        draw_with(inferencer, UniversalVisualizer())
        return inferencer

    def draw(
        self,
        pixels: np.ndarray,
        sample: BaseDataElement,
        score_thr: float,
        first: BaseDataElement | None = None,
        **show: Any,
    ) -> np.ndarray:
        """The class is written on it; upstream's ``visualize`` would draw into files only."""
        return self.upstream.visualizer.visualize_cls(
            mmcv.bgr2rgb(pixels), sample, self.upstream.classes, draw_gt=False, **show
        )

    def prediction(self, sample: BaseDataElement) -> dict:
        """``pred_label``, ``pred_score``, ``pred_scores`` and, if known, ``pred_class``."""
        return self.upstream.postprocess([sample], None)[0]


class Detector(TaskInferencer):
    """``DetInferencer`` of mmdet."""

    visualizer = 'DetLocalVisualizer'

    def build(self, model: BaseModel, device: str) -> Any:
        """The upstream inferencer."""
        from mmdet.apis import DetInferencer

        model.dataset_meta = dict(palette='random') | self.metainfo
        return inferencer_around(DetInferencer, model)(self.config, device=device, scope=self.scope)

    def prepare(
        self, sources: Sequence[str | np.ndarray], persons: Sequence[InstanceData] | None = None
    ) -> Any:
        """Images of one size; upstream gives them beside the batch."""
        ((_, batch),) = self.upstream.preprocess(list(sources), batch_size=len(sources))
        return batch

    def draw(
        self,
        pixels: np.ndarray,
        sample: BaseDataElement,
        score_thr: float,
        first: BaseDataElement | None = None,
        **show: Any,
    ) -> np.ndarray:
        """Boxes and masks of at least a score."""
        return super().draw(pixels, sample, score_thr, first, pred_score_thr=score_thr, **show)

    def persons(self, sample: BaseDataElement) -> InstanceData:
        """``bboxes`` and ``scores`` of the persons in an answer."""
        found = sample.pred_instances
        found = found[found.labels == self.metainfo['classes'].index(PERSON)]
        return InstanceData(bboxes=found.bboxes, scores=found.scores)


class PoseEstimator(TaskInferencer):
    """``Pose2DInferencer`` of mmpose, without a detector of its own."""

    visualizer = 'PoseLocalVisualizer'

    def build(self, model: BaseModel, device: str) -> Any:
        """The upstream inferencer."""
        from mmpose.apis.inferencers import Pose2DInferencer

        model.dataset_meta = self.metainfo
        inferencer = inferencer_around(Pose2DInferencer, model)(
            self.config, device=device, scope=self.scope, det_model='whole_image'
        )
        detect_with(inferencer, None)
        return inferencer

    @property
    def preparation(self) -> Any:
        """Of no other task: what is prepared depends on persons."""
        return self

    def prepare(
        self, sources: Sequence[str | np.ndarray], persons: Sequence[InstanceData] | None = None
    ) -> Any:
        """A batch for each image, as mmpose's inferencer takes no others.

        Top-down models look into the boxes of persons; into the whole image where none are given
        or found.
        """
        batches = []
        for source, found in zip(sources, persons or [None] * len(sources)):
            detect_with(self.upstream, None if found is None else _already(found))
            ((batch, _),) = self.upstream.preprocess([source])
            batches.append(batch)
        return batches

    def predict(self, batch: Any) -> list[BaseDataElement]:
        """Upstream's data samples, one an image."""
        return [sample for of_image in batch for sample in self.upstream.forward(of_image)]

    def draw(
        self,
        pixels: np.ndarray,
        sample: BaseDataElement,
        score_thr: float,
        first: BaseDataElement | None = None,
        **show: Any,
    ) -> np.ndarray:
        """Key points of at least a score."""
        settings = dict(return_vis=True, kpt_thr=score_thr, **show)
        return self.upstream.visualize([pixels], [sample], **settings)[0]


def _already(persons: InstanceData) -> Callable[..., dict]:
    """What mmpose's inferencer calls as its detector; it gives what is known."""
    labels = torch.zeros(len(persons), dtype=torch.long)
    found = InstanceData(bboxes=persons.bboxes, scores=persons.scores, labels=labels)
    return lambda *_, **__: dict(predictions=[BaseDataElement(pred_instances=found)])
