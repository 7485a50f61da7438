"""What the pack's author runs."""

import pop_poster_plugin
from likeness_plugins.testing import check_pack, sample_picture


def test_the_pack_conforms():
    [style] = check_pack(pop_poster_plugin)
    assert style.name == "pop-poster"


def test_the_frame_is_drawn_on_this_style_alone():
    [style] = check_pack(pop_poster_plugin)
    picture = sample_picture()
    framed = pop_poster_plugin.likeness_finish_avatar(picture, style, style.looks[0])
    assert (framed[:6] == 255).all()
    assert (framed[6:-6, 6:-6] == picture[6:-6, 6:-6]).all()
