"""JSON in and out: the state file, the plan file, and what commands print for programs."""
