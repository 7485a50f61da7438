"""What a server checks when it loads the pack."""

from likeness_plugins.testing import check_pack

import new_style_pack


def test_the_pack_conforms() -> None:
    [style] = check_pack(new_style_pack)
    assert style.name == "new-style"
    assert style.preview is not None
