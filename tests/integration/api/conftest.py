import pytest

from support.machine import forget_rates


@pytest.fixture(autouse=True)
def _full_buckets():
    """Each test begins with nobody having asked."""
    forget_rates()
    yield
    forget_rates()
