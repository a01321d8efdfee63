"""Data sets inside of data sets: which is read, and how its images are prepared."""

from mdl_nas_mm.utils.data_paths import data_paths, innermost_dataset, prepared_dataset

FIRST = dict(type='A', data_root='a', pipeline=[1], metainfo=dict(classes=('x',)))
SECOND = dict(type='A', data_root='b', pipeline=[2])


def loader(dataset):
    return dict(dataset=dataset)


def test_one_data_set():
    assert innermost_dataset(loader(FIRST)) == prepared_dataset(loader(FIRST)) == FIRST


def test_several_that_are_put_together_are_like_the_first():
    both = dict(type='ConcatDataset', datasets=[dict(type='Repeat', dataset=FIRST), SECOND])
    assert innermost_dataset(loader(both)) == prepared_dataset(loader(both)) == FIRST
    assert list(data_paths(both)) == ['a', 'b']


def test_a_pipeline_and_classes_outside_are_those_of_all():
    """As of mmpose's CombinedDataset."""
    inside = [dict(FIRST, pipeline=[]), SECOND]
    both = dict(type='CombinedDataset', metainfo=dict(y=1), datasets=inside, pipeline=[3])
    assert prepared_dataset(loader(both)) == dict(FIRST, pipeline=[3], metainfo=dict(y=1))
    assert innermost_dataset(loader(both)) == inside[0]
