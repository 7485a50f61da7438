"""Print the fingerprints of photos, as lines for `blocked.txt`: the crop counts, as the hook sees it."""

from __future__ import annotations

import sys
from pathlib import Path

from likeness.photos import PhotoError, crop_face, decode_photo
from likeness_blocklist import fingerprint


def main() -> int:
    """One line a photo; 1 when one cannot be used."""
    failed = False
    for name in sys.argv[1:]:
        try:
            crop = crop_face(decode_photo(Path(name).read_bytes()))
            print(f"{fingerprint(crop.pixels):016x}")
        except (OSError, PhotoError) as error:
            failed = True
            print(f"{name}: {error}", file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
