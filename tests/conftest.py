"""Makes what lies under tests/ importable as ``from numerics.plain_vit import ...``.

pytest puts the folder of this file on the path; there is nothing else to do.
"""
