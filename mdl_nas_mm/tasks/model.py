"""All tasks' upstream models around one backbone."""

from __future__ import annotations

from collections.abc import Mapping

from mmengine.model import BaseModel, ModuleDict
from mmengine.registry import MODELS as ROOT_MODELS
from torch import Tensor, nn

from mdl_nas_mm.elastic import ElasticBackbone, activate
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.spec import SubnetSpec

from .scope import task_scope


@MODELS.register_module()
class BackboneSlot(nn.Module):
    """Stands where the backbone goes while an upstream model is built."""


@MODELS.register_module()
class MultiTaskModel(BaseModel):
    """One backbone and, for each task, the upstream model without its backbone.

    The backbone is in the state dict once, under ``backbone``; necks and heads lie under
    ``tasks.<task>``. Each upstream model reaches the backbone as its own ``backbone``
    attribute, and runs it as whatever ``activate`` says.

    Args:
        backbone: config of an elastic backbone.
        tasks: task -> ``dict(scope=..., model=...)``, an upstream model's config.
    """

    def __init__(
        self, backbone: Mapping, tasks: Mapping[str, Mapping], init_cfg: Mapping | None = None
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        with task_scope('mdl_nas_mm'):
            self.backbone: ElasticBackbone = MODELS.build(dict(backbone))
        self.scopes = {name: task['scope'] for name, task in tasks.items()}
        self.tasks = ModuleDict(
            {name: build_task_model(task, self.backbone) for name, task in tasks.items()}
        )

    def preprocess(self, task: str, data: dict, training: bool) -> dict:
        """A batch of one task as its model takes it."""
        with task_scope(self.scopes[task]):
            return self.tasks[task].data_preprocessor(data, training)

    def loss(self, task: str, spec: SubnetSpec, data: dict) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of one subnet on a preprocessed batch, and its parts by name."""
        model = self.tasks[task]
        with task_scope(self.scopes[task]), activate(task, spec):
            return model.parse_losses(model(**data, mode='loss'))

    def predict(self, task: str, spec: SubnetSpec, data: dict) -> list:
        """Upstream data samples with one subnet's predictions on a batch from a loader."""
        with task_scope(self.scopes[task]), activate(task, spec):
            return self.tasks[task].val_step(data)

    def head_sizes(self) -> dict[str, int]:
        """Task -> elements outside the backbone."""
        return {
            name: sum(parameter.numel() for parameter in model.parameters())
            for name, model in self.tasks.items()
        }

    def forward(self, *args, **kwargs):
        """A joint model has no forward of its own."""
        raise NotImplementedError('call loss or predict with the name of a task')


def build_task_model(task: Mapping, backbone: nn.Module) -> nn.Module:
    """An upstream model around a backbone that it does not own.

    The backbone is set past ``nn.Module``'s bookkeeping, so that it is neither in the task
    model's state dict nor initialised, moved or switched by it.

    Args:
        task: ``dict(scope=..., model=...)``.
    """
    with task_scope(task['scope']):
        model = ROOT_MODELS.build(task['model'])
    if not isinstance(model.backbone, BackboneSlot):
        raise ValueError(f"model {type(model).__name__} replaced its 'backbone'; it cannot be used")
    del model.backbone
    object.__setattr__(model, 'backbone', backbone)
    return model
