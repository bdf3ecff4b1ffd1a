"""Texts of many lengths and kinds."""

TEXTS = [
    "This is an example sentence",
    "Each sentence is converted",
    "x",
    "Postgres keeps every job until it has ended.",
    "A dog plays in the garden.",
    "In the garden a puppy is playing.",
    "Die Sprache ist Deutsch, und Umlaute gehen verloren: über, schön.",
    "月亮在水面上。",
    "🌙 and a café — naïve [MASK] ##ing",
    "def embed(texts): return [vector(text) for text in texts]",
    "SELECT id, state FROM jobs WHERE lane = 'interactive' ORDER BY created_at LIMIT 10;",
    "1234567890 3.14159 -42 0x1F 1e-12",
    "The moon is a stone and the sea is a mirror. " * 4,
    "supercalifragilisticexpialidocious " * 4,
]
