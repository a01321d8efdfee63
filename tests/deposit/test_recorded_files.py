"""Files are those that were written before: the same elements at the same places."""

import hashlib
import json
import random
import zlib
from pathlib import Path

import pytest
import torch
from deposits import SHARINGS
from growing import Supernet

from mdl_nas_mm.deposit import Deposit, remove
from mdl_nas_mm.spec.owners import read_name

# Of files that were written before kinds of storage were registered.
RECORDED = Path(__file__).parents[1] / 'data' / 'deposits.json'
CASES = [('ViT', name) for name in SHARINGS] + [('Swin', 'Sequential'), ('Swin', 'Mixed')]


def numbered(supernet):
    """Gives each weight values of its own, which no release of torch draws."""
    for name, value in supernet.state.items():
        if value.is_floating_point():
            first = zlib.crc32(name.encode()) % 8191
            numbers = (torch.arange(value.numel()) * 37 + first) % 8191
            scale = 8191.0 if read_name(name).is_score else 1024.0
            value.copy_((numbers / scale).view(value.shape))
    supernet.model.load_state_dict(supernet.state)


def written(path):
    """What says where each element lies, and the hashes of all tensors."""
    manifest = Deposit(path).manifest
    # As the manifest was before version 7.
    history = [
        dict(regions=batch['regions'], beneath=batch['base_segments'])
        for batch in manifest['history']
    ]
    text = json.dumps([history, manifest['counts'], manifest['hashes']], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def files(data, kind, sharing, tmp_path):
    """Packed, added to, and with one removed."""
    supernet, rng, path = Supernet(data, SHARINGS[sharing], kind), random.Random(7), tmp_path / 'a'
    numbered(supernet)
    supernet.pack(path, supernet.sample(rng, 'a', 'b', 'c'))
    found = [written(path)]
    supernet.add(path, supernet.sample(rng, 'd'))
    found.append(written(path))
    remove(path, 'b')
    return [*found, written(path)]


@pytest.mark.parametrize(('kind', 'sharing'), CASES)
def test_files_are_those_that_were_written_before(data, kind, sharing, tmp_path):
    recorded = json.loads(RECORDED.read_text())
    assert files(data, kind, sharing, tmp_path) == recorded[f'{kind} {sharing}']
