"""New tasks on a frozen base: any number of processes takes the steps that one takes."""

import pytest
from distributed.trainings import largest_difference, trained
from new_tasks import architectures, base_config, new_config, train_base

pytestmark = pytest.mark.distributed


@pytest.mark.parametrize('tasks', [('cls',), ('cls', 'seg')], ids=['one task', 'two tasks'])
def test_two_processes_are_one(data, tmp_path, tasks):
    base = train_base(base_config(data), tmp_path / 'base')
    cfg = new_config(data, base, architectures(), name='new_cls')
    for like in tasks[1:]:
        other = new_config(data, base, architectures(), name=f'new_{like}', like=like)
        cfg.tasks.update(other.tasks)
        # Outputs are those of the task to inherit from, which is classification.
        cfg.tasks[f'new_{like}'].backbone = dict(out_type='featmap', out_indices=(0, -1))
    cfg.optim_wrapper.optimizer = dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=0.05)
    cfg.groups = {task: 2 for task in cfg.tasks}
    cfg.default_hooks.checkpoint.update(interval=4)
    one = trained(0, cfg, tmp_path / 'one')
    two = trained(2, cfg, tmp_path / 'two')
    assert largest_difference(one['state_dict'], two['state_dict']) < 1e-5
    assert one['meta']['frozen'] == two['meta']['frozen']
    backbone = [name for name in two['state_dict'] if name.startswith('backbone.')]
    assert backbone and all('.specific.new_' in name for name in backbone)
