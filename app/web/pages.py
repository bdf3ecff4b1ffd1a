"""What our pages have in common: where their parts may come from, and who may keep or frame
them."""

from flask import Response, render_template

from app.web.assets import asset_url

HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}


def policy(images: str = "'self'") -> str:
    """A Content-Security-Policy of files of `/static` alone; `images` may come from elsewhere."""
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src {images}; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def html_page(template: str, status: int = 200, *, images: str = "'self'") -> Response:
    """A page of a template."""
    answer = Response(render_template(template, asset_url=asset_url), status, mimetype="text/html")
    answer.headers["Content-Security-Policy"] = policy(images)
    return answer


def hardened(answer: Response) -> Response:
    """The answer with the headers of a page and of what it asks for."""
    for name, value in HEADERS.items():
        answer.headers[name] = value
    return answer
