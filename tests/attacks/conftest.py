"""The attacks' own modules (`model_attacks`, `table_attacks`, ...) lie beside the tests that use them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
