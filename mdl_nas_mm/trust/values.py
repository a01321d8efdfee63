"""What a plain value in a config may be, by the name of the argument that it is given to."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

# No path, no address, no expression.
_WORD = re.compile(r'[\w \-+:%|]*')
# mmengine reads .pkl and .yaml with what can run code, torch reads .pth and .npz so.
_DATA_SUFFIXES = (
    *('.json', '.txt', '.csv', '.xml', '.mat', '.odgt', '.lst', '.jsonl', '.npy', '.npz'),
    *('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.webp'),
)
# Of what has no dot mmengine takes the whole name for its ending.
_PROGRAMS = ('pkl', 'pickle', 'yaml', 'yml')
_LOCAL_BACKENDS = ('local', 'disk', 'LocalBackend', 'HardDiskBackend')

# A value, and the library that it is given to -> what is wrong with it.
Rule = Callable[[Any, str], 'str | None']


def word(value: Any, scope: str) -> str | None:
    """A number, or a word that no one would take for a path, an address or an expression."""
    if value is None or isinstance(value, (bool, int, float)):
        return None
    if not isinstance(value, str):
        return f'{_shown(value)} is no plain value'
    return None if _WORD.fullmatch(value) else f'{_shown(value)} is no plain word'


def words(value: Any, scope: str) -> str | None:
    """Numbers and words, also several."""
    return _each(value, lambda item: word(item, scope))


def names(value: Any, scope: str) -> str | None:
    """A list of names, as upstream opens a string as a file."""
    if isinstance(value, str):
        return f'{_shown(value)} would be opened as a file; write what is in it'
    return plain(value, scope)


def numbers(value: Any, scope: str) -> str | None:
    """Numbers alone, as upstream opens a string as a file."""

    def number(item: Any) -> str | None:
        if item is None or isinstance(item, (bool, int, float)):
            return None
        return f'{_shown(item)} is no number, and upstream would open it as a file'

    return _each(value, number)


def nothing(value: Any, scope: str) -> str | None:
    """Nothing, as upstream opens, fetches or writes whatever else it is."""
    if value is None or value is False or value in ('', {}):
        return None
    return f'{_shown(value)} is not for a file to say, as upstream would open, fetch or write it'


def folder(value: Any, scope: str) -> str | None:
    """Local folders."""

    def local(item: Any) -> str | None:
        if item is None:
            return None
        if not isinstance(item, str) or '://' in item or not item.isprintable():
            return f'{_shown(item)} is no local folder'
        return f'{_shown(item)} is no plain path' if '{{' in item else None

    return _each(value, local)


def data_path(value: Any, scope: str) -> str | None:
    """Local files of data, and folders."""

    def local(item: Any) -> str | None:
        wrong = folder(item, scope)
        if wrong or item is None:
            return wrong
        name = item.rstrip('/').rpartition('/')[2].lower()
        end = name.rpartition('.')[2]
        is_other = '.' in name and f'.{end}' not in _DATA_SUFFIXES and not end.isdecimal()
        if end in _PROGRAMS or is_other and name not in ('.', '..'):
            return f'{_shown(item)} is not read as data; known are {", ".join(_DATA_SUFFIXES)}'
        return None

    return _each(value, local)


def ending(value: Any, scope: str) -> str | None:
    """The end of a file's name, such as ``.png``."""
    return _each(value, lambda v: word(v.replace('.', '_') if isinstance(v, str) else v, scope))


def local_backend(value: Any, scope: str) -> str | None:
    """Files of this machine, and no other backend."""
    if not value:
        return None
    names = [value.get('backend', 'local')] if isinstance(value, Mapping) else [value]
    keys = set(value) if isinstance(value, Mapping) else set()
    if keys <= {'backend'} and all(name in _LOCAL_BACKENDS for name in names):
        return None
    return f'{_shown(value)} is no local backend'


def workers(value: Any, scope: str) -> str | None:
    """A number of processes."""
    if type(value) is int and 0 <= value <= 64:
        return None
    return f'{_shown(value)} is no number of workers from 0 to 64'


def plain(value: Any, scope: str) -> str | None:
    """Plain data, whatever its words; ``type`` in it means no class."""

    def harmless(item: Any) -> str | None:
        if item is None or isinstance(item, (bool, int, float)):
            return None
        if isinstance(item, str) and item.isprintable() and '{{' not in item:
            return None
        return f'{_shown(item)} is no plain value'

    return _each(value, harmless)


def data(value: Any) -> str | None:
    """What nothing is built of: a data set's classes, colours and the like, under any keys."""
    if isinstance(value, Mapping):
        value = [item for pair in value.items() for item in pair]
    if isinstance(value, (list, tuple)):
        return next((wrong for item in value if (wrong := data(item))), None)
    return plain(value, '')


def metainfo(value: Any, library: str) -> str | None:
    """Names, numbers and colours; no string that upstream would open as a list in a file."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        return f'{_shown(value)} is no dict'
    for key, item in value.items():
        if key == 'from_file':
            return f"'from_file' {_shown(item)} would be run as a config"
        # mmpose takes strings as they are.
        if isinstance(item, str) and (library != 'mmpose' or str(key).lower() == 'classes'):
            return f'{key} {_shown(item)} would be opened as a file; write what is in it'
    return plain(value, library)


def label_files(value: Any, scope: str) -> str | None:
    """Where labels are and how they are read: a local folder, names, plain words and numbers."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        return f'{_shown(value)} is no dict'
    rules = dict(folder=folder, suffix=ending, classes=names, palette=numbers)
    for key, item in value.items():
        if wrong := key_of_data(key) or rules.get(key, words)(item, scope):
            return wrong
    return None


def key_of_data(key: Any) -> str | None:
    """Keys are numbers or identifiers, so that no text of them means anything else."""
    if type(key) is int or isinstance(key, str) and key.isidentifier():
        return None
    return f'the key {_shown(key)} is no identifier'


def rule_of(found: Any, key: str) -> Rule | None:
    """The rule for an argument: what its class says, or of all that have one of this name.

    A class of this package says it in ``file_rules``: argument -> a rule, or, of one that a file
    must not give, a text that says why.
    """
    own = getattr(found, 'file_rules', {}).get(key)
    return RULES.get(key) if own is None or isinstance(own, str) else own


def _each(value: Any, rule: Callable[[Any], str | None]) -> str | None:
    """The first that is wrong in containers of a value."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            wrong = key_of_data(key) or _each(item, rule)
            if wrong:
                return wrong
        return None
    if isinstance(value, (list, tuple)):
        return next((wrong for item in value if (wrong := _each(item, rule))), None)
    return rule(value)


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f'{text[:57]}...'


_PATHS = """
    ann_file data_prefix bbox_file headbox_file seg_prefix gt_folder seg_dir proposal_file
    label_file hierarchy_file meta_file image_level_ann_file camera_param_file
    keypoint_2d_det_file extra_ann_file label_map_file img_prefix ann_prefix sub_data_root
    sub_data_prefix data_file split_file image_set factor_file ann_subdir img_subdir
    specific_key_path joint_file rootnet_result_file
""".split()
_WRITTEN = """
    outfile_prefix output_dir out_dir out_file_path outfile_path format_only collect_dir
    submission_prefix tmpdir save_path result_dir csv_dir
""".split()
_READ = """
    pretrained checkpoint from_file weights teacher_ckpt teacher_config prototype tokenizer
    tokenizer_path download language_model ckpt
""".split()
_FPG_PATHS = """
    same_up_trans same_down_trans across_lateral_trans across_down_trans across_up_trans
    across_skip_trans output_trans
""".split()

RULES: dict[str, Rule] = {
    'metainfo': metainfo,
    'num_workers': workers,
    **dict.fromkeys(('classes', 'CLASSES'), names),
    **dict.fromkeys(('dataset_info', 'keypoint_info', 'skeleton_info'), plain),
    **dict.fromkeys(('class_weight', 'margins'), numbers),
    **dict.fromkeys(('data_root', 'img_dir', 'ann_dir'), folder),
    **dict.fromkeys(_PATHS, data_path),
    **dict.fromkeys((*_WRITTEN, *_READ), nothing),
    **dict.fromkeys(('img_suffix', 'seg_map_suffix', 'depth_map_suffix', 'extensions'), ending),
    **dict.fromkeys(('backend_args', 'file_client_args'), local_backend),
}
# The ``type`` of these dicts is a word for the class that gets them, no class.
OWN_TYPES = {'mmdet.StageCascadeRPNHead.adapt_cfg', *(f'mmdet.FPG.{name}' for name in _FPG_PATHS)}
# What is below these is looked up in the library that their ``type`` has in front.
OWN_SCOPES = {'mdl_nas_mm.UpstreamBackbone.module'}
