"""Reconciling: which changes bring two sides together that were both edited since they last agreed."""

from __future__ import annotations

from transforms.reconcile.policy import Clock, Policy, Rule, problems
from transforms.reconcile.records import CONFLICTS_BESIDE_ROWS, OVERRULED, Reconciled
from transforms.reconcile.refused import left_open
from transforms.reconcile.three_way import prospects, reconcile

__all__ = [
    "CONFLICTS_BESIDE_ROWS",
    "OVERRULED",
    "Clock",
    "Policy",
    "Reconciled",
    "Rule",
    "left_open",
    "problems",
    "prospects",
    "reconcile",
]
