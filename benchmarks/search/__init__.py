"""What the search chooses and what it finds, one benchmark a file: ``.choice``, ``.rare``, ..."""
