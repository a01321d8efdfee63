"""Deposits of the demo's dense tasks on rendered rooms, of random weights."""

from pathlib import Path

from helpers import ROOT, build_model
from mmengine.config import Config

from mdl_nas_mm.apis.tasks import task_infos
from mdl_nas_mm.datasets.rooms import write_rooms
from mdl_nas_mm.deposit import pack
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import resolve_joint_config

TASKS = ('depth', 'edges', 'normals', 'seg')
# Of the same stride and width as the ViT of the demo.
SWIN = dict(
    type='ElasticSwin',
    space=[
        dict(embed_dim=width, depth=(1, 2), num_heads=heads, mlp_ratio=2, share_ratio=0.5)
        for width, heads in ((48, 3), (96, 6))
    ],
    head_dim=16,
    window_size=4,
    pad_small_map=True,
    out_indices=(1,),
)
IMAGES = 3


def room_images(folder: Path) -> Path:
    """Some rooms; those of ``images`` are taken, whatever the split."""
    write_rooms(folder / 'rooms', images=dict(train=2, search=1, val=IMAGES), progress=False)
    return folder / 'rooms'


def rooms_config(root: Path, kind: str = 'ViT', sharing: str = 'AllShared') -> Config:
    """The demo's config on these images, with a narrow backbone."""
    cfg = Config.fromfile(ROOT / 'configs' / 'demo' / 'demo_rooms.py')
    data = dict(batch_size=2, dataset=dict(data_root=str(root)))
    for task in cfg.tasks.values():
        task.train_dataloader = task.val_dataloader = data
        task.pop('search_dataloader')
    cfg.pop('search_cfg')
    if kind == 'Swin':
        cfg.backbone = dict(_delete_=True, **SWIN) if '_delete_' in cfg.backbone else dict(SWIN)
    else:
        cfg.backbone.space.update(embed_dim=(48, 96), depth=(1, 2), share_ratio=0.5)
    cfg.backbone.sharing = sharing
    return cfg


def pack_rooms(path: Path, cfg: Config, other: tuple[str, ...] = ()) -> Path:
    """A deposit of all tasks in the largest architecture, ``other`` ones in the smallest."""
    model, cfg = build_model(cfg), resolve_joint_config(cfg)
    space = model.backbone.space
    specs = {t: space.smallest() if t in other else space.largest() for t in cfg.tasks}
    pack(path, model, JointSpec(specs), cfg.model.backbone, task_infos(cfg, {}))
    return path
