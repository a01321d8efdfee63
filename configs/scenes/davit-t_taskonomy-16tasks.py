"""In place of the baseline CSWin-T: DaViT-T of mmpretrain, on sixteen tasks of Taskonomy.

    python tools/train.py configs/scenes/davit-t_taskonomy-16tasks.py

No library that this package stands on has CSWin. DaViT, of the same year, is as large and has
windows as well; its numbers would be its own. Published of CSWin-T (Table 1): a Delta_T of 3.3 with
31.3 M parameters. Expected: not measured.
"""

_base_ = ['swin-t_taskonomy-16tasks.py']

backbone = dict(
    _delete_=True,
    type='UpstreamBackbone',
    space='whole',
    module=dict(
        type='mmpretrain.DaViT',
        arch='t',
        out_indices=(0, 1, 2, 3),
        pad_small_map=True,
        drop_path_rate=0.1,
    ),
)
