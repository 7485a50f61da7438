"""How the bundled pack `miniature` is made: data, teachers, training, export. Not part of the wheel."""
