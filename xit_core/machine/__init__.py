"""The surroundings of the study: folders, files, locks, environment, provenance, and the user's error."""
