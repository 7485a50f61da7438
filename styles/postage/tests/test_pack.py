"""What a server checks when it loads the pack, and the edge of its stamps."""

import msgspec
import numpy as np
import pytest

import postage_pack
from likeness_plugins import Style
from likeness_plugins.testing import check_pack, sample_picture


@pytest.fixture
def style() -> Style:
    [style] = check_pack(postage_pack)
    return style


def test_the_pack_conforms(style: Style) -> None:
    assert style.name == "postage"
    assert style.preview is not None


def test_an_avatar_of_this_style_becomes_a_stamp(style: Style) -> None:
    picture = sample_picture()
    stamp = postage_pack.likeness_finish_avatar(picture, style)
    assert stamp is not None
    assert (stamp[6:-6, 6:-6] == picture[6:-6, 6:-6]).all()
    assert (stamp[3, 4:-4] > 200).any()  # paper
    assert (stamp[0] < 100).all()  # the album


def test_other_styles_are_left_alone(style: Style) -> None:
    foreign = msgspec.structs.replace(style, name="another")
    assert postage_pack.likeness_finish_avatar(sample_picture(), foreign) is None


@pytest.mark.parametrize("shape", [(256, 256), (1024, 1024), (300, 200)])
def test_the_edge_is_symmetric(shape: tuple[int, int]) -> None:
    edge = postage_pack.edge(*shape).astype(int)
    assert abs(edge - edge[::-1]).max() <= 1
    assert abs(edge - edge[:, ::-1]).max() <= 1


def test_the_edge_grows_with_the_picture() -> None:
    paper = [1 - postage_pack.edge(side, side).mean() / 255 for side in (256, 512, 1024)]
    assert np.ptp(paper) < 0.005
