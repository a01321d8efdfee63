"""The smallest classes, as docs/extending.md has them: in a training, or beside plain torch."""

import re

import torch
import torch.nn.functional as F
from extension.test_toy_imports import CODE
from extension.toy import toy_config
from helpers import build_runner

from mdl_nas_mm.sharing import Mask, Sequential


def classes_of_page(names):
    """What the page's code that defines these classes, or imports what they need, defines."""
    scope = {}
    for code in CODE:
        if re.search(rf'class ({names})\b|import Step$', code, re.M):
            exec(code, scope)
    return scope


def test_sampler_step_and_balancer_of_the_page_train(data, tmp_path):
    scope = classes_of_page('OneSampler|PlainStep|LogLoss')
    changes = {
        'train_cfg.sampler': dict(_delete_=True, type='OneSampler'),
        'train_cfg.step': dict(_delete_=True, type='PlainStep', balance=dict(type='LogLoss')),
    }
    runner = build_runner(toy_config(data, tmp_path, changes), tmp_path)
    runner.train()
    assert type(runner.train_loop.step) is scope['PlainStep']
    assert type(runner.train_loop.step.balance) is scope['LogLoss']
    assert (tmp_path / 'iter_4.pth').is_file()


@torch.no_grad()
def test_the_layer_of_the_page_takes_rows_of_both_weights():
    """The first three of six channels used are shared, as one loop over channels computes."""
    kind = classes_of_page('ElasticDepthwise')['ElasticDepthwise']
    torch.manual_seed(0)
    layer, x = kind(8, 3, Sequential(), ('a', 'b')), torch.randn(2, 6, 5, 7)
    own = layer.specific['b']
    torch.testing.assert_close(own['weight'], layer.weight)
    own['weight'].neg_()
    own['bias'].fill_(1.0)
    expected = []
    for i in range(6):
        weight, bias = (layer.weight, layer.bias) if i < 3 else (own['weight'], own['bias'])
        expected.append(F.conv2d(x[:, i : i + 1], weight[i : i + 1], bias[i : i + 1], padding=1))
    torch.testing.assert_close(layer(x, 'b', 0.5), torch.cat(expected, 1))


def test_the_layer_of_the_page_leaves_no_parameter_unfilled():
    kind = classes_of_page('ElasticDepthwise')['ElasticDepthwise']
    for policy in (Sequential(), Mask()):
        assert all(p.abs().max() <= 1 for p in kind(64, 7, policy, ('a', 'b')).parameters())
