"""What Spark forks its Python workers from when the `PySparkRunner` runs: `python -m` of this file.

Spark's own daemon would do, but slowly. Each worker would import Beam for itself, which takes
seconds; here they are forked with it. And each task would take 0.1 s of CPU (measured with pyspark
3.5.9 and CPython 3.11): Spark puts the archives pyspark.zip and spark-core.jar on Python's path,
and `pyspark.worker` drops the import caches whenever a task starts, so that their directories are
read again each time. Here pyspark is imported from where it is installed.
"""

import gc
import importlib.util
import sys

if __name__ == "__main__":
    path = sys.path.copy()
    sys.path[:] = [entry for entry in path if not entry.endswith((".zip", ".jar"))]
    if importlib.util.find_spec("pyspark") is None:
        sys.path[:] = path
    sys.path_importer_cache.clear()

    from pyspark import daemon

    import pipeline.spark  # noqa: F401

    gc.freeze()  # workers collect garbage after each task and need not look at all of Beam
    daemon.manager()
