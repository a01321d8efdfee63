"""What families of transformers have in common."""
