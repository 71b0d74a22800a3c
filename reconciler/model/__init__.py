"""Values of the domain: what is desired, what was observed, what is remembered. No rules."""
