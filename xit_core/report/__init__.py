"""Results computed from the ledger: contrasts, verdicts, costs, figures and book pages. Needs no torch."""
