"""What the source text of a class can get at: calls that evaluate, open, fetch or start something.

Every method of a class and of its bases is read, and what these call in the mm libraries, as far
as names tell. What a registry builds is not followed, since a class in a config is looked at by
itself.
"""

import ast
import builtins
import importlib
import inspect
import sys
import textwrap
from functools import cache

LIBRARIES = ('mmcv', 'mmdet', 'mmengine', 'mmpose', 'mmpretrain', 'mmseg', 'mdl_nas_mm')
# Of mmengine: what builds from configs, logs, or talks to other processes.
UNSEEN = (
    'mmcv.image.io',
    'mmengine.registry',
    'mmengine.logging',
    'mmengine.dist',
    'mmengine.visualization',
    'mmengine.utils.version_utils',
    'mmengine.utils.dl_utils',
    'mmengine.utils.package_utils',
    'mmengine.device',
)
# Modules of which whatever is called counts, and single functions.
MODULES = (
    *('pickle', 'dill', 'marshal', 'shelve', 'subprocess', 'shutil', 'tempfile', 'runpy', 'ctypes'),
    *('requests', 'urllib', 'http', 'socket', 'ftplib', 'tarfile', 'zipfile', 'gzip', 'lzma'),
    *('transformers', 'nltk', 'timm', 'clip', 'lmdb', 'h5py', 'jsonlines', 'nibabel', 'tifffile'),
    *('torch.hub', 'torch.serialization', 'torch.utils.cpp_extension', 'torch.jit', 'mmcls'),
    *('mmengine.fileio', 'mmengine.runner.checkpoint', 'mmengine.hub', 'mmcv.image.io'),
    *('scipy.io', 'pycocotools', 'xtcocotools', 'imageio', 'webbrowser', 'multiprocessing'),
    *('mmcv.video.io', 'mmcv.video.optflow', 'mmcv.video.processing', 'cityscapesscripts'),
    *('trackeval', 'lvis', 'panopticapi', 'faster_coco_eval', 'mmengine.config'),
)
BUILTINS = ('eval', 'exec', 'compile', 'open', '__import__')
FUNCTIONS = (
    *('importlib.import_module', 'importlib.__import__', 'os.system', 'os.popen', 'os.remove'),
    *('os.makedirs', 'os.mkdir', 'os.rename', 'os.unlink', 'os.startfile', 'os.putenv'),
    *('os.listdir', 'os.scandir', 'os.walk', 'os.symlink', 'glob.glob'),
    *('numpy.load', 'numpy.save', 'numpy.savez', 'numpy.loadtxt', 'numpy.savetxt'),
    *('numpy.fromfile', 'numpy.genfromtxt', 'numpy.memmap', 'pandas.read_csv'),
    *('torch.load', 'torch.save', 'torch.from_file', 'cv2.imread', 'cv2.imwrite'),
    *('cv2.VideoCapture', 'cv2.VideoWriter', 'PIL.Image.open', 'matplotlib.image.imread'),
    *('mmengine.utils.path.mkdir_or_exist', 'PIL.Image.fromfile'),
    *('mmengine.utils.misc.import_modules_from_strings',),
    *('mmengine.utils.package_utils.install_package', 'mmengine.utils.package_utils.call_command'),
    *('mmengine.registry.utils.traverse_registry_tree',),
)
# Of those modules what reads or decodes what is in memory already, or asks whether a file is there.
HARMLESS = (
    *('pycocotools._mask.', 'xtcocotools._mask.', 'pycocotools.mask.', 'xtcocotools.mask.'),
    *('mmengine.config.config.ConfigDict', 'mmengine.config.config.Config._to_lazy'),
    *('mmcv.image.io.imfrombytes', 'mmcv.image.io.use_'),
    *('mmengine.fileio.io.exists', 'mmengine.fileio.io.join_path', 'mmengine.fileio.io.isdir'),
    *('shutil.get_terminal_size', 'multiprocessing.process.current_process'),
    *('multiprocessing.context.BaseContext.current_process',),
)
# Methods of objects of which the text tells no more than the name.
METHODS = (
    *('from_pretrained', 'fromfile', 'load_checkpoint', 'load_state_dict_from_url', 'tofile'),
    *('read_text', 'read_bytes', 'write_text', 'write_bytes', 'get_text', 'get_local_path'),
    *('put', 'put_text', 'savez', 'imsave', 'savefig', 'download', 'system', 'loadRes', 'popen'),
)


def reach(obj) -> dict[str, tuple[str, ...]]:
    """Each call that counts, as ``where: what``, and the way to it."""
    found, seen, todo = {}, {id(obj)}, [(obj, ())]
    while todo:
        current, way = todo.pop()
        hits, calls = _look(current)
        here = (*way, full_name(current))
        for hit in hits:
            found.setdefault(f'{full_name(current)}: {hit}', here)
        for called in calls:
            if id(called) not in seen:
                seen.add(id(called))
                todo.append((called, here))
    return found


def full_name(obj) -> str:
    """Module and name."""
    return f'{getattr(obj, "__module__", "?")}.{getattr(obj, "__qualname__", type(obj).__name__)}'


@cache
def _source(module_name: str):
    """Qualified name -> syntax tree of every class and function of a module."""
    module = sys.modules.get(module_name) or importlib.import_module(module_name)
    found = {}

    def collect(body, prefix):
        for node in body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                found[prefix + node.name] = node
                if isinstance(node, ast.ClassDef):
                    collect(node.body, f'{prefix}{node.name}.')
            elif isinstance(node, (ast.If, ast.Try)):
                collect(node.body + node.orelse, prefix)

    try:
        collect(ast.parse(textwrap.dedent(inspect.getsource(module))).body, '')
    except (OSError, TypeError):
        pass
    return found


_looked: dict = {}


def _look(obj):
    """The calls in a function, or in a class and its bases, that count, and those to follow."""
    key = id(obj)
    if key not in _looked:
        hits, calls = set(), []
        for part in inspect.getmro(obj) if inspect.isclass(obj) else [inspect.unwrap(obj)]:
            own_hits, own_calls = _look_at_own(part)
            hits |= own_hits
            calls += own_calls
        _looked[key] = (hits, calls, obj)
    return _looked[key][:2]


@cache
def _look_at_own(part):
    """As ``_look``, of a class without its bases: many have the same ones."""
    hits, calls = set(), []
    module = getattr(part, '__module__', None) or ''
    if module.split('.')[0] in LIBRARIES:
        node = _source(module).get(part.__qualname__)
        if node is not None:
            _read(node, vars(sys.modules[module]), hits, calls)
    return frozenset(hits), tuple(calls)


def _read(node, names, hits, calls):
    local = _imports(node)
    for call in ast.walk(node):
        if not isinstance(call, ast.Call):
            continue
        found = _resolve(call.func, names, local)
        if found in (isinstance, issubclass):
            continue
        text = ast.unparse(call.func)
        if found is None:
            if isinstance(call.func, ast.Attribute) and call.func.attr in METHODS:
                hits.add(text)
            continue
        if found is getattr and len(call.args) > 1 and not isinstance(call.args[1], ast.Constant):
            if _is_module(call.args[0], names, local):
                hits.add(ast.unparse(call))
        for each in (found, *(_resolve(a, names, local) for a in call.args)):
            if each is None or not callable(each):
                continue
            if _counts(each):
                hits.add(
                    text + _unpickling(call) if each is found else f'{text}({full_name(each)})'
                )
            elif _is_followed(each):
                calls.append(each)


def _unpickling(call):
    """What a call says of pickles, whatever the name of the file."""
    said = {word.arg: word.value for word in call.keywords}
    kind = said.get('file_format') or said.get('allow_pickle')
    is_data = isinstance(kind, ast.Constant) and kind.value in ('json', None, False)
    return '' if kind is None or is_data else f' {ast.unparse(kind)}'


def _imports(node):
    """Names that are imported inside of a function."""
    found = {}
    for each in ast.walk(node):
        try:
            if isinstance(each, ast.ImportFrom) and not each.level:
                module = importlib.import_module(each.module)
                for alias in each.names:
                    found[alias.asname or alias.name] = getattr(module, alias.name)
            elif isinstance(each, ast.Import):
                for alias in each.names:
                    module = importlib.import_module(alias.name)
                    name = alias.asname or alias.name.split('.')[0]
                    found[name] = module if alias.asname else sys.modules[name]
        except Exception:
            continue
    return found


def _resolve(node, names, local):
    if isinstance(node, ast.Name):
        return local.get(node.id, names.get(node.id, getattr(builtins, node.id, None)))
    if isinstance(node, ast.Attribute):
        base = _resolve(node.value, names, local)
        if inspect.ismodule(base) or inspect.isclass(base):
            return getattr(base, node.attr, None)
    return None


def _is_module(node, names, local):
    """Whether this is a module, or stands for one that is not installed."""
    if isinstance(node, ast.Name) and names.get(node.id, node) is None:
        return True
    return inspect.ismodule(_resolve(node, names, local))


def _counts(obj) -> bool:
    name = full_name(inspect.unwrap(obj) if inspect.isroutine(obj) else obj)
    if name.startswith(('builtins.', 'io.', '_io.')):
        return name.partition('.')[2] in BUILTINS
    if inspect.isroutine(obj) and getattr(obj, '__self__', None) is not None:
        name = f'{full_name(obj.__self__)}' if inspect.isclass(obj.__self__) else name
    aliases = {'posix.': 'os.', 'nt.': 'os.'}
    for short, long in aliases.items():
        name = long + name[len(short) :] if name.startswith(short) else name
    if name.startswith(HARMLESS):
        return False
    return name in FUNCTIONS or name.startswith(tuple(f'{module}.' for module in MODULES))


def _is_followed(obj) -> bool:
    module = getattr(obj, '__module__', None) or ''
    return module.split('.')[0] in LIBRARIES and not module.startswith(UNSEEN)
