"""Papers as files: DOCX to go on writing in, PDF to read and print. The same document gives the same bytes."""

from .docx import render_docx
from .pdf import render_pdf, typeset

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PDF = "application/pdf"

__all__ = ["DOCX", "PDF", "render_docx", "render_pdf", "typeset"]
