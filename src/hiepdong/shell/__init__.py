"""The page frame: base template, components, static files, and how a page or its fragment is rendered. No models."""
