"""Whether the tensors of a file are those that its manifest speaks of."""

from __future__ import annotations

from collections.abc import Mapping

from mdl_nas_mm.trust import check_scope

from .kinds import Contents, StoredKind, TaskSpecificKind, find_kind, segments_among


def check_contents(contents: Contents, manifest: Mapping, kinds: Mapping[str, StoredKind]) -> None:
    """Compares names and sizes.

    Args:
        contents: of the file.
        manifest: its manifest.
        kinds: see ``kinds_of``.

    Raises:
        ValueError: a tensor is missing, belongs to nothing, or is of another size than the
            architectures make it; or a task is of no library.
    """
    entries, hashes = contents.entries, manifest['hashes']
    for task, info in contents.tasks.items():
        check_scope(info['scope'], f'task {task!r}')
    needed = {name for kind in kinds.values() for name in kind.needed(contents)}
    for name in sorted(needed | set(hashes)):
        if name not in entries or name not in hashes:
            raise ValueError(f'{name!r} is missing')
    for name, entry in entries.items():
        find_kind(kinds, name).check(name, entry, contents)
    found = stored_counts(contents, kinds)
    counts = manifest['counts']
    if (counts['shared'], counts['specific']) != found:
        shared, specific = found
        raise ValueError(
            f'counts are {counts["shared"]}, {counts["specific"]}, the tensors have {shared}, '
            f'{specific}'
        )


def stored_counts(
    contents: Contents, kinds: Mapping[str, StoredKind]
) -> tuple[int, dict[str, int]]:
    """Elements of the backbones: shared, and by task or by those who own them together."""
    own = {k.task: k.elements(contents) for k in kinds.values() if isinstance(k, TaskSpecificKind)}
    shared, of_some = contents.structure.stored_sizes(segments_among(contents.entries))
    return shared, own | of_some
