"""What the search chooses and what it finds: ``python -m benchmarks.search.choice``, ``.tight``."""
