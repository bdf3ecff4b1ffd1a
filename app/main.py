"""The web application."""

from flask import Flask

from app.settings import Settings, settings
from app.telemetry import configure_logs
from app.web.admin import admin_routes
from app.web.admin_money import admin_money_routes
from app.web.application import Application
from app.web.assets import asset_routes
from app.web.batches import batch_routes
from app.web.billing import billing_routes
from app.web.budgets import budget_routes
from app.web.chat import chat_routes
from app.web.completions import completion_routes
from app.web.console.page import console_routes
from app.web.data import data_routes
from app.web.description import description_routes
from app.web.embeddings import embedding_routes
from app.web.emotions import emotion_routes
from app.web.evolution import evolution_routes, rollback_routes
from app.web.feedback import feedback_routes
from app.web.files import file_routes
from app.web.front import front as make_front
from app.web.guards import guard
from app.web.images import image_routes
from app.web.jobs import job_routes
from app.web.keys import key_routes
from app.web.lune_documents import lune_document_routes
from app.web.lune_search import lune_search_routes
from app.web.lunes import lune_routes
from app.web.memory import memory_routes
from app.web.messages import message_routes
from app.web.models import model_routes, public_routes
from app.web.operations import operation_routes
from app.web.pictures import picture_routes
from app.web.problems import install
from app.web.provider_keys import provider_key_routes
from app.web.providers import provider_routes
from app.web.replays import replay_routes
from app.web.responses import response_routes
from app.web.retries import retry_routes
from app.web.router import router_routes
from app.web.transcriptions import transcription_routes
from app.web.usage import usage_routes
from app.web.users import session_routes, sign_in_routes
from app.web.web_chat_page import web_chat_page_routes
from app.web.web_chats import web_chat_routes
from app.web.webhooks import webhook_routes


def create_app(chosen: Settings) -> Flask:
    """The application with these settings. Raises CatalogueError; connects to nothing yet."""
    app = Application("moonpool", static_folder=None)
    app.url_map.strict_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = chosen.body_limit
    front = make_front(chosen)
    install(app)
    blueprints = [
        chat_routes(front),
        completion_routes(front),
        embedding_routes(front),
        image_routes(front),
        transcription_routes(front),
        response_routes(front),
        message_routes(front),
        job_routes(front),
        retry_routes(front),
        model_routes(front),
        provider_routes(front),
        router_routes(front),
        emotion_routes(front),
        key_routes(front),
        billing_routes(front),
        budget_routes(front),
        usage_routes(front),
        data_routes(front),
        lune_routes(front),
        lune_document_routes(front),
        lune_search_routes(front),
        file_routes(front),
        batch_routes(front),
        memory_routes(front),
        feedback_routes(front),
        evolution_routes(front),
        rollback_routes(front),
        webhook_routes(front),
        replay_routes(front),
        provider_key_routes(front),
        admin_routes(front),
        admin_money_routes(front),
        sign_in_routes(front),
        session_routes(front),
        public_routes(front),
        picture_routes(front),
        operation_routes(front),
        description_routes(),
        console_routes(),
        web_chat_routes(front),
        web_chat_page_routes(front),
        asset_routes(),
    ]
    guard(app, front, blueprints)
    app.extensions["moonpool"] = front
    return app


def wsgi() -> Flask:
    """The application of this process, as gunicorn calls for it."""
    configure_logs(settings().log_level)
    return create_app(settings())
