"""What a deposit's header says, read and checked before anything large is imported or made."""
