"""CIFAR100-MTL: twenty tasks of five classes in one ResNet-18 of upstream's.

    python tools/train.py configs/scenes/r18_cifar100-20tasks.py

No image is of two tasks, so that there is no image group: a step has a batch of each task. Loss
weights, optimizer and 75 epochs of ECMT, whose network is a ResNet-9. Expected: not measured.
"""

_base_ = ['../_base_/joint_runtime.py']

custom_imports = dict(imports=['mdl_nas_mm.scenes'], allow_failed_imports=False)

backbone = dict(
    type='UpstreamBackbone',
    space='whole',
    module=dict(type='mmpretrain.ResNet_CIFAR', depth=18, out_indices=(3,)),
)
# Delta_T: accuracies of tasks/cifar100.py trained alone, as reference=...
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
# 75 epochs of 2,500 images, 256 of each task a step.
max_iters = 733
train_cfg = dict(type='MultiTaskTrainLoop', max_iters=max_iters, val_interval=100)
val_cfg = dict(type='MultiTaskValLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, weight_decay=1e-4))
default_hooks = dict(checkpoint=dict(interval=100))
