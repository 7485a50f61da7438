"""A pack's networks as PyTorch modules: thin wrappers around diffusers' and transformers' own, with the inputs of the
per-row contract. The importer traces them, the torch backend runs them. Needs the `torch` or the `export` extra.
"""

from likeness_engines.torch_networks.encoders import FaceEncoder, TextEncoder, VaeDecoder, VaeEncoder
from likeness_engines.torch_networks.layers import BankedLinear, Conditions, IdentityAttention
from likeness_engines.torch_networks.network import Network, Tensors
from likeness_engines.torch_networks.opening import Projection, open_network
from likeness_engines.torch_networks.unet import UNet, cross_attentions, install_identity, lora_layers

__all__ = [
    "BankedLinear",
    "Conditions",
    "FaceEncoder",
    "IdentityAttention",
    "Network",
    "Projection",
    "Tensors",
    "TextEncoder",
    "UNet",
    "VaeDecoder",
    "VaeEncoder",
    "cross_attentions",
    "install_identity",
    "lora_layers",
    "open_network",
]
