"""A small synthetic avatar for the scene's tests: an ellipsoid with a mouth, two eyes, and every array a head has."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
