"""MOTChallenge rows at the address that scripts of users know; they live in ``sqair.files.mot_io``."""

from sqair.files.mot_io import list_mot, read_mot, write_mot

__all__ = ["list_mot", "read_mot", "write_mot"]
