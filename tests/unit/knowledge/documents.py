"""Documents of every type that is read, made anew."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from zipfile import ZIP_DEFLATED, ZipFile

import docx
from fpdf import FPDF

PAGE = """<!doctype html><html><head><title>Horns &amp; more</title><meta name=author content='Ada'>
<script>var hidden = '<div>'</script></head><body><nav>menu</nav><main><h1>Horns</h1><p>Hello <b>wor</b>ld<br>again
there</p><div>bare<p>para</p>tail</div><ul><li>one<li>two</ul><h2>Code</h2><pre>def f():
    return 1
</pre><table><tr><th>a<th>b<tr><td>1<td><p>2</p></table><p style="display: none">unseen</p><p hidden>unseen</p>
<p>end</p></main><footer>foot</footer></body></html>"""

MARKDOWN = """---
title: "On horns"
author: Ada L
---
# Horns *and more*

With [a link](http://example.org) and `code`
on two lines

- a
- b
    1. x
    2. y

## Code

```py
x = 1

y = 2
```

| a | b |
|---|---|
| 1 | **2** |

<p>of <b>HTML</b></p>
"""


def pdf(*pages: Callable[[FPDF], None], password: str = "") -> bytes:
    """A PDF, with a title and an author, of pages that are each written by a function."""
    made = FPDF()
    made.set_title("On horns")
    made.set_author("Ada")
    made.set_font("helvetica", size=12)
    if password:
        made.set_encryption("owner", password)
    for write in pages:
        made.add_page()
        write(made)
    return bytes(made.output())


def writes(text: str, heading: str = "", level: int = 0) -> Callable[[FPDF], None]:
    def write(made: FPDF) -> None:
        if heading:
            made.start_section(heading, level)
            made.cell(0, 8, heading, new_x="LMARGIN", new_y="NEXT")
        made.multi_cell(0, 8, text)

    return write


def draws(made: FPDF) -> None:
    made.rect(10, 10, 50, 50)


def word() -> bytes:
    made = docx.Document()
    made.core_properties.title = "On horns"
    made.core_properties.author = "Ada"
    made.add_heading("Horns", 1)
    made.add_paragraph("A paragraph.")
    made.add_heading("More", 2)
    table = made.add_table(2, 2)
    for cell, text in zip((cell for row in table.rows for cell in row.cells), "abcd", strict=True):
        cell.text = text
    made.add_paragraph("中文段落。")
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()


def archive(parts: Sequence[tuple[str, bytes]]) -> bytes:
    file = io.BytesIO()
    with ZipFile(file, "w", ZIP_DEFLATED) as made:
        for name, content in parts:
            made.writestr(name, content)
    return file.getvalue()


def raw_pdf(*objects: bytes) -> bytes:
    """A PDF of these objects, the first of which is its catalogue, without a table of them."""
    body = b"".join(b"%d 0 obj\n%s\nendobj\n" % (number, each) for number, each in enumerate(objects, 1))
    return b"%PDF-1.4\n" + body + b"trailer <</Root 1 0 R>>\n%%EOF"


def endless_form() -> bytes:
    """A PDF whose only form draws itself twice."""
    return raw_pdf(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
        b"<</Type/Page/Parent 2 0 R/Contents 4 0 R/Resources<</XObject<</X 5 0 R>>>>>>",
        b"<</Length 5>>stream\n/X Do\nendstream",
        b"<</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 5 0 R>>>>/Length 11>>"
        b"stream\n/X Do /X Do\nendstream",
    )
