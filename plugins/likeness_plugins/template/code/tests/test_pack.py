"""What a server checks when it loads the pack, and the margin."""

from likeness_plugins import Style
from likeness_plugins.testing import check_pack, sample_picture

import new_style_pack


def test_the_pack_conforms() -> None:
    [style] = check_pack(new_style_pack)
    assert style.name == "new-style"
    assert style.preview is not None


def test_the_margin_is_drawn_on_this_style_alone() -> None:
    [style] = check_pack(new_style_pack)
    picture = sample_picture()
    printed = new_style_pack.likeness_finish_avatar(picture, style)
    assert printed is not None
    assert (printed[:3] == 255).all()
    assert (printed[3:-3, 3:-3] == picture[3:-3, 3:-3]).all()
    foreign = Style("another", "Another", "Somebody else's.", style.looks, "MIT", "Them")
    assert new_style_pack.likeness_finish_avatar(picture, foreign) is None
