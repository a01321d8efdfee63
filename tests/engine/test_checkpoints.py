"""Checkpoints appear whole or not at all, and what does not fit is refused by name."""

import errno
import os
import random
import shutil
import threading
import zipfile
from contextlib import nullcontext
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from helpers import (
    POLICIES,
    build_model,
    build_runner,
    differences,
    joint_config,
    only,
    refusal_of_tool,
    run_python,
    write_config,
)
from refusals import assert_names, raises_naming
from slim_joint import slim_config

from mdl_nas_mm.engine.checkpoint import (
    check_space,
    describe_backbone,
    load_supernet,
    load_weights,
    read_checkpoint,
    resume_from,
)
from mdl_nas_mm.engine.supernet_base import SupernetBase
from mdl_nas_mm.tasks import resolve_joint_config
from mdl_nas_mm.utils.files import held, written_whole


def training(data, changes=None, sharing='Sequential', iterations=1):
    cfg = joint_config(data, sharing, {'train_cfg.max_iters': iterations, **(changes or {})})
    cfg.val_cfg = None
    return cfg


@pytest.fixture(scope='module')
def trained(data, tmp_path_factory, quick_mmengine):
    """A checkpoint of one iteration."""
    folder = tmp_path_factory.mktemp('trained')
    build_runner(training(data), folder).train()
    return folder / 'iter_1.pth'


def test_checkpoint_says_what_it_is_of(data, trained):
    checkpoint = read_checkpoint(trained)
    assert checkpoint['meta']['iter'] == 1
    assert checkpoint['meta']['backbone']['space'][0]['embed_dim'] == [16, 24]
    assert checkpoint['meta']['backbone']['sharing']['ffn']['type'] == 'Sequential'
    model = build_model(training(data))
    assert set(checkpoint['state_dict']) == set(model.state_dict())


def test_a_checkpoint_of_another_number_of_stages_is_refused(data):
    backbone = build_model(training(data)).backbone
    meta = dict(backbone=describe_backbone(backbone))
    check_space('mine.pth', dict(meta=meta), backbone)
    meta['backbone']['space'] = meta['backbone']['space'] * 3
    with raises_naming(ValueError, 'mine.pth', 'stages', 3, 1):
        check_space('mine.pth', dict(meta=meta), backbone)


@pytest.mark.parametrize('kind', ['slimmable', "upstream's"])
def test_a_checkpoint_has_what_a_backbone_does_not_train(data, tmp_path, kind):
    """No base has it."""
    cfg = slim_config(data, tmp_path)
    frozen = dict(frozen_stages=1, norm_eval=True, norm_cfg=dict(type='BN', requires_grad=False))
    if kind == 'slimmable':
        cfg.backbone.update(frozen)
    else:
        module = dict(type='mmseg.ResNet', depth=18, base_channels=8, stem_channels=8, **frozen)
        cfg.backbone = dict(type='UpstreamBackbone', space='whole', module=module)
        for task in cfg.tasks.values():
            task.pop('backbone')
        cfg.pop('search_cfg')
        cfg.train_cfg.pop('sampler')
    cfg.val_cfg = None
    build_runner(cfg, tmp_path).train()
    states = [read_checkpoint(tmp_path / f'iter_{i}.pth')['state_dict'] for i in (1, 2)]
    cfg.resume, cfg.train_cfg.max_iters = True, 3
    runner = build_runner(cfg, tmp_path)
    runner.train()
    states.append(runner.model.state_dict())
    assert states[0].keys() == states[1].keys() == states[2].keys()
    moved = {key for key in states[0] if not torch.equal(states[0][key], states[2][key])}
    places = {key.removeprefix('backbone.').removeprefix('module.') for key in moved}
    assert not any(place.startswith(('conv1.', 'bn1.', 'layer1.')) for place in places)
    assert 'layer4.0.conv1.weight' in places


def test_a_crash_while_writing_leaves_the_last_one(data, tmp_path, monkeypatch):
    runner = build_runner(training(data, iterations=2), tmp_path)
    whole, saves = torch.save, []

    def save(checkpoint, filename, **kwargs):
        saves.append(filename)
        whole(checkpoint, filename, **kwargs)
        if len(saves) == 2:
            assert not (tmp_path / 'iter_2.pth').exists()
            raise OSError('disk full')

    monkeypatch.setattr(torch, 'save', save)
    with pytest.raises(OSError, match='disk full'):
        runner.train()
    assert [path.name for path in tmp_path.glob('*.pth')] == ['iter_1.pth']
    assert not list(tmp_path.glob('.*'))
    assert read_checkpoint(tmp_path / 'iter_1.pth')['meta']['iter'] == 1


def no_space(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_said_in_one_line(data, tmp_path, monkeypatch):
    """Torch says "unexpected pos" then."""
    path = write_config(training(data), tmp_path / 'mine.py')
    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
from pathlib import Path
import torch
from mdl_nas_mm.utils.torch_file import write_torch_file
write_torch_file({str(tmp_path / 'big.pth')!r}, torch.ones(10000))
"""
    done = run_python(code, cwd=tmp_path)
    assert done.stderr.splitlines()[-1] == (
        f"OSError: [Errno 27] File too large: '{tmp_path / 'big.pth'}'"
    )
    assert not (tmp_path / 'big.pth').exists()
    monkeypatch.setattr(torch, 'save', no_space)
    says = refusal_of_tool(monkeypatch, 'train', path, '--work-dir', tmp_path / 'work')
    assert says == f'error: No space left on device: {tmp_path / "work" / "iter_1.pth"}'


def test_what_safetensors_says_of_a_full_disk(tmp_path):
    with pytest.raises(OSError, match='No space left') as error:
        with written_whole(tmp_path / 'deposit'):
            raise RuntimeError('I/O error: No space left on device (os error 28)')
    assert error.value.filename == str(tmp_path / 'deposit')


def test_two_trainings_in_one_folder_are_told(data, tmp_path, monkeypatch):
    """It may be meant, so it goes on; what a killed one has left is not another one."""
    lock = tmp_path / '.train.lock'
    lock.touch()
    for other, told in ((nullcontext(), 0), (held(lock, ''), 1)):
        runner, warnings = build_runner(training(data), tmp_path), []
        monkeypatch.setattr(runner.logger, 'warning', lambda text, *_, w=warnings: w.append(text))
        with other:
            runner.train()
        assert sum(f'is training in {tmp_path}: ' in text for text in warnings) == told
        assert not lock.exists()


def test_a_failed_rewrite_leaves_the_old_file(tmp_path):
    path = tmp_path / 'folder' / 'a.txt'
    with written_whole(path) as temporary:
        temporary.write_text('old')
        assert not path.exists()
    with pytest.raises(KeyError), written_whole(path) as temporary:
        temporary.write_text('half')
        raise KeyError
    assert path.read_text() == 'old'
    assert [found.name for found in path.parent.iterdir()] == ['a.txt']


def test_absent_checkpoint_is_named(data, tmp_path):
    with raises_naming(FileNotFoundError, tmp_path / 'absent.pth'):
        read_checkpoint(tmp_path / 'absent.pth')


@pytest.mark.parametrize('share', [0.0, 0.01, 0.5, 0.9, 0.999])
def test_checkpoint_that_is_cut_short_is_refused(trained, tmp_path, share):
    content = trained.read_bytes()
    path = tmp_path / 'cut.pth'
    path.write_bytes(content[: int(len(content) * share)])
    with raises_naming(ValueError, 'checkpoint', path):
        read_checkpoint(path)


def test_a_flipped_bit_is_found_or_harmless(trained, tmp_path):
    content, expected = trained.read_bytes(), read_checkpoint(trained)
    rng, path, refused = random.Random(0), tmp_path / 'flipped.pth', 0
    # Everywhere, and more often at the end, where the directory of the archive is.
    places = [rng.randrange(len(content)) for _ in range(30)]
    places += [rng.randrange(len(content) - 2000, len(content)) for _ in range(30)]
    for place in places:
        altered = bytearray(content)
        altered[place] ^= 1 << rng.randrange(8)
        path.write_bytes(altered)
        try:
            found = read_checkpoint(path)
        except ValueError as error:
            assert str(path) in str(error)
            refused += 1
        else:
            for key in ('state_dict', 'optimizer', 'param_schedulers'):
                assert differences(found[key], expected[key]) == [], place
    assert refused > 30


def test_altered_weights_are_named(trained, tmp_path):
    """A flipped bit in the middle of the largest record."""
    path = tmp_path / 'altered.pth'
    content = bytearray(trained.read_bytes())
    with zipfile.ZipFile(trained) as archive:
        largest = max(archive.infolist(), key=lambda info: info.file_size)
    content[largest.header_offset + 100 + largest.file_size // 2] ^= 1
    path.write_bytes(content)
    with raises_naming(ValueError, path, repr(largest.filename)):
        read_checkpoint(path)


@pytest.mark.parametrize('content', [b'', b'no checkpoint at all', b'PK\x05\x06' + bytes(18)])
def test_what_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / 'other.pth'
    path.write_bytes(content)
    with raises_naming(ValueError, 'checkpoint', path):
        read_checkpoint(path)


def test_file_without_weights_is_refused(tmp_path):
    torch.save([1, 2], tmp_path / 'list.pth')
    with raises_naming(ValueError, tmp_path / 'list.pth', "'state_dict'"):
        read_checkpoint(tmp_path / 'list.pth')


@pytest.mark.parametrize(
    ('changes', 'named'),
    [
        ({'backbone.space.embed_dim': (16, 32)}, ('stage 0, embed_dim', [16, 24], [16, 32])),
        ({'backbone.space.depth': (1,)}, ('stage 0, depth', [1, 2], [1])),
        ({'backbone.space.num_heads': (2,)}, ('stage 0, num_heads', '[[1, 2]')),
        ({'backbone.space.mlp_ratio': (1, 2, 3)}, ('stage 0, mlp_ratio', '[[1, 2]')),
        (
            {'backbone.head_dim': 4},
            ("'backbone.blocks.0.attn.qkv.weight'", (48, 24), (24, 24)),
        ),
        ({'backbone.img_size': 20}, ("'backbone.pos_embed'", (1, 17, 24))),
        ({'backbone.class_token': False}, ("'backbone.cls_token'",)),
        ({'backbone.sharing': 'AllShared'}, ("'backbone.blocks.0.norm1.specific.cls.",)),
        ({'backbone.sharing': 'Mask'}, ("'backbone.blocks.0.norm1.score'",)),
        (
            {'tasks.cls.model.head.num_classes': 11},
            ("'tasks.cls.head.fc.weight'", (10, 24), (11, 24)),
        ),
    ],
    ids=str,
)
def test_checkpoint_of_another_model_is_refused(data, trained, changes, named):
    """The first offending choice or key is named, before anything is loaded."""
    cfg = training(data, changes)
    if 'backbone.sharing' in changes:
        cfg.backbone.sharing = changes['backbone.sharing']
    with raises_naming(ValueError, f'checkpoint {trained}', *named):
        load_supernet(resolve_joint_config(cfg), trained)


def test_checkpoint_of_other_tasks_is_refused(data, trained):
    fewer = only(training(data), 'cls', 'det')
    with raises_naming(ValueError, trained, 'specific.seg.'):
        load_supernet(resolve_joint_config(fewer), trained)


def test_share_ratios_may_be_others(data, trained):
    """They are no property of the weights."""
    cfg = training(data)
    cfg.backbone.space.share_ratio = (0.1, 0.9)
    load_supernet(resolve_joint_config(cfg), trained)


def test_loaded_supernet_is_the_trained_one(data, trained):
    model = load_supernet(resolve_joint_config(training(data)), trained)
    assert differences(dict(model.state_dict()), dict(read_checkpoint(trained)['state_dict'])) == []
    assert not model.training


@pytest.mark.parametrize('missing', ['optimizer', 'message_hub', 'param_schedulers'])
def test_just_weights_are_no_checkpoint_to_go_on_from(data, trained, tmp_path, missing):
    checkpoint = read_checkpoint(trained)
    del checkpoint[missing]
    torch.save(checkpoint, tmp_path / 'weights.pth')
    cfg = training(data, {'resume': True, 'load_from': str(tmp_path / 'weights.pth')})
    with raises_naming(ValueError, tmp_path / 'weights.pth', f"'{missing}'"):
        build_runner(cfg, tmp_path).train()


@pytest.fixture(scope='module')
def pretrained(data, tmp_path_factory, quick_mmengine):
    """A checkpoint of the pre-training: one task, everything shared."""
    folder = tmp_path_factory.mktemp('pretrained')
    cfg = only(training(data, sharing='AllShared'), 'cls')
    build_runner(cfg, folder).train()
    return folder / 'iter_1.pth'


@pytest.mark.parametrize('sharing', POLICIES.values(), ids=POLICIES)
def test_pretrained_supernet_starts_every_tasks_own_weights(data, pretrained, tmp_path, sharing):
    """Through the runner's load_from, into three tasks under any policy."""
    cfg = training(data, {'load_from': str(pretrained)}, sharing)
    runner = build_runner(cfg, tmp_path)
    initial = {key: value.clone() for key, value in runner.model.state_dict().items()}
    runner.load_or_resume()
    old, new = read_checkpoint(pretrained)['state_dict'], runner.model.state_dict()
    assert differences_in_heads(new, initial) == []
    for key, value in new.items():
        if '.specific.' in key:
            layer, _, rest = key.partition('.specific.')
            assert torch.equal(value, old[f'{layer}.{rest.partition(".")[2]}']), key
        elif key.endswith('.score'):
            assert torch.equal(value, initial[key])
        elif key.startswith(('backbone.', 'tasks.cls.')):
            assert torch.equal(value, old[key]), key


def differences_in_heads(new, initial):
    """Heads that the pre-training did not know keep their initial values."""
    heads = [key for key in new if key.startswith(('tasks.det.', 'tasks.seg.'))]
    assert heads
    return [key for key in heads if not torch.equal(new[key], initial[key])]


def test_a_task_that_is_added_starts_from_the_shared_weights(data, trained):
    """The others keep their own."""
    model = build_model(joint_config(data))
    state = read_checkpoint(trained)['state_dict']
    fewer = {k: v for k, v in state.items() if '.seg.' not in k}
    load_weights('some.pth', model, fewer, strict=False)
    for key, value in model.state_dict().items():
        if '.specific.seg.' in key:
            assert torch.equal(value, state[key.replace('.specific.seg.', '.')])
        elif key in fewer:
            assert torch.equal(value, state[key])


def test_a_head_of_other_classes_keeps_its_initial_values(data, trained, tmp_path, capsys):
    """The rest is loaded, and what is not is named; to go on from or to evaluate it has to fit."""
    changes = {
        'load_from': str(trained),
        'tasks.cls.model.head.num_classes': 12,
        'tasks.cls.model.data_preprocessor.num_classes': 12,
    }
    runner = build_runner(training(data, changes), tmp_path)
    initial = build_runner(training(data, changes | {'load_from': None}), tmp_path)
    initial.model.init_weights()
    runner.load_or_resume()
    others = {'tasks.cls.head.fc.weight', 'tasks.cls.head.fc.bias'}
    state = read_checkpoint(trained)['state_dict']
    for key, value in runner.model.state_dict().items():
        assert torch.equal(value, state[key]) == (key not in others), key
        assert value.shape == initial.model.state_dict()[key].shape
    lines = ''.join(capsys.readouterr()).splitlines()
    (line,) = (line for line in lines if 'of another shape' in line)
    assert 'tasks.cls.head.fc.weight (10, 24) for (12, 24), ' in line
    assert f'checkpoint {trained}' in line and 'WARNING' in line
    for resume in (True, False):
        cfg = training(data, changes | {'resume': resume})
        cfg.val_cfg = dict(type='MultiTaskValLoop')
        built = build_runner(cfg, tmp_path)
        with raises_naming(ValueError, "'tasks.cls.head.fc.weight'", (10, 24)):
            built.train() if resume else built.val()


@pytest.fixture
def address(trained, tmp_path, monkeypatch):
    """Where a server on this machine has the folder of the checkpoint; copies are kept apart."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'home'))

    class Quiet(SimpleHTTPRequestHandler):
        asked = []

        def log_message(self, *_):
            self.asked.append(self.path)

        def end_headers(self):
            if self.path.startswith('/cut'):
                self._headers_buffer = [
                    line for line in self._headers_buffer if b'Content-Length' not in line
                ]
                self.send_header('Content-Length', '1000000000')
            super().end_headers()

    shutil.copy(trained, trained.with_name('cut.pth'))
    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=str(trained.parent)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_address[1]}', Quiet.asked
    server.shutdown()


def test_a_checkpoint_by_its_address_is_fetched_once(data, trained, tmp_path, address):
    server, asked = address
    cfg = training(data, {'load_from': f'{server}/iter_1.pth'})
    runner = build_runner(cfg, tmp_path)
    runner.load_or_resume()
    expected = dict(read_checkpoint(trained)['state_dict'])
    assert differences(dict(runner.model.state_dict()), expected) == []
    resumed = training(data, iterations=2)
    resume_from(resumed, f'{server}/iter_1.pth')
    runner = build_runner(resumed, tmp_path)
    runner.load_or_resume()
    assert runner.iter == 1
    assert asked == ['/iter_1.pth']
    with raises_naming(FileNotFoundError, '/absent.pth', 404):
        read_checkpoint(f'{server}/absent.pth')
    with raises_naming(ValueError, '/cut.pth', 1000000000):
        read_checkpoint(f'{server}/cut.pth')
    assert len(list((tmp_path / 'home').rglob('*.pth'))) == 1


def test_addresses_of_other_kinds_are_refused(tmp_path):
    with raises_naming(ValueError, 's3://bucket/a.pth', 's3:// '):
        read_checkpoint('s3://bucket/a.pth')


def test_pretraining_of_another_space_is_refused(data, pretrained, tmp_path):
    cfg = training(data, {'load_from': str(pretrained), 'backbone.space.depth': (2, 3)})
    with raises_naming(ValueError, pretrained, 'stage 0, depth', [1, 2], [2, 3]):
        build_runner(cfg, tmp_path).load_or_resume()


def test_weights_from_elsewhere_need_every_shared_one(data, trained, tmp_path):
    """A file without a description, as a converted one is."""
    state = dict(read_checkpoint(trained)['state_dict'])
    model = build_model(joint_config(data))
    del state['backbone.norm.weight']
    with raises_naming(ValueError, "'backbone.norm.weight'"):
        load_weights('some.pth', model, state, strict=False)
    state['backbone.blocks.9.norm1.weight'] = state['backbone.norm.bias']
    with raises_naming(ValueError, "'backbone.blocks.9.norm1.weight'"):
        load_weights('some.pth', model, state, strict=False)


def test_tools_refuse_in_one_line(data, trained, tmp_path, monkeypatch):
    """Before anything has run, and without a traceback."""
    path = write_config(joint_config(data), tmp_path / 'mine.py')
    work_dir = ['--work-dir', tmp_path / 'work']
    cut = tmp_path / 'cut.pth'
    cut.write_bytes(trained.read_bytes()[:5000])
    shutil.copy(trained, tmp_path / 'iter_1.pth')

    says = partial(refusal_of_tool, monkeypatch)
    assert_names(says('train', tmp_path / 'no.py'), f'config {tmp_path / "no.py"}')
    absent = tmp_path / 'absent.pth'
    search = ['search', path, '--checkpoint', absent, '--budget', '1M', *work_dir]
    assert_names(says('train', path, *work_dir, '--resume', absent), f'checkpoint {absent}')
    assert_names(says('test', path, absent, *work_dir), f'checkpoint {absent}')
    assert_names(says(*search), f'checkpoint {absent}')
    whole = tmp_path / 'iter_1.pth'
    assert_names(says('train', path, *work_dir, '--resume', cut), cut, f'--resume {whole}')
    option = ['--cfg-options', 'tasks.cls.train_dataloader.dataset.data_root=/no/such']
    assert_names(says('train', path, *work_dir, *option), "'cls'", "'/no/such'", 'data_root')


class Prints:
    """Pickled as a call."""

    def __reduce__(self):
        return print, ('ran',)


def test_more_than_data_needs_trust(data, trained, tmp_path, capsys):
    """Nothing runs before; trusted, the weights are the same."""
    path = tmp_path / 'more.pth'
    torch.save(dict(read_checkpoint(trained), more=Prints()), path)
    cfg = resolve_joint_config(training(data))
    with raises_naming(ValueError, path, 'builtins.print', '--trust-checkpoint'):
        load_supernet(cfg, path)
    assert 'ran' not in capsys.readouterr().out
    cfg.trust_checkpoint = True
    model = load_supernet(cfg, path)
    assert 'ran' in capsys.readouterr().out
    assert differences(dict(model.state_dict()), dict(read_checkpoint(trained)['state_dict'])) == []


def test_the_config_of_a_base_is_not_executed(trained, tmp_path, capsys):
    checkpoint, path = read_checkpoint(trained), tmp_path / 'base.pth'
    checkpoint['meta']['cfg'] = "print('ran')\n" + checkpoint['meta']['cfg']
    torch.save(checkpoint, path)
    base = SupernetBase(str(path), 'cls')
    assert base.backbone == SupernetBase(str(trained), 'cls').backbone
    assert base.tasks == ('cls', 'det', 'seg') and base.joint is None
    assert 'ran' not in capsys.readouterr().out
    for wrong in (None, [], dict(backbone={}, tasks='cls', joint_spec=None)):
        checkpoint['meta']['joint'] = wrong
        torch.save(checkpoint, path)
        with raises_naming(ValueError, path, 'joint training'):
            SupernetBase(str(path), 'cls').tasks  # noqa: B018
