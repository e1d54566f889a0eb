"""Many independent tasks, here or on many machines: `engine.map(task, items, where=...)`.

    for item, result in engine.map(task, range(100), where=Where(workers=2)):
        ...

A task is a function of one item; it writes what it makes as whole files and returns a few numbers about it. In this
process items are done one after the other; with workers they go to Dask, which is an extra of the package (`cluster`)
and is imported only then. Results come as they are ready, so their order means nothing. A task whose worker is lost is
given to another one; a task that raises ends the whole: its error is raised here and what has not begun is given up.

The engine knows nothing of diffraction.
"""

from nanobrag_torch.engine.mapping import map
from nanobrag_torch.engine.place import HERE, Progress, Where, queue_options

__all__ = ["HERE", "Progress", "Where", "map", "queue_options"]
