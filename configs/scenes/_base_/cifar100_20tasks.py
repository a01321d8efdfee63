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
        config='tasks/cifar100.py',
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
