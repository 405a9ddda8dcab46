"""What happens: a deterministic machine of clock, line, tasks, things, files and journal. See README.md."""
