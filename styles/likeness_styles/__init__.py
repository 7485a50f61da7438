"""The five built-in style packs; each is a folder that a stranger could have shipped."""
