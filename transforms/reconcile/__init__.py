"""Reconciling: which changes bring two sides together that were both edited since they last agreed."""

from __future__ import annotations

from transforms.reconcile.agreed import agreed_after
from transforms.reconcile.decisions import DECISIONS, Decisions
from transforms.reconcile.open_rows import Weighed, open_rows, weighed
from transforms.reconcile.policy import Clock, Policy, Rule, problems
from transforms.reconcile.records import CONFLICTS_BESIDE_ROWS, OVERRULED, Reconciled
from transforms.reconcile.refused import left_open
from transforms.reconcile.three_way import prospects, reconcile

__all__ = [
    "CONFLICTS_BESIDE_ROWS",
    "DECISIONS",
    "OVERRULED",
    "Clock",
    "Decisions",
    "Policy",
    "Reconciled",
    "Rule",
    "Weighed",
    "agreed_after",
    "left_open",
    "open_rows",
    "problems",
    "prospects",
    "reconcile",
    "weighed",
]
