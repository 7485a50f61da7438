"""All routes, by noun; the table below is what `create_app` serves."""

from likeness.http.routes import account, avatars, gallery, generations, health, published, styles

ROUTES = (
    *generations.ROUTES,
    *avatars.ROUTES,
    *gallery.ROUTES,
    *published.ROUTES,
    *styles.ROUTES,
    *account.ROUTES,
    *health.ROUTES,
)
