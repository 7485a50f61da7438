"""Make `likeness/photos/networks/`: MediaPipe's two face networks as ONNX files, and the pictures of eyes and mouths.

python -m face_networks convert WHEELS         needs tf2onnx and tensorflow-cpu, in no extra of ours
python -m face_networks templates PHOTOS...    needs the converted networks
"""

from __future__ import annotations

import argparse
from pathlib import Path

OUT = Path(__file__).parent.parent / "likeness" / "photos" / "networks"


def main() -> None:
    """Run one of the two steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(dest="step", required=True)
    steps.add_parser("convert").add_argument("wheels", type=Path, help="the folder of both wheels")
    steps.add_parser("templates").add_argument("photos", type=Path, nargs="+", help="folders of portraits")
    arguments = parser.parse_args()
    if arguments.step == "convert":
        from face_networks.convert import convert_networks  # noqa: PLC0415 - each step has what the other one lacks

        convert_networks(arguments.wheels, OUT)
    else:
        from face_networks.templates import write_templates  # noqa: PLC0415

        write_templates(arguments.photos, OUT)


if __name__ == "__main__":
    main()
