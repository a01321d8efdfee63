"""What the tests of deposits share."""

from pathlib import Path

from helpers import POLICIES
from mmengine.config import Config

from mdl_nas_mm.deposit import pack
from mdl_nas_mm.spec import Counts, JointSpec
from mdl_nas_mm.tasks import MultiTaskModel

SHARINGS = POLICIES | {
    'Own norms': dict(norm='AllSpecific', attn='AllShared', ffn='AllShared'),
    'Mixed': dict(norm='Mask', attn='Sequential', ffn=dict(type='Mask', threshold='ratio')),
}


def pack_joint(
    path: Path, cfg: Config, model: MultiTaskModel, joint: JointSpec, trust: tuple[str, ...] = ()
) -> Counts:
    """Deposits subnets of a model that was built from a resolved joint config."""
    tasks = {
        name: dict(info, model=cfg.model.tasks[name].model) for name, info in cfg['tasks'].items()
    }
    return pack(path, model, joint, cfg.model.backbone, tasks, trust=trust)
