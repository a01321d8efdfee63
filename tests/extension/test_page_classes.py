"""The smallest sampler and step, as docs/extending.md has them, in a training."""

import re

from extension.test_toy_imports import CODE
from extension.toy import toy_config
from helpers import build_runner


def test_sampler_and_step_of_the_page_train(data, tmp_path):
    scope = {}
    for code in CODE:
        if re.search(r'class (OneSampler|PlainStep)|import Step$', code, re.M):
            exec(code, scope)
    changes = {
        'train_cfg.sampler': dict(_delete_=True, type='OneSampler'),
        'train_cfg.step': dict(_delete_=True, type='PlainStep'),
    }
    runner = build_runner(toy_config(data, tmp_path, changes), tmp_path)
    runner.train()
    assert type(runner.train_loop.step) is scope['PlainStep']
    assert (tmp_path / 'iter_4.pth').is_file()
