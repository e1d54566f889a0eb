"""The trial of robustness by parts: what is tried, what is kept of it, and the table (scripts/robustness.py)."""
