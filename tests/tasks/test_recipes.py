"""Without an optimizer of its own a joint config takes the tasks', if there is just one."""

import pytest
from refusals import raises_naming

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
    ('other', 'named'),
    [
        (recipe(lr=1e-3), ('optim_wrapper.optimizer.lr', 0.0001, 0.001)),
        (recipe(decay=0.1), ('optim_wrapper.optimizer.weight_decay', 0.05, 0.1)),
        (
            recipe(clip_grad=dict(max_norm=1)),
            ('optim_wrapper.clip_grad', None, {'max_norm': 1}),
        ),
    ],
)
def test_different_recipes_are_refused_in_one_line(other, named):
    with raises_naming(ValueError, "'cls'", "'seg'", *named):
        common_recipe(dict(cls=recipe(), det=recipe(), seg=other), SCOPES)


def test_a_task_without_a_recipe_is_named():
    with raises_naming(ValueError, 'optim_wrapper', "'seg'"):
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
    with raises_naming(ValueError, 'constructor', "'mmdet.", "'mmseg."):
        common_recipe(dict(det=given, seg=given), SCOPES)
