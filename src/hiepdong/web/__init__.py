"""Root URLs, the desk, the board, the calendar, search, and the one wiring table; sees every app."""
