"""A folder with `style.toml`; the hooks are in pop_poster_plugin."""
