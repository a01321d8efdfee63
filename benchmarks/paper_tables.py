"""Sizes of the paper's models, ours beside theirs (MDL-NAS, Tables 1 to 4).

    python benchmarks/paper_tables.py [--write docs/paper_tables.md]

Counts alone, so that any machine gives the same numbers. Where both of our conventions for FLOPs
(with and without the attention products) are possible readings of a published number, the nearer
one is compared and named. Mask scores are as they are initialised, uniform in [0, 1]: what a
trained supernet shares, and so the totals under the mask policy, is not published.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mmengine.config import Config

from mdl_nas_mm.apis.analyze import analyze
from mdl_nas_mm.tasks import resolve_joint_config
from mdl_nas_mm.utils.quiet import quiet

ROOT = Path(__file__).parents[1]
SIZES = dict(cls=(224, 224), det=(800, 1280), seg=(512, 2048))
CONFIGS = {
    'MDL-NAS-B + mask': 'mdl_nas/mdl-nas-b_mask_searched.py',
    'MDL-NAS-B + seq': 'mdl_nas/mdl-nas-b_seq_searched.py',
    'MDL-NAS-B + mask, convolutions': 'mdl_nas/mdl-nas-b_mask-conv_searched.py',
    'MDL-NAS-B + seq, convolutions': 'mdl_nas/mdl-nas-b_seq-conv_searched.py',
    'MDL-NAS-T + mask': 'mdl_nas/mdl-nas-t_mask_searched.py',
    'MDL-NAS-T + seq': 'mdl_nas/mdl-nas-t_seq_searched.py',
    'Swin-T': 'zoo/swin-t_seq_joint-1x.py',
    'DeiT-S': 'zoo/deit-s_seq_joint-1x.py',
    'DeiT-B': 'zoo/deit-b_seq_joint-1x.py',
}
# (million parameters, billion FLOPs) by task; total million parameters for deployment.
PAPER = {
    'MDL-NAS-B + mask': dict(cls=(50, 10.8), det=(116, 754), seg=(127, 1710), total=235),
    'MDL-NAS-B + seq': dict(cls=(55, 11.7), det=(129, 813), seg=(130, 1725), total=256),
    'MDL-NAS-B + mask, convolutions': dict(det=(116, 754), total=235),
    'MDL-NAS-B + seq, convolutions': dict(det=(129, 813), total=256),
    'MDL-NAS-T + mask': dict(cls=(27, 5.2), det=(60, 309), seg=(68, 993), total=103),
    'MDL-NAS-T + seq': dict(cls=(28, 5.3), det=(58, 299), seg=(59, 971), total=115),
    'Swin-T': dict(cls=(29, 4.5), det=(48, 264), seg=(60, 945), total=137),
    'DeiT-S': dict(cls=(22, 4.7)),
    'DeiT-B': dict(cls=(86, 17.5)),
}
TABLES = dict(cls=1, det=2, seg=3)
NOTES = """
Where they differ by more than 3 %:

- **MDL-NAS-B, classification.** Sizes and FLOPs follow from the architectures of the supplement's
  Table 1. The paper's numbers are 2 to 3 % above both.
- **MDL-NAS-B, detection.** The paper says that its size comes from cross-window propagation
  blocks, but not of which kind. ViTDet has attention over the whole map in four blocks, which adds
  no weights (the plain rows), or four residual blocks of convolutions. Of its three kinds
  the largest, two 3 x 3 convolutions each ("convolutions": `propagation='basic'`, beside that
  attention), comes nearest, with 24 to 28 million more at a width of 576 or 624; one 3 x 3
  (`naive`) adds half of that, `bottleneck` a fifth. The rest of the difference is not explained.
- **MDL-NAS-B, segmentation.** The paper does not say what stands between backbone and UPerHead.
  Here it is mmseg's `Feature2Pyramid`. The paper's AutoFormer-B has 58 million parameters beside
  its backbone's 54 million too, so that the difference lies outside the backbone.
- **MDL-NAS-T, detection, parameters.** FLOPs agree to 1 %, and so does Swin-T, which has the same
  neck and heads; we found no reading of the supplement's Table 2 that gives 3 to 5 million more
  parameters at the same FLOPs.
- **MDL-NAS-T + seq, segmentation, and its total.** This column of the supplement's Table 2 is not
  legible; the architecture here is not the paper's ([experiments.md](experiments.md)).
- **Totals of MDL-NAS-B** follow the heads above. **Totals under the mask policy** depend on trained
  scores: with scores as they are initialised, a threshold of 0.9 shares a tenth of the channels,
  where a trained supernet may share most.
"""


def report_of(name: str) -> dict:
    """The analysis of one model's config."""
    cfg = Config.fromfile(ROOT / 'configs' / CONFIGS[name])
    with quiet():
        return analyze(resolve_joint_config(cfg, check_files=False), input_sizes=SIZES)


def rows() -> list[tuple[str, ...]]:
    """(table, model, what, paper, ours, difference in percent, remark) of every number."""
    found = []
    for name, published in PAPER.items():
        report = report_of(name)
        for task, table in TABLES.items():
            if task not in published:
                continue
            ours = report['tasks'][task]
            params, flops = published[task]
            size = (ours['backbone_params'] + ours['head_params']) / 1e6
            found.append(_row(table, name, f'{task} parameters (M)', params, size, ''))
            options = {
                'with attention products': ours['flops'] / 1e9,
                'without': ours['flops_without_attention'] / 1e9,
            }
            remark = min(options, key=lambda key: abs(options[key] - flops))
            found.append(_row(table, name, f'{task} FLOPs (G)', flops, options[remark], remark))
        if 'total' in published:
            separate = not name.startswith('MDL')
            total = report['separate' if separate else 'total'] / 1e6
            found.append(_row(4, name, 'total parameters (M)', published['total'], total, ''))
    return sorted(found, key=lambda row: row[0])


def _row(table: int, name: str, what: str, paper: float, ours: float, remark: str) -> tuple:
    difference = f'{100 * (ours / paper - 1):+.1f} %'
    return str(table), name, what, f'{paper:g}', f'{ours:.1f}', difference, remark


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--write', help='Markdown file to write in place of printing')
    args = parser.parse_args()
    head = ('table', 'model', 'what', 'paper', 'ours', 'difference', 'convention')
    lines = [f'| {" | ".join(row)} |' for row in (head, ('---',) * len(head), *rows())]
    text = '\n'.join(
        [
            '# Sizes: the paper and this package',
            '',
            'Made by `python benchmarks/paper_tables.py --write docs/paper_tables.md`; counts '
            'alone, of images of 224 x 224 (classification), 800 x 1280 (detection) and '
            '512 x 2048 (segmentation). FLOPs are multiply-adds.',
            '',
            *lines,
        ]
    )
    text += '\n' + NOTES
    if args.write:
        Path(args.write).write_text(text)
    else:
        print(text)


if __name__ == '__main__':
    main()
