"""Style packs with code: tried in a process of their own before they are installed, or loaded."""
