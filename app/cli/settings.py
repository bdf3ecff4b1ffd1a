"""`moonpool settings`."""

import click
from pydantic import AliasChoices
from pydantic.fields import FieldInfo

from app.settings import Settings

INTRO = """# Settings

Settings come from the environment alone. This page is the output of `moonpool settings`.

A provider's secret is in the variable that the catalogue names for it (`OPENAI_API_KEY`, for
example), or in the file that the same name with `_FILE` behind it points at. So are the keys that
seal webhook secrets, `MOONPOOL_ENCRYPTION_KEYS`; without them the data directory holds one. So are
`MOONPOOL_S3_KEY_ID` and `MOONPOOL_S3_SECRET`, with which a [bucket of files](files.md) is asked.

| variable | default | meaning |
|---|---|---|
"""


@click.command("settings")
def settings_command() -> None:
    """Print the table of all settings as Markdown: name, default, meaning. Never a value in use.

    \b
    Example:
      moonpool settings > docs/settings.md
    """
    click.echo(settings_page(), nl=False)


def settings_page() -> str:
    """The page on all settings."""
    rows = [
        f"| `{_variable(name, field)}` | {_default(field)} | {field.description} |\n"
        for name, field in Settings.model_fields.items()
    ]
    return INTRO + "".join(rows)


def _variable(name: str, field: FieldInfo) -> str:
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        alias = str(alias.choices[0])
    return str(alias) if alias else f"MOONPOOL_{name.upper()}"


def _default(field: FieldInfo) -> str:
    if field.default in (None, ""):
        return ""
    text = str(field.default)
    return f"`{text.lower() if isinstance(field.default, bool) else text}`"
