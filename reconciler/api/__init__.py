"""The Supermetrics API: what it sends, one method per endpoint, and what an answer to a write means."""
