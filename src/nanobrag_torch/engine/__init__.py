"""Many independent tasks, here or on many machines: `engine.map(task, items, where=...)`.

    for item, result in engine.map(task, range(100), where=Where(workers=2)):
        ...

A task is a function of one item; it writes what it makes as whole files and returns a few numbers about it. In this
process items are done one after the other; with workers they go to Dask, which is an extra of the package (`cluster`)
and is imported only then. `map` gives results as they are ready, so their order means nothing; `in_order` gives them
in the order of the items, for sums whose last bit must not depend on the place. A task whose worker is lost is given
to another one; a task that raises ends the whole: its error is raised here and what has not begun is given up.

The engine knows nothing of diffraction.
"""

from nanobrag_torch.engine.mapping import in_order, map
from nanobrag_torch.engine.place import HERE, Progress, Where, queue_options

__all__ = ["HERE", "Progress", "Where", "in_order", "map", "queue_options"]
