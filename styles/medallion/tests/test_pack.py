"""What a server checks when it loads the pack."""

import medallion_pack
from likeness_plugins.testing import check_pack


def test_the_pack_conforms() -> None:
    [style] = check_pack(medallion_pack)
    assert style.name == "medallion"
    assert style.preview is not None
    assert style.recipe("pix2pix").lora is not None
