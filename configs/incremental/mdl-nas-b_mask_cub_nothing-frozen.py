r"""The contrast: CUB-200-2011 on MDL-NAS-B, mask sharing, with nothing frozen.

python tools/train.py configs/incremental/mdl-nas-b_mask_cub_nothing-frozen.py

Starts where mdl-nas-b_mask-d_cub.py does and trains the shared weights as well, so that its result
cannot be added to the deposit. docs/incremental.md shows how to see what becomes of the old tasks.
Hardware of the paper: not given.
Expected: 0.1 top-1 of the old classification (supplement, F); the paper gives no score of the new.
"""

_base_ = ['mdl-nas-b_mask-d_cub.py']

trained = 'all'
