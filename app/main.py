"""The web application."""

from flask import Flask

from app.settings import Settings, settings
from app.telemetry import configure_logs
from app.web.chat import chat_routes
from app.web.front import front as make_front
from app.web.guards import guard
from app.web.jobs import job_routes
from app.web.models import model_routes, public_routes
from app.web.operations import operation_routes
from app.web.problems import install


def create_app(chosen: Settings) -> Flask:
    """The application with these settings. Raises CatalogueError; connects to nothing yet."""
    app = Flask("moonpool", static_folder=None)
    app.url_map.strict_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = chosen.body_limit
    front = make_front(chosen)
    install(app)
    blueprints = [
        chat_routes(front),
        job_routes(front),
        model_routes(front),
        public_routes(front),
        operation_routes(front),
    ]
    guard(app, front, blueprints)
    app.extensions["moonpool"] = front
    return app


def wsgi() -> Flask:
    """The application of this process, as gunicorn calls for it."""
    configure_logs(settings().log_level)
    return create_app(settings())
