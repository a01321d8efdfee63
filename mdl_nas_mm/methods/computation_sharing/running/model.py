"""A base task and its sub-tasks on images and videos: ``outputs, state = model(frame, state)``."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from mdl_nas_mm.elastic.backbone import ElasticBackbone

from .elements import ElementExecution
from .execution import Execution, whole
from .gates import Gate, fit_gate
from .parts import TaskSteps, check_alike, steps_of
from .rows import RowExecution, changed_rows
from .settings import SharingSettings
from .state import Pairs, State
from .stream import Passed, Stream
from .times import Times
from .work import Work

Features = dict[str, tuple[Tensor, ...]]


class SharedComputation(nn.Module):
    """Backbones of one architecture whose tasks and frames take over what they have in common.

    With thresholds of 0 its outputs are those of the separate backbones, up to rounding.

    Args:
        base: name of the base task.
        backbones: task -> plain backbone with the task's own weights, as ``load_task`` gives it.
            A sub-task may have tensors of the base.
        settings: what is reused; by default both, exactly.

    Attributes:
        gates: task -> part -> which rows its difference of weights matters for; see
            ``fit_gates``. Without one, a part whose weights differ is computed for all rows.

    Raises:
        ValueError: a sub-task is of another architecture or input size than its base.
    """

    def __init__(
        self,
        base: str,
        backbones: Mapping[str, ElasticBackbone],
        settings: SharingSettings | None = None,
    ) -> None:
        super().__init__()
        if base not in backbones:
            raise ValueError(f'base {base!r} is not among the tasks {sorted(backbones)}')
        for task, backbone in backbones.items():
            check_alike(backbones[base], task, backbone)
        self.base, self.settings = base, settings or SharingSettings()
        self.tasks = (base, *(task for task in backbones if task != base))
        self._backbones = nn.ModuleList(backbones[task] for task in self.tasks)
        self.eval()
        self.gates: dict[str, dict[str, Gate]] = {}
        self._name = uuid.uuid4().hex
        # Of the last size, device and data type alone: a video has one.
        self._steps: tuple[tuple, dict[str, TaskSteps]] | None = None
        # What a frame of that size takes of which nothing is shared: (task, execution) -> its work.
        self._plain_work: dict[tuple[str, str], list[Work]] = {}
        self._times = Times(RowExecution({}, {}, 1.0).update)

    @torch.no_grad()
    def forward(
        self,
        images: Tensor,
        state: State | None = None,
        masks: Mapping[str, Mapping[str, Tensor]] | None = None,
        settings: SharingSettings | None = None,
    ) -> tuple[Features, State]:
        """Features of all tasks.

        Args:
            images: (B, C, H, W), of a video frame or any images.
            state: what the frame before returned, which is used up; None for the first frame.
            masks: task -> part -> rows (R,) to compute, in place of what thresholds say.
            settings: of this frame, in place of the model's.

        Returns:
            Task -> the outputs of its backbone; and the state for the next frame.

        Raises:
            ValueError: the images are none, or the state is none, of another model, of images of
                another size, or used up.
        """
        self._check(images, state)
        steps = self._steps_of(images)
        settings, rows = settings or self.settings, steps[self.base].rows.embed(images)
        inputs = steps[self.base].first_inputs(rows)
        moved = self._has_moved(state, steps[self.base], inputs, settings)
        is_key = moved or self._is_key(state, settings)
        before = {} if is_key or state is None else state.pairs
        # What comes after a frame that has moved is likely to have moved too, and takes nothing
        # over: so that nothing but what tells it is cached, and written into memory.
        caches = settings.shares_frames and not moved
        outputs, cached, work = {}, {}, []
        passed: Passed | None = None
        plain = is_key and not settings.shares_tasks
        for task in self.tasks:
            own = steps[task]
            given = (settings, passed, before.get(task), masks or {}, caches)
            stream = self._stream(task, own, *given)
            of_all = (task, settings.execution)
            if moved and plain and of_all in self._plain_work:
                # Nothing is taken over by anybody: the backbone itself is a little faster.
                outputs[task] = self.backbone(task)(images)
                work += self._plain_work[of_all]
                cached[task] = {}
                if task == self.base:
                    cached[task][own.first.name] = whole(own.first, inputs).pair
                continue
            is_embedded_alike = not own.differs('patch_embed.', 'cls_token', 'pos_embed')
            outputs[task] = stream.run(
                rows if is_embedded_alike else own.rows.embed(images),
                inputs if task == self.base else None,
            )
            cached[task] = stream.cached
            work += stream.work
            if plain:
                self._plain_work[of_all] = stream.work
            if task == self.base:
                passed = stream.passed if settings.shares_tasks else None
                if moved:
                    cached[task] = {own.first.name: stream.passed.pairs[own.first.name]}
        if state is not None:
            state.use_up()
        age = 0 if is_key or state is None else state.age + 1
        size = tuple(images.shape)
        return outputs, State(self._name, size, cached, age, tuple(work), is_key, caches)

    def backbone(self, task: str) -> ElasticBackbone:
        """That of a task."""
        return cast(ElasticBackbone, self._backbones[self.tasks.index(task)])

    @property
    def needs_gates(self) -> bool:
        """Whether ``fit_gates`` would spare rows, and was not called."""
        settings = self.settings
        uses = settings.shares_tasks and settings.execution == 'rows' and not settings.is_exact
        return uses and len(self.tasks) > 1 and not self.gates

    @torch.no_grad()
    def fit_gates(self, images: Tensor) -> None:
        """Learns which rows the differences of weights matter for, from the base's own inputs.

        Args:
            images: (B, C, H, W), preprocessed; some dozens say enough.
        """
        steps = self._steps_of(images)
        base = steps[self.base]
        execution = RowExecution({}, {}, self.settings.dense)
        stream = Stream(self.base, base, execution, {}, exact=True)
        stream.run(base.rows.embed(images))
        theirs = {part.name: part for parts in base.parts.values() for part in parts}
        for task in self.tasks[1:]:
            self.gates[task] = {}
            for part in (part for parts in steps[task].parts.values() for part in parts):
                if part.differs:
                    pair = stream.passed.pairs[part.name]
                    changes = part(pair.inputs) - theirs[part.name](pair.inputs)
                    self.gates[task][part.name] = fit_gate(pair.inputs, changes, pair.outputs)

    def _has_moved(
        self,
        state: State | None,
        base: TaskSteps,
        inputs: Tensor,
        settings: SharingSettings,
    ) -> bool:
        """Whether so much has changed since the frame before that it is of no use."""
        if state is None or not settings.shares_frames or not state.pairs[self.base]:
            return False
        known = state.pairs[self.base][base.first.name].inputs
        threshold = settings.of_blocks('frame_threshold', self.base, base.blocks)[0]
        mask = changed_rows(inputs, known, threshold)
        return int(mask.sum()) / len(mask) > settings.moved

    def _is_key(self, state: State | None, settings: SharingSettings) -> bool:
        """Whether a frame that has not moved is computed without the one before all the same."""
        if state is None or not settings.shares_frames or not state.is_whole:
            return True
        return bool(settings.key_every) and state.age + 1 >= settings.key_every

    def _stream(
        self,
        task: str,
        steps: TaskSteps,
        settings: SharingSettings,
        base: Passed | None,
        before: Pairs | None,
        masks: Mapping[str, Mapping[str, Tensor]],
        caches: bool,
    ) -> Stream:
        count = steps.blocks
        # A base has none to a base, and nobody has any to frames that are not looked at.
        thresholds = {}
        if base is not None:
            thresholds['base'] = settings.of_blocks('threshold', task, count)
        if settings.shares_frames:
            thresholds['frame'] = settings.of_blocks('frame_threshold', task, count)
        own = masks.get(task, {})
        if settings.execution == 'rows':
            gates = self.gates.get(task, {})
            times = self._times if settings.cost == 'times' else None
            execution: Execution = RowExecution(own, gates, settings.dense, times)
        else:
            execution = ElementExecution(own)
        exact = settings.attention == 'exact'
        return Stream(task, steps, execution, thresholds, exact, base, before, caches)

    def _steps_of(self, images: Tensor) -> dict[str, TaskSteps]:
        batch, _, *size = images.shape
        kind = (images.shape, images.device, images.dtype)
        if self._steps is None or self._steps[0] != kind:
            base = self._backbones[0]
            found = {}
            for task, backbone in zip(self.tasks, self._backbones):
                of = None if task == self.base else base
                found[task] = steps_of(backbone, of, batch, (size[0], size[1]))
            self._steps = (kind, found)
            self._plain_work = {}
        return self._steps[1]

    def _check(self, images: Tensor, state: State | None) -> None:
        if not isinstance(images, Tensor) or images.ndim != 4 or 0 in images.shape:
            shape = tuple(getattr(images, 'shape', ()))
            raise ValueError(
                f'frame: {type(images).__name__} of shape {shape}, expected a tensor '
                '(batch, channels, height, width)'
            )
        base = self.backbone(self.base)
        dtype, channels = next(base.parameters()).dtype, base.shape.in_channels
        if images.dtype != dtype:
            raise ValueError(f'frame: its numbers are {images.dtype}, those of the model {dtype}')
        if images.shape[1] != channels:
            raise ValueError(
                f'frame: it has {images.shape[1]} channels, the model takes {channels}: (batch, '
                'channels, height, width)'
            )
        if state is None:
            return
        if not isinstance(state, State):
            raise ValueError(
                f'state is a {type(state).__name__}; it is the second of what the model returned '
                'for the frame before'
            )
        if state.model != self._name:
            raise ValueError(
                'state is of another model; begin a video with state=None, and give each frame '
                'what the same model returned for the frame before'
            )
        if state.size != tuple(images.shape):
            was, now = ('x'.join(map(str, size)) for size in (state.size, images.shape))
            raise ValueError(
                f'state is of images of {was} (batch, channels, height, width), the frame is '
                f'{now}; begin anew with state=None where the size changes'
            )
        if state.is_spent:
            raise ValueError(
                'state was used up by a later frame, which wrote into it; keep state.copy() to go '
                'on from it more than once'
            )
