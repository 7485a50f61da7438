"""All routes, by noun; the table below is what `create_app` serves."""

from likeness.http.routes import account, avatars, gallery, generations, health, photos, published, studio, styles

ROUTES = (
    *generations.ROUTES,
    *photos.ROUTES,
    *avatars.ROUTES,
    *gallery.ROUTES,
    *published.ROUTES,
    *styles.ROUTES,
    *account.ROUTES,
    *health.ROUTES,
    *studio.ROUTES,
)
