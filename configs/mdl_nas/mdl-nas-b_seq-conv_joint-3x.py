"""The supernet of MDL-NAS-B with propagation blocks for detection, sequential sharing, schedule 3x.

python tools/train.py configs/mdl_nas/mdl-nas-b_seq-conv_joint-3x.py

Starts from the weights of mdl-nas-b_pretrain.py; the blocks, which detection alone has, start as
the identity. Trains on all images but those that a search scores on (_base_/held_out.py).
Hardware of the paper: 16 V100 for each of the three tasks (16+16+16). The paper says that it has
such blocks, and not which; see docs/paper_tables.md for the sizes.
"""

_base_ = ['_base_/mdl-nas-b_conv.py', '_base_/held_out.py', '_base_/joint_3x.py']

tasks = {{_base_.held_out}}
backbone = dict(sharing='Sequential')
