"""`/console`: pages for people. They are shells without data, public as such: what they show they
ask of the API, with the key or session that their visitor signs in with."""

from flask import Blueprint, Response

from app.web.pages import hardened, html_page

IMAGES = "'self' blob:"
"""Pictures of the API come with the visitor's key, which the address of an image cannot carry."""


def console_routes() -> Blueprint:
    """The public blueprint of the console."""
    routes = Blueprint("console", __name__, template_folder="../templates")
    routes.after_request(hardened)

    @routes.get("/console")
    def first_page() -> Response:
        return router_page()

    @routes.get("/console/router")
    def router_page() -> Response:
        return html_page("console_router.html", images=IMAGES)

    return routes
