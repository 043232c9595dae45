"""Adapters: a person's few numbers in a shared network."""

from __future__ import annotations

import pytest
import torch

from ml_backend.learned.adapters import person_parameters, person_state, personal_network, with_adapters
from ml_backend.learned.detail_networks import DetailConfig, DetailStudent
from ml_backend.learned.plain_vit import PlainVisionTransformer, VitSize

SMALL = DetailConfig(
    window_px=64, width=32, heads=2, encoder_blocks=2, decoder_blocks=1, stem=(8, 8, 16), cell_channels=8
)


@pytest.fixture
def student() -> DetailStudent:
    torch.manual_seed(0)
    return DetailStudent(SMALL).eval()


def seen(count: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 5, 64, 64, generator=generator), torch.randn(count, 1, 64, 64, generator=generator)


def test_new_adapters_change_nothing(student: DetailStudent) -> None:
    personal = with_adapters(student, 4)
    assert torch.equal(personal(*seen()), student(*seen()))
    encoder = PlainVisionTransformer(VitSize(32, 2, 2), 32)
    image = torch.randn(1, 3, 32, 32)
    assert torch.equal(with_adapters(encoder)(image), encoder(image))


def test_only_the_persons_part_learns(student: DetailStudent) -> None:
    before = {name: value.clone() for name, value in student.state_dict().items()}
    personal = with_adapters(student, 4)
    owned = person_parameters(personal)
    assert {name for name, value in personal.named_parameters() if value.requires_grad} == set(owned)
    assert "x_d" in owned and "place" not in owned
    # an adapter in each of three blocks, three pairs of norms with the last one
    assert len(owned) == 3 * 4 + (2 * 3 + 1) * 2 + 1
    optimiser = torch.optim.Adam(owned.values(), lr=1e-2)
    for _ in range(3):
        optimiser.zero_grad()
        (1e3 * personal(*seen()) - 1).square().mean().backward()
        optimiser.step()
    assert not torch.equal(personal(*seen()), student(*seen()))
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())
    kept = {name.replace("mlp.base.", "mlp."): value for name, value in personal.state_dict().items()}
    assert all(torch.equal(kept[name], value) for name, value in before.items() if name not in owned)


def test_a_person_can_be_put_back(student: DetailStudent) -> None:
    personal = with_adapters(student, 4)
    with torch.no_grad():
        for parameter in person_parameters(personal).values():
            parameter.add_(0.1)
    again = personal_network(student, person_state(personal))
    assert torch.equal(again(*seen()), personal(*seen()))
    assert not any(parameter.requires_grad for parameter in again.parameters())


def test_adapters_of_another_network_are_refused(student: DetailStudent) -> None:
    other = PlainVisionTransformer(VitSize(32, 2, 2), 32)
    with pytest.raises(ValueError, match="another network"):
        personal_network(student, person_state(with_adapters(other, 4)))
    with pytest.raises(ValueError, match="no adapters"):
        personal_network(student, {})
    with pytest.raises(ValueError, match="no transformer block"):
        with_adapters(torch.nn.Linear(2, 2))
