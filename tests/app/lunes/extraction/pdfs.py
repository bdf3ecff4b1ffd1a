"""PDF files for tests, written by hand: a page is the lines that stand on it."""

from collections.abc import Sequence


def pdf(pages: Sequence[Sequence[str]], title: str | None = None, extra: str = "") -> bytes:
    """A file of these pages. `extra` is put into the trailer."""
    bodies = ["<< /Type /Catalog /Pages 2 0 R >>", ""]
    bodies.append("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    kids = []
    for lines in pages:
        shown = " ".join(f"({line}) Tj 0 -14 Td" for line in lines)
        stream = f"BT /F1 12 Tf 72 720 Td {shown} ET"
        bodies.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
        bodies.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R "
            f">> >> /Contents {len(bodies)} 0 R >>"
        )
        kids.append(f"{len(bodies)} 0 R")
    bodies[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    if title is not None:
        bodies.append(f"<< /Title ({title}) >>")
        extra += f" /Info {len(bodies)} 0 R"
    return _file(bodies, extra)


def _file(bodies: Sequence[str], extra: str) -> bytes:
    out = b"%PDF-1.4\n"
    places = []
    for number, body in enumerate(bodies, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    start = len(out)
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(bodies) + 1
    out += f"xref\n0 {size}\n0000000000 65535 f \n{table}".encode()
    return (
        out + f"trailer\n<< /Size {size} /Root 1 0 R{extra} >>\nstartxref\n{start}\n%%EOF".encode()
    )
