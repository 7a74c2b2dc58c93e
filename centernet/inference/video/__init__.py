"""Steps and outputs for videos."""
