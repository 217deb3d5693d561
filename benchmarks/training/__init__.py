"""What each choice of the training recipe is worth."""
