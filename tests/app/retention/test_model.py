"""A selection's way through the job's request."""

from app.retention.model import Selection


def test_a_selection_comes_back_from_its_job_as_it_was() -> None:
    for selection in (
        Selection(user="ü", job_ids=["job_a"], before=1.5),
        Selection(app_id="a", session_id="s", since=1.0, reason="retention"),
    ):
        assert Selection.from_json(selection.to_json()) == selection
