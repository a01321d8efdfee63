"""The scores of 1,000 random sub-networks of at most 80 M parameters, without an evolution.

    python tools/search.py configs/autotaskformer/s_taskonomy-16tasks_random-1000.py \
        --checkpoint work_dirs/s_taskonomy-16tasks/iter_121890.pth

Fig. 8, which has those of 40 to 80 M: the evolution's are about 0.5 % better than the best of
these. They leave where the training says at the time of the checkpoint. To have them of the chosen
skeletons alone, give the same settings of search_cfg to the config that tools/skeletons.py writes.
Expected: not measured.
"""

_base_ = ['s_taskonomy-16tasks.py']

search_cfg = dict(
    budget='80M',
    evolution=dict(population=1000, generations=1, crossovers=0, mutations=0),
    random_baseline=False,
)
