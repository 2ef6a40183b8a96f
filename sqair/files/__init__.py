"""What is read and written: whole or not at all, and never executed."""
