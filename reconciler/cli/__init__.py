"""The command line: one file per command. The only importer of click, and the only printer."""
