"""The size of a fitted head, which no photo tells."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ml_backend.coarse.head_size_term import HEAD_SIZE_SIGMA, HeadSizeTerm
from tests.toy_head import toy_head


def test_growth_costs_one_at_its_standard_deviation_and_motion_nothing():
    head = toy_head()
    growth = HEAD_SIZE_SIGMA * head.skinned.template
    motion = torch.ones_like(growth)
    basis = torch.stack([growth, motion], 2)
    joints = head.skinned.joint_shape_basis[:, :, :2]
    head = replace(head, skinned=replace(head.skinned, shape_basis=basis, joint_shape_basis=joints))
    rows = HeadSizeTerm(head).by_shape
    assert rows.shape == (1, 2)
    assert float(rows[0, 0]) == pytest.approx(1.0, rel=1e-4)
    assert float(rows[0, 1]) == pytest.approx(0.0, abs=1e-3)
