"""From a photo's bytes to a canonical crop: decode, find the one face, align, rate, choose the set, refuse with
reasons.
"""

from likeness.errors import BadPhoto, PhotoCountError, PhotoError, PhotoResult, PhotosRefusedError
from likeness.photos.crop import Crop, crop_face
from likeness.photos.decode import MOST_BYTES, decode_photo
from likeness.photos.duplicates import Thumbnail
from likeness.photos.faces import Face
from likeness.photos.photo_set import FEWEST, MOST, PhotoSet, check_count
from likeness.photos.read import ReadPhotos, read_photo, read_photos

__all__ = [
    "FEWEST",
    "MOST",
    "MOST_BYTES",
    "BadPhoto",
    "Crop",
    "Face",
    "PhotoCountError",
    "PhotoError",
    "PhotoResult",
    "PhotoSet",
    "PhotosRefusedError",
    "ReadPhotos",
    "Thumbnail",
    "check_count",
    "crop_face",
    "decode_photo",
    "read_photo",
    "read_photos",
]
