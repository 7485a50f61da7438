"""How the networks in `likeness/photos/networks/` were made; see README.md. Not part of the wheel."""
