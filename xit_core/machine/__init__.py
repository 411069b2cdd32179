"""What surrounds the study: folders, files, locks, environment, provenance, and the one error of a user."""
