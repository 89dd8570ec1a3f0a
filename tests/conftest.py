import pathlib

import pytest
from apache_beam.testing.test_pipeline import TestPipeline

from scripts.spark_job_server import SetupError, find_jars, find_java
from tests.stages.bad_web import BadWeb

ROOT = pathlib.Path(__file__).parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
    """Real pages, WARCs, images and lists that lie beside the checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real test data is absent: ../shared/data beside the checkout")
    return SHARED_DATA


@pytest.fixture(scope="session")
def spark_jars() -> str:
    """Class path of Beam's Spark job server."""
    try:
        find_java()
        return find_jars()
    except SetupError as error:
        pytest.skip(f"no Spark: {error}")


@pytest.fixture
def beam_pipeline() -> TestPipeline:
    # Named on purpose: the default DirectRunner first tries to download a Prism binary.
    return TestPipeline(runner="FnApiRunner")


@pytest.fixture
def bad_web(tmp_path):
    started = []

    def start(*addresses):
        started.append(BadWeb(tmp_path, *addresses))
        return started[-1]

    yield start
    for server in started:
        server.close()
