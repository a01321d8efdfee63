"""Files with valid hashes that say something else than what was packed, and what they get at."""

import json
import struct
import sys
from contextlib import contextmanager

from mdl_nas_mm.header.manifest import text_hash

# Canaries lie where hostile values point to.
CANARY = 'canary'
_PROCESSES = ('os.system', 'subprocess.Popen', 'os.exec', 'os.posix_spawn', 'os.startfile')
_NETWORK = ('socket.connect', 'socket.getaddrinfo', 'urllib.Request', 'socket.gethostbyname')
_seen, _hooked = None, False


def altered(path, out, change):
    """A copy of a deposit whose manifest was changed, with the checksum of what it has become."""
    content = path.read_bytes()
    (length,) = struct.unpack('<Q', content[:8])
    header = json.loads(content[8 : 8 + length])
    manifest = json.loads(header['__metadata__']['manifest'])
    change(manifest)
    text = json.dumps(manifest)
    header['__metadata__'].update(manifest=text, manifest_hash=text_hash(text))
    text = json.dumps(header).encode()
    text += b' ' * (-len(text) % 8)
    out.write_bytes(struct.pack('<Q', len(text)) + text + content[8 + length :])
    return out


def places(value, path=()):
    """The path of everything in nested JSON."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield (*path, key)
        if isinstance(item, (dict, list)):
            yield from places(item, (*path, key))


def _hook(event, arguments):
    if _seen is None:
        return
    if event in _PROCESSES or event in _NETWORK:
        _seen.append(f'{event} {arguments}'[:300])
    elif event in ('open', 'import', 'os.listdir', 'os.mkdir', 'compile', 'exec', 'os.remove'):
        # Of what is compiled the name of the file, not the text.
        told = arguments[1:] if event == 'compile' else arguments
        if CANARY in repr(told):
            _seen.append(f'{event} {told}'[:300])


@contextmanager
def watched():
    """Gives what is started, fetched, or done to a canary inside the block."""
    global _hooked, _seen
    if not _hooked:
        sys.addaudithook(_hook)
        _hooked = True
    _seen = found = []
    try:
        yield found
    finally:
        _seen = None
