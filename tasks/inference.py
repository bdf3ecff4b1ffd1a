"""The bell's task: some jobs wait in a lane."""

from app.queue import Task
from workers.main import app, desk


@app.task(name=Task.ANSWER.value, ignore_result=True)  # type: ignore[untyped-decorator]
def answer(job_ids: list[str], lane: str) -> None:
    """Answers as many jobs of `lane` as `job_ids` names, whoever's turn it is."""
    desk().answer(lane, len(job_ids))
