"""Files by their digest, numbering without holes, and documents laid out in the state or the Party form (DOCX, PDF)."""
