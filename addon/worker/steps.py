"""Work in steps, a generator each, moved on by Blender's timer: the add-on starts no thread of Python's.

While an operator runs, Blender gives Python's lock away. Inside `temp_override`, which a timer needs to run an operator
in a window, Blender's own code then asks Python's dictionaries, and takes the lock only where nobody seems to hold it;
up to Python 3.11 it cannot tell its own thread from another one. So if any thread of Python's wakes up at that moment,
two are inside Python at once, and Blender crashes. Besides, Python's collector of cycles runs in whichever thread asks
for memory, and would free Blender's objects there.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

_Result = TypeVar("_Result")

# yields whether there is more to be done at once (MORE), or nothing before something has happened elsewhere (WAITING)
Steps = Generator[bool, None, _Result]
MORE, WAITING = True, False
