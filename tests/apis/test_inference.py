"""The tasks of a deposit on images: predictions, drawings, files, and what is refused."""

import json
import shutil
import sys
from pathlib import Path

import cv2
import mmcv
import mmengine
import numpy as np
import pytest
import torch
from four_tasks import ALL, JOINTS
from helpers import ROOT, TASKS, call_tool, differences, plain, read_json, refusal_of_tool
from mmengine.config import Config
from mmengine.structures import InstanceData
from refusals import assert_names, raises_naming

from mdl_nas_mm.apis import MultiTaskInferencer, load_task
from mdl_nas_mm.apis.metainfo import data_metainfo
from mdl_nas_mm.apis.output_files import side_by_side
from mdl_nas_mm.apis.task_inferencers import validation_dataset
from mdl_nas_mm.apis.tasks import task_infos
from mdl_nas_mm.deposit import Deposit
from mdl_nas_mm.deposit.configs import stored_metainfo
from mdl_nas_mm.tasks import build_eval_loader, resolve_joint_config, task_scope
from mdl_nas_mm.tasks.input_size import input_size
from mdl_nas_mm.utils.randomness import seeded

PREDICTED = dict(
    cls=('pred_label', 'pred_score'),
    det=('pred_instances',),
    seg=('pred_sem_seg', 'seg_logits'),
    pose=('keypoints', 'keypoint_scores'),
)


@pytest.fixture(scope='module')
def deposit(deposits):
    return deposits['digit']


@pytest.fixture(scope='module')
def inferencer(deposit):
    return MultiTaskInferencer(deposit, device='cpu', show_progress=False)


@pytest.fixture(scope='module')
def images(data):
    """Task -> images of its validation split; the poses are those of detection."""
    folders = dict(cls='cls/val', det='det/images/val', seg='seg/images/validation')
    found = {task: sorted(map(str, (data / f).rglob('*.png'))) for task, f in folders.items()}
    return found | dict(pose=found['det'])


def outputs(samples, task):
    """What the model adds to data samples."""
    if task == 'pose':
        samples = [sample.pred_instances for sample in samples]
    return [plain({key: sample.get(key) for key in PREDICTED[task]}) for sample in samples]


@pytest.mark.parametrize('task', ALL)
def test_same_predictions_as_in_validation(deposit, inferencer, task):
    """Bit for bit those of the validation loader's first batch."""
    info = Deposit(deposit).tasks[task]
    batch = next(iter(build_eval_loader(task, info['scope'], info['val_dataloader'])))
    model = load_task(deposit, task)
    with torch.no_grad(), task_scope(info['scope']):
        expected = model.val_step(batch)
    paths = [sample.img_path for sample in expected]
    if task == 'pose':
        # The data set has a box end at the last pixel, not behind it.
        box = InstanceData(bboxes=torch.tensor([[0.0, 0, 47, 47]]), scores=torch.ones(1))
        with task_scope('mmpose'):
            pose = inferencer.passes.inferencers['pose']
            found = pose.predict(pose.prepare(paths, [box] * len(paths)))
    else:
        found = inferencer(paths, batch_size=len(paths), return_datasamples=True)
        found = found[task]['predictions']
    if task == 'det':
        assert all(len(sample.pred_instances) for sample in found)
    assert differences(outputs(found, task), outputs(expected, task)) == []


@pytest.mark.parametrize('task', ALL)
def test_a_data_set_that_is_wrapped_or_put_together(deposit, task):
    """Images are prepared as by its first part, whatever is around it."""
    info = Deposit(deposit).tasks[task]
    plain_set = validation_dataset(task, info)
    loader = info['val_dataloader']
    repeated = dict(type='RepeatDataset', times=2, dataset=loader['dataset'])
    both = dict(type='ConcatDataset', datasets=[repeated, loader['dataset']])
    wrapped = dict(info, val_dataloader=dict(loader, dataset=both))
    assert validation_dataset(task, wrapped) == plain_set
    loaders = [given['val_dataloader'] for given in (wrapped, info)]
    metainfo = [plain(data_metainfo(task, info['scope'], given)) for given in loaders]
    assert differences(*metainfo) == []
    assert input_size(wrapped['val_dataloader']) == input_size(loader)


def test_predictions_are_what_upstreams_inferencers_return(inferencer, images):
    path = images['det'][0]
    results = inferencer(path)
    assert set(results) == set(ALL)
    answers = {task: result['predictions'] for task, result in results.items()}
    assert {len(answer) for answer in answers.values()} == {1}
    assert not any(result['visualization'] for result in results.values())
    assert set(answers['cls'][0]) == {
        'pred_scores',
        'pred_label',
        'pred_score',
        'pred_class',
    }
    assert set(answers['det'][0]) == {'labels', 'scores', 'bboxes', 'masks'}
    assert answers['seg'][0].shape == (48, 48) and answers['seg'][0].dtype == np.int64
    (person,) = answers['pose'][0]
    assert set(person) == {'keypoints', 'keypoint_scores', 'bbox', 'bbox_score'}
    assert np.shape(person['keypoints']) == (JOINTS, 2)


def test_class_names_of_the_deposit_are_used(deposit, images, monkeypatch):
    """Where the data set finds its classes in the names of folders, the file has to tell them."""
    names = tuple('abcdefghij')
    opened = Deposit.__init__

    def with_names(self, *given):
        opened(self, *given)
        self.tasks['cls']['metainfo'] = dict(classes=names)

    monkeypatch.setattr(Deposit, '__init__', with_names)
    named = MultiTaskInferencer(deposit, ['cls'], 'cpu', show_progress=False)
    (answer,) = named(images['cls'][0])['cls']['predictions']
    assert answer['pred_class'] == names[answer['pred_label']]


def test_poses_are_looked_for_in_the_boxes_of_persons(deposits, images):
    """Though the detector is not asked for; the same of detections that are returned."""
    path = images['det'][0]
    alone = MultiTaskInferencer(deposits['person'], ['pose'], 'cpu', show_progress=False)
    both = MultiTaskInferencer(deposits['person'], ['pose', 'det'], 'cpu', show_progress=False)
    poses = alone(path)
    assert set(poses) == {'pose'}
    results = both(path)
    found = results['det']['predictions'][0]
    persons = {
        tuple(np.round(box, 3))
        for box, label, score in zip(found['bboxes'], found['labels'], found['scores'])
        if label == 0 and score > 0.3
    }
    for each in (poses, results):
        boxes = {tuple(np.round(pose['bbox'][0], 3)) for pose in each['pose']['predictions'][0]}
        assert boxes and boxes <= persons


def compared(inferencer, first, second):
    """Where predictions and drawings of two inputs differ."""
    results = []
    for inputs in (first, second):
        # mmdet draws masks in colours that are varied at random.
        with seeded(0):
            results.append(plain(inferencer(inputs, return_vis=True)))
    return differences(*results)


def test_array_path_folder_and_list_are_the_same(inferencer, images, tmp_path):
    first, second = images['det'][:2]
    folder = tmp_path / 'folder'
    folder.mkdir()
    (folder / 'notes.txt').write_text('no image')
    for name, path in (('b.PNG', second), ('a.png', first)):
        (folder / name).write_bytes(Path(path).read_bytes())
    assert compared(inferencer, mmcv.imread(first), first) == []
    assert compared(inferencer, [Path(first), mmcv.imread(second)], folder) == []
    assert compared(inferencer, [first, [folder]], [first, first, second]) == []


def test_every_frame_of_a_video(inferencer, images, tmp_path):
    path = str(tmp_path / 'clip.avi')
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*'MJPG'), 10, (48, 48))
    for image in images['det'][:3]:
        writer.write(mmcv.imread(image))
    writer.release()
    assert compared(inferencer, path, list(mmcv.VideoReader(path))) == []
    inferencer(path, no_save_vis=True, out_dir=tmp_path / 'out')
    files = sorted(file.name for file in (tmp_path / 'out' / 'preds' / 'det').iterdir())
    assert files == [f'clip_{number:06d}.json' for number in range(3)]


def test_images_of_several_sizes_in_a_batch(inferencer, images):
    """In their order; the heads of some libraries take one size a batch."""
    mixed = [images[task][i] for i in range(2) for task in TASKS]
    together, single = inferencer(mixed, batch_size=4), inferencer(mixed)
    for task in ALL:
        pairs = zip(together[task]['predictions'], single[task]['predictions'])
        for found, expected in pairs:
            if task == 'seg':
                assert found.shape == expected.shape and (found == expected).mean() > 0.99
            if task == 'cls':
                assert found['pred_scores'] == pytest.approx(expected['pred_scores'], abs=1e-5)


def test_files(inferencer, images, tmp_path):
    """Drawings and predictions of every task; images of one name keep apart."""
    paths = [images['det'][0], images['seg'][0], mmcv.imread(images['cls'][0])]
    assert Path(paths[0]).name == Path(paths[1]).name == '000001.png'
    results = inferencer(paths, return_vis=True, out_dir=tmp_path)
    names = ['000001', '000001_2', '00000002']
    for task in ALL:
        drawings = [f'{names[0]}.png', f'{names[1]}.png', f'{names[2]}.jpg']
        assert {file.name for file in (tmp_path / 'vis' / task).iterdir()} == set(drawings)
        assert all((tmp_path / 'vis' / drawing).is_file() for drawing in drawings)
        written = mmcv.imread(tmp_path / 'vis' / task / drawings[0], channel_order='rgb')
        assert (written == results[task]['visualization'][0]).all()
        for name, answer in zip(names, results[task]['predictions']):
            content = read_json(tmp_path / 'preds' / task / f'{name}.json')
            if task == 'seg':
                labels = mmcv.imread(tmp_path / 'preds/seg' / content['sem_seg'], 'unchanged')
                assert (labels == answer).all()
            elif task == 'cls':
                assert content == {k: pytest.approx(v) for k, v in answer.items()}
            else:
                assert content == json.loads(mmengine.dump(answer, file_format='json'))


def test_predictions_alone_or_drawings_alone(inferencer, images, tmp_path):
    inferencer(images['det'][0], no_save_vis=True, out_dir=tmp_path / 'a')
    inferencer(images['det'][0], no_save_pred=True, out_dir=tmp_path / 'b')
    assert [[p.name for p in (tmp_path / x).iterdir()] for x in 'ab'] == [['preds'], ['vis']]


def test_drawings_have_the_colours_of_the_image(inferencer):
    """RGB where the image is BGR, what is drawn aside."""
    blue = np.zeros((64, 64, 3), np.uint8)
    blue[..., 0] = 200
    results = inferencer(blue, return_vis=True, pred_score_thr=1.0)
    for task in ('cls', 'det', 'pose'):
        (drawing,) = results[task]['visualization']
        assert drawing.shape == blue.shape
        assert drawing[-1, -1].tolist() == [0, 0, 200]
    together = side_by_side({'image': blue, 'det': drawing}, width=32)
    assert together.shape == (24 + 32, 2 * (2 + 32 + 2), 3)
    assert together[-1, 20].tolist() == [200, 0, 0] and together[-1, -20].tolist() == [0, 0, 200]


@pytest.mark.parametrize('name', ['swin-t_cls-det-seg', 'swin-t_det-pose'])
def test_published_data_sets_are_known_without_data(name, tmp_path, monkeypatch):
    """Whoever only has the deposit of such a training still sees names."""
    cfg = Config.fromfile(ROOT / 'configs' / 'multi_task' / f'{name}.py')
    infos = task_infos(resolve_joint_config(cfg, check_files=False), {})
    monkeypatch.chdir(tmp_path)
    sizes = dict(cls=1000, det=80, seg=150)
    for task, info in infos.items():
        metainfo = stored_metainfo(task, info)
        if task == 'pose':
            assert metainfo['num_keypoints'] == JOINTS
        else:
            assert len(metainfo['classes']) == sizes[task]


def test_inputs_that_are_none(inferencer, images, tmp_path):
    """Nothing runs before all inputs were looked at."""
    text, empty, cut = tmp_path / 'notes.txt', tmp_path / 'empty', tmp_path / 'cut.png'
    text.write_text('no image')
    empty.mkdir()
    cut.write_bytes(Path(images['det'][0]).read_bytes()[:60])
    good, out = images['det'][0], tmp_path / 'out'

    def refused(inputs, *named, error=ValueError, **settings):
        with raises_naming(error, *named):
            inferencer([good, inputs], out_dir=out, **settings)

    gone = tmp_path / 'gone.png'
    refused(gone, gone, error=FileNotFoundError)
    for other in (text, Path(shutil.copy(text, tmp_path / 'notes.png'))):
        refused(other, other, 'OpenCV')
    refused(empty, 'folder', empty, '.png')
    refused(np.zeros((48, 48), np.uint8), 'array', (48, 48))
    refused(np.zeros((48, 48, 3)), 'array', 'float64')
    refused([], 'images')
    refused(good, 'batch_size', 0, batch_size=0)
    refused(good, 'max_pixels', -3, max_pixels=-3)
    assert not out.exists()
    refused(cut, cut)


def test_tasks_that_cannot_be_used(deposit, deposits, monkeypatch):
    def refused(task, *named):
        with raises_naming(ValueError, f"'{task}'", *named):
            MultiTaskInferencer(deposit, [task], 'cpu')

    refused('depth', f'deposit {deposit}', ['cls', 'det', 'pose', 'seg'])
    opened = Deposit.__init__

    def changed(self, *given):
        opened(self, *given)
        self.tasks['cls']['scope'] = 'mmagic'
        del self.tasks['seg']['val_dataloader']
        self.tasks['det']['val_dataloader']['dataset']['pipeline'][0]['type'] = 'subprocess.Popen'

    monkeypatch.setattr(Deposit, '__init__', changed)
    refused('cls', "'mmagic'", "'mmdet'")
    refused('seg', 'val_dataloader')
    refused('det', "'subprocess.Popen'", ' mmdet')


def test_tool(deposit, images, tmp_path, monkeypatch, capsys):
    out = tmp_path / 'out'
    call_tool(
        monkeypatch, 'infer', deposit, *images['det'][:2], '--tasks', 'det', 'cls',
        '--out-dir', out, '--device', 'cpu', '--batch-size', '2',
    )  # fmt: skip
    assert f'2 images, det, cls: see {out}' in capsys.readouterr().out
    assert sorted(path.name for path in (out / 'preds').iterdir()) == ['cls', 'det']
    assert len(list((out / 'vis' / 'det').iterdir())) == 2
    gone, no_image = tmp_path / 'gone.safetensors', tmp_path / 'gone.png'
    for arguments, named in (((deposit, no_image), no_image), ((gone, out), f'deposit {gone}')):
        assert_names(refusal_of_tool(monkeypatch, 'infer', *arguments), 'error: ', named)


@pytest.mark.parametrize('tasks', [[], 'cls'])
def test_tasks_are_names_and_some(deposit, tasks):
    """Without any each image would be left out; of a text each letter would be one."""
    with raises_naming(ValueError, 'tasks', repr(tasks), 'det'):
        MultiTaskInferencer(deposit, tasks, device='cpu')


def test_a_device_that_is_not_there_is_refused(deposit):
    with raises_naming(ValueError, "'gpu'"):
        MultiTaskInferencer(deposit, ['cls'], 'gpu')


def test_the_class_of_a_data_set_is_never_looked_for(deposit, images, monkeypatch):
    """mmpose's inferencer would import it."""
    opened = Deposit.__init__

    def changed(self, *given):
        opened(self, *given)
        for info in self.tasks.values():
            info['val_dataloader']['dataset']['type'] = 'antigravity.Data'

    monkeypatch.setattr(Deposit, '__init__', changed)
    inferencer = MultiTaskInferencer(deposit, device='cpu', show_progress=False)
    assert len(inferencer(images['det'][0])['pose']['predictions']) == 1
    assert 'antigravity' not in sys.modules
