"""How the commands of the pages are run: with which files in the place of what a page leaves open.

``docs/start_here.md`` is followed as it stands, first; the walks go on in its folder.
"""

from __future__ import annotations

from dataclasses import dataclass, field

STEPS = 2
CKPT = f'work_dirs/joint/iter_{STEPS}.pth'
SPEC = 'work_dirs/joint/search/joint_spec.json'
CHOSEN = f'--checkpoint {CKPT} --joint-spec {SPEC}'
SIZES = '--input-size seg=96x128 depth=96x128 normals=96x128'
# Of one architecture there is no correlation, for which a table could be refused: how well a single
# run predicts is luck.
FEW = '--runs 1 --warmup 0 --random-specs 1'
ROOM_TASK = "dict(config='mdl_nas_mm::demo/tasks/room_{0}.py', score={1}, images='rooms')"
# All that a step and a validation need, of the demo's own config or of new tasks.
JOINT_ROOMS = """_base_ = ['mdl_nas_mm::demo/demo_rooms.py']
tasks = dict(
    _delete_=True,"""
MORE_ROOMS = """_base_ = ['mdl_nas_mm::_base_/joint_runtime.py']
custom_imports = dict(imports=['mdl_nas_mm.scenes'], allow_failed_imports=False)
base = 'base.safetensors'
inherit = 'seg'
val_cfg = dict(type='MultiTaskValLoop')
train_cfg = dict(type='MultiTaskTrainLoop', max_iters=1, val_interval=1)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-4))
tasks = dict("""
ECMT = """recalibrate_images = 2
loop = dict(type='MultiTaskTrainLoop', max_iters=1, val_interval=1)
sampler = dict(type='LargestFirstSampler', models=3)
train_cfg = dict(_delete_=True, **loop, sampler=sampler, step=dict(type='ECMTStep'))
param_scheduler = None
"""


@dataclass(frozen=True)
class Walk:
    """What is run for one page, in this order.

    Attributes:
        commands: as the page says it -> as it is run.
        before: commands that the page takes for granted.
        files: name -> content.
        after: pages whose walks it goes on from.
    """

    commands: dict[str, str]
    before: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    after: tuple[str, ...] = ()


def rooms(*tasks: str, head: str, rest: str = '') -> str:
    """A joint config of tasks on rendered rooms, between its first lines and its last ones."""
    scores = dict(seg="'mIoU'", edges="'odsF'", depth="dict(metric='rmse', scale=1.0)")
    scores.update(normals="dict(metric='mean', scale=1.0)")
    lines = [f'    {task}={ROOM_TASK.format(task, scores[task])},' for task in tasks]
    return '\n'.join([head, *lines, ')', rest])


HELD = """_base_ = ['joint.py']
held_out_images = dict(det=4)
annotations = 'data/mine/det/annotations/'
tasks = dict(
    det=dict(
        train_dataloader=dict(dataset=dict(ann_file='annotations/train_rest.json')),
        search_dataloader=dict(
            dataset=dict(
                ann_file='annotations/train_search.json', data_prefix=dict(img='images/train/')
            )
        ),
        search_evaluator=dict(ann_file=annotations + 'train_search.json'),
    ),
)
"""
BIRDS = """_base_ = ['mdl_nas_mm::_base_/joint_runtime.py']
base = 'my_project.safetensors'
inherit = 'seg'
data = dict(dataset=dict(data_root='data/mine/sketch'))
tasks = dict(
    birds=dict(
        config='mdl_nas_mm::demo/tasks/sketch.py',
        score='accuracy/top1',
        backbone=dict(out_type='avg_featmap', out_indices=(-1,)),
        train_dataloader=data,
        val_dataloader=data,
    )
)
train_cfg = dict(type='MultiTaskTrainLoop', max_iters=2, val_interval=2)
val_cfg = dict(type='MultiTaskValLoop')
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.01))
"""
# Blocks that the base task has for itself, of one architecture.
BASE = """backbone = dict(
    _delete_=True,
    type='ElasticViT',
    space=dict(embed_dim=96, depth=2, num_heads=3, mlp_ratio=2, share_ratio=0.5),
    sharing=dict(attn='AllSpecific', ffn='AllSpecific'),
    img_size=(96, 128),
    patch_size=8,
    head_dim=32,
    class_token=False,
    max_relative_position=0,
    out_type='featmap',
    out_indices=(-1,),
)
train_cfg = dict(max_iters=1, val_interval=1)
param_scheduler = None
search_cfg = None
"""
SUB_TASKS = """differences = dict(optimizer=dict(type='AdamW', lr=1e-2))
loop = dict(type='MultiTaskTrainLoop', max_iters=1, val_interval=1)
gates = dict(type='GatedDifference', lambda_w=1e-6, optim_wrapper=differences)
places = dict(type='FixedDifference', optim_wrapper=differences)
computation_sharing = dict(
    density=0.1,
    gates=dict(train_cfg=dict(**loop, step=gates)),
    places=dict(train_cfg=dict(**loop, step=places)),
)
"""
SUBS = '--deposit work_dirs/sub_tasks/deposit.safetensors'
WALKS = {
    'search.md': Walk(
        {
            'mdl-nas search CONFIG --checkpoint SUPERNET [--budget 235M]': (
                f'search joint.py --checkpoint {CKPT} --budget 1.5M --work-dir again'
            ),
            'mdl-nas hold-out CONFIG': 'hold-out held.py',
            'mdl-nas latency CONFIG --task det --out latency_det.json --input-size 800x1280': (
                f'latency joint.py --task det --out latency_det.json --input-size 48x48 {FEW}'
            ),
            'mdl-nas predictor search/history.jsonl --out predictor.safetensors': (
                'predictor work_dirs/joint/search/history.jsonl --out scores.safetensors'
            ),
            'mdl-nas conflicts CONFIG --checkpoint FILE': (
                f'conflicts joint.py --checkpoint {CKPT} --steps 1'
            ),
        },
        files={'held.py': HELD},
    ),
    'multi_task.md': Walk(
        {
            'mdl-nas train configs/my_project/joint.py': 'train joint.py --resume',
            'mdl-nas test configs/my_project/joint.py work_dirs/joint/iter_80000.pth '
            '--show-dir shown --out predicted': (
                f'test joint.py {CKPT} --show-dir shown --out predicted'
            ),
            'mdl-nas deposit pack configs/my_project/joint.py '
            '--checkpoint work_dirs/joint/iter_80000.pth --out tasks.safetensors': (
                f'deposit pack joint.py {CHOSEN} --out tasks.safetensors'
            ),
            'mdl-nas deposit list tasks.safetensors': 'deposit list tasks.safetensors',
            'mdl-nas deposit test tasks.safetensors --task det': (
                'deposit test tasks.safetensors --task det'
            ),
        },
    ),
    'inference.md': Walk(
        {
            'mdl-nas infer deposit.safetensors photos/ clip.mp4 --out-dir out': (
                'infer mine.safetensors data/mine/det/images/val clip.avi --out-dir out'
            ),
        },
    ),
    'export.md': Walk(
        {
            'mdl-nas deposit extract work_dirs/demo/deposit/deposit.safetensors --task det '
            '--out work_dirs/det': (
                'deposit extract mine.safetensors --task det --out work_dirs/det'
            ),
            'mdl-nas deposit extract deposit.safetensors --task det --out work_dirs/det '
            '--training joint.py': (
                'deposit extract mine.safetensors --task det --out trained --training joint.py'
            ),
            'mdl-nas export work_dirs/demo/deposit/deposit.safetensors --task cls --out cls.onnx': (
                'export mine.safetensors --task seg --input-size 32 32 --out seg.onnx'
            ),
            'mdl-nas export work_dirs/demo/deposit/deposit.safetensors --task det --part features '
            '--input-size 480 640 --out det.onnx': (
                'export mine.safetensors --task det --part features --input-size 48 48 '
                '--out det.onnx'
            ),
            'mdl-nas export work_dirs/det/det_config.py --part backbone '
            '--input-size 800 1344 --out det.pt2': (
                'export work_dirs/det/det_config.py --part backbone --input-size 48 48 '
                '--out det.pt2'
            ),
        },
    ),
    'incremental.md': Walk(
        {
            'mdl-nas train configs/my_project/birds.py': 'train birds.py',
            'mdl-nas deposit add work_dirs/my_project.safetensors configs/my_project/birds.py '
            '--checkpoint work_dirs/birds/iter_75000.pth': (
                'deposit add my_project.safetensors birds.py '
                '--checkpoint work_dirs/birds/iter_2.pth'
            ),
            'mdl-nas deposit verify --before before.safetensors '
            '--after work_dirs/my_project.safetensors': (
                'deposit verify --before mine.safetensors --after my_project.safetensors'
            ),
        },
        before=('cp mine.safetensors my_project.safetensors',),
        files={'birds.py': BIRDS},
    ),
    'ecmt.md': Walk(
        {
            'mdl-nas predictor CONFIG --checkpoint FILE --out predictor.safetensors': (
                'predictor ecmt.py --checkpoint work_dirs/ecmt/iter_1.pth --samples 30 '
                '--out predictor.safetensors'
            ),
            'mdl-nas control CONFIG --predictor predictor.safetensors --budget 10G '
            '--prefer seg=1 depth=0.3 --out chosen.json': (
                'control ecmt.py --predictor predictor.safetensors --budget 10G '
                f'--prefer seg=1 depth=0.3 --out chosen.json {SIZES}'
            ),
            'mdl-nas latency CONFIG --task depth --heads depth normals seg --input-size 448x576 '
            '--out latency.json': (
                'latency ecmt.py --task depth --heads depth normals seg --input-size 96x128 '
                f'--out latency.json {FEW}'
            ),
            'mdl-nas control CONFIG --predictor predictor.safetensors --latency latency.json '
            '--budget 25ms': (
                'control ecmt.py --predictor predictor.safetensors --latency latency.json '
                f'--budget 99999ms {SIZES}'
            ),
            'mdl-nas pack-control CONFIG --checkpoint FILE --predictor predictor.safetensors '
            '--budgets 4G 6G 10G --latency latency.json --out deposit.safetensors': (
                'pack-control ecmt.py --checkpoint work_dirs/ecmt/iter_1.pth '
                '--predictor predictor.safetensors --budgets 4G 6G 10G --latency latency.json '
                f'--out controlled.safetensors --images 2 {SIZES}'
            ),
            'mdl-nas infer deposit.safetensors photos/ --budget 10G --prefer seg=1 depth=0.3': (
                'infer controlled.safetensors data/rooms/images --budget 10G '
                '--prefer seg=1 depth=0.3 --out-dir controlled'
            ),
            'mdl-nas deposit extract deposit.safetensors --task seg --budget 10G --prefer seg=1 '
            '--out seg/': (
                'deposit extract controlled.safetensors --task seg --budget 10G --prefer seg=1 '
                '--out seg/'
            ),
            'mdl-nas hypervolume CONFIG --checkpoint FILE --predictor predictor.safetensors '
            '--reference 4 4 4 --budget 10G': (
                'hypervolume ecmt.py --checkpoint work_dirs/ecmt/iter_1.pth '
                '--predictor predictor.safetensors --reference 9 9 99 --budget 10G '
                f'--count 2 {SIZES}'
            ),
        },
        before=('mdl-nas train ecmt.py',),
        files={'ecmt.py': rooms('seg', 'depth', 'normals', head=JOINT_ROOMS, rest=ECMT)},
    ),
    'computation_sharing.md': Walk(
        {
            'mdl-nas share-computation configs/computation_sharing/pascal_vit-b_sub-tasks.py': (
                'share-computation sub_tasks.py'
            ),
            'mdl-nas deposit add base.safetensors CONFIG --checkpoint FILE --difference-from seg': (
                'deposit add base.safetensors normals.py '
                '--checkpoint work_dirs/normals/iter_1.pth --difference-from seg'
            ),
            'mdl-nas sharing-report --deposit deposit.safetensors --video clip.mp4 '
            '--threshold 0.1': f'sharing-report {SUBS} --video clip.avi --threshold 0.1',
            'mdl-nas sharing-report --deposit deposit.safetensors --loss 1 '
            '--data ann_file=gt_sets/search.txt': (
                f'sharing-report {SUBS} --loss 1 --data ann_file=gt_sets/search.txt'
            ),
            'mdl-nas sharing-report --deposit deposit.safetensors --key-frames 4 '
            '--threshold 0.1': f'sharing-report {SUBS} --key-frames 1 --threshold 0.1',
            'mdl-nas sharing-report --sweep work_dirs/sweep_w/*': (
                'sharing-report --sweep work_dirs/sub_*'
            ),
            'mdl-nas infer deposit.safetensors photos/ --reuse tasks '
            '--thresholds outputs/sharing/thresholds.json': (
                'infer work_dirs/sub_tasks/deposit.safetensors data/rooms/images --reuse tasks '
                '--thresholds outputs/sharing/thresholds.json --out-dir reused'
            ),
        },
        before=(
            'mdl-nas train base.py',
            'mdl-nas deposit pack base.py --checkpoint work_dirs/base/iter_1.pth '
            '--out base.safetensors',
            'mdl-nas train normals.py',
            'mdl-nas share-computation sub_tasks.py --work-dir work_dirs/sub_more --cfg-options '
            'computation_sharing.gates.train_cfg.step.lambda_w=2e-6',
        ),
        files={
            'base.py': rooms('seg', head=JOINT_ROOMS, rest=BASE),
            'normals.py': rooms('normals', head=MORE_ROOMS),
            'sub_tasks.py': rooms('depth', head=MORE_ROOMS, rest=SUB_TASKS),
        },
    ),
    'scenes.md': Walk(
        {
            'mdl-nas make-demo-data --what videos --root data/clips': (
                'make-demo-data --what videos --root data/clips'
            ),
            'mdl-nas infer work_dirs/demo_scenes/deposit/deposit.safetensors '
            'data/clips/val/*/video.avi --out-dir out': (
                'infer base.safetensors data/clips/val/still_0/video.avi --out-dir clips'
            ),
        },
        after=('computation_sharing.md',),
    ),
    'index.md': Walk(
        {
            'mdl-nas train CONFIG': 'train joint.py --resume',
            'mdl-nas test CONFIG CHECKPOINT [--joint-spec FILE]': (
                f'test joint.py {CKPT} --joint-spec {SPEC}'
            ),
            'mdl-nas analyze CONFIG [--joint-spec FILE] [--json]': (
                f'analyze joint.py --joint-spec {SPEC} --input-size seg=32x32 --json'
            ),
            'mdl-nas hold-out CONFIG': 'hold-out held.py',
            'mdl-nas search CONFIG --checkpoint CHECKPOINT --budget 235M': (
                f'search joint.py --checkpoint {CKPT} --budget 1.5M --work-dir again'
            ),
            'mdl-nas search --from FOLDER/history.jsonl --budget 200M': (
                'search --from work_dirs/joint/search/history.jsonl --budget 1.5M'
            ),
            'mdl-nas predictor FOLDER/history.jsonl --out FILE': (
                'predictor work_dirs/joint/search/history.jsonl --out scores.safetensors'
            ),
            'mdl-nas conflicts CONFIG --checkpoint FILE': (
                f'conflicts joint.py --checkpoint {CKPT} --steps 1'
            ),
            'mdl-nas latency CONFIG --task det --out latency_det.json': (
                f'latency joint.py --task det --out latency_det.json --input-size 48x48 {FEW}'
            ),
            'mdl-nas deposit pack CONFIG --checkpoint CHECKPOINT --joint-spec FILE --out FILE': (
                f'deposit pack joint.py {CHOSEN} --out tasks.safetensors'
            ),
            'mdl-nas deposit list FILE': 'deposit list tasks.safetensors',
            'mdl-nas control CONFIG --predictor FILE --budget 10G --prefer seg=1 depth=0.3': (
                'control controlled.safetensors --budget 10G --prefer seg=1 depth=0.3'
            ),
            'mdl-nas pack-control CONFIG --checkpoint FILE --predictor FILE --out FILE': (
                'pack-control ecmt.py --checkpoint work_dirs/ecmt/iter_1.pth '
                f'--predictor predictor.safetensors --out any.safetensors --images 2 {SIZES}'
            ),
            'mdl-nas infer FILE photos/ --budget 10G --prefer seg=1': (
                'infer any.safetensors data/rooms/images --budget 10G --prefer seg=1 --out-dir any'
            ),
            'mdl-nas infer FILE INPUTS --out-dir DIR': (
                'infer mine.safetensors data/mine/seg/images/validation --out-dir more'
            ),
            'mdl-nas deposit extract FILE --task det --out DIR': (
                'deposit extract mine.safetensors --task seg --out seg_alone'
            ),
            'mdl-nas share-computation CONFIG': 'share-computation sub_tasks.py',
            'mdl-nas sharing-report --deposit FILE --video VIDEO --loss 1': (
                f'sharing-report {SUBS} --video clip.avi --loss 1'
            ),
        },
        after=('search.md', 'multi_task.md', 'ecmt.md', 'computation_sharing.md'),
    ),
}
PUBLISHED = 'starts from published weights: tests/configs/test_scene_configs.py trains without'
FEWER = "the page's own config; the walk takes one of fewer steps"
LONG = 'on data sets that have to be downloaded, with published weights'
# Page, or command of a page -> why it is not run.
LEFT_OUT = {
    'from_the_zoo.md': LONG,
    'experiments.md': LONG,
    'configs/scenes.md': LONG,
    'configs/autotaskformer.md': LONG,
    'configs/computation_sharing.md': LONG,
    'distributed.md': 'several processes: tests/distributed/test_torchrun.py',
    'autotaskformer.md': (
        'a tree with heads that weigh its cells, a config of its own: '
        'tests/methods/autotaskformer/test_skeleton_choice.py'
    ),
    'drop_in.md': "an upstream config of one task, by upstream's tools: tests/dropin",
    'mdl-nas test CONFIG_OF_THE_OLD_TASKS overwritten.pth --joint-spec joint_spec.json': (
        'after a training of shared weights, and Python: tests/apis/test_add_tasks.py'
    ),
    'mdl-nas train rooms.py': PUBLISHED,
    'mdl-nas deposit pack rooms.py --checkpoint work_dirs/rooms/iter_40000.pth '
    '--out rooms.safetensors --scored': PUBLISHED,
    'mdl-nas infer rooms.safetensors photos/ clip.mp4 --out-dir out': PUBLISHED,
    'mdl-nas train rooms_search.py': PUBLISHED,
    'mdl-nas search rooms_search.py --checkpoint work_dirs/rooms_search/iter_40000.pth': PUBLISHED,
    'mdl-nas deposit pack rooms_search.py --checkpoint work_dirs/rooms_search/iter_40000.pth '
    '--joint-spec work_dirs/rooms_search/search/joint_spec.json --out small.safetensors '
    '--scored': PUBLISHED,
    'mdl-nas make-demo-data --what rooms --root data/rooms': FEWER,
    'mdl-nas train slim_rooms.py': FEWER,
    'mdl-nas train base_room.py': FEWER,
    'mdl-nas deposit pack base_room.py --checkpoint work_dirs/base_room/iter_600.pth '
    '--out base_room.safetensors --scored': FEWER,
    'mdl-nas share-computation depth_room.py': FEWER,
    'mdl-nas doctor': 'its status says whether the machine has all: tests/test_doctor.py',
    'mdl-nas doctor --config CONFIG': 'the same',
}
