"""What follows from the ledger: contrasts, verdicts, costs, figures and the pages of the book. No torch."""
