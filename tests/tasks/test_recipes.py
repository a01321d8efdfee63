"""Without an optimizer of its own a joint config takes the tasks', if there is just one."""

import pytest

from mdl_nas_mm.tasks.recipes import common_recipe

SCOPES = dict(cls='mmpretrain', det='mmdet', seg='mmseg')


def recipe(lr=1e-4, decay=0.05, **more):
    return dict(optimizer=dict(type='AdamW', lr=lr, weight_decay=decay), **more)


def test_one_recipe_of_all_tasks_is_taken():
    first = recipe()
    found = common_recipe(dict(cls=first, det=recipe(), seg=recipe()), SCOPES)
    assert found == first
    found['optimizer']['lr'] = 1
    assert first == recipe()


@pytest.mark.parametrize(
    ('other', 'message'),
    [
        (recipe(lr=1e-3), 'optim_wrapper.optimizer.lr is 0.0001 and 0.001'),
        (recipe(decay=0.1), 'optim_wrapper.optimizer.weight_decay is 0.05 and 0.1'),
        (recipe(clip_grad=dict(max_norm=1)), "optim_wrapper.clip_grad is None and {'max_norm': 1}"),
    ],
)
def test_different_recipes_are_refused_in_one_line(other, message):
    with pytest.raises(ValueError) as caught:
        common_recipe(dict(cls=recipe(), det=recipe(), seg=other), SCOPES)
    assert str(caught.value) == (
        f"tasks 'cls' and 'seg' have different recipes, {message}; shared weights need one: "
        'give the joint config an optim_wrapper'
    )


def test_a_task_without_a_recipe_is_named():
    with pytest.raises(ValueError, match="optim_wrapper is missing, and task 'seg' has none"):
        common_recipe(dict(cls=recipe(), seg=None), SCOPES)


def test_what_a_library_alone_knows_is_named_with_it():
    layer_wise = 'LearningRateDecayOptimWrapperConstructor'
    given = dict(
        type='OptimWrapper',
        constructor=layer_wise,
        optimizer=dict(type='Lamb', lr=1e-3, weight_decay=0.1),
    )
    found = common_recipe(dict(cls=given), SCOPES)
    assert found == dict(
        type='OptimWrapper',
        constructor=f'mmpretrain.{layer_wise}',
        optimizer=dict(type='mmpretrain.Lamb', lr=1e-3, weight_decay=0.1),
    )


def test_two_libraries_mean_two_things_by_one_name():
    given = recipe(constructor='LearningRateDecayOptimizerConstructor')
    with pytest.raises(ValueError, match=r"constructor is 'mmdet\.\w+' and 'mmseg\.\w+'"):
        common_recipe(dict(det=given, seg=given), SCOPES)
