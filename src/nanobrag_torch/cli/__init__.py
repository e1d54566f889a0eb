"""The command line: words in, files and a report out; errors become one line and a status."""
