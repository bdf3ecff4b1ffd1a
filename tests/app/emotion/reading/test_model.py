from collections import Counter

from app.emotion.reading.model import EKMAN, LABELS, NEUTRAL


def test_every_label_is_of_one_class_of_ekman() -> None:
    grouped = Counter(name for members in EKMAN.values() for name in members)
    assert grouped == Counter(LABELS)
    assert set(grouped.values()) == {1}
    assert len(LABELS) == 28
    assert len(EKMAN) == 7
    assert LABELS[-1] == NEUTRAL
