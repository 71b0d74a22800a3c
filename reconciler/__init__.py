"""Declarative, Terraform-style reconciler for Supermetrics backfills."""

__version__ = "0.1.0"
