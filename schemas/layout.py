"""What lies where in a run's folder or bucket prefix."""

from __future__ import annotations

RECORD_FILE = "run.json"
LOCK_FILE = "run.lock"
PROGRESS_FILE = "progress.json"
SAMPLES_PREFIX = "samples"
INDEX_FILE = "samples.json"
ENROLLING_PREFIX = "enrolling"
PARTIALS_PREFIX = "partials"
GALLERY_FILE = "gallery.parquet"
NEIGHBOURS_FILE = "neighbours.parquet"
SCORES_FILE = "scores.parquet"
OVER_REPRESENTATION_FILE = "over_representation.parquet"
SETTINGS_FILE = "settings.parquet"
RESULTS_FILE = "results.json"
MATCHES_FILE = "top_matches.png"
