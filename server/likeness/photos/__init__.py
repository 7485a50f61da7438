"""From a photo's bytes to a canonical crop: decode, find the one face, align, rate, refuse with reasons."""

from likeness.errors import BadPhoto, PhotoCountError, PhotoError, PhotosRefusedError
from likeness.photos.crop import Crop, crop_face
from likeness.photos.decode import MOST_BYTES, decode_photo
from likeness.photos.faces import Face
from likeness.photos.read import FEWEST, MOST, read_photos

__all__ = [
    "FEWEST",
    "MOST",
    "MOST_BYTES",
    "BadPhoto",
    "Crop",
    "Face",
    "PhotoCountError",
    "PhotoError",
    "PhotosRefusedError",
    "crop_face",
    "decode_photo",
    "read_photos",
]
