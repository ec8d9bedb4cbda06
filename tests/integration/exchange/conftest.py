"""The small world under a shorter name."""

import pytest


@pytest.fixture
def world(small_world):
    return small_world
