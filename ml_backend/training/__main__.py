"""`python -m ml_backend.training`: the verb `train` alone."""

from __future__ import annotations

import sys

from ml_backend.training.command import main

sys.exit(main())
