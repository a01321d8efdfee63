"""Says whether this environment can run this package, and what to do where it cannot.

python tools/doctor.py [--config CONFIG]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# The package may not be installed: that is for this tool to find out.
sys.path.append(str(Path(__file__).resolve().parent.parent))

from mdl_nas_mm import doctor  # noqa: E402
from mdl_nas_mm.utils.command_line import Parser  # noqa: E402


def parse_args() -> argparse.Namespace:
    text = 'Say whether this environment can run this package, and what to do where it cannot.'
    parser = Parser(description=text)
    parser.add_argument('--config', help='Also look for the data folders of this config.')
    return parser.parse_args()


def main() -> int:
    """Print the report; return 0 if the package can run here, else 1."""
    args = parse_args()
    findings = doctor.examine(args.config)
    print(doctor.report(findings))
    return int(any(finding.level == doctor.FAIL for finding in findings))


if __name__ == '__main__':
    sys.exit(main())
