"""Makes the helpers of other test folders importable, under pytest and as a script."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]

for folder in (HERE, HERE.parent / "races", ROOT / "tests" / "stores", ROOT / "tests" / "cli"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
