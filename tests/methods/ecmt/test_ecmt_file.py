"""A controlled model as a deposit: all of it in one file, which other commands take as well."""

import json

import cv2
import mmcv
import numpy as np
import pytest
import torch
from controlled_tasks import SIZES, TASKS, TRUST, images, logits, middle
from deposit.hostile import altered
from helpers import call_tool, refusal_of_tool
from mmengine.config import Config
from mmengine.runner import load_checkpoint
from mmseg.registry import MODELS
from refusals import assert_names, raises_naming

from mdl_nas_mm.apis import (
    MultiTaskInferencer,
    controller_of_file,
    extract_chosen,
    load_task,
    save_controlled,
    save_deposit,
)
from mdl_nas_mm.apis.controlled import make_controlled
from mdl_nas_mm.deposit import Deposit, remove, verify
from mdl_nas_mm.deposit.export import load_model
from mdl_nas_mm.elastic.latency_table import LatencyTable, Timing
from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.families import ElasticResNet
from mdl_nas_mm.header.contents import contents
from mdl_nas_mm.methods.ecmt import Evolution, file
from mdl_nas_mm.methods.ecmt import controller as controller_module
from mdl_nas_mm.methods.ecmt.file import load_controlled
from mdl_nas_mm.methods.ecmt.runtime import ControlledModel
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import task_scope
from mdl_nas_mm.utils.budgets import MACS


def table_of(controlled, milliseconds=2.0, hardware='a machine'):
    """Every part of the encoder takes the same."""
    backbone = controlled.model.backbone
    timing = Timing.of(backbone, 'seg', SIZES['seg'])
    parts = dict.fromkeys(timing.timed.all_parts(backbone.space), milliseconds)
    return LatencyTable(timing, parts, dict(hardware=hardware))


@pytest.fixture(scope='module')
def written(supernet, controller, tmp_path_factory):
    """A model, and a file of it with one architecture of a middle budget, and one of any."""
    cfg, checkpoint, _ = supernet
    path = tmp_path_factory.mktemp('packed') / 'controlled.safetensors'
    controlled = ControlledModel.of(cfg, checkpoint, controller, images=4)
    controlled.images['parts'] = controlled.images['seg']
    controlled.add_to_front([middle(controlled), None], [dict(seg=1)])
    save_controlled(cfg, checkpoint, controlled, path, SIZES, trust=TRUST)
    return controlled, path


@torch.no_grad()
def test_all_of_it_is_in_one_file(written):
    controlled, packed = written
    loaded = load_controlled(packed, TRUST)
    assert [m.found.row.tolist() for m in loaded.front] == [
        m.found.row.tolist() for m in controlled.front
    ]
    member = loaded.request(middle(controlled), dict(seg=1))
    assert member.found.row.tolist() == controlled.front[0].found.row.tolist()
    controlled.switch(controlled.front[0])
    for task in TASKS:
        for found, expected in zip(logits(loaded, task), logits(controlled, task), strict=True):
            assert torch.equal(found, expected)
    # What lies off the front is calibrated with the images of the file.
    wanted = loaded.search(None, dict(parts=1))[0], controlled.search(None, dict(parts=1))[0]
    assert wanted[0].statistics.keys() == wanted[1].statistics.keys()
    for name, values in wanted[0].statistics.items():
        torch.testing.assert_close(values, wanted[1].statistics[name])
    # Tasks on the same images have them once.
    names = Deposit(packed, TRUST).names()
    assert sum(name.startswith('control/images/') for name in names) < len(TASKS)


def test_a_file_gives_a_controller(written):
    """With the settings of the file, or others."""
    controlled, packed = written
    budget, prefer = middle(controlled), dict(seg=1)
    found = controller_of_file(packed, trust=TRUST).configure(budget=budget, prefer=prefer)
    assert found.row.tolist() == controlled.front[0].found.row.tolist()
    other = controller_of_file(packed, Evolution(cycles=0), [('seg', 'parts')], trust=TRUST)
    assert other.evolution.cycles == 0 and other.alike == [('seg', 'parts')]
    assert controller_of_file(packed, dict(seed=3), trust=TRUST).evolution == Evolution(seed=3)
    with raises_naming(FileNotFoundError, 'latency', 'a laptop'):
        controller_of_file(packed, latency='a laptop', trust=TRUST)


def test_the_command_searches_as_the_file_says(written, tmp_path, monkeypatch):
    packed, kept = written[1], dict(pool=9, cycles=3, layers=2, seed=5)
    other = altered(packed, tmp_path / 'other', lambda m: m['control'].update(evolution=kept))
    found = []

    def evolve(columns, cost, losses, budget, prefer, settings, *rest):
        found.append(settings)
        return searched(columns, cost, losses, budget, prefer, settings, *rest)

    searched = controller_module.evolve
    monkeypatch.setattr(controller_module, 'evolve', evolve)
    for given, changed in ([], {}), (['--cycles', '0', '--seed', '0'], dict(cycles=0, seed=0)):
        call_tool(monkeypatch, 'control', other, *given, '--trust', *TRUST)
        assert found.pop() == Evolution(**kept | changed)


@torch.no_grad()
def test_it_is_a_deposit_of_the_largest_architectures(written):
    controlled, packed = written
    assert all(verify(packed, TRUST).values())
    assert any('2 calibrated' in line for line in contents(packed))
    controlled.switch(controlled.largest())
    for task in TASKS:
        model = load_task(packed, task, trust=TRUST)
        with task_scope('mmseg'):
            answers = [found.seg_logits.data for found in model.test_step(images(task))]
        for found, expected in zip(answers, logits(controlled, task), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    with raises_naming(ValueError, packed, 'together'):
        remove(packed, 'seg', TRUST)


def test_files_that_are_not_what_they_should_be(written, tmp_path):
    packed = written[1]
    with raises_naming(FileNotFoundError, 'absent'):
        load_controlled(tmp_path / 'absent')

    def evil(control):
        control['models']['seg']['type'] = 'os.system'

    def huge(control):
        control['models']['seg']['decode_head']['channels'] = 2**14

    cases = (
        (evil, 'os.system'),
        (huge, 'control'),
        (lambda c: c['front'][0]['row'].__setitem__(0, 99), 'space'),
        (lambda c: c['front'][0].update(unit='furlongs'), 'furlongs'),
        (lambda c: c['predictor']['tasks'].reverse(), 'predictor'),
        (lambda c: c['models'].pop('parts'), 'parts'),
        (lambda c: c.pop('sizes'), 'sizes'),
        (lambda c: c['sizes'].update(seg=[2**20, 8]), 'sizes'),
        (lambda c: c['evolution'].update(pool=10**9), 'pool'),
        (lambda c: c['images'].clear(), 'calibrate'),
        (lambda c: c['latency'].append(dict(timing=3)), 'latency'),
    )
    for change, named in cases:
        other = altered(packed, tmp_path / 'other', lambda m, change=change: change(m['control']))
        with raises_naming(ValueError, other, named):
            load_controlled(other, TRUST)
    missing = altered(packed, tmp_path / 'other', lambda m: m['hashes'].pop('control/images/0'))
    with raises_naming(ValueError, missing, 'control'):
        load_controlled(missing, TRUST)


def test_images_to_calibrate_with_are_some(supernet, tmp_path):
    cfg, checkpoint, _ = supernet
    with raises_naming(ValueError, 'images', 0):
        make_controlled(cfg, checkpoint, 'absent', tmp_path / 'a', images=0)


def test_a_deposit_without_control_says_so(supernet, tmp_path):
    cfg, checkpoint, _ = supernet
    path = tmp_path / 'deposit.safetensors'
    spaces = load_supernet(cfg, checkpoint).spaces
    joint = JointSpec({task: space.smallest() for task, space in spaces.items()})
    save_deposit(cfg, checkpoint, joint, path, trust=TRUST)
    for ask in (
        lambda: load_controlled(path, TRUST),
        lambda: extract_chosen(path, 'seg', tmp_path, '1G', trust=TRUST),
        lambda: MultiTaskInferencer(path, budget='1G', device='cpu', trust=TRUST),
    ):
        with raises_naming(ValueError, path, 'pack-control'):
            ask()


@pytest.mark.parametrize(
    ('request_', 'named'),
    [
        (dict(budget='5 furlongs'), 'furlongs'),
        (dict(prefer=dict(seg=float('nan'))), 'nan'),
        (dict(prefer=dict(segg=1)), "'segg'"),
    ],
)
def test_a_request_that_means_nothing_loads_no_model(written, request_, named, monkeypatch):
    for module in ('inference', 'controlled'):
        monkeypatch.setattr(f'mdl_nas_mm.apis.{module}.load_controlled', None)
    with raises_naming(ValueError, named):
        MultiTaskInferencer(written[1], device='cpu', trust=TRUST, **request_)
    with raises_naming(ValueError, named):
        extract_chosen(written[1], 'seg', 'nowhere', trust=TRUST, **request_)


def test_a_file_has_the_latency_tables_of_some_machines(supernet, controlled, tmp_path):
    cfg, checkpoint, _ = supernet
    path, other = tmp_path / 'controlled.safetensors', tmp_path / 'latency.json'
    controlled.add_to_front([None], [dict(seg=1)])
    slow, fast = table_of(controlled, 2.0, 'Slow CPU'), table_of(controlled, 1.0, 'Fast CPU')
    save_controlled(cfg, checkpoint, controlled, path, SIZES, (slow, fast), TRUST)
    with raises_naming(ValueError, '50ms', 'latency table'):
        load_controlled(path, TRUST).request('50ms', dict(seg=1))
    # A stem and eight blocks.
    for latency, least in (('slow', 18), ('fast cpu', 9)):
        loaded = load_controlled(path, TRUST, latency)
        loaded.request(f'{least}ms', dict(seg=1))
        with raises_naming(ValueError, f'{least - 1}ms'):
            loaded.request(f'{least - 1}ms', dict(seg=1))
    table_of(controlled, 3.0).save(other)
    load_controlled(path, TRUST, other).request('27ms')
    for words in ('cpu', 'gpu'):
        with raises_naming(ValueError, words, 'Slow CPU', 'Fast CPU'):
            load_controlled(path, TRUST, words)


@torch.no_grad()
def test_an_architecture_is_taken_out_as_it_answers(written, tmp_path):
    controlled, packed = written
    budget = middle(controlled)
    expected = load_controlled(packed, TRUST)
    member, _ = expected.search(budget, dict(seg=1))
    config = extract_chosen(packed, 'seg', tmp_path, budget, dict(seg=1), False, TRUST)
    model, _ = load_model(config)
    with task_scope('mmseg'):
        answers = [found.seg_logits.data for found in model.test_step(images('seg'))]
    for found, other in zip(answers, logits(expected, 'seg'), strict=True):
        torch.testing.assert_close(found, other, rtol=1e-5, atol=1e-5)
    elements = sum(p.numel() for p in model.backbone.parameters())
    uses = controlled.model.backbone.layout.uses(member.found.joint['seg'].root)
    assert elements == sum(use.size for use in uses)


def test_the_largest_is_taken_out_as_upstreams_class(written, tmp_path):
    cfg = Config.fromfile(extract_chosen(written[1], 'alone', tmp_path, trust=TRUST))
    assert cfg.model.backbone.type == 'ResNet' and cfg.model.backbone.base_channels == 3
    with task_scope('mmseg'):
        model = MODELS.build(cfg.model)
    load_checkpoint(model, cfg.load_from, 'cpu', strict=True, logger='silent')


@torch.no_grad()
def test_folders_and_videos_within_a_budget(written, tmp_path, monkeypatch):
    controlled, path = written
    folder, clip = tmp_path / 'folder', tmp_path / 'clip.avi'
    pixels = np.random.default_rng(0).integers(0, 255, (3, 16, 16, 3), np.uint8)
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter_fourcc(*'MJPG'), 10, (16, 16))
    for number, image in enumerate(pixels):
        mmcv.imwrite(image, str(folder / f'{number}.png'))
        writer.write(image)
    writer.release()
    budget = middle(controlled)
    given = dict(device='cpu', show_progress=False, trust=TRUST)
    inferencer = MultiTaskInferencer(path, budget=budget, prefer=dict(seg=1), **given)
    for several, single in ((folder, pixels), (clip, list(mmcv.VideoReader(str(clip))))):
        found, expected = inferencer(several, batch_size=2), inferencer(list(single))
        for task in TASKS:
            assert len(found[task]['predictions']) == 3
            for ours, alone in zip(found[task]['predictions'], expected[task]['predictions']):
                np.testing.assert_array_equal(ours, alone)
    asked = ['--budget', budget, '--prefer', 'seg=1', '--trust', *TRUST]
    asked += ['--out-dir', tmp_path / 'out', '--device', 'cpu', '--no-save-vis']
    call_tool(monkeypatch, 'infer', path, folder, clip, *asked)
    names = {file.stem for file in (tmp_path / 'out' / 'preds' / 'seg').iterdir()}
    assert names == {'0', '1', '2', *(f'clip_{number:06d}' for number in range(3))}


@torch.no_grad()
def test_the_inferencer_changes_its_architecture_between_two_calls(written, monkeypatch):
    controlled, path = written
    run, passes = ElasticResNet.run_stage, []

    def counted(self, stage, *args):
        passes.append(stage)
        return run(self, stage, *args)

    monkeypatch.setattr(ElasticResNet, 'run_stage', counted)
    picture = np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)
    given = dict(device='cpu', show_progress=False, trust=TRUST)
    budget, prefer = middle(controlled), dict(seg=1)

    def answers(inferencer):
        found = inferencer(picture, return_datasamples=True)
        return {t: found[t]['predictions'][0].seg_logits.data for t in TASKS}

    whole = MultiTaskInferencer(path, **given)
    largest = answers(whole)
    inferencer = MultiTaskInferencer(path, budget=budget, prefer=prefer, **given)
    passes.clear()
    first = answers(inferencer)
    assert passes == [0, 1, 2, 3]
    found = inferencer.configure(None, prefer)
    assert found.row.tolist() == controlled.front[1].found.row.tolist()
    second = answers(inferencer)
    inferencer.configure(budget, prefer)
    assert all(torch.equal(answers(inferencer)[task], first[task]) for task in TASKS)
    assert not any(torch.equal(second[task], first[task]) for task in TASKS)
    # As the model answers that the file was written of.
    controlled.switch(controlled.front[0])
    for task in TASKS:
        batch = inferencer.passes.inferencers[task].prepare([picture])
        (sample,) = controlled.predict(task, batch)
        torch.testing.assert_close(first[task], sample.seg_logits.data)
    found = inferencer.configure(budget, dict(parts=1), search=True)
    assert found.preferences['parts'] == 1 and answers(inferencer)
    with raises_naming(ValueError, "'1000'"):
        inferencer.configure('1000')
    with raises_naming(ValueError, 'reuse'):
        MultiTaskInferencer(path, reuse='frames', budget=budget, **given)
    # An inferencer without a request has the largest, and can be given one later.
    whole.configure(budget, prefer)
    changed = answers(whole)
    assert all(torch.equal(changed[task], first[task]) for task in TASKS)
    assert not torch.equal(largest['seg'], changed['seg'])


def test_the_command_lines(supernet, tmp_path, monkeypatch, capsys):
    _, checkpoint, predictor = supernet
    config, learned = checkpoint.with_name('joint.py'), tmp_path / 'predictor.safetensors'
    out, named = tmp_path / 'controlled.safetensors', ['--trust', *TRUST]
    predictor.save(learned)
    sizes = ['--input-size', *(f'{task}=16' for task in TASKS)]
    given = [config, '--checkpoint', checkpoint, '--predictor', learned, '--out', out, *sizes]
    given += ['--images', '4', '--budgets', '1G', '--alike', 'seg,parts', *named]
    call_tool(monkeypatch, 'pack_control', *given)
    assert capsys.readouterr().out.count(MACS) == len(TASKS) + 1
    chosen = tmp_path / 'chosen.json'
    asked = ['--budget', '1G', '--prefer', 'seg=1', *named]
    call_tool(monkeypatch, 'control', out, '--out', chosen, *asked)
    assert 'seg: preference 1.00' in capsys.readouterr().out
    spec = json.loads(chosen.read_text())['joint_spec']
    seg, parts = (spec[task]['parts'][f'{task}.decode_head'] for task in ('seg', 'parts'))
    assert seg == parts
    call_tool(monkeypatch, 'deposit', 'list', out)
    assert f'{len(TASKS) + 1} calibrated' in capsys.readouterr().out
    call_tool(
        monkeypatch, 'deposit', 'extract', out, '--task', 'seg', '--out', tmp_path / 'x', *asked
    )
    assert (tmp_path / 'x' / 'seg.pth').is_file()
    pixels = np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)
    mmcv.imwrite(pixels, str(tmp_path / 'a.png'))
    drawn = [out, tmp_path / 'a.png', '--out-dir', tmp_path / 'drawn', '--device', 'cpu']
    call_tool(monkeypatch, 'infer', *drawn, *asked)
    assert list((tmp_path / 'drawn' / 'vis' / 'seg').glob('a*'))
    assert str(checkpoint) in refusal_of_tool(monkeypatch, 'control', checkpoint)
    monkeypatch.setattr(file, 'load_around_one', None)
    wrong = ['--budget', '1G', '--prefer', 'nope=1', *named]
    extract = ['extract', out, '--task', 'seg', '--out', tmp_path / 'x']
    for tool, arguments in (('infer', drawn), ('control', [out]), ('deposit', extract)):
        assert_names(refusal_of_tool(monkeypatch, tool, *arguments, *wrong), "'nope'", *TASKS)
    related = refusal_of_tool(monkeypatch, 'control', out, '--alike', 'seg,nope', *named)
    assert_names(related, "'nope'", *TASKS)
    with pytest.raises(SystemExit) as refused:
        call_tool(monkeypatch, 'control', out, *sizes, *named)
    assert refused.value.code == 2 and '--input-size' in capsys.readouterr().err
