"""Batches that are killed go on where they were; `make batch-kills` does it fifty times."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from batch_kills import kill

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.long
@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_a_batch_that_is_killed_at_random_moments_ends_right(tmp_path: Path) -> None:
    tally, problems = kill(tmp_path, 4, seed=3, good=30, broken=2)
    assert problems == []
    assert tally["parent"] + tally["worker"] == 4  # which of them each time, the moment decides
