"""Bottleneck adapters: the few numbers that make a learned network one person's, its own weights left as they are.

What belongs to the person: the adapters behind the feed-forward layers, the layer norms, and the detail network's
latent x_d.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TypeVar

import torch

from ml_backend.learned.coarse_encoder import CoarseEncoder
from ml_backend.learned.plain_vit import Block

# width of the bottleneck: with 32, the adapters of both networks come to 0.2 million numbers
BOTTLENECK = 32
# the same photos give the same person
FIRST_WEIGHTS_SEED = 1
# parameters of a network that belong to the person beside adapters and layer norms
PERSON_LATENTS = ("x_d",)

Network = TypeVar("Network", bound=torch.nn.Module)


class AdaptedFeedForward(torch.nn.Module):
    """A feed-forward layer with an adapter behind it: y + up(gelu(down(y))) of the layer's output y.

    Args:
        base: the layer; width: of the tokens; bottleneck: of the adapter; chance: of its first weights.

    The last layer begins at 0, so that the network is at first what it was.

    Source: Houlsby et al. 2019, Parameter-efficient transfer learning, section 2.1; first paper, section 3.4 (behind
    the feed-forward layers only).
    """

    def __init__(self, base: torch.nn.Module, width: int, bottleneck: int, chance: torch.Generator) -> None:
        super().__init__()
        self.base = base
        self.down = torch.nn.Linear(width, bottleneck)
        self.up = torch.nn.Linear(bottleneck, width)
        torch.nn.init.xavier_uniform_(self.down.weight, generator=chance)
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            torch.nn.init.zeros_(zero)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B,P,width) of tokens (B,P,width)."""
        output = self.base(tokens)
        return output + self.up(torch.nn.functional.gelu(self.down(output)))


def with_adapters(base: Network, bottleneck: int = BOTTLENECK) -> Network:
    """A copy of a network with an adapter in each transformer block, and in the coarse encoder's hidden layer; only the
    person's parameters can be trained.

    Args:
        base: built of `plain_vit.Block`s; it stays as it is.
        bottleneck: width of the adapters.

    Raises:
        ValueError: the network has no transformer block.
    """
    network, chance = copy.deepcopy(base), torch.Generator().manual_seed(FIRST_WEIGHTS_SEED)
    blocks = [module for module in network.modules() if isinstance(module, Block)]
    if not blocks:
        raise ValueError("the network has no transformer block")
    for block in blocks:
        width = block.norm2.normalized_shape[0]
        device = block.norm2.weight.device
        block.mlp = AdaptedFeedForward(block.mlp, width, bottleneck, chance).to(device)
    if isinstance(network, CoarseEncoder):
        # what the landmarks say joins the class token behind the blocks: only here can it be adapted
        hidden = network.to_code[0].out_features
        adapted = AdaptedFeedForward(network.to_code[1], hidden, bottleneck, chance)
        network.to_code[1] = adapted.to(network.to_code[0].weight)
    network.requires_grad_(False)
    for parameter in person_parameters(network).values():
        parameter.requires_grad_(True)
    return network


def person_parameters(network: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """The parameters of a network with adapters that belong to the person, by their names in its state dictionary."""
    owned = {}
    for module_name, module in network.named_modules():
        if isinstance(module, AdaptedFeedForward):
            parts = {"down.weight", "down.bias", "up.weight", "up.bias"}
        elif isinstance(module, torch.nn.LayerNorm):
            parts = {"weight", "bias"}
        else:
            parts = set(PERSON_LATENTS)
        prefix = f"{module_name}." if module_name else ""
        owned |= {prefix + name: value for name, value in module.named_parameters() if name in parts}
    return owned


def person_state(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The person's part of a network's weights, on the processor."""
    return {name: value.detach().cpu().clone() for name, value in person_parameters(network).items()}


def take_person_state(network: torch.nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """Give a network with adapters the person's part of its weights.

    Args:
        state: from `person_state` of such a network, in any precision.
    """
    owned = person_parameters(network)
    with torch.no_grad():
        for name, value in state.items():
            owned[name].copy_(value)


def personal_network(base: Network, state: Mapping[str, torch.Tensor]) -> Network:
    """The network of a person.

    Args:
        base: the shared one; state: from `person_state`, in any precision.

    Raises:
        ValueError: the state belongs to another network.
    """
    downs = [value for name, value in state.items() if name.endswith("mlp.down.weight")]
    if not downs:
        raise ValueError("there are no adapters")
    network = with_adapters(base, len(downs[0]))
    owned = person_parameters(network)
    if set(owned) != set(state) or any(owned[name].shape != value.shape for name, value in state.items()):
        raise ValueError("the adapters are those of another network")
    take_person_state(network, state)
    return network.requires_grad_(False).eval()
