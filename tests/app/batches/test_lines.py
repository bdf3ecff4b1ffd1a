"""Lines that have ended, as their batch tells them."""

from app.batches.lines import told
from app.batches.model import EndedLine


def test_a_line_that_its_deadline_ended_first_tells_that_its_batch_expired() -> None:
    error = '{"message":"late","type":"timeout","param":null,"code":"deadline_exceeded"}'
    line = told(EndedLine(1, "a", "job_x", "chat.completion", "expired", None, error, None, None))
    assert (line["response"], line["error"]["code"]) == (None, "batch_expired")
