"""Twenty tasks of five classes each on CIFAR-100, without an image in common."""

_names = (
    *('aquatic_mammals', 'fish', 'flowers', 'food_containers', 'fruit_and_vegetables'),
    *('household_electrical_devices', 'household_furniture', 'insects', 'large_carnivores'),
    *('large_man_made_outdoor_things', 'large_natural_outdoor_scenes'),
    *('large_omnivores_and_herbivores', 'medium_mammals', 'non_insect_invertebrates', 'people'),
    *('reptiles', 'small_mammals', 'trees', 'vehicles_1', 'vehicles_2'),
)
tasks = {
    name: dict(
        config='mdl_nas_mm::scenes/tasks/cifar100.py',
        score='accuracy/top1',
        train_dataloader=dict(dataset=dict(coarse=number)),
        val_dataloader=dict(dataset=dict(coarse=number)),
    )
    for number, name in enumerate(_names)
}
# What slimmable tasks change: the head, and a tenth of the training images is set aside.
slim = {
    name: dict(
        model=dict(head=dict(type='mdl_nas_mm.ElasticLinearClsHead', space='ecmt-cifar')),
        train_dataloader=dict(dataset=dict(indices=2250)),
        search_dataloader=dict(dataset=dict(split='train', indices=-250)),
    )
    for name in _names
}
# What transformers of ImageNet change: images of 224 x 224 under its means, and the head's inputs.
_pixels = dict(
    num_classes=5, mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=False
)
_resize = dict(type='Resize', scale=(224, 224), interpolation='bicubic')
enlarged = {
    name: dict(
        model=dict(head=dict(in_channels=768), data_preprocessor=_pixels),
        train_dataloader=dict(
            batch_size=32,
            dataset=dict(
                pipeline=[
                    dict(type='RandomCrop', crop_size=32, padding=4),
                    dict(type='RandomFlip', prob=0.5),
                    _resize,
                    dict(type='PackInputs'),
                ]
            ),
        ),
        val_dataloader=dict(
            batch_size=100, dataset=dict(pipeline=[_resize, dict(type='PackInputs')])
        ),
    )
    for name in _names
}
