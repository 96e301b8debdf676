"""The image, and its steps tried where no engine is at hand."""
