"""Loading one task of a deposit, against reading the same bytes.

    OMP_NUM_THREADS=1 python benchmarks/deposit.py [--write benchmarks/results/NAME.json]

Deposits the paper's MDL-NAS-T architectures (configs/mdl_nas/archs) with random weights, scores
and small classification heads. Then, in turn, with the file in the page cache: reads the tensors
of one task into fresh memory, with one call each; maps the file and puts the task's weights
together (every hash checked); and loads the whole model. Times are medians of the rounds. What is
really read is counted with the file out of the page cache: its resident pages after a load.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from measuring import parser, report

from mdl_nas_mm.deposit import Deposit, pack
from mdl_nas_mm.deposit.tensor_file import TensorFile
from mdl_nas_mm.elastic.arch_source import read_joint_spec
from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import task_scope

ROOT = Path(__file__).resolve().parent.parent


def build(policy: str, path: Path) -> JointSpec:
    """Packs a deposit of the paper's architectures, whose sharing is of one policy."""
    name = dict(Mask='mask', Sequential='seq')[policy]
    joint = read_joint_spec(ROOT / f'configs/mdl_nas/archs/mdl-nas-t_{name}.json', TRANSFORMER)
    space = _space(joint)
    backbone = dict(
        type='ElasticSwin',
        space=space,
        sharing=policy,
        tasks=tuple(joint),
        window_size=(7, 14, 14, 7),
        out_indices={task: (3,) if task == 'cls' else (0, 1, 2, 3) for task in joint},
        pad_small_map=True,
    )
    head = dict(
        type='LinearClsHead', num_classes=10, in_channels=736, loss=dict(type='CrossEntropyLoss')
    )
    slot = dict(type='mdl_nas_mm.BackboneSlot')
    neck = dict(type='GlobalAveragePooling')
    model = dict(type='ImageClassifier', backbone=slot, neck=neck, head=head)
    tasks = {task: dict(scope='mmpretrain', model=model) for task in joint}
    torch.manual_seed(0)
    with task_scope('mdl_nas_mm'):
        supernet = MODELS.build(dict(type='MultiTaskModel', backbone=backbone, tasks=tasks))
    pack(path, supernet, joint, backbone, tasks)
    return joint


def _space(joint: JointSpec) -> list[dict]:
    """A space of just what the architectures have."""
    stages = []
    for s in range(4):
        chosen = [spec.stages[s] for spec in joint.values()]
        blocks = [block for stage in chosen for block in stage.blocks]
        stages.append(
            dict(
                embed_dim=tuple({stage.embed_dim for stage in chosen}),
                depth=tuple({len(stage.blocks) for stage in chosen}),
                num_heads=tuple({block.num_heads for block in blocks}),
                mlp_ratio=tuple({block.mlp_ratio for block in blocks}),
                attn_share_ratio=tuple({block.attn_share_ratio for block in blocks}),
                ffn_share_ratio=tuple({block.ffn_share_ratio for block in blocks}),
            )
        )
    return stages


def used(path: Path, task: str) -> dict[str, tuple[int, int]]:
    """Tensor -> where the bytes lie that one task needs."""
    pieces, file = Deposit(path).pieces(task), TensorFile(path)
    names = {each.tensor for found in pieces.values() for each in found}
    names |= {n for n in file.entries if n.startswith((f'head/{task}/', 'mask/'))}
    return {name: (file.entries[name].start, file.entries[name].end) for name in sorted(names)}


def read(path: Path, ranges: list[tuple[int, int]]) -> list[bytes]:
    """The bytes, in fresh memory."""
    with open(path, 'rb') as file:
        return [os.pread(file.fileno(), end - start, start) for start, end in ranges]


def resident(path: Path) -> int:
    """Bytes of a file that are in the page cache."""
    libc, size = ctypes.CDLL(None, use_errno=True), path.stat().st_size
    with open(path, 'rb') as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
        pages = -(-size // mmap.PAGESIZE)
        states, start = (ctypes.c_ubyte * pages)(), ctypes.c_char.from_buffer(mapped)
        address = ctypes.c_void_p(ctypes.addressof(start))
        if libc.mincore(address, ctypes.c_size_t(size), states):
            raise OSError(ctypes.get_errno(), 'mincore')
        del start
    return sum(state & 1 for state in states) * mmap.PAGESIZE


def really_read(path: Path, action: Callable) -> int:
    """Bytes that an action brings into the page cache."""
    with open(path, 'rb') as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    before = resident(path)
    action()
    return resident(path) - before


def measure(path: Path, task: str, rounds: int) -> dict:
    """Milliseconds and bytes of one task."""
    ranges = list(used(path, task).values())
    size = sum(end - start for start, end in ranges)
    loaded = really_read(path, lambda: Deposit(path).load_task(task))
    actions = dict(
        read=lambda: read(path, ranges),
        weights=lambda: Deposit(path).backbone_weights(task),
        model=lambda: Deposit(path).load_task(task),
    )
    times = {name: [] for name in actions}
    for action in actions.values():
        action()
    for _ in range(rounds):
        for name, action in actions.items():
            start = time.process_time()
            action()
            times[name].append(1e3 * (time.process_time() - start))
    medians = {name: statistics.median(values) for name, values in times.items()}
    return dict(
        needed_bytes=size,
        read_bytes=loaded,
        milliseconds={name: round(value, 1) for name, value in medians.items()},
        weights_over_read=round(medians['weights'] / medians['read'], 2),
        model_over_read=round(medians['model'] / medians['read'], 2),
    )


def main() -> None:
    options = parser(__doc__)
    options.add_argument('--rounds', type=int, default=15)
    options.add_argument('--folder', help='where to write the deposits (default: a temporary one)')
    args = options.parse_args()
    result: dict[str, object] = dict(time='CPU time of the process')
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        for policy in ('Mask', 'Sequential'):
            path = Path(folder) / f'{policy}.safetensors'
            joint = build(policy, path)
            tasks = {task: measure(path, task, args.rounds) for task in joint}
            counts = Deposit(path).counts
            result[policy] = dict(
                file_bytes=path.stat().st_size, ledger_bytes=4 * counts.total, tasks=tasks
            )
    report(args, result)


if __name__ == '__main__':
    main()
