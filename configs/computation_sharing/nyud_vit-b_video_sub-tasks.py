r"""Sub-tasks on NYUD-v2's videos: as nyud_vit-b_sub-tasks.py, and L1 between frames as well.

    python tools/share_computation.py configs/computation_sharing/nyud_vit-b_video_sub-tasks.py

Raw frames lie in folders of a video each, images/VIDEO/FRAME.png, and labels of few of them
likewise (docs/scenes.md). The third stage takes two frames before a labelled one and two behind it
(Eq. 9); clips are not recoloured, as upstream's transforms take three channels.

    python tools/sharing_report.py --deposit \
        work_dirs/nyud_vit-b_video_sub-tasks/deposit.safetensors --key-frames 4 --threshold 0.1

Table 4 of the paper: segmentation 50.40 mIoU, depth 532.41 mm RMSE, normals 18.42 degrees, boundary
77.79 odsF with 107.87 GFLOPs, means over key frames 0 to 4 frames before the labelled one; without
frames 50.46, 533.2, 18.42, 77.89 with 186.88; separate models 314.14. Expected: not measured.
"""

_base_ = ['nyud_vit-b_sub-tasks.py']

size = (448, 576)
_clips = dict(
    clip_length=5,
    clip_after=2,
    pipeline=[
        dict(type='mdl_nas_mm.LoadClip'),
        dict(type='mdl_nas_mm.LoadSceneLabel'),
        dict(
            type='RandomResize',
            scale=(640, 480),
            ratio_range=(0.5, 2.0),
            keep_ratio=True,
            resize_type='mdl_nas_mm.SceneResize',
            divide_depth=True,
        ),
        dict(type='RandomCrop', crop_size=size),
        dict(type='RandomFlip', prob=0.5),
        dict(type='mdl_nas_mm.ScenePad', size=size),
        dict(type='mdl_nas_mm.PackScene'),
    ],
)
_on_clips = dict(train_dataloader=dict(dataset=_clips))
computation_sharing = dict(
    activations=dict(
        tasks=dict(depth=_on_clips, normals=_on_clips, edges=_on_clips),
        train_cfg=dict(
            step=dict(frames=dict(coefficient=64 * 2.5e-10, first=-2, last=2, use='sum')),
        ),
    )
)
